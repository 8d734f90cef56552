//! Many calls at once, or calls that meet in more than one story.

use std::collections::HashSet;

use futures_util::future::join_all;
use loopctl_core::lifecycle::Action;
use serde_json::json;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{ROUNDS, call, together};
use crate::support::{Caller, Reach, Tenant, bring, connect, rounds, seed, server, story, text, unique};
use crate::trust_loop::replay::assert_legal;
use crate::trust_loop::walk::{Dice, assert_well_formed, body, request};
use crate::trust_loop::{refused, stories};

const SEED_HINT: &str = "Story is already claimed by another agent. Use force-unclaim to reset it.";

/// Agents with a key each, straight into the database: over HTTP, 64 of them would take their time.
async fn crowd(tenant: &Tenant, size: usize) -> Vec<Caller> {
    let owner = connect(&server().owner).await;
    let tenant_id: Uuid = tenant.id.parse().unwrap();
    let mut callers = Vec::new();
    for _ in 0..size {
        let (agent, raw) = (Uuid::now_v7(), unique("lc_crowd"));
        let hash = hex::encode(Sha256::digest(raw.as_bytes()));
        owner
            .execute(
                "with agent as (insert into agents (tenant_id, id, name, agent_type)
                                values ($1, $2, $3, 'implementer'))
                 insert into api_keys (id, tenant_id, name, key_hash, key_prefix, role, agent_id)
                 values ($4, $1, $3, $5, 'lc_crowd', 'agent', $2)",
                &[&tenant_id, &agent, &raw, &Uuid::now_v7(), &hash],
            )
            .await
            .unwrap();
        let mut caller = Caller::with_key(&raw);
        caller.agent_id = Some(agent.to_string());
        callers.push(caller);
    }
    callers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_agents_exactly_one_claims() {
    const AGENTS: usize = 64;
    const STORIES: usize = 15;
    let tenant = Tenant::new().await;
    let agents = crowd(&tenant, AGENTS).await;
    let o = tenant.orchestrator().await;
    let ids = stories(&tenant, rounds(STORIES)).await;
    let mut winners = HashSet::new();
    for id in &ids {
        call(&o, id, "contract", json!({})).await.expect(200);
        let calls = agents.iter().map(|agent| call(agent, id, "claim", json!({}))).collect();
        let replies = together(calls).await;
        let mut winner = None;
        for (agent, reply) in agents.iter().zip(replies) {
            if reply.status == 200 {
                assert_eq!(reply.body["story"]["assigned_agent_id"], agent.agent());
                assert_eq!(reply.body["story"]["agent_status"], "assigned");
                assert_eq!(winner.replace(agent.agent()), None, "two winners");
                continue;
            }
            let error = refused(reply, 409, "invalid_transition", "claim", ["assigned", "unverified"]);
            assert_eq!(error["hints"][0], SEED_HINT);
        }
        let winner = winner.expect("a winner");
        winners.insert(winner);
        let shown = o.get(&format!("/stories/{id}")).await.expect(200);
        assert_eq!(shown["story"]["assigned_agent_id"], winner);
        assert_legal(&o, id).await;
    }
    assert!(winners.len() > 1, "no race at all: always the same winner");
    tenant.keeps_count().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_last_two_stories_complete_their_epic_once() {
    let tenant = Tenant::new().await;
    let (a1, a2, o, p) = (
        tenant.agent().await,
        tenant.agent().await,
        tenant.orchestrator().await,
        tenant.orchestrator().await,
    );
    let epics: Vec<_> = (1..=rounds(ROUNDS))
        .map(|number| {
            let stories = [story(&format!("{number}.1")), story(&format!("{number}.2"))];
            json!({"number": number, "title": "Epic", "stories": stories})
        })
        .collect();
    let project = tenant.imported(json!({"epics": epics})).await;
    let list = tenant.user.get(&format!("/stories?project_id={project}")).await.expect(200);
    let list = list["data"].as_array().unwrap().clone();
    let ids: Vec<String> = list.iter().map(|story| text(&story["id"])).collect();
    join_all(ids.iter().map(|id| bring(id, Reach::Reviewed, &a1, &a2, &o))).await;
    let owner = connect(&server().owner).await;
    for (pair, stories) in ids.chunks(2).zip(list.chunks(2)) {
        assert_eq!(stories[0]["epic_id"], stories[1]["epic_id"]);
        let calls = [&o, &p]
            .into_iter()
            .zip(pair)
            .map(|(who, id)| call(who, id, "verify", body(Action::Verify)))
            .collect();
        for reply in together(calls).await {
            reply.expect(200);
        }
        let rows = owner
            .query(
                "select (new_state ->> 'story_count')::int from audit_log
                 where entity_type = 'epic' and action = 'completed' and entity_id::text = $1",
                &[&text(&stories[0]["epic_id"])],
            )
            .await
            .unwrap();
        let counts: Vec<i32> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!(counts, [2]);
        for id in pair {
            assert_legal(&o, id).await;
        }
    }
    tenant.keeps_count().await;
}

/// Everybody does anything on the same few stories: no errors, no deadlocks, no illegal history.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_free_for_all_leaves_legal_histories() {
    let tenant = Tenant::new().await;
    let (a1, a2) = (tenant.agent().await, tenant.agent().await);
    let (o, p) = (tenant.orchestrator().await, tenant.orchestrator().await);
    let own = tenant.orchestrator_of(a1.agent()).await;
    let people = [&a1, &a2, &o, &p, &own, &tenant.user];
    let targets = stories(&tenant, 2).await;
    let tasks: Vec<_> = (0..12)
        .map(|worker| {
            let (caller, targets) = (people[worker % people.len()].clone(), targets.clone());
            tokio::spawn(async move {
                let mut dice = Dice(seed().wrapping_add(worker as u64));
                let mut passed = 0;
                for _ in 0..rounds(50) {
                    let action = *dice.pick(Action::ALL);
                    if matches!(action, Action::Unclaim | Action::ForceUnclaim) && dice.below(4) > 0 {
                        continue;
                    }
                    // Two stories that were done before the loop are soon out of it.
                    if matches!(action, Action::Backfill | Action::MarkComplete) && dice.below(4) > 0 {
                        continue;
                    }
                    let target = dice.pick(&targets);
                    let (path, body) = request(action, target, body(action));
                    let reply = caller.post(&path, body).await;
                    assert_well_formed(&reply, action.as_str());
                    passed += usize::from(reply.status < 400);
                }
                passed
            })
        })
        .collect();
    let passed: usize = join_all(tasks).await.into_iter().map(Result::unwrap).sum();
    assert!(passed > 20, "{passed}");
    for target in &targets {
        assert_legal(&o, target).await;
    }
    tenant.keeps_count().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_key_registers_one_agent() {
    let tenant = Tenant::new().await;
    let register = |key: &Caller, name: String| {
        let key = key.clone();
        async move {
            let body = json!({"name": name, "agent_type": "implementer"});
            key.post("/agents/register", body).await
        }
    };
    for _ in 0..5 {
        // One key, many names: one agent.
        let key = tenant.key("agent").await;
        let calls = (0..8).map(|_| register(&key, unique("racer"))).collect();
        let mut agents = Vec::new();
        for reply in together(calls).await {
            if reply.status == 201 {
                agents.push(reply.body["agent"]["id"].clone());
            } else {
                reply.expect_error(409, "key_already_bound");
            }
        }
        assert_eq!(agents.len(), 1, "{agents:?}");
        let me = key.get("/tenants/me").await.expect(200);
        assert_eq!(me["api_key"]["agent_id"], agents[0]);
        // Many keys, one name: one agent.
        let name = unique("namesake");
        let keys = [tenant.key("agent").await, tenant.key("agent").await, tenant.key("agent").await];
        let calls = keys.iter().map(|key| register(key, name.clone())).collect();
        let mut made = 0;
        for reply in together(calls).await {
            if reply.status == 201 {
                made += 1;
            } else {
                reply.expect_error(422, "validation_failed");
            }
        }
        assert_eq!(made, 1);
        // Who lost may try again under another name.
        for key in &keys {
            let again = register(key, unique("second")).await;
            assert!([201, 409].contains(&again.status), "{:#}", again.body);
        }
    }
    let agents = tenant.user.get("/agents?page_size=100").await.expect(200);
    assert_eq!(agents["meta"]["total_count"], 5 * (1 + 3));
    tenant.keeps_count().await;
}
