//! What an import does not read is named, and what story files say is read.

use serde_json::{Value, json};

use super::{epic_with, good, import};
use crate::support::{Tenant, text};

#[tokio::test]
async fn keys_that_nothing_reads_are_named() {
    let tenant = Tenant::new().await;
    let project = tenant.project().await;
    let plan = json!({
        "epics": [{"number": 1, "title": "E", "titel": "x", "stories": [
            {"number": "1.1", "title": "S", "acceptanceCriteria": [], "agent_status": "pending"},
            {"number": "1.2", "title": "S", "metadata": {"anything": 1}, "acceptance_criteria": [{"criterion": "c", "own": 1}]}]}],
        "story_dependencies": [{"story": "1.2", "depends_on": "1.1", "kind": "hard"}],
        "storyDependencies": [], "export_metadata": {}, "project": {"name": "x"},
    });
    let answer = import(&tenant.user, &project, plan).await.expect(201);
    let ignored = [
        "storyDependencies",
        "epics[0].titel",
        "epics[0].stories[0].acceptanceCriteria",
        "story_dependencies[0].kind",
    ];
    assert_eq!(answer["import"]["ignored"], json!(ignored));
    assert_eq!(
        (&answer["import"]["ignored_count"], &answer["import"]["stories_created"]),
        (&json!(4), &json!(2))
    );

    // A merge says so, too, of the first twenty; and where there is nothing to say, nothing is said.
    let many: Value =
        (0..30).map(|n| (format!("key{n}"), json!(n))).collect::<serde_json::Map<_, _>>().into();
    let path = format!("/projects/{project}/import?merge=true");
    let answer = tenant.user.post(&path, json!({"epics": [], "story_dependencies": [many]})).await;
    answer.expect_error(422, "invalid_import");
    let mut story = good("1.1");
    story.as_object_mut().unwrap().extend((0..30).map(|n| (format!("key{n}"), json!(n))));
    let answer = tenant.user.post(&path, epic_with(json!([story]))).await.expect(200);
    assert_eq!(answer["import"]["ignored"].as_array().unwrap().len(), 20);
    assert_eq!(answer["import"]["ignored_count"], 30);
    let answer = tenant.user.post(&path, epic_with(json!([good("1.1")]))).await.expect(200);
    assert_eq!(answer["import"].get("ignored"), None);

    // An export reads whole.
    let export =
        tenant.user.get(&format!("/projects/{project}/export?include_status=true")).await.expect(200);
    let other = tenant.project().await;
    assert_eq!(import(&tenant.user, &other, export).await.expect(201)["import"].get("ignored"), None);
}

#[tokio::test]
async fn prerequisites_may_be_named_as_in_story_files() {
    let tenant = Tenant::new().await;
    for name in ["depends_on_stories", "dependencies", "depends_on"] {
        let project = tenant.project().await;
        let mut second = good("26.R.1");
        second[name] = json!(["US-26.0.1", "us_3"]);
        let plan = epic_with(json!([good("26.0.1"), good("3"), second]));
        let answer = import(&tenant.user, &project, plan).await.expect(201);
        assert_eq!(answer["import"]["dependencies_created"], 2, "{name}");
        let blocked = tenant.user.get(&format!("/stories/blocked?project_id={project}")).await.expect(200);
        assert_eq!(text(&blocked["data"][0]["story"]["number"]), "26.R.1");
        let mut wrong = good("4");
        wrong[name] = json!([1.10]);
        let error = import(&tenant.user, &tenant.project().await, epic_with(json!([wrong]))).await;
        let message = format!("epics[0].stories[0].{name}[0]: must be a string such as \"1.10\"");
        assert_eq!(error.expect_error(422, "invalid_import")["message"], message);
    }
}
