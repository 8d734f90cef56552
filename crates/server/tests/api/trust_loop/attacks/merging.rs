//! Merges that would move the measure of a story under way.

use serde_json::json;

use super::*;
use crate::support::story;

fn plan(stories: &[Value]) -> Value {
    json!({"epics": [{"number": 1, "title": "Epic", "stories": stories}]})
}

fn retitled(number: &str) -> Value {
    let mut item = story(number);
    item["title"] = json!("Less");
    item
}

#[tokio::test]
async fn a_merge_that_moves_its_callers_measure_is_refused_whole() {
    let scene = Scene::new().await;
    let own = scene.own_orchestrator().await;
    let project = scene.tenant.project_of(&["1.1", "1.2", "1.3"]).await;
    let mine = scene.tenant.story_id(&project, "1.2").await;
    scene.bring(&mine, Reach::Implementing).await;
    let path = format!("/projects/{project}/import?merge=true");
    let everything = async || {
        let stories =
            scene.tenant.user.get(&format!("/stories?project_id={project}&limit=500")).await.expect(200);
        let epics = scene.tenant.user.get(&format!("/projects/{project}/epics")).await.expect(200);
        (stories["data"].clone(), epics["data"].clone(), scene.tenant.audit_log().await)
    };
    let before = everything().await;
    // A new story, a change of another one, a change of the epic, and in the middle of it the caller's own.
    let mut payload = plan(&[retitled("1.1"), retitled("1.2"), retitled("1.3"), story("1.4")]);
    payload["epics"][0]["title"] = json!("Another");
    payload["story_dependencies"] = json!([{"story": "1.4", "depends_on": "1.1"}]);
    let reply = own.post(&path, payload.clone()).await;
    assert_eq!(reply.body["error"]["story_id"], mine.as_str(), "{:#}", reply.body);
    blocked(reply, "self_criteria_blocked", "change-criteria", ["implementing", "unverified"], &[false]);
    assert!(everything().await == before, "something was written");
    // The same without a word of their own, or with the words that it has.
    let mut rest = payload.clone();
    rest["epics"][0]["stories"][1] = story("1.2");
    own.post(&path, rest).await.expect(200);
    // And by somebody else.
    scene.o.post(&path, payload).await.expect(200);
    let shown = scene.o.get(&format!("/stories/{mine}")).await.expect(200);
    assert_eq!([&shown["story"]["title"], &shown["story"]["contract_stale"]], [&json!("Less"), &json!(true)]);
    replay::assert_legal(&scene.o, &mine).await;
}

#[tokio::test]
async fn a_merge_tells_which_stories_under_way_it_has_changed() {
    let scene = Scene::new().await;
    let project = scene.tenant.project_of(&["1.1", "1.2", "1.3"]).await;
    let reviewed = scene.tenant.story_id(&project, "1.2").await;
    scene.bring(&reviewed, Reach::Reviewed).await;
    let old =
        scene.o.get(&format!("/stories/{reviewed}")).await.expect(200)["story"]["criteria_digest"].clone();
    let path = format!("/projects/{project}/import?merge=true");
    scene.o.post(&path, plan(&["1.1", "1.2", "1.3"].map(retitled))).await.expect(200);
    let changed: Vec<_> = scene
        .tenant
        .audit_log()
        .await
        .into_iter()
        .filter(|entry| entry["action"] == "criteria_changed")
        .collect();
    assert_eq!(changed.len(), 1, "{changed:#?}");
    assert_eq!(changed[0]["entity_id"], reviewed.as_str());
    assert_eq!(changed[0]["old_state"]["criteria_digest"], old);
    let verify = format!("/stories/{reviewed}/verify");
    scene.o.post(&verify, evidence()).await.expect_error(422, "criteria_changed");
    scene.o.post(&path, plan(&[story("1.2")])).await.expect(200);
    scene.o.post(&verify, evidence()).await.expect(200);
    replay::assert_legal(&scene.o, &reviewed).await;
}
