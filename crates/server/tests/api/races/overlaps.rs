//! Bulk calls, backfills and claims that meet in the same stories.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use loopctl_core::lifecycle::Action;
use serde_json::json;

use super::{ROUNDS, bulk, call, together};
use crate::support::{Reach, Reply, Tenant, bring, connect, echo, rounds, server, text};
use crate::trust_loop::epics::completions;
use crate::trust_loop::replay::assert_legal;
use crate::trust_loop::walk::body;
use crate::trust_loop::{results, stories};

/// The same stories from both ends: neither call fails, and each story goes to one of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn bulk_calls_in_opposite_order_share_the_work() {
    let tenant = Tenant::new().await;
    let (a1, a2) = (tenant.agent().await, tenant.agent().await);
    let (o, p) = (tenant.orchestrator().await, tenant.orchestrator().await);
    for round in 0..rounds(ROUNDS) {
        let mut ids = stories(&tenant, 6).await;
        let (action, people, reach) = match round % 4 {
            0 => (Action::Claim, [&a1, &a2], Some(Reach::Contracted)),
            1 => (Action::Verify, [&o, &p], Some(Reach::Reviewed)),
            2 => (Action::Reject, [&o, &p], Some(Reach::Reported)),
            _ => (Action::MarkComplete, [&o, &p], None),
        };
        if let Some(reach) = reach {
            join_all(ids.iter().map(|id| bring(id, reach, &a1, &a2, &o))).await;
        }
        let mut calls = Vec::new();
        for who in people {
            let (who, list) = (who.clone(), ids.clone());
            calls.push(async move { bulk(&who, action, &list).await });
            ids.reverse();
        }
        let mut won: HashMap<String, usize> = HashMap::new();
        for reply in together(calls).await {
            for result in results(reply) {
                let success = result["status"] == "success";
                *won.entry(text(&result["story_id"])).or_default() += usize::from(success);
            }
        }
        // Marking what is marked is a success as well.
        let winners = if action == Action::MarkComplete { 2 } else { 1 };
        assert_eq!(won.len(), 6);
        assert!(won.values().all(|count| *count == winners), "{action}: {won:?}");
        for id in &ids {
            assert_legal(&o, id).await;
            let shown = o.get(&format!("/stories/{id}")).await.expect(200);
            let results = usize::from(action != Action::Claim);
            assert_eq!(shown["story"]["iteration_count"], results, "{action}");
        }
    }
    tenant.keeps_count().await;
}

/// The parts of an epic, verified at once by whatever way, complete it once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_parts_of_an_epic_complete_it_once() {
    let tenant = Tenant::new().await;
    let (a1, a2) = (tenant.agent().await, tenant.agent().await);
    let (o, p) = (tenant.orchestrator().await, tenant.orchestrator().await);
    for round in 0..rounds(ROUNDS) {
        let ids = stories(&tenant, 4).await;
        let first = if round % 2 == 0 { Action::Verify } else { Action::MarkComplete };
        if first == Action::Verify {
            join_all(ids[..2].iter().map(|id| bring(id, Reach::Reviewed, &a1, &a2, &o))).await;
        }
        let shown = o.get(&format!("/stories/{}", ids[0])).await.expect(200);
        let epic = text(&shown["story"]["epic_id"]);
        let mut calls: Vec<BoxFuture<'static, Reply>> = Vec::new();
        for (who, action, part) in [(&o, first, &ids[..2]), (&p, Action::MarkComplete, &ids[2..3])] {
            let (who, part) = (who.clone(), part.to_vec());
            calls.push(Box::pin(async move { bulk(&who, action, &part).await }));
        }
        calls.push(Box::pin(call(&p, &ids[3], "backfill", body(Action::Backfill))));
        for reply in together(calls).await {
            reply.expect(200);
        }
        let done = completions(&epic).await;
        assert_eq!(done.len(), 1);
        assert_eq!(done[0]["new_state"]["story_count"], 4);
        for id in &ids {
            assert_legal(&o, id).await;
        }
    }
    tenant.keeps_count().await;
}

/// Whoever is first: work of the loop, or work that was done before it. Never both.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_claim_and_a_sign_off_without_the_loop_exclude_each_other() {
    let tenant = Tenant::new().await;
    let (a1, o) = (tenant.agent().await, tenant.orchestrator().await);
    for (round, id) in stories(&tenant, 2 * rounds(ROUNDS)).await.into_iter().enumerate() {
        call(&a1, &id, "contract", echo()).await.expect(200);
        let calls = [(&a1, Action::Claim), (&o, Action::MarkComplete)].map(|(who, action)| {
            let (who, ids) = (who.clone(), vec![id.clone()]);
            async move { bulk(&who, action, &ids).await }
        });
        let mut calls = Vec::from(calls);
        if round % 2 == 1 {
            calls.reverse();
        }
        let mut replies = together(calls).await;
        if round % 2 == 1 {
            replies.reverse();
        }
        let (mark, claim) = (results(replies.pop().unwrap()), results(replies.pop().unwrap()));
        let shown = o.get(&format!("/stories/{id}")).await.expect(200);
        let verified = shown["story"]["verified_status"] == "verified";
        if claim[0]["status"] == "success" {
            assert_eq!(mark[0]["code"], "not_pre_existing");
            assert!(!verified);
        } else {
            assert_eq!(claim[0]["code"], "invalid_transition");
            assert_eq!(mark[0]["status"], "success");
            assert!(verified && shown["story"]["first_claimed_at"].is_null());
        }
        assert_legal(&o, &id).await;
    }
    tenant.keeps_count().await;
}

/// All 200, one set of rows; and who says something else is told the truth.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_backfill_many_times_at_once() {
    let tenant = Tenant::new().await;
    let o = tenant.orchestrator().await;
    let said = |number: usize| if number == 3 { "otherwise" } else { "done before" };
    for id in stories(&tenant, rounds(ROUNDS)).await {
        let calls = (0..6).map(|number| call(&o, &id, "backfill", json!({"reason": said(number)})));
        let replies = together(calls.collect()).await;
        let shown = o.get(&format!("/stories/{id}")).await.expect(200);
        let kept = text(&shown["story"]["metadata"]["backfill"]["reason"]);
        for (number, reply) in replies.into_iter().enumerate() {
            if said(number) == kept {
                reply.expect(200);
            } else {
                reply.expect_error(422, "already_verified");
            }
        }
        let history = o.get(&format!("/stories/{id}/history")).await.expect(200);
        assert_eq!(history["meta"]["total_count"], 2);
        assert_legal(&o, &id).await;
    }
    tenant.keeps_count().await;
}

/// A story that somebody else holds makes a call wait, and nothing worse; what it then finds is the truth.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_locked_story_only_delays() {
    let tenant = Tenant::new().await;
    let (a1, a2, o) = (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
    let mut owner = connect(&server().owner).await;
    let ids = stories(&tenant, 3).await;
    for id in &ids {
        o.post(&format!("/stories/{id}/contract"), json!({})).await.expect(200);
    }
    let lock = owner.transaction().await.unwrap();
    // Taken by another while the call waits.
    lock.execute(
        "update story_states set agent_status = 'assigned', assigned_agent_id = $2::text::uuid, assigned_at = now(),
                            first_claimed_at = now(), first_touched_at = now()
         where id = $1::text::uuid",
        &[&ids[1], &a2.agent()],
    )
    .await
    .unwrap();
    let call = tokio::spawn({
        let (a1, ids) = (a1.clone(), ids.clone());
        async move { bulk(&a1, Action::Claim, &ids).await }
    });
    // It waits for the lock, and holds nothing back from others but what it has locked itself.
    let watcher = connect(&server().owner).await;
    let waiting = "select count(*) from pg_stat_activity
                   where wait_event_type = 'Lock' and query like '%order by id for no key update%'
                     and pg_backend_pid() <> pid";
    while watcher.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        assert!(!call.is_finished(), "the call did not wait");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let other = tenant.story().await;
    a2.post(&format!("/stories/{other}/contract"), echo()).await.expect(200);
    assert!(!call.is_finished());
    lock.commit().await.unwrap();
    let answer = results(call.await.unwrap());
    let outcomes: Vec<_> = answer.iter().map(|result| text(&result["status"])).collect();
    assert_eq!(outcomes, ["success", "error", "success"]);
    assert_eq!(answer[1]["code"], "invalid_transition");
    assert_eq!(answer[1]["current_state"], "assigned");
    tenant.keeps_count().await;
}
