//! One story file as a story of the import request.

use loopctl_core::breakdown::StoryChange;
use loopctl_core::fields::BLANK;
use loopctl_core::import::{STORY_TOLD, written_number};
use serde_json::{Map, Value, json};

use super::{File, Known, Problem, SOURCE_FILE, note};
use crate::resolve::{epic_number, story_number};

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
    /// As the server wants it: what the file says.
    pub(super) content: Map<String, Value>,
    /// The file that a new story is noted to come from. One that comes back from an export stays as it was.
    source_file: Option<String>,
    /// What an export noted about the story.
    pub(super) note: Option<Map<String, Value>>,
}

/// Members of a story file with a meaning of their own; all others go into the metadata.
pub(super) const KNOWN: [&str; 13] = [
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
    DEPENDS_ON_STORIES,
    "estimated_hours",
    "metadata",
];
/// Members of a file in the form of the import that become a part of the story.
const SENT: [&str; 8] = [
    "number",
    "title",
    "description",
    "acceptance_criteria",
    "estimated_hours",
    "metadata",
    "initial_agent_status",
    "initial_verified_status",
];
/// Those that say where the story belongs.
const AROUND: [&str; 5] = ["epic", "phase", DEPENDENCIES, DEPENDS_ON, DEPENDS_ON_STORIES];
/// The parts of a sentence under `story`, each with the words that lead to it.
pub(super) const SENTENCE: [(&str, &str); 3] =
    [("as_a", "As a"), ("i_want_to", "I want to"), ("so_that", "so that")];
/// The stories that this one needs, in a story file.
const DEPENDENCIES: &str = "dependencies";
/// The same, as some call it.
const DEPENDS_ON: &str = "depends_on";
/// The same in the form of the import.
const DEPENDS_ON_STORIES: &str = "depends_on_stories";

/// Converts a story file. Every problem of the file is reported, not only the first; with its number known, the
/// story is there all the same, so that nobody who depends on it looks wrong.
pub(super) fn convert(file: &File, problems: &mut Vec<Problem>) -> Option<Story> {
    let mut problem = |message: String| problems.push(Problem::new(&file.place, message));
    let Value::Object(source) = &file.content else {
        problem("must be a JSON object".to_owned());
        return None;
    };
    let number = number(source, &mut problem);
    let dependencies = dependencies(source, &mut problem);
    let criteria = criteria(source.get("acceptance_criteria"), &mut problem);
    let mut metadata = metadata(source.get("metadata"), &mut problem);
    let note = metadata.as_mut().and_then(note::take);
    let in_form = is_in_import_form(source);
    let mut content =
        if in_form { in_import_form(source, criteria, metadata) } else { build(source, criteria, metadata) };
    content.shift_insert(0, "number".to_owned(), number.clone().into());
    check(&content, &mut problem);
    let epic = source.get("epic").unwrap_or(&Value::Null);
    let epic_name = epic_name(&epic["name"], &mut problem);
    Some(Story {
        file: file.place.clone(),
        number: number?,
        epic_id: epic_id(epic),
        epic_name,
        phase: source.get("phase").and_then(text),
        dependencies,
        content,
        source_file: (!in_form && note.is_none()).then(|| file.path.clone()),
        note,
    })
}

impl Story {
    /// The story in a request. Where it comes from is noted of a new one only; of one that the project has, what is sent
    /// as metadata takes the place of the whole, and the note that is there is kept.
    pub(super) fn into_json(mut self, known: &Known) -> Value {
        if let Some(path) = self.source_file {
            match (known.stories.get(&self.number), self.content.get_mut("metadata")) {
                (None, Some(Value::Object(metadata))) => {
                    metadata.insert(SOURCE_FILE.to_owned(), path.into());
                }
                (None, _) => {
                    self.content.insert("metadata".to_owned(), json!({SOURCE_FILE: path}));
                }
                (Some(Some(noted)), Some(Value::Object(metadata))) => {
                    metadata.entry(SOURCE_FILE).or_insert_with(|| noted.as_str().into());
                }
                (Some(_), _) => {}
            }
        }
        Value::Object(self.content)
    }
}

/// The server's own rules for the fields of a story.
fn check(content: &Map<String, Value>, problem: &mut impl FnMut(String)) {
    super::report::<StoryChange>(content, problem);
    if content.get("title").is_none_or(Value::is_null) {
        problem(format!("title: {BLANK}"));
    }
}

/// Whether a file has the form of the import, not that of the story files.
pub(super) fn is_in_import_form(source: &Map<String, Value>) -> bool {
    given(source, "number").is_some() && !source.contains_key("id") && !source.contains_key("story")
}

/// Whether an import knows this member of a file that has its form: it reads it, or an export tells it for the reader.
pub(super) fn is_known(key: &str) -> bool {
    SENT.contains(&key) || AROUND.contains(&key) || STORY_TOLD.contains(&key)
}

/// The number of the epic that a story names.
pub(super) fn epic_id(epic: &Value) -> Option<u64> {
    epic_number(&written_number(if epic.is_object() { &epic["id"] } else { epic })?)
}

/// A member that says something.
fn given<'a>(source: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    source.get(key).filter(|value| !value.is_null())
}

/// A file that has the form of the import: what is said elsewhere in the request is taken out, and what nobody reads.
fn in_import_form(
    source: &Map<String, Value>,
    criteria: Option<Value>,
    metadata: Option<Map<String, Value>>,
) -> Map<String, Value> {
    let mut content = source.clone();
    content.retain(|key, _| SENT.contains(&key.as_str()));
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
    metadata: Option<Map<String, Value>>,
) -> Map<String, Value> {
    let is_said = metadata.is_some();
    let mut metadata = metadata.unwrap_or_default();
    let others = source.iter().filter(|(key, _)| !KNOWN.contains(&key.as_str()));
    metadata.extend(others.map(|(key, value)| (key.clone(), value.clone())));
    let mut content = Map::new();
    let mut put = |key: &str, value: Value| content.insert(key.to_owned(), value);
    if let Some(title) = source.get("title") {
        put("title", title.clone());
    }
    match given(source, "description") {
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
    if let Some(hours) = given(source, "estimated_hours") {
        put("estimated_hours", hours.clone());
    }
    if is_said || !metadata.is_empty() {
        put("metadata", Value::Object(metadata));
    }
    content
}

fn number(source: &Map<String, Value>, problem: &mut impl FnMut(String)) -> Option<String> {
    let value = ["number", "id"].into_iter().find_map(|key| Some((key, given(source, key)?)));
    let (key, value) = value.unwrap_or(("number", &Value::Null));
    if value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty()) {
        problem("number is missing (id or number)".to_owned());
        return None;
    }
    let text = number_text(key, value, problem)?;
    let number = story_number(&text);
    if number.is_none() {
        problem(format!("invalid story number '{text}': expected a form such as US-2.1 or 2.1"));
    }
    number
}

/// A number as text, read as an import reads it.
fn number_text(name: &str, value: &Value, problem: &mut impl FnMut(String)) -> Option<String> {
    let text = written_number(value);
    if text.is_none() {
        problem(format!("{name} must be a string such as \"1.10\""));
    }
    text
}

fn dependencies(source: &Map<String, Value>, problem: &mut impl FnMut(String)) -> Vec<String> {
    let mut numbers = Vec::new();
    for key in [DEPENDENCIES, DEPENDS_ON, DEPENDS_ON_STORIES] {
        let items = match source.get(key) {
            None | Some(Value::Null) => continue,
            Some(Value::Array(items)) => items,
            Some(_) => {
                problem(format!("{key} must be an array"));
                continue;
            }
        };
        for (position, item) in items.iter().enumerate() {
            let Some(text) = number_text(&format!("{key}[{position}]"), item, problem) else {
                continue;
            };
            match story_number(&text) {
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
    let sentence = match source.get("story") {
        Some(Value::String(text)) => Some(text.clone()),
        Some(story) => sentence(story),
        None => None,
    };
    let paragraphs: Vec<String> =
        sentence.into_iter().chain(source.get("rationale").and_then(text)).collect();
    (!paragraphs.is_empty()).then(|| paragraphs.join("\n\n"))
}

fn sentence(story: &Value) -> Option<String> {
    let part = |(key, lead): (&str, &str)| {
        let text = story[key].as_str()?.trim().trim_end_matches('.');
        let first = text.split_whitespace().next()?.to_lowercase();
        let has_article = key == "as_a" && ["a", "an", "the"].contains(&first.as_str());
        Some(format!("{} {text}", if has_article { "As" } else { lead }))
    };
    let sentence = SENTENCE.into_iter().filter_map(part).collect::<Vec<_>>().join(", ");
    (!sentence.is_empty()).then(|| format!("{sentence}."))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use loopctl_core::request::Request;

    use super::*;

    /// Something valid for each field of a story's change; a new one has to be thought of here.
    fn example(field: &str) -> Value {
        match field {
            "title" | "description" => "text".into(),
            "acceptance_criteria" => json!([{"criterion": "works"}]),
            "estimated_hours" => 4.into(),
            "metadata" => json!({"owner": "me"}),
            _ => panic!("{field} is new: it belongs to SENT, KNOWN, and what `build` and an export write"),
        }
    }

    #[test]
    fn all_that_an_import_takes_of_a_story_is_sent() {
        let fields = StoryChange::members().into_iter().map(|member| member.name);
        let beside = ["number", "initial_agent_status", "initial_verified_status"];
        assert_eq!(BTreeSet::from(SENT), fields.chain(beside).collect());
    }

    #[test]
    fn every_field_of_a_story_is_sent_from_files_of_either_form() {
        let fields: Vec<&str> = StoryChange::members().into_iter().map(|member| member.name).collect();
        for number in ["id", "number"] {
            let mut source: Map<String, Value> =
                fields.iter().map(|field| ((*field).to_owned(), example(field))).collect();
            source.insert(number.to_owned(), "1.1".into());
            let mut problems = Vec::new();
            let story = convert(&File::new("us_1.1.json", source.into()), &mut problems).unwrap();
            assert_eq!(problems, []);
            for field in &fields {
                let sent = &story.content[*field];
                match *field {
                    "metadata" => assert_eq!(sent["owner"], "me"),
                    _ => assert_eq!(*sent, example(field), "{field}"),
                }
            }
        }
    }
}
