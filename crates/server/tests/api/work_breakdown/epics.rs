//! How epics are listed, and an epic's detail.

use serde_json::{Value, json};

use super::{column, epic_id, keys, meta, plain, verified};
use crate::support::{Tenant, text};

/// The fields of every epic, wherever it is shown.
pub(super) const EPIC: [&str; 12] = [
    "completed_at",
    "description",
    "id",
    "inserted_at",
    "metadata",
    "number",
    "phase",
    "position",
    "project_id",
    "tenant_id",
    "title",
    "updated_at",
];

#[track_caller]
fn assert_keys(value: &Value, more: &[&str]) {
    let mut expected = EPIC.to_vec();
    expected.extend(more);
    expected.sort_unstable();
    assert_eq!(keys(value), expected);
}

#[tokio::test]
async fn unknown_and_foreign_epics_are_not_found() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let project = tenant.project_of(&["1.1"]).await;
    let epic = epic_id(&tenant, &project, 1).await;
    let none = "01900000-0000-7000-8000-000000000000";
    for path in
        [format!("/projects/{project}/epics"), format!("/epics/{epic}"), format!("/epics/{epic}/stories")]
    {
        tenant.user.get(&path).await.expect(200);
        let error = other.user.get(&path).await.expect_error(404, "not_found");
        assert_eq!(error["message"], "Not found");
        for id in [none, "nope", "1"] {
            let path = path.replace(&project, id).replace(&epic, id);
            tenant.user.get(&path).await.expect_error(404, "not_found");
        }
    }
    // A project is no epic, and an epic is no project.
    for path in
        [format!("/epics/{project}"), format!("/epics/{project}/stories"), format!("/projects/{epic}/epics")]
    {
        tenant.user.get(&path).await.expect_error(404, "not_found");
    }
}

#[tokio::test]
async fn the_list_is_in_order_with_counts() {
    let tenant = Tenant::new().await;
    let project = tenant.project().await;
    let path = format!("/projects/{project}/epics");
    let empty = tenant.user.get(&path).await.expect(200);
    assert_eq!(empty, json!({"data": [], "meta": meta(1, 20, 0, 0)}));

    let payload = json!({"epics": [
        {"number": 10, "title": "Ten", "position": 0},
        {"number": 2, "title": "Two", "position": 0, "phase": "p0", "stories": [plain("2.1"), verified("2.2")]},
        {"number": 1, "title": "One", "position": 0, "phase": "p1",
         "stories": [plain("1.1"), verified("1.2"), plain("1.3")]},
        {"number": 3, "title": "Three", "position": 1, "phase": "p0", "metadata": {"k": "v"},
         "description": "d", "stories": [verified("3.1")]}]});
    let import = format!("/projects/{project}/import");
    tenant.user.post(&import, payload).await.expect(201);

    let agent = tenant.agent().await;
    let list = agent.get(&path).await.expect(200);
    let seen: Vec<_> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|epic| {
            assert_keys(epic, &["story_count", "completion_percentage"]);
            json!([epic["number"], epic["position"], epic["story_count"], epic["completion_percentage"]])
        })
        .collect();
    assert_eq!(json!(seen), json!([[1, 0, 3, 33.3], [2, 0, 2, 50.0], [10, 0, 0, 0.0], [3, 1, 1, 100.0]]));
    assert_eq!(list["meta"], meta(1, 20, 4, 1));
    for (phase, titles) in [
        ("p0", &["Two", "Three"][..]),
        ("p1", &["One"]),
        ("p", &[]),
        ("P0", &[]),
        ("", &["One", "Two", "Ten", "Three"]),
    ] {
        let filtered = agent.get(&format!("{path}?phase={phase}")).await.expect(200);
        assert_eq!(column(&filtered, "title"), titles, "{phase}");
        assert_eq!(filtered["meta"]["total_count"], titles.len());
    }
    let second = agent.get(&format!("{path}?limit=3&page=2")).await.expect(200);
    assert_eq!(column(&second, "title"), ["Three"]);
    assert_eq!(second["meta"], meta(2, 3, 4, 2));
}

#[tokio::test]
async fn the_detail_has_the_stories_in_number_order() {
    let tenant = Tenant::new().await;
    let project = tenant
        .imported(json!({"epics": [
            {"number": 4, "title": "Four", "position": 7, "phase": "p2", "description": "what", "metadata": {"a": 1},
             "stories": [plain("4.10"), verified("4.9")]},
            {"number": 5, "title": "Five"}]}))
        .await;
    let epic = epic_id(&tenant, &project, 4).await;
    let path = format!("/epics/{epic}");
    let shown = tenant.agent().await.get(&path).await.expect(200)["epic"].clone();
    assert_keys(&shown, &["stories"]);
    for (name, value) in [
        ("id", json!(epic)),
        ("tenant_id", json!(tenant.id)),
        ("project_id", json!(project)),
        ("number", json!(4)),
        ("title", json!("Four")),
        ("description", json!("what")),
        ("phase", json!("p2")),
        ("position", json!(7)),
        ("metadata", json!({"a": 1})),
    ] {
        assert_eq!(shown[name], value, "{name}");
    }
    let stories = shown["stories"].as_array().unwrap();
    let ids = (tenant.story_id(&project, "4.9").await, tenant.story_id(&project, "4.10").await);
    assert_eq!(
        *stories,
        [
            json!({"id": ids.0, "number": "4.9", "title": "Story 4.9", "agent_status": "reported_done",
                   "verified_status": "verified"}),
            json!({"id": ids.1, "number": "4.10", "title": "Story 4.10", "agent_status": "pending",
                   "verified_status": "unverified"}),
        ]
    );
    let empty = epic_id(&tenant, &project, 5).await;
    let empty = tenant.user.get(&format!("/epics/{empty}")).await.expect(200);
    assert_eq!(empty["epic"]["stories"], json!([]));
    assert_eq!(empty["epic"]["description"], Value::Null);
    assert_eq!(text(&empty["epic"]["title"]), "Five");
}
