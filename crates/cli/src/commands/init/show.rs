//! How steps are shown: as a diff, as a table, as JSON.

use std::path::Path;

use diffy::DiffOptions;
use serde_json::{Map, Value, json};

use super::hosts::{Host, Role};
use super::mask::masked;
use super::plan::{Change, Step};
use super::targets::Wish;
use crate::table;

impl Step {
    /// Whether something is done.
    pub(super) fn changes(&self) -> bool {
        self.change != Change::Nothing
    }

    fn action(&self) -> &'static str {
        match &self.change {
            Change::Nothing if self.note.is_some() => "keep",
            Change::Nothing => "unchanged",
            Change::Write { before: None, .. } => "create",
            Change::Write { .. } => "change",
            Change::Link(_) => "link",
            Change::Delete { .. } => "delete",
        }
    }

    fn diff(&self) -> Option<String> {
        let (before, after) = match &self.change {
            Change::Nothing => return None,
            Change::Link(to) => return Some(format!("--- /dev/null\n+++ {} -> {to}", self.path)),
            Change::Delete { before: None } => {
                return Some(format!("--- {} (link)\n+++ /dev/null", self.path));
            }
            Change::Delete { before } => (before.as_deref(), None),
            Change::Write { before, after } => (before.as_deref(), Some(after.as_str())),
        };
        let name = |text: Option<&str>| text.map_or("/dev/null", |_| self.path);
        let is_prose = self.path.ends_with(".md");
        // Lines of others are not shown where they may hold keys, and what is beside ours in a line neither.
        let around = if is_prose { 3 } else { 0 };
        let mut options = DiffOptions::new();
        options
            .set_context_len(around)
            .set_original_filename(name(before))
            .set_modified_filename(name(after));
        let text = options.create_patch(before.unwrap_or_default(), after.unwrap_or_default()).to_string();
        let text = if is_prose { text } else { masked(&text) };
        Some(text.replace("\r\n", "\n").trim_end_matches('\n').to_owned())
    }
}

/// Every change, line by line; with colours for a terminal.
pub(super) fn diffs(steps: &[Step], colours: bool) -> String {
    let lines = steps.iter().filter_map(Step::diff).flat_map(|diff| {
        diff.lines().map(|line| coloured(&table::harmless(line), colours)).collect::<Vec<_>>()
    });
    lines.map(|line| line + "\n").collect()
}

fn coloured(line: &str, colours: bool) -> String {
    let colour = match line.as_bytes().first() {
        _ if !colours => return line.to_owned(),
        _ if line.starts_with("--- ") || line.starts_with("+++ ") => 1,
        Some(b'+') => 32,
        Some(b'-') => 31,
        Some(b'@') => 36,
        _ => return line.to_owned(),
    };
    format!("\u{1b}[{colour}m{line}\u{1b}[0m")
}

/// The columns of the table, which CSV has as well.
pub(super) const COLUMNS: [&str; 4] = ["path", "host", "action", "note"];

/// A row for each file.
pub(super) fn rows(steps: &[Step]) -> Vec<Vec<String>> {
    let host = |step: &Step| step.host.map_or("all", Host::name).to_owned();
    let note = |step: &Step| step.note.clone().unwrap_or_default();
    steps
        .iter()
        .map(|step| vec![step.path.to_owned(), host(step), step.action().to_owned(), note(step)])
        .collect()
}

/// What was done, or would be, for programs.
pub(super) fn body(
    root: &Path,
    role: Role,
    hosts: &[(Host, String)],
    steps: &[Step],
    written: bool,
    next: &[String],
) -> Value {
    let file = |step: &Step| {
        let mut file = Map::from_iter([
            ("path".to_owned(), Value::from(step.path)),
            ("host".to_owned(), Value::from(step.host.map(Host::name))),
            ("action".to_owned(), Value::from(step.action())),
        ]);
        file.extend(step.note.clone().map(|note| ("note".to_owned(), Value::from(note))));
        file.extend(step.diff().map(|diff| ("diff".to_owned(), Value::from(diff))));
        Value::Object(file)
    };
    let host = |(host, reason): &(Host, String)| json!({"name": host.name(), "reason": reason});
    json!({"data": {
        "directory": root.display().to_string(),
        "role": role.name(),
        "hosts": hosts.iter().map(host).collect::<Vec<_>>(),
        "files": steps.iter().map(file).collect::<Vec<_>>(),
        "written": written,
        "next_steps": next,
    }})
}

/// What a person has left to do.
pub(super) fn next_steps(wish: &Wish) -> Vec<String> {
    let variable = wish.role.variable();
    let mut next = vec![
        format!(
            "Make a key for each agent that works here: loopctl keys create --name NAME --role {}",
            wish.role.key_role()
        ),
        match wish.role.agent_type() {
            Some(agent_type) => format!(
                "Register its agent, once, with that key: loopctl agent register --name NAME --type {agent_type} --api-key lc_..."
            ),
            None => "An orchestrator's key takes an agent that is registered already: add --agent ID to keys create".to_owned(),
        },
        format!("Start the agent with it: export LOOPCTL_SERVER={} {variable}=lc_...", wish.server),
    ];
    let hosts = &wish.hosts;
    if hosts.contains(&Host::ClaudeCode) {
        next.push("In Claude Code, allow the server of .mcp.json when it asks".to_owned());
    }
    if hosts.contains(&Host::Codex) {
        next.push(
            "In Codex, trust the project, and the hooks with /hooks: until then it reads neither".to_owned(),
        );
    }
    if hosts.contains(&Host::Copilot) {
        next.push("In VS Code, start the server of .vscode/mcp.json, and trust it when it asks".to_owned());
    }
    if hosts.is_empty() {
        next.push("No host was found. Name one: loopctl init --host claude-code".to_owned());
    }
    next.push("See whether all of it works: loopctl doctor".to_owned());
    next
}
