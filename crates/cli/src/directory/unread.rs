//! Members of files that an import does not read, or not as whoever wrote them means it.

use serde_json::{Map, Value};

use super::assemble::{DEPENDENT, EDGES_LIST, EPIC_MEMBERS, Kind, NEEDED_EPICS, PREREQUISITE, kind};
use super::story::{self, KNOWN, SENTENCE};
use super::{File, not_read};

/// What should be said about the members of these files.
pub(super) fn notes(files: &[File]) -> Vec<String> {
    let mut unread = Vec::new();
    let mut doubtful = Vec::new();
    for file in files {
        let paths = match (kind(&file.path), &file.content) {
            (Some(Kind::Story), Value::Object(source)) => {
                doubtful.extend(misspelt(source).map(|(key, meant)| {
                    format!("note: {}: {key} is kept in the metadata only; is {meant} meant?", file.place)
                }));
                story(source)
            }
            (Some(Kind::Epic), Value::Object(source)) => {
                others(source, |key| EPIC_MEMBERS.contains(&key) || NEEDED_EPICS.contains(&key)).collect()
            }
            (Some(Kind::Edges), content) => edges(content),
            _ => Vec::new(),
        };
        unread.extend(paths.into_iter().map(|path| format!("{}: {path}", file.place)));
    }
    let count = unread.len();
    not_read(unread, count).into_iter().chain(doubtful).collect()
}

/// The members that nobody reads.
fn others(source: &Map<String, Value>, is_read: impl Fn(&str) -> bool) -> impl Iterator<Item = String> {
    source.keys().filter(move |key| !is_read(key)).cloned()
}

fn story(source: &Map<String, Value>) -> Vec<String> {
    let mut unread = Vec::new();
    if story::is_in_import_form(source) {
        unread.extend(others(source, story::is_known));
    } else if source.get("description").is_none_or(Value::is_null) {
        // With a description, both go into the metadata as they are.
        unread.extend(part(
            source,
            "story",
            |key| SENTENCE.iter().any(|(known, _)| *known == key),
            Value::is_string,
        ));
        unread.extend(part(source, "rationale", |_| false, Value::is_string));
    }
    let is_epic = |epic: &Value| story::epic_id(epic).is_some();
    unread.extend(part(source, "epic", |key| ["id", "name"].contains(&key), is_epic));
    unread
}

/// What is not read of a member that may be an object, or something else that `is_read`.
fn part(
    source: &Map<String, Value>,
    key: &str,
    knows: impl Fn(&str) -> bool,
    is_read: impl Fn(&Value) -> bool,
) -> Vec<String> {
    match source.get(key) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Object(members)) => {
            others(members, knows).map(|below| format!("{key}.{below}")).collect()
        }
        Some(value) if is_read(value) => Vec::new(),
        Some(_) => vec![key.to_owned()],
    }
}

fn edges(content: &Value) -> Vec<String> {
    let mut unread = Vec::new();
    if let Value::Object(source) = content {
        unread.extend(others(source, |key| key == EDGES_LIST));
    }
    let items = content.get(EDGES_LIST).unwrap_or(content).as_array();
    for (position, item) in items.into_iter().flatten().enumerate() {
        let ends = |key: &str| DEPENDENT.contains(&key) || PREREQUISITE.contains(&key);
        let members = item.as_object().into_iter().flat_map(|item| others(item, ends));
        unread.extend(members.map(|key| format!("{EDGES_LIST}[{position}].{key}")));
    }
    unread
}

/// Members of a story file that go into the metadata, though they are spelt nearly as one that means something: with it.
fn misspelt(source: &Map<String, Value>) -> impl Iterator<Item = (&str, &'static str)> {
    let is_story_file = !story::is_in_import_form(source);
    let unknown = source.keys().map(String::as_str).filter(move |key| is_story_file && !KNOWN.contains(key));
    unknown.filter_map(|key| Some((key, meant(key)?)))
}

/// The known member that a key is nearly spelt as.
fn meant(key: &str) -> Option<&'static str> {
    let letters = |text: &str| -> String {
        text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let key = letters(key);
    KNOWN.into_iter().find(|known| {
        let known = letters(known);
        // `depends` and the like.
        let begun = key.len() > 5 && known.starts_with(&key);
        begun || strsim::damerau_levenshtein(&key, &known) <= known.len() / 4
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(path: &str, content: Value) -> Vec<String> {
        notes(&[File::new(path, content)])
    }

    #[test]
    fn what_is_read_is_not_mentioned() {
        for (path, content) in [
            (
                "us_1.json",
                json!({"number": "1.1", "title": "t", "phase": "p", "epic": 1, "dependencies": [],
                "depends_on_stories": [], "initial_agent_status": "pending", "metadata": {"any": 1}}),
            ),
            // Taken out of an export by hand.
            (
                "us_1.json",
                json!({"number": "1.1", "title": "t", "agent_status": "reported_done", "verified_status": "verified",
                "criteria_digest": "ab", "verification_source": "loop", "contract_stale": false,
                "verification_stale": true}),
            ),
            (
                "us_1.json",
                json!({"id": "US-1.1", "title": "t", "owner": "me", "priority": 1, "phase": "p", "notes": "n",
                "technical_notes": [], "test_cases": [], "story": {"as_a": "x"}, "rationale": "r", "points": 3, "tags": [],
                "epic": {"id": "epic_1", "name": "n"}}),
            ),
            ("us_1.json", json!({"id": "1.1", "description": "d", "story": {"any": 1}, "rationale": [1]})),
            (
                "epic.json",
                json!({"number": 1, "title": "t", "depends_on": [], "depends_on_epics": [], "position": 1}),
            ),
            (
                "epic_dependencies.json",
                json!([{"epic": 1, "depends_on": 2}, {"epic_number": 1, "depends_on_epic": 3}]),
            ),
        ] {
            assert_eq!(of(path, content), [""; 0], "{path}");
        }
    }

    #[test]
    fn all_that_an_import_reads_is_known() {
        use loopctl_core::breakdown::{EpicChange, StoryChange};
        use loopctl_core::request::Request;
        assert!(StoryChange::members().iter().all(|member| story::is_known(member.name)));
        assert!(EpicChange::members().iter().all(|member| EPIC_MEMBERS.contains(&member.name)));
    }

    #[test]
    fn what_nobody_reads_is_named() {
        for (path, content, expected) in [
            (
                "us_1.json",
                json!({"number": "1.1", "acceptanceCriteria": [], "priority": 1}),
                &["acceptanceCriteria", "priority"][..],
            ),
            (
                "us_1.json",
                json!({"id": "1.1", "story": {"i_want": "x"}, "rationale": 1}),
                &["story.i_want", "rationale"],
            ),
            ("us_1.json", json!({"id": "1.1", "story": ["x"], "epic": "Accounts"}), &["story", "epic"]),
            ("us_1.json", json!({"id": "1.1", "epic": {"id": 1, "goal": "x"}}), &["epic.goal"]),
            ("epic.json", json!({"number": 1, "stories": [], "descripton": "d"}), &["stories", "descripton"]),
            (
                "epic_dependencies.json",
                json!({"epic_dependencies": [{"epic": 1, "depends_on": 2, "why": 3}], "x": 1}),
                &["x", "epic_dependencies[0].why"],
            ),
        ] {
            let expected: Vec<String> =
                expected.iter().map(|key| format!("note: not read: {path}: {key}")).collect();
            assert_eq!(of(path, content), expected);
        }
    }

    #[test]
    fn of_very_many_the_first_are_named() {
        let content: Map<String, Value> = (0..25).map(|n| (format!("k{n}"), json!(1))).collect();
        let lines = of("epic.json", content.into());
        assert_eq!((lines.len(), lines[20].as_str()), (21, "note: not read: … and 5 more"));
    }

    #[test]
    fn nearly_known_members_are_doubtful() {
        for (key, meant) in [
            ("acceptanceCriteria", "acceptance_criteria"),
            ("Acceptance-Critera", "acceptance_criteria"),
            ("dependancies", "dependencies"),
            ("dependency", "dependencies"),
            ("dependsOn", "depends_on"),
            ("estimate_hours", "estimated_hours"),
            ("titel", "title"),
            ("Description", "description"),
        ] {
            let lines = of("us_1.json", json!({"id": "1.1", key: "x"}));
            assert_eq!(
                lines,
                [format!("note: us_1.json: {key} is kept in the metadata only; is {meant} meant?")]
            );
        }
    }
}
