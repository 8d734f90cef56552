//! Sixteen agents work through two hundred stories while clients and server are killed at random moments. What
//! the server has acknowledged must be there afterwards, and every story's history must be one that the rules
//! allow.

mod fleet;
mod history;
mod world;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio_postgres::{NoTls, SimpleQueryMessage};

use self::history::Histories;
use self::world::World;
use crate::support::{Daemon, Scratch, postgres_pid, run_on};

const STORIES: usize = 200;
/// Server kills, each after this many further acknowledged transitions.
const KILLS: usize = 4;
const BETWEEN_KILLS: usize = 250;
/// Beyond this the agents are stuck, not slow.
const LIMIT: Duration = Duration::from_secs(240);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_acknowledged_is_lost_when_clients_and_server_are_killed() {
    let dir = Scratch::new();
    let mut server = start(dir.path()).await;
    let created = run_on(
        dir.path(),
        "operator tenant create --name Acme --slug acme --email ops@acme.test",
    )
    .json();
    let tenant = created["tenant"]["id"].as_str().unwrap();
    let user = created["api_key"]["raw_key"].as_str().unwrap();
    let world = Arc::new(World::prepare(&server.base, user).await);
    let fleet = fleet::launch(&world);
    let deadline = Instant::now() + LIMIT;
    let mut histories = Histories::default();

    for round in 0..KILLS {
        let target = world.acknowledged() + BETWEEN_KILLS;
        until("progress", deadline, &world, async || {
            world.acknowledged() >= target
        })
        .await;
        tokio::time::sleep(Duration::from_millis(world.random(60))).await;
        let postgres = postgres_pid(dir.path()).unwrap();
        server.signal(Signal::SIGKILL);
        if round % 2 == 1 {
            // As if the machine had lost power: no orderly shutdown of the database, either.
            kill(Pid::from_raw(postgres), Signal::SIGKILL).unwrap();
        }
        // From here on nobody sends anything, so that nothing done later can hide a loss.
        let mut address = world.hold().await;
        no_errors(server);
        server = start(dir.path()).await;
        address.clone_from(&server.base);
        histories.check(&world, &server.base, round).await;
    }

    until("end", deadline, &world, async || {
        world.verified().await == Some(STORIES)
    })
    .await;
    world.finish();
    let deaths = fleet.await_all().await;
    assert!(deaths >= 100, "only {deaths} clients were killed");
    histories.check(&world, &server.base, KILLS).await;
    histories.all_verified(STORIES);
    positions_have_no_gaps(dir.path(), tenant).await;
    assert_eq!(world.surprises(), [] as [String; 0]);
    no_errors(stop(server).await);
}

/// Starting blocks, and the agents must not notice.
async fn start(dir: &Path) -> Daemon {
    let dir = dir.to_path_buf();
    tokio::task::spawn_blocking(move || Daemon::start(&dir))
        .await
        .unwrap()
}

async fn stop(server: Daemon) -> Daemon {
    server.signal(Signal::SIGTERM);
    server
}

/// The server has ended, or is about to, and has logged no error.
#[track_caller]
fn no_errors(server: Daemon) {
    let (_, log) = server.wait();
    let errors: Vec<_> = log.lines().filter(|line| line.contains("\"ERROR\"")).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

async fn until(what: &str, deadline: Instant, world: &World, mut reached: impl AsyncFnMut() -> bool) {
    while !reached().await {
        assert!(Instant::now() < deadline, "no {what} in time; {world:?}");
        assert_eq!(world.surprises(), [] as [String; 0]);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The tenant's audit log is numbered without gaps, and its head knows the last number.
async fn positions_have_no_gaps(dir: &Path, tenant: &str) {
    let url = format!(
        "postgres:///loopctl?host={}&user=loopctl_owner",
        dir.join("run").display()
    );
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    let rows = client
        .simple_query(&format!(
            "select count(*) = max(position) and min(position) = 1 and count(distinct position) = count(*)
                    and max(position) = (select position from audit_heads where tenant_id = '{tenant}')
             from audit_log where tenant_id = '{tenant}'"
        ))
        .await
        .unwrap();
    let answer = rows.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    assert_eq!(answer, Some("t"), "the audit log of {tenant} has gaps");
}
