//! Usage, configuration, login, output formats, and the commands that set things up.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::support::{World, error};
use crate::{P1, one_project};

#[test]
fn usage_goes_to_stdout_and_mistakes_to_stderr() {
    let world = World::unconfigured();
    for words in ["", "help", "--help", "-h", "--format human"] {
        let run = world.run(words);
        assert_eq!(run.code, 0, "{words}: {run:?}");
        assert!(run.stdout.starts_with("loopctl - Agent-native project state store CLI\n"), "{run:?}");
        assert!(
            run.stdout.contains("\nCommands:\n") && run.stdout.contains("\nGlobal options:\n"),
            "{run:?}"
        );
    }
    let run = world.run("--format human nonexistent");
    assert_eq!(run.code, 2);
    assert_eq!(run.stderr, "Unknown command: nonexistent\nRun 'loopctl help' for available commands.\n");
    assert_eq!(world.run("--version").stdout, format!("loopctl {}\n", env!("CARGO_PKG_VERSION")));
    let run = world.run("projects list --bogus");
    assert_eq!((run.code, run.stdout.as_str()), (2, ""));
    assert_eq!(world.lines(), [""; 0]);
}

#[test]
fn nothing_is_sent_before_a_login() {
    let world = World::unconfigured();
    for words in ["next", "project list", "health", "status --project x"] {
        let run = world.run(words);
        assert_eq!(run.code, 3, "{run:?}");
        assert!(run.stderr.contains("No server configured. Run: loopctl auth login"), "{run:?}");
    }
    let run = world.run(&format!("--server {} next", world.address()));
    assert_eq!(run.code, 3);
    assert!(run.stderr.contains("No API key configured"), "{run:?}");
    assert_eq!(world.lines(), [""; 0]);
}

#[test]
fn config_is_stored_privately_and_environment_wins() {
    let world = World::unconfigured();
    assert_eq!(world.run("config set format human").stdout, "Config format set to human\n");
    let mode = std::fs::metadata(world.config_path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(world.run("config get format").stdout, "key:   format\nvalue: human\n");
    let bad = world.run_words(&["config", "set", "bogus", "x"], &[], "");
    assert_eq!(bad.code, 2);
    assert!(bad.stderr.contains("Invalid config key: bogus. Valid keys: server, api_key"), "{bad:?}");

    world.run_words(&["config", "set", "server", "https://file"], &[], "");
    let secret = world.run_words(&["config", "set", "api_key", "lc_0123456789"], &[], "");
    assert_eq!(secret.stdout, "Config api_key set to lc_01234...\n");
    let shown = world.run_with("config show --format json", &[("LOOPCTL_SERVER", "https://env")], "").json();
    assert_eq!((&shown["server"], &shown["sources"]["server"]), (&json!("https://env"), &json!("env")));
    assert_eq!(shown["api_key"], "lc_01234...");
    let empty = world.run_with("config show --format json", &[("LOOPCTL_SERVER", "")], "").json();
    assert_eq!((&empty["server"], &empty["sources"]["server"]), (&json!("https://file"), &json!("file")));
    assert_eq!(world.run("config get project").code, 5);
}

#[test]
fn a_broken_configuration_file_is_left_alone() {
    let world = World::unconfigured();
    std::fs::write(world.config_path(), "{oops").unwrap();
    let run = world.run("config set format human");
    assert_eq!(run.code, 3);
    assert_eq!(run.stderr, format!("Error: {} is not valid JSON\n", world.config_path().display()));
    assert_eq!(std::fs::read_to_string(world.config_path()).unwrap(), "{oops");
}

#[test]
fn login_saves_only_what_works() {
    let world = World::new(|request| match request.header("authorization") {
        Some("Bearer lc_good") => json!({"tenant": {"name": "Acme"}}).into(),
        Some("Bearer lc_super") => error(400, "Superadmin must use X-Impersonate-Tenant header"),
        _ => error(401, "Invalid API key"),
    });
    let stored = || std::fs::read_to_string(world.config_path()).unwrap();
    let before = stored();
    let address = world.address();

    let bad = world.run_words(&["auth", "login", "--server", address, "--key", "lc_bad"], &[], "");
    assert_eq!(bad.code, 3);
    assert!(
        bad.stderr.contains("Login failed (401): Invalid API key. Check your server URL and API key."),
        "{bad:?}"
    );
    assert_eq!(stored(), before);
    let missing = world.run_words(&["auth", "login", "--key", "lc_good"], &[], "");
    assert_eq!(missing.code, 2);
    assert!(missing.stderr.contains("Missing --server. Usage: loopctl auth login"), "{missing:?}");

    let good =
        world.run_words(&["auth", "login", "--key", "lc_good", "--server", &format!("{address}/")], &[], "");
    assert_eq!((good.code, good.stdout), (0, format!("Credentials saved. Server: {address}\n")));
    assert!(stored().contains("lc_good"));
    assert_eq!(world.run("auth whoami").json()["key_prefix"], "lc_good");
    let from_stdin = world.run_words(&["auth", "login", "--server", address], &[], "lc_super\n");
    assert_eq!(from_stdin.code, 0, "{from_stdin:?}");
    assert!(stored().contains("lc_super"));
    // Whatever is configured.
    let words = ["auth", "login", "--server", address, "--key-stdin"];
    let run = world.run_words(&words, &[("LOOPCTL_API_KEY", "lc_super")], "lc_good\n");
    assert_eq!(run.code, 0, "{run:?}");
    assert!(stored().contains("lc_good"));
    let both = world.run_words(&["auth", "login", "--key-stdin", "--key", "lc_good"], &[], "lc_good\n");
    assert_eq!(both.code, 2, "{both:?}");
    assert_eq!(world.run_words(&words, &[], "\n").code, 2);
}

/// The key that a person types is not shown.
#[cfg(target_os = "linux")]
#[test]
fn a_terminal_does_not_show_the_key() {
    use std::io::{Read as _, Write as _};
    use std::process::{Command, Stdio};

    use nix::sys::termios::{LocalFlags, tcgetattr};

    let world = World::new(|_| json!({"tenant": {"name": "Acme"}}).into());
    let terminal = nix::pty::openpty(None, None).unwrap();
    let end = || Stdio::from(terminal.slave.try_clone().unwrap());
    let mut login = Command::new("setsid")
        .args(["--ctty", "--wait", env!("CARGO_BIN_EXE_loopctl"), "auth", "login"])
        .args(["--server", world.address()])
        .env("LOOPCTL_CONFIG", world.config_path())
        .env_remove("LOOPCTL_API_KEY")
        .stdin(end())
        .stdout(end())
        .stderr(end())
        .spawn()
        .unwrap();
    // What is typed before it is asked for is shown.
    let begun = std::time::Instant::now();
    while tcgetattr(&terminal.slave).unwrap().local_flags.contains(LocalFlags::ECHO) {
        assert!(login.try_wait().unwrap().is_none(), "it ends without having asked");
        assert!(begun.elapsed() < std::time::Duration::from_secs(60), "what is typed is shown");
        std::thread::yield_now();
    }
    let mut keyboard = std::fs::File::from(terminal.master);
    keyboard.write_all(b"lc_typed\n").unwrap();
    assert!(login.wait().unwrap().success());
    let mut shown = [0; 1024];
    let length = keyboard.read(&mut shown).unwrap();
    let shown = String::from_utf8_lossy(&shown[..length]);
    assert!(shown.contains("API key: ") && !shown.contains("lc_typed"), "{shown}");
    assert!(std::fs::read_to_string(world.config_path()).unwrap().contains("lc_typed"));
}

#[test]
fn status_says_which_key_is_in_use() {
    let world = World::new(|request| match request.header("authorization") {
        Some("Bearer lc_good_key") => json!({
            "tenant": {"id": P1, "slug": "acme"},
            "api_key": {"name": "worker", "role": "agent", "agent_id": null, "key_prefix": "lc_good_"},
        })
        .into(),
        Some("Bearer lc_super") => error(400, "Superadmin must use X-Impersonate-Tenant header"),
        _ => error(401, "Invalid API key"),
    });
    let status = |key: &str| world.run_with("auth status", &[("LOOPCTL_API_KEY", key)], "");
    assert_eq!(
        status("lc_good_key").json(),
        json!({"server": world.address(), "server_from": "file", "api_key": "lc_good_...", "api_key_from": "env",
               "tenant": "acme", "tenant_id": P1, "role": "agent", "key_name": "worker", "agent_id": null})
    );
    let superadmin = status("lc_super").json();
    assert_eq!((&superadmin["role"], &superadmin["tenant"]), (&json!("superadmin"), &json!(null)));
    assert_eq!(status("lc_bad").code, 3);
    assert_eq!(World::unconfigured().run("auth status").code, 3);
}

#[test]
fn lists_print_in_every_format_with_the_option_anywhere() {
    let world = World::new(one_project);
    let table = "\
name    slug    status
------  ------  ------
My App  my-app  active
page 1 of 1, 1 total
";
    for words in ["--format human project list", "project list --format human", "project --format=human list"]
    {
        assert_eq!(world.run(words).stdout, table, "{words}");
    }
    let csv = world.run("project list --format csv").stdout;
    assert_eq!(csv, format!("id,name,slug,status,repo_url\n{P1},My App,my-app,active,\n"));
    let body = world.run("project list");
    assert_eq!(body.json()["meta"]["total_count"], 1);
    assert!(body.stdout.starts_with("{\n  \"data\": [\n    {\n      \"id\""), "{}", body.stdout);
    assert_eq!(world.run("project list --data-only").json()[0]["slug"], "my-app");
}

#[test]
fn options_after_the_positional_are_kept() {
    let world = World::new(|_| (201, json!({"project": {"id": P1}})).into());
    let run = world.run("project create My+App --repo https://x/y --description=-terse");
    assert_eq!(run.code, 0, "{run:?}");
    let expected =
        json!({"name": "My App", "slug": "my-app", "repo_url": "https://x/y", "description": "-terse"});
    assert_eq!(world.requests()[0].body, expected);
    let request = &world.requests()[0];
    assert_eq!(request.header("authorization"), Some("Bearer lc_secret_of_the_test"));
    assert_eq!(request.header("user-agent"), Some(concat!("loopctl-cli/", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn keys_are_checked_before_and_warned_about_after() {
    let key = json!({"api_key": {"id": P1, "raw_key": "lc_new", "role": "agent"}});
    let world = World::new(move |_| (201, key.clone()).into());
    let bad = world.run("keys create --name a --role superadmin");
    assert_eq!(bad.code, 2);
    assert!(
        bad.stderr.contains("Invalid role 'superadmin'. Valid roles: user, orchestrator, agent"),
        "{bad:?}"
    );
    assert_eq!(world.lines(), [""; 0]);
    let good = world.run("keys create --name a --role agent");
    assert_eq!(good.json()["api_key"]["raw_key"], "lc_new");
    assert!(good.stderr.starts_with("Warning: ") && !good.stderr.contains("lc_new"), "{good:?}");
    let rotated = World::new(|request| {
        let end = if request.body["grace_period_hours"] == 2 {
            "2099-01-01T00:00:00Z"
        } else {
            "2026-01-01T00:00:00Z"
        };
        (201, json!({"new_key": {"id": P1, "raw_key": "lc_next"}, "old_key_expires_at": end})).into()
    });
    let run = rotated.run(&format!("keys rotate {P1} --grace-hours 2"));
    assert_eq!(run.json()["new_key"]["raw_key"], "lc_next");
    assert!(run.stderr.contains("Warning: ") && run.stderr.contains("until 2099-01-01T00:00:00Z"), "{run:?}");
    let run = rotated.run(&format!("keys rotate {P1} --format human"));
    assert!(run.stdout.contains("raw key: ") && run.stderr.contains("until 2026"), "{run:?}");
    assert_eq!(rotated.lines(), vec![format!("POST /api/v1/api_keys/{P1}/rotate"); 2]);
    let revoked = world.run(&format!("keys revoke {P1}"));
    assert_eq!(revoked.json(), json!({"status": "revoked", "id": P1}));
}

#[test]
fn a_registration_is_sent_to_the_browser() {
    for (server, page) in [
        ("", "https://loopctl.com/signup"),
        ("--server http://localhost:4000/", "http://localhost:4000/signup"),
    ] {
        let run = World::unconfigured().run(&format!("{server} tenant register --name x --email y"));
        assert_eq!(run.code, 2);
        for told in ["Error: ", "WebAuthn enrollment", page, "loopctl operator tenant create"] {
            assert!(run.stderr.contains(told), "{told}: {run:?}");
        }
    }
}

#[test]
fn settings_keep_their_type() {
    let world = World::new(|_| json!({"tenant": {}}).into());
    world.run_words(&["tenant", "update", "--setting", "max_projects=100", "--setting", "a_b=true"], &[], "");
    assert_eq!(world.requests()[0].body, json!({"settings": {"max_projects": 100, "a_b": true}}));
    assert_eq!(world.requests()[0].method, "PATCH");
    assert_eq!(world.run("tenant update").code, 2);
}
