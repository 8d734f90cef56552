//! `GET /changes`: whoever follows it sees every change once, in order, whatever happens meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use futures_util::future::join_all;
use loopctl_server::operator::create_superadmin_key;
use serde_json::{Value, json};

use super::{each, with_large_log};
use crate::support::{Caller, Reach, Tenant, bring, connect, echo, rounds, server, text, unique};
use crate::trust_loop::stories;

const EPOCH: &str = "1970-01-01T00:00:00Z";

async fn changes(who: &Caller, query: &str) -> Value {
    who.get(&format!("/changes?{query}")).await.expect(200)
}

/// Everything after this, by following the cursor, so many at a time; and the last cursor.
async fn follow(who: &Caller, since: &str, filters: &str, limit: usize) -> (Vec<String>, String) {
    let (mut seen, mut since) = (Vec::new(), since.to_owned());
    loop {
        let page = changes(who, &format!("since={since}&limit={limit}{filters}")).await;
        seen.extend(each(&page, "id"));
        since = text(&page["cursor"]);
        if page["has_more"] == false {
            assert_eq!(page["next_since"], Value::Null);
            return (seen, since);
        }
        assert_eq!(page["next_since"], since.as_str());
    }
}

/// What the log holds, in its order.
async fn log(tenant: &Tenant) -> Vec<String> {
    let owner = connect(&server().owner).await;
    let sql = "select id::text from audit_log where tenant_id = $1::text::uuid order by position";
    owner.query(sql, &[&tenant.id]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn since_is_required_and_a_time() {
    let tenant = Tenant::new().await;
    let superadmin =
        Caller::with_key(&create_superadmin_key(&server().owner, &unique("feed")).await.unwrap().raw_key);
    for who in [&tenant.user, &superadmin] {
        for query in ["", "?since=", "?since=+"] {
            let error = who.get(&format!("/changes{query}")).await.expect_error(400, "bad_request");
            assert_eq!(error["message"], "The 'since' parameter is required");
        }
        for bad in ["not-a-date", "2026-13-45T99:99:99Z"] {
            let error = who.get(&format!("/changes?since={bad}")).await.expect_error(400, "bad_request");
            let message =
                "Invalid timestamp format for 'since'. Expected ISO8601 (e.g., 2026-01-01T00:00:00Z)";
            assert_eq!(error["message"], message);
        }
    }
    let error = superadmin.get(&format!("/changes?since={EPOCH}")).await.expect_error(400, "bad_request");
    assert_eq!(error["message"], "Superadmin must use X-Impersonate-Tenant header");
    Caller::nobody().get("/changes").await.expect_error(401, "unauthorized");
    // As people write times, and as programs do that forget to escape a plus.
    for since in
        ["2026-01-01", "2026-01-01T00:00:00", "2026-01-01T02:00:00+02:00", "2026-01-01T02:00:00%2B02:00"]
    {
        let page = changes(&tenant.user, &format!("since={since}")).await;
        assert!(!page["data"].as_array().unwrap().is_empty());
        let later = changes(&tenant.user, &format!("since={}", since.replace("2026", "2999"))).await;
        assert_eq!((&later["data"], &later["has_more"]), (&json!([]), &json!(false)));
        assert_eq!(later["cursor"], "2999-01-01T00:00:00.000000Z");
    }
}

#[tokio::test]
async fn pages_follow_each_other_without_a_gap() {
    let tenant = Tenant::new().await;
    let agent = tenant.agent().await;
    let ids = stories(&tenant, 5).await;
    let (_, before) = follow(&agent, EPOCH, "", 1000).await;
    for id in &ids {
        agent.post(&format!("/stories/{id}/contract"), echo()).await.expect(200);
    }
    let first = changes(&agent, &format!("since={before}&limit=3")).await;
    assert_eq!(each(&first, "entity_id"), ids[..3]);
    assert_eq!((&first["has_more"], &first["next_since"]), (&json!(true), &first["data"][2]["inserted_at"]));
    let rest = changes(&agent, &format!("since={}&limit=3", text(&first["next_since"]))).await;
    assert_eq!(each(&rest, "entity_id"), ids[3..]);
    assert_eq!((&rest["has_more"], &rest["next_since"]), (&json!(false), &Value::Null));
    assert_eq!(rest["cursor"], rest["data"][1]["inserted_at"]);
    let entry = first["data"][0].as_object().unwrap();
    assert!(!entry.contains_key("old_state") && !entry.contains_key("actor_id"), "{entry:?}");
    assert_eq!(entry["new_state"]["agent_status"], "contracted");
    for (limit, size) in [("0", 1000), ("-5", 1000), ("abc", 1000), ("5000", 1000), ("2", 2)] {
        let page = changes(&agent, &format!("since={EPOCH}&limit={limit}")).await;
        let rows = page["data"].as_array().unwrap().len();
        assert!(if size == 2 { rows == 2 } else { rows > 5 }, "{limit}: {rows}");
    }
    let page = changes(&agent, &format!("since={EPOCH}&page_size=2")).await;
    assert_eq!(page["data"].as_array().unwrap().len(), 2);
    let floor: DateTime<Utc> = text(&page["retention_floor"]).parse().unwrap();
    assert_eq!(floor.to_rfc3339_opts(SecondsFormat::Micros, true), text(&page["retention_floor"]));
    assert!(floor <= Utc::now() && floor > Utc::now() - TimeDelta::days(32), "{floor}");
    assert!(floor.to_rfc3339().contains("-01T00:00:00"), "{floor}");
}

#[tokio::test]
async fn filters_are_exact() {
    let (tenant, stranger) = (Tenant::new().await, Tenant::new().await);
    let (a, b, o) = (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
    let (story, other) = (tenant.story().await, tenant.project_of(&["1.1"]).await);
    let artifact = json!({"artifact_type": "test", "path": "a.rs"});
    a.post(&format!("/stories/{story}/artifacts"), artifact).await.expect(201);
    bring(&story, Reach::Verified, &a, &b, &o).await;
    let project = text(&o.get(&format!("/stories/{story}")).await.expect(200)["story"]["project_id"]);
    let page = changes(&a, &format!("since={EPOCH}&project_id={project}")).await;
    let kinds = each(&page, "entity_type");
    for kind in ["project", "epic", "story", "artifact_report"] {
        assert!(kinds.iter().any(|seen| seen == kind), "{kind}: {kinds:?}");
    }
    assert!(each(&page, "project_id").iter().all(|id| *id == project));
    let elsewhere = changes(&a, &format!("since={EPOCH}&project_id={other}")).await;
    assert!(each(&elsewhere, "id").iter().all(|id| !each(&page, "id").contains(id)));
    let moves = changes(&a, &format!("since={EPOCH}&entity_type=story&action=status_changed")).await;
    let actions: Vec<_> =
        moves["data"].as_array().unwrap().iter().map(|row| &row["new_state"]["agent_status"]).collect();
    assert_eq!(actions, ["contracted", "assigned", "implementing", "reported_done"]);
    let (seen, _) = follow(&a, EPOCH, "&entity_type=story&action=status_changed", 1).await;
    assert_eq!(seen, each(&moves, "id"));
    let (theirs, _) = follow(&stranger.user, EPOCH, "", 100).await;
    let (all, _) = follow(&a, EPOCH, "", 7).await;
    assert_eq!(all, log(&tenant).await);
    assert!(theirs.iter().all(|id| !all.contains(id)));
    a.get(&format!("/changes?since={EPOCH}&project_id=x")).await.expect_error(404, "not_found");
}

/// Many writers, of single steps and of imports, and readers who ask for different numbers at a time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn followers_see_every_change_once_and_in_order() {
    const WRITERS: usize = 12;
    let tenant = Arc::new(Tenant::new().await);
    let mut agents = Vec::new();
    for _ in 0..4 {
        agents.push(tenant.agent().await);
    }
    let ids = stories(&tenant, WRITERS * rounds(6)).await;
    let project = tenant.project().await;
    let over = Arc::new(AtomicBool::new(false));
    let followers: Vec<_> = [1, 7, 1000]
        .into_iter()
        .map(|limit| {
            let (reader, over) = (agents[0].clone(), Arc::clone(&over));
            tokio::spawn(async move {
                let (mut seen, mut since) = (Vec::new(), EPOCH.to_owned());
                loop {
                    // What was written before this was said must be seen in what is read after it.
                    let last = over.load(Ordering::Acquire);
                    let (more, cursor) = follow(&reader, &since, "", limit).await;
                    seen.extend(more);
                    since = cursor;
                    if last {
                        return seen;
                    }
                }
            })
        })
        .collect();
    let writers = ids.chunks(ids.len() / WRITERS).enumerate().map(|(number, mine)| {
        let (agent, mine) = (agents[number % agents.len()].clone(), mine.to_vec());
        let (tenant, project) = (Arc::clone(&tenant), project.clone());
        tokio::spawn(async move {
            for (nth, id) in mine.iter().enumerate() {
                agent.post(&format!("/stories/{id}/contract"), echo()).await.expect(200);
                agent.post(&format!("/stories/{id}/claim"), json!({})).await.expect(200);
                let epic = json!({"number": 1 + number * 100 + nth, "title": "E", "stories": [
                    {"number": format!("{}.1", number * 100 + nth), "title": "S"}]});
                let path = format!("/projects/{project}/import?merge=true");
                tenant.user.post(&path, json!({"epics": [epic]})).await.expect(200);
            }
        })
    });
    for writer in join_all(writers).await {
        writer.unwrap();
    }
    over.store(true, Ordering::Release);
    let written = log(&tenant).await;
    for follower in followers {
        assert_eq!(follower.await.unwrap(), written);
    }
}

/// A transaction that is held open while others commit: its entries come after theirs, and nobody who follows misses them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_commits_late_comes_late() {
    let tenant = Tenant::new().await;
    let agent = tenant.agent().await;
    let ids = stories(&tenant, 2).await;
    let (_, since) = follow(&agent, EPOCH, "", 100).await;
    let mut owner = connect(&server().owner).await;
    let held = owner.transaction().await.unwrap();
    held.execute("select from story_states where id::text = $1 for update", &[&ids[0]]).await.unwrap();
    let late = {
        let (agent, path) = (agent.clone(), format!("/stories/{}/contract", ids[0]));
        tokio::spawn(async move { agent.post(&path, echo()).await })
    };
    crate::support::somebody_waits_for(&held).await;
    agent.post(&format!("/stories/{}/contract", ids[1]), echo()).await.expect(200);
    let page = changes(&agent, &format!("since={since}")).await;
    assert_eq!(each(&page, "entity_id"), ids[1..]);
    held.commit().await.unwrap();
    late.await.unwrap().expect(200);
    let page = changes(&agent, &format!("since={}", text(&page["cursor"]))).await;
    assert_eq!(each(&page, "entity_id"), ids[..1]);
}

/// An answer ends where it would be too large, and whoever follows the cursor misses nothing.
#[tokio::test]
async fn large_entries_come_in_several_answers() {
    let (tenant, _) = with_large_log().await;
    let first = changes(&tenant.user, &format!("since={EPOCH}")).await;
    assert_eq!(first["has_more"], true);
    assert!(first.to_string().len() <= 16 << 20);
    let (seen, _) = follow(&tenant.user, EPOCH, "", 1000).await;
    assert_eq!(seen, log(&tenant).await);
    let (one_by_one, _) = follow(&tenant.user, EPOCH, "", 1).await;
    assert_eq!(one_by_one, seen);
}
