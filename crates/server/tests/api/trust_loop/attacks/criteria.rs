//! A story whose title or criteria move while others rely on them.

use serde_json::json;

use super::*;
use crate::support::{echo, story};

/// Other criteria than those of [`story`], as many.
fn other() -> Value {
    json!([{"id": "AC-1", "criterion": "It exists"}, {"id": "AC-2", "criterion": "It is tested"}])
}

fn planned() -> Value {
    story("1.1")["acceptance_criteria"].clone()
}

impl Scene {
    /// Edited by a human, who is no implementer; the story afterwards.
    async fn edit(&self, edit: Value) -> Value {
        let path = format!("/stories/{}", self.story);
        self.tenant.user.patch(&path, edit).await.expect(200)["story"].clone()
    }

    /// The changes of title and criteria that its history tells, as old and new digest.
    async fn told(&self) -> Vec<[String; 2]> {
        let history = self.history().await;
        let changes = history.iter().filter(|entry| entry["action"] == "criteria_changed");
        changes
            .map(|entry| {
                assert_eq!(entry["entity_type"], "story");
                [&entry["old_state"], &entry["new_state"]].map(|state| {
                    assert_eq!(state.as_object().unwrap().len(), 1, "{entry:#}");
                    text(&state["criteria_digest"])
                })
            })
            .collect()
    }

    /// Whether the list of stale stories of its project has it.
    async fn is_listed_as_stale(&self) -> bool {
        let project = text(&self.show().await["project_id"]);
        let listed = async |query: &str| {
            let list = self.a1.get(&format!("/stories?project_id={project}{query}")).await.expect(200);
            list["data"].as_array().unwrap().iter().any(|story| story["id"] == self.story.as_str())
        };
        assert!(listed("").await && listed("&stale=false").await, "the filter hides nothing when it is off");
        assert_eq!(listed("&stale=true").await, listed("&stale=1").await);
        listed("&stale=true").await
    }
}

#[tokio::test]
async fn a_story_nobody_relies_on_may_be_planned_anew_in_silence() {
    let scene = Scene::new().await;
    let before = scene.show().await["criteria_digest"].clone();
    let edited = scene.edit(json!({"title": "Build APIs", "acceptance_criteria": other()})).await;
    assert_ne!(edited["criteria_digest"], before);
    assert!(scene.told().await.is_empty());
    assert!(!scene.is_listed_as_stale().await);
    // The digest is of title and criteria, and of nothing else.
    let again = scene.edit(json!({"description": "x", "estimated_hours": 2, "metadata": {"a": 1}})).await;
    assert_eq!(again["criteria_digest"], edited["criteria_digest"]);
    let back = scene.edit(json!({"title": "Build API", "acceptance_criteria": planned()})).await;
    assert_eq!(back["criteria_digest"], before);
}

#[tokio::test]
async fn what_was_contracted_and_changed_since_is_stale() {
    for reach in [Reach::Contracted, Reach::Assigned, Reach::Implementing, Reach::Reported] {
        for edit in [json!({"title": "Build all APIs"}), json!({"acceptance_criteria": other()})] {
            let scene = Scene::at(reach).await;
            let before = scene.show().await;
            assert_eq!([&before["contract_stale"], &before["verification_stale"]], [false, false]);
            assert!(!scene.is_listed_as_stale().await);
            let history = scene.history().await;
            let contract = history.iter().find(|entry| entry["new_state"]["agent_status"] == "contracted");
            assert_eq!(contract.unwrap()["new_state"]["criteria_digest"], before["criteria_digest"]);
            let after = scene.edit(edit).await;
            assert_eq!([&after["contract_stale"], &after["verification_stale"]], [true, false]);
            assert!(scene.is_listed_as_stale().await);
            let change = [&before, &after].map(|story| text(&story["criteria_digest"]));
            assert_eq!(scene.told().await, [change]);
            // Told what it is now, it is what was contracted.
            let back = scene.edit(json!({"title": "Build API", "acceptance_criteria": planned()})).await;
            assert_eq!(back["contract_stale"], false);
            assert_eq!(scene.told().await.len(), 2);
            replay::assert_legal(&scene.o, &scene.story).await;
        }
    }
}

/// Given back, it is relied on by those who started it; claimed alone, by nobody.
#[tokio::test]
async fn a_change_of_a_pending_story_is_told_when_somebody_had_started_it() {
    for (reach, told) in [(Reach::Assigned, 0), (Reach::Implementing, 1)] {
        let scene = Scene::at(reach).await;
        scene.act(&scene.a1, "unclaim", json!({})).await.expect(200);
        let edited = scene.edit(json!({"title": "Build all APIs"})).await;
        assert_eq!(edited["contract_stale"], false, "there is no contract any more");
        assert_eq!(scene.told().await.len(), told, "{reach:?}");
        replay::assert_legal(&scene.o, &scene.story).await;
    }
}

#[tokio::test]
async fn what_was_reviewed_is_verified_as_it_was_reviewed_or_not_at_all() {
    for edit in [json!({"title": "Build all APIs"}), json!({"acceptance_criteria": other()})] {
        let scene = Scene::at(Reach::Reviewed).await;
        let reviewed = scene.show().await["criteria_digest"].clone();
        scene.edit(edit.clone()).await;
        nothing_verifies(&scene, &scene.o, "criteria_changed").await;
        let state = ["reported_done", "unverified"];
        let reply = scene.act(&scene.o, "verify", evidence()).await;
        let error = refused(reply, 422, "criteria_changed", "verify", state);
        assert!(error["hints"][0].as_str().unwrap().starts_with("Review again"), "{error:#}");
        // Back to what was reviewed, it passes, in every form.
        scene.edit(json!({"title": "Build API", "acceptance_criteria": planned()})).await;
        let epic = text(&scene.show().await["epic_id"]);
        let all = scene.o.post(&format!("/epics/{epic}/verify-all"), evidence()).await.expect(200);
        assert_eq!(all["verified_count"], 1, "{all:#}");
        let verified = scene.show().await;
        assert_eq!(verified["latest_verification"]["criteria_digest"], reviewed);
        replay::assert_legal(&scene.o, &scene.story).await;
        // And stays verified when it changes later, visibly not as it is now.
        let stale = scene.edit(edit).await;
        assert_eq!(stale["verified_status"], "verified");
        assert_eq!(stale["verification_stale"], true);
        assert!(scene.is_listed_as_stale().await);
        assert_eq!(scene.told().await.len(), 3);
        replay::assert_legal(&scene.o, &scene.story).await;
    }
}

#[tokio::test]
async fn the_newest_review_decides() {
    let scene = Scene::at(Reach::Reviewed).await;
    let first = scene.show().await["criteria_digest"].clone();
    let second = scene.edit(json!({"acceptance_criteria": other()})).await["criteria_digest"].clone();
    let answer = scene.act(&scene.tenant.user, "review-complete", review()).await.expect(201);
    assert_eq!(answer["review_record"]["criteria_digest"], second);
    // The older one is of what it was before, and does not come back with it.
    scene.edit(json!({"acceptance_criteria": planned()})).await;
    assert_eq!(scene.show().await["criteria_digest"], first);
    nothing_verifies(&scene, &scene.o, "criteria_changed").await;
    scene.edit(json!({"acceptance_criteria": other()})).await;
    let verified = scene.act(&scene.o, "verify", evidence()).await.expect(200);
    assert_eq!(verified["verification"]["criteria_digest"], second);
    assert_eq!(
        [&verified["story"]["contract_stale"], &verified["story"]["verification_stale"]],
        [true, false]
    );
    replay::assert_legal(&scene.o, &scene.story).await;
}

/// In the same text: other order of members, a number written otherwise.
#[tokio::test]
async fn saying_the_same_otherwise_changes_nothing() {
    let scene = Scene::new().await;
    scene.edit(json!({"acceptance_criteria": [{"id": "AC-1", "criterion": "x", "weight": 1.5}]})).await;
    let body = json!({"story_title": "Build API", "ac_count": 1});
    scene.act(&scene.a1, "contract", body).await.expect(200);
    scene.act(&scene.a1, "claim", json!({})).await.expect(200);
    let before = scene.show().await;
    let own = scene.own_orchestrator().await;
    let path = format!("/stories/{}", scene.story);
    let same =
        r#"{"acceptance_criteria":[{"weight":15e-1,"criterion":"x","id":"AC-1"}],"title":"Build API"}"#;
    let request = own.request(reqwest::Method::PATCH, &path).header("content-type", "application/json");
    let edited = own.send(request.body(same)).await.expect(200);
    assert_eq!(edited["story"]["criteria_digest"], before["criteria_digest"]);
    assert!(scene.told().await.is_empty());
}

#[tokio::test]
async fn implementers_do_not_move_their_measure() {
    let scene = Scene::new().await;
    let own = scene.own_orchestrator().await;
    let path = format!("/stories/{}", scene.story);
    // Before they hold it they may plan it like others.
    own.patch(&path, json!({"title": "Build APIs"})).await.expect(200);
    scene.act(&scene.a1, "contract", json!({"story_title": "Build APIs", "ac_count": 2})).await.expect(200);
    let contracted = own.patch(&path, json!({"title": "Build API"})).await.expect(200);
    assert_eq!(contracted["story"]["contract_stale"], true);
    scene.act(&scene.o, "force-unclaim", json!({})).await.expect(200);
    for reach in [Reach::Assigned, Reach::Implementing, Reach::Reviewed, Reach::Verified] {
        scene.bring_on(reach).await;
        let shown = scene.show().await;
        let before = scene.snapshot().await;
        let state = ["agent_status", "verified_status"].map(|column| text(&shown[column]));
        for edit in [
            json!({"title": "Less"}),
            json!({"acceptance_criteria": []}),
            json!({"acceptance_criteria": other()}),
        ] {
            for method in [reqwest::Method::PATCH, reqwest::Method::PUT] {
                let reply = own.send(own.request(method, &path).json(&edit)).await;
                let state = [state[0].as_str(), state[1].as_str()];
                blocked(reply, "self_criteria_blocked", "change-criteria", state, &[false]);
            }
        }
        assert_eq!(scene.snapshot().await, before);
        // What is no measure they may write, and the measure as it is.
        own.patch(&path, json!({"description": format!("{reach:?}"), "title": "Build API"}))
            .await
            .expect(200);
    }
    // Neither when they gave it back, but when it is another attempt.
    scene.act(&scene.o, "force-unclaim", json!({})).await.expect(200);
    let reply = own.patch(&path, json!({"title": "Less"})).await;
    blocked(reply, "self_criteria_blocked", "change-criteria", ["pending", "verified"], &[true]);
    scene.edit(json!({"title": "Build all APIs"})).await;
    scene.act(&scene.o, "reject", json!({"reason": "not all"})).await.expect(200);
    own.patch(&path, json!({"title": "Build API"})).await.expect(200);
    replay::assert_legal(&scene.o, &scene.story).await;
}

impl Scene {
    /// As far as this, from wherever a1 has brought it.
    async fn bring_on(&self, reach: Reach) {
        let steps: &[(&Caller, &str, Value, u16)] = match reach {
            Reach::Assigned => &[(&self.a1, "contract", echo(), 200), (&self.a1, "claim", json!({}), 200)],
            Reach::Implementing => &[(&self.a1, "start", json!({}), 200)],
            Reach::Reviewed => {
                &[(&self.a2, "report", json!({}), 200), (&self.a2, "review-complete", review(), 201)]
            }
            _ => &[(&self.o, "verify", evidence(), 200)],
        };
        for (who, action, body, status) in steps {
            self.act(who, action, body.clone()).await.expect(*status);
        }
    }
}
