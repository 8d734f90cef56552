//! Work of the loop whose story is deleted, to arrive again as if it had been done before.

use serde_json::json;

use super::*;
use crate::support::story;

/// How an agent has touched a story.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Touch {
    Contracted,
    Claimed,
    Released,
    Artifact,
    Verified,
}

const TOUCHES: [Touch; 5] =
    [Touch::Contracted, Touch::Claimed, Touch::Released, Touch::Artifact, Touch::Verified];

fn payload(numbers: &[&str], initial: Option<(&str, &str)>) -> Value {
    let stories = numbers.iter().map(|number| {
        let mut item = story(number);
        if let Some((member, word)) = initial {
            item[member] = json!(word);
        }
        item
    });
    json!({"epics": [{"number": 1, "title": "Epic", "stories": stories.collect::<Vec<_>>()}]})
}

const DONE: [(&str, &str); 3] = [
    ("initial_verified_status", "verified"),
    ("initial_verified_status", "pass"),
    ("initial_agent_status", "reported_done"),
];

impl Scene {
    async fn touch(&self, id: &str, touch: Touch) {
        match touch {
            Touch::Contracted => self.bring(id, Reach::Contracted).await,
            Touch::Claimed => self.bring(id, Reach::Assigned).await,
            Touch::Released => {
                self.bring(id, Reach::Implementing).await;
                self.o.post(&format!("/stories/{id}/force-unclaim"), json!({})).await.expect(200);
            }
            Touch::Artifact => {
                let artifact = json!({"artifact_type": "diff", "path": "src/lib.rs"});
                self.a1.post(&format!("/stories/{id}/artifacts"), artifact).await.expect(201);
            }
            Touch::Verified => self.bring(id, Reach::Verified).await,
        }
    }

    /// A project whose story 1.1 was touched and deleted, by itself or with its epic; 1.2 was deleted untouched.
    async fn deleted(&self, touch: Touch, with_epic: bool) -> String {
        let project = self.tenant.project_of(&["1.1", "1.2", "1.3"]).await;
        let ids = [self.tenant.story_id(&project, "1.1").await, self.tenant.story_id(&project, "1.2").await];
        self.touch(&ids[0], touch).await;
        if with_epic {
            let epics = self.tenant.user.get(&format!("/projects/{project}/epics")).await.expect(200);
            self.tenant.user.delete(&format!("/epics/{}", text(&epics["data"][0]["id"]))).await.expect(204);
        } else {
            for id in &ids {
                self.tenant.user.delete(&format!("/stories/{id}")).await.expect(204);
            }
        }
        project
    }

    async fn numbers(&self, project: &str) -> Vec<String> {
        let list = self.o.get(&format!("/stories?project_id={project}&limit=500")).await.expect(200);
        crate::trust_loop::pluck(list["data"].as_array().unwrap(), "number")
    }
}

#[tokio::test]
async fn deleted_work_does_not_come_back_as_done() {
    let scene = Scene::new().await;
    for touch in TOUCHES {
        for with_epic in [false, true] {
            let project = scene.deleted(touch, with_epic).await;
            let before = (scene.numbers(&project).await, scene.tenant.audit_log().await);
            for initial in DONE {
                for merge in ["", "?merge=true"] {
                    // A fresh import may not name an epic that is there.
                    let mut plan = payload(&["1.4", "1.1", "1.2"], Some(initial));
                    if merge.is_empty() && !with_epic {
                        plan["epics"][0]["number"] = json!(2);
                    }
                    for who in [&scene.o, &scene.tenant.user] {
                        let reply =
                            who.post(&format!("/projects/{project}/import{merge}"), plan.clone()).await;
                        let error = reply.expect_error(422, "not_pre_existing");
                        assert_eq!(error["details"], json!({"story_count": 1, "story_numbers": ["1.1"]}));
                        assert!(!error["hints"].as_array().unwrap().is_empty(), "{error:#}");
                    }
                    let now = (scene.numbers(&project).await, scene.tenant.audit_log().await);
                    assert!(now == before, "{touch:?} {initial:?}: something was written");
                }
            }
            // What nobody had touched may be taken over, and so may the same number elsewhere.
            let path = format!("/projects/{project}/import?merge=true");
            scene.o.post(&path, payload(&["1.2"], Some(DONE[0]))).await.expect(200);
            scene.tenant.imported(payload(&["1.1"], Some(DONE[0]))).await;
        }
    }
}

/// Planned again it is work like any other: to be done in the loop, and in no other way.
#[tokio::test]
async fn deleted_work_may_be_done_again_in_the_loop() {
    for touch in TOUCHES {
        for imported in [false, true] {
            let number = "1.1";
            let mut scene = Scene::new().await;
            let project = scene.deleted(touch, imported).await;
            if imported {
                let path = format!("/projects/{project}/import");
                scene.o.post(&path, payload(&[number], None)).await.expect(201);
            } else {
                let epics = scene.tenant.user.get(&format!("/projects/{project}/epics")).await.expect(200);
                let path = format!("/epics/{}/stories", text(&epics["data"][0]["id"]));
                scene.tenant.user.post(&path, story(number)).await.expect(201);
            }
            scene.story = scene.tenant.story_id(&project, number).await;
            let before = scene.snapshot().await;
            let reply = scene.act(&scene.o, "backfill", json!({"reason": "done before"})).await;
            let error = refused(reply, 422, "not_pre_existing", "backfill", ["pending", "unverified"]);
            assert!(error["hints"][0].as_str().unwrap().contains("before it was deleted"), "{error:#}");
            let items = json!({"stories": [{"story_id": scene.story}]});
            let answer = results(scene.o.post("/stories/bulk/mark-complete", items).await);
            assert_eq!(outcomes(&answer), ["not_pre_existing"]);
            assert_eq!(scene.snapshot().await, before);
            // Deleted once more it is no newer, and to have been seen by nobody since does not help.
            scene.tenant.user.delete(&format!("/stories/{}", scene.story)).await.expect(204);
            let path = format!("/projects/{project}/import?merge=true");
            let done = scene.o.post(&path, payload(&["1.1"], Some(DONE[0]))).await;
            done.expect_error(422, "not_pre_existing");
            scene.o.post(&path, payload(&[number], None)).await.expect(200);
            scene.story = scene.tenant.story_id(&project, number).await;
            scene.bring(&scene.story, Reach::Verified).await;
            assert_eq!(scene.show().await["verification_source"], "loop");
        }
    }
}

/// A number that differs in more than its zeros is another one.
#[tokio::test]
async fn other_numbers_are_other_stories() {
    let scene = Scene::new().await;
    let project = scene.deleted(Touch::Contracted, true).await;
    let numbers = ["1.10", "11.1", "1.1.0", "1.1a", "01.1"];
    let path = format!("/projects/{project}/import");
    scene.o.post(&path, payload(&numbers, Some(DONE[0]))).await.expect(201);
    assert_eq!(scene.numbers(&project).await.len(), numbers.len());
}

/// Archived in between, the project remembers.
#[tokio::test]
async fn a_project_that_was_archived_remembers() {
    let scene = Scene::new().await;
    let project = scene.deleted(Touch::Claimed, true).await;
    scene.tenant.user.delete(&format!("/projects/{project}")).await.expect(200);
    let active = json!({"status": "active"});
    scene.tenant.user.patch(&format!("/projects/{project}"), active).await.expect(200);
    let reply = scene.o.post(&format!("/projects/{project}/import"), payload(&["1.1"], Some(DONE[0]))).await;
    reply.expect_error(422, "not_pre_existing");
}
