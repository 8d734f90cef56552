//! Everything that can happen is told, and nothing but what is in the catalogue.

use std::collections::BTreeSet;
use std::time::Duration;

use loopctl_server::CATALOGUE;
use loopctl_server::operator::run_job;
use serde_json::{Map, Value, json};

use crate::admin::halts::halt;
use crate::identity::impersonation::superadmin;
use crate::isolation::violation;
use crate::jobs::database;
use crate::knowledge::all_drafted;
use crate::knowledge::learning::reviewed;
use crate::signup::proofs::{add, another, proof, revoke};
use crate::signup::sessions::signed_in;
use crate::support::{PATIENCE, Reach, Tenant, bring, connect, server, text};
use crate::trust_loop::stories;

/// What background work tells of what articles mean.
const MEANING: [&str; 3] =
    ["article.embedding_updated", "article.embedding_cleared", "knowledge.articles_linked"];

/// Whoever adds an event to the catalogue lets it happen here.
#[tokio::test]
async fn each_event_of_the_catalogue_is_told_by_something() {
    let tenant = Tenant::new().await;
    let (a, b, o, u) =
        (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await, &tenant.user);
    let reason = json!({"reason": "r"});
    // The tenant, a key, projects.
    u.patch("/tenants/me", json!({"name": "Another"})).await.expect(200);
    let key = u.post("/api_keys", json!({"name": "k", "role": "agent"})).await.expect(201);
    let path = |key: &Value| format!("/api_keys/{}", text(&key["id"]));
    let key = u.post(&(path(&key["api_key"]) + "/rotate"), json!({})).await.expect(201);
    u.delete(&path(&key["new_key"])).await.expect(200);
    let project = tenant.project().await;
    let at = |rest: &str| format!("/projects/{project}{rest}");
    u.patch(&at(""), json!({"name": "Another"})).await.expect(200);
    let epic = |number: u32| json!({"number": number, "title": "E", "stories": [{"number": format!("{number}.1"), "title": "S"}]});
    u.post(&at("/import"), json!({"epics": [epic(1)]})).await.expect(201);
    u.post(&at("/import?merge=true"), json!({"epics": [epic(2)]})).await.expect(200);
    // Epics, stories, dependencies.
    let epics = u.get(&at("/epics")).await.expect(200);
    let [one, two] = [0, 1].map(|n| text(&epics["data"][n]["id"]));
    u.patch(&format!("/epics/{one}"), json!({"title": "F"})).await.expect(200);
    let edge = json!({"epic_id": two, "depends_on_epic_id": one});
    let edge = u.post("/epic_dependencies", edge).await.expect(201);
    let of = |edge: &Value, name: &str| text(&edge[name]["id"]);
    u.delete(&format!("/epic_dependencies/{}", of(&edge, "epic_dependency"))).await;
    let ids = stories(&tenant, 6).await;
    let edge = json!({"story_id": ids[1], "depends_on_story_id": ids[0]});
    let edge = u.post("/story_dependencies", edge).await.expect(201);
    u.delete(&format!("/story_dependencies/{}", of(&edge, "story_dependency"))).await;
    u.patch(&format!("/stories/{}", ids[0]), json!({"description": "D"})).await.expect(200);
    // The loop.
    bring(&ids[0], Reach::Contracted, &a, &b, &o).await;
    u.patch(&format!("/stories/{}", ids[0]), json!({"title": "T"})).await.expect(200);
    o.post(&format!("/stories/{}/force-unclaim", ids[0]), json!({})).await.expect(200);
    bring(&ids[1], Reach::Verified, &a, &b, &o).await;
    bring(&ids[2], Reach::Reviewed, &a, &b, &o).await;
    o.post(&format!("/stories/{}/reject", ids[2]), reason.clone()).await.expect(200);
    o.post(&format!("/stories/{}/backfill", ids[3]), reason).await.expect(200);
    o.post("/stories/bulk/mark-complete", json!({"stories": [{"story_id": ids[4]}]})).await.expect(200);
    let alone = tenant.story().await;
    bring(&alone, Reach::Verified, &a, &b, &o).await;
    // Evidence.
    let artifact = json!({"artifact_type": "test", "path": "a.rs"});
    a.post(&format!("/stories/{}/artifacts", ids[5]), artifact).await.expect(201);
    let state = json!({"state_key": "main", "state_data": {}, "version": 0});
    o.put(&format!("/orchestrator/state/{project}"), state).await.expect(200);
    let run = a.post(&at("/ui_test_runs"), json!({})).await.expect(201);
    let run = format!("/ui_test_runs/{}", text(&run["data"]["id"]));
    a.post(&format!("{run}/findings"), json!({"severity": "bug", "title": "B"})).await.expect(201);
    a.post(&format!("{run}/complete"), json!({"summary": "s"})).await.expect(200);
    // Skills.
    let created = u.post("/skills", json!({"name": "s", "prompt_text": "p"})).await.expect(201);
    let skill = format!("/skills/{}", text(&created["skill"]["id"]));
    u.patch(&skill, json!({"description": "d"})).await.expect(200);
    u.post(&format!("{skill}/versions"), json!({"prompt_text": "q"})).await.expect(201);
    u.post("/skills/import", json!({"skills": []})).await.expect(200);
    let verifications = o.get(&format!("/stories/{alone}/verifications")).await.expect(200);
    let result = json!({"skill_version_id": created["version"]["id"], "story_id": alone,
                        "verification_result_id": verifications["data"][0]["id"]});
    o.post("/skill_results", result).await.expect(201);
    // Knowledge.
    let article = |title: &str| json!({"title": title, "body": "b", "category": "finding"});
    let (one_article, other_article) =
        (a.post("/articles", article("one")).await, a.post("/articles", article("other")).await);
    let [one_article, other_article] =
        [one_article, other_article].map(|reply| text(&reply.expect(201)["data"]["id"]));
    let of_article = format!("/articles/{one_article}");
    u.patch(&of_article, json!({"title": "changed"})).await.expect(200);
    for step in ["publish", "unpublish", "archive"] {
        u.post(&format!("{of_article}/{step}"), json!({})).await.expect(200);
    }
    o.post("/knowledge/ingest", json!({"source_type": "manual", "content": "We decided it."}))
        .await
        .expect(202);
    let found =
        json!({"review_type": "enhanced", "findings_count": 1, "fixes_count": 1, "summary": "It raced."});
    reviewed(&tenant, found).await;
    all_drafted(&tenant).await;
    let link = json!({"source_article_id": other_article, "target_article_id": one_article, "relationship_type": "supersedes"});
    let link = a.post("/article_links", link).await.expect(201);
    u.delete(&format!("/article_links/{}", text(&link["data"]["id"]))).await.expect(204);
    // Cost.
    let limits =
        json!({"scope_type": "story", "scope_id": ids[5], "budget_millicents": 5, "enforcement": "block"});
    let budget = u.post("/token-budgets", limits).await.expect(201);
    let budget = format!("/token-budgets/{}", text(&budget["token_budget"]["id"]));
    bring(&ids[5], Reach::Implementing, &a, &b, &o).await;
    let used = json!({"story_id": ids[5], "input_tokens": 1, "output_tokens": 1, "model_name": "m", "cost_millicents": 6});
    let usage = a.post("/token-usage", used).await.expect(201);
    b.post(&format!("/stories/{}/report", ids[5]), json!({}))
        .await
        .expect_error(429, "token_budget_exceeded");
    let usage = format!("/token-usage/{}", text(&usage["token_usage_report"]["id"]));
    u.post(&format!("{usage}/correction"), json!({"cost_millicents": 1})).await.expect(201);
    u.delete(&usage).await.expect(200);
    u.patch(&budget, json!({"budget_millicents": 9})).await.expect(200);
    u.delete(&budget).await.expect(200);
    // What jobs find and forget.
    let owner = connect(&server().owner).await;
    let reported = "insert into token_usage_reports (tenant_id, id, story_id, agent_id, project_id, epic_id, input_tokens,
                        output_tokens, cost_millicents, model_name, inserted_at)
                    select tenant_id, gen_random_uuid(), id, $2::text::uuid, project_id, epic_id, 1, 1, 1000, 'm',
                           now() - interval '40 days' from stories where id = $1::text::uuid";
    owner.execute(reported, &[&ids[4], &a.agent()]).await.unwrap();
    let settings = json!({"default_story_budget_millicents": 9, "token_data_retention_days": 30});
    u.patch("/tenants/me", settings).await.expect(200);
    let day = chrono::Utc::now().date_naive() - chrono::Days::new(40);
    let args = json!({"period_start": day}).as_object().unwrap().clone();
    for (kind, args) in [("cost_anomalies", args), ("usage_archival", Map::new())] {
        run_job(&database(), kind, Some(&tenant.id), &args).await.unwrap();
    }
    let found = o.get("/cost-anomalies").await.expect(200);
    u.patch(&format!("/cost-anomalies/{}", text(&found["data"][0]["id"])), json!({})).await.expect(200);
    // Webhooks.
    let body = json!({"url": "https://catalogue.invalid/", "events": ["agent.registered"]});
    let webhook =
        format!("/webhooks/{}", text(&u.post("/webhooks", body).await.expect(201)["webhook"]["id"]));
    u.patch(&webhook, json!({"url": "https://other.invalid/"})).await.expect(200);
    let test = u.post(&format!("{webhook}/test"), json!({})).await.expect(200);
    let sql = "update webhook_events set status = 'exhausted' where id = $1::text::uuid";
    owner.execute(sql, &[&text(&test["webhook_event_id"])]).await.unwrap();
    let again = format!("{webhook}/deliveries/{}/redeliver", text(&test["webhook_event_id"]));
    u.post(&again, json!({})).await.expect(200);
    // To which nothing can be delivered.
    let settings = json!({"settings": {"webhook_max_consecutive_failures": 1}});
    u.patch("/tenants/me", settings).await.expect(200);
    let sql = "update webhooks set url = 'http://127.0.0.1/' where tenant_id = $1::text::uuid";
    owner.execute(sql, &[&tenant.id]).await.unwrap();
    tenant.agent().await;
    let last = "update webhook_events set attempts = 5, next_attempt_at = now()
                where tenant_id = $1::text::uuid and event_type = 'agent.registered' and status = 'pending'";
    let switched_off = async {
        while u.get(&webhook).await.expect(200)["webhook"]["active"] == true {
            owner.execute(last, &[&tenant.id]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, switched_off).await.expect("it is switched off");
    u.delete(&webhook).await.expect(204);
    // Authenticators.
    let (mut device, enrolled) = another(&tenant).await;
    let first = add(&tenant, &enrolled, json!(null)).await.expect(201);
    let (mut second, enrolled) = another(&tenant).await;
    let signed = proof(&tenant, &mut device).await;
    add(&tenant, &enrolled, signed).await.expect(201);
    let signed = proof(&tenant, &mut device).await;
    revoke(&tenant, &text(&first["data"]["id"]), signed).await.expect(200);
    let page = signed_in(&mut second).await;
    page.post("//sign-out", json!({})).await.expect(200);
    // What a superadmin does.
    let (superadmin, _) = superadmin().await;
    let admin = format!("/admin/tenants/{}", tenant.id);
    superadmin.patch(&admin, json!({"name": "Of the superadmin"})).await.expect(200);
    for step in ["suspend", "activate"] {
        superadmin.post(&format!("{admin}/{step}"), json!({})).await.expect(200);
    }
    halt(&tenant.id).await;
    let signed = proof(&tenant, &mut second).await;
    let body = json!({"webauthn_assertion": signed});
    superadmin.post(&format!("{admin}/clear-halt"), body).await.expect(200);
    for step in ["resolve", "ignore"] {
        let violation = violation(&tenant.id, "catalogue").await;
        superadmin.post(&format!("/admin/violators/{violation}/{step}"), json!({})).await.expect(200);
    }
    // And the end.
    u.delete(&format!("/stories/{}", ids[0])).await;
    u.delete(&format!("/epics/{two}")).await;
    u.delete(&at("")).await.expect(200);
    // What articles mean is found out in the background, and told in `knowledge::meaning`.
    let sql = "select distinct entity_type, action from audit_log
               where tenant_id = $1::text::uuid and action <> all($2)";
    let told: BTreeSet<(String, String)> = owner
        .query(sql, &[&tenant.id, &MEANING.as_slice()])
        .await
        .unwrap()
        .iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect();
    let listed = CATALOGUE
        .iter()
        .flat_map(|(kind, actions)| actions.iter().map(|action| ((*kind).to_owned(), (*action).to_owned())))
        .filter(|(_, action)| !MEANING.contains(&action.as_str()));
    assert_eq!(told, listed.collect());
}
