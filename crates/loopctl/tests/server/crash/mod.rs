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
/// Without anything acknowledged for this long the agents are stuck, not slow.
const STANDSTILL: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_acknowledged_is_lost_when_clients_and_server_are_killed() {
    let dir = Scratch::new();
    let mut server = start(dir.path()).await;
    let created =
        run_on(dir.path(), "operator tenant create --name Acme --slug acme --email ops@acme.test").json();
    let tenant = created["tenant"]["id"].as_str().unwrap();
    let user = created["api_key"]["raw_key"].as_str().unwrap();
    let world = Arc::new(World::prepare(&server.base, user).await);
    let fleet = fleet::launch(&world);
    let mut histories = Histories::default();

    for round in 0..KILLS {
        let target = world.acknowledged() + BETWEEN_KILLS;
        until("next kill", dir.path(), &world, async || world.acknowledged() >= target).await;
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

    until("end", dir.path(), &world, async || world.verified().await == Some(STORIES)).await;
    world.finish();
    assert!(fleet.await_all().await > 0, "no client was killed");
    histories.check(&world, &server.base, KILLS).await;
    histories.all_verified(STORIES);
    positions_have_no_gaps(dir.path(), tenant).await;
    assert_eq!(world.surprises(), [] as [String; 0]);
    no_errors(stop(server).await);
}

/// Starting blocks, and the agents must not notice.
async fn start(dir: &Path) -> Daemon {
    let dir = dir.to_path_buf();
    tokio::task::spawn_blocking(move || Daemon::start(&dir)).await.unwrap()
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

/// Waits for a condition as long as the agents get on.
async fn until(what: &str, dir: &Path, world: &World, mut reached: impl AsyncFnMut() -> bool) {
    let (mut acknowledged, mut since) = (world.acknowledged(), Instant::now());
    while !reached().await {
        assert_eq!(world.surprises(), [] as [String; 0]);
        if world.acknowledged() > acknowledged {
            (acknowledged, since) = (world.acknowledged(), Instant::now());
        }
        if since.elapsed() > STANDSTILL {
            let sessions = column(
                dir,
                "select concat_ws(' | ', pid, pg_blocking_pids(pid), state, now() - xact_start, wait_event_type,
                                  wait_event, query)
                 from pg_stat_activity where usename = 'loopctl_app'",
            )
            .await;
            let stories = column(
                dir,
                "select concat_ws(' ', agent_status, verified_status, count(*)) from story_states
                 group by agent_status, verified_status",
            )
            .await;
            panic!("standstill before the {what}, {acknowledged} acknowledged: {stories:#?}, {sessions:#?}");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The first column of a query as the database's owner.
async fn column(dir: &Path, sql: &str) -> Vec<String> {
    let url = format!("postgres:///loopctl?host={}&user=loopctl_owner", dir.join("run").display());
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    let messages = client.simple_query(sql).await.unwrap();
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("null").to_owned()),
        _ => None,
    });
    rows.collect()
}

/// The tenant's audit log is numbered without gaps, and its head knows the last number.
async fn positions_have_no_gaps(dir: &Path, tenant: &str) {
    let sql = format!(
        "select count(*) = max(position) and min(position) = 1 and count(distinct position) = count(*)
                and max(position) = (select position from audit_heads where tenant_id = '{tenant}')
         from audit_log where tenant_id = '{tenant}'"
    );
    assert_eq!(column(dir, &sql).await, ["t"], "the audit log of {tenant} has gaps");
}
