//! Somebody does the work and lets another agent hold the story while it is signed off.

use serde_json::json;

use super::*;
use crate::support::echo;

/// Nothing that the implementer's keys do to reported work is heard, by whatever role and in whatever form.
async fn judges_nothing(scene: &Scene, [agent, orchestrator]: &[Caller; 2], over: &[bool]) {
    let before = scene.snapshot().await;
    let state = ["reported_done", "unverified"];
    for who in [agent, orchestrator] {
        let reply = scene.act(who, "review-complete", review()).await;
        blocked(reply, "self_review_blocked", "review-complete", state, over);
    }
    let verify = scene.act(orchestrator, "verify", evidence()).await;
    blocked(verify, "self_verify_blocked", "verify", state, over);
    let reject = scene.act(orchestrator, "reject", json!({"reason": "mine"})).await;
    blocked(reject, "self_verify_blocked", "reject", state, over);
    scene.act(agent, "verify", evidence()).await.expect_error(403, "forbidden");
    for action in ["verify", "reject"] {
        let item = json!({"story_id": scene.story, "reason": "mine"});
        let answer = orchestrator.post(&format!("/stories/bulk/{action}"), json!({"stories": [item]})).await;
        let answer = results(answer);
        assert_eq!(outcomes(&answer), ["self_verify_blocked"]);
        assert_eq!(answer[0]["context"]["held"].as_array().unwrap().len(), over.len(), "{answer:#?}");
    }
    nothing_verifies(scene, orchestrator, "self_verify_blocked").await;
    assert_eq!(scene.snapshot().await, before);
}

#[tokio::test]
async fn a_puppet_that_holds_the_story_covers_nobody() {
    for forced in [false, true] {
        let scene = Scene::new().await;
        let mine = scene.keys_of(&scene.a1).await;
        let puppet = scene.tenant.agent().await;
        scene.start(&scene.a1).await;
        let (who, action) = if forced { (&mine[1], "force-unclaim") } else { (&mine[0], "unclaim") };
        scene.act(who, action, json!({})).await.expect(200);
        scene.start(&puppet).await;
        let before = scene.snapshot().await;
        for who in &mine {
            let reply = scene.act(who, "report", json!({})).await;
            blocked(reply, "self_report_blocked", "report", ["implementing", "unverified"], &[true]);
        }
        assert_eq!(scene.snapshot().await, before);
        scene.act(&scene.a2, "report", json!({})).await.expect(200);
        judges_nothing(&scene, &mine, &[true]).await;
        judges_nothing(&scene, &scene.keys_of(&puppet).await, &[false]).await;
        scene.finish_honestly(&scene.a2).await;
    }
}

/// However often it changes hands, and whether anybody still holds it.
#[tokio::test]
async fn everybody_who_started_it_is_an_implementer() {
    let scene = Scene::new().await;
    let mine = scene.keys_of(&scene.a1).await;
    let puppets = [scene.tenant.agent().await, scene.tenant.agent().await];
    for who in [&scene.a1, &puppets[0], &scene.a1, &puppets[1]] {
        scene.start(who).await;
        if who.agent() != puppets[1].agent() {
            scene.act(who, "unclaim", json!({})).await.expect(200);
        }
    }
    scene.act(&scene.a2, "report", json!({})).await.expect(200);
    judges_nothing(&scene, &mine, &[true]).await;
    judges_nothing(&scene, &scene.keys_of(&puppets[0]).await, &[true]).await;
    let holder = scene.keys_of(&puppets[1]).await;
    judges_nothing(&scene, &holder, &[false]).await;
    // A report that is taken back and made again is still one of the same cycle.
    scene.act(&puppets[1], "unclaim", json!({})).await.expect(200);
    let late = scene.tenant.agent().await;
    scene.start(&late).await;
    scene.act(&scene.a2, "report", json!({})).await.expect(200);
    judges_nothing(&scene, &mine, &[true]).await;
    judges_nothing(&scene, &holder, &[true]).await;
    scene.finish_honestly(&scene.a2).await;
}

/// A story that is claimed and not started is held all the same.
#[tokio::test]
async fn holding_is_enough_and_having_held_is_not() {
    let scene = Scene::new().await;
    let own = scene.own_orchestrator().await;
    // Contracted once, and claimed once: no work.
    for reach in [Reach::Contracted, Reach::Assigned] {
        scene.bring(&scene.story, reach).await;
        scene.act(&scene.o, "force-unclaim", json!({})).await.expect(200);
    }
    scene.start(&scene.a2).await;
    scene.act(&own, "report", json!({})).await.expect(200);
    scene.act(&scene.a1, "review-complete", review()).await.expect(201);
    let verified = scene.act(&own, "verify", evidence()).await.expect(200);
    assert_eq!(verified["story"]["verification_source"], "loop");
    replay::assert_legal(&scene.o, &scene.story).await;

    let scene = Scene::at(Reach::Assigned).await;
    let own = scene.own_orchestrator().await;
    let edit = own.patch(&format!("/stories/{}", scene.story), json!({"title": "Less"})).await;
    blocked(edit, "self_criteria_blocked", "change-criteria", ["assigned", "unverified"], &[false]);
}

/// One by one, in bulk and by epic: what others than the implementers do goes through.
#[tokio::test]
async fn others_verify_in_every_form() {
    let scene = Scene::new().await;
    let ids = crate::trust_loop::stories(&scene.tenant, 4).await;
    for id in &ids {
        // Each changed hands.
        scene.bring(id, Reach::Implementing).await;
        scene.a1.post(&format!("/stories/{id}/unclaim"), json!({})).await.expect(200);
        let other = scene.tenant.agent().await;
        for (action, body) in [("contract", echo()), ("claim", json!({})), ("start", json!({}))] {
            other.post(&format!("/stories/{id}/{action}"), body).await.expect(200);
        }
        scene.a2.post(&format!("/stories/{id}/report"), json!({})).await.expect(200);
        scene.a2.post(&format!("/stories/{id}/review-complete"), review()).await.expect(201);
    }
    let item = |id: &String| json!({"story_id": id});
    let answer =
        scene.o.post("/stories/bulk/verify", json!({"stories": [item(&ids[0]), item(&ids[1])]})).await;
    assert_eq!(outcomes(&results(answer)), ["success"; 2]);
    let shown = scene.o.get(&format!("/stories/{}", ids[2])).await.expect(200);
    let epic = text(&shown["story"]["epic_id"]);
    let all = scene.o.post(&format!("/epics/{epic}/verify-all"), evidence()).await.expect(200);
    assert_eq!([&all["verified_count"], &all["skipped_count"]], [2, 0], "{all:#}");
    for id in &ids {
        let shown = scene.o.get(&format!("/stories/{id}")).await.expect(200);
        assert_eq!(shown["story"]["verification_source"], "loop");
        replay::assert_legal(&scene.o, id).await;
    }
}
