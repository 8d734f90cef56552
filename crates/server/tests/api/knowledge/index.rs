//! The catalogue.

use serde_json::{Value, json};

use super::{NOBODY, aged, article, many_published, published};
use crate::support::{Caller, Tenant, text};

/// The titles of a category.
fn titles(catalogue: &Value, category: &str) -> Vec<String> {
    catalogue["data"][category].as_array().unwrap().iter().map(|row| text(&row["title"])).collect()
}

#[tokio::test]
async fn what_is_published_is_listed_by_category() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let (a, u) = (tenant.key("agent").await, &tenant.user);
    let empty = json!({"data": {}, "meta": {"total_count": 0, "categories": {}, "truncated": false}});
    Caller::nobody().get("/knowledge/index").await.expect_error(401, "unauthorized");
    assert_eq!(a.get("/knowledge/index").await.expect(200), empty);
    let old = published(u, "Old").await;
    let tagged = article(u, "New", json!({"status": "published", "tags": ["a"]})).await;
    article(u, "Decided", json!({"status": "published", "category": "decision"})).await;
    article(u, "Draft", json!({})).await;
    let aside = published(u, "Aside").await;
    u.delete(&format!("/articles/{aside}")).await.expect(200);
    published(&other.user, "Theirs").await;
    aged(&old, 1).await;
    let catalogue = a.get(&format!("/knowledge/index?story_id={NOBODY}")).await.expect(200);
    assert_eq!(
        catalogue["meta"],
        json!({"total_count": 3, "categories": {"pattern": 2, "decision": 1}, "truncated": false})
    );
    assert_eq!(titles(&catalogue, "pattern"), ["New", "Old"]);
    let item = json!({"id": tagged["id"], "title": "New", "category": "pattern", "tags": ["a"], "status": "published",
                      "updated_at": tagged["updated_at"]});
    assert_eq!(catalogue["data"]["pattern"][0], item);
    assert_eq!(catalogue["data"].as_object().unwrap().len(), 2);
}

#[tokio::test]
async fn a_project_has_its_own_and_those_of_all() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let u = &tenant.user;
    let (project, elsewhere) = (tenant.project().await, tenant.project().await);
    published(u, "All").await;
    article(u, "Ours", json!({"status": "published", "project_id": project})).await;
    article(u, "Elsewhere", json!({"status": "published", "project_id": elsewhere})).await;
    let at = |project: &str| format!("/projects/{project}/knowledge/index");
    let catalogue = u.get(&at(&project)).await.expect(200);
    assert_eq!(titles(&catalogue, "pattern"), ["Ours", "All"]);
    assert_eq!(catalogue["meta"]["total_count"], 2);
    assert_eq!(titles(&u.get("/knowledge/index").await.expect(200), "pattern").len(), 3);
    for (who, project) in [(u, NOBODY), (u, "not-a-uuid"), (&other.user, project.as_str())] {
        who.get(&at(project)).await.expect_error(404, "not_found");
    }
}

/// Of more than a thousand, those that were changed last, whatever their category.
#[tokio::test]
async fn the_catalogue_has_an_end() {
    let tenant = Tenant::new().await;
    let u = &tenant.user;
    many_published(&tenant, 1001).await;
    published(u, "The last").await;
    let catalogue = u.get("/knowledge/index").await.expect(200);
    assert_eq!(
        catalogue["meta"],
        json!({"total_count": 1002, "categories": {"pattern": 1, "finding": 999}, "truncated": true})
    );
    assert_eq!(titles(&catalogue, "pattern"), ["The last"]);
}
