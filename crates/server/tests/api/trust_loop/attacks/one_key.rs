//! What one orchestrator's key can do by itself: adopt work that no agent of the loop has touched, which is visible for ever.

use serde_json::json;

use super::*;
use crate::support::{Tenant, echo, story};

const ARTIFACT: &str = "artifacts";

fn artifact() -> Value {
    json!({"artifact_type": "diff", "path": "src/lib.rs"})
}

/// Backfill and mark-complete of the scene's story are refused, and leave nothing.
async fn not_pre_existing(scene: &Scene, who: &Caller) {
    let before = scene.snapshot().await;
    let state = ["agent_status", "verified_status"].map(|column| text(&before[0][column]));
    let state = [state[0].as_str(), state[1].as_str()];
    let backfill = scene.act(who, "backfill", json!({"reason": "done before"})).await;
    refused(backfill, 422, "not_pre_existing", "backfill", state);
    let items = json!({"stories": [{"story_id": scene.story}]});
    let answer = results(who.post("/stories/bulk/mark-complete", items).await);
    assert_eq!(outcomes(&answer), ["not_pre_existing"]);
    assert!(!answer[0]["hints"].as_array().unwrap().is_empty());
    assert_eq!(scene.snapshot().await, before);
}

#[tokio::test]
async fn an_orchestrator_adopts_nothing_that_an_agent_touched() {
    let nameless = "nameless";
    for touch in ["contract", "artifact", "report with an artifact", nameless] {
        for released in [false, true] {
            let scene = Scene::new().await;
            let own = scene.own_orchestrator().await;
            match touch {
                "contract" => scene.act(&scene.a1, "contract", echo()).await.expect(200),
                "artifact" => scene.act(&scene.a1, ARTIFACT, artifact()).await.expect(201),
                "report with an artifact" => {
                    scene.start(&scene.a1).await;
                    scene.act(&scene.a2, "report", json!({"artifact": artifact()})).await.expect(200)
                }
                // Without an agent, and an agent's key all the same.
                _ => scene.act(&scene.tenant.key("agent").await, "contract", echo()).await.expect(200),
            };
            if released {
                scene.act(&own, "force-unclaim", json!({})).await.expect(200);
            }
            for who in [&own, &scene.o] {
                not_pre_existing(&scene, who).await;
            }
        }
    }
}

#[tokio::test]
async fn what_an_orchestrator_did_to_a_story_is_no_touch() {
    let scene = Scene::new().await;
    scene.act(&scene.o, "contract", json!({})).await.expect(200);
    scene.act(&scene.o, ARTIFACT, artifact()).await.expect(201);
    let items = json!({"stories": [{"story_id": scene.story}]});
    let answer = results(scene.o.post("/stories/bulk/mark-complete", items).await);
    assert_eq!(outcomes(&answer), ["success"]);
    assert_eq!(scene.show().await["verification_source"], "mark_complete");
    replay::assert_legal(&scene.o, &scene.story).await;
}

/// By which ways stories became verified, as the progress of a project and of its only epic says.
async fn progress(tenant: &Tenant, project: &str) -> [i64; 3] {
    let told = |counts: &Value| {
        let number = |name: &str| counts[name].as_i64().unwrap_or_else(|| panic!("{name}: {counts:#}"));
        let verified = counts["stories_by_verified_status"]["verified"].as_i64().unwrap();
        [verified, number("verified_in_loop"), number("verified_adopted")]
    };
    let of_project = tenant.user.get(&format!("/projects/{project}/progress")).await.expect(200);
    let epics = tenant.user.get(&format!("/projects/{project}/epics")).await.expect(200);
    let epic = text(&epics["data"][0]["id"]);
    let of_epic = tenant.user.get(&format!("/epics/{epic}/progress")).await.expect(200);
    assert_eq!(told(&of_project["progress"]), told(&of_epic["progress"]));
    told(&of_project["progress"])
}

#[tokio::test]
async fn what_was_adopted_is_told_from_what_went_through_the_loop() {
    let scene = Scene::new().await;
    let numbers = ["1.1", "1.2", "1.3", "1.4"];
    let stories: Vec<_> = numbers
        .iter()
        .map(|number| {
            let mut item = story(number);
            if *number == "1.1" {
                item["initial_verified_status"] = json!("verified");
            }
            item
        })
        .collect();
    let project = scene.tenant.project().await;
    let plan = json!({"epics": [{"number": 1, "title": "Epic", "stories": stories}]});
    scene.o.post(&format!("/projects/{project}/import"), plan).await.expect(201);
    let mut ids = Vec::new();
    for number in numbers {
        ids.push(scene.tenant.story_id(&project, number).await);
    }
    let source = async |id: &String| {
        let shown = scene.o.get(&format!("/stories/{id}")).await.expect(200);
        let list = scene.o.get(&format!("/stories?project_id={project}&limit=500")).await.expect(200);
        let listed = list["data"].as_array().unwrap().iter().find(|story| story["id"] == *id).unwrap();
        assert_eq!(listed["verification_source"], shown["story"]["verification_source"]);
        shown["story"]["verification_source"].clone()
    };
    assert_eq!(progress(&scene.tenant, &project).await, [1, 0, 1]);
    scene.o.post(&format!("/stories/{}/backfill", ids[1]), json!({"reason": "old"})).await.expect(200);
    let items = json!({"stories": [{"story_id": ids[2]}]});
    assert_eq!(outcomes(&results(scene.o.post("/stories/bulk/mark-complete", items).await)), ["success"]);
    assert_eq!(source(&ids[3]).await, Value::Null);
    scene.bring(&ids[3], Reach::Verified).await;
    assert_eq!(progress(&scene.tenant, &project).await, [4, 1, 3]);
    for (id, word) in ids.iter().zip(["import", "backfill", "mark_complete", "loop"]) {
        assert_eq!(source(id).await, word);
        // Taken from whoever holds it, it stays verified, and by the same way.
        scene.o.post(&format!("/stories/{id}/force-unclaim"), json!({})).await.expect(200);
        assert_eq!(source(id).await, word);
    }
    assert_eq!(progress(&scene.tenant, &project).await, [4, 1, 3]);
    for id in &ids {
        scene.o.post(&format!("/stories/{id}/reject"), json!({"reason": "broken"})).await.expect(200);
        assert_eq!(source(id).await, Value::Null);
    }
    assert_eq!(progress(&scene.tenant, &project).await, [0, 0, 0]);
    for id in &ids {
        scene.bring(id, Reach::Verified).await;
        assert_eq!(source(id).await, "loop");
        replay::assert_legal(&scene.o, id).await;
    }
    assert_eq!(progress(&scene.tenant, &project).await, [4, 4, 0]);
}

/// Nobody can say where a verification comes from but by making it.
#[tokio::test]
async fn a_source_cannot_be_written() {
    let scene = Scene::new().await;
    scene.act(&scene.o, "backfill", json!({"reason": "old"})).await.expect(200);
    let edit = json!({"verification_source": "loop", "description": "x"});
    let edited = scene.o.patch(&format!("/stories/{}", scene.story), edit).await.expect(200);
    assert_eq!(edited["story"]["verification_source"], "backfill");
    let project = text(&edited["story"]["project_id"]);
    let mut item = story("1.1");
    item["verification_source"] = json!("loop");
    item["description"] = json!("y");
    let plan = json!({"epics": [{"number": 1, "title": "Epic", "stories": [item]}]});
    scene.o.post(&format!("/projects/{project}/import?merge=true"), plan).await.expect(200);
    assert_eq!(scene.show().await["verification_source"], "backfill");
}
