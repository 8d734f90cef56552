//! `watch` against canned answers: when it does not begin, and how it asks. Against a real server it is looked at in `tests/server`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::support::{Answer, Request, World, error};
use crate::terminal::Terminal;
use crate::{P1, S21, list, one_project, project};

const SIZE: (u16, u16) = (80, 24);

fn me() -> Answer {
    json!({"tenant": {"id": P1, "name": "Acme", "custody_halted_at": null}, "api_key": {"role": "user"}})
        .into()
}

/// A server of old, without a stream, which has one story.
fn small(request: &Request) -> Answer {
    match request.path.as_str() {
        "/api/v1/tenants/me" => me(),
        "/api/v1/changes/stream" => error(404, "Not found"),
        "/api/v1/changes" => json!({"data": [], "has_more": false, "cursor": "2026-01-01T00:00:00Z"}).into(),
        "/api/v1/agents" | "/api/v1/token-budgets" => list(&[]),
        "/api/v1/projects" => list(&[project(P1, "My App", "my-app")]),
        path if path.ends_with("/dependency_graph") => json!({"graph": {
            "epics": [{"id": P1, "number": 2, "title": "Users", "stories": [{"id": S21, "number": "2.1",
                "title": "Log in\u{1b}[31m\u{202e}", "agent_status": "pending", "verified_status": "unverified"}]}],
            "epic_dependencies": [], "story_dependencies": []}})
        .into(),
        _ => one_project(request),
    }
}

#[test]
fn without_a_terminal_it_says_what_to_use_instead() {
    let world = World::new(small);
    let run = world.run("watch");
    assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{run:?}");
    assert!(run.stderr.starts_with("Error: ") && run.stderr.contains("loopctl changes --follow"), "{run:?}");
    for patience in ["soon", "0h", "-1h"] {
        let run = world.run_words(&["watch", "--patience", patience], &[], "");
        assert!(run.code == 2 && run.stderr.contains("Invalid --patience"), "{run:?}");
    }
    assert_eq!(World::unconfigured().run("watch").code, 3);
    assert_eq!(world.lines(), [""; 0], "nothing was asked");
}

#[test]
fn what_keeps_it_from_beginning_has_its_exit_code() {
    for (status, code) in [(401, 3), (403, 4), (422, 7), (500, 10)] {
        let world = World::new(move |_| error(status, "No"));
        let mut terminal = Terminal::run(world.command(&["watch"]), SIZE);
        assert_eq!(terminal.end().code(), Some(code));
        terminal.see("No");
    }
    let world = World::new(|request| match request.path.as_str() {
        "/api/v1/projects" => list(&[]),
        _ => small(request),
    });
    let mut terminal = Terminal::run(world.command(&["watch", "--project", "nowhere"]), SIZE);
    assert_eq!(terminal.end().code(), Some(5));
}

/// Also where the server does not stream; and nothing that it sends acts on the terminal.
#[test]
fn the_board_is_read_with_few_requests() {
    let world = World::new(small);
    let mut command = world.command(&["watch"]);
    command.env("LANG", "C.UTF-8").env("NO_COLOR", "1");
    let mut terminal = Terminal::run(command, SIZE);
    let shown = terminal.see("2.1 Log in\\x1b[31m\\u{202e}");
    assert!(shown.contains("Acme / my-app") && shown.contains("ready 1"), "{shown}");
    let asked = world.lines();
    let of = |end: &str| asked.iter().filter(|line| line.contains(end)).count();
    assert_eq!((of("/dependency_graph"), of("/projects?"), of("/stories?")), (1, 1, 0), "{asked:?}");
    terminal.press("q");
    assert_eq!(terminal.end().code(), Some(0));
}

/// What is refused for a while is asked for when that is over, whatever somebody does meanwhile; the board says so.
#[test]
fn a_server_that_wants_to_be_left_alone_is_left_alone() {
    let graphs = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&graphs);
    let world = World::new(move |request| {
        if !request.path.ends_with("/dependency_graph") {
            return small(request);
        }
        count.fetch_add(1, Ordering::Relaxed);
        let body = json!({"error": {"status": 429, "message": "Too many requests", "code": "rate_limited"}});
        Answer(429, vec![("Retry-After", "60".to_owned())], body)
    });
    let mut terminal = Terminal::run(world.command(&["watch"]), SIZE);
    terminal.see("read again: the server answers 429");
    let before = world.requests().len();
    terminal.press("/log\r");
    terminal.see("read again");
    terminal.press("?");
    terminal.see("held for longer than");
    assert_eq!(graphs.load(Ordering::Relaxed), 1);
    // The log is another matter, because it is what says that anything has happened.
    let further = world.requests().split_off(before);
    assert!(further.iter().all(|request| request.path == "/api/v1/changes"), "{further:?}");
    terminal.press("\u{3}");
    assert_eq!(terminal.end().code(), Some(0));
}

/// A key that is revoked meanwhile ends it, with the words of the other commands.
#[test]
fn a_key_that_is_none_any_more_ends_it() {
    let asked = AtomicUsize::new(0);
    let world = World::new(move |request| match request.path.as_str() {
        "/api/v1/changes" if asked.fetch_add(1, Ordering::Relaxed) > 0 => error(401, "Invalid API key"),
        _ => small(request),
    });
    let mut terminal = Terminal::run(world.command(&["watch"]), SIZE);
    assert_eq!(terminal.end().code(), Some(3));
    terminal.see("Invalid API key");
}

#[test]
fn an_epic_is_shown_alone() {
    let world = World::new(|request| match request.path.as_str() {
        path if path == format!("/api/v1/epics/{P1}") => json!({"epic": {"id": P1, "project_id": P1}}).into(),
        path if path == format!("/api/v1/projects/{P1}") => {
            json!({"project": project(P1, "My App", "my-app")}).into()
        }
        path if path.ends_with("/epics") => list(&[json!({"id": P1, "number": 2, "title": "Users"})]),
        _ => small(request),
    });
    let mut terminal = Terminal::run(world.command(&["watch", "--epic", "2"]), SIZE);
    terminal.see("epic 2 Users");
    terminal.resize((60, 20));
    terminal.see("The board needs 80x24");
    kill(Pid::from_raw(terminal.pid()), Signal::SIGTERM).unwrap();
    assert_eq!(terminal.end().code(), Some(0));
    let asked = world.lines();
    let mut of_log = asked.iter().filter(|line| line.contains("/changes"));
    assert!(of_log.all(|line| line.contains("project_id=")), "{asked:?}");
}
