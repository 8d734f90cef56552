//! A thing of which nothing is known but its members: what it is called, facts, and below them what takes more room.

use serde_json::{Map, Value};
use unicode_width::UnicodeWidthStr;

use super::block::{Block, Fact};
use super::table::{is_nothing, said};
use super::text::{cut, label};
use super::{Screen, status, times};
use crate::table::{one_line, plain};

/// What names a thing, so that nobody needs its id: the next command takes it.
const NAMES: &[&str] = &["number", "slug"];
/// Kinds of things that are named by their names, by what only they have.
const NAMED: &[&str] = &["agent_type", "current_version"];
/// How deep values within values are shown; what is deeper is one line of JSON.
const DEEPEST: usize = 4;
/// A folded member names so many of what it holds.
const NAMED_PARTS: usize = 8;

/// Everything that people want to know of a thing.
pub(crate) fn block<'s>(members: &Map<String, Value>, screen: &'s Screen) -> Block<'s> {
    let mut block = Block::new(screen);
    let text = |name: &str| members.get(name).map(plain).unwrap_or_default();
    let title = if text("title").is_empty() { text("name") } else { text("title") };
    if !title.is_empty() {
        block.heading(&text("number"), &title);
        block.blank();
    }
    let is_named = !title.is_empty();
    let shown = members.iter().filter(|(name, value)| is_shown(name, value, members, screen));
    let shown = shown.filter(|(name, _)| !(is_named && ["title", "name", "number"].contains(&name.as_str())));
    let (long, short): (Vec<_>, Vec<_>) = shown.partition(|(name, value)| is_long(name, value, screen));
    let facts: Vec<Fact> = short.iter().map(|(name, value)| fact(name, value, screen)).collect();
    block.facts(&facts);
    for (name, value) in long {
        part(&mut block, name, value, screen);
    }
    block
}

/// Whether a member says anything to people.
fn is_shown(name: &str, value: &Value, members: &Map<String, Value>, screen: &Screen) -> bool {
    if name == "id" {
        let has_name = NAMES.iter().any(|name| members.get(*name).is_some_and(|name| !name.is_null()));
        return screen.is_wide || !(has_name || NAMED.iter().any(|name| members.contains_key(*name)));
    }
    if name.ends_with("_id") || name.ends_with("_digest") || name == "sort_key" {
        return (screen.is_wide || screen.is_full) && !value.is_null();
    }
    // What was changed when it was created was not changed since, as far as people can see.
    if name == "updated_at" && !screen.is_wide && !screen.is_full {
        let told = |name: &str| members.get(name).map(|time| times::told(&plain(time), screen));
        return told("inserted_at") != told(name);
    }
    screen.is_full || !is_nothing(value)
}

/// Whether a member takes more room than a line or two.
fn is_long(name: &str, value: &Value, screen: &Screen) -> bool {
    match value {
        Value::String(text) => text.trim().contains('\n') || text.width() > 2 * screen.width,
        Value::Array(items) => screen.is_full && items.iter().any(|item| item.is_object() || item.is_array()),
        Value::Object(_) => screen.is_full || name == "error",
        _ => false,
    }
}

fn fact(name: &str, value: &Value, screen: &Screen) -> Fact {
    let label = label(name);
    match value {
        Value::String(time) if name.ends_with("_at") => Fact::new(label, times::told(time, screen)),
        Value::String(word) if name == "status" || name.ends_with("_status") || name == "result" => {
            Fact::status(label, status::words(word))
        }
        Value::Bool(true) if name == "contract_stale" => {
            Fact::new(label, "yes (title or criteria have changed since they were contracted)")
        }
        Value::Bool(true) if name == "verification_stale" => {
            Fact::new(label, "yes (title or criteria have changed since they were verified)")
        }
        Value::Object(members) => Fact::new(label, folded(members, screen.width)),
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            Fact::new(label, format!("{} (--full shows them)", items.len()))
        }
        other => Fact::new(label, said(other)),
    }
}

/// What is short of many members, and of the others the names: `phase: p0, priority: low; also test cases (4)`.
pub(crate) fn folded(members: &Map<String, Value>, width: usize) -> String {
    let mut room = 2 * width.saturating_sub(20);
    let (mut told, mut also) = (Vec::new(), Vec::new());
    let is_id = |name: &str| name == "id" || name.ends_with("_id");
    for (name, value) in members.iter().filter(|(name, value)| !is_nothing(value) && !is_id(name)) {
        let inner = || match value {
            Value::Array(items) => format!(" ({})", items.len()),
            Value::Object(members) => format!(" ({})", members.len()),
            _ => String::new(),
        };
        let is_flat = match value {
            Value::Object(_) => false,
            Value::Array(items) => items.iter().all(|item| !item.is_object() && !item.is_array()),
            _ => true,
        };
        let shown = format!("{}: {}", label(name), one_line(&said(value)));
        if is_flat && shown.width() <= room.min(width / 2) {
            room -= shown.width();
            told.push(shown);
        } else {
            also.push(format!("{}{}", label(name), inner()));
        }
    }
    if also.is_empty() {
        return told.join(", ");
    }
    let more = also.len().saturating_sub(NAMED_PARTS);
    also.truncate(NAMED_PARTS);
    if more > 0 {
        also.push(format!("{more} more"));
    }
    let also = format!("{} with --full", also.join(", "));
    if told.is_empty() { also } else { format!("{}; {also}", told.join(", ")) }
}

/// A member with a heading of its own.
fn part(block: &mut Block<'_>, name: &str, value: &Value, screen: &Screen) {
    let mut heading = label(name);
    if let Some(first) = heading.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    block.section(&heading);
    match value {
        Value::String(text) => block.paragraphs(text),
        other => tree(other, 0, screen).iter().for_each(|line| block.set_in(line)),
    }
}

/// A value within which there are others, a line for each.
pub(crate) fn tree(value: &Value, depth: usize, screen: &Screen) -> Vec<String> {
    let blanks = "  ".repeat(depth);
    let inner = |name: String, value: &Value| -> Vec<String> {
        let is_inner = match value {
            Value::Object(members) => !members.is_empty(),
            Value::Array(items) => items.iter().any(|item| item.is_object() || item.is_array()),
            _ => false,
        };
        if is_inner && depth < DEEPEST {
            let mut lines = vec![format!("{blanks}{name}")];
            lines.extend(tree(value, depth + 1, screen));
            return lines;
        }
        super::text::hanging(&format!("{blanks}{name} "), &one_line(&said(value)), screen.width - 2)
    };
    match value {
        Value::Object(members) => {
            members.iter().flat_map(|(name, value)| inner(format!("{}:", cut(name, 40)), value)).collect()
        }
        Value::Array(items) => items.iter().flat_map(|item| inner("-".to_owned(), item)).collect(),
        other => vec![format!("{blanks}{}", one_line(&said(other)))],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(value: Value, screen: &Screen) -> String {
        block(value.as_object().unwrap(), screen).text()
    }

    #[test]
    fn what_has_a_name_begins_with_it_and_hides_its_id() {
        let project = json!({"id": "i", "tenant_id": "t", "name": "Shed Share", "slug": "shed", "status": "active",
            "mission": null, "metadata": {}, "inserted_at": "2026-11-30T09:00:00Z", "epic_count": 8});
        let expected = "\
Shed Share

slug:       shed
status:     active
created:    3 h ago
epic count: 8";
        assert_eq!(told(project.clone(), &Screen::of(80)), expected);
        let wide = told(project, &Screen { is_wide: true, ..Screen::of(80) });
        assert!(wide.contains("id:         i\n") && wide.contains("2026-11-30T09:00:00Z"), "{wide}");
    }

    #[test]
    fn what_has_no_other_name_shows_its_id() {
        let key =
            json!({"id": "i", "name": "lead", "key_prefix": "lc_x", "role": "orchestrator", "agent_id": "a"});
        assert_eq!(
            told(key, &Screen::of(80)),
            "lead\n\nid:         i\nkey prefix: lc_x\nrole:       orchestrator"
        );
        let agent = json!({"id": "i", "name": "bob", "agent_type": "implementer"});
        assert_eq!(told(agent, &Screen::of(80)), "bob\n\nagent type: implementer");
    }

    #[test]
    fn what_is_long_is_folded_until_it_is_asked_for() {
        let thing = json!({"state": "open", "metadata": {"phase": "p0", "tags": ["a", "b"], "rationale": "word ".repeat(60),
            "cases": [{"id": 1, "then": "x"}, {"id": 2, "then": ["y", "z"]}]}, "note": "one\n\n- two"});
        let expected = "\
state:    open
metadata: phase: p0, tags: a, b; rationale, cases (2) with --full

Note
one

- two";
        assert_eq!(told(thing.clone(), &Screen::of(80)), expected);
        let full = told(thing, &Screen { is_full: true, ..Screen::of(80) });
        let cases = "  cases:\n    -\n      id: 1\n      then: x\n    -\n      id: 2\n      then: y, z\n";
        assert!(full.contains("\nMetadata\n  phase: p0\n  tags: a, b\n  rationale: word word"), "{full}");
        assert!(full.contains(cases), "{full}");
        assert!(full.lines().all(|line| line.len() <= 80), "{full}");
    }
}
