//! Whatever one tenant asks for at the same time, it has its share, and others are answered.

use futures_util::future::join_all;
use loopctl_server::serve::ServeOptions;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_postgres::Client;

use crate::support::{
    Caller, PATIENCE, Tenant, TestServer, connect, own_database, server, started, story, text, until_true,
};

/// Those who wait for what a connection has locked, and who wait for those.
const WAITERS: &str = "
    with recursive waiting (pid) as (
        select pid from pg_stat_activity where $1 = any (pg_blocking_pids(pid))
        union
        select a.pid from pg_stat_activity a join waiting w on w.pid = any (pg_blocking_pids(a.pid)))
    select count(*) from waiting";

/// Somebody who holds a row of the tenant's.
struct Holder {
    client: Client,
    watcher: Client,
    pid: i32,
}

impl Holder {
    async fn of(server: &TestServer, sql: &str) -> Self {
        let (client, watcher) = (connect(&server.owner).await, connect(&server.owner).await);
        let pid = client.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0);
        client.batch_execute(&format!("begin; {sql}")).await.unwrap();
        Self { client, watcher, pid }
    }

    async fn of_story(server: &TestServer, story: &str) -> Self {
        Self::of(server, &format!("select from story_states where id = '{story}' for update")).await
    }

    async fn waiters(&self) -> i64 {
        self.watcher.query_one(WAITERS, &[&self.pid]).await.unwrap().get(0)
    }

    /// Waits until so many wait for it.
    async fn until_waited_for(&self, by: i64) {
        let sql = format!("select waiters = $2 from ({WAITERS}) w (waiters)");
        until_true("they wait", PATIENCE, &self.watcher, &sql, &[&self.pid, &by]).await;
    }

    async fn let_go(self) {
        self.client.batch_execute("rollback").await.unwrap();
    }
}

/// A request as it goes over the wire, whose body says that it is so long.
fn head(caller: &Caller, method: &str, path: &str, length: usize) -> String {
    format!(
        "{method} /api/v1{path} HTTP/1.1\r\nHost: loopctl.test\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n",
        caller.key.as_deref().unwrap()
    )
}

async fn dial(server: &TestServer) -> TcpStream {
    TcpStream::connect(server.base.strip_prefix("http://").unwrap()).await.unwrap()
}

#[tokio::test]
async fn what_nobody_waits_for_is_stopped() {
    let tenant = Tenant::new().await;
    let story = tenant.story().await;
    let holder = Holder::of_story(server(), &story).await;
    let body = json!({"description": "another"}).to_string();
    let request = head(&tenant.user, "PATCH", &format!("/stories/{story}"), body.len()) + &body;
    let mut client = dial(server()).await;
    client.write_all(request.as_bytes()).await.unwrap();
    holder.until_waited_for(1).await;
    drop(client);
    // By itself it would wait for as long as a lock is waited for.
    let gone = "select not exists (select from pg_stat_activity
                                   where $1 = any (pg_blocking_pids(pid)) and clock_timestamp() > query_start + interval '8 s')
                   and not exists (select from pg_stat_activity where $1 = any (pg_blocking_pids(pid)))";
    until_true("it is stopped", PATIENCE, &holder.watcher, gone, &[&holder.pid]).await;
    holder.let_go().await;
    let shown = tenant.user.get(&format!("/stories/{story}")).await.expect(200);
    assert_ne!(shown["story"]["description"], "another");
}

#[tokio::test]
async fn a_tenant_has_its_share_of_the_connections_and_reads_beside_what_it_writes() {
    // Ten connections: four for a tenant, three of them for what it writes.
    let server = started(ServeOptions::local(own_database()));
    let tenant = Tenant::at(&server.owner, &server.base).await;
    let story = tenant.story().await;
    let holder = Holder::of_story(&server, &story).await;
    let path = format!("/stories/{story}");
    let writers = (0..20).map(|nth| {
        let (user, path) = (tenant.user.clone(), path.clone());
        tokio::spawn(async move { user.patch(&path, json!({"description": format!("{nth}")})).await })
    });
    let writers: Vec<_> = writers.collect();
    holder.until_waited_for(3).await;
    tenant.user.get(&path).await.expect(200);
    let other = Tenant::at(&server.owner, &server.base).await;
    let theirs = other.story().await;
    other.user.patch(&format!("/stories/{theirs}"), json!({"description": "done"})).await.expect(200);
    assert_eq!(holder.waiters().await, 3, "they have waited all the time");
    holder.let_go().await;
    for written in join_all(writers).await {
        written.unwrap().expect(200);
    }
}

#[tokio::test]
async fn who_waits_for_a_project_has_no_connection() {
    let tenant = Tenant::new().await;
    let project = tenant.project_of(&["1.1"]).await;
    let story = tenant.story_id(&project, "1.1").await;
    let epic = text(&tenant.user.get(&format!("/stories/{story}")).await.expect(200)["story"]["epic_id"]);
    let holder =
        Holder::of(server(), &format!("select from projects where id = '{project}' for update")).await;
    let creators = (2..14).map(|nth| {
        let (user, path) = (tenant.user.clone(), format!("/epics/{epic}/stories"));
        tokio::spawn(async move {
            user.post(&path, json!({"number": format!("1.{nth}"), "title": "One more"})).await
        })
    });
    let creators: Vec<_> = creators.collect();
    holder.until_waited_for(1).await;
    // What is of another project needs a connection, and gets one.
    let another = tenant.project_of(&["1.1"]).await;
    tenant.story_id(&another, "1.1").await;
    assert_eq!(holder.waiters().await, 1);
    holder.let_go().await;
    for created in join_all(creators).await {
        created.unwrap().expect(201);
    }
}

#[tokio::test]
async fn a_tenant_has_its_share_of_the_memory() {
    const MIB: usize = 1024 * 1024;
    // Twelve MiB for what is large of a tenant.
    let server = started(ServeOptions { request_memory: 64, ..ServeOptions::local(own_database()) });
    let tenant = Tenant::at(&server.owner, &server.base).await;
    let project = tenant.project_of(&["1.1"]).await;
    let path = format!("/projects/{project}/import");
    // Five MiB, of which the last does not come, take all of it.
    let mut unfinished = dial(&server).await;
    unfinished.write_all(head(&tenant.user, "POST", &path, 5 * MIB).as_bytes()).await.unwrap();
    unfinished.write_all(&vec![b' '; 4 * MIB]).await.unwrap();
    let story = format!("/stories/{}", tenant.story_id(&project, "1.1").await);
    let large = json!({"epics": [], "merge": true, "more": "x".repeat(MIB)});
    // Whichever of them came first.
    let refused = loop {
        let reply = tenant.user.post(&path, large.clone()).await;
        if reply.status == 503 {
            break reply;
        }
    };
    assert_eq!(refused.headers["retry-after"], "2");
    let error = refused.expect_error(503, "overloaded");
    assert_eq!((&error["outcome"], &error["retry_after_seconds"]), (&json!("unchanged"), &json!(2)));
    // Small requests have room, and so have others with large ones.
    tenant.user.get(&story).await.expect(200);
    let other = Tenant::at(&server.owner, &server.base).await;
    let theirs = other.project_of(&["1.1"]).await;
    other.user.post(&format!("/projects/{theirs}/import"), large.clone()).await.expect(200);
    let counted = reqwest::get(format!("{}/metrics", server.base)).await.unwrap().text().await.unwrap();
    let of = |name: &str, tenant: &Tenant| {
        let line = format!("loopctl_tenant_{name}_total{{tenant_id=\"{}\"}} ", tenant.id);
        let at = counted.find(&line).unwrap_or_else(|| panic!("{line}")) + line.len();
        counted[at..].lines().next().unwrap().parse::<f64>().unwrap()
    };
    assert!(of("overloaded", &tenant) >= 1.0);
    assert!(
        of("overloaded", &other) == 0.0
            && of("received_bytes", &other) > MIB as f64
            && of("db_seconds", &other) > 0.0
    );
    // Whoever leaves makes room.
    drop(unfinished);
    loop {
        let reply = tenant.user.send(tenant.user.request(Method::POST, &path).json(&large)).await;
        if reply.status == 200 {
            break;
        }
        reply.expect_error(503, "overloaded");
    }
}

#[tokio::test]
async fn a_body_that_drips_is_not_waited_for() {
    let tenant = Tenant::new().await;
    let mut client = dial(server()).await;
    client.write_all((head(&tenant.user, "POST", "/projects", 1000) + "{").as_bytes()).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("1024 bytes/s"), "{answer}");
    let body: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(body["error"]["code"], "request_timeout");
}

/// Plans so many stories of 60 KB each in an epic of their own.
async fn plan_large(tenant: &Tenant, project: &str, epic: usize, count: usize) {
    let large = |nth| {
        let mut story = story(&format!("{epic}.{nth}"));
        story["metadata"] = json!({"note": "x".repeat(60_000)});
        story
    };
    let stories: Vec<_> = (1..=count).map(large).collect();
    let plan = json!({"epics": [{"number": epic, "title": "Large", "stories": stories}]});
    tenant.user.post(&format!("/projects/{project}/import?merge=true"), plan).await.expect(200);
}

#[tokio::test]
async fn what_was_large_is_begun_in_its_turn() {
    let server = started(ServeOptions::local(own_database()));
    let tenant = Tenant::at(&server.owner, &server.base).await;
    let project = tenant.project_of(&["9.1"]).await;
    plan_large(&tenant, &project, 1, 30).await;
    let path = format!("/stories?project_id={project}&limit=50");
    tenant.user.get(&path).await.expect(200);
    let holder = Holder::of(&server, "lock table stories in access exclusive mode").await;
    let asking = join_all((0..3).map(|_| tenant.user.get(&path)));
    let watching = async {
        holder.until_waited_for(1).await;
        for _ in 0..5 {
            tenant.user.get("/agents").await.expect(200);
            assert_eq!(holder.waiters().await, 1, "the others have not begun");
        }
        holder.let_go().await;
    };
    let (answers, ()) = tokio::join!(asking, watching);
    for answer in answers {
        assert_eq!(answer.expect(200)["data"].as_array().unwrap().len(), 31);
    }
}

#[tokio::test]
async fn a_page_is_no_larger_than_an_answer() {
    let tenant = Tenant::new().await;
    let project = tenant.project_of(&["9.1"]).await;
    for epic in 1..=2 {
        plan_large(&tenant, &project, epic, 150).await;
    }
    let path = format!("/stories?project_id={project}");
    let error = tenant.user.get(&format!("{path}&limit=500")).await.expect_error(422, "answer_too_large");
    let hint = text(&error["hints"][0]);
    let fits: usize = hint.split(' ').find_map(|word| word.parse().ok()).unwrap();
    assert!((200..300).contains(&fits), "{hint}");
    let page = tenant.user.get(&format!("{path}&limit={fits}")).await.expect(200);
    assert_eq!(page["data"].as_array().unwrap().len(), fits);
}
