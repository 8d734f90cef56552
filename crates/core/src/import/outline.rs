//! The shape of the body: what passes is an outline, every object with its path, every record with its number, no number
//! twice.

use std::collections::HashSet;

use serde_json::value::RawValue;

use super::edges::{self, NamedEdge};
use super::{MAX_CRITERIA, MAX_CRITERIA_VALUES, MAX_EPICS, MAX_STORIES, Mode};
use crate::criteria::{self, Criteria};
use crate::fields::{self, is_blank};
use crate::json::{Object, count, elements, scalar};

/// The whole body.
pub(super) struct Outline<'a> {
    pub(super) epics: Vec<EpicOutline<'a>>,
    pub(super) story_edges: Vec<NamedEdge>,
    pub(super) epic_edges: Vec<NamedEdge>,
}

/// One item of `epics`.
pub(super) struct EpicOutline<'a> {
    pub(super) path: String,
    pub(super) object: Object<'a>,
    pub(super) number: i32,
    pub(super) depends_on: Vec<String>,
    pub(super) stories: Vec<StoryOutline<'a>>,
}

/// One item of an epic's `stories`.
pub(super) struct StoryOutline<'a> {
    pub(super) path: String,
    pub(super) object: Object<'a>,
    /// As text; whether it is well formed is a field rule.
    pub(super) number: String,
    pub(super) criteria: Option<Criteria>,
    pub(super) depends_on: Vec<String>,
}

pub(super) fn read<'a>(body: &Object<'a>, mode: Mode) -> Result<Outline<'a>, String> {
    let items = match body.get("epics").map(|raw| (raw, count(raw))) {
        Some((raw, Some(count))) => within_limits(raw, count)?,
        None if mode == Mode::Merge => Vec::new(),
        _ => return Err("epics must be an array".to_owned()),
    };
    let shapes = items
        .into_iter()
        .enumerate()
        .map(|(index, item)| epic_shape(item, format!("epics[{index}]"), mode))
        .collect::<Result<Vec<_>, _>>()?;
    let criteria = shapes.iter().flat_map(|epic| &epic.stories).filter_map(|story| story.criteria.as_ref());
    let (count, values) = criteria
        .fold((0, 0), |(count, values), criteria| (count + criteria.count(), values + criteria.values()));
    if count > MAX_CRITERIA {
        return Err(format!("payload exceeds maximum of {MAX_CRITERIA} acceptance criteria"));
    }
    if values > MAX_CRITERIA_VALUES {
        return Err(format!(
            "payload exceeds maximum of {MAX_CRITERIA_VALUES} values in acceptance criteria"
        ));
    }
    let story_edges = edges::list(body, &edges::STORY)?;
    let epic_edges = edges::list(body, &edges::EPIC)?;
    let epics = shapes.into_iter().map(numbered).collect::<Result<Vec<_>, _>>()?;
    check_duplicates(&epics)?;
    Ok(Outline { epics, story_edges, epic_edges })
}

/// The items of an optional array; null counts as absent. More than `max` are not even listed.
pub(super) fn array<'a>(
    object: &Object<'a>,
    key: &str,
    max: usize,
    path: impl Fn() -> String,
) -> Result<Vec<&'a RawValue>, String> {
    let Some(raw) = object.get(key).filter(|raw| raw.get() != "null") else {
        return Ok(Vec::new());
    };
    if count(raw).is_some_and(|count| count > max) {
        return Err(edges::too_many());
    }
    elements(raw).ok_or_else(|| format!("{}: must be an array", path()))
}

/// The object that a list's item must be.
pub(super) fn object<'a>(item: &'a RawValue, path: &str) -> Result<Object<'a>, String> {
    Object::parse(item).ok_or_else(|| format!("{path}: must be an object"))
}

/// The value under a key; null and blank strings count as absent.
pub(super) fn present<'a>(object: &Object<'a>, key: &str) -> Option<&'a RawValue> {
    object.get(key).filter(|raw| raw.get() != "null" && !is_blank(&scalar(raw)))
}

/// Whether a record does not mention its title.
pub(super) fn title_left_out(object: &Object<'_>) -> bool {
    object.get("title").is_none_or(|raw| raw.get() == "null")
}

/// The epics, if neither they nor their stories are too many.
fn within_limits(epics: &RawValue, count_of_epics: usize) -> Result<Vec<&RawValue>, String> {
    if count_of_epics > MAX_EPICS {
        return Err(format!("payload exceeds maximum of {MAX_EPICS} epics"));
    }
    let epics = elements(epics).unwrap_or_default();
    let stories = |epic| count(Object::parse(epic)?.get("stories")?);
    if epics.iter().filter_map(|epic| stories(epic)).sum::<usize>() > MAX_STORIES {
        return Err(format!("payload exceeds maximum of {MAX_STORIES} total stories"));
    }
    Ok(epics)
}

/// An epic whose number is there but not looked at yet: that comes after everybody's shape.
struct EpicShape<'a> {
    path: String,
    object: Object<'a>,
    number: &'a RawValue,
    depends_on: Vec<String>,
    stories: Vec<StoryOutline<'a>>,
}

fn epic_shape(item: &RawValue, path: String, mode: Mode) -> Result<EpicShape<'_>, String> {
    let object = object(item, &path)?;
    let number = present(&object, "number").ok_or_else(|| format!("{path}.number: is required"))?;
    check_title(&object, &path, mode)?;
    let depends_on = edges::nested(&object, &path, &edges::EPIC)?;
    let stories = array(&object, "stories", MAX_STORIES, || format!("{path}.stories"))?
        .into_iter()
        .enumerate()
        .map(|(index, item)| story_outline(item, format!("{path}.stories[{index}]"), mode))
        .collect::<Result<_, _>>()?;
    Ok(EpicShape { path, object, number, depends_on, stories })
}

fn story_outline(item: &RawValue, path: String, mode: Mode) -> Result<StoryOutline<'_>, String> {
    let object = object(item, &path)?;
    let number = present(&object, "number").ok_or_else(|| format!("{path}.number: is required"))?;
    let number = edges::story_number(number).map_err(|fault| format!("{path}.number: {fault}"))?;
    check_title(&object, &path, mode)?;
    let criteria = match object.get("acceptance_criteria").filter(|raw| raw.get() != "null") {
        None => None,
        Some(raw) if count(raw).is_some_and(|items| items > criteria::MAX_ITEMS) => {
            return Err(format!("{path}.acceptance_criteria: {}", criteria::too_many()));
        }
        Some(raw) => Some(Criteria::parse(raw).ok_or_else(|| {
            format!(
                "{path}.acceptance_criteria must be an array of objects with 'id' and 'description' keys, \
                 e.g. [{{\"id\": \"AC-1\", \"description\": \"Feature works\"}}]"
            )
        })?),
    };
    let depends_on = edges::nested(&object, &path, &edges::STORY)?;
    Ok(StoryOutline { path, object, number, criteria, depends_on })
}

/// A merge may leave the title out, since the record may exist and keep its own.
fn check_title(object: &Object<'_>, path: &str, mode: Mode) -> Result<(), String> {
    if present(object, "title").is_some() || (title_left_out(object) && mode == Mode::Merge) {
        return Ok(());
    }
    Err(format!("{path}.title: can't be blank"))
}

fn numbered(shape: EpicShape<'_>) -> Result<EpicOutline<'_>, String> {
    let EpicShape { path, object, number, depends_on, stories } = shape;
    match fields::integer(&scalar(number)).filter(|number| *number > 0) {
        Some(number) => Ok(EpicOutline { path, object, number, depends_on, stories }),
        None => Err(format!("{path}.number: must be a positive integer (got {})", shortened(number))),
    }
}

/// What was sent, as far as it helps to find it.
fn shortened(raw: &RawValue) -> String {
    raw.get().chars().take(100).collect()
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
