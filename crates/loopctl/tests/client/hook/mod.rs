//! `hook`: each program's input, in the form in which it sends it, against a server that knows what the agent holds.

use std::io::Write;
use std::process::Stdio;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::{Value, json};

use crate::support::{Answer, NO_ANSWER, Request, Run, World, error};
use crate::{P1, P2, S21, list, project, story};

const ME: &str = "0192cccc-0000-7000-8000-000000000001";

const CLAUDE: &str = include_str!("inputs/claude-code-stop.json");
const CLAUDE_AGAIN: &str = include_str!("inputs/claude-code-stop-again.json");
const CURSOR: &str = include_str!("inputs/cursor-stop.json");

/// The words of a call, what its program sends, and where in the answer the reason is.
const HOSTS: [(&str, &str, &str); 9] = [
    ("hook stop --host claude-code", CLAUDE, "/reason"),
    (
        "hook subagent-stop --host claude-code",
        include_str!("inputs/claude-code-subagent-stop.json"),
        "/reason",
    ),
    ("hook stop --host codex", include_str!("inputs/codex-stop.json"), "/reason"),
    ("hook subagent-stop --host codex", include_str!("inputs/codex-subagent-stop.json"), "/reason"),
    ("hook stop --host gemini", include_str!("inputs/gemini-stop.json"), "/reason"),
    ("hook stop --host cursor", CURSOR, "/followup_message"),
    (
        "hook subagent-stop --host cursor",
        include_str!("inputs/cursor-subagent-stop.json"),
        "/followup_message",
    ),
    ("hook stop --host copilot", include_str!("inputs/copilot-stop.json"), "/reason"),
    (
        "hook stop --host copilot",
        include_str!("inputs/copilot-vscode-stop.json"),
        "/hookSpecificOutput/reason",
    ),
];

/// Story 2.1 in some state.
fn at(members: Value) -> Value {
    let mut story = story(S21, "2.1");
    story["assigned_agent_id"] = json!(ME);
    story.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    story
}

fn implementing() -> Value {
    at(json!({"agent_status": "implementing"}))
}

/// A server with one project and one story, for the agent `ME`.
fn serving(story: Value) -> impl Fn(&Request) -> Answer + Send + Sync + 'static {
    move |request| answer(request, &story)
}

fn answer(request: &Request, story: &Value) -> Answer {
    let asks = |name: &str| {
        let value = request.query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        value.map(ToOwned::to_owned)
    };
    match request.path.as_str() {
        "/api/v1/tenants/me" => {
            json!({"tenant": {"slug": "acme"}, "api_key": {"role": "agent", "agent_id": ME}}).into()
        }
        "/api/v1/projects" => list(&[project(P1, "My App", "my-app")]),
        "/api/v1/stories/blocked" => list(&[]),
        "/api/v1/stories" => {
            let fits = ["agent_status", "verified_status"]
                .iter()
                .all(|name| asks(name).is_none_or(|wanted| story[*name] == wanted.as_str()));
            let here = asks("project_id").as_deref() == Some(P1);
            if fits && here { list(std::slice::from_ref(story)) } else { list(&[]) }
        }
        _ => error(404, "Not found"),
    }
}

/// With more time than there is by default: the machine may be busy with other tests.
fn stop(world: &World, input: &str) -> Run {
    world.run_with("hook stop --host claude-code --timeout 20", &[], input)
}

/// The agent may stop, and the user reads why nobody has looked.
fn lets_go_because(run: &Run, why: &str) {
    assert_eq!((run.code, run.stdout.as_str()), (0, ""), "{run:?}");
    assert!(run.stderr.starts_with("loopctl hook: lets the agent stop without having looked: "), "{run:?}");
    assert!(run.stderr.contains(why) && run.stderr.lines().count() == 1, "{why}: {run:?}");
}

fn lets_go(run: &Run) {
    assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (0, "", ""), "{run:?}");
}

fn reason(run: &Run) -> String {
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
    run.json()["reason"].as_str().unwrap().to_owned()
}

#[test]
fn every_program_is_answered_in_its_words() {
    for (words, input, place) in HOSTS {
        let world = World::new(serving(implementing()));
        let words = &format!("{words} --timeout 20");
        let run = world.run_with(words, &[], input);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{words}: {run:?}");
        let body = run.json();
        let reason = body.pointer(place).and_then(Value::as_str).unwrap_or_else(|| panic!("{words}: {body}"));
        assert!(reason.contains("Story 2.1 is being implemented by you."), "{words}: {reason}");
        assert!(reason.contains(&format!("request_review {{\"story_id\": \"{S21}\"}}")), "{words}: {reason}");
        assert!(reason.contains("loopctl request-review 2.1"), "{words}: {reason}");
        let decision = match words {
            _ if words.contains("gemini") => json!("deny"),
            _ if words.contains("cursor") => Value::Null,
            _ => json!("block"),
        };
        assert_eq!(body["decision"], decision, "{words}");
        // The second time it may stop, and every program is told so in its way.
        let again = world.run_with(words, &[], input);
        let nothing = if words.contains("claude-code") { "" } else { "{}\n" };
        assert_eq!((again.code, again.stdout.as_str(), again.stderr.as_str()), (0, nothing, ""), "{words}");
    }
}

#[test]
fn what_waits_for_others_keeps_nobody() {
    for state in [
        json!({"agent_status": "implementing", "review_requested_at": "2026-11-29T10:00:00Z"}),
        json!({"agent_status": "implementing", "assigned_agent_id": P1}),
        json!({"agent_status": "reported_done"}),
        json!({"agent_status": "reported_done", "verified_status": "verified"}),
        json!({"agent_status": "pending", "assigned_agent_id": null}),
    ] {
        lets_go(&stop(&World::new(serving(at(state))), CLAUDE));
    }
    let blocked =
        at(json!({"agent_status": "contracted", "assigned_agent_id": null, "contracted_by_agent_id": ME}));
    let told = reason(&stop(&World::new(serving(blocked.clone())), CLAUDE));
    assert!(told.contains("loopctl claim 2.1"), "{told}");
    let waiting = World::new(move |request| match request.path.as_str() {
        "/api/v1/stories/blocked" => list(&[json!({"story": {"id": S21}})]),
        _ => answer(request, &blocked),
    });
    lets_go(&stop(&waiting, CLAUDE));
    let keyless = World::new(|request| match request.path.as_str() {
        "/api/v1/tenants/me" => json!({"tenant": {}, "api_key": {"role": "user", "agent_id": null}}).into(),
        _ => answer(request, &implementing()),
    });
    lets_go(&stop(&keyless, CLAUDE));
}

#[test]
fn another_reason_keeps_it_again() {
    let state = Arc::new(std::sync::Mutex::new(at(json!({"agent_status": "assigned"}))));
    let shown = Arc::clone(&state);
    let world = World::new(move |request| answer(request, &shown.lock().unwrap()));
    assert!(reason(&stop(&world, CLAUDE)).contains("loopctl start 2.1"));
    lets_go(&stop(&world, CLAUDE_AGAIN));
    lets_go(&stop(&world, CLAUDE));
    *state.lock().unwrap() = implementing();
    assert!(reason(&stop(&world, CLAUDE_AGAIN)).contains("loopctl request-review 2.1"));
    lets_go(&stop(&world, CLAUDE_AGAIN));
    // Another session, and a subagent, have heard nothing yet.
    let other = CLAUDE.replace("6c1f2a8e", "7d2f2a8e");
    assert!(reason(&stop(&world, &other)).contains("2.1"));
    let run = world.run_with("hook subagent-stop --host claude-code --timeout 20", &[], HOSTS[1].1);
    assert!(reason(&run).contains("2.1"));
}

#[test]
fn who_was_kept_by_another_hook_or_broken_off_is_let_go() {
    let world = World::new(serving(implementing()));
    lets_go(&stop(&world, CLAUDE_AGAIN));
    let looped = CURSOR.replace("\"loop_count\":0", "\"loop_count\":1");
    for input in [include_str!("inputs/cursor-stop-aborted.json"), &looped] {
        let run = world.run_with("hook stop --host cursor --timeout 20", &[], input);
        assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (0, "{}\n", ""), "{run:?}");
    }
}

#[test]
fn it_fails_open() {
    let world = World::new(serving(implementing()));
    for (input, why) in [
        (String::new(), "not JSON"),
        ("{\"session_id\": ".to_owned(), "not JSON"),
        ("{}".to_owned(), "names no session"),
        (format!("{{\"session_id\": \"{}\"}}", "x".repeat(5 << 20)), "longer than"),
    ] {
        lets_go_because(&stop(&world, &input), why);
    }
    assert_eq!(world.lines(), [""; 0]);

    lets_go_because(&stop(&World::unconfigured(), CLAUDE), "No server configured");
    world.configure(&json!({"server": world.address()}));
    lets_go_because(&stop(&world, CLAUDE), "No API key configured");
    std::fs::write(world.config_path(), "{oops").unwrap();
    lets_go_because(&stop(&world, CLAUDE), "is not valid JSON");
    for (answer, why) in [
        ((401, "Invalid API key"), "401: Invalid API key"),
        ((429, "Too many requests"), "429: Too many requests"),
        ((503, "The database is away"), "503: The database is away"),
    ] {
        lets_go_because(&stop(&World::new(move |_| error(answer.0, answer.1)), CLAUDE), why);
    }
    lets_go_because(&stop(&World::new(|_| json!("hello").into()), CLAUDE), "not JSON");
    lets_go_because(&stop(&World::new(|_| (NO_ANSWER, Value::Null).into()), CLAUDE), "Cannot reach");
    let away = World::new(serving(implementing()));
    let run = away.run_with(
        "hook stop --host codex --timeout 20",
        &[("LOOPCTL_SERVER", "http://127.0.0.1:9")],
        HOSTS[2].1,
    );
    assert_eq!((run.code, run.stdout.as_str()), (0, "{}\n"), "{run:?}");
    assert!(run.stderr.contains("Cannot reach http://127.0.0.1:9"), "{run:?}");
}

/// Exit code 2 keeps an agent of Claude Code at work, whatever it is for.
#[test]
fn a_mistake_in_the_settings_of_a_program_keeps_nobody() {
    let world = World::new(serving(implementing()));
    for words in
        ["hook stop", "hook stop --host vim", "hook stop --host cursor --bogus", "hook bogus", "hook"]
    {
        let run = world.run_with(words, &[], CLAUDE);
        assert_eq!((run.code, run.stdout.as_str()), (0, ""), "{words}: {run:?}");
        assert!(!run.stderr.is_empty(), "{words}");
    }
    for words in ["story hook --bogus", "--project hook story bogus"] {
        assert_eq!(world.run(words).code, 2, "{words}");
    }
}

#[test]
fn options_of_every_command_may_come_first() {
    let world = World::new(serving(implementing()));
    for words in [
        "--format json hook bogus",
        "--format xml hook stop --host claude-code",
        "--bogus hook stop --host claude-code",
        "--insecure --timeout=20 hook stop --host vim",
        "--project hook hook stop",
    ] {
        let run = world.run_with(words, &[], CLAUDE);
        assert_eq!((run.code, run.stdout.as_str()), (0, ""), "{words}: {run:?}");
        assert!(!run.stderr.is_empty(), "{words}");
    }
    let words = "--project my-app --format human --timeout 20 hook stop --host claude-code";
    assert!(reason(&world.run_with(words, &[], CLAUDE)).contains("loopctl request-review 2.1"));
}

/// `0.0.0.0` leads to this machine, and is neither its name nor that of a private network.
#[test]
fn no_key_is_sent_in_clear_to_a_far_host() {
    let world = World::new(serving(implementing()));
    let far = world.address().replace("127.0.0.1", "0.0.0.0");
    let option = format!("hook stop --host claude-code --timeout 20 --server {far}");
    let why = format!("{far} would be sent keys over plain HTTP");
    lets_go_because(&world.run_with(&option, &[], CLAUDE), &why);
    let variable = [("LOOPCTL_SERVER", far.as_str()), ("LOOPCTL_AGENT_KEY", "lc_agent")];
    let words = "hook stop --host claude-code --timeout 20";
    lets_go_because(&world.run_with(words, &variable, CLAUDE), &why);
    let refused = [variable[0], ("LOOPCTL_ALLOW_HTTP", "0")];
    lets_go_because(&world.run_with(words, &refused, CLAUDE), &why);
    world.configure(&json!({"server": far, "api_key": "lc_secret_of_the_test"}));
    lets_go_because(&stop(&world, CLAUDE), &why);
    assert_eq!(world.lines(), [""; 0]);
    reason(&world.run_with(words, &[("LOOPCTL_ALLOW_HTTP", "1")], CLAUDE));
}

#[test]
fn a_password_in_the_address_is_not_said() {
    let world = World::new(serving(implementing()));
    for server in ["https://me:hunter2@loopctl.example", "http://hunter2@loopctl.example/"] {
        let words = "hook stop --host claude-code --timeout 20";
        let run = world.run_with(words, &[("LOOPCTL_SERVER", server)], CLAUDE);
        lets_go_because(&run, "must not hold a user name");
        assert!(!run.stderr.contains("hunter2"), "{run:?}");
    }
}

#[test]
fn who_cannot_remember_lets_go() {
    let world = World::new(serving(implementing()));
    let state = world.config_path().parent().unwrap().parent().unwrap().join(".local/state/loopctl");
    std::fs::create_dir_all(state.parent().unwrap()).unwrap();
    std::fs::write(&state, "in the way").unwrap();
    lets_go_because(&stop(&world, CLAUDE), "cannot remember what was said before");
    std::fs::remove_file(&state).unwrap();
    std::fs::create_dir_all(&state).unwrap();
    for name in ["hooks.json", "hooks.lock"] {
        let place = state.join(name);
        let is_no_file = format!("{name} is no file");
        std::fs::create_dir(&place).unwrap();
        lets_go_because(&stop(&world, CLAUDE), &is_no_file);
        std::fs::remove_dir(&place).unwrap();
        // A pipe without anybody at its other end.
        mkfifo(&place, Mode::S_IRWXU).unwrap();
        lets_go_because(&stop(&world, CLAUDE), &is_no_file);
        std::fs::remove_file(&place).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &place).unwrap();
        lets_go_because(&stop(&world, CLAUDE), &is_no_file);
        std::fs::remove_file(&place).unwrap();
    }
    std::fs::write(state.join("hooks.json"), "{oops").unwrap();
    assert!(reason(&stop(&world, CLAUDE)).contains("2.1"));
}

/// What reads files does not hold up the answer.
#[test]
fn a_configuration_that_never_ends_is_not_waited_for() {
    let world = World::new(serving(implementing()));
    std::fs::remove_file(world.config_path()).unwrap();
    mkfifo(&world.config_path(), Mode::S_IRWXU).unwrap();
    let run = world.run_with("hook stop --host claude-code", &[], CLAUDE);
    lets_go_because(&run, "no answer within 0.7 s");
}

#[test]
fn the_key_is_the_one_of_the_session() {
    let world = World::new(|request| match request.header("authorization") {
        Some("Bearer lc_agent") => answer(request, &implementing()),
        _ => error(401, "Invalid API key"),
    });
    let run = |environment: &[(&str, &str)]| {
        world.run_with("hook stop --host claude-code --timeout 20", environment, CLAUDE)
    };
    lets_go_because(&run(&[]), "401");
    lets_go_because(&run(&[("LOOPCTL_API_KEY", "lc_other"), ("LOOPCTL_AGENT_KEY", "lc_agent")]), "401");
    reason(&run(&[("LOOPCTL_API_KEY", " "), ("LOOPCTL_AGENT_KEY", "lc_agent")]));
    for request in world.requests() {
        assert!(
            ["Bearer lc_agent", "Bearer lc_other", "Bearer lc_secret_of_the_test"]
                .contains(&request.header("authorization").unwrap())
        );
    }
}

#[test]
fn without_a_project_all_are_looked_through() {
    let two = World::new(|request| match request.path.as_str() {
        "/api/v1/projects" => list(&[project(P2, "Other", "other"), project(P1, "My App", "my-app")]),
        _ => answer(request, &implementing()),
    });
    // A number could be of either.
    assert!(reason(&stop(&two, CLAUDE)).contains(&format!("loopctl request-review {S21}")));
    let one =
        two.run_with("hook stop --host claude-code --timeout 20", &[("LOOPCTL_PROJECT", "other")], CLAUDE);
    lets_go(&one);
    let many = World::new(|request| match request.path.as_str() {
        "/api/v1/projects" => json!({"data": [], "meta": {"total_count": 11}}).into(),
        _ => answer(request, &implementing()),
    });
    let run = stop(&many, CLAUDE);
    assert!(run.stdout.is_empty() && run.stderr.contains("looks through 10 of 11 projects"), "{run:?}");
}

/// Of several that stop at once in a session, one hears of it.
#[test]
fn hooks_at_once_say_it_once() {
    const AT_ONCE: usize = 4;
    let together = Barrier::new(AT_ONCE);
    let world = World::new(serving(implementing()));
    let told = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                scope.spawn(|| {
                    together.wait();
                    stop(&world, CLAUDE)
                })
            })
            .collect();
        runs.into_iter().map(|run| run.join().unwrap()).filter(|run| !run.stdout.is_empty()).count()
    });
    assert_eq!(told, 1);
}

/// Neither a server that never answers nor a program that never ends its input holds anybody up. One of three tries is enough, on a
/// machine that is busy.
#[test]
fn it_takes_less_than_a_second() {
    let silent = World::new(|_| {
        loop {
            std::thread::park();
        }
    });
    let quick = |run: &dyn Fn() -> Run| {
        (0..3).any(|_| {
            let begun = Instant::now();
            let run = run();
            lets_go_because(&run, "no answer within 0.7 s");
            begun.elapsed() < Duration::from_secs(1)
        })
    };
    assert!(quick(&|| silent.run_with("hook stop --host claude-code", &[], CLAUDE)));
    assert!(quick(&|| {
        let mut child = silent
            .command(&["hook", "stop", "--host", "claude-code"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"{").unwrap();
        let output = child.wait_with_output().unwrap();
        drop(stdin);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Run { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }));
}
