//! Criteria, artifacts and deletions that meet a verification: whoever is first, what is left is legal.

use futures_util::future::BoxFuture;
use loopctl_core::lifecycle::Action;
use serde_json::{Value, json};

use super::{ROUNDS, bulk, call, together};
use crate::support::{Caller, Reach, Reply, Tenant, bring, rounds, story, text};
use crate::trust_loop::replay::assert_legal;
use crate::trust_loop::walk::body;

type Call = BoxFuture<'static, Reply>;

/// Makes two calls at once, every other time in the other order; the answers as the calls were given.
async fn duel(round: usize, one: Call, other: Call) -> [Reply; 2] {
    let mut calls = vec![one, other];
    if round % 2 == 1 {
        calls.reverse();
    }
    let mut replies = together(calls).await;
    if round % 2 == 1 {
        replies.reverse();
    }
    replies.try_into().unwrap()
}

fn edit(who: &Caller, id: &str, title: &'static str) -> Call {
    let (who, path) = (who.clone(), format!("/stories/{id}"));
    Box::pin(async move { who.patch(&path, json!({"title": title})).await })
}

async fn shown(who: &Caller, id: &str) -> Value {
    who.get(&format!("/stories/{id}")).await.expect(200)["story"].clone()
}

/// Either it is verified as it was reviewed, and visibly stale, or it is not verified.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_verification_and_a_change_of_criteria() {
    let tenant = Tenant::new().await;
    let (a1, a2, o) = (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
    for round in 0..rounds(ROUNDS) {
        let id = tenant.story().await;
        bring(&id, Reach::Reviewed, &a1, &a2, &o).await;
        let reviewed = shown(&o, &id).await["criteria_digest"].clone();
        let verify: Call = match round % 3 {
            0 => Box::pin(call(&o, &id, "verify", body(Action::Verify))),
            1 => {
                let (o, ids) = (o.clone(), vec![id.clone()]);
                Box::pin(async move { bulk(&o, Action::Verify, &ids).await })
            }
            _ => {
                let (o, epic) = (o.clone(), text(&shown(&o, &id).await["epic_id"]));
                Box::pin(
                    async move { o.post(&format!("/epics/{epic}/verify-all"), body(Action::Verify)).await },
                )
            }
        };
        let [verify, edit] = duel(round, verify, edit(&tenant.user, &id, "Less")).await;
        edit.expect(200);
        let story = shown(&o, &id).await;
        if story["verified_status"] == "verified" {
            assert_eq!(story["verification_stale"], true, "verified first");
            assert_eq!(story["latest_verification"]["criteria_digest"], reviewed);
        } else {
            let told = verify.body.to_string();
            assert!(told.contains("criteria_changed"), "{told}");
            assert_eq!(story["latest_verification"], Value::Null);
        }
        assert_legal(&o, &id).await;
    }
    tenant.keeps_count().await;
}

/// A review is of the text that it met, and only that passes.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_review_and_a_change_of_criteria() {
    let tenant = Tenant::new().await;
    let (a1, a2, o) = (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
    for round in 0..rounds(ROUNDS) {
        let id = tenant.story().await;
        bring(&id, Reach::Reported, &a1, &a2, &o).await;
        let review: Call = Box::pin(call(&a2, &id, "review-complete", body(Action::ReviewComplete)));
        let [review, edit] = duel(round, review, edit(&tenant.user, &id, "Less")).await;
        let (seen, now) = (review.expect(201), edit.expect(200));
        let same = seen["review_record"]["criteria_digest"] == now["story"]["criteria_digest"];
        let verified = o.post(&format!("/stories/{id}/verify"), body(Action::Verify)).await;
        if same {
            verified.expect(200);
        } else {
            verified.expect_error(422, "criteria_changed");
        }
        assert_legal(&o, &id).await;
    }
    tenant.keeps_count().await;
}

/// Whoever comes to hold it at that moment has not moved its measure afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_claim_and_a_change_of_criteria_by_the_same_agent() {
    let tenant = Tenant::new().await;
    let (a1, a2, o) = (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
    let own = tenant.orchestrator_of(a1.agent()).await;
    for round in 0..rounds(ROUNDS) {
        let id = tenant.story().await;
        bring(&id, Reach::Contracted, &a1, &a2, &o).await;
        let claim: Call = Box::pin(call(&a1, &id, "claim", json!({})));
        let [claim, edit] = duel(round, claim, edit(&own, &id, "Less")).await;
        claim.expect(200);
        if edit.status != 200 {
            edit.expect_error(409, "self_criteria_blocked");
        }
        let history = o.get(&format!("/stories/{id}/history")).await.expect(200);
        let actions: Vec<_> =
            history["data"].as_array().unwrap().iter().map(|entry| text(&entry["action"])).collect();
        let changed = actions.iter().position(|action| action == "criteria_changed");
        assert!(
            changed.is_none_or(|place| place < actions.len() - 1),
            "changed after the claim: {actions:?}"
        );
        assert_legal(&o, &id).await;
    }
    tenant.keeps_count().await;
}

/// Adopted before any agent touched it, or touched and not adopted.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_artifact_and_a_sign_off_without_the_loop() {
    let tenant = Tenant::new().await;
    let (a1, o) = (tenant.agent().await, tenant.orchestrator().await);
    for round in 0..rounds(ROUNDS) {
        let id = tenant.story().await;
        let adopt: Call = if round % 4 < 2 {
            Box::pin(call(&o, &id, "backfill", body(Action::Backfill)))
        } else {
            let (o, ids) = (o.clone(), vec![id.clone()]);
            Box::pin(async move { bulk(&o, Action::MarkComplete, &ids).await })
        };
        let artifact: Call =
            Box::pin(call(&a1, &id, "artifacts", json!({"artifact_type": "diff", "path": "a"})));
        let [adopt, artifact] = duel(round, adopt, artifact).await;
        artifact.expect(201);
        let history = o.get(&format!("/stories/{id}/history")).await.expect(200);
        let entries = history["data"].as_array().unwrap();
        let place = |what: &[&str]| {
            entries.iter().position(|entry| {
                what.contains(&entry["action"].as_str().unwrap())
                    && entry["entity_type"] != "verification_result"
            })
        };
        let touched = entries.iter().position(|entry| entry["entity_type"] == "artifact_report").unwrap();
        if adopt.status == 200 {
            assert!(place(&["backfilled", "mark_complete"]).unwrap() < touched, "{entries:#?}");
            assert_eq!(shown(&o, &id).await["verified_status"], "verified");
        } else {
            assert!(adopt.body.to_string().contains("not_pre_existing"), "{:#}", adopt.body);
            assert_eq!(shown(&o, &id).await["verified_status"], "unverified");
        }
        assert_legal(&o, &id).await;
    }
    tenant.keeps_count().await;
}

/// The number of a touched story is taken, or remembered: at no moment is it free.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_deletion_and_an_import_as_done_of_the_same_number() {
    let tenant = Tenant::new().await;
    let (a1, a2, o) = (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
    for round in 0..rounds(ROUNDS) {
        let project = tenant.project_of(&["1.1", "1.2"]).await;
        let id = tenant.story_id(&project, "1.1").await;
        bring(&id, Reach::Contracted, &a1, &a2, &o).await;
        let number = "1.1";
        let mut item = story(number);
        item["initial_verified_status"] = json!("verified");
        let plan = json!({"epics": [{"number": 2, "title": "Old", "stories": [item]}]});
        let epics = o.get(&format!("/projects/{project}/epics")).await.expect(200);
        let target = if round % 3 == 0 {
            format!("/epics/{}", text(&epics["data"][0]["id"]))
        } else {
            format!("/stories/{id}")
        };
        let user = tenant.user.clone();
        let delete: Call = Box::pin(async move { user.delete(&target).await });
        let (who, path) = (o.clone(), format!("/projects/{project}/import"));
        let import: Call = Box::pin(async move { who.post(&path, plan).await });
        let [delete, import] = duel(round, delete, import).await;
        delete.expect(204);
        let list = o.get(&format!("/stories?project_id={project}&number={number}")).await.expect(200);
        match import.status {
            409 => drop(import.expect_error(409, "import_conflict")),
            _ => drop(import.expect_error(422, "not_pre_existing")),
        }
        assert_eq!(list["data"], json!([]));
    }
    tenant.keeps_count().await;
}
