//! Which files are written for which host, and what belongs into them. How a host names an environment variable in its
//! configuration, and what it calls the moment at which an agent stops, is here and nowhere else.

use serde_json::{Map, Value, json};

use super::block::{MARKDOWN, Markers};
use super::hosts::{Host, Role};
use super::json::{Entry, Known};
use super::texts;

/// What is to be set up.
#[derive(Debug)]
pub(super) struct Wish {
    /// For these hosts.
    pub(super) hosts: Vec<Host>,
    /// Whose key agents will have.
    pub(super) role: Role,
    /// Address of the server.
    pub(super) server: String,
    /// What somebody has changed between our markers or in the skill goes as well.
    pub(super) force: bool,
}

/// A file, relative to the repository, and what belongs into it.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) path: &'static str,
    /// Whose file it is; none, if several read it.
    pub(super) host: Option<Host>,
    pub(super) content: Content,
}

/// What belongs into a file.
#[derive(Debug)]
pub(super) enum Content {
    /// A block between markers, unless one of the lines says the same.
    Block { markers: Markers, body: String, instead: &'static [&'static str] },
    /// The whole file.
    Skill,
    /// A link to the skill.
    Link(&'static str),
    /// Members of a JSON file, and those that a new one has besides.
    Json { entries: Vec<Entry>, companions: Map<String, Value> },
    /// The configuration of Codex, which is TOML.
    Codex,
}

/// Where a `hooks` table of Codex may be instead of in its configuration.
pub(super) const CODEX_HOOKS: &str = ".codex/hooks.json";
/// The configuration of Codex.
pub(super) const CODEX_CONFIG: &str = ".codex/config.toml";
/// The settings of Gemini CLI.
pub(super) const GEMINI_SETTINGS: &str = ".gemini/settings.json";
/// What the agents of a repository read first.
pub(super) const AGENTS_FILE: &str = "AGENTS.md";

/// How long a host waits for a hook, in seconds. The hook itself gives up sooner.
const PATIENCE: u64 = 10;

/// Every file of these hosts, and those that several read.
pub(super) fn targets(wish: &Wish) -> Vec<Target> {
    let shared = [
        target(AGENTS_FILE, None, block(&texts::agents(wish.role), &[])),
        target(".agents/skills/loopctl/SKILL.md", None, Content::Skill),
    ];
    shared.into_iter().chain(wish.hosts.iter().flat_map(|host| of_host(*host, wish))).collect()
}

fn of_host(host: Host, wish: &Wish) -> Vec<Target> {
    let this = |path, content| target(path, Some(host), content);
    let server = || server(host, wish);
    let nothing = Map::new;
    match host {
        Host::ClaudeCode => vec![
            this("CLAUDE.md", block(texts::CLAUDE, &["@AGENTS.md", "@./AGENTS.md"])),
            this(".claude/skills/loopctl", Content::Link("../../.agents/skills/loopctl")),
            this(".mcp.json", Content::Json { entries: vec![server()], companions: nothing() }),
            this(
                ".claude/settings.json",
                Content::Json { entries: grouped(host, &STOPS, PATIENCE), companions: nothing() },
            ),
        ],
        Host::Codex => vec![
            this(CODEX_CONFIG, Content::Codex),
            this(
                CODEX_HOOKS,
                Content::Json { entries: grouped(host, &STOPS, PATIENCE), companions: nothing() },
            ),
        ],
        Host::Gemini => {
            let mut entries = vec![server()];
            // It counts in milliseconds.
            entries.extend(grouped(host, &[&["hooks", "AfterAgent"]], PATIENCE * 1000));
            vec![
                this("GEMINI.md", block(texts::GEMINI, &["@AGENTS.md", "@./AGENTS.md"])),
                this(GEMINI_SETTINGS, Content::Json { entries, companions: nothing() }),
            ]
        }
        Host::Cursor => {
            let hook = || json!({"command": command(host), "timeout": PATIENCE});
            let entries = listed(&[&["hooks", "stop"], &["hooks", "subagentStop"]], hook);
            vec![
                this(".cursor/mcp.json", Content::Json { entries: vec![server()], companions: nothing() }),
                this(".cursor/hooks.json", Content::Json { entries, companions: version() }),
            ]
        }
        Host::Copilot => {
            let hook = || json!({"type": "command", "command": command(host), "timeout": PATIENCE});
            vec![
                this(".vscode/mcp.json", Content::Json { entries: vec![server()], companions: nothing() }),
                this(
                    ".github/hooks/loopctl.json",
                    Content::Json { entries: listed(&STOPS, hook), companions: version() },
                ),
            ]
        }
    }
}

const STOPS: [&[&str]; 2] = [&["hooks", "Stop"], &["hooks", "SubagentStop"]];

fn target(path: &'static str, host: Option<Host>, content: Content) -> Target {
    Target { path, host, content }
}

fn block(body: &str, instead: &'static [&'static str]) -> Content {
    Content::Block { markers: MARKDOWN, body: body.to_owned(), instead }
}

fn version() -> Map<String, Value> {
    Map::from_iter([("version".to_owned(), Value::from(1))])
}

/// What a host runs when an agent stops.
pub(super) fn command(host: Host) -> String {
    format!("loopctl hook stop --host {}", host.name())
}

/// Hooks as Claude Code has them: each in a group of its own, which could have a condition.
fn grouped(host: Host, places: &[&'static [&'static str]], patience: u64) -> Vec<Entry> {
    listed(places, || json!({"hooks": [{"type": "command", "command": command(host), "timeout": patience}]}))
}

fn listed(places: &[&'static [&'static str]], hook: impl Fn() -> Value) -> Vec<Entry> {
    places.iter().map(|keys| Entry { keys, listed: true, value: hook(), known: known_hook }).collect()
}

/// A hook is known by its command.
fn known_hook(there: &Value, wanted: &Value) -> Known {
    fn runs(value: &Value) -> bool {
        match value {
            Value::Object(members) => members.iter().any(|(key, value)| match value {
                Value::String(text) => key != "name" && text.contains("loopctl hook stop"),
                value => runs(value),
            }),
            Value::Array(items) => items.iter().any(runs),
            _ => false,
        }
    }
    match () {
        () if there == wanted => Known::Ours,
        () if runs(there) => Known::Theirs,
        () => Known::Other,
    }
}

/// The MCP server, as a host's JSON names it.
fn server(host: Host, wish: &Wish) -> Entry {
    let keys: &[&str] = match host {
        Host::Copilot => &["servers", "loopctl"],
        _ => &["mcpServers", "loopctl"],
    };
    Entry { keys, listed: false, value: server_value(host, wish.role, &wish.server), known: known_server }
}

fn server_value(host: Host, role: Role, server: &str) -> Value {
    let mut value = json!({
        "command": "loopctl",
        "args": ["mcp"],
        "env": {"LOOPCTL_SERVER": server, (role.variable()): reference(host, role.variable())},
    });
    // These two tell by it what kind of server it is.
    if let (Host::Cursor | Host::Copilot, Value::Object(members)) = (host, &mut value) {
        members.shift_insert(0, "type".to_owned(), Value::from("stdio"));
    }
    value
}

/// How a host's configuration says that a value is in the environment.
fn reference(host: Host, variable: &str) -> String {
    match host {
        // With nothing for one that is not set: without, it is passed on as it is written, as if it were a key.
        Host::ClaudeCode => format!("${{{variable}:-}}"),
        Host::Gemini => format!("${variable}"),
        Host::Cursor | Host::Copilot => format!("${{env:{variable}}}"),
        // It passes variables on by name.
        Host::Codex => variable.to_owned(),
    }
}

/// It is ours with another role or address, too.
fn known_server(there: &Value, _: &Value) -> Known {
    let address = there["env"]["LOOPCTL_SERVER"].as_str().unwrap_or_default();
    let every = Host::ALL.into_iter().flat_map(|host| Role::ALL.map(|role| (host, role)));
    match every.into_iter().any(|(host, role)| server_value(host, role, address) == *there) {
        true => Known::Ours,
        false => Known::Theirs,
    }
}

/// The tables for Codex: the server, and the hooks where the configuration has a table of them.
pub(super) fn codex_tables(wish: &Wish, hooks: bool) -> String {
    let string = |text: &str| toml_edit::Value::from(text).to_string();
    let mut text = format!(
        "[mcp_servers.loopctl]\ncommand = \"loopctl\"\nargs = [\"mcp\"]\nenv = {{ LOOPCTL_SERVER = {} }}\nenv_vars = [{}]",
        string(&wish.server),
        string(&reference(Host::Codex, wish.role.variable())),
    );
    if hooks {
        for event in ["Stop", "SubagentStop"] {
            text += &format!(
                "\n\n[[hooks.{event}]]\n\n[[hooks.{event}.hooks]]\ntype = \"command\"\ncommand = {}\ntimeout = {PATIENCE}",
                string(&command(Host::Codex)),
            );
        }
    }
    text
}
