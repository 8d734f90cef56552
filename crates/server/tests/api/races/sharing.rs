//! Steps that are asked for while another one of the tenant is under way go together, in one transaction. Nobody gets another's
//! answer by it, nobody's doing is taken for another's, and nobody suffers from what another has sent.

use std::collections::HashMap;

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use super::call;
use crate::support::{Caller, Reach, Reply, Tenant, bring, connect, echo, server, somebody_waits_for, text};
use crate::trust_loop::replay::assert_legal;
use crate::trust_loop::stories;

/// How often it is tried until steps have gone together: whether a request has come by then, nobody can see.
const TRIES: usize = 50;

/// Takes the tenant's log for itself: the step that comes next waits for it, and those that come after for that step.
async fn take_log<'a>(owner: &'a mut Client, tenant: &Tenant) -> tokio_postgres::Transaction<'a> {
    let taken = owner.transaction().await.unwrap();
    let sql = "select from audit_heads where tenant_id = $1::text::uuid for update";
    taken.execute(sql, &[&tenant.id]).await.unwrap();
    taken
}

/// A call that is on its way.
fn send(who: &Caller, story: &str, action: &str, body: Value) -> JoinHandle<Reply> {
    tokio::spawn(call(who, story, action, body))
}

/// Who did what to each of these stories, and in which transaction.
async fn entries(owner: &Client, stories: &[String]) -> HashMap<String, (String, String, String)> {
    let rows = owner
        .query(
            "select distinct on (entity_id) entity_id::text, actor_id::text, new_state ->> 'agent_id', xmin::text
             from audit_log where entity_id::text = any ($1) order by entity_id, position desc",
            &[&stories],
        )
        .await
        .unwrap();
    rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2), row.get(3)))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_gets_its_own_answer_and_its_own_entry() {
    let tenant = Tenant::new().await;
    let mut agents = Vec::new();
    for _ in 0..6 {
        agents.push(tenant.agent().await);
    }
    let mut owner = connect(&server().owner).await;
    let watcher = connect(&server().owner).await;
    let mut shared = 0;
    for _ in 0..TRIES {
        let ids = stories(&tenant, agents.len() + 3).await;
        let log = take_log(&mut owner, &tenant).await;
        let first = send(&agents[0], &ids[0], "contract", echo());
        somebody_waits_for(&log).await;
        let (mine, spare) = ids[1..].split_at(agents.len());
        let others: Vec<_> =
            agents.iter().zip(mine).map(|(agent, id)| send(agent, id, "contract", echo())).collect();
        // Among them some that are refused, for different reasons.
        let wrong = send(&agents[1], &spare[0], "contract", json!({"story_title": "?", "ac_count": 0}));
        let early = send(&agents[2], &spare[1], "claim", json!({}));
        let unknown = send(&agents[3], &tenant.id, "claim", json!({}));
        log.commit().await.unwrap();
        first.await.unwrap().expect(200);
        for (other, id) in others.into_iter().zip(mine) {
            let moved = other.await.unwrap().expect(200);
            assert_eq!(
                (&moved["story"]["id"], &moved["story"]["agent_status"]),
                (&json!(id), &json!("contracted"))
            );
        }
        wrong.await.unwrap().expect_error(422, "contract_mismatch");
        early.await.unwrap().expect_error(409, "must_contract_first");
        unknown.await.unwrap().expect_error(404, "not_found");
        let entries = entries(&watcher, mine).await;
        let mut transactions = HashMap::new();
        for (agent, id) in agents.iter().zip(mine) {
            let (key, agent_id, transaction) = &entries[id];
            assert_eq!(agent_id, agent.agent());
            *transactions.entry(transaction).or_insert(0) += 1;
            let sql = "select id::text from api_keys where agent_id::text = $1";
            let own: String = watcher.query_one(sql, &[&agent.agent()]).await.unwrap().get(0);
            assert_eq!(*key, own);
            assert_legal(agent, id).await;
        }
        shared = transactions.into_values().max().unwrap();
        if shared > 1 {
            break;
        }
    }
    assert!(shared > 1, "no steps ever went together");
    tenant.keeps_count().await;
}

/// While somebody holds a story, by whatever they do, the tenant's other stories move on.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_waits_for_a_story_that_another_step_waits_for() {
    let tenant = Tenant::new().await;
    let (a, b) = (tenant.agent().await, tenant.agent().await);
    let ids = stories(&tenant, 3).await;
    let mut owner = connect(&server().owner).await;
    let held = owner.transaction().await.unwrap();
    held.execute("select from story_states where id::text = $1 for update", &[&ids[0]]).await.unwrap();
    let waits = send(&a, &ids[0], "contract", echo());
    somebody_waits_for(&held).await;
    for id in &ids[1..] {
        b.post(&format!("/stories/{id}/contract"), echo()).await.expect(200);
        b.post(&format!("/stories/{id}/claim"), json!({})).await.expect(200);
    }
    assert!(!waits.is_finished());
    held.commit().await.unwrap();
    waits.await.unwrap().expect(200);
    tenant.keeps_count().await;
}

/// What PostgreSQL refuses is told whom it concerns, and takes nothing from the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_step_that_fails_takes_no_other_with_it() {
    let tenant = Tenant::new().await;
    let (a, b, o) = (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
    let gone = tenant.agent().await;
    let mut owner = connect(&server().owner).await;
    // No way leads there but the owner's: a key whose agent there never was.
    owner.batch_execute("set session_replication_role = replica").await.unwrap();
    owner.execute("delete from agents where id::text = $1", &[&gone.agent()]).await.unwrap();
    owner.batch_execute("set session_replication_role = origin").await.unwrap();
    for _ in 0..5 {
        let ids = stories(&tenant, 6).await;
        for id in &ids {
            bring(id, Reach::Contracted, &a, &b, &o).await;
        }
        let log = take_log(&mut owner, &tenant).await;
        let first = send(&a, &ids[0], "claim", json!({}));
        somebody_waits_for(&log).await;
        let fails = send(&gone, &ids[1], "claim", json!({}));
        let others: Vec<_> = ids[2..].iter().map(|id| send(&b, id, "claim", json!({}))).collect();
        log.commit().await.unwrap();
        first.await.unwrap().expect(200);
        fails.await.unwrap().expect_error(500, "internal_error");
        for (other, id) in others.into_iter().zip(&ids[2..]) {
            let claimed = other.await.unwrap().expect(200);
            assert_eq!(text(&claimed["story"]["id"]), *id);
            assert_eq!(claimed["story"]["assigned_agent_id"], b.agent());
        }
        // Nothing of it was kept.
        let shown = b.get(&format!("/stories/{}", ids[1])).await.expect(200);
        assert_eq!(shown["story"]["agent_status"], "contracted");
        b.post(&format!("/stories/{}/claim", ids[1]), json!({})).await.expect(200);
        for id in &ids {
            assert_legal(&b, id).await;
        }
    }
    tenant.keeps_count().await;
}

/// Who hangs up takes nobody's answer along, whoever came first.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_hangs_up_leaves_the_others_alone() {
    let tenant = Tenant::new().await;
    let agent = tenant.agent().await;
    let ids = stories(&tenant, 6).await;
    let mut owner = connect(&server().owner).await;
    let log = take_log(&mut owner, &tenant).await;
    let first = send(&agent, &ids[0], "contract", echo());
    somebody_waits_for(&log).await;
    let others: Vec<_> = ids[1..].iter().map(|id| send(&agent, id, "contract", echo())).collect();
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    log.commit().await.unwrap();
    for other in others {
        other.await.unwrap().expect(200);
    }
    for id in &ids {
        assert_legal(&agent, id).await;
    }
    // Its step was under way, and is done.
    agent.post(&format!("/stories/{}/claim", ids[0]), json!({})).await.expect(200);
    let actions = agent.get(&format!("/stories/{}/history", ids[0])).await.expect(200);
    let contracted = actions["data"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["new_state"]["agent_status"] == "contracted");
    assert_eq!(contracted.count(), 1, "{actions:#}");
    tenant.keeps_count().await;
}
