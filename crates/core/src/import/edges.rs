//! The dependencies of a payload: the two lists beside `epics` and the `depends_on_*` lists inside records.
//! References are kept as text until the plan resolves them: story numbers compare as text, and epic numbers are
//! written the one way (`"01"` becomes `1`).

use serde_json::Value;
use serde_json::value::RawValue;

use super::MAX_DEPENDENCIES;
use super::outline::{Outline, array, object, present};
use crate::fields::INVALID;
use crate::json::{Object, scalar};
use crate::number::without_prefix;

/// Dependent and prerequisite, by number.
pub(super) type NamedEdge = (String, String);

/// All edges of a payload, duplicates included.
#[derive(Debug, Clone)]
pub(super) struct References {
    pub(super) stories: Vec<NamedEdge>,
    pub(super) epics: Vec<NamedEdge>,
}

/// The names under which one kind of edge is sent.
pub(super) struct Kind {
    pub(super) list: &'static str,
    /// Inside a record; all of them are read.
    pub(super) nested: &'static [&'static str],
    pub(super) dependent: [&'static str; 2],
    pub(super) prerequisite: [&'static str; 2],
    normalise: fn(String) -> String,
    /// What is said of a JSON number with a point.
    pointed: &'static str,
}

/// Edges between stories.
pub(super) const STORY: Kind = Kind {
    list: "story_dependencies",
    nested: &["depends_on_stories", "dependencies", "depends_on"],
    dependent: ["story", "story_number"],
    prerequisite: ["depends_on", "depends_on_story"],
    // As people name a story, and story files do.
    normalise: |number| without_prefix(&number).map(str::to_owned).unwrap_or(number),
    pointed: POINTED,
};

/// Edges between epics.
pub(super) const EPIC: Kind = Kind {
    list: "epic_dependencies",
    nested: &["depends_on_epics"],
    dependent: ["epic", "epic_number"],
    prerequisite: ["depends_on", "depends_on_epic"],
    normalise: |number| number.trim().parse::<i32>().map_or(number, |number| number.to_string()),
    pointed: INVALID,
};

/// Of a story's number.
const POINTED: &str = "must be a string such as \"1.10\"";

/// A story's number, as text.
///
/// # Errors
/// What to write instead.
pub(super) fn story_number(raw: &RawValue) -> Result<String, &'static str> {
    number_text(raw, POINTED)
}

fn number_text(raw: &RawValue, pointed: &'static str) -> Result<String, &'static str> {
    let value = scalar(raw);
    written_number(&value).ok_or(if value.is_number() { pointed } else { INVALID })
}

/// What a plan says where it names an epic or a story: a string or an integer. A JSON number with a point names nothing:
/// whoever reads JSON takes `1.10` for `1.1`.
pub fn written_number(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) if number.is_i64() || number.is_u64() => Some(number.to_string()),
        _ => None,
    }
}

/// More dependencies than one import may hold.
pub(super) fn too_many() -> String {
    format!("payload exceeds maximum of {MAX_DEPENDENCIES} dependencies; merge the rest in further imports")
}

/// The list of edges beside `epics`.
pub(super) fn list(body: &Object<'_>, kind: &Kind) -> Result<Vec<NamedEdge>, String> {
    array(body, kind.list, MAX_DEPENDENCIES, || kind.list.to_owned())?
        .into_iter()
        .enumerate()
        .map(|(index, item)| {
            let path = format!("{}[{index}]", kind.list);
            let item = object(item, &path)?;
            Ok((end(&item, &path, kind.dependent, kind)?, end(&item, &path, kind.prerequisite, kind)?))
        })
        .collect()
}

/// The prerequisites listed inside a record.
pub(super) fn nested(record: &Object<'_>, path: &str, kind: &Kind) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    for name in kind.nested {
        let path = || format!("{path}.{name}");
        for (index, item) in array(record, name, MAX_DEPENDENCIES, path)?.into_iter().enumerate() {
            let number =
                number_text(item, kind.pointed).map_err(|fault| format!("{}[{index}]: {fault}", path()))?;
            all.push((kind.normalise)(number));
        }
    }
    Ok(all)
}

/// All edges: those inside records in payload order, then those of the lists.
pub(super) fn collect(outline: &Outline<'_>) -> References {
    let mut references = References { stories: Vec::new(), epics: Vec::new() };
    for epic in &outline.epics {
        let number = epic.number.to_string();
        references.epics.extend(epic.depends_on.iter().map(|other| (number.clone(), other.clone())));
        for story in &epic.stories {
            let edges = story.depends_on.iter().map(|other| (story.number.clone(), other.clone()));
            references.stories.extend(edges);
        }
    }
    references.stories.extend_from_slice(&outline.story_edges);
    references.epics.extend_from_slice(&outline.epic_edges);
    references
}

/// One end of an edge, under either of its names.
fn end(item: &Object<'_>, path: &str, names: [&str; 2], kind: &Kind) -> Result<String, String> {
    let (name, value) = names
        .iter()
        .find_map(|name| Some((name, present(item, name)?)))
        .ok_or_else(|| format!("{path}.{}: is required", names[0]))?;
    number_text(value, kind.pointed).map(kind.normalise).map_err(|fault| format!("{path}.{name}: {fault}"))
}
