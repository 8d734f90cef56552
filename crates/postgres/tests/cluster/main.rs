//! The embedded PostgreSQL for real: starts, stops, crashes, and what they leave behind.
//!
//! Each test has its own directory, so they run side by side. Two helpers are processes of this same binary that
//! hold a cluster and are killed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]
#![cfg(target_os = "linux")] // The checks look into /proc.

mod place;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use loopctl_postgres::{EmbeddedCluster, EmbeddedOptions, Problem};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio_postgres::{Client, NoTls};

use place::{APPLICATION, DEADLINE, HOLD, Helper, Place, options, wait_for_line, wait_until};

fn alive(pid: i32) -> bool {
    // A zombie is a child of ours that nobody has waited for; it has no memory any more.
    fs::read_link(format!("/proc/{pid}/cwd")).is_ok()
}

async fn connect(cluster: &EmbeddedCluster) -> Client {
    let (client, connection) = cluster.config(APPLICATION.owner, "postgres").connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn text(client: &Client, sql: &str) -> String {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

/// Not a test: the process that the tests kill.
#[tokio::test]
#[ignore = "a helper process of the other tests"]
async fn holder() {
    let Ok(dir) = std::env::var(HOLD) else { return };
    let cluster = EmbeddedCluster::start(&options(Path::new(&dir))).await.unwrap();
    let client = connect(&cluster).await;
    client
        .batch_execute("CREATE TABLE IF NOT EXISTS kept (n int); INSERT INTO kept VALUES (1)")
        .await
        .unwrap();
    println!("\nready");
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_cold_start_makes_a_private_and_durable_cluster() {
    let place = Place::new();
    let began = Instant::now();
    let cluster = place.start().await.unwrap();
    println!("cold start: {:?}", began.elapsed());
    let client = connect(&cluster).await;
    assert_eq!(client.query_one("SELECT 1", &[]).await.unwrap().get::<_, i32>(0), 1);
    for (setting, value) in [
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("synchronous_commit", "on"),
        ("data_checksums", "on"),
        ("listen_addresses", ""),
        ("server_encoding", "UTF8"),
        ("TimeZone", "UTC"),
        ("max_connections", "100"),
        ("shared_buffers", "64MB"),
    ] {
        assert_eq!(text(&client, &format!("SHOW {setting}")).await, value, "{setting}");
    }
    assert_eq!(text(&client, "SELECT upper('grün')").await, "GRÜN");
    assert_eq!(text(&client, "SELECT current_user::text").await, APPLICATION.owner);

    let pid = cluster.pid();
    assert_eq!(pid, place.postmaster());
    let owner = fs::metadata(format!("/proc/{pid}")).unwrap().uid();
    assert_ne!(owner, 0, "PostgreSQL runs as root");
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    if nix::unistd::Uid::effective().is_root() {
        assert!(status.lines().any(|line| line.trim_end() == "Groups:"), "root's groups were kept");
        assert_eq!(fs::metadata(&place.dir).unwrap().mode() & 0o777, 0o711);
    }
    for private in [cluster.socket_dir(), &place.pgdata()] {
        let meta = fs::metadata(private).unwrap();
        assert_eq!((meta.mode() & 0o777, meta.uid()), (0o700, owner), "{}", private.display());
    }
    let group = nix::unistd::getpgid(Some(Pid::from_raw(pid))).unwrap();
    assert_eq!(group.as_raw(), pid, "Ctrl-C would reach it");
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).unwrap() {
        let target = fs::read_link(entry.unwrap().path()).unwrap_or_default();
        assert!(!target.ends_with("example.lock"), "PostgreSQL has inherited the lock");
    }
    assert!(cluster.bin_dir().join("postgres").exists());
    let environment = fs::read_to_string(format!("/proc/{pid}/environ")).unwrap();
    assert!(!environment.contains("CARGO"), "our environment leaks to PostgreSQL");

    cluster.stop().await.unwrap();
    assert!(!alive(pid));
    assert!(!place.pid_file().exists());
}

/// As in a container that was given some number to run as.
#[tokio::test]
async fn an_account_without_a_name_gets_a_cluster_too() {
    if !nix::unistd::Uid::effective().is_root() {
        println!("only root can run something as another user id");
        return;
    }
    const NAMELESS: u32 = 1_234_567;
    let place = Place::new();
    let home = place.dir.parent().unwrap();
    std::os::unix::fs::chown(home, Some(NAMELESS), Some(NAMELESS)).unwrap();
    // Where the tests are built may be closed to the account. Another process copies: a child that some other test forks
    // while this one has the copy open for writing would keep it open, and what is open for writing cannot be run.
    let program = home.join("holder");
    let copied = Command::new("cp").arg(std::env::current_exe().unwrap()).arg(&program).status().unwrap();
    assert!(copied.success(), "{copied}");
    for _created_then_found in 0..2 {
        let mut command = Command::new(&program);
        command.uid(NAMELESS).gid(NAMELESS).current_dir("/");
        let mut holder = place.hold_with(command);
        wait_for_line(&mut holder, "ready");
        let meta = fs::metadata(format!("/proc/{}", place.postmaster())).unwrap();
        assert_eq!((meta.uid(), meta.gid()), (NAMELESS, NAMELESS));
        assert_eq!(fs::metadata(place.pgdata()).unwrap().uid(), NAMELESS);
    }
}

#[tokio::test]
async fn data_survives_a_restart() {
    let place = Place::new();
    let cluster = place.start().await.unwrap();
    connect(&cluster).await.batch_execute("CREATE TABLE t AS SELECT 'kept'::text").await.unwrap();
    let began = Instant::now();
    cluster.stop().await.unwrap();
    println!("stop: {:?}", began.elapsed());
    for _ in 0..3 {
        let began = Instant::now();
        let cluster = place.start().await.unwrap();
        println!("warm start: {:?}", began.elapsed());
        assert_eq!(text(&connect(&cluster).await, "TABLE t").await, "kept");
        cluster.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_second_server_is_told_who_holds_the_directory() {
    let place = Place::new();
    let mut holder = place.hold();
    wait_for_line(&mut holder, "ready");
    let message = place.start().await.unwrap_err().to_string();
    assert_eq!(
        message,
        format!(
            "another example server (pid {}) already uses {}; stop it, or set EXAMPLE_DATA_DIR to another directory",
            holder.pid(),
            place.dir.display()
        )
    );
    drop(holder);
}

#[tokio::test]
async fn a_killed_server_takes_postgres_along_and_loses_nothing() {
    let place = Place::new();
    for round in 1..=2_i64 {
        let mut holder = place.hold();
        wait_for_line(&mut holder, "ready");
        let postmaster = place.postmaster();
        drop(holder);
        if round == 1 {
            let began = Instant::now();
            wait_until("PostgreSQL ends with its server", || !alive(postmaster));
            println!("gone after the kill: {:?}", began.elapsed());
        }
        // In the second round at once, while the old one is still on its way out.
        let began = Instant::now();
        let cluster = place.start().await.unwrap();
        println!("start after the kill: {:?}", began.elapsed());
        let client = connect(&cluster).await;
        let count: i64 = client.query_one("SELECT count(*) FROM kept", &[]).await.unwrap().get(0);
        assert_eq!(count, round);
        cluster.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_start_that_is_killed_in_initdb_leaves_nothing_half_made() {
    let place = Place::new();
    let unfinished = || {
        fs::read_dir(&place.dir).ok()?.flatten().map(|entry| entry.path()).find(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("postgres.init-"))
        })
    };
    let holder = place.hold();
    wait_until("initdb has begun", || {
        unfinished().is_some_and(|dir| dir.join("PG_VERSION").exists() || dir.join("base").exists())
    });
    drop(holder);
    assert!(!place.pgdata().exists());

    // What an initdb that cannot clean up (power loss) leaves.
    let leftover = place.dir.join("postgres.init-1-1");
    fs::create_dir_all(leftover.join("base")).unwrap();
    fs::write(leftover.join("PG_VERSION"), "15\n").unwrap();

    let cluster = place.start().await.unwrap();
    assert_eq!(text(&connect(&cluster).await, "SELECT 'up'").await, "up");
    assert!(!leftover.exists());
    cluster.stop().await.unwrap();
    let cluster = place.start().await.unwrap();
    assert_eq!(unfinished(), None);
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn an_unexpected_end_is_noticed_and_the_next_start_recovers() {
    let place = Place::new();
    let cluster = place.start().await.unwrap();
    let client = connect(&cluster).await;
    client.batch_execute("CREATE TABLE t AS SELECT 'kept'::text").await.unwrap();
    let exited = cluster.exited();
    kill(Pid::from_raw(cluster.pid()), Signal::SIGKILL).unwrap();
    let error = tokio::time::timeout(DEADLINE, exited).await.unwrap();
    assert!(error.to_string().contains("stopped unexpectedly (signal: 9"), "{error}");
    let error = cluster.stop().await.unwrap_err();
    assert!(matches!(error.problem, Problem::Exited { .. }), "{error}");

    // Now there is a postmaster.pid and a socket of a dead process.
    assert!(place.pid_file().exists());
    let cluster = place.start().await.unwrap();
    assert_eq!(text(&connect(&cluster).await, "TABLE t").await, "kept");
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_reused_process_id_does_not_prevent_a_start() {
    let place = Place::new();
    let cluster = place.start().await.unwrap();
    let owner = fs::metadata(place.pgdata()).unwrap();
    kill(Pid::from_raw(cluster.pid()), Signal::SIGKILL).unwrap();
    cluster.exited().await;
    drop(cluster);

    // An innocent process of the same account has the old number, in both lock files.
    let mut sleep = Command::new("sleep");
    sleep.arg("600").current_dir("/");
    if nix::unistd::Uid::effective().is_root() {
        sleep.uid(owner.uid()).gid(owner.gid());
    }
    let mut innocent = Helper(sleep.spawn().unwrap());
    let socket_lock = place.dir.join("run/.s.PGSQL.5432.lock");
    for file in [place.pid_file(), socket_lock] {
        let text = fs::read_to_string(&file).unwrap();
        let rest = text.split_once('\n').unwrap().1;
        fs::write(&file, format!("{}\n{rest}", innocent.pid())).unwrap();
    }
    let cluster = place.start().await.unwrap();
    assert_eq!(text(&connect(&cluster).await, "SELECT 'up'").await, "up");
    assert!(innocent.0.try_wait().unwrap().is_none(), "an innocent process was killed");
    cluster.stop().await.unwrap();

    // Cut short by a crash of the machine.
    fs::write(place.pid_file(), "").unwrap();
    place.start().await.unwrap().stop().await.unwrap();
}

#[tokio::test]
async fn a_postgres_that_lost_its_server_is_stopped_first() {
    let place = Place::new();
    let cluster = place.start().await.unwrap();
    let bin_dir = cluster.bin_dir().to_path_buf();
    cluster.stop().await.unwrap();

    // As on a system without a parent-death signal: nobody stops it.
    let owner = fs::metadata(place.pgdata()).unwrap();
    let mut command = Command::new(bin_dir.join("postgres"));
    command.arg("-D").arg(place.pgdata()).args(["-c", "listen_addresses="]);
    command.arg("-c").arg(format!("unix_socket_directories={}", place.dir.join("run").display()));
    command.current_dir("/").stderr(Stdio::null());
    if nix::unistd::Uid::effective().is_root() {
        command.uid(owner.uid()).gid(owner.gid());
    }
    let mut orphan = Helper(command.spawn().unwrap());
    wait_until("the orphan is up", || {
        fs::read_to_string(place.pid_file()).is_ok_and(|text| text.contains("ready"))
    });
    let cluster = place.start().await.unwrap();
    assert!(orphan.0.wait().unwrap().success());
    assert_ne!(cluster.pid(), orphan.pid());
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn dropping_the_cluster_stops_it_and_frees_the_directory() {
    let place = Place::new();
    let cluster = place.start().await.unwrap();
    let (pid, exited) = (cluster.pid(), cluster.exited());
    drop(cluster);
    tokio::time::timeout(DEADLINE, exited).await.unwrap();
    assert!(!alive(pid));
    place.start().await.unwrap().stop().await.unwrap();
}

#[tokio::test]
async fn a_start_that_is_abandoned_leaves_nothing_running() {
    let place = Place::new();
    place.start().await.unwrap().stop().await.unwrap();
    for millis in [1, 5, 10, 15, 20, 30] {
        let _ = tokio::time::timeout(Duration::from_millis(millis), place.start()).await;
        // Each next start is refused only while the abandoned one still winds up.
        let deadline = Instant::now() + DEADLINE;
        let cluster = loop {
            match place.start().await {
                Ok(cluster) => break cluster,
                Err(error) => {
                    let locked = matches!(error.problem, Problem::Locked { .. });
                    assert!(locked && Instant::now() < deadline, "{error}");
                }
            }
        };
        cluster.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_works() {
    let mut place = Place::new();
    place.dir = place.dir.join("deep".repeat(30));
    let cluster = place.start().await.unwrap();
    assert!(!cluster.socket_dir().starts_with(&place.dir));
    assert_eq!(fs::metadata(cluster.socket_dir()).unwrap().mode() & 0o777, 0o700);
    assert_eq!(text(&connect(&cluster).await, "SELECT 'up'").await, "up");
    let socket_dir = cluster.socket_dir().to_path_buf();
    cluster.stop().await.unwrap();
    assert!(!socket_dir.exists());
}

#[tokio::test]
async fn odd_characters_in_the_path_work() {
    let mut place = Place::new();
    place.dir = place.dir.join("a b, \"c\" 'ü' %d");
    let cluster = place.start().await.unwrap();
    assert_eq!(text(&connect(&cluster).await, "SELECT 'up'").await, "up");
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_failing_start_shows_the_log_and_runs_nothing() {
    let place = Place::new();
    place.start().await.unwrap().stop().await.unwrap();
    let settings = place.pgdata().join("postgresql.conf");
    let good = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, format!("{good}\nno_such_setting = 1\n")).unwrap();
    let message = place.start().await.unwrap_err().to_string();
    assert!(message.contains("no_such_setting") && message.contains("postgres.log"), "{message}");
    fs::write(&settings, good).unwrap();
    place.start().await.unwrap().stop().await.unwrap();
}

#[tokio::test]
async fn other_files_in_place_of_the_cluster_are_left_alone() {
    let place = Place::new();
    fs::create_dir_all(place.pgdata()).unwrap();
    fs::write(place.pgdata().join("precious"), "").unwrap();
    let error = place.start().await.unwrap_err();
    assert!(matches!(error.problem, Problem::NotACluster { .. }), "{error}");
    // Also with an empty directory, which may be a prepared one, it goes on.
    fs::remove_file(place.pgdata().join("precious")).unwrap();
    place.start().await.unwrap().stop().await.unwrap();
}

#[tokio::test]
async fn as_root_a_closed_parent_is_named() {
    if !nix::unistd::Uid::effective().is_root() {
        return;
    }
    let mut place = Place::new();
    let closed = place.dir.join("closed");
    fs::create_dir_all(&closed).unwrap();
    fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
    place.dir = closed.join("data");
    let message = place.start().await.unwrap_err().to_string();
    assert!(message.contains(&format!("cannot enter {} ", closed.display())), "{message}");
    assert!(message.contains("chmod o+x"), "{message}");
}

#[tokio::test]
async fn a_bundle_runs() {
    let place = Place::new();
    let probe = Place::new();
    let cluster = probe.start().await.unwrap();
    let system = cluster.bin_dir().to_path_buf();
    cluster.stop().await.unwrap();

    let bundle = place.dir.with_file_name("bundle.tar.gz");
    write_bundle(&bundle, &system);
    let options = EmbeddedOptions {
        bundle: Some(bundle.display().to_string()),
        ..EmbeddedOptions::new(&APPLICATION, &place.dir)
    };
    let cluster = EmbeddedCluster::start(&options).await.unwrap();
    assert!(cluster.bin_dir().starts_with(place.dir.join("bundles")));
    assert_eq!(text(&connect(&cluster).await, "SELECT 'up'").await, "up");
    cluster.stop().await.unwrap();
}

/// A bundle whose programs call those of the system, because PostgreSQL cannot be moved file by file.
fn write_bundle(path: &Path, system: &Path) {
    let file = fs::File::create(path).unwrap();
    let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(file, flate2::Compression::fast()));
    for program in ["postgres", "initdb"] {
        let script = format!("#!/bin/sh\nexec {}/{program} \"$@\"\n", system.display());
        let mut header = tar::Header::new_gnu();
        header.set_size(script.len() as u64);
        header.set_mode(0o755);
        header.set_cksum();
        archive.append_data(&mut header, format!("postgresql/bin/{program}"), script.as_bytes()).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap();
}
