//! One story file as a story of the import request.

use loopctl_core::breakdown::StoryChange;
use loopctl_core::fields::BLANK;
use serde_json::{Map, Value, json};

use super::{File, Problem, note};
use crate::resolve::{epic_number, story_number};
use crate::table::plain;

/// A story and what its file says about its surroundings.
#[derive(Debug)]
pub(super) struct Story {
    pub(super) file: String,
    pub(super) number: String,
    /// Epic according to the file, not to its directory.
    pub(super) epic_id: Option<u64>,
    pub(super) epic_name: Option<String>,
    pub(super) phase: Option<String>,
    /// Numbers of the stories this one needs.
    pub(super) dependencies: Vec<String>,
    /// As the server wants it.
    pub(super) content: Map<String, Value>,
    /// What an export noted about the story.
    pub(super) note: Option<Map<String, Value>>,
}

/// Members of a story file with a meaning of their own; all others go into the metadata.
const KNOWN: [&str; 12] = [
    "id",
    "number",
    "title",
    "epic",
    "story",
    "description",
    "rationale",
    "acceptance_criteria",
    DEPENDENCIES,
    DEPENDS_ON,
    "estimated_hours",
    "metadata",
];
/// The stories that this one needs, in a story file.
const DEPENDENCIES: &str = "dependencies";
/// The same in the form of the import.
const DEPENDS_ON: &str = "depends_on_stories";

/// Converts a story file. Every problem of the file is reported, not only the first; with its number known, the
/// story is there all the same, so that nobody who depends on it looks wrong.
pub(super) fn convert(file: &File, problems: &mut Vec<Problem>) -> Option<Story> {
    let mut problem = |message: String| problems.push(Problem::new(&file.path, message));
    let Value::Object(source) = &file.content else {
        problem("must be a JSON object".to_owned());
        return None;
    };
    let given = source.get("number").filter(|number| !number.is_null());
    let number = number(given.or(source.get("id")), &mut problem);
    let dependencies = dependencies(source, &mut problem);
    let criteria = criteria(source.get("acceptance_criteria"), &mut problem);
    let mut metadata = metadata(source.get("metadata"), &mut problem);
    let note = metadata.as_mut().and_then(note::take);
    let mut content = if given.is_some() && !source.contains_key("id") && !source.contains_key("story") {
        in_import_form(source, criteria, metadata)
    } else {
        let mut metadata = metadata.unwrap_or_default();
        // A story that comes back from an export stays as it was.
        let origin = note.is_none().then(|| ("source_file".to_owned(), file.path.as_str().into()));
        let others = source.iter().filter(|(key, _)| !KNOWN.contains(&key.as_str()));
        metadata.extend(others.map(|(key, value)| (key.clone(), value.clone())).chain(origin));
        build(source, criteria, metadata)
    };
    content.shift_insert(0, "number".to_owned(), number.clone().into());
    check(&content, &mut problem);
    let epic = source.get("epic").unwrap_or(&Value::Null);
    let epic_name = epic_name(&epic["name"], &mut problem);
    Some(Story {
        file: file.path.clone(),
        number: number?,
        epic_id: epic_number(&plain(if epic.is_object() { &epic["id"] } else { epic })),
        epic_name,
        phase: source.get("phase").and_then(text),
        dependencies,
        content,
        note,
    })
}

/// The server's own rules for the fields of a story.
fn check(content: &Map<String, Value>, problem: &mut impl FnMut(String)) {
    super::report::<StoryChange>(content, problem);
    if content.get("title").is_none_or(Value::is_null) {
        problem(format!("title: {BLANK}"));
    }
}

/// A file that has the form of the import: only what is said elsewhere in the request is taken out.
fn in_import_form(
    source: &Map<String, Value>,
    criteria: Option<Value>,
    metadata: Option<Map<String, Value>>,
) -> Map<String, Value> {
    let mut content = source.clone();
    content.retain(|key, _| !matches!(key.as_str(), "epic" | DEPENDENCIES | DEPENDS_ON));
    for (key, value) in [("acceptance_criteria", criteria), ("metadata", metadata.map(Value::Object))] {
        content.shift_remove(key);
        content.extend(value.map(|value| (key.to_owned(), value)));
    }
    content
}

/// A file in the format of the story files.
fn build(
    source: &Map<String, Value>,
    criteria: Option<Value>,
    mut metadata: Map<String, Value>,
) -> Map<String, Value> {
    let mut content = Map::new();
    let mut put = |key: &str, value: Value| content.insert(key.to_owned(), value);
    if let Some(title) = source.get("title") {
        put("title", title.clone());
    }
    let explicit = source.get("description").filter(|description| !description.is_null());
    match explicit {
        Some(description) => {
            put("description", description.clone());
            // Nothing of the file is lost when the description replaces these.
            for key in ["story", "rationale"] {
                metadata.extend(source.get(key).map(|value| (key.to_owned(), value.clone())));
            }
        }
        None => {
            if let Some(text) = description(source) {
                put("description", text.into());
            }
        }
    }
    if let Some(criteria) = criteria {
        put("acceptance_criteria", criteria);
    }
    if let Some(hours) = source.get("estimated_hours").filter(|hours| !hours.is_null()) {
        put("estimated_hours", hours.clone());
    }
    put("metadata", Value::Object(metadata));
    content
}

fn number(value: Option<&Value>, problem: &mut impl FnMut(String)) -> Option<String> {
    let text = value.map(plain).unwrap_or_default();
    let number = story_number(&text);
    if number.is_none() {
        problem(if text.trim().is_empty() {
            "number is missing (id or number)".to_owned()
        } else {
            format!("invalid story number '{text}': expected a form such as US-2.1 or 2.1")
        });
    }
    number
}

fn dependencies(source: &Map<String, Value>, problem: &mut impl FnMut(String)) -> Vec<String> {
    let mut numbers = Vec::new();
    for key in [DEPENDENCIES, DEPENDS_ON] {
        let items = match source.get(key) {
            None | Some(Value::Null) => continue,
            Some(Value::Array(items)) => items,
            Some(_) => {
                problem(format!("{key} must be an array"));
                continue;
            }
        };
        for item in items {
            match story_number(&plain(item)) {
                Some(number) if numbers.contains(&number) => {}
                Some(number) => numbers.push(number),
                None => problem(format!("invalid dependency {item}: expected a form such as \"US-2.1\"")),
            }
        }
    }
    numbers
}

fn metadata(value: Option<&Value>, problem: &mut impl FnMut(String)) -> Option<Map<String, Value>> {
    match value {
        None | Some(Value::Null) => None,
        Some(Value::Object(metadata)) => Some(metadata.clone()),
        Some(_) => {
            problem("metadata must be an object".to_owned());
            None
        }
    }
}

fn epic_name(value: &Value, problem: &mut impl FnMut(String)) -> Option<String> {
    if !value.is_null() && !value.is_string() {
        problem("epic.name must be a text".to_owned());
    }
    text(value)
}

/// A text that says something.
fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::trim).filter(|text| !text.is_empty()).map(ToOwned::to_owned)
}

/// Criteria as objects; bare texts become objects.
fn criteria(value: Option<&Value>, problem: &mut impl FnMut(String)) -> Option<Value> {
    let items = match value {
        None | Some(Value::Null) => return None,
        Some(Value::Array(items)) => items,
        Some(_) => {
            problem("acceptance_criteria must be an array".to_owned());
            return None;
        }
    };
    let mut result = Vec::new();
    for (position, item) in items.iter().enumerate() {
        match item {
            Value::Object(_) => result.push(item.clone()),
            Value::String(text) => result.push(json!({"criterion": text})),
            _ => problem(format!("acceptance_criteria[{position}] must be an object or a text")),
        }
    }
    Some(Value::Array(result))
}

/// "As a X, I want to Y, so that Z." and the rationale below it; whatever of it there is.
fn description(source: &Map<String, Value>) -> Option<String> {
    let story = source.get("story").unwrap_or(&Value::Null);
    if let Some(text) = story.as_str() {
        return Some(text.to_owned());
    }
    let part = |key: &str, lead: &str| {
        let text = story[key].as_str()?.trim().trim_end_matches('.');
        (!text.is_empty()).then(|| format!("{lead} {text}"))
    };
    let first_word = story["as_a"].as_str().and_then(|text| text.split_whitespace().next());
    let has_article =
        first_word.is_some_and(|word| ["a", "an", "the"].contains(&word.to_lowercase().as_str()));
    let lead = if has_article { "As" } else { "As a" };
    let parts = [part("as_a", lead), part("i_want_to", "I want to"), part("so_that", "so that")];
    let sentence = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
    let sentence = (!sentence.is_empty()).then(|| format!("{sentence}."));
    let rationale = source.get("rationale").and_then(Value::as_str).map(|text| text.trim().to_owned());
    let paragraphs: Vec<String> =
        sentence.into_iter().chain(rationale.filter(|text| !text.is_empty())).collect();
    (!paragraphs.is_empty()).then(|| paragraphs.join("\n\n"))
}
