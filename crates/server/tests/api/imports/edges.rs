//! Dependencies of fresh imports: how they may be written, and which are refused.

use serde_json::json;

use super::{audit, good, import, merge, of, rows, show};
use crate::support::{Tenant, text};

/// The numbers of a story's prerequisites, in their order.
async fn prerequisites(tenant: &Tenant, project: &str, number: &str) -> Vec<String> {
    let mut numbers = Vec::new();
    for edge in show(tenant, project, number).await["dependencies"].as_array().unwrap() {
        let path = format!("/stories/{}", text(&edge["depends_on_story_id"]));
        let story = tenant.user.get(&path).await.expect(200);
        numbers.push(text(&story["story"]["number"]));
    }
    numbers.sort();
    numbers
}

#[tokio::test]
async fn edges_come_from_lists_and_from_records_once_each() {
    let tenant = Tenant::new().await;
    let project = tenant.project().await;
    let payload = json!({
        "epics": [
            {"number": 1, "title": "E", "stories": [good("1.1"),
                {"number": "1.2", "title": "S", "depends_on_stories": ["1.1", "1.1"]}]},
            {"number": 2, "title": "E", "depends_on_epics": [1, "1"], "stories": [
                {"number": "2", "title": "S"}, {"number": "3", "title": "S", "depends_on_stories": [2]}]}],
        "story_dependencies": [
            {"story": "1.2", "depends_on": "1.1"}, {"story_number": 3, "depends_on_story": "1.2"}],
        "epic_dependencies": [{"epic": "2", "depends_on": "1"}, {"epic_number": 2, "depends_on_epic": 1}],
    });
    let body = import(&tenant.user, &project, payload).await.expect(201);
    assert_eq!(body["import"]["dependencies_created"], 4);
    assert_eq!(prerequisites(&tenant, &project, "1.2").await, ["1.1"]);
    assert_eq!(prerequisites(&tenant, &project, "3").await, ["1.2", "2"]);
    let after = rows(&project).await;
    assert_eq!((after.story_edges, after.epic_edges), (3, 1));
    let log = audit(&project).await;
    assert_eq!(of(&log, "story_dependency/created").len(), 3);
    assert_eq!(of(&log, "epic_dependency/created").len(), 1);

    // A later fresh import may refer to what the project has: epic 2 exists now.
    let more = json!({
        "epics": [{"number": 3, "title": "E", "depends_on_epics": [2],
                   "stories": [{"number": "3.1", "title": "S", "depends_on_stories": ["1.1"]}]}],
        "story_dependencies": null, "epic_dependencies": null});
    let body = import(&tenant.user, &project, more).await.expect(201);
    assert_eq!(body["import"], json!({"epics_created": 1, "stories_created": 1, "dependencies_created": 2}));
    assert_eq!(prerequisites(&tenant, &project, "3.1").await, ["1.1"]);
    // … and must not close a circle through it.
    let before = rows(&project).await;
    for (edges, message) in [
        (
            json!({"epics": [], "story_dependencies": [{"story": "1.1", "depends_on": "3"}]}),
            "Cycle detected: 1.1 -> 3 -> 1.2 -> 1.1",
        ),
        (
            json!({"epics": [], "epic_dependencies": [{"epic": 1, "depends_on": 3}]}),
            "Cycle detected: 1 -> 3 -> 2 -> 1",
        ),
    ] {
        let error = import(&tenant.user, &project, edges.clone()).await;
        assert_eq!(error.expect(422)["error"]["message"], message);
        let error = merge(&tenant.user, &project, edges).await;
        assert_eq!(error.expect(422)["error"]["message"], message);
    }
    for importing in [true, false] {
        let deadlock = json!({"epics": [], "story_dependencies": [{"story": "1.1", "depends_on": "2"}]});
        let reply = if importing {
            import(&tenant.user, &project, deadlock).await
        } else {
            merge(&tenant.user, &project, deadlock).await
        };
        assert_eq!(
            reply.expect_error(422, "invalid_import")["message"],
            "Cross-level deadlock: epic 2 depends on epic 1, but story 1.1 (in epic 1) depends on \
             story 2 (in epic 2)"
        );
    }
    assert_eq!(rows(&project).await, before);
}
