//! What it does not touch, and what it never writes.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use serde_json::Value;

use crate::{World, program, run, tree};

pub(crate) const ALL: &str = "--host claude-code --host codex --host gemini --host cursor --host copilot";

/// With one file that cannot be changed none is.
#[test]
fn nothing_is_half_written() {
    for (before, reason) in [
        ("--- .mcp.json\n{\"a\": \"lc_half_a_secret\n", ".mcp.json: it is no valid JSON, in line 1"),
        ("--- .mcp.json\n", ".mcp.json: it is no valid JSON: there is nothing in it"),
        ("--- .vscode/mcp.json\n[1]\n", ".vscode/mcp.json: it is no JSON object"),
        ("--- .cursor/mcp.json\n{\"mcpServers\": []}\n", "`mcpServers` in it is no object"),
        ("--- .claude/settings.json\n{\"hooks\": {\"Stop\": 1}}\n", "`hooks.Stop` in it is no list"),
        ("--- .gemini/settings.json\n{\"hooks\": {}, \"hooks\": {}}\n", "`hooks` is in it twice"),
        ("--- .cursor/hooks.json\n{}\n", ".cursor/hooks.json: `version` is missing in it"),
        ("--- .codex/config.toml\na = 'lc_half_a_secret\n", "it is no valid TOML, in line 1"),
        ("--- .codex/config.toml\nmcp_servers = {}\n", "`mcp_servers` in it is no table"),
        ("--- AGENTS.md\n<!-- loopctl:begin -->\n", "are no pair"),
        ("--- AGENTS.md/\n", "AGENTS.md: it is a folder"),
        ("--- .codex\nx\n", ".codex is no folder"),
        ("--- .agents\nx\n", ".agents is no folder"),
        ("--- AGENTS.md -> ../outside/AGENTS.md\n", "AGENTS.md is a link that leads nowhere"),
        ("--- .mcp.json -> ../outside/there\n", ".mcp.json is a link that leads out of the repository"),
        ("--- .cursor -> ../outside\n", ".cursor is a link that leads out of the repository"),
        ("--- .codex -> .codex\n", ".codex is a link that leads nowhere"),
    ] {
        let world = World::new(before);
        std::fs::write(world.at("outside/there"), "{}").unwrap();
        let (repository, outside) = (world.tree(), tree::read(&world.at("outside")));
        let run = world.run(&format!("{ALL} --yes"));
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{before}: {run:?}");
        assert!(run.stderr.starts_with("Error: Nothing was written.\n"), "{run:?}");
        assert!(run.stderr.contains(reason), "{reason}: {run:?}");
        assert!(!run.stderr.contains("half_a_secret"), "{run:?}");
        assert_eq!(world.tree(), repository, "{before}");
        assert_eq!(tree::read(&world.at("outside")), outside, "{before}");
    }
}

#[test]
fn what_is_no_text_or_may_not_be_written_stays() {
    let world = World::new("--- AGENTS.md\nx\n");
    let agents = world.repository().join("AGENTS.md");
    std::fs::set_permissions(&agents, std::fs::Permissions::from_mode(0o444)).unwrap();
    std::fs::write(world.repository().join("CLAUDE.md"), b"\xff\n").unwrap();
    let before = world.tree();
    let run = world.run(&format!("{ALL} --yes"));
    assert_eq!(run.code, 2, "{run:?}");
    assert!(run.stderr.contains("AGENTS.md: it is read-only."), "{run:?}");
    assert!(run.stderr.contains("CLAUDE.md: it is no UTF-8 text"), "{run:?}");
    assert_eq!(world.tree(), before);
    // With nothing to write, it may be read-only.
    std::fs::remove_file(world.repository().join("CLAUDE.md")).unwrap();
    std::fs::set_permissions(&agents, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(world.run("--yes").code, 0);
    assert_eq!(agents.metadata().unwrap().permissions().mode() & 0o777, 0o640);
    std::fs::set_permissions(&agents, std::fs::Permissions::from_mode(0o444)).unwrap();
    assert_eq!(world.run("").code, 0);
    assert_eq!(world.run("--remove --yes").code, 2);
}

/// A disk that is full in the middle, as it were: no file may be as long as the skill is.
#[test]
fn what_fails_half_way_leaves_no_trace() {
    let world = World::new("--- AGENTS.md\nx\n");
    let before = world.tree();
    let mut command = Command::new("/bin/sh");
    let script =
        format!("ulimit -f 3; trap '' XFSZ; exec '{}' init {ALL} --yes", env!("CARGO_BIN_EXE_loopctl"));
    command.args(["-c", &script]);
    world.prepare(&mut command);
    let run = run(command);
    assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{run:?}");
    assert!(run.stderr.contains(": File too large"), "{run:?}");
    assert_eq!(world.tree(), before);
}

#[test]
fn nobody_is_asked_who_cannot_answer() {
    let world = World::new("");
    let run = world.run("");
    assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{run:?}");
    assert_eq!(
        run.stderr,
        "Error: init asks before it writes, and nobody can answer here. 2 files would change: see --dry-run, or write with --yes\n"
    );
    let run = world.run("--dry-run --format human");
    assert_eq!(run.code, 1, "{run:?}");
    assert_eq!(run.stderr, "2 files would change. Run it without --dry-run to write\n");
    assert!(run.stdout.starts_with("--- /dev/null\n+++ AGENTS.md\n@@ "), "{run:?}");
    assert!(run.stdout.contains("\nNext steps:\n- Make a key for each agent"), "{run:?}");
    assert!(run.stdout.contains("No host was found. Name one: loopctl init --host claude-code"), "{run:?}");
    assert!(world.tree().is_empty());
    for (arguments, code, reason) in [
        ("--yes --dry-run", 2, "cannot be used with"),
        ("--host emacs", 2, "invalid value 'emacs'"),
        ("--role user", 2, "invalid value 'user'"),
        ("--dir missing", 2, "Cannot use missing: "),
        ("--dir ../outside/file", 2, "it is no directory"),
        ("--server https://me:secret@loopctl.example --yes", 2, "must not hold a user name"),
        ("--server loopctl.example --yes", 2, "Invalid server address"),
        (
            "--server http://loopctl.internal --yes",
            2,
            "http://loopctl.internal would be sent keys over plain HTTP",
        ),
    ] {
        std::fs::write(world.at("outside/file"), "").unwrap();
        let run = world.run(arguments);
        assert_eq!(run.code, code, "{arguments}: {run:?}");
        assert!(run.stderr.contains(reason), "{arguments}: {run:?}");
        assert!(world.tree().is_empty());
    }
    for server in ["https://me:hunter2@loopctl.example", "http://hunter2@loopctl.example/"] {
        let mut command = world.command("--yes");
        command.env("LOOPCTL_SERVER", server);
        let run = crate::run(command);
        assert_eq!(run.code, 2, "{run:?}");
        assert!(run.stderr.contains("must not hold a user name"), "{run:?}");
        assert!(!run.stderr.contains("hunter2") && world.tree().is_empty(), "{run:?}");
    }
    let mut command = world.command("--server http://loopctl.internal --dry-run");
    command.env("LOOPCTL_ALLOW_HTTP", "1");
    assert_eq!(crate::run(command).code, 1, "somebody has thought about it");
    let mut command = world.command("--yes");
    command.env_remove("LOOPCTL_SERVER");
    let unconfigured = crate::run(command);
    assert_eq!(unconfigured.code, 3, "{unconfigured:?}");
    assert!(unconfigured.stderr.contains("loopctl init --server <url>"), "{unconfigured:?}");
    let mut command = world.command("--remove");
    command.env_remove("LOOPCTL_SERVER");
    assert_eq!(crate::run(command).code, 0, "nothing to take out");
}

/// Neither from an option, nor from the environment, nor from the configuration file.
#[test]
fn no_key_is_written() {
    for role in ["implementer", "reviewer", "orchestrator"] {
        let world = World::new("");
        std::fs::create_dir(world.at("home/.loopctl")).unwrap();
        std::fs::write(world.at("home/.loopctl/config.json"), "{\"api_key\": \"lc_secret\"}").unwrap();
        let mut command = world.command(&format!("{ALL} --role {role} --yes --api-key lc_secret"));
        for variable in ["LOOPCTL_API_KEY", "LOOPCTL_AGENT_KEY", "LOOPCTL_REVIEWER_KEY", "LOOPCTL_ORCH_KEY"] {
            command.env(variable, "lc_secret");
        }
        let run = run(command);
        assert_eq!(run.code, 0, "{run:?}");
        assert!(!run.stdout.contains("lc_secret") && !run.stderr.contains("lc_secret"), "{run:?}");
        let written = tree::written(&world.tree());
        assert!(!written.contains("lc_secret"), "{written}");
    }
}

#[test]
fn programs_are_told_what_was_written() {
    let world = World::new("--- .mcp.json\n{}\n");
    let run = world.run("--yes");
    let body: Value = serde_json::from_str(&run.stdout).unwrap();
    let data = &body["data"];
    assert_eq!(data["written"], true);
    assert_eq!(data["role"], "implementer");
    assert_eq!(data["hosts"][0]["name"], "claude-code");
    assert_eq!(data["hosts"][0]["reason"], ".mcp.json is in the repository");
    let files: Vec<_> = data["files"].as_array().unwrap().iter().collect();
    let action = |path: &str| files.iter().find(|file| file["path"] == path).map(|file| &file["action"]);
    assert_eq!(action("AGENTS.md").unwrap(), "create");
    assert_eq!(action(".mcp.json").unwrap(), "change");
    assert_eq!(action(".claude/skills/loopctl").unwrap(), "link");
    assert_eq!(action(".codex/config.toml"), None);
    assert!(files[0]["diff"].as_str().unwrap().starts_with("--- /dev/null\n+++ AGENTS.md\n"));
    let run = world.run("--data-only");
    let data: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&data["written"], &data["files"][0]["action"]), (&false.into(), &"unchanged".into()));
    assert_eq!(data["files"][0].get("diff"), None);
}

#[test]
fn hosts_are_found_on_the_path_and_at_home() {
    let world = World::new("");
    let hosts = || {
        let run = world.run("--dry-run --data-only");
        let data: Value = serde_json::from_str(&run.stdout).unwrap();
        let hosts = data["hosts"].as_array().unwrap().iter();
        hosts.map(|host| host["reason"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(hosts(), [""; 0]);
    program(&world.at("programs"), "codex", 0o755);
    program(&world.at("programs"), "gemini", 0o644);
    std::fs::create_dir(world.at("home/.cursor")).unwrap();
    assert_eq!(hosts(), ["codex is on the PATH", "~/.cursor is there"]);
}

/// From elsewhere, of one host alone, and with folders that are links within the repository.
#[test]
fn a_host_alone_is_taken_out() {
    let world = World::new("");
    let alone = World::new("");
    assert_eq!(alone.run("--host codex --yes").code, 0);
    let mut command = world.command(&format!("{ALL} --yes --dir ../repository"));
    command.current_dir(world.at("outside"));
    assert_eq!(run(command).code, 0);
    for host in ["claude-code", "gemini", "cursor", "copilot"] {
        assert_eq!(world.run(&format!("--remove --host {host} --yes")).code, 0, "{host}");
    }
    assert_eq!(world.tree(), alone.tree());

    let linked = World::new("--- config/codex/\n--- .codex -> config/codex\n");
    let before = linked.tree();
    assert_eq!(linked.run("--yes").code, 0);
    assert!(linked.text("config/codex/config.toml").contains("[mcp_servers.loopctl]"));
    std::fs::write(linked.repository().join("config/codex/other"), "").unwrap();
    assert_eq!(linked.run("--remove --yes").code, 0);
    std::fs::remove_file(linked.repository().join("config/codex/other")).unwrap();
    assert_eq!(linked.tree(), before);

    // A link of somebody else's is left alone.
    let other = World::new("--- .claude/skills/loopctl -> ../../mine\n--- mine/SKILL.md\nx\n");
    let run = other.run("--yes --format csv");
    assert!(run.stdout.contains(".claude/skills/loopctl,claude-code,keep,leads to ../../mine"), "{run:?}");
    symlink("x", other.repository().join("circle")).unwrap();
    assert_eq!(other.run("--remove --yes").code, 0);
    assert!(other.repository().join(".claude/skills/loopctl").is_symlink());
}
