//! A pooler between the server and PostgreSQL: what lends connections to others between transactions is refused, with a real
//! PgBouncer.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use super::postgres::{Postgres, Process, account, find, free_port};
use crate::support::{Daemon, Scratch, call, run, wait_for};

const USER: &str = "postgres";
const PASSWORD: &str = "pooled";

/// A PgBouncer in front of it, until it is dropped; and a URL that leads to it.
fn pooler(dir: &Path, postgres: &Postgres, settings: &str) -> (Process, String) {
    let program = find("pgbouncer").expect(
        "PgBouncer, which bin/prepare installs (make test); LOOPCTL_TEST_NGINX=none make test leaves these tests out",
    );
    let (port, file) = (free_port(), dir.join("pgbouncer.ini"));
    let text = format!(
        "[databases]\npostgres = host=127.0.0.1 port={} user={USER} password={PASSWORD}\n[pgbouncer]\n\
         listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n{settings}\n",
        postgres.port
    );
    fs::write(&file, text).unwrap();
    let mut command = Command::new(program);
    command.current_dir("/").arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Some(account) = account() {
        chown(&file, Some(account.uid.as_raw()), Some(account.gid.as_raw())).unwrap();
        command.uid(account.uid.as_raw()).gid(account.gid.as_raw());
    }
    let process = Process::new(command.spawn().unwrap(), Signal::SIGTERM);
    wait_for("PgBouncer", || TcpStream::connect(("127.0.0.1", port)).ok());
    (process, format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{port}/postgres"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_lends_connections_to_others_is_refused() {
    let scratch = Scratch::new();
    let dir = scratch.path();
    fs::create_dir(dir).unwrap();
    let postgres = Postgres::start(dir, USER, PASSWORD);
    let direct = postgres.url("postgres", USER, PASSWORD, "postgres");
    run("migrate", &[("DATABASE_URL", &direct)]).json();

    let refused = |settings: &str, said: &str| {
        let (_pooler, url) = pooler(dir, &postgres, settings);
        for command in ["serve --port 0", "worker", "migrate"] {
            let refused = run(command, &[("DATABASE_URL", &url)]);
            assert!(refused.failure(1).contains(said), "{settings}, {command}: {refused:?}");
        }
    };
    // As it is by default: it takes no settings.
    refused("pool_mode = transaction", "unsupported startup parameter");
    // It is told to overlook them, so they are lost.
    let overlooks = "ignore_startup_parameters = options";
    refused(&format!("pool_mode = transaction\n{overlooks}"), "does not hand on the settings of a session");
    // The login has them by itself. What is lent is lent all the same.
    let superuser = postgres.client(USER, PASSWORD, "postgres").await;
    for setting in
        ["lock_timeout = '10s'", "statement_timeout = '1min'", "idle_in_transaction_session_timeout = '1min'"]
    {
        superuser.batch_execute(&format!("alter role {USER} set {setting}")).await.unwrap();
    }
    refused(&format!("pool_mode = transaction\n{overlooks}"), "a pooler in transaction mode");

    // One that lends a connection for as long as ours lives is as good as none.
    let (_pooler, url) = pooler(dir, &postgres, &format!("pool_mode = session\n{overlooks}"));
    run("migrate", &[("DATABASE_URL", &url)]).json();
    let server =
        tokio::task::spawn_blocking(move || Daemon::start_with(&[("DATABASE_URL", &url)])).await.unwrap();
    let (status, health) = call("GET", &format!("{}/health", server.base), None, None).await.unwrap();
    assert_eq!((status, health["status"].as_str()), (200, Some("ok")), "{health}");
    tokio::task::spawn_blocking(move || server.stop()).await.unwrap();
}
