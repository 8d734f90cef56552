//! `GET /changes/stream`: the feed as it happens.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use loopctl_server::operator::create_superadmin_key;
use loopctl_server::serve::{ServeOptions, Server};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{each, with_large_log};
use crate::conventions::health::{Line, line_to};
use crate::support::{
    Caller, Events, PATIENCE, Reach, Tenant, bring, connect, echo, own_database, rounds, server, story, text,
    unique,
};
use crate::trust_loop::stories;

const EPOCH: &str = "1970-01-01T00:00:00Z";

async fn follow(who: &Caller, query: &str) -> Events {
    follow_from(who, query, None).await
}

async fn follow_from(who: &Caller, query: &str, last: Option<&str>) -> Events {
    let mut request = who.request(Method::GET, &format!("/changes/stream{query}"));
    if let Some(last) = last {
        request = request.header("Last-Event-ID", last);
    }
    let response = request.send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["content-type"]),
        (200, &"text/event-stream".parse().unwrap())
    );
    assert_eq!(
        (&response.headers()["cache-control"], &response.headers()["x-accel-buffering"]),
        (&"no-store".parse().unwrap(), &"no".parse().unwrap())
    );
    Events::of(response)
}

/// So many entries' ids.
async fn entries(events: &mut Events, count: usize) -> Vec<String> {
    let mut seen = Vec::new();
    for _ in 0..count {
        let (id, entry) = events.entry().await;
        assert_eq!(entry["inserted_at"], id.as_str());
        seen.push(text(&entry["id"]));
    }
    seen
}

/// The end of a stream, whatever it tells before.
async fn end(mut events: Events) {
    let ended = async { while events.next().await.expect("a clean end").is_some() {} };
    timeout(PATIENCE, ended).await.expect("it ends");
}

#[tokio::test]
async fn whoever_may_not_is_told_why() {
    let tenant = Tenant::new().await;
    for query in ["?since=none", "?since=2026-13-45T99:99:99Z"] {
        let error =
            tenant.user.get(&format!("/changes/stream{query}")).await.expect_error(400, "bad_request");
        let message = "Invalid timestamp format for 'since'. Expected ISO8601 (e.g., 2026-01-01T00:00:00Z)";
        assert_eq!(error["message"], message);
    }
    for last in ["none", "\u{e9}"] {
        let request =
            tenant.user.request(Method::GET, "/changes/stream").header("last-event-id", last.as_bytes());
        let error = tenant.user.send(request).await.expect_error(400, "bad_request");
        let message =
            "Invalid timestamp format for 'Last-Event-ID'. Expected ISO8601 (e.g., 2026-01-01T00:00:00Z)";
        assert_eq!(error["message"], message);
    }
    Caller::nobody().get("/changes/stream").await.expect_error(401, "unauthorized");
    let key = create_superadmin_key(&server().owner, &unique("stream")).await.unwrap();
    let mut superadmin = Caller::with_key(&key.raw_key);
    let error = superadmin.get("/changes/stream").await.expect_error(400, "bad_request");
    assert_eq!(error["message"], "Superadmin must use X-Impersonate-Tenant header");
    superadmin.headers.push(("x-impersonate-tenant", tenant.id.clone()));
    let (_, first) = follow(&superadmin, &format!("?since={EPOCH}")).await.entry().await;
    assert_eq!(first["entity_id"], tenant.id);
}

#[tokio::test]
async fn it_begins_where_it_is_told_to_and_else_now() {
    let tenant = Tenant::new().await;
    let agent = tenant.agent().await;
    let ids = stories(&tenant, 3).await;
    let page = agent.get(&format!("/changes?since={EPOCH}")).await.expect(200);
    let (all, times) = (each(&page, "id"), each(&page, "inserted_at"));
    let mut whole = follow(&agent, &format!("?since={EPOCH}")).await;
    assert_eq!(entries(&mut whole, all.len()).await, all);
    let mut rest = follow(&agent, &format!("?since={}", times[1])).await;
    assert_eq!(entries(&mut rest, all.len() - 2).await, all[2..]);
    // Whoever comes back knows better.
    let mut back = follow_from(&agent, &format!("?since={EPOCH}"), Some(&times[2])).await;
    assert_eq!(entries(&mut back, all.len() - 3).await, all[3..]);
    let mut blank = follow_from(&agent, &format!("?since={}", times[1]), Some("")).await;
    assert_eq!(entries(&mut blank, 1).await, all[2..3]);
    // From now on. The first thing that is told is from where to go on.
    let mut fresh = follow(&agent, "").await;
    let first = fresh.next().await.unwrap().unwrap();
    assert_eq!((first.id.as_str(), first.data.as_str()), (times.last().unwrap().as_str(), ""));
    agent.post(&format!("/stories/{}/contract", ids[0]), echo()).await.expect(200);
    for events in [&mut whole, &mut rest, &mut back, &mut fresh] {
        let (id, entry) = events.entry().await;
        assert_eq!((&entry["entity_id"], &entry["action"]), (&json!(ids[0]), &json!("status_changed")));
        assert!(!entry.as_object().unwrap().contains_key("old_state") && id > *times.last().unwrap());
    }
}

#[tokio::test]
async fn filters_are_those_of_the_feed() {
    let (tenant, stranger) = (Tenant::new().await, Tenant::new().await);
    let (a, b, o) = (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
    let (story, other) = (tenant.story().await, tenant.story().await);
    let project = text(&a.get(&format!("/stories/{story}")).await.expect(200)["story"]["project_id"]);
    let filters = format!("?since={EPOCH}&project_id={project}&entity_type=story&action=status_changed");
    let (mut followed, mut theirs) = (follow(&a, &filters).await, follow(&stranger.user, "").await);
    for story in [&other, &story] {
        bring(story, Reach::Verified, &a, &b, &o).await;
    }
    for status in ["contracted", "assigned", "implementing", "reported_done"] {
        let (_, entry) = followed.entry().await;
        assert_eq!(
            (&entry["entity_id"], &entry["new_state"]["agent_status"]),
            (&json!(story), &json!(status))
        );
    }
    let mine = stranger.project().await;
    assert_eq!(theirs.entry().await.1["entity_id"], mine, "and nothing of the other tenant before");
}

/// However much of the log is not for it, it is looked through piece by piece, to its end.
#[tokio::test]
async fn what_is_wanted_is_found_among_thousands() {
    let tenant = Tenant::new().await;
    let many: Vec<_> = (1..=2100).map(|minor| story(&format!("1.{minor}"))).collect();
    tenant.imported(json!({"epics": [{"number": 1, "title": "Epic", "stories": many}]})).await;
    let key = tenant.key("agent").await;
    let mut events = follow(&key, &format!("?since={EPOCH}&entity_type=api_key&action=created")).await;
    for name in ["root", "agent-"] {
        let (_, entry) = events.entry().await;
        assert!(text(&entry["new_state"]["name"]).starts_with(name), "{entry}");
    }
}

/// What another process has recorded is told as well, though nobody tells this one.
#[tokio::test]
async fn what_other_processes_record_is_seen() {
    let (line, options) = line_to("loopctl", 4).await;
    let other = Server::start(&options).await.unwrap();
    let tenant = Tenant::new().await;
    let agent = tenant.agent().await;
    let [id] = stories(&tenant, 1).await.try_into().unwrap();
    let mut events = follow(&agent.at(&format!("http://{}", other.address)), "").await;
    agent.post(&format!("/stories/{id}/contract"), echo()).await.expect(200);
    assert_eq!(events.entry().await.1["entity_id"], id);
    // A database that is gone is no reason to say that there is no more.
    line.send(Line::Cut).unwrap();
    agent.post(&format!("/stories/{id}/claim"), json!({})).await.expect(200);
    let broken = async {
        while events.next().await?.is_some() {}
        reqwest::Result::Ok(())
    };
    let _cut_or_ended = timeout(PATIENCE, broken).await.expect("nobody is kept waiting");
    other.stop().await.unwrap();
}

#[tokio::test]
async fn it_ends_with_its_key_and_with_the_server() {
    let tenant = Tenant::new().await;
    let [revoked, expiring, suspended] =
        [tenant.key("agent").await, tenant.key("agent").await, tenant.key("agent").await];
    let owner = connect(&server().owner).await;
    let sql = "update api_keys set expires_at = clock_timestamp() + interval '1 second' where tenant_id::text = $1 and key_prefix = $2
               and key_hash = encode(sha256($3::text::bytea), 'hex')";
    let raw = expiring.key.clone().unwrap();
    let [revoked_stream, expiring_stream] = [follow(&revoked, "").await, follow(&expiring, "").await];
    assert_eq!(owner.execute(sql, &[&tenant.id, &&raw[..8], &raw]).await.unwrap(), 1);
    let keys = tenant.user.get("/api_keys").await.expect(200);
    let prefix = &revoked.key.as_ref().unwrap()[..8];
    let key = keys["data"].as_array().unwrap().iter().find(|key| key["key_prefix"] == prefix).unwrap();
    tenant.user.delete(&format!("/api_keys/{}", text(&key["id"]))).await.expect(200);
    end(revoked_stream).await;
    end(expiring_stream).await;
    let stream = follow(&suspended, "").await;
    owner
        .execute("update tenants set status = 'suspended' where id::text = $1", &[&tenant.id])
        .await
        .unwrap();
    end(stream).await;

    let server = Server::start(&ServeOptions::local(own_database())).await.unwrap();
    let tenant = Tenant::at(&server.database.owner, &format!("http://{}", server.address)).await;
    let stream = follow(&tenant.user, "").await;
    let ended = tokio::spawn(end(stream));
    server.stop().await.unwrap();
    ended.await.unwrap();
}

/// Writes until it is done, whatever becomes of the server. An answer may be lost: then it is there already.
async fn insist(who: &Caller, path: &str, body: &Value) {
    loop {
        let sent = who.request(Method::POST, path).json(body).send().await;
        if sent.is_ok_and(|response| [201, 422].contains(&response.status().as_u16())) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What each writer writes last.
const LAST: &str = "the last of this writer";
const WRITERS: usize = 8;

/// Ids of entries, until every writer has written its last.
#[derive(Default)]
struct Seen {
    ids: Vec<String>,
    last: usize,
}

impl Seen {
    fn is_whole(&mut self, entry: &Value) -> bool {
        self.ids.push(text(&entry["id"]));
        self.last += usize::from(entry["new_state"]["name"] == LAST);
        self.last == WRITERS
    }
}

/// By asking again and again.
async fn polled(who: Caller) -> Vec<String> {
    let (mut seen, mut since) = (Seen::default(), EPOCH.to_owned());
    loop {
        let sent = who.request(Method::GET, &format!("/changes?since={since}&limit=7")).send().await;
        let Ok(Ok(page)) =
            async { Ok::<_, reqwest::Error>(sent?.error_for_status()?.json::<Value>().await) }.await
        else {
            continue;
        };
        since = text(&page["cursor"]);
        if page["data"].as_array().unwrap().iter().any(|entry| seen.is_whole(entry)) {
            return seen.ids;
        }
    }
}

/// By following, and by coming back when the stream ends or breaks.
async fn followed(who: Caller) -> Vec<String> {
    let (mut seen, mut last) = (Seen::default(), EPOCH.to_owned());
    loop {
        let request = who.request(Method::GET, "/changes/stream").header("Last-Event-ID", &last);
        let Ok(Ok(response)) = request.send().await.map(reqwest::Response::error_for_status) else {
            continue;
        };
        let mut events = Events::of(response);
        while let Ok(Some(told)) = events.next().await {
            if told.data.is_empty() {
                continue;
            }
            last = told.id;
            if seen.is_whole(&serde_json::from_str(&told.data).unwrap()) {
                return seen.ids;
            }
        }
    }
}

/// Whoever comes back goes on from where it was, and misses nothing of what happened while the server was away.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_poller_and_a_follower_see_the_same_whatever_becomes_of_the_server() {
    let each_writes = rounds(25);
    let options = ServeOptions::local(own_database());
    let mut server = Server::start(&options).await.unwrap();
    // The port stays what it was.
    let options = ServeOptions { listen: server.address, ..options };
    let tenant = Tenant::at(&server.database.owner, &format!("http://{}", server.address)).await;
    let project = tenant.project().await;
    let polled = tokio::spawn(polled(tenant.user.clone()));
    let followed = tokio::spawn(followed(tenant.user.clone()));
    let written = Arc::new(AtomicUsize::new(0));
    let writers = (0..WRITERS).map(|writer| {
        let (user, project, written) = (tenant.user.clone(), project.clone(), Arc::clone(&written));
        tokio::spawn(async move {
            for nth in 0..each_writes {
                let epic = json!({"number": 1 + writer * each_writes + nth, "title": "Epic"});
                insist(&user, &format!("/projects/{project}/epics"), &epic).await;
                written.fetch_add(1, Ordering::Relaxed);
            }
            insist(&user, "/projects", &json!({"name": LAST, "slug": format!("last-{writer}")})).await;
        })
    });
    let writers: Vec<_> = writers.collect();
    for quarter in 1..4 {
        while written.load(Ordering::Relaxed) < quarter * WRITERS * each_writes / 4 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        server.stop().await.unwrap();
        server = Server::start(&options).await.unwrap();
    }
    join_all(writers).await.into_iter().for_each(Result::unwrap);
    let (polled, followed) = (polled.await.unwrap(), followed.await.unwrap());
    let owner = connect(&server.database.owner).await;
    let sql = "select id::text from audit_log where tenant_id = $1::text::uuid order by position";
    let log: Vec<String> =
        owner.query(sql, &[&tenant.id]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert!(log.len() > WRITERS * each_writes);
    assert_eq!(polled, log);
    assert_eq!(followed, log);
    server.stop().await.unwrap();
}

/// What is read at once for a client is little, and what is left comes after it.
#[tokio::test]
async fn large_entries_come_one_after_the_other() {
    let (tenant, _) = with_large_log().await;
    let log: Vec<_> = tenant.audit_log().await.iter().map(|entry| text(&entry["id"])).collect();
    let mut events = follow(&tenant.user, &format!("?since={EPOCH}")).await;
    assert_eq!(entries(&mut events, log.len()).await, log);
    let of_stories: Vec<_> = changes_of_stories(&tenant).await;
    let mut events = follow(&tenant.user, &format!("?since={EPOCH}&entity_type=story&action=updated")).await;
    assert_eq!(entries(&mut events, of_stories.len()).await, of_stories);
}

async fn changes_of_stories(tenant: &Tenant) -> Vec<String> {
    let entries = tenant.audit_log().await;
    let of_stories =
        entries.iter().filter(|entry| entry["entity_type"] == "story" && entry["action"] == "updated");
    of_stories.map(|entry| text(&entry["id"])).collect()
}
