//! What webhooks are told.

use serde_json::{Value, json};

use super::{article, linked, published};
use crate::support::{Tenant, text};
use crate::webhooks::{queued, subscribed};

const ALL: &[&str] = &[
    "article.created",
    "article.updated",
    "article.published",
    "article.unpublished",
    "article.archived",
    "article.superseded",
    "article_link.created",
    "article_link.deleted",
];

/// The type of an event and what is told of it in particular.
fn data(event: &Value) -> Value {
    let mut payload = event["payload"].clone();
    payload.as_object_mut().unwrap().retain(|name, _| name != "event" && name != "timestamp");
    json!([event["event_type"], payload])
}

#[tokio::test]
async fn everything_is_told_without_its_text() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let u = &tenant.user;
    let (project, elsewhere) = (tenant.project().await, tenant.project().await);
    let all = subscribed(&tenant, ALL, None).await;
    let of_project = subscribed(&tenant, ALL, Some(&project)).await;
    let of_another = subscribed(&tenant, ALL, Some(&elsewhere)).await;
    let theirs = subscribed(&other, ALL, None).await;
    let only_updates = subscribed(&tenant, &["article.updated"], None).await;
    let secret = "a text that nobody else reads";
    let further = json!({"body": secret, "project_id": project, "tags": ["a"], "metadata": {"note": secret}});
    let a = text(&article(u, "A", further).await["id"]);
    let at = format!("/articles/{a}");
    u.patch(&at, json!({"title": "B", "tags": ["b"], "body": secret})).await.expect(200);
    u.patch(&at, json!({"title": "B"})).await.expect(200);
    u.post_empty(&format!("{at}/publish")).await.expect(200);
    u.post_empty(&format!("{at}/unpublish")).await.expect(200);
    u.post("/knowledge/bulk-publish", json!({"article_ids": [a]})).await.expect(200);
    let newer = published(u, "Newer").await;
    let link = linked(u, &newer, "supersedes", &a).await;
    u.delete(&format!("/article_links/{link}")).await.expect(204);
    u.delete(&at).await.expect(200);
    u.delete(&at).await.expect(200);
    let article = |title: &str, tags: &str, status: &str| json!({"id": a, "title": title, "category": "pattern", "project_id": project, "status": status, "tags": [tags]});
    let mut updated = article("B", "b", "draft");
    updated["changed_fields"] = json!(["title", "tags"]);
    let fields = json!({"id": link, "source_article_id": newer, "target_article_id": a, "relationship_type": "supersedes"});
    let mut made = fields.clone();
    made["source_title"] = json!("Newer");
    made["target_title"] = json!("B");
    let of_the_project = [
        json!(["article.created", article("A", "a", "draft")]),
        json!(["article.updated", updated]),
        json!(["article.published", article("B", "b", "published")]),
        json!(["article.unpublished", article("B", "b", "draft")]),
        json!(["article.published", article("B", "b", "published")]),
        json!(["article.superseded", {"superseded_article_id": a, "superseded_title": "B", "superseding_article_id": newer,
                                      "superseding_title": "Newer"}]),
        json!(["article.archived", article("B", "b", "archived")]),
    ];
    let told = |events: Vec<Value>| events.iter().map(data).collect::<Vec<_>>();
    assert_eq!(told(queued(&of_project).await), of_the_project);
    let everything = told(queued(&all).await);
    assert_eq!(everything.len(), of_the_project.len() + 3);
    for expected in of_the_project
        .iter()
        .chain(&[json!(["article_link.created", made]), json!(["article_link.deleted", fields])])
    {
        assert!(everything.contains(expected), "{expected} is not among {everything:#?}");
    }
    assert_eq!(told(queued(&only_updates).await), [of_the_project[1].clone()]);
    assert_eq!(told(queued(&of_another).await), [Value::Null; 0]);
    assert_eq!(told(queued(&theirs).await), [Value::Null; 0]);
    assert!(!json!(everything).to_string().contains(secret));
}

/// A link is of the project of its source.
#[tokio::test]
async fn links_are_of_the_project_of_their_source() {
    let tenant = Tenant::new().await;
    let (u, project) = (&tenant.user, tenant.project().await);
    let hook = subscribed(&tenant, &["article_link.created", "article_link.deleted"], Some(&project)).await;
    let inside = text(&article(u, "Inside", json!({"project_id": project})).await["id"]);
    let outside = published(u, "Outside").await;
    let (from, to) = (
        linked(u, &inside, "derived_from", &outside).await,
        linked(u, &outside, "derived_from", &inside).await,
    );
    for link in [from, to] {
        u.delete(&format!("/article_links/{link}")).await.expect(204);
    }
    let told: Vec<_> = queued(&hook).await.iter().map(|event| text(&event["event_type"])).collect();
    assert_eq!(told, ["article_link.created", "article_link.deleted"]);
}
