//! `doctor`: what it sees of a server, a key and a directory, and that it shows no key and changes nothing.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Answer, Request, Run, World, error};
use crate::{P1, list, project};

const AGENT: &str = "0192cccc-0000-7000-8000-000000000001";
/// As long as a real one.
const KEY: &str = "lc_0123456789012345678901234567890123456789";

fn healthy(request: &Request) -> Answer {
    match request.path.as_str() {
        "/health" => {
            let checks = json!({"database": "ok", "oban": "ok", "jobs": "ok", "partitions": "ok"});
            let now = chrono::Utc::now().format("%a, %d %b %Y %H:%M:%S GMT").to_string();
            let body = json!({"status": "ok", "version": env!("CARGO_PKG_VERSION"), "checks": checks});
            Answer(200, vec![("Date", now)], body)
        }
        "/api/v1/tenants/me" => json!({"tenant": {"slug": "acme"},
            "api_key": {"id": P1, "name": "alice", "role": "agent", "agent_id": AGENT}})
        .into(),
        "/api/v1/projects" => list(&[project(P1, "My App", "my-app")]),
        _ => error(404, "Not found"),
    }
}

/// Runs it in a directory, with a data directory that is empty.
fn doctor(world: &World, directory: &Path, words: &str, environment: &[(&str, &str)]) -> Run {
    let words: Vec<&str> =
        std::iter::once("doctor").chain(words.split(' ').filter(|word| !word.is_empty())).collect();
    let output = world
        .command(&words)
        .current_dir(directory)
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("LOOPCTL_DATA_DIR", directory.join("none"))
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let run =
        Run { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) };
    assert!(!run.stdout.contains("secret_of_the_test") && !run.stdout.contains(KEY), "{run:?}");
    assert_eq!(run.stderr, "", "{run:?}");
    run
}

fn findings(run: &Run) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rows = run.json()["data"].as_array().unwrap().clone();
    rows.iter().map(|row| (text(&row["level"]), text(&row["check"]), text(&row["what"]))).collect()
}

/// The findings of a check, as `level: what`.
fn of(run: &Run, check: &str) -> Vec<String> {
    let findings = findings(run).into_iter().filter(|(_, of, _)| of == check);
    findings.map(|(level, _, what)| format!("{level}: {what}")).collect()
}

fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = directory.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    directory
}

/// A program `loopctl` in a directory, so that it is found there.
fn with_loopctl(directory: &Path) -> String {
    let bin = directory.join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_loopctl"), bin.join("loopctl")).unwrap();
    format!("{}:{}", bin.display(), std::env::var("PATH").unwrap())
}

const CLAUDE: &str = r#"{"mcpServers": {"loopctl": {"command": "loopctl", "args": ["mcp"],
    "env": {"LOOPCTL_AGENT_KEY": "${LOOPCTL_AGENT_KEY}"}}}}"#;
const CLAUDE_HOOKS: &str = r#"{"hooks": {"Stop": [{"hooks": [{"type": "command", "command": "loopctl hook stop --host claude-code"}]}]}}"#;

#[test]
fn people_read_a_list_and_programs_a_document() {
    let world = World::new(healthy);
    let directory = directory(&[(".mcp.json", CLAUDE), (".claude/settings.json", CLAUDE_HOOKS)]);
    let path = with_loopctl(directory.path());
    let environment = [("PATH", path.as_str()), ("LOOPCTL_AGENT_KEY", KEY), ("LOOPCTL_PROJECT", "my-app")];
    let run = doctor(&world, directory.path(), "--format human", &environment);
    let expected = format!(
        "\
ok    server    {server} is well
ok    version   server and command line are {version}
ok    clock     agrees with the server's
ok    key       lc_01234... (from LOOPCTL_AGENT_KEY): \"alice\", role agent, tenant acme
ok    agent     the key is that of agent {AGENT}
ok    project   my-app is there
ok    mcp       Claude Code: .mcp.json starts loopctl
ok    hooks     Claude Code: .claude/settings.json
note  mcp       not set up in this directory: Codex, Gemini CLI, Cursor, VS Code and Copilot
                -> loopctl init
note  postgres  no data in {data}: the server keeps it elsewhere
                -> set LOOPCTL_DATA_DIR as for the server
no errors, no warnings
",
        server = world.address(),
        version = env!("CARGO_PKG_VERSION"),
        data = directory.path().join("none").display(),
    );
    assert_eq!((run.code, run.stdout.as_str()), (0, expected.as_str()));

    let run = doctor(&world, directory.path(), "", &environment);
    assert_eq!((run.code, &run.json()["errors"], &run.json()["warnings"]), (0, &json!(0), &json!(0)));
    assert_eq!(findings(&run).len(), 10);
    let first = &run.json()["data"][0];
    assert_eq!(
        *first,
        json!({"level": "ok", "check": "server", "what": format!("{} is well", world.address()), "mend": null})
    );
    // It only looks.
    assert!(!directory.path().join("none").exists());
    assert!(world.requests().iter().all(|request| request.method == "GET"));
}

#[test]
fn what_is_wrong_with_server_and_key_is_an_error_with_what_mends_it() {
    let here = directory(&[]);
    let unconfigured = doctor(&World::unconfigured(), here.path(), "", &[]);
    assert_eq!(unconfigured.code, 1);
    assert_eq!(of(&unconfigured, "server"), ["error: No server is configured"]);
    assert_eq!(of(&unconfigured, "key"), ["error: There is no key"]);
    assert!(unconfigured.json()["data"][0]["mend"].as_str().unwrap().starts_with("loopctl auth login"));

    let world = World::new(|request| match request.path.as_str() {
        "/health" => (
            503,
            json!({"status": "degraded", "version": "0.0.1", "checks": {"database": "error", "jobs": "ok"}}),
        )
            .into(),
        _ => error(401, "Invalid API key"),
    });
    let run = doctor(&world, here.path(), "", &[]);
    assert_eq!(run.code, 1);
    assert_eq!(
        of(&run, "server"),
        [format!("error: {} is not well (503): database: error", world.address())]
    );
    assert!(of(&run, "version")[0].starts_with("warning: the server is 0.0.1, this command line "));
    assert_eq!(
        of(&run, "key"),
        ["error: lc_secre... (from the configuration file) is not accepted: unknown, revoked or expired"]
    );
    assert_eq!(of(&run, "project"), [""; 0]);

    let away = doctor(&World::new(healthy), here.path(), "", &[("LOOPCTL_SERVER", "http://127.0.0.1:9")]);
    assert_eq!(away.code, 1);
    assert!(of(&away, "server")[0].starts_with("error: Cannot reach http://127.0.0.1:9"), "{away:?}");
    assert_eq!(of(&away, "key"), ["note: not looked at: there is no server to ask"]);

    let other = doctor(&World::new(|_| json!("hello").into()), here.path(), "", &[]);
    assert!(of(&other, "server")[0].ends_with("answers 200, but not as loopctl does"), "{other:?}");
    let project = doctor(&World::new(healthy), here.path(), "", &[("LOOPCTL_PROJECT", "gone")]);
    assert_eq!(
        (project.code, of(&project, "project")),
        (1, vec!["error: Project gone not found".to_owned()])
    );
}

/// `0.0.0.0` leads to this machine, and is neither its name nor that of a private network.
#[test]
fn no_key_is_sent_in_clear_to_a_far_host() {
    let world = World::new(healthy);
    let here = directory(&[]);
    let far = world.address().replace("127.0.0.1", "0.0.0.0");
    let with_tls = far.replace("http:", "https:");
    world.configure(&json!({"server": far, "api_key": KEY}));
    for (words, environment, mend) in [
        (String::new(), vec![], format!("loopctl config set server {with_tls}")),
        (String::new(), vec![("LOOPCTL_SERVER", far.as_str())], format!("export LOOPCTL_SERVER={with_tls}")),
        (format!("--server {far}"), vec![("LOOPCTL_AGENT_KEY", KEY)], format!("--server {with_tls}")),
    ] {
        let run = doctor(&world, here.path(), &words, &environment);
        assert_eq!(run.code, 1);
        let told = of(&run, "server");
        assert!(told[0].starts_with(&format!("error: {far} would be sent keys over plain HTTP")), "{told:?}");
        assert_eq!(run.json()["data"][0]["mend"], mend.as_str());
        assert_eq!(of(&run, "key"), ["note: not looked at: there is no server to ask"]);
    }
    assert_eq!(world.lines(), [""; 0]);
    let run = doctor(&world, here.path(), "", &[("LOOPCTL_ALLOW_HTTP", "1")]);
    assert_eq!((run.code, of(&run, "server")), (0, vec![format!("ok: {far} is well")]));
}

#[test]
fn a_password_in_the_address_is_not_said() {
    let world = World::new(healthy);
    for server in ["https://me:hunter2@loopctl.example", "http://hunter2@loopctl.example/"] {
        let run = doctor(&world, directory(&[]).path(), "", &[("LOOPCTL_SERVER", server)]);
        assert!(of(&run, "server")[0].contains("must not hold a user name"), "{run:?}");
        assert!(run.code == 1 && !run.stdout.contains("hunter2"), "{run:?}");
    }
}

#[test]
fn settings_that_cannot_be_read_do_not_hide_the_rest() {
    let world = World::new(healthy);
    std::fs::write(world.config_path(), "{oops").unwrap();
    let run = doctor(&world, directory(&[(".mcp.json", "{")]).path(), "", &[]);
    assert_eq!(run.code, 1);
    assert_eq!(of(&run, "settings"), [format!("error: {} is not valid JSON", world.config_path().display())]);
    assert!(of(&run, "mcp")[0].starts_with("error: .mcp.json is not valid JSON (line 1, column "), "{run:?}");
}

#[test]
fn a_clock_that_is_wrong_is_a_warning() {
    let world = World::new(|request| {
        let Answer(status, mut headers, body) = healthy(request);
        for (name, value) in &mut headers {
            if *name == "Date" {
                *value = "Sun, 29 Nov 2015 10:00:00 GMT".to_owned();
            }
        }
        Answer(status, headers, body)
    });
    let run = doctor(&world, directory(&[]).path(), "", &[]);
    let clock = of(&run, "clock");
    assert!(
        clock[0].starts_with("warning: this machine's clock is ")
            && clock[0].ends_with(" s ahead of the server's")
    );
    assert_eq!((run.code, &run.json()["warnings"]), (0, &json!(1)));
}

#[test]
fn a_user_hears_when_the_key_expires() {
    let world = World::new(|request| {
        match request.path.as_str() {
        "/api/v1/tenants/me" => {
            json!({"tenant": {"slug": "acme"}, "api_key": {"id": P1, "name": "root", "role": "user", "agent_id": null}}).into()
        }
        "/api/v1/api_keys" => {
            let soon = chrono::Utc::now() + chrono::TimeDelta::days(2);
            json!({"data": [{"id": AGENT, "expires_at": null}, {"id": P1, "expires_at": soon.to_rfc3339()}]}).into()
        }
        _ => healthy(request),
    }
    });
    let run = doctor(&world, directory(&[]).path(), "", &[]);
    let key = of(&run, "key");
    assert!(
        key[0].contains("\"root\", role user") && key[1].starts_with("warning: the key expires at "),
        "{key:?}"
    );
    assert!(run.stdout.contains(&format!("loopctl keys rotate {P1}")), "{run:?}");
}

#[test]
fn a_key_in_a_file_is_found_and_worse_when_git_tracks_it() {
    let world = World::new(healthy);
    let with_key = CLAUDE.replace("${LOOPCTL_AGENT_KEY}", KEY);
    // Where the name of a variable should be. What is shown of all this, `doctor` looks at.
    let codex = format!("[mcp_servers.loopctl]\ncommand = \"{KEY}\"\nbearer_token_env_var = \"{KEY}\"\n");
    let here =
        directory(&[(".mcp.json", &with_key), (".codex/config.toml", &codex), (".gitignore", ".codex\n")]);
    let run = doctor(&world, here.path(), "", &[]);
    let untracked = [
        "warning: .mcp.json holds a key; git does not track it yet",
        "warning: .codex/config.toml holds a key; git does not track it yet",
    ];
    assert_eq!(of(&run, "secrets"), untracked);

    let git = |words: &[&str]| {
        let done = Command::new("git").arg("-C").arg(here.path()).args(words).output().unwrap();
        assert!(done.status.success(), "{done:?}");
    };
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    let run = doctor(&world, here.path(), "", &[]);
    assert_eq!(run.code, 1);
    assert_eq!(
        of(&run, "secrets"),
        [
            "error: .mcp.json holds a key, and git tracks it: whoever has the repository has the key",
            untracked[1]
        ]
    );
}

#[test]
fn what_a_program_cannot_start_is_told() {
    let world = World::new(healthy);
    let cursor = CLAUDE.replace("${", "${env:");
    let code =
        cursor.replace("mcpServers", "servers").replace("loopctl\", \"args", "./missing/loopctl\", \"args");
    let here = directory(&[
        (".cursor/mcp.json", &cursor),
        (
            ".cursor/hooks.json",
            r#"{"version": 1, "hooks": {"stop": [{"command": "loopctl hook stop --host codex"}]}}"#,
        ),
        (".vscode/mcp.json", &code),
        (
            ".github/hooks/any.json",
            r#"{"hooks": {"Stop": [{"command": "loopctl hook stop --host copilot"}]}}"#,
        ),
    ]);
    let path = with_loopctl(here.path());
    let run = doctor(&world, here.path(), "", &[("PATH", &path)]);
    assert_eq!(run.code, 1);
    assert_eq!(
        of(&run, "mcp"),
        [
            "warning: Cursor: .cursor/mcp.json refers to what is not set here: LOOPCTL_AGENT_KEY",
            "error: VS Code and Copilot: .vscode/mcp.json starts ./missing/loopctl, which is not to be found or not executable",
            "note: not set up in this directory: Claude Code, Codex, Gemini CLI",
        ]
    );
    assert_eq!(
        of(&run, "hooks"),
        [
            "error: Cursor: the hook in .cursor/hooks.json answers as for codex, which Cursor does not understand",
            "ok: VS Code and Copilot: .github/hooks/any.json",
        ]
    );
}

/// Each program would say nothing of it, and its agents would simply stop.
#[test]
fn a_hook_that_cannot_be_run_is_an_error() {
    let world = World::new(healthy);
    let of_command = |command: &str| {
        let hooks = CLAUDE_HOOKS.replace("loopctl hook", &format!("{command} hook"));
        let here = directory(&[(".mcp.json", CLAUDE), (".claude/settings.json", &hooks), ("src/x", "")]);
        let path = with_loopctl(here.path());
        let run = doctor(&world, &here.path().join("src"), "", &[("PATH", &path)]);
        assert_eq!(of(&run, "hooks"), [""; 0], "there is nothing in this folder");
        // Below the root of a repository it looks where `init` writes.
        std::fs::create_dir(here.path().join(".git")).unwrap();
        of(&doctor(&world, &here.path().join("src"), "", &[("PATH", &path)]), "hooks").remove(0)
    };
    for missing in ["/gone/loopctl", "./gone/loopctl", "my-loopctl"] {
        let what = format!(
            "error: Claude Code: the hook in .claude/settings.json runs {missing}, which is not to be found or not executable"
        );
        assert_eq!(of_command(missing), what);
    }
    for there in ["loopctl", "bin/loopctl", env!("CARGO_BIN_EXE_loopctl"), "$HOME/loopctl"] {
        assert_eq!(of_command(there), "ok: Claude Code: .claude/settings.json", "{there}");
    }
}

#[test]
fn a_cluster_is_seen_without_starting_it() {
    let here = directory(&[("data/postgres/PG_VERSION", "18\n")]);
    let data = here.path().join("data");
    let data = data.to_str().unwrap();
    let postgres = |pid_file: Option<&str>| {
        let file = here.path().join("data/postgres/postmaster.pid");
        let _ = std::fs::remove_file(&file);
        pid_file.into_iter().for_each(|text| std::fs::write(&file, text).unwrap());
        let environment = [("LOOPCTL_DATA_DIR", data), ("LOOPCTL_SERVER", "http://127.0.0.1:9")];
        of(&doctor(&World::new(healthy), here.path(), "", &environment), "postgres").remove(0)
    };
    assert_eq!(postgres(None), format!("note: PostgreSQL 18 in {data} is stopped"));
    let of_nobody = format!("4711\n{data}/postgres\n1\n5432\n{data}\n");
    assert!(postgres(Some(&of_nobody)).starts_with("warning: PostgreSQL 18 in "), "a dead one");
    let _listening = std::os::unix::net::UnixListener::bind(here.path().join("data/.s.PGSQL.5432")).unwrap();
    assert!(postgres(Some(&of_nobody)).contains("is running, but no server answers"));
    let environment = [("LOOPCTL_SERVER", "http://192.0.2.1"), ("LOOPCTL_DATA_DIR", data)];
    let far = doctor(&World::new(healthy), here.path(), "--timeout 1", &environment);
    assert_eq!(of(&far, "postgres"), [""; 0]);
}
