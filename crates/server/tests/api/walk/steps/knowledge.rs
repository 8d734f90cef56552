//! The knowledge wiki.

use serde_json::{Value, json};

use super::{Calls, Step};
use crate::knowledge::{many_published, with_large_articles};
use crate::support::{Caller, Tenant, text, unique};
use crate::walk::NOBODY;

/// The calls to be made of a route, if it is one of these.
pub(super) async fn steps(calls: &Calls<'_>, method: &str) -> Option<Vec<Step>> {
    let a = &calls.world.a;
    let (user, agent, orchestrator) = (&a.tenant.user, &a.agent, &a.orchestrator);
    let here = |tries: &[(&Caller, u16, Value)]| calls.here(tries);
    let of = |id: &str, tries: &[(&Caller, u16, Value)]| calls.of(id, tries);
    let read = |who: &Caller, tries: &[(u16, &str)]| calls.read(who, tries);
    let (nothing, empty) = (Value::Null, json!({}));
    let written = || {
        json!({"title": unique("Ecto.Multi keeps a step and its audit row together"), "category": "pattern",
                            "body": "Use `Ecto.Multi`.", "tags": ["ecto", "transactions"]})
    };
    let article = async |status: &str| {
        let mut body = written();
        body["status"] = json!(status);
        text(&user.post("/articles", body).await.expect(201)["data"]["id"])
    };
    let link = |source: &str, relationship: &str, target: &str| json!({"source_article_id": source, "target_article_id": target, "relationship_type": relationship});
    Some(match (method, calls.route.as_str()) {
        ("POST", "/articles" | "/projects/{project_id}/articles") => {
            here(&[(agent, 201, written()), (agent, 422, empty)])
        }
        ("GET", "/articles" | "/projects/{project_id}/articles") => {
            let (large, project) = with_large_articles().await;
            let path = calls.route.replace("{project_id}", &project);
            let mut steps = read(agent, &[(200, ""), (400, "?status=none")]);
            steps.extend(calls.steps(&format!("{path}?limit=100"), &[(&large.user, 422, nothing)]));
            steps
        }
        ("GET", "/knowledge/drafts") => {
            let (large, _) = with_large_articles().await;
            let mut steps = read(orchestrator, &[(200, "")]);
            steps.extend(calls.steps("/knowledge/drafts?limit=100", &[(&large.user, 422, nothing)]));
            steps
        }
        ("PATCH", "/articles/{id}") => {
            here(&[(user, 200, json!({"tags": ["elixir"]})), (user, 422, json!({"title": ""}))])
        }
        ("DELETE", "/articles/{id}") => of(&article("draft").await, &[(user, 200, nothing)]),
        ("POST", "/articles/{id}/publish") => {
            of(&article("draft").await, &[(orchestrator, 200, empty.clone()), (orchestrator, 422, empty)])
        }
        ("POST", "/articles/{id}/unpublish" | "/articles/{id}/archive") => {
            of(&article("published").await, &[(user, 200, empty.clone()), (user, 422, empty)])
        }
        ("POST", "/knowledge/bulk-publish") => {
            let (one, other, done) =
                (article("draft").await, article("draft").await, article("published").await);
            here(&[
                (user, 400, empty),
                (user, 404, json!({"article_ids": [one, NOBODY]})),
                (user, 422, json!({"article_ids": [one, done]})),
                (user, 200, json!({"article_ids": [one, other]})),
            ])
        }
        ("POST", "/article_links") => {
            let (one, other) = (article("draft").await, article("draft").await);
            here(&[
                (agent, 201, link(&one, "relates_to", &other)),
                (agent, 409, link(&other, "relates_to", &one)),
                (agent, 422, empty),
            ])
        }
        ("DELETE", "/article_links/{id}") => {
            let (one, other) = (article("draft").await, article("draft").await);
            let made = agent.post("/article_links", link(&one, "derived_from", &other)).await.expect(201);
            of(&text(&made["data"]["id"]), &[(user, 204, nothing)])
        }
        ("POST", "/knowledge/ingest") => {
            let text = json!({"source_type": "newsletter", "content": unique("We decided to keep sums by triggers.")});
            here(&[(orchestrator, 202, text.clone()), (orchestrator, 200, text), (orchestrator, 422, empty)])
        }
        ("POST", "/knowledge/ingest/batch") => {
            let items = json!({"items": [
                {"source_type": "newsletter", "content": unique("Always lock rows by id.")}, {"source_type": "note", "content": unique("Never of no kind.")}
            ]});
            here(&[(orchestrator, 200, items), (orchestrator, 422, empty)])
        }
        ("GET", "/knowledge/search") => read(agent, &[(200, "?q=pool&mode=keyword"), (400, "?q=")]),
        ("GET", "/knowledge/context") => read(
            agent,
            &[(200, "?query=pool&max_tokens=500"), (400, "?query="), (422, "?query=a&max_tokens=0")],
        ),
        ("GET", path) if path.ends_with("/knowledge/lint") => {
            read(orchestrator, &[(200, ""), (400, "?stale_days=0")])
        }
        ("GET", path) if path.ends_with("/knowledge/export") => {
            let many = Tenant::new().await;
            let project = many.project().await;
            many_published(&many, 5001).await;
            let path = path.replace("{project_id}", &project);
            let mut steps = read(orchestrator, &[(200, "")]);
            steps.extend(calls.steps(&path, &[(&many.user, 413, nothing)]));
            steps
        }
        _ => return None,
    })
}
