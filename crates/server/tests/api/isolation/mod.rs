//! No tenant ever sees or touches another's rows. Once through
//! every route, once beneath them as the application's database role.

pub(crate) mod routes;
mod rows;

use std::collections::BTreeSet;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio_postgres::{Client, IsolationLevel};

use crate::knowledge::{all_drafted, nothing_to_do};
use crate::measured::{DELTA, claude_export, claude_tokens, now};
use crate::signup::device::Device;
use crate::signup::proofs::{add, another, asked};
use crate::signup::sessions::signed_in;
use crate::support::{Caller, Tenant, connect, server, text, unique};

/// A tenant with at least one row in every tenant table, all of whose names hold one word.
pub(crate) struct Populated {
    pub(crate) tenant: Tenant,
    pub(crate) agent: Caller,
    pub(crate) orchestrator: Caller,
    /// A word in every name and title, and in no other tenant's.
    pub(crate) word: String,
    pub(crate) key: String,
    pub(crate) project: String,
    pub(crate) epic: String,
    /// A second epic, without stories, which depends on the first.
    pub(crate) empty_epic: String,
    /// One verified, one ready, one blocked.
    pub(crate) stories: [String; 3],
    /// The dependency of the second epic on the first.
    pub(crate) epic_edge: String,
    /// One of the dependencies of the stories.
    pub(crate) story_edge: String,
    /// A UI test run that is open.
    pub(crate) ui_test_run: String,
    /// Of the project, with a version and a result.
    pub(crate) skill: String,
    pub(crate) skill_version: String,
    pub(crate) usage: String,
    pub(crate) budget: String,
    /// That of the verified story.
    pub(crate) verification: String,
    pub(crate) webhook: String,
    /// What was given up to deliver to it.
    pub(crate) delivery: String,
    pub(crate) authenticator: String,
    /// The same, to sign with.
    pub(crate) device: Mutex<Device>,
    /// Something that a scan has found.
    pub(crate) violation: String,
    /// A story whose cost stands out.
    pub(crate) anomaly: String,
    /// Of the project, published, and linked with another one.
    pub(crate) article: String,
    pub(crate) article_link: String,
    /// Of the whole tenant.
    pub(crate) article_draft: String,
}

pub(crate) async fn populated() -> Populated {
    let tenant = Tenant::new().await;
    let word = unique("classified");
    let body = json!({"name": word, "settings": {"note": word}});
    tenant.user.patch("/tenants/me", body).await.expect(200);
    let register = async |number: u32| {
        let mut agent = tenant.key("agent").await;
        let body = json!({"name": format!("{word} {number}"), "agent_type": "implementer"});
        let registered = agent.post("/agents/register", body).await.expect(201);
        agent.agent_id = Some(text(&registered["agent"]["id"]));
        agent
    };
    let (agent, other_agent) = (register(1).await, register(2).await);
    let orchestrator = tenant.orchestrator_of(register(3).await.agent()).await;
    let body = json!({"name": word, "role": "agent"});
    let key = tenant.user.post("/api_keys", body).await.expect(201);
    let body = json!({"name": word, "slug": word, "mission": word});
    // With a key, so that the answer is kept.
    let create = tenant.user.request(Method::POST, "/projects").header("Idempotency-Key", &word).json(&body);
    let project = text(&tenant.user.send(create).await.expect(201)["project"]["id"]);
    let criteria = json!([{"id": "AC-1", "criterion": word}]);
    let story = |number: &str| json!({"number": number, "title": word, "acceptance_criteria": criteria});
    let payload = json!({
        "epics": [{"number": 1, "title": word, "stories": [story("1.1"), story("1.2"), story("1.3")]},
                  {"number": 2, "title": word, "stories": []}],
        "story_dependencies": [{"story": "1.2", "depends_on": "1.1"}, {"story": "1.3", "depends_on": "1.2"}],
        "epic_dependencies": [{"epic": 2, "depends_on": 1}],
    });
    tenant.user.post(&format!("/projects/{project}/import"), payload).await.expect(201);
    // A job of a kind that nobody knows, and so nobody takes.
    let job = "insert into jobs (tenant_id, id, queue, kind, max_attempts, args)
               values ($1::text::uuid, gen_random_uuid(), 'none', 'none', 1, $2)";
    let owner = connect(&server().owner).await;
    owner.execute(job, &[&tenant.id, &json!({"note": word})]).await.unwrap();
    let stories = [
        tenant.story_id(&project, "1.1").await,
        tenant.story_id(&project, "1.2").await,
        tenant.story_id(&project, "1.3").await,
    ];
    for (who, action, body, status) in [
        (&agent, "contract", json!({"story_title": word, "ac_count": 1}), 200),
        (&agent, "claim", json!({}), 200),
        (&agent, "artifacts", json!({"artifact_type": "test", "path": word}), 201),
        (&agent, "start", json!({}), 200),
        (&other_agent, "report", json!({}), 200),
        (&other_agent, "review-complete", json!({"review_type": "enhanced", "summary": word}), 201),
        (&orchestrator, "verify", json!({"review_type": "enhanced", "summary": word}), 200),
    ] {
        who.post(&format!("/stories/{}/{action}", stories[0]), body).await.expect(status);
    }
    // One that was touched and deleted: its number is remembered.
    let epics = tenant.user.get(&format!("/projects/{project}/epics")).await.expect(200);
    let body = json!({"number": "1.9", "title": word});
    let path = format!("/epics/{}/stories", text(&epics["data"][0]["id"]));
    let gone = format!("/stories/{}", text(&tenant.user.post(&path, body).await.expect(201)["story"]["id"]));
    agent.post(&format!("{gone}/contract"), json!({"story_title": word, "ac_count": 0})).await.expect(200);
    tenant.user.delete(&gone).await.expect(204);
    let body = json!({"notes": word, "guide_reference": word});
    let run = agent.post(&format!("/projects/{project}/ui_test_runs"), body).await.expect(201);
    let ui_test_run = text(&run["data"]["id"]);
    let body = json!({"severity": "bug", "title": word});
    agent.post(&format!("/ui_test_runs/{ui_test_run}/findings"), body).await.expect(201);
    let state = json!({"state_key": "main", "state_data": {"note": word}});
    let save = orchestrator.request(Method::PUT, &format!("/orchestrator/state/{project}")).json(&state);
    orchestrator.send(save).await.expect(200);
    let body = json!({"name": word, "prompt_text": word, "project_id": project});
    let created = tenant.user.post("/skills", body).await.expect(201);
    let (skill, skill_version) = (text(&created["skill"]["id"]), text(&created["version"]["id"]));
    let verifications = orchestrator.get(&format!("/stories/{}/verifications", stories[0])).await.expect(200);
    let verification = text(&verifications["data"][0]["id"]);
    let body = json!({"skill_version_id": skill_version, "verification_result_id": verification, "story_id": stories[0],
                      "metrics": {"note": word}});
    orchestrator.post("/skill_results", body).await.expect(201);
    let body = json!({"story_id": stories[0], "input_tokens": 700, "output_tokens": 70, "cost_millicents": 900,
                      "model_name": "claude-opus-4", "session_id": word});
    let usage = text(&agent.post("/token-usage", body).await.expect(201)["token_usage_report"]["id"]);
    let body = json!({"scope_type": "project", "scope_id": project, "budget_millicents": 1_000_000_000, "metadata": {"of": word}});
    let budget = text(&orchestrator.post("/token-budgets", body).await.expect(201)["token_budget"]["id"]);
    // What comes of budgets, and of jobs that look at what was spent.
    for sql in [
        "insert into budget_reservations (tenant_id, story_id, budget_id, target_id, millicents)
         values ($1::text::uuid, $2::text::uuid, $3::text::uuid, $2::text::uuid, 7)",
        "insert into token_budget_alerts (tenant_id, budget_id, target_type, target_id, level)
         values ($1::text::uuid, $3::text::uuid, 'story', $2::text::uuid, 'warning')",
        "insert into cost_summaries (tenant_id, scope_type, scope_id, period_start, period_end)
         values ($1::text::uuid, 'story', $2::text::uuid, '2026-01-01', coalesce($3::text, '2026-01-01')::date)",
        "insert into cost_anomalies (tenant_id, id, story_id, anomaly_type, story_cost_millicents, reference_avg_millicents,
                                     deviation_factor, metadata, period_start, period_end)
         values ($1::text::uuid, gen_random_uuid(), $2::text::uuid, 'high_cost', 9, 3, 3, jsonb_build_object('note', $3::text),
                 '2026-01-01', '2026-01-01')",
    ] {
        let third = match sql.contains("cost_") {
            true => sql.contains("anomalies").then_some(word.as_str()),
            false => Some(budget.as_str()),
        };
        owner.execute(sql, &[&tenant.id, &stories[0], &third]).await.unwrap();
    }
    let (at, says) = (now(), [("loopctl.story_id", stories[0].as_str())]);
    let measured =
        claude_export(&says, DELTA, vec![claude_tokens(&word, "input", at - 1, at, 1.0)], Vec::new());
    agent.post("//v1/metrics", json!(measured)).await.expect(200);
    let body = json!({"title": word, "body": word, "category": "finding", "tags": [word], "metadata": {"note": word},
                      "slug": word, "status": "published", "project_id": project});
    let article = text(&orchestrator.post("/articles", body).await.expect(201)["data"]["id"]);
    let body = json!({"title": format!("{word} 2"), "body": word, "category": "pattern"});
    let article_draft = text(&agent.post("/articles", body).await.expect(201)["data"]["id"]);
    let body = json!({"source_article_id": article, "target_article_id": article_draft, "relationship_type": "relates_to",
                      "metadata": {"note": word}});
    let article_link = text(&agent.post("/article_links", body).await.expect(201)["data"]["id"]);
    // It is read, and noted.
    agent.get(&format!("/articles/{article}?project_id={project}")).await.expect(200);
    orchestrator.get("/knowledge/analytics/top-articles").await.expect(200);
    let body = json!({"source_type": word, "content": word, "project_id": project});
    orchestrator.post("/knowledge/ingest", body).await.expect(202);
    all_drafted(&tenant).await;
    let (webhook, delivery) = webhook(&tenant, &word).await;
    let (authenticator, mut device) = authenticator(&tenant, &word).await;
    signed_in(&mut device).await;
    let violation = violation(&tenant.id, &word).await;
    let anomaly = anomaly(&tenant.id, &stories[0], &word).await;
    let epic = text(&epics["data"][0]["id"]);
    let edge = async |path: String| text(&tenant.user.get(&path).await.expect(200)["data"][0]["id"]);
    let epic_edge = edge(format!("/projects/{project}/epic_dependencies")).await;
    let story_edge = edge(format!("/epics/{epic}/story_dependencies")).await;
    Populated {
        epic,
        empty_epic: text(&epics["data"][1]["id"]),
        epic_edge,
        story_edge,
        key: text(&key["api_key"]["id"]),
        tenant,
        agent,
        orchestrator,
        word,
        project,
        stories,
        ui_test_run,
        skill,
        skill_version,
        usage,
        budget,
        verification,
        webhook,
        delivery,
        authenticator,
        device: Mutex::new(device),
        violation,
        anomaly,
        article,
        article_link,
        article_draft,
    }
}

/// A story whose cost might stand out.
pub(crate) async fn anomaly(tenant_id: &str, story: &str, word: &str) -> String {
    let sql = "insert into cost_anomalies (tenant_id, id, story_id, anomaly_type, story_cost_millicents,
                                           reference_avg_millicents, deviation_factor, metadata, period_start, period_end)
               values ($1::text::uuid, gen_random_uuid(), $2::text::uuid, 'suspiciously_low', 1, 100, 0.01, $3, '2026-01-01',
                       '2026-01-01')
               returning id::text";
    let owner = connect(&server().owner).await;
    owner.query_one(sql, &[&tenant_id, &story, &json!({"note": word})]).await.unwrap().get(0)
}

/// Something that a scan might have found.
pub(crate) async fn violation(tenant_id: &str, word: &str) -> String {
    let sql = "insert into audit_pending_violations (tenant_id, id, violation_type, entity_type, entity_id, detail)
               values ($1::text::uuid, gen_random_uuid(), 'orphaned_agent_ref', 'api_key', gen_random_uuid(), $2)
               returning id::text";
    let owner = connect(&server().owner).await;
    owner.query_one(sql, &[&tenant_id, &json!({"name": word})]).await.unwrap().get(0)
}

/// A webhook that is told of nothing that happens here, with an event that was given up.
async fn webhook(tenant: &Tenant, word: &str) -> (String, String) {
    let body = json!({"url": format!("https://{word}.invalid/"), "events": ["tenant.custody_halted"]});
    let webhook = text(&tenant.user.post("/webhooks", body).await.expect(201)["webhook"]["id"]);
    let sql = "insert into webhook_events (tenant_id, id, webhook_id, event_type, payload, position, status)
               values ($1::text::uuid, gen_random_uuid(), $2::text::uuid, 'tenant.custody_halted', $3, 1, 'exhausted')
               returning id::text";
    let owner = connect(&server().owner).await;
    let row = owner.query_one(sql, &[&tenant.id, &webhook, &json!({"reason": word})]).await.unwrap();
    (webhook, row.get(0))
}

/// The tenant's first authenticator, a challenge for it, and a secret.
async fn authenticator(tenant: &Tenant, word: &str) -> (String, Device) {
    let (device, mut enrolled) = another(tenant).await;
    enrolled["friendly_name"] = json!(word);
    let added = add(tenant, &enrolled, Value::Null).await.expect(201);
    asked(tenant).await;
    let sql = "insert into tenant_secrets (tenant_id, id, name, ciphertext)
               values ($1::text::uuid, gen_random_uuid(), 'audit_signing_key', $2)";
    connect(&server().owner).await.execute(sql, &[&tenant.id, &word.as_bytes()]).await.unwrap();
    (text(&added["data"]["id"]), device)
}

/// Every table that belongs to tenants, with the column that says to which. Partitions are left out: their
/// parent shows their rows.
async fn tenant_tables(owner: &Client) -> Vec<(String, &'static str)> {
    let rows = owner
        .query(
            "select c.relname::text from pg_class c join pg_attribute a on a.attrelid = c.oid
             where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
               and a.attname = 'tenant_id'
             order by 1",
            &[],
        )
        .await
        .unwrap();
    let mut tables: Vec<_> = rows.iter().map(|row| (row.get(0), "tenant_id")).collect();
    assert!(tables.len() >= 16, "{tables:?}");
    tables.push(("tenants".to_owned(), "id"));
    tables
}

/// Everything that a tenant has, as the database holds it, but for when its keys were last used, which is noted in its own time, and
/// how often, and what they read; and but for what schedules of other tests enqueue for every tenant that there is. What is made in the
/// background of what it has is made by then, also what has failed once.
pub(crate) async fn everything_of(tenant_id: &str) -> Everything {
    const NOTED_LATER: [&str; 2] = ["rate_windows", "article_access_events"];
    let mut owner = connect(&server().owner).await;
    nothing_to_do(&owner, tenant_id).await;
    let tables = tenant_tables(&owner).await;
    let all_at_once = owner.build_transaction().isolation_level(IsolationLevel::RepeatableRead);
    let moment = all_at_once.start().await.unwrap();
    let mut all = Vec::new();
    for (table, column) in tables.into_iter().filter(|(table, _)| !NOTED_LATER.contains(&table.as_str())) {
        let sql = format!(
            "select coalesce(jsonb_agg(content order by content::text), '[]')
             from (select to_jsonb(t) - array['last_used_at', 'last_seen_at'] as content
                   from {table} t where {column} = $1::text::uuid
                     and to_jsonb(t) ->> 'unique_key' is distinct from 'schedule') t"
        );
        let rows = moment.query_one(&sql, &[&tenant_id]).await.unwrap();
        all.push((table, rows.get(0)));
    }
    all
}

/// The rows of each table.
pub(crate) type Everything = Vec<(String, Value)>;

/// Nothing was written, changed or taken away. All of a tenant is too long to be read: the rows that are there only before or only
/// afterwards are shown.
#[track_caller]
pub(crate) fn expect_unchanged(after: &Everything, before: &Everything, what: &str) {
    let rows = |all: &Everything| -> BTreeSet<String> {
        let of = |(table, rows): &(String, Value)| {
            let rows = rows.as_array().unwrap().iter();
            rows.map(|row| format!("{table} {row}")).collect::<Vec<_>>()
        };
        all.iter().flat_map(of).collect()
    };
    let (after_rows, before_rows) = (rows(after), rows(before));
    let differs: Vec<_> = after_rows.symmetric_difference(&before_rows).collect();
    assert!(after == before, "{what}: {differs:#?}");
}

/// Pooled connections never leak a tenant from one request into another's.
#[tokio::test]
async fn concurrent_tenants_never_meet() {
    let (one, two) = (populated().await, populated().await);
    let hammer = async |mine: &Populated, other: &Populated| {
        let (user, ready) = (&mine.tenant.user, &mine.stories[1]);
        for round in 0..10 {
            let slug = unique("hammered");
            let body = json!({"name": format!("{} {round}", mine.word), "slug": slug});
            let replies = [
                user.get("/tenants/me").await.expect(200),
                user.post("/projects", body.clone()).await.expect(201),
                mine.orchestrator.get("/agents").await.expect(200),
                user.get("/projects?page_size=100").await.expect(200),
                mine.agent.get("/stories/ready").await.expect(200),
                mine.agent.get(&format!("/stories/{ready}")).await.expect(200),
                user.get("/api_keys").await.expect(200),
                // Transactions that fail give their connections back as clean.
                user.post("/projects", body).await.expect(422),
                user.get(&format!("/projects/{}/epics", other.project)).await.expect(404),
                mine.agent.get(&format!("/stories/{}/history", other.stories[0])).await.expect(404),
            ];
            for (index, reply) in replies.iter().enumerate() {
                let reply = reply.to_string();
                assert!(!reply.contains(&other.word) && !reply.contains(&other.tenant.id), "{reply}");
                assert!(index > 6 || reply.contains(&mine.word), "{reply}");
            }
        }
    };
    join_all((0..4).flat_map(|_| [hammer(&one, &two), hammer(&two, &one)])).await;
    for tenant in [&one, &two] {
        let projects = tenant.tenant.user.get("/projects").await.expect(200);
        assert_eq!(projects["meta"]["total_count"], 41);
    }
}

/// What [`populated`] promises: every table has a row of the tenant, so that no test here is empty.
#[tokio::test]
async fn every_table_is_put_to_the_test() {
    let tenant = populated().await;
    for (table, rows) in everything_of(&tenant.tenant.id).await {
        assert_ne!(rows, json!([]), "{table}");
    }
}
