//! Whether programs that run agents reach loopctl from a directory: their MCP server, their hooks, and no key in their files.

use std::collections::HashSet;

use serde_json::Value;

use super::finding::Finding;
use super::program::{Entry, Place, Program, StopHook, codex_trusts, entry, hooks_are_off, stop_hooks};

/// A program with those of its files that are there.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) program: &'static Program,
    pub(super) files: Vec<Read>,
}

/// A file of a program.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) place: &'static Place,
    pub(super) path: String,
    pub(super) content: Result<Value, String>,
    pub(super) has_key: bool,
    /// Git keeps it, and whoever has the repository has it.
    pub(super) is_tracked: bool,
}

/// What the files refer to.
#[derive(Debug, Default)]
pub(super) struct Surroundings {
    /// Variables that are set.
    pub(super) variables: HashSet<String>,
    /// Commands that can be started.
    pub(super) commands: HashSet<String>,
    /// The user's own settings of Codex.
    pub(super) codex: Value,
    /// The whole path of the directory.
    pub(super) directory: String,
}

impl Seen {
    /// What its hooks start when an agent stops.
    pub(super) fn hook_commands(&self) -> impl Iterator<Item = String> {
        let files = self.files.iter().filter(|file| file.place.hooks);
        files
            .filter_map(|file| file.content.as_ref().ok())
            .flat_map(stop_hooks)
            .filter_map(|hook| hook.command)
    }

    /// The server of the program, with the file that it is in.
    pub(super) fn entry(&self) -> Option<(&str, Entry)> {
        self.files.iter().find_map(|file| {
            let entry = entry(file.content.as_ref().ok()?, file.place.servers?)?;
            Some((file.path.as_str(), entry))
        })
    }
}

/// Judges all programs.
pub(super) fn hosts(seen: &[Seen], around: &Surroundings) -> Vec<Finding> {
    let mut findings: Vec<Finding> = seen.iter().flat_map(files).collect();
    let mut without = Vec::new();
    for program in seen {
        match program.entry() {
            Some((path, entry)) => {
                findings.push(server(program, path, &entry, around));
                findings.push(hook(program, around));
            }
            None => without.push(program.program.name),
        }
    }
    if !without.is_empty() {
        let what = format!("not set up in this directory: {}", without.join(", "));
        findings.push(Finding::note("mcp", what).mend("loopctl init"));
    }
    findings
}

/// What is wrong with the files themselves.
fn files(seen: &Seen) -> Vec<Finding> {
    let mut findings = Vec::new();
    for Read { path, content, has_key, is_tracked, .. } in &seen.files {
        if let Err(why) = content {
            findings.push(
                Finding::error("mcp", why.clone()).mend(format!("mend {path} by hand, then loopctl init")),
            );
        }
        let mend = format!(
            "write ${{LOOPCTL_AGENT_KEY}} instead in {path}; loopctl keys list; loopctl keys revoke <key>"
        );
        match (has_key, is_tracked) {
            (true, true) => {
                let what =
                    format!("{path} holds a key, and git tracks it: whoever has the repository has the key");
                findings.push(Finding::error("secrets", what).mend(mend));
            }
            (true, false) => {
                let what = format!("{path} holds a key; git does not track it yet");
                findings.push(Finding::warning("secrets", what).mend(mend));
            }
            (false, _) => {}
        }
    }
    findings
}

/// Of a command.
const NOT_RUNNABLE: &str = "is not to be found or not executable";

fn make_runnable(command: &str, path: &str) -> String {
    format!("put {command} on the PATH, or its whole path into {path}")
}

fn server(seen: &Seen, path: &str, entry: &Entry, around: &Surroundings) -> Finding {
    let name = seen.program.name;
    if let Some(command) = &entry.command {
        if !around.commands.contains(command) {
            let what = format!("{name}: {path} starts {command}, which {NOT_RUNNABLE}");
            return Finding::error("mcp", what).mend(make_runnable(command, path));
        }
        let is_loopctl = command.rsplit('/').next() == Some("loopctl");
        if is_loopctl && entry.arguments.first().is_none_or(|first| first != "mcp") {
            let what = format!("{name}: {path} starts {command} without `mcp`, which is no MCP server");
            return Finding::error("mcp", what).mend("loopctl init");
        }
    }
    let unset: Vec<&str> =
        entry.variables.iter().filter(|name| !around.variables.contains(*name)).map(String::as_str).collect();
    if let Some(first) = unset.first() {
        let what = format!("{name}: {path} refers to what is not set here: {}", unset.join(", "));
        return Finding::warning("mcp", what).mend(format!("export {first}=…, before {name} is started"));
    }
    let how =
        entry.command.as_ref().map_or("goes to an address".to_owned(), |command| format!("starts {command}"));
    Finding::ok("mcp", format!("{name}: {path} {how}"))
}

fn hook(seen: &Seen, around: &Surroundings) -> Finding {
    const CHECK: &str = "hooks";
    let Program { name, host, .. } = *seen.program;
    let contents = || {
        let files = seen.files.iter().filter(|file| file.place.hooks);
        files.filter_map(|file| Some((file.path.as_str(), file.content.as_ref().ok()?)))
    };
    let Some((path, hooks)) =
        contents().map(|(path, content)| (path, stop_hooks(content))).find(|(_, hooks)| !hooks.is_empty())
    else {
        let what = format!("{name}: no hook asks what an agent holds when it stops");
        return Finding::note(CHECK, what).mend("loopctl init");
    };
    if let Some(StopHook { host: other, .. }) = hooks.iter().find(|hook| hook.host != host) {
        let what = match other.as_str() {
            "" => format!("{name}: the hook in {path} does not say by which program it is called"),
            other => {
                format!("{name}: the hook in {path} answers as for {other}, which {name} does not understand")
            }
        };
        return Finding::error(CHECK, what).mend(format!("loopctl hook stop --host {host}, in {path}"));
    }
    let mut commands = hooks.iter().filter_map(|hook| hook.command.as_ref());
    if let Some(command) = commands.find(|command| !around.commands.contains(*command)) {
        let what = format!("{name}: the hook in {path} runs {command}, which {NOT_RUNNABLE}");
        return Finding::error(CHECK, what).mend(make_runnable(command, path));
    }
    if let Some((path, _)) = contents().find(|(_, content)| hooks_are_off(content)) {
        return Finding::warning(CHECK, format!("{name}: {path} switches hooks off"))
            .mend(format!("mend {path}"));
    }
    if host == "codex" && hooks_are_off(&around.codex) {
        let what = format!("{name}: your own config.toml switches hooks off");
        return Finding::warning(CHECK, what).mend("codex features enable hooks");
    }
    if host == "codex" && !codex_trusts(&around.codex, &format!("{}/{path}", around.directory)) {
        let what = format!("{name}: the hook in {path} is not trusted, and does not run");
        return Finding::warning(CHECK, what).mend("codex, and in it /hooks");
    }
    Finding::ok(CHECK, format!("{name}: {path}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::finding::Level;
    use super::super::program::PROGRAMS;
    use super::*;

    const CLAUDE: usize = 0;
    const CODEX: usize = 1;

    /// A program with some of its files, by their place.
    fn seen(program: usize, files: &[(usize, Value)]) -> Seen {
        let program = &PROGRAMS[program];
        let read = |(at, content): &(usize, Value)| {
            let place = &program.places[*at];
            let path = place.path.to_owned();
            Read { place, path, content: Ok(content.clone()), has_key: false, is_tracked: false }
        };
        Seen { program, files: files.iter().map(read).collect() }
    }

    fn around(variables: &[&str], commands: &[&str]) -> Surroundings {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Surroundings {
            variables: owned(variables),
            commands: owned(commands),
            codex: Value::Null,
            directory: "/p".to_owned(),
        }
    }

    fn mcp(command: &str, arguments: &[&str]) -> Value {
        json!({"mcpServers": {"loopctl": {"command": command, "args": arguments, "env": {"K": "${LOOPCTL_AGENT_KEY}"}}}})
    }

    fn stop(command: &str) -> Value {
        json!({"hooks": {"Stop": [{"hooks": [{"type": "command", "command": command}]}]}})
    }

    fn told(findings: &[Finding]) -> Vec<(Level, &str)> {
        findings.iter().map(|finding| (finding.level, finding.what.as_str())).collect()
    }

    #[test]
    fn what_is_not_set_up_is_one_note() {
        let findings =
            hosts(&[seen(CLAUDE, &[]), seen(CODEX, &[(0, json!({"model": "x"}))])], &around(&[], &[]));
        assert_eq!(told(&findings), [(Level::Note, "not set up in this directory: Claude Code, Codex")]);
        assert_eq!(findings[0].mend.as_deref(), Some("loopctl init"));
    }

    #[test]
    fn a_server_that_cannot_start_is_an_error_and_a_missing_variable_a_warning() {
        let of = |file: Value, around: &Surroundings| hosts(&[seen(CLAUDE, &[(0, file)])], around).remove(0);
        let here = around(&["LOOPCTL_AGENT_KEY"], &["loopctl", "/opt/loopctl", "node"]);
        let missing = of(mcp("loopctl", &["mcp"]), &around(&[], &[]));
        assert_eq!(missing.level, Level::Error);
        assert!(missing.what.contains("starts loopctl, which is not to be found"), "{}", missing.what);
        for wrong in [mcp("loopctl", &[]), mcp("/opt/loopctl", &["serve"])] {
            let finding = of(wrong, &here);
            assert!(
                finding.level == Level::Error && finding.what.contains("without `mcp`"),
                "{}",
                finding.what
            );
        }
        let unset = of(mcp("loopctl", &["mcp"]), &around(&[], &["loopctl"]));
        assert_eq!(unset.level, Level::Warning);
        assert_eq!(unset.mend.as_deref(), Some("export LOOPCTL_AGENT_KEY=…, before Claude Code is started"));
        for right in [mcp("loopctl", &["mcp"]), mcp("node", &["mcp-server/index.js"])] {
            assert_eq!(of(right, &here).level, Level::Ok);
        }
    }

    #[test]
    fn a_key_in_a_file_is_an_error_when_git_tracks_it() {
        let of = |is_tracked: bool| {
            let mut seen = seen(CLAUDE, &[(0, json!({}))]);
            seen.files[0].has_key = true;
            seen.files[0].is_tracked = is_tracked;
            hosts(&[seen], &around(&[], &[])).remove(0)
        };
        assert_eq!((of(true).level, of(true).check), (Level::Error, "secrets"));
        assert_eq!((of(false).level, of(false).check), (Level::Warning, "secrets"));
        let mut broken = seen(CLAUDE, &[(0, json!({}))]);
        broken.files[0].content = Err(".mcp.json is not valid JSON (line 1, column 1)".to_owned());
        let findings = hosts(&[broken], &around(&[], &[]));
        assert_eq!(findings[0].level, Level::Error);
    }

    #[test]
    fn hooks_are_there_in_the_right_words_and_on() {
        let of = |files: &[(usize, Value)]| {
            let mut all = vec![(0, mcp("loopctl", &["mcp"]))];
            all.extend(files.iter().cloned());
            hosts(&[seen(CLAUDE, &all)], &around(&["LOOPCTL_AGENT_KEY"], &["loopctl"])).remove(1)
        };
        assert_eq!(of(&[]).level, Level::Note);
        assert_eq!(of(&[(1, stop("echo done"))]).level, Level::Note);
        let right = stop("loopctl hook stop --host claude-code");
        assert_eq!(of(&[(1, right.clone())]).level, Level::Ok);
        assert_eq!(of(&[(2, right.clone())]).what, "Claude Code: .claude/settings.local.json");
        for missing in ["/gone/loopctl", "bin/loopctl", "'my loopctl'"] {
            let finding = of(&[(1, stop(&format!("{missing} hook stop --host claude-code")))]);
            let name = missing.trim_matches('\'');
            let what = format!(
                "Claude Code: the hook in .claude/settings.json runs {name}, which is not to be found or not executable"
            );
            assert_eq!((finding.level, finding.what), (Level::Error, what));
        }
        // Nobody but the shell knows.
        assert_eq!(of(&[(1, stop("\"$HOME\"/loopctl hook stop --host claude-code"))]).level, Level::Ok);
        let other = of(&[(1, stop("loopctl hook stop --host gemini"))]);
        assert!(other.level == Level::Error && other.what.contains("as for gemini"), "{}", other.what);
        assert_eq!(of(&[(1, stop("loopctl hook stop"))]).level, Level::Error);
        assert_eq!(of(&[(1, right), (2, json!({"disableAllHooks": true}))]).level, Level::Warning);
    }

    #[test]
    fn codex_runs_only_what_its_user_trusts() {
        let server = json!({"mcp_servers": {"loopctl": {"command": "loopctl", "args": ["mcp"]}}});
        let seen = [seen(CODEX, &[(0, server), (1, stop("loopctl hook stop --host codex"))])];
        let mut around = around(&[], &["loopctl"]);
        assert_eq!(hosts(&seen, &around)[1].level, Level::Warning);
        around.codex =
            json!({"hooks": {"state": {"/p/.codex/hooks.json:stop:0:0": {"trusted_hash": "sha256:0"}}}});
        assert_eq!(hosts(&seen, &around)[1].level, Level::Ok);
        around.codex["features"] = json!({"hooks": false});
        assert_eq!(hosts(&seen, &around)[1].level, Level::Warning);
    }
}
