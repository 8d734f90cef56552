//! `--commands`: what a command takes as a whole process, over what the server's own answer takes; and what a board takes while nothing
//! happens. Stops where that is more than it may be.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pty_process::Size;
use pty_process::blocking::Command as InTerminal;

use crate::bulk::median;
use crate::cost::seconds_of;
use crate::http::{Connection, request};
use crate::note;
use crate::service::{Service, THIS};
use crate::tenants::Tenant;

/// How often each is run; the median counts.
const RUNS: usize = 50;
/// Stories that can be begun.
const READY: usize = 20;
/// A board is left alone for so long once it is drawn.
const DRAWN: Duration = Duration::from_secs(5);
const QUIET: Duration = Duration::from_secs(60);
/// What `--version`, and `next` over the server's own answer, may take.
const MOST: Duration = Duration::from_millis(10);
/// The part of a core that a board may take while nothing happens.
const MOST_OF_A_CORE: f64 = 0.02;

/// Whether this is wanted.
pub(crate) fn is_wanted() -> bool {
    std::env::args().any(|argument| argument == "--commands")
}

#[allow(clippy::print_stdout, reason = "the table is this program's result")]
pub(crate) async fn run(scratch: &std::path::Path) {
    let service = Service::start(scratch).await;
    let tenant = Tenant::create(&service, "commands").await;
    let project = tenant.plan("commands", READY).await;
    let command = |arguments: &[&str]| {
        let mut command = Command::new(THIS);
        command
            .args(arguments)
            .env_clear()
            .env("LOOPCTL_CONFIG", scratch.join("no-configuration"))
            .env("LOOPCTL_SERVER", format!("http://{}", service.address))
            .env("LOOPCTL_API_KEY", &tenant.agent.key);
        command
    };
    note("commands");
    let version = median((0..RUNS).map(|_| whole(command(&["--version"]))).collect());
    let asked = ["next", "--project", &project, "--format", "json"];
    let mut next = Vec::new();
    let mut answers = Vec::new();
    let mut connection = Connection::open(&service.address).await.expect("the server listens");
    let path = format!("/stories/ready?project_id={project}");
    let get = request("GET", &path, &tenant.agent.key, "");
    for _ in 0..RUNS {
        next.push(whole(command(&asked)));
        let began = Instant::now();
        assert_eq!(connection.exchange(&[&get]).await.expect("an answer"), 200);
        answers.push(began.elapsed());
    }
    let (next, answer) = (median(next), median(answers));
    note("a board, and nothing happens");
    let (pty, pts) = pty_process::blocking::open().expect("a terminal");
    pty.resize(Size::new(24, 80)).expect("a terminal");
    let mut board = InTerminal::from(command(&["watch", "--project", &project])).spawn(pts).expect("a board");
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        // Until nobody has the other end any more.
        while let Ok(1..) = (&pty).read(&mut bytes) {}
    });
    tokio::time::sleep(DRAWN).await;
    let before = seconds_of(board.id());
    tokio::time::sleep(QUIET).await;
    let share = (seconds_of(board.id()) - before) / QUIET.as_secs_f64();
    board.kill().expect("it is ours");
    board.wait().expect("it is ours");
    println!("| command, whole process, median of {RUNS} | ms |\n|---|---:|");
    let row = |what: &str, time: Duration| println!("| {what} | {:.1} |", time.as_secs_f64() * 1000.0);
    row("`loopctl --version`", version);
    row("`loopctl next`", next);
    row("the server's own answer to it", answer);
    let over = next.saturating_sub(answer);
    row("`loopctl next` over that", over);
    println!(
        "\n`loopctl watch` while nothing happens, for {} s: {:.2} % of a core",
        QUIET.as_secs(),
        share * 100.0
    );
    assert!(version <= MOST, "--version takes {version:?}, and may take {MOST:?}");
    assert!(over <= MOST, "next takes {over:?} over the server's answer, and may take {MOST:?}");
    assert!(share <= MOST_OF_A_CORE, "a board takes {share} of a core, and may take {MOST_OF_A_CORE}");
}

/// From the start of a process to its end, which has to be a success.
fn whole(mut command: Command) -> Duration {
    let began = Instant::now();
    let output = command.stdin(Stdio::null()).output().expect("it runs");
    let taken = began.elapsed();
    assert!(output.status.success(), "{output:?}");
    taken
}
