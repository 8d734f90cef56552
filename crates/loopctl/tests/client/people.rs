//! What people see at a terminal: as wide as it is, in colour, and in a pager where it is long.

use std::fs::File;
use std::io::Read;
use std::process::Command;

use nix::pty::{Winsize, openpty};
use serde_json::{Value, json};

use crate::P1;
use crate::support::World;

/// A project with many stories, the titles of which are long.
fn many() -> World {
    World::new(|request| match request.path.as_str() {
        "/api/v1/stories" => {
            let story = |n: usize| {
                json!({"id": P1, "number": format!("1.{n}"), "title": format!("Story {n}, {}", "word ".repeat(40)),
                       "agent_status": "reported_done", "verified_status": if n == 1 { "rejected" } else { "verified" },
                       "updated_at": "2026-01-01T00:00:00Z"})
            };
            let rows: Vec<Value> = (1..=40).map(story).collect();
            json!({"data": rows, "meta": {"total_count": 40, "limit": 500, "offset": 0}}).into()
        }
        _ => json!({"data": [{"id": P1, "name": "My App", "slug": "my-app", "status": "active"}]}).into(),
    })
}

/// Runs at a terminal of this size; what is seen, and the exit code.
fn at_terminal(mut command: Command, lines: u16, columns: u16) -> (String, i32) {
    let size = Winsize { ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let terminal = openpty(Some(&size), None).unwrap();
    let (mut screen, inside) = (File::from(terminal.master), File::from(terminal.slave));
    command.stdin(inside.try_clone().unwrap());
    command.stdout(inside.try_clone().unwrap());
    command.stderr(inside);
    let mut child = command.spawn().unwrap();
    // It holds the terminal's other end.
    drop(command);
    let (mut shown, mut buffer) = (Vec::new(), [0; 4096]);
    // Nobody holds the other end any more: that is an error here, and the end.
    while let Ok(length @ 1..) = screen.read(&mut buffer) {
        shown.extend_from_slice(&buffer[..length]);
    }
    (String::from_utf8(shown).unwrap().replace("\r\n", "\n"), child.wait().unwrap().code().unwrap())
}

fn list(world: &World, words: &str, environment: &[(&str, &str)]) -> Command {
    let words = format!("story list --project my-app {words}");
    let mut command = world.command(&words.split_whitespace().collect::<Vec<_>>());
    command.envs(environment.iter().copied()).env("PATH", "/usr/bin:/bin");
    command
}

#[test]
fn lists_are_as_wide_as_the_terminal_and_in_colour() {
    let world = many();
    for columns in [60, 80, 120] {
        let (shown, code) = at_terminal(list(&world, "--format human --no-pager", &[]), 50, columns);
        assert_eq!(code, 0, "{shown}");
        assert!(shown.contains("\u{1b}["), "{shown}");
        let plain = console::strip_ansi_codes(&shown);
        let widest = plain.lines().map(str::len).max().unwrap();
        assert_eq!(widest, usize::from(columns), "{plain}");
    }
    let (shown, _) = at_terminal(list(&world, "--format human --no-pager", &[("NO_COLOR", "1")]), 50, 80);
    assert!(!shown.contains('\u{1b}'), "{shown}");
    // Whoever reads it through a pipe, or as JSON, gets neither.
    assert!(!world.run("story list --project my-app --format human").stdout.contains('\u{1b}'));
    let (json, _) = at_terminal(list(&world, "--format json", &[("PAGER", "sed s/^/paged:/")]), 10, 80);
    assert!(!json.contains('\u{1b}') && !json.contains("paged:"), "{json}");
}

#[test]
fn what_is_longer_than_the_screen_is_shown_in_a_pager() {
    let world = many();
    let paged = |lines: u16, words: &str, environment: &[(&str, &str)]| {
        let (shown, code) =
            at_terminal(list(&world, &format!("--format human {words}"), environment), lines, 80);
        assert_eq!(code, 0, "{shown}");
        assert_eq!(console::strip_ansi_codes(&shown).matches("Story ").count(), 40, "{shown}");
        shown.contains("paged:")
    };
    let (ours, others) = (("LOOPCTL_PAGER", "sed s/^/paged:/"), ("PAGER", "sed s/^/paged:/"));
    assert!(paged(10, "", &[ours]));
    assert!(paged(10, "", &[others]));
    assert!(paged(10, "", &[ours, ("PAGER", "cat")]), "what is meant for this program alone counts first");
    for (lines, words, environment) in [
        (60, "", &[ours][..]),
        (10, "--no-pager", &[ours]),
        (10, "", &[("LOOPCTL_PAGER", "cat"), others]),
        (10, "", &[("LOOPCTL_PAGER", "/no/such/pager")]),
    ] {
        assert!(!paged(lines, words, environment), "{lines} {words} {environment:?}");
    }
    // Whoever has read enough leaves.
    let left = list(&world, "--format human", &[("LOOPCTL_PAGER", "head -1")]);
    assert_eq!(at_terminal(left, 10, 80).1, 0);
}

#[test]
fn a_pager_is_left_before_an_error_is_told() {
    let world = World::new(|_| crate::support::error(404, "no"));
    let mut command = world.command(&["project", "list", "--format", "human"]);
    command.env("LOOPCTL_PAGER", "sed s/^/paged:/");
    let (shown, code) = at_terminal(command, 10, 80);
    assert!(
        code == 5 && shown.starts_with("Error: Server returned 404") && !shown.contains("paged:"),
        "{shown}"
    );
}
