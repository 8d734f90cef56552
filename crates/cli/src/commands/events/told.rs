//! An entry of the log, with what has changed in words.

use serde_json::Value;

use super::spent::spent;
use crate::table;

/// How many fields of an entry people are shown, and how much of each.
const FIELDS: usize = 3;
const FIELD: usize = 30;

/// As [`described`]; and where no status has changed, what else has.
pub(crate) fn told(entry: &Value) -> Value {
    let mut row = described(entry);
    if row["change"] == "" {
        row["change"] = fields(&entry["old_state"], &entry["new_state"]).into();
        row["what"] = what(entry, &table::plain(&row["change"])).into();
    }
    row
}

/// The first fields that differ, or that there are: `name: One -> Two, slug: one`. Ids tell people nothing.
fn fields(old: &Value, new: &Value) -> String {
    let short = |value: &Value| {
        let text = table::plain(value);
        let cut = text.chars().count() > FIELD;
        text.chars().take(FIELD).chain(cut.then_some('…')).collect::<String>()
    };
    let state = if new.is_null() { old } else { new };
    let fields = state.as_object().into_iter().flatten().filter_map(|(name, value)| {
        let before = old.get(name).filter(|before| !before.is_null() && !new.is_null());
        if name == "id" || name.ends_with("_id") || value.is_null() || before == Some(value) {
            return None;
        }
        Some(match before {
            Some(before) => format!("{name}: {} -> {}", short(before), short(value)),
            None => format!("{name}: {}", short(value)),
        })
    });
    fields.take(FIELDS).collect::<Vec<_>>().join(", ")
}

/// How much of a digest people are shown: enough to tell two apart.
const DIGEST: usize = 12;

/// An entry with its change in words.
pub(super) fn described(entry: &Value) -> Value {
    let mut row = entry.clone();
    let changes = ["agent_status", "verified_status"].into_iter().filter_map(|key| {
        let (old, new) = (&entry["old_state"][key], entry["new_state"][key].as_str()?);
        match old.as_str() {
            Some(old) if old == new => None,
            Some(old) => Some(format!("{old} -> {new}")),
            None => Some(new.to_owned()),
        }
    });
    let digest = |state: &str| {
        let digest = entry[state]["criteria_digest"].as_str()?;
        Some(digest.chars().take(DIGEST).collect::<String>())
    };
    let criteria = match (digest("old_state"), digest("new_state")) {
        (Some(old), Some(new)) => Some(format!("title or criteria: {old} -> {new}")),
        (None, Some(new)) => Some(format!("criteria {new}")),
        _ => None,
    };
    let mut change = changes.chain(criteria).collect::<Vec<_>>().join(", ");
    if change.is_empty() {
        change = spent(entry).unwrap_or_default();
    }
    let (what, of) = (what(entry, &change), number(entry));
    if let Value::Object(members) = &mut row {
        members.insert("change".to_owned(), change.into());
        members.insert("what".to_owned(), what.into());
        members.insert("of".to_owned(), of.map_or(Value::Null, Value::from));
    }
    row
}

/// What has happened, in words: the action, of what it is unless that is a story, and the change.
fn what(entry: &Value, change: &str) -> String {
    let (of, action) = (table::plain(&entry["entity_type"]), table::plain(&entry["action"]));
    // That a status has changed, the change says.
    if action == "status_changed" && !change.is_empty() {
        return change.replace('_', " ");
    }
    // Some actions say themselves of what they are.
    let is_said = action.contains('.') || of.is_empty() || of == "story";
    let what = if is_said { action } else { format!("{of} {action}") };
    let what = what.replace(['_', '.'], " ");
    if change.is_empty() { what } else { format!("{what}: {change}") }
}

/// The number of a story or an epic, where the entry itself has it.
fn number(entry: &Value) -> Option<String> {
    let of = &["new_state", "old_state"].map(|state| entry[state]["number"].clone());
    let number = of.iter().find(|number| !number.is_null()).map(table::plain)?;
    ["story", "epic"].iter().any(|kind| entry["entity_type"] == *kind).then_some(number)
}

/// Ids of what an entry may be about, beginning with the story that it is of.
pub(super) fn things(entry: &Value) -> Vec<String> {
    let states = ["new_state", "old_state"].iter().map(|state| &entry[*state]["story_id"]);
    states.chain([&entry["entity_id"]]).filter_map(Value::as_str).map(ToOwned::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn history_says_what_changed() {
        let entry = json!({"action": "status_changed", "old_state": {"agent_status": "pending", "verified_status": "unverified"},
            "new_state": {"agent_status": "contracted", "verified_status": "unverified"}});
        let row = described(&entry);
        assert_eq!(row["change"], "pending -> contracted");
        let created = described(&json!({"new_state": {"agent_status": "pending"}, "old_state": null}));
        assert_eq!(created["change"], "pending");
    }

    #[test]
    fn what_has_happened_is_said_in_a_few_words() {
        let what = |entry: Value| table::plain(&told(&entry)["what"]);
        let changed = json!({"entity_type": "story", "action": "status_changed", "old_state": {"agent_status": "implementing"},
            "new_state": {"agent_status": "reported_done"}});
        assert_eq!(what(changed), "implementing -> reported done");
        assert_eq!(what(json!({"entity_type": "story", "action": "review_requested"})), "review requested");
        let made = json!({"entity_type": "project", "action": "created", "new_state": {"name": "One"}});
        assert_eq!(what(made), "project created: name: One");
        assert_eq!(
            what(json!({"entity_type": "ui_test_run", "action": "ui_test.started"})),
            "ui test started"
        );
    }

    #[test]
    fn an_entry_is_about_a_story_or_an_epic() {
        let epic = json!({"entity_type": "epic", "entity_id": "e", "new_state": {"number": 3}});
        assert_eq!(described(&epic)["of"], "3");
        let result =
            json!({"entity_type": "verification_result", "entity_id": "v", "new_state": {"story_id": "s"}});
        assert_eq!(
            (&described(&result)["of"], things(&result)),
            (&Value::Null, vec!["s".to_owned(), "v".to_owned()])
        );
    }

    #[test]
    fn history_says_which_criteria_were_meant() {
        let change = |entry: Value| described(&entry)["change"].clone();
        let (before, after) = ("a".repeat(64), "b".repeat(64));
        let changed = json!({"action": "criteria_changed", "old_state": {"criteria_digest": before},
            "new_state": {"criteria_digest": after}});
        assert_eq!(change(changed), "title or criteria: aaaaaaaaaaaa -> bbbbbbbbbbbb");
        let contracted = json!({"action": "status_changed", "old_state": {"agent_status": "pending"},
            "new_state": {"agent_status": "contracted", "criteria_digest": before}});
        assert_eq!(change(contracted), "pending -> contracted, criteria aaaaaaaaaaaa");
    }

    #[test]
    fn what_else_has_changed_is_told_in_short() {
        let change =
            |old: Value, new: Value| told(&json!({"old_state": old, "new_state": new}))["change"].clone();
        assert_eq!(
            change(json!({"name": "One", "slug": "s"}), json!({"name": "Two", "slug": "s"})),
            "name: One -> Two"
        );
        assert_eq!(
            change(Value::Null, json!({"epic_id": "e", "number": "1.1", "title": "Login"})),
            "number: 1.1, title: Login"
        );
        assert_eq!(
            change(json!({"number": "1.1", "title": "Login"}), Value::Null),
            "number: 1.1, title: Login"
        );
        let long = change(Value::Null, json!({"title": "x".repeat(FIELD + 1)}));
        assert_eq!(long, format!("title: {}…", "x".repeat(FIELD)));
        assert_eq!(
            change(json!({"agent_status": "pending"}), json!({"agent_status": "contracted"})),
            "pending -> contracted"
        );
        assert_eq!(change(Value::Null, Value::Null), "");
    }
}
