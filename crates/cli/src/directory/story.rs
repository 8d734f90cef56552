//! One story file as a story of the import request.

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
const KNOWN: [&str; 11] = [
    "id",
    "number",
    "title",
    "epic",
    "story",
    "description",
    "rationale",
    "acceptance_criteria",
    "dependencies",
    "estimated_hours",
    "metadata",
];

/// Converts a story file. Every problem of the file is reported, not only the first.
pub(super) fn convert(file: &File, problems: &mut Vec<Problem>) -> Option<Story> {
    let before = problems.len();
    let mut problem = |message: String| problems.push(Problem::new(&file.path, message));
    let Value::Object(source) = &file.content else {
        problem("must be a JSON object".to_owned());
        return None;
    };
    let given = source.get("number").filter(|number| !number.is_null());
    let number = number(given.or(source.get("id")), &mut problem);
    if source.get("title").and_then(Value::as_str).is_none_or(|title| title.trim().is_empty()) {
        problem("title is missing".to_owned());
    }
    let dependencies = dependencies(source.get("dependencies"), &mut problem);
    let criteria = criteria(source.get("acceptance_criteria"), &mut problem);
    let mut metadata = match source.get("metadata") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(metadata)) => metadata.clone(),
        Some(_) => {
            problem("metadata must be an object".to_owned());
            Map::new()
        }
    };
    if problems.len() > before {
        return None;
    }
    let number = number?;
    let note = note::take(&mut metadata);
    let content = if given.is_some() && !source.contains_key("id") && !source.contains_key("story") {
        // Already in the form of the import: only what is said elsewhere in the request is taken out.
        let mut content = source.clone();
        content.insert("number".to_owned(), number.clone().into());
        content.retain(|key, _| !matches!(key.as_str(), "epic" | "dependencies"));
        if let Some(criteria) = criteria {
            content.insert("acceptance_criteria".to_owned(), criteria);
        }
        if note.is_some() {
            content.insert("metadata".to_owned(), metadata.into());
        }
        content
    } else {
        let mut content = build(source, &number, criteria, metadata);
        // A story that comes back from an export stays as it was.
        if note.is_none() {
            content["metadata"]["source_file"] = file.path.as_str().into();
        }
        content
    };
    let text =
        |value: &Value| value.as_str().map(str::trim).filter(|text| !text.is_empty()).map(ToOwned::to_owned);
    let epic = source.get("epic").unwrap_or(&Value::Null);
    Some(Story {
        file: file.path.clone(),
        epic_id: epic_number(&plain(if epic.is_object() { &epic["id"] } else { epic })),
        epic_name: text(&epic["name"]),
        phase: source.get("phase").and_then(text),
        dependencies,
        number,
        content,
        note,
    })
}

fn build(
    source: &Map<String, Value>,
    number: &str,
    criteria: Option<Value>,
    mut metadata: Map<String, Value>,
) -> Map<String, Value> {
    let mut content = Map::new();
    let mut put = |key: &str, value: Value| content.insert(key.to_owned(), value);
    put("number", number.into());
    put("title", source["title"].clone());
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
    let others = source.iter().filter(|(key, _)| !KNOWN.contains(&key.as_str()));
    metadata.extend(others.map(|(key, value)| (key.clone(), value.clone())));
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

fn dependencies(value: Option<&Value>, problem: &mut impl FnMut(String)) -> Vec<String> {
    let items = match value {
        None | Some(Value::Null) => return Vec::new(),
        Some(Value::Array(items)) => items,
        Some(_) => {
            problem("dependencies must be an array".to_owned());
            return Vec::new();
        }
    };
    let mut numbers = Vec::new();
    for item in items {
        match story_number(&plain(item)) {
            Some(number) if numbers.contains(&number) => {}
            Some(number) => numbers.push(number),
            None => problem(format!("invalid dependency {item}: expected a form such as \"US-2.1\"")),
        }
    }
    numbers
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
    let parts = [part("as_a", "As a"), part("i_want_to", "I want to"), part("so_that", "so that")];
    let sentence = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
    let sentence = (!sentence.is_empty()).then(|| format!("{sentence}."));
    let rationale = source.get("rationale").and_then(Value::as_str).map(|text| text.trim().to_owned());
    let paragraphs: Vec<String> =
        sentence.into_iter().chain(rationale.filter(|text| !text.is_empty())).collect();
    (!paragraphs.is_empty()).then(|| paragraphs.join("\n\n"))
}
