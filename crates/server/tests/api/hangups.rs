//! Clients that hang up at any moment: no transaction stays open, nothing is done by halves, and a connection
//! that served one tenant never serves another one under the first one's name.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::{Caller, PATIENCE, Tenant, connect, echo, seed, server, story, text, unique};

const CLIENTS: u64 = 10;
const TRIES_EACH: u64 = 24;
const STORIES: usize = 40;
/// What the others have to see at least, meanwhile and afterwards.
const SEEN: usize = 100;
/// Stories of the import that is interrupted.
const IMPORTED: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_hangs_up_leaves_nothing_behind() {
    let victim = Victim::new().await;
    let witnesses = Witnesses::launch().await;
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let victim = victim.clone();
        clients.spawn(async move {
            for attempt in 0..TRIES_EACH {
                let mut dice = Dice(seed().wrapping_add(client * 1000 + attempt));
                let request = victim.request(&mut dice);
                hang_up(&request, &mut dice).await;
            }
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    no_transaction_stays_open().await;
    witnesses.finish().await;
    victim.is_whole().await;
    everybody_is_served().await;
}

/// The tenant whose clients hang up.
#[derive(Clone)]
struct Victim {
    user: Caller,
    agent: Caller,
    project: String,
    stories: Arc<Vec<String>>,
    id: String,
}

impl Victim {
    async fn new() -> Self {
        let tenant = Tenant::new().await;
        let numbers: Vec<String> = (1..=STORIES).map(|number| format!("1.{number}")).collect();
        let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
        let project = tenant.project_of(&numbers).await;
        let path = format!("/stories?project_id={project}&limit=100");
        let list = tenant.user.get(&path).await.expect(200);
        let stories = list["data"].as_array().unwrap();
        Self {
            agent: tenant.agent().await,
            stories: Arc::new(stories.iter().map(|story| text(&story["id"])).collect()),
            project,
            id: tenant.id.clone(),
            user: tenant.user,
        }
    }

    /// Some request, as it goes over the wire.
    fn request(&self, dice: &mut Dice) -> Vec<u8> {
        let story = &self.stories[dice.below(self.stories.len())];
        let project = &self.project;
        let get = |path: String| ("GET", path, Value::Null);
        let (caller, (method, path, body)) = match dice.below(13) {
            0 => (&self.user, get("/tenants/me".to_owned())),
            1 => (&self.agent, get(format!("/stories?project_id={project}&limit=100"))),
            2 => (&self.agent, get("/stories/ready".to_owned())),
            3 => (&self.user, get(format!("/stories/{story}/history"))),
            12 => (&self.agent, get(format!("/projects/{project}/export"))),
            4..=5 => (&self.agent, ("POST", format!("/stories/{story}/contract"), echo())),
            6..=7 => (&self.agent, ("POST", format!("/stories/{story}/claim"), json!({}))),
            8 => (&self.agent, ("POST", format!("/stories/{story}/start"), json!({}))),
            9 => {
                let slug = unique("hung-up");
                (&self.user, ("POST", "/projects".to_owned(), json!({"name": slug, "slug": slug})))
            }
            10 => {
                let epic = 2 + dice.below(1000);
                let stories: Vec<_> = (1..=IMPORTED).map(|number| story_of(epic, number)).collect();
                let epics = json!({"epics": [{"number": epic, "title": "Hung up", "stories": stories}]});
                (&self.user, ("POST", format!("/projects/{project}/import"), epics))
            }
            _ => {
                let settings = json!({"settings": {"note": unique("note")}});
                (&self.user, ("PATCH", "/tenants/me".to_owned(), settings))
            }
        };
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let key = caller.key.as_deref().unwrap();
        let request = format!(
            "{method} /api/v1{path} HTTP/1.1\r\nHost: loopctl.test\r\nAuthorization: Bearer {key}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        request.into_bytes()
    }

    /// Every change was made whole, with its audit entries, or not at all.
    async fn is_whole(&self) {
        for story in self.stories.iter() {
            let shown = self.user.get(&format!("/stories/{story}")).await.expect(200);
            let history = self.user.get(&format!("/stories/{story}/history")).await.expect(200);
            let steps = ["contracted", "assigned", "implementing"];
            let status = text(&shown["story"]["agent_status"]);
            let expected = steps.iter().position(|step| *step == status).map_or(0, |index| index + 1);
            let moves: Vec<_> = history["data"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|entry| entry["action"] == "status_changed")
                .map(|entry| text(&entry["new_state"]["agent_status"]))
                .collect();
            assert_eq!(moves, steps[..expected], "{status}");
        }
        let owner = connect(&server().owner).await;
        let halves = [
            // An import without all of its stories.
            "select count(*) from epics e where tenant_id::text = $1 and number > 1
               and (select count(*) from stories s where s.tenant_id = e.tenant_id and s.epic_id = e.id) <> 20",
            // A change without its audit entry.
            "select count(*) from projects p where tenant_id::text = $1 and not exists
               (select from audit_log a where a.tenant_id = p.tenant_id and a.entity_id = p.id and a.action = 'created')",
            // A hole in the numbering, or a head that is not at its end.
            "select count(*) from audit_heads h where tenant_id::text = $1 and (position, position) <>
               (select count(*), max(a.position) from audit_log a where a.tenant_id = h.tenant_id)",
        ];
        for sql in halves {
            let count: i64 = owner.query_one(sql, &[&self.id]).await.unwrap().get(0);
            assert_eq!(count, 0, "{sql}");
        }
    }
}

fn story_of(epic: usize, number: usize) -> Value {
    story(&format!("{epic}.{number}"))
}

/// Two other tenants that keep asking who they are and what they own.
struct Witnesses {
    tasks: JoinSet<()>,
    over: Arc<AtomicBool>,
}

impl Witnesses {
    async fn launch() -> Self {
        let mut witnesses = Self { tasks: JoinSet::new(), over: Arc::default() };
        let seen = Arc::new(AtomicUsize::new(0));
        for stories in [&["1.1", "1.2"][..], &["7.1", "7.2", "7.3"]] {
            let tenant = Arc::new(Tenant::new().await);
            let project = tenant.project_of(stories).await;
            for _ in 0..3 {
                let (tenant, project) = (Arc::clone(&tenant), project.clone());
                let (over, seen) = (Arc::clone(&witnesses.over), Arc::clone(&seen));
                witnesses.tasks.spawn(async move {
                    while !over.load(Ordering::Relaxed) || seen.load(Ordering::Relaxed) < SEEN {
                        sees_its_own(&tenant, &project, stories).await;
                        seen.fetch_add(3, Ordering::Relaxed);
                    }
                });
            }
        }
        witnesses
    }

    async fn finish(mut self) {
        self.over.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }
}

/// A tenant and nothing but this tenant's stories.
async fn sees_its_own(tenant: &Tenant, project: &str, numbers: &[&str]) {
    let me = tenant.user.get("/tenants/me").await.expect(200);
    assert_eq!(me["tenant"]["id"], tenant.id.as_str());
    // The second one names no project: row-level security alone decides what it shows.
    for path in [format!("/stories?project_id={project}"), "/stories/ready".to_owned()] {
        let list = tenant.user.get(&path).await.expect(200);
        let stories = list["data"].as_array().unwrap();
        let seen: Vec<_> = stories.iter().map(|story| text(&story["number"])).collect();
        assert_eq!(seen, numbers, "{path}");
        assert!(stories.iter().all(|story| story["tenant_id"] == tenant.id.as_str()), "{path}");
    }
}

/// Sends a request, or a part of it, and drops the connection at some moment.
async fn hang_up(request: &[u8], dice: &mut Dice) {
    let address = server().base.strip_prefix("http://").unwrap();
    let mut socket = TcpStream::connect(address).await.unwrap();
    match dice.below(4) {
        // In the middle of the request.
        0 => {
            let cut = dice.below(request.len() + 1);
            socket.write_all(&request[..cut]).await.unwrap();
        }
        // While the server works on it.
        1 => {
            socket.write_all(request).await.unwrap();
            tokio::time::sleep(Duration::from_micros(dice.below(8000) as u64)).await;
        }
        // In the middle of the answer.
        2 => {
            socket.write_all(request).await.unwrap();
            let mut some = vec![0; 1 + dice.below(600)];
            let _ = tokio::time::timeout(PATIENCE, socket.read(&mut some)).await;
        }
        // With a second request behind the first.
        _ => {
            socket.write_all(&[request, request].concat()).await.unwrap();
            tokio::time::sleep(Duration::from_micros(dice.below(4000) as u64)).await;
        }
    }
}

/// Whatever transaction nobody has gone on with since the end of the hang-ups is taken back. Those of other tests go on.
pub(crate) async fn no_transaction_stays_open() {
    let owner = connect(&server().owner).await;
    let end = owner.query_one("select clock_timestamp()::text", &[]).await.unwrap();
    let end: String = end.get(0);
    // PostgreSQL itself ends what is idle for 60 s; what is left until then was forgotten.
    let deadline = Instant::now() + Duration::from_secs(50);
    loop {
        let open = owner
            .query(
                "select pid, state, query from pg_stat_activity
                 where usename = 'loopctl_app' and state like 'idle in transaction%'
                   and state_change < $1::text::timestamptz",
                &[&end],
            )
            .await
            .unwrap();
        if open.is_empty() {
            return;
        }
        let open: Vec<(i32, Option<String>, Option<String>)> =
            open.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
        assert!(Instant::now() < deadline, "still open: {open:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// More requests at once than the pool has connections: none of them is lost.
pub(crate) async fn everybody_is_served() {
    let tenant = Arc::new(Tenant::new().await);
    let mut requests = JoinSet::new();
    for _ in 0..64 {
        let tenant = Arc::clone(&tenant);
        requests.spawn(async move { tenant.user.get("/tenants/me").await.expect(200) });
    }
    while let Some(answer) = requests.join_next().await {
        assert_eq!(answer.unwrap()["tenant"]["id"], tenant.id.as_str());
    }
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % limit.max(1) as u64).unwrap()
    }
}
