//! Steps 1 to 5 of §9.3: the shape of the body. What passes is an outline: every object with its path, every
//! record with its number, no number twice.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::edges::{self, NamedEdge};
use super::{MAX_EPICS, MAX_STORIES, Mode};
use crate::criteria::{self, Criterion};
use crate::fields;

/// The whole body.
pub(super) struct Outline<'a> {
    pub(super) epics: Vec<EpicOutline<'a>>,
    pub(super) story_edges: Vec<NamedEdge>,
    pub(super) epic_edges: Vec<NamedEdge>,
}

/// One item of `epics`.
pub(super) struct EpicOutline<'a> {
    pub(super) path: String,
    pub(super) object: &'a Map<String, Value>,
    pub(super) number: i32,
    pub(super) depends_on: Vec<String>,
    pub(super) stories: Vec<StoryOutline<'a>>,
}

/// One item of an epic's `stories`.
pub(super) struct StoryOutline<'a> {
    pub(super) path: String,
    pub(super) object: &'a Map<String, Value>,
    /// As text; whether it is well formed is a field rule.
    pub(super) number: String,
    pub(super) criteria: Option<Vec<Criterion>>,
    pub(super) depends_on: Vec<String>,
}

pub(super) fn read(body: &Map<String, Value>, mode: Mode) -> Result<Outline<'_>, String> {
    let items = match body.get("epics") {
        Some(Value::Array(items)) => items.as_slice(),
        None if mode == Mode::Merge => &[],
        _ => return Err("epics must be an array".to_owned()),
    };
    check_limits(items)?;
    let shapes = items
        .iter()
        .enumerate()
        .map(|(index, item)| epic_shape(item, format!("epics[{index}]"), mode))
        .collect::<Result<Vec<_>, _>>()?;
    let story_edges = edges::list(body, &edges::STORY)?;
    let epic_edges = edges::list(body, &edges::EPIC)?;
    let epics = shapes.into_iter().map(numbered).collect::<Result<Vec<_>, _>>()?;
    check_duplicates(&epics)?;
    Ok(Outline { epics, story_edges, epic_edges })
}

/// The items of an optional array; null counts as absent.
pub(super) fn array<'a>(
    object: &'a Map<String, Value>,
    key: &str,
    path: impl FnOnce() -> String,
) -> Result<&'a [Value], String> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(_) => Err(format!("{}: must be an array", path())),
    }
}

/// The object that a list's item must be.
pub(super) fn object<'a>(item: &'a Value, path: &str) -> Result<&'a Map<String, Value>, String> {
    item.as_object().ok_or_else(|| format!("{path}: must be an object"))
}

/// The value under a key; null and blank strings count as absent.
pub(super) fn present<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    object.get(key).filter(|value| match value {
        Value::Null => false,
        Value::String(text) => !text.trim().is_empty(),
        _ => true,
    })
}

/// Whether a record does not mention its title.
pub(super) fn title_left_out(object: &Map<String, Value>) -> bool {
    object.get("title").is_none_or(Value::is_null)
}

fn check_limits(epics: &[Value]) -> Result<(), String> {
    if epics.len() > MAX_EPICS {
        return Err(format!("payload exceeds maximum of {MAX_EPICS} epics"));
    }
    let stories: usize = epics.iter().filter_map(|epic| epic.get("stories")?.as_array()).map(Vec::len).sum();
    if stories > MAX_STORIES {
        return Err(format!("payload exceeds maximum of {MAX_STORIES} total stories"));
    }
    Ok(())
}

/// An epic whose number is there but not looked at yet: that comes after everybody's shape.
struct EpicShape<'a> {
    path: String,
    object: &'a Map<String, Value>,
    number: &'a Value,
    depends_on: Vec<String>,
    stories: Vec<StoryOutline<'a>>,
}

fn epic_shape(item: &Value, path: String, mode: Mode) -> Result<EpicShape<'_>, String> {
    let object = object(item, &path)?;
    let number = present(object, "number").ok_or_else(|| format!("{path}.number: is required"))?;
    check_title(object, &path, mode)?;
    let depends_on = edges::nested(object, &path, &edges::EPIC)?;
    let stories = array(object, "stories", || format!("{path}.stories"))?
        .iter()
        .enumerate()
        .map(|(index, item)| story_outline(item, format!("{path}.stories[{index}]"), mode))
        .collect::<Result<_, _>>()?;
    Ok(EpicShape { path, object, number, depends_on, stories })
}

fn story_outline(item: &Value, path: String, mode: Mode) -> Result<StoryOutline<'_>, String> {
    let object = object(item, &path)?;
    let number = present(object, "number").ok_or_else(|| format!("{path}.number: is required"))?;
    let number = edges::number_text(number).ok_or_else(|| format!("{path}.number: is invalid"))?;
    check_title(object, &path, mode)?;
    let criteria = match object.get("acceptance_criteria") {
        None | Some(Value::Null) => None,
        Some(value) => Some(criteria::parse(value).ok_or_else(|| {
            format!(
                "{path}.acceptance_criteria must be an array of objects with 'id' and 'description' keys, \
                 e.g. [{{\"id\": \"AC-1\", \"description\": \"Feature works\"}}]"
            )
        })?),
    };
    let depends_on = edges::nested(object, &path, &edges::STORY)?;
    Ok(StoryOutline { path, object, number, criteria, depends_on })
}

/// A merge may leave the title out, since the record may exist and keep its own.
fn check_title(object: &Map<String, Value>, path: &str, mode: Mode) -> Result<(), String> {
    if present(object, "title").is_some() || (title_left_out(object) && mode == Mode::Merge) {
        return Ok(());
    }
    Err(format!("{path}.title: can't be blank"))
}

fn numbered(shape: EpicShape<'_>) -> Result<EpicOutline<'_>, String> {
    let EpicShape { path, object, number, depends_on, stories } = shape;
    match fields::integer(number).filter(|number| *number > 0) {
        Some(number) => Ok(EpicOutline { path, object, number, depends_on, stories }),
        None => Err(format!("{path}.number: must be a positive integer (got {number})")),
    }
}

fn check_duplicates(epics: &[EpicOutline<'_>]) -> Result<(), String> {
    let mut seen = HashSet::new();
    if let Some(epic) = epics.iter().find(|epic| !seen.insert(epic.number)) {
        return Err(format!("Duplicate epic number: {}", epic.number));
    }
    let mut seen = HashSet::new();
    let mut stories = epics.iter().flat_map(|epic| &epic.stories);
    match stories.find(|story| !seen.insert(story.number.as_str())) {
        Some(story) => Err(format!("Duplicate story number: {}", story.number)),
        None => Ok(()),
    }
}
