//! Every route that is mounted, called with another tenant's ids.

use std::collections::BTreeMap;

use loopctl_server::operator::create_superadmin_key;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Populated, everything_of, expect_unchanged, populated};
use crate::measured::{DELTA, claude_event, claude_events, claude_export, claude_tokens, now};
use crate::support::{Caller, Reply, server, unique};

/// What a stranger gets.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Expect {
    /// As if it were not there.
    NotFound,
    /// A list without rows.
    EmptyList,
    /// A stream that has nothing to tell.
    NothingYet,
    /// 422: the body names what is not there.
    Refused,
    /// Something of one's own.
    Own,
}

use Expect::{EmptyList, NotFound, NothingYet, Own, Refused};

/// One call of a route.
#[derive(Clone)]
struct Call {
    path: String,
    body: Value,
    expect: Expect,
}

/// A template's parameters, filled with the tenant's ids; several, where there are several kinds of one.
pub(crate) fn filled(template: &str, a: &Populated) -> Vec<String> {
    let mut paths = vec![String::new()];
    let mut before = "";
    for segment in template.split('/').skip(1) {
        let ids: Vec<&str> = match (segment.starts_with('{'), before) {
            (false, _) => vec![segment],
            (true, "projects" | "state") => vec![&a.project],
            (true, "ui-tests" | "ui_test_runs") => vec![&a.ui_test_run],
            (true, "epics") => vec![&a.epic],
            (true, "epic_dependencies") => vec![&a.epic_edge],
            (true, "story_dependencies") => vec![&a.story_edge],
            (true, "stories") => a.stories.iter().map(String::as_str).collect(),
            (true, "agents") => vec![a.agent.agent()],
            (true, "api_keys") => vec![&a.key],
            (true, "skills") => vec![&a.skill],
            (true, "token-usage") => vec![&a.usage],
            (true, "token-budgets") => vec![&a.budget],
            (true, "cost-anomalies") => vec![&a.anomaly],
            (true, "versions") => vec!["1"],
            (true, "webhooks") => vec![&a.webhook],
            (true, "articles") => vec![&a.article, &a.article_draft],
            (true, "article_links") => vec![&a.article_link],
            (true, "tenants") => vec![&a.tenant.id],
            (true, "authenticators") => vec![&a.authenticator],
            (true, "deliveries") => vec![&a.delivery],
            (true, "violators") => vec![&a.violation],
            (true, other) => panic!("{template}: name an id of tenant A for what follows {other:?}"),
        };
        let longer = paths.iter().flat_map(|path| ids.iter().map(move |id| format!("{path}/{id}")));
        paths = longer.collect();
        before = segment;
    }
    paths
}

/// The calls of a route, with tenant A's ids. A route that is not known here fails the test: decide what a
/// stranger may see of it, and add it.
fn calls(method: &str, template: &str, a: &Populated) -> Vec<Call> {
    let short = template.strip_prefix("/api/v1").unwrap_or(template);
    let call = |path: &str, body: Value, expect| Call { path: path.to_owned(), body, expect };
    let with_ids = |body: Value| {
        let paths = filled(short, a).into_iter();
        paths.map(|path| Call { path, body: body.clone(), expect: NotFound }).collect::<Vec<_>>()
    };
    match (method, short) {
        ("get", "/health") => vec![call("//health", Value::Null, Own)],
        ("get", "") => vec![call("/", Value::Null, Own)],
        ("get", "/openapi" | "/routes" | "/lifecycle") => vec![call(short, Value::Null, Own)],
        ("get", path) if path.starts_with("/.well-known/") => {
            vec![call(&format!("/{path}"), Value::Null, Own)]
        }
        // The same for everybody.
        ("get", path)
            if ["/home", "/docs", "/swagger", "/terms", "/privacy", "/wiki", "/articles/system"]
                .iter()
                .any(|page| path.starts_with(page)) =>
        {
            vec![]
        }
        // Whoever signs up has no tenant yet; what of others is in the way is to be seen among the tests of that.
        ("post", "/signup" | "/signup/challenge") => vec![],
        // Pages know nothing of keys: whose they are is told by a token or a session, which the tests of those look at.
        (_, path)
            if ["/signup", "/sign-in", "/sign-out", "/account", "/swagger"]
                .iter()
                .any(|page| path.starts_with(page)) =>
        {
            vec![]
        }
        ("get", "/tenants/{tenant_id}/onboarding") => vec![],
        ("post", path) if path.starts_with("/tenants/") => with_ids(json!({})),
        // What everybody may read, and of whom, is to be seen among the tests of signing up.
        ("get", "/tenants/{id}/audit_public_key") => vec![],
        ("get", "/tenants/me") => vec![call(short, Value::Null, Own)],
        ("patch", "/tenants/me") => vec![
            call(short, json!({"name": "B", "id": a.tenant.id, "tenant_id": a.tenant.id}), Own),
            call(short, json!({"slug": a.tenant.slug}), Refused),
            call(short, json!({"email": format!("{}@loopctl.test", a.tenant.slug)}), Refused),
        ],
        ("get", "/api_keys") => vec![call("/api_keys?include_revoked=true", Value::Null, Own)],
        ("post", "/api_keys") => vec![
            call(short, json!({"name": "b", "role": "agent", "tenant_id": a.tenant.id}), Own),
            call(short, json!({"name": "b", "role": "agent", "agent_id": a.agent.agent()}), Refused),
        ],
        ("post", "/api_keys/{id}/rotate") => with_ids(json!({"grace_period_hours": 0})),
        ("post", "/agents/register") => {
            let body =
                json!({"name": unique("stranger"), "agent_type": "implementer", "tenant_id": a.tenant.id});
            vec![call(short, body, Own)]
        }
        ("get", "/agents") => vec![call("/agents?page_size=100", Value::Null, Own)],
        ("get", "/projects") => vec![
            call("/projects?include_archived=true&page_size=100", Value::Null, Own),
            call(&format!("/projects?slug={}", a.word), Value::Null, EmptyList),
        ],
        ("post", "/projects") => {
            vec![call(short, json!({"name": "B", "tenant_id": a.tenant.id}), Own)]
        }
        ("get", "/stories") => vec![
            call(&format!("/stories?project_id={}", a.project), Value::Null, EmptyList),
            call(&format!("/stories?project_id={}&epic_id={}", a.project, a.epic), Value::Null, EmptyList),
            call(&format!("/stories?project_id={}&number=1.1", a.project), Value::Null, EmptyList),
        ],
        ("get", "/stories/ready" | "/stories/blocked") => vec![
            call(short, Value::Null, Own),
            call(&format!("{short}?project_id={}", a.project), Value::Null, EmptyList),
            call(&format!("{short}?epic_id={}", a.epic), Value::Null, EmptyList),
        ],
        ("get", "/audit") => vec![
            call(short, Value::Null, Own),
            call(&format!("{short}?project_id={}", a.project), Value::Null, EmptyList),
            call(&format!("{short}?entity_id={}", a.stories[0]), Value::Null, EmptyList),
        ],
        // Superadmins see everybody's; that others do not is to be seen among the tests of superadmins and of the log.
        (_, path) if path.starts_with("/admin/") => vec![],
        ("get", "/webhooks") => vec![call(short, Value::Null, Own)],
        ("post", "/webhooks") => {
            let body = json!({"url": "https://b.invalid/", "events": ["tenant.custody_halted"]});
            let (mut own, mut theirs) = (body.clone(), body);
            own["tenant_id"] = json!(a.tenant.id);
            theirs["project_id"] = json!(a.project);
            vec![call(short, own, Own), call(short, theirs, Refused)]
        }
        ("patch", "/webhooks/{id}") => {
            let url = json!({"url": "https://b.invalid/"});
            [with_ids(url), with_ids(json!({"active": true, "project_id": a.project}))].concat()
        }
        ("post", path) if path.starts_with("/webhooks/") => with_ids(json!({})),
        ("get", "/skills") => vec![
            call("/skills?page_size=100", Value::Null, Own),
            call(&format!("/skills?name={}", a.word), Value::Null, EmptyList),
            call(&format!("/skills?project_id={}", a.project), Value::Null, EmptyList),
        ],
        ("post", "/skills") => {
            let body = json!({"prompt_text": "b", "tenant_id": a.tenant.id});
            let mut theirs = body.clone();
            theirs["project_id"] = json!(a.project);
            vec![call(short, body, Own), call(short, theirs, Refused)]
        }
        ("post", "/skills/import") => {
            let skill = json!({"name": "b", "prompt_text": "b"});
            let mut theirs = skill.clone();
            theirs["project_id"] = json!(a.project);
            vec![
                call(short, json!({"skills": [skill], "tenant_id": a.tenant.id}), Own),
                call(short, json!({"skills": [theirs]}), Refused),
                call(short, json!({"skills": [skill], "project_id": a.project}), Refused),
            ]
        }
        ("get", "/articles") => vec![
            call("/articles?limit=100", Value::Null, Own),
            call(&format!("/articles?project_id={}", a.project), Value::Null, EmptyList),
            call(&format!("/articles?tags={}", a.word), Value::Null, EmptyList),
        ],
        ("get", "/knowledge/search") => vec![
            call(&format!("/knowledge/search?q={}&mode=keyword", a.word), Value::Null, EmptyList),
            call(&format!("/knowledge/search?q={}", a.word), Value::Null, Own),
            call(&format!("/knowledge/search?q={}&project_id={}", a.word, a.project), Value::Null, EmptyList),
        ],
        ("get", "/knowledge/context") => vec![
            call(&format!("/knowledge/context?query={}", a.word), Value::Null, Own),
            call(&format!("/knowledge/context?query={}&project_id={}", a.word, a.project), Value::Null, EmptyList),
        ],
        ("get", "/knowledge/drafts" | "/knowledge/index" | "/knowledge/lint" | "/knowledge/export") => {
            vec![call(short, Value::Null, Own)]
        }
        ("get", path)
            if ["top-articles", "unused-articles", "ingestion-jobs", "pipeline"]
                .iter()
                .any(|end| path.starts_with("/knowledge/") && path.ends_with(end)) =>
        {
            vec![call(short, Value::Null, Own)]
        }
        ("post", "/knowledge/ingest") => {
            let item = json!({"source_type": "manual", "content": "b", "tenant_id": a.tenant.id});
            let mut theirs = item.clone();
            theirs["project_id"] = json!(a.project);
            vec![call(short, item, Own), call(short, theirs, Refused)]
        }
        ("post", "/knowledge/ingest/batch") => {
            let theirs = json!({"source_type": "manual", "content": "b", "project_id": a.project});
            vec![call(short, json!({"items": [theirs]}), Own)]
        }
        ("get", "/articles/{article_id}/links") => {
            filled(short, a).iter().map(|path| call(path, Value::Null, EmptyList)).collect()
        }
        ("post", "/articles") => {
            let body = json!({"body": "b", "category": "pattern", "tenant_id": a.tenant.id});
            let mut theirs = body.clone();
            theirs["project_id"] = json!(a.project);
            vec![call(short, body, Own), call(short, theirs, Refused)]
        }
        ("post", "/projects/{project_id}/articles") => {
            with_ids(json!({"title": "b", "body": "b", "category": "pattern"}))
        }
        ("patch", "/articles/{id}") => with_ids(json!({"body": "b", "tags": ["b"]})),
        ("post", path) if path.starts_with("/articles/{id}/") => with_ids(json!({})),
        ("post", "/knowledge/bulk-publish") => {
            vec![call(short, json!({"article_ids": [a.article, a.article_draft]}), NotFound)]
        }
        ("post", "/article_links") => ["relates_to", "supersedes"]
            .map(|of| json!({"source_article_id": a.article, "target_article_id": a.article_draft, "relationship_type": of}))
            .map(|body| call(short, body, Refused))
            .to_vec(),
        ("patch", "/skills/{id}") => with_ids(json!({"description": "b", "status": "archived"})),
        ("post", "/skills/{id}/versions") => with_ids(json!({"prompt_text": "b"})),
        ("post", "/skill_results") => {
            let body = json!({"skill_version_id": a.skill_version, "verification_result_id": a.verification,
                              "story_id": a.stories[0]});
            vec![call(short, body, Refused)]
        }
        ("post", "/token-usage") => vec![call(
            short,
            json!({"story_id": a.stories[0], "input_tokens": 1, "output_tokens": 1, "model_name": "b",
                   "cost_millicents": 1, "agent_id": a.agent.agent()}),
            NotFound,
        )],
        ("post", "/token-usage/{id}/correction") => with_ids(json!({"cost_millicents": 1})),
        ("get", "/token-budgets") => vec![
            call(short, Value::Null, Own),
            call(
                &format!("/token-budgets?scope_type=project&scope_id={}", a.project),
                Value::Null,
                EmptyList,
            ),
        ],
        ("post", "/token-budgets") => ["story", "epic", "project", "agent", "per_story"]
            .into_iter()
            .zip([&a.stories[0], &a.epic, &a.project, a.agent.agent(), &a.project])
            .map(|(scope, id)| {
                call(short, json!({"scope_type": scope, "scope_id": id, "token_limit": 9}), NotFound)
            })
            .collect(),
        (
            "get",
            "/analytics/agents" | "/analytics/epics" | "/analytics/models" | "/analytics/trends"
            | "/cost-anomalies",
        ) => vec![
            call(short, Value::Null, Own),
            call(&format!("{short}?project_id={}", a.project), Value::Null, EmptyList),
        ],
        ("get", "/analytics/model-mix") => vec![
            call(short, Value::Null, Own),
            call(&format!("{short}?project_id={}&agent_id={}", a.project, a.agent.agent()), Value::Null, Own),
        ],
        ("patch", "/cost-anomalies/{id}") => with_ids(json!({"resolved": true})),
        ("patch", "/token-budgets/{id}") => with_ids(json!({"token_limit": 1})),
        // What names a story of another tenant counts for the caller's agent alone.
        ("post", "/v1/metrics") => {
            let says = [("loopctl.story_id", a.stories[0].as_str())];
            let at = now();
            let told =
                claude_export(&says, DELTA, vec![claude_tokens("b", "input", at - 1, at, 1.0)], Vec::new());
            vec![call("//v1/metrics", json!(told), Own)]
        }
        ("post", "/v1/logs") => {
            let says = [("loopctl.project", a.project.as_str()), ("loopctl.story_number", "1.1")];
            let told = claude_events(&says, vec![claude_event("b", now(), 1, &[("input_tokens", "1")])]);
            vec![call("//v1/logs", json!(told), Own)]
        }
        ("get", "/changes") => vec![
            call(&format!("{short}?since=2000-01-01"), Value::Null, Own),
            call(&format!("{short}?since=2000-01-01&project_id={}", a.project), Value::Null, EmptyList),
        ],
        ("get", "/changes/stream") => vec![
            call(&format!("{short}?since=2000-01-01"), Value::Null, Own),
            call(&format!("{short}?since=2000-01-01&project_id={}", a.project), Value::Null, NothingYet),
        ],
        ("post", "/projects/{id}/import") => {
            let epics = json!([{"number": 9, "title": "B", "stories": []}]);
            let merged = json!({"merge": true, "epics": [{"number": 1, "title": "B", "stories": [
                {"number": "1.1", "title": "B"}]}]});
            [with_ids(json!({"epics": epics})), with_ids(merged)].into_iter().flatten().collect()
        }
        ("post", "/epics/{epic_id}/stories" | "/projects/{project_id}/stories") => {
            with_ids(json!({"epic_number": 1, "number": "7.7", "title": "b"}))
        }
        ("post", "/epic_dependencies") => {
            let body = json!({"epic_id": a.empty_epic, "depends_on_epic_id": a.epic});
            vec![call(short, body, NotFound)]
        }
        ("post", "/story_dependencies") => {
            let body = json!({"story_id": a.stories[1], "depends_on_story_id": a.stories[0]});
            vec![call(short, body, NotFound)]
        }
        ("post", "/projects/{project_id}/epics") => with_ids(json!({"number": 7, "title": "b"})),
        ("patch", "/projects/{id}") => {
            [with_ids(json!({"name": "b"})), with_ids(json!({"status": "active", "mission": "b"}))].concat()
        }
        ("patch", "/epics/{id}") => {
            [with_ids(json!({"title": "b"})), with_ids(json!({"position": 1, "phase": "b"}))].concat()
        }
        ("patch", "/stories/{id}") => with_ids(json!({"title": "b", "acceptance_criteria": []})),
        ("get", "/projects/{id}/export") => {
            let mut both = with_ids(Value::Null);
            both.push(call(&format!("{}?include_status=true", both[0].path), Value::Null, NotFound));
            both
        }
        ("post", path) if path.starts_with("/stories/{id}/") => with_ids(json!({
            "story_title": a.word, "ac_count": 1, "artifact_type": "test", "path": "b", "review_type": "enhanced",
            "summary": "b", "reason": "b", "artifact": {"artifact_type": "test", "path": "b"},
            "token_usage": {"input_tokens": 1, "output_tokens": 1, "model_name": "b", "cost_millicents": 1},
        })),
        ("post", path) if path.starts_with("/stories/bulk/") => {
            let stories: Vec<_> =
                a.stories.iter().map(|story| json!({"story_id": story, "reason": "b"})).collect();
            vec![call(path, json!({"story_ids": a.stories, "stories": stories}), Refused)]
        }
        ("post", "/epics/{id}/verify-all") => with_ids(json!({"review_type": "b", "summary": "b"})),
        ("post", path) if path.contains("/ui-tests") || path.contains("/ui_test_runs") => with_ids(
            json!({"guide_reference": "b", "severity": "bug", "title": "b", "summary": "b", "status": "failed"}),
        ),
        ("put", "/orchestrator/state/{project_id}") => {
            with_ids(json!({"state_key": "main", "state_data": {}}))
        }
        ("get" | "delete", path) if path.contains('{') => with_ids(Value::Null),
        _ => panic!("{method} {template} is not covered"),
    }
}

async fn send(caller: &Caller, method: &str, call: &Call) -> Reply {
    let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
    let mut request = caller.request(method, &call.path);
    if !call.body.is_null() {
        let mut body = call.body.clone();
        // Several callers of one tenant make these calls.
        match call.path.as_str() {
            "/projects" => body["slug"] = json!(unique("b")),
            "/skills" => body["name"] = json!(unique("b")),
            "/articles" => body["title"] = json!(unique("b")),
            _ => {}
        }
        request = request.json(&body);
    }
    caller.send(request).await
}

/// A caller who may not call the route at all, whatever the ids: the wrong role, or a key without an agent.
fn is_about_the_caller(reply: &Reply) -> bool {
    let message = reply.body["error"]["message"].as_str().unwrap_or_default();
    let without_agent = reply.body["error"]["code"] == "agent_required";
    let wrong_role = reply.status == 403
        && (message.starts_with("Insufficient permissions. Required role: ")
            || message.starts_with("This endpoint requires the "));
    without_agent || wrong_role
}

/// B, in every role; B claiming to be A; and a superadmin inside B, in every role.
async fn strangers(a: &Populated, b: &Populated) -> BTreeMap<String, Caller> {
    let mut callers = BTreeMap::new();
    for (role, caller) in [("user", &b.tenant.user), ("orchestrator", &b.orchestrator), ("agent", &b.agent)] {
        callers.insert(format!("B's {role}"), caller.clone());
        let mut posing = caller.clone();
        posing.headers.push(("x-impersonate-tenant", a.tenant.id.clone()));
        posing.headers.push(("x-effective-role", "user".to_owned()));
        callers.insert(format!("B's {role} posing as A"), posing);
    }
    let key = create_superadmin_key(&server().owner, "isolation").await.unwrap();
    for role in ["", "user", "orchestrator", "agent"] {
        let mut superadmin = Caller::with_key(&key.raw_key);
        superadmin.headers.push(("x-impersonate-tenant", b.tenant.id.clone()));
        superadmin.headers.push(("x-effective-role", role.to_owned()));
        callers.insert(format!("superadmin in B as {role:?}"), superadmin);
    }
    callers
}

#[tokio::test]
async fn no_route_leads_into_another_tenant() {
    let (a, b) = (populated().await, populated().await);
    let strangers = strangers(&a, &b).await;
    let document = serde_json::to_value(loopctl_server::openapi()).unwrap();
    let mut secrets = vec![&a.tenant.id, &a.word, &a.tenant.slug, &a.project, &a.epic, &a.key];
    secrets.extend([&a.empty_epic, &a.epic_edge, &a.story_edge]);
    secrets.extend([&a.skill, &a.skill_version, &a.verification]);
    secrets.extend([&a.ui_test_run, &a.webhook, &a.delivery, &a.authenticator, &a.violation]);
    secrets.extend([&a.article, &a.article_link, &a.article_draft]);
    secrets.extend(&a.stories);
    let agent = a.agent.agent().to_owned();
    secrets.push(&agent);
    let before = everything_of(&a.tenant.id).await;
    let mut covered = Vec::new();
    for (template, operations) in document["paths"].as_object().unwrap() {
        for listed in operations.as_object().unwrap().keys().filter(|key| {
            ["get", "put", "post", "delete", "options", "head", "patch", "trace"].contains(&key.as_str())
        }) {
            let both = calls(listed, template, &a).into_iter().flat_map(|call| {
                // PUT does whatever PATCH does, so the document does not list it.
                let twin = listed == "patch" && template.contains('{');
                [(listed.as_str(), call.clone())].into_iter().chain(twin.then_some(("put", call)))
            });
            for (method, call) in both {
                let mut met = 0;
                for (who, stranger) in &strangers {
                    let reply = send(stranger, method, &call).await;
                    let what = format!("{who}: {method} {}: {:#}", call.path, reply.body);
                    let told = format!("{:?} {}", reply.headers, reply.body);
                    // A bulk call's results name the stories as they were sent.
                    let sent = call.path.starts_with("/stories/bulk/").then(|| call.body.to_string());
                    let echoed = |secret: &str| sent.as_ref().is_some_and(|sent| sent.contains(secret));
                    let leaked =
                        secrets.iter().find(|secret| told.contains(secret.as_str()) && !echoed(secret));
                    assert_eq!(leaked, None, "{what}");
                    if is_about_the_caller(&reply) {
                        continue;
                    }
                    met += 1;
                    match call.expect {
                        NotFound => {
                            assert_eq!(reply.status, 404, "{what}");
                            assert_eq!(reply.body["error"]["message"], "Not found", "{what}");
                        }
                        EmptyList => {
                            assert_eq!(reply.status, 200, "{what}");
                            assert_eq!(reply.body["data"], json!([]), "{what}");
                            // The feed does not count.
                            let count = reply.body.get("meta").map(|meta| &meta["total_count"]);
                            assert!(count.is_none_or(|count| *count == 0), "{what}");
                        }
                        NothingYet => assert_eq!((reply.status, &reply.body), (200, &Value::Null), "{what}"),
                        Refused => assert_eq!(reply.status, 422, "{what}"),
                        // An agent's key is bound already: 409.
                        Own => assert!([200, 201, 202, 409].contains(&reply.status), "{what}"),
                    }
                }
                assert!(met >= 2, "{method} {template}: nobody of B got past the roles");
                covered.push((method.to_owned(), call));
            }
        }
    }
    expect_unchanged(&everything_of(&a.tenant.id).await, &before, "all of it");
    let of_b = json!(everything_of(&b.tenant.id).await).to_string();
    assert_eq!(secrets.iter().find(|secret| of_b.contains(secret.as_str())), None);
    // And A finds with the same calls what B did not: the ids and the bodies are right. What deletes or withdraws comes last, and what
    // takes others along comes after them.
    let order = ["_dependencies/", "/token-", "/stories/", "/epics/", ""];
    covered.sort_by_key(|(method, call)| {
        let withdraws = ["/archive", "/unpublish"].iter().any(|end| call.path.ends_with(end));
        (method == "delete" || withdraws).then(|| order.iter().position(|part| call.path.contains(part)))
    });
    for (method, call) in covered.iter().filter(|(_, call)| [NotFound, EmptyList].contains(&call.expect)) {
        let mut statuses = Vec::new();
        for caller in [&a.tenant.user, &a.orchestrator, &a.agent] {
            let reply = send(caller, method, call).await;
            let empty = call.expect == EmptyList && reply.body["data"] == json!([]);
            statuses.push(if empty { 404 } else { reply.status });
        }
        let found = statuses.iter().any(|status| ![403, 404].contains(status));
        assert!(found, "A: {method} {}: {statuses:?}", call.path);
    }
}
