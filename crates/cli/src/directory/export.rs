//! The other direction: an export of a project as the files that `import` reads.

use std::collections::{BTreeMap, BTreeSet};

use loopctl_core::import::written_number;
use serde_json::{Map, Value, json};

use super::assemble::{EDGES_FILE, EPIC_FILE, EPIC_MEMBERS};
use super::{File, note};
use crate::resolve::story_number;
use crate::slug::slug;
use crate::table::plain;

/// Longest part of a directory's name that comes from a title.
const SLUG: usize = 48;
/// Members of an exported story that have a place in its file. All others are noted.
const OWN: [&str; 6] =
    ["number", "title", "description", "acceptance_criteria", "estimated_hours", "metadata"];
/// Metadata that the story format has members for.
const LIFTED: [&str; 4] = ["priority", "phase", "technical_notes", "test_cases"];

/// The files of an export, in a fixed order. `Err` says what about the export is not as it should be.
pub(super) fn files(export: &Value) -> Result<Vec<File>, String> {
    let epics = array(export, "epics")?;
    let mut needs = story_needs(export)?;
    let mut files = vec![
        File::new("project.json", export["project"].clone()),
        File::new(EDGES_FILE, array(export, "epic_dependencies")?.into()),
    ];
    let (mut numbers, mut stories) = (BTreeSet::new(), BTreeSet::new());
    for epic in epics {
        let number = epic["number"].as_u64().filter(|number| *number > 0);
        let number = number.ok_or_else(|| format!("invalid epic number {}", epic["number"]))?;
        if !numbers.insert(number) {
            return Err(format!("epic {number} is there twice"));
        }
        let directory = directory(number, &plain(&epic["title"]));
        files.push(File::new(&format!("{directory}/{EPIC_FILE}"), epic_content(epic)));
        for story in array(epic, "stories")? {
            let text = written_number(&story["number"]);
            // The number becomes part of a path.
            let number = text.filter(|text| story_number(text).as_ref() == Some(text));
            let number = number.ok_or_else(|| format!("invalid story number {}", story["number"]))?;
            if !stories.insert(number.clone()) {
                return Err(format!("story {number} is there twice"));
            }
            let needs = needs.remove(&number).unwrap_or_default();
            files.push(File::new(
                &format!("{directory}/us_{number}.json"),
                story_content(epic, story, &needs),
            ));
        }
    }
    match needs.keys().next() {
        Some(number) => Err(format!("a dependency names story {number}, which is not there")),
        None => Ok(files),
    }
}

/// Two files whose paths differ in case alone: many disks would keep the second one only, in place of the first.
pub(super) fn alike(files: &[File]) -> Option<(&str, &str)> {
    let mut seen = BTreeMap::new();
    files.iter().find_map(|file| {
        let earlier = seen.insert(file.path.to_lowercase(), file.path.as_str())?;
        Some((earlier, file.path.as_str()))
    })
}

fn array<'a>(value: &'a Value, key: &str) -> Result<&'a [Value], String> {
    value[key].as_array().map(Vec::as_slice).ok_or_else(|| format!("{key} is missing"))
}

/// What each story needs, by its number.
fn story_needs(export: &Value) -> Result<BTreeMap<String, Vec<String>>, String> {
    let mut needs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for edge in array(export, "story_dependencies")? {
        let end = |key: &str| {
            written_number(&edge[key]).ok_or_else(|| format!("invalid story number {}", edge[key]))
        };
        needs.entry(end("story")?).or_default().push(end("depends_on")?);
    }
    Ok(needs)
}

/// `epic_2_user_accounts`. Letters of other alphabets are left out: the title itself is in `epic.json`.
fn directory(number: u64, title: &str) -> String {
    format!("epic_{number}_{}", slug(title, '_', SLUG)).trim_end_matches('_').to_owned()
}

/// Whether an export wrote this file: it lies where one would, and looks as only one does.
pub(super) fn is_ours(file: &File) -> bool {
    let Some((directory, name)) = file.path.split_once('/') else {
        return false;
    };
    let content = &file.content;
    let number = directory.strip_prefix("epic_").and_then(|rest| rest.split('_').next());
    if name == EPIC_FILE {
        let members: BTreeSet<&str> =
            content.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
        return members == BTreeSet::from(EPIC_MEMBERS) && number == Some(&plain(&content["number"]));
    }
    let id = content["id"].as_str().and_then(|id| id.strip_prefix("US-")).unwrap_or_default();
    number.is_some()
        && name == format!("us_{id}.json")
        && content["metadata"].as_object().is_some_and(note::is_in)
}

/// The epic without its stories.
fn epic_content(epic: &Value) -> Value {
    let members = epic.as_object().into_iter().flatten().filter(|(key, _)| *key != "stories");
    members.map(|(key, value)| (key.clone(), value.clone())).collect::<Map<_, _>>().into()
}

/// The story in the format of the story files.
fn story_content(epic: &Value, story: &Value, needs: &[String]) -> Value {
    let mut metadata = story["metadata"].as_object().cloned().unwrap_or_default();
    let id = |number: &str| format!("US-{number}");
    let mut content = Map::new();
    let mut put = |key: &str, value: Value| content.insert(key.to_owned(), value);
    put("id", id(&plain(&story["number"])).into());
    put("title", story["title"].clone());
    put("epic", json!({"id": format!("epic_{}", epic["number"]), "name": epic["title"]}));
    for key in LIFTED {
        if let Some(value) = metadata.shift_remove(key) {
            put(key, value);
        }
    }
    put("description", story["description"].clone());
    put("acceptance_criteria", story["acceptance_criteria"].clone());
    put("dependencies", needs.iter().map(|number| id(number)).collect::<Vec<_>>().into());
    put("estimated_hours", story["estimated_hours"].clone());
    let others = story.as_object().into_iter().flatten();
    let others = others.filter(|(key, value)| !OWN.contains(&key.as_str()) && !value.is_null());
    note::add(&mut metadata, others.map(|(key, value)| (key.clone(), value.clone())).collect());
    put("metadata", metadata.into());
    content.into()
}

#[cfg(test)]
mod tests {
    use loopctl_core::breakdown::StoryChange;
    use loopctl_core::request::Request;

    use super::*;

    #[test]
    fn every_field_of_a_story_has_a_place_in_its_file() {
        let fields = StoryChange::members().into_iter().map(|member| member.name);
        assert_eq!(BTreeSet::from(OWN), fields.chain(["number"]).collect());
        let story = story_content(&json!({}), &json!({}), &[]);
        assert!(OWN.iter().all(|field| *field == "number" || story.get(field).is_some()), "{story}");
    }

    #[test]
    fn only_what_differs_in_more_than_case_is_kept_apart() {
        let of =
            |paths: &[&str]| -> Vec<File> { paths.iter().map(|path| File::new(path, json!(1))).collect() };
        let files = of(&["epic_1_a/us_1.1a.json", "epic_1_a/us_1.2.json", "epic_1_a/us_1.1A.json"]);
        assert_eq!(alike(&files), Some(("epic_1_a/us_1.1a.json", "epic_1_a/us_1.1A.json")));
        let directories = of(&["epic_1_a/us_1.1.json", "Epic_1_A/us_1.1.json"]);
        assert!(alike(&directories).is_some());
        // In directories of their own they do not meet.
        assert_eq!(alike(&of(&["epic_1_a/us_1.1a.json", "epic_2_b/us_1.1A.json"])), None);
    }
}
