//! What becomes of each file: a pure function of what is on disk and of what is wished.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::block::{Markers, Rest, TOML};
use super::hosts::Host;
use super::json::{self, Entry, Left};
use super::targets::{
    AGENTS_FILE, CODEX_CONFIG, CODEX_HOOKS, Content, GEMINI_SETTINGS, Target, Wish, codex_tables, targets,
};
use super::texts::{self, Skill};

/// What is found at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing.
    Missing,
    /// A file, and whether it may only be read.
    File { text: String, read_only: bool },
    /// A link, and where it leads to as it is written.
    Link(String),
    /// What another path of these leads to as well.
    Same,
    /// Something that is neither read nor written, and why.
    Blocked(String),
}

/// What is found at every path that there may be something to do at.
pub(super) type Disk = BTreeMap<&'static str, Found>;

/// What is done with a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It stays as it is.
    Nothing,
    /// It is written.
    Write { before: Option<String>, after: String },
    /// A link is made.
    Link(&'static str),
    /// It goes.
    Delete { before: Option<String> },
}

/// A file, and what is done with it.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) path: &'static str,
    pub(super) host: Option<Host>,
    pub(super) change: Change,
    /// What is left as it is, though it would be changed if somebody else had not written it.
    pub(super) note: Option<String>,
}

/// Setting up, or taking out again. Nothing is done if there is a single problem.
pub(super) fn plan(wish: &Wish, disk: &Disk, direction: Direction) -> Result<Vec<Step>, Vec<String>> {
    let (mut steps, mut problems) = (Vec::new(), Vec::new());
    for target in targets(wish) {
        if direction == (Direction::TakeOut { shared: false }) && target.host.is_none() {
            continue;
        }
        let found = disk.get(target.path).unwrap_or(&Found::Missing);
        match step(&target, found, wish, disk, direction) {
            Ok((change, note)) => steps.push(Step { path: target.path, host: target.host, change, note }),
            Err(problem) => problems.push(format!("{}: {problem}", target.path)),
        }
    }
    if problems.is_empty() { Ok(steps) } else { Err(problems) }
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// What is missing is put in.
    PutIn,
    /// What was put in is taken out, also what several hosts read.
    TakeOut { shared: bool },
}

type Outcome = Result<(Change, Option<String>), String>;

fn step(target: &Target, found: &Found, wish: &Wish, disk: &Disk, direction: Direction) -> Outcome {
    let putting_in = direction == Direction::PutIn;
    let (text, read_only) = match found {
        Found::Same => return Ok((Change::Nothing, None)),
        // The skill is found without it.
        Found::Blocked(reason) if matches!(target.content, Content::Link(_)) => {
            let note = putting_in.then(|| format!("{reason}; it is left as it is"));
            return Ok((Change::Nothing, note));
        }
        Found::Blocked(reason) => return Err(reason.clone()),
        Found::Link(to) => return link(target, to, putting_in),
        Found::Missing => (None, false),
        Found::File { text, read_only } => (Some(text.as_str()), *read_only),
    };
    let outcome = match (&target.content, putting_in) {
        (Content::Block { markers, body, instead }, true) => {
            put_block(*markers, text, body, instead, disk, target, wish.force)
        }
        (Content::Block { markers, body, .. }, false) => take_block(*markers, text, body, wish.force),
        (Content::Codex, true) => put_codex(text, wish),
        (Content::Codex, false) => take_block(TOML, text, &codex_tables(wish, false), wish.force),
        (Content::Skill, _) => Ok(skill(text, wish, putting_in)),
        (Content::Link(to), true) if text.is_none() => Ok((Change::Link(to), None)),
        (Content::Link(_), true) => Ok((Change::Nothing, Some("is no link; it is left as it is".to_owned()))),
        (Content::Link(_), false) => Ok((Change::Nothing, None)),
        // Its hooks are where those of its owner are.
        (Content::Json { .. }, true) if target.path == CODEX_HOOKS && codex_has_hooks(disk) => {
            Ok((Change::Nothing, None))
        }
        (Content::Json { entries, companions }, true) => put_json(text, entries, companions),
        (Content::Json { entries, companions }, false) => take_json(text, entries, companions),
    }?;
    match outcome.0 {
        Change::Write { .. } | Change::Delete { .. } if read_only => {
            Err("it is read-only. Make it writable, or leave its host out".to_owned())
        }
        _ => Ok(outcome),
    }
}

fn link(target: &Target, to: &str, putting_in: bool) -> Outcome {
    match (&target.content, putting_in) {
        (Content::Link(wanted), true) if *wanted == to => Ok((Change::Nothing, None)),
        (Content::Link(wanted), false) if *wanted == to => Ok((Change::Delete { before: None }, None)),
        (_, true) => Ok((Change::Nothing, Some(format!("leads to {to}; it is left as it is")))),
        (_, false) => Ok((Change::Nothing, None)),
    }
}

fn written(before: Option<&str>, after: String) -> (Change, Option<String>) {
    if before == Some(&after) {
        return (Change::Nothing, None);
    }
    (Change::Write { before: before.map(ToOwned::to_owned), after }, None)
}

fn deleted(before: &str) -> (Change, Option<String>) {
    (Change::Delete { before: Some(before.to_owned()) }, None)
}

fn put_block(
    markers: Markers,
    text: Option<&str>,
    body: &str,
    instead: &[&str],
    disk: &Disk,
    target: &Target,
    force: bool,
) -> Outcome {
    let says_so =
        |text: &str| !markers.are_in(text) && text.lines().any(|line| instead.contains(&line.trim()));
    if text.is_some_and(says_so) || (target.host == Some(Host::Gemini) && gemini_reads_agents(disk)) {
        return Ok((Change::Nothing, None));
    }
    match changed_block(markers, text, body, force, true)? {
        Some(kept) => Ok(kept),
        None => Ok(written(text, markers.put(text, body).map_err(by_hand)?)),
    }
}

/// What somebody has changed since it was put in, and stays as it is.
fn changed_block(
    markers: Markers,
    text: Option<&str>,
    body: &str,
    force: bool,
    putting_in: bool,
) -> Result<Option<(Change, Option<String>)>, String> {
    let Some(text) = text.filter(|_| !force) else {
        return Ok(None);
    };
    let is_changed = markers.is_changed(text, body).map_err(by_hand)?;
    Ok(is_changed.then(|| changed("what is between loopctl's markers", putting_in)))
}

fn changed(what: &str, putting_in: bool) -> (Change, Option<String>) {
    let forced = if putting_in { "replaces it" } else { "takes it out" };
    let note = format!("{what} was changed by somebody else; it is left as it is (--force {forced})");
    (Change::Nothing, Some(note))
}

fn by_hand(problem: String) -> String {
    format!("{problem}. Mend it by hand; nothing was written")
}

fn take_block(markers: Markers, text: Option<&str>, body: &str, force: bool) -> Outcome {
    if let Some(kept) = changed_block(markers, text, body, force, false)? {
        return Ok(kept);
    }
    let Some(text) = text else {
        return Ok((Change::Nothing, None));
    };
    Ok(match markers.take(text).map_err(by_hand)? {
        None => (Change::Nothing, None),
        Some(Rest::Nothing) => deleted(text),
        Some(Rest::Text(rest)) => written(Some(text), rest),
    })
}

fn skill(text: Option<&str>, wish: &Wish, putting_in: bool) -> (Change, Option<String>) {
    let wanted = texts::skill(wish.role);
    let Some(text) = text else {
        return if putting_in { written(None, wanted) } else { (Change::Nothing, None) };
    };
    match (texts::whose(text, &wanted), putting_in) {
        (Skill::Theirs, true) => {
            (Change::Nothing, Some("was written by somebody else; it is left as it is".to_owned()))
        }
        (Skill::Theirs, false) => (Change::Nothing, None),
        (Skill::Changed, _) if !wish.force => changed("the skill", putting_in),
        (Skill::Written | Skill::Changed, true) => written(Some(text), wanted),
        (Skill::Written | Skill::Changed, false) => deleted(text),
    }
}

fn put_json(text: Option<&str>, entries: &[Entry], companions: &Map<String, Value>) -> Outcome {
    let Some(text) = text else {
        return Ok(written(None, json::fresh(entries, companions)));
    };
    let put = || {
        let there = json::read(text)?;
        match companions.keys().find(|key| there.get(key.as_str()).is_none()) {
            Some(key) => Err(format!("`{key}` is missing in it, so its host reads nothing of it")),
            None => json::put(text, entries),
        }
    };
    let (after, kept) = put().map_err(|problem| {
        let snippet: Value = serde_json::from_str(&json::fresh(entries, companions)).unwrap_or_default();
        format!("{problem}. Mend it, or leave its host out and add by hand: {snippet}")
    })?;
    Ok((written(Some(text), after).0, left(&kept)))
}

fn left(kept: &[String]) -> Option<String> {
    let what = kept.iter().map(|keys| format!("{keys} for loopctl")).collect::<Vec<_>>().join(" and ");
    (!kept.is_empty()).then(|| format!("{what} was written or changed by somebody else; it is left as it is"))
}

fn take_json(text: Option<&str>, entries: &[Entry], companions: &Map<String, Value>) -> Outcome {
    let Some(text) = text else {
        return Ok((Change::Nothing, None));
    };
    Ok(match json::take(text, entries, companions).map_err(by_hand)? {
        Left::Nothing => deleted(text),
        Left::Text(rest) => {
            let (_, kept) = json::put(&rest, entries).map_err(by_hand)?;
            (written(Some(text), rest).0, left(&kept))
        }
    })
}

fn put_codex(text: Option<&str>, wish: &Wish) -> Outcome {
    let add = || format!("Mend it, or leave its host out and add by hand:\n{}", codex_tables(wish, false));
    let refused = |problem: &str| format!("{problem}. {}", add());
    let theirs = codex_config(text).map_err(|problem| refused(&problem))?;
    let servers = theirs.get("mcp_servers");
    if servers.is_some_and(|servers| !servers.is_table()) {
        return Err(refused("`mcp_servers` in it is no table that can be added to"));
    }
    if servers.and_then(|servers| servers.get("loopctl")).is_some() {
        let note = "has a mcp_servers.loopctl of its own; it is left as it is";
        return Ok((Change::Nothing, Some(note.to_owned())));
    }
    let tables = codex_tables(wish, theirs.contains_key("hooks"));
    if let Some(kept) = changed_block(TOML, text, &tables, wish.force, true)? {
        return Ok(kept);
    }
    let after = TOML.put(text, &tables).map_err(by_hand)?;
    // What stands before the block may make it mean something else.
    after.parse::<toml_edit::DocumentMut>().map_err(|_| refused("its tables cannot be added to"))?;
    Ok(written(text, after))
}

/// The configuration of Codex without what is ours.
fn codex_config(text: Option<&str>) -> Result<toml_edit::DocumentMut, String> {
    let text = text.unwrap_or_default();
    let rest = match TOML.take(text)? {
        None => text.to_owned(),
        Some(Rest::Nothing) => String::new(),
        Some(Rest::Text(rest)) => rest,
    };
    rest.parse::<toml_edit::DocumentMut>().map_err(|error| {
        let line = error.span().map_or(1, |span| rest[..span.start].lines().count().max(1));
        format!("it is no valid TOML, in line {line}")
    })
}

fn codex_has_hooks(disk: &Disk) -> bool {
    let Some(Found::File { text, .. }) = disk.get(CODEX_CONFIG) else { return false };
    codex_config(Some(text)).is_ok_and(|theirs| theirs.contains_key("hooks"))
}

fn gemini_reads_agents(disk: &Disk) -> bool {
    let Some(Found::File { text, .. }) = disk.get(GEMINI_SETTINGS) else { return false };
    let settings = json::read(text).unwrap_or_default();
    match &settings["context"]["fileName"] {
        Value::String(name) => name == AGENTS_FILE,
        Value::Array(names) => names.iter().any(|name| name == AGENTS_FILE),
        _ => false,
    }
}
