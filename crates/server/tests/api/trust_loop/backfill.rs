//! Work that was finished outside the loop.

use chrono::DateTime;
use reqwest::Method;
use serde_json::{Value, json};

use super::impersonation::{inside, superadmin};
use super::{Scene, pluck, replay};
use crate::support::{Caller, Reach, Reply, echo, story, text};

const UNKNOWN: &str = "0190f5ad-0000-7000-8000-000000000000";

fn done() -> Value {
    json!({"reason": "Merged before loopctl", "evidence_url": "https://git.example/pull/232", "pr_number": "232"})
}

async fn backfill(who: &Caller, id: &str, body: Value) -> Reply {
    who.post(&format!("/stories/{id}/backfill"), body).await
}

/// A refusal about the story's state: 422 with the members that every such answer carries.
#[track_caller]
fn refused(reply: Reply, code: &str, state: [&str; 2], words: &[&str]) {
    let error = super::refused(reply, 422, code, "backfill", state);
    for word in words {
        assert!(text(&error["message"]).contains(word), "{error:#}");
    }
}

#[tokio::test]
async fn an_orchestrator_at_least() {
    let scene = Scene::new().await;
    let before = scene.snapshot().await;
    for id in [scene.story.as_str(), UNKNOWN, "not-a-uuid"] {
        for body in [done(), json!({})] {
            let error = backfill(&scene.a1, id, body).await.expect_error(403, "forbidden");
            assert_eq!(error["message"], "Insufficient permissions. Required role: orchestrator");
        }
    }
    let root = superadmin().await;
    backfill(&inside(&root, &scene, Some("agent")), &scene.story, done())
        .await
        .expect_error(403, "forbidden");
    backfill(&root, &scene.story, done()).await.expect_error(400, "bad_request");
    backfill(&Caller::nobody(), &scene.story, done()).await.expect_error(401, "unauthorized");
    assert_eq!(scene.snapshot().await, before);
    // No agent is needed.
    let (nobody, plain) = (scene.tenant.key("orchestrator").await, inside(&root, &scene, None));
    for who in [&scene.o, &nobody, &scene.tenant.user, &plain, &inside(&root, &scene, Some("orchestrator"))] {
        let id = scene.tenant.story().await;
        backfill(who, &id, done()).await.expect(200);
        replay::assert_legal(&scene.o, &id).await;
    }
    let id = scene.tenant.story().await;
    backfill(&plain, &id, done()).await.expect(200);
    let history = plain.get(&format!("/stories/{id}/history")).await.expect(200);
    let entry = &history["data"][1];
    assert_eq!(entry["actor_type"], "superadmin");
    assert_eq!(entry["metadata"]["impersonated_by"], entry["actor_id"]);
}

/// The body comes first, then the lookup, then the story's state.
#[tokio::test]
async fn invalid_bodies_are_refused_before_the_lookup() {
    let scene = Scene::new().await;
    let claimed = scene.tenant.story().await;
    scene.bring(&claimed, Reach::Implementing).await;
    let before = (scene.snapshot().await, scene.snapshot_of(&claimed).await);
    let with = |member: &str, value: Value| {
        let mut body = done();
        body[member] = value;
        body
    };
    for (field, body) in [
        ("reason", json!({})),
        ("reason", json!({"evidence_url": "https://git.example", "pr_number": 1})),
        ("reason", with("reason", json!(null))),
        ("reason", with("reason", json!(""))),
        ("reason", with("reason", json!(" \n\t "))),
        ("reason", with("reason", json!(7))),
        ("reason", with("reason", json!(["because"]))),
        ("2000", with("reason", json!("x".repeat(2001)))),
        ("pr_number", with("pr_number", json!({}))),
        ("pr_number", with("pr_number", json!(0))),
        ("pr_number", with("pr_number", json!(-232))),
        ("pr_number", with("pr_number", json!(1.5))),
        ("pr_number", with("pr_number", json!("#232"))),
        ("pr_number", with("pr_number", json!(true))),
        ("pr_number", with("pr_number", json!(4_294_967_296_i64))),
        ("evidence_url", with("evidence_url", json!("https://user:pw@git.example/pull/232"))),
        ("evidence_url", with("evidence_url", json!("https://user@git.example/pull/232"))),
        ("evidence_url", with("evidence_url", json!("ftp://git.example"))),
        ("evidence_url", with("evidence_url", json!("javascript:alert(1)"))),
        ("evidence_url", with("evidence_url", json!("git.example/pull/232"))),
        ("evidence_url", with("evidence_url", json!(7))),
        ("evidence_url", with("evidence_url", json!({}))),
        ("evidence_url", with("evidence_url", json!(format!("https://git.example/{}", "x".repeat(2000))))),
    ] {
        for id in [scene.story.as_str(), UNKNOWN, &claimed] {
            let error = backfill(&scene.o, id, body.clone()).await.expect_error(422, "validation_failed");
            let message = text(&error["message"]);
            assert!(message.contains(field), "{body}: {message}");
            let details = error["details"].as_object().unwrap();
            assert_eq!(details.len(), 1, "{details:?}");
            assert!(error.get("current_state").is_none());
        }
    }
    let error = backfill(&scene.o, &scene.story, json!({})).await.expect_error(422, "validation_failed");
    assert!(text(&error["message"]).contains("`reason`"));
    for id in [UNKNOWN, "not-a-uuid", "US-1.1"] {
        backfill(&scene.o, id, done()).await.expect_error(404, "not_found");
    }
    backfill(&Scene::new().await.o, &scene.story, done()).await.expect_error(404, "not_found");
    assert_eq!((scene.snapshot().await, scene.snapshot_of(&claimed).await), before);
}

/// Backfill is for work that predates the loop: what an agent ever contracted, or is under way, goes on through it.
#[tokio::test]
async fn the_loop_is_not_to_be_skipped() {
    let scene = Scene::new().await;
    let lineage = ["dispatch lineage", "OUTSIDE the loopctl dispatch"];
    let own = scene.own_orchestrator().await;
    // Where it stands in the loop, by whoever.
    for (reach, status) in [
        (Reach::Contracted, "contracted"),
        (Reach::Assigned, "assigned"),
        (Reach::Implementing, "implementing"),
        (Reach::Reviewed, "reported_done"),
    ] {
        let id = scene.tenant.story().await;
        scene.bring(&id, reach).await;
        let before = scene.snapshot_of(&id).await;
        for who in [&scene.o, &scene.tenant.user, &own] {
            refused(backfill(who, &id, done()).await, "not_pre_existing", [status, "unverified"], &lineage);
        }
        assert_eq!(scene.snapshot_of(&id).await, before);
        // Given back: touched is for ever.
        scene.o.post(&format!("/stories/{id}/force-unclaim"), json!({})).await.expect(200);
        let before = scene.snapshot_of(&id).await;
        let reply = backfill(&scene.o, &id, done()).await;
        refused(reply, "not_pre_existing", ["pending", "unverified"], &lineage);
        assert_eq!(scene.snapshot_of(&id).await, before);
        replay::assert_legal(&scene.o, &id).await;
    }
    // What an orchestrator contracted is as if nothing had been, once it is given back.
    let id = scene.tenant.story().await;
    scene.o.post(&format!("/stories/{id}/contract"), json!({})).await.expect(200);
    scene.o.post(&format!("/stories/{id}/force-unclaim"), json!({})).await.expect(200);
    backfill(&scene.o, &id, done()).await.expect(200);
    replay::assert_legal(&scene.o, &id).await;
    // Unclaimed by its holder.
    let id = scene.tenant.story().await;
    scene.bring(&id, Reach::Implementing).await;
    scene.a1.post(&format!("/stories/{id}/unclaim"), json!({})).await.expect(200);
    refused(backfill(&scene.o, &id, done()).await, "not_pre_existing", ["pending", "unverified"], &lineage);
    // Claimed without an agent.
    let root = inside(&superadmin().await, &scene, Some("agent"));
    let id = scene.tenant.story().await;
    for action in ["contract", "claim", "unclaim"] {
        root.post(&format!("/stories/{id}/{action}"), echo()).await.expect(200);
    }
    refused(backfill(&scene.o, &id, done()).await, "not_pre_existing", ["pending", "unverified"], &lineage);
    // Rejected comes before lineage, verified before both.
    for auto_reset in [true, false] {
        scene.auto_reset(auto_reset).await;
        let id = scene.tenant.story().await;
        scene.bring(&id, Reach::Verified).await;
        let state = ["reported_done", "verified"];
        refused(backfill(&scene.o, &id, done()).await, "already_verified", state, &["already verified"]);
        scene.o.post(&format!("/stories/{id}/reject"), json!({"reason": "broken"})).await.expect(200);
        let state = [if auto_reset { "pending" } else { "reported_done" }, "rejected"];
        let before = scene.snapshot_of(&id).await;
        refused(backfill(&scene.o, &id, done()).await, "story_rejected", state, &["rejected"]);
        assert_eq!(scene.snapshot_of(&id).await, before);
    }
    // Imported as reported: it awaits verification, not a backfill.
    let mut old = story("1.1");
    old["initial_agent_status"] = json!("reported_done");
    let project =
        scene.tenant.imported(json!({"epics": [{"number": 1, "title": "Old", "stories": [old]}]})).await;
    let id = scene.tenant.story_id(&project, "1.1").await;
    let state = ["reported_done", "unverified"];
    refused(backfill(&scene.o, &id, done()).await, "not_pre_existing", state, &lineage);
}

/// And the same call again is a retry, not a second backfill.
#[tokio::test]
async fn what_was_done_before_is_recorded() {
    let scene = Scene::new().await;
    let path = format!("/stories/{}", scene.story);
    scene.o.patch(&path, json!({"metadata": {"team": "a"}})).await;
    let kept = scene.show().await["metadata"].clone();
    let answer = backfill(&scene.o, &scene.story, done()).await.expect(200);
    let story = &answer["story"];
    assert_eq!(answer["next_actions"], json!([]));
    assert_eq!([&story["agent_status"], &story["verified_status"]], ["reported_done", "verified"]);
    assert!(story["reported_done_at"].is_string());
    assert_eq!(story["reported_done_at"], story["verified_at"]);
    for column in ["assigned_agent_id", "first_claimed_at", "reported_by_agent_id", "assigned_at"] {
        assert_eq!(story.get(column), Some(&Value::Null), "{column}");
    }
    let said = &story["metadata"]["backfill"];
    assert_eq!(said["reason"], "Merged before loopctl");
    assert_eq!(said["evidence_url"], "https://git.example/pull/232");
    assert_eq!(said["pr_number"], 232);
    assert!(DateTime::parse_from_rfc3339(said["backfilled_at"].as_str().unwrap()).is_ok());
    assert_eq!(story["metadata"].get("team"), kept.get("team"));
    let shown = scene.show().await;
    for (name, value) in story.as_object().unwrap() {
        assert_eq!(shown[name], *value, "{name}");
    }

    let history = scene.history().await;
    let entry = history.last().unwrap();
    assert_eq!(entry["action"], "backfilled");
    assert_eq!(entry["old_state"], json!({"agent_status": "pending", "verified_status": "unverified"}));
    let new = json!({"agent_status": "reported_done", "verified_status": "verified", "source": "pre_loopctl",
                     "reason": "Merged before loopctl", "evidence_url": "https://git.example/pull/232",
                     "pr_number": 232});
    assert_eq!(entry["new_state"], new);
    assert!(text(&entry["actor_label"]).starts_with("orchestrator:"));
    // No verification result: nobody verified anything.
    assert_eq!(scene.get("/verifications").await["meta"]["total_count"], 0);
    assert_eq!(shown["iteration_count"], 0);
    replay::assert_legal(&scene.o, &scene.story).await;
}

#[tokio::test]
async fn the_same_again_changes_nothing() {
    let scene = Scene::new().await;
    backfill(&scene.o, &scene.story, done()).await.expect(200);
    let before = scene.snapshot().await;
    // As a number, with blanks around, with unknown members, by somebody else.
    for body in [
        done(),
        json!({"reason": "  Merged before loopctl\n", "evidence_url": " https://git.example/pull/232 ", "pr_number": 232}),
        json!({"reason": "Merged before loopctl", "evidence_url": "https://git.example/pull/232", "pr_number": 232, "x": 1}),
    ] {
        for who in [&scene.o, &scene.tenant.user] {
            let again = backfill(who, &scene.story, body.clone()).await.expect(200);
            assert_eq!(again["story"]["verified_status"], "verified");
        }
    }
    assert_eq!(scene.snapshot().await, before);
    let state = ["reported_done", "verified"];
    for (member, value) in [
        ("reason", json!("Another reason")),
        ("pr_number", json!(233)),
        ("pr_number", json!(null)),
        ("evidence_url", json!("https://git.example/pull/233")),
        ("evidence_url", json!(" ")),
    ] {
        let mut body = done();
        body[member] = value;
        let reply = backfill(&scene.o, &scene.story, body).await;
        refused(reply, "already_verified", state, &["already verified"]);
    }
    assert_eq!(scene.snapshot().await, before);
    // Planners do not make it forgotten.
    let at = format!("/stories/{}", scene.story);
    let said = scene.show().await["metadata"]["backfill"].clone();
    for metadata in [json!({}), json!({"backfill": said, "a": 1})] {
        scene.o.patch(&at, json!({"metadata": metadata})).await.expect(200);
        assert_eq!(scene.show().await["metadata"]["backfill"], said);
    }
    backfill(&scene.o, &scene.story, done()).await.expect(200);
    // Left out and blank are the same as nothing.
    let scene = scene.next().await;
    backfill(&scene.o, &scene.story, json!({"reason": "r"})).await.expect(200);
    let before = scene.snapshot().await;
    let body = json!({"reason": "r", "evidence_url": "", "pr_number": null});
    backfill(&scene.o, &scene.story, body).await.expect(200);
    assert_eq!(scene.snapshot().await, before);
    assert_eq!(scene.show().await["metadata"]["backfill"].get("evidence_url"), Some(&Value::Null));
    // Imported as verified: no backfill made it so.
    let mut old = story("1.1");
    old["initial_verified_status"] = json!("pass");
    let project =
        scene.tenant.imported(json!({"epics": [{"number": 1, "title": "Old", "stories": [old]}]})).await;
    let id = scene.tenant.story_id(&project, "1.1").await;
    refused(backfill(&scene.o, &id, done()).await, "already_verified", state, &["already verified"]);
}

/// A backfilled story is a verified one: nothing to claim, a prerequisite that is met, and open to late rejection.
#[tokio::test]
async fn a_backfilled_story_is_verified_like_any_other() {
    let scene = Scene::new().await;
    let project = scene
        .tenant
        .imported(json!({
            "epics": [{"number": 1, "title": "A", "stories": [story("1.1"), story("1.2")]}],
            "story_dependencies": [{"story": "1.2", "depends_on": "1.1"}],
        }))
        .await;
    let (first, second) =
        (scene.tenant.story_id(&project, "1.1").await, scene.tenant.story_id(&project, "1.2").await);
    scene.bring(&second, Reach::Contracted).await;
    let claim = format!("/stories/{second}/claim");
    scene.a1.post(&claim, json!({})).await.expect_error(409, "dependencies_not_met");
    backfill(&scene.o, &first, done()).await.expect(200);
    scene.a1.post(&claim, json!({})).await.expect(200);
    let path = format!("/stories/{first}/contract");
    scene.a1.post(&path, echo()).await.expect_error(409, "invalid_transition");
    let path = format!("/stories/{first}/verify");
    scene.o.post(&path, super::evidence()).await.expect_error(409, "invalid_transition");
    scene.o.post(&format!("/stories/{first}/reject"), json!({"reason": "broken"})).await.expect(200);
    // Rejected and reworked: from here on it is the loop's, and its old backfill counts for nothing.
    let state = ["pending", "rejected"];
    refused(backfill(&scene.o, &first, done()).await, "story_rejected", state, &["rejected"]);
    scene.bring(&first, Reach::Reported).await;
    let state = ["reported_done", "unverified"];
    refused(backfill(&scene.o, &first, done()).await, "not_pre_existing", state, &["dispatch lineage"]);
    scene.o.post(&format!("/stories/{first}/force-unclaim"), json!({})).await.expect(200);
    let state = ["pending", "unverified"];
    refused(backfill(&scene.o, &first, done()).await, "not_pre_existing", state, &["dispatch lineage"]);
    replay::assert_legal(&scene.o, &first).await;
    let history = scene.tenant.user.get(&format!("/stories/{first}/history")).await.expect(200);
    let actions = pluck(history["data"].as_array().unwrap(), "action");
    assert_eq!(actions.iter().filter(|action| *action == "backfilled").count(), 1);
}

/// What looks like a backfill, in more ways than one.
fn forgeries() -> [Value; 6] {
    let mut full = done();
    full["backfilled_at"] = json!("2026-01-01T00:00:00.000000Z");
    [full, json!({"reason": "x"}), json!({}), json!("done"), json!([1]), Value::Null]
}

/// Where a verified story comes from is told by a backfill alone: planners can neither say it nor unsay it.
#[tokio::test]
async fn planners_do_not_tell_of_backfills() {
    let scene = Scene::new().await;
    let (user, project) = (&scene.tenant.user, text(&scene.show().await["project_id"]));
    let epic = text(&scene.show().await["epic_id"]);
    let backfilled = scene.tenant.story_id(&scene.tenant.project_of(&["1.1"]).await, "1.1").await;
    backfill(&scene.o, &backfilled, done()).await.expect(200);
    let before = [scene.show().await, scene.snapshot_of(&backfilled).await];
    for forged in forgeries() {
        let metadata = json!({"backfill": forged, "team": "a"});
        let story = json!({"number": "1.2", "title": "s", "metadata": metadata, "epic_number": 1});
        for (method, path, body) in [
            (Method::POST, format!("/epics/{epic}/stories"), &story),
            (Method::POST, format!("/projects/{project}/stories"), &story),
            (Method::PATCH, format!("/stories/{}", scene.story), &json!({"metadata": metadata})),
            (Method::PUT, format!("/stories/{}", scene.story), &json!({"metadata": metadata})),
            (Method::PATCH, format!("/stories/{backfilled}"), &json!({"metadata": metadata})),
        ] {
            let error = user.send(user.request(method, &path).json(body)).await;
            let error = error.expect_error(422, "validation_failed");
            let message = text(&error["details"]["metadata"][0]);
            assert!(message.contains("`backfill`"), "{path}: {message}");
            assert_eq!(error["details"].as_object().unwrap().len(), 1, "{error:#}");
        }
        let stories = json!([{"number": "1.1", "metadata": metadata}]);
        let plan = json!({"epics": [{"number": 1, "stories": stories}]});
        let error = user.post(&format!("/projects/{project}/import?merge=true"), plan).await;
        let message = text(&error.expect_error(422, "invalid_import")["message"]);
        assert!(
            message.starts_with("story '1.1': metadata: ") && message.contains("`backfill`"),
            "{message}"
        );
    }
    assert_eq!([scene.show().await, scene.snapshot_of(&backfilled).await], before);
    let list = user.get(&format!("/stories?project_id={project}")).await.expect(200);
    assert_eq!(list["meta"]["total_count"], 1);
}

/// A plan that was exported can be imported again, into its project and into another one, where its stories are new: what
/// the export told of a backfill is kept there as what it is, and proves nothing.
#[tokio::test]
async fn an_import_brings_no_backfill_along() {
    let scene = Scene::new().await;
    let (user, project) = (&scene.tenant.user, text(&scene.show().await["project_id"]));
    scene.o.patch(&format!("/stories/{}", scene.story), json!({"metadata": {"team": "a"}})).await.expect(200);
    backfill(&scene.o, &scene.story, done()).await.expect(200);
    let said = scene.show().await["metadata"]["backfill"].clone();
    for query in ["", "?include_status=true"] {
        let document = user.get(&format!("/projects/{project}/export{query}")).await.expect(200);
        let before = scene.snapshot().await;
        user.post(&format!("/projects/{project}/import?merge=true"), document.clone()).await.expect(200);
        assert_eq!(scene.snapshot().await, before);

        let other = scene.tenant.imported(document.clone()).await;
        let id = scene.tenant.story_id(&other, "1.1").await;
        let metadata =
            async || user.get(&format!("/stories/{id}")).await.expect(200)["story"]["metadata"].clone();
        let expected = json!({"team": "a", "imported_backfill": said});
        assert_eq!(metadata().await, expected);
        // The same document again, and what comes out again, change nothing more.
        let again = user.get(&format!("/projects/{other}/export")).await.expect(200);
        for document in [document, again] {
            user.post(&format!("/projects/{other}/import?merge=true"), document).await.expect(200);
            assert_eq!(metadata().await, expected);
        }
        // It can be taken away again, as everything that planners write.
        user.patch(&format!("/stories/{id}"), json!({"metadata": {}})).await.expect(200);
        assert_eq!(metadata().await, json!({}));
    }
    // Forged or not, it is no proof: the story is backfilled as if nothing had been said.
    for forged in forgeries() {
        let mut old = story("1.1");
        old["metadata"] = json!({"backfill": forged});
        let plan = json!({"epics": [{"number": 1, "title": "Old", "stories": [old]}]});
        let project = scene.tenant.imported(plan.clone()).await;
        let id = scene.tenant.story_id(&project, "1.1").await;
        let shown = user.get(&format!("/stories/{id}")).await.expect(200);
        assert_eq!(shown["story"]["metadata"], json!({"imported_backfill": forged}));
        backfill(&scene.o, &id, json!({"reason": "really"})).await.expect(200);
        // Verified by the import itself: the forgery does not make it a backfill either.
        let mut verified = plan;
        verified["epics"][0]["stories"][0]["initial_verified_status"] = json!("pass");
        let project = scene.tenant.imported(verified).await;
        let id = scene.tenant.story_id(&project, "1.1").await;
        let reply = backfill(&scene.o, &id, done()).await;
        refused(reply, "already_verified", ["reported_done", "verified"], &["already verified"]);
    }
}
