//! Keys that nothing reads: a misspelt one would otherwise be dropped without a word.

use serde_json::value::RawValue;

use crate::json::{Object, elements};

/// So many are named.
const NAMED: usize = 20;
/// And so much of each name is shown, in characters.
const SHOWN: usize = 200;

/// The keys of a payload that mean nothing to an import.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ignored {
    /// The first 20, such as `epics[0].stories[1].acceptanceCriteria`.
    pub paths: Vec<String>,
    /// How many there are.
    pub count: usize,
}

/// What an import reads of the body, or an export writes beside it.
const BODY: &[&str] = &[
    "epics",
    "story_dependencies",
    "epic_dependencies",
    "merge",
    "project_id",
    "id",
    "export_metadata",
    "project",
];

const EPIC: &[&str] =
    &["number", "title", "description", "phase", "position", "metadata", "stories", "depends_on_epics"];

const STORY: &[&str] = &[
    "number",
    "title",
    "description",
    "acceptance_criteria",
    "estimated_hours",
    "metadata",
    "initial_agent_status",
    "initial_verified_status",
    "depends_on_stories",
    "dependencies",
    "depends_on",
    // Of an export, for the reader.
    "agent_status",
    "verified_status",
    "assigned_agent_id",
    "assigned_at",
    "reported_done_at",
    "verified_at",
    "rejected_at",
    "rejection_reason",
];

const STORY_EDGE: &[&str] = &["story", "story_number", "depends_on", "depends_on_story"];
const EPIC_EDGE: &[&str] = &["epic", "epic_number", "depends_on", "depends_on_epic"];

impl Ignored {
    /// Those of a whole body.
    pub(super) fn of(body: &Object<'_>) -> Self {
        let mut ignored = Self::default();
        ignored.add(body, BODY, String::new);
        for (epic, path) in objects(body, "epics", "") {
            ignored.add(&epic, EPIC, || format!("{path}."));
            for (story, path) in objects(&epic, "stories", &format!("{path}.")) {
                ignored.add(&story, STORY, || format!("{path}."));
            }
        }
        for (list, known) in [("story_dependencies", STORY_EDGE), ("epic_dependencies", EPIC_EDGE)] {
            for (edge, path) in objects(body, list, "") {
                ignored.add(&edge, known, || format!("{path}."));
            }
        }
        ignored
    }

    fn add(&mut self, object: &Object<'_>, known: &[&str], path: impl Fn() -> String) {
        for (name, _) in object.members().filter(|(name, _)| !known.contains(name)) {
            self.count += 1;
            if self.paths.len() < NAMED {
                let shown: String = name.chars().take(SHOWN).collect();
                self.paths.push(format!("{}{shown}", path()));
            }
        }
    }
}

/// The objects of a list, each with its path.
fn objects<'a>(
    object: &Object<'a>,
    list: &str,
    path: &str,
) -> impl Iterator<Item = (Object<'a>, String)> + use<'a> {
    let items: Vec<&'a RawValue> = object.get(list).and_then(elements).unwrap_or_default();
    let path = format!("{path}{list}");
    items
        .into_iter()
        .enumerate()
        .filter_map(move |(index, item)| Some((Object::parse(item)?, format!("{path}[{index}]"))))
}
