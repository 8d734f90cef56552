//! The files of a directory as one import request.

use std::collections::BTreeMap;

use loopctl_core::breakdown::EpicChange;
use serde_json::{Map, Value, json};

use super::story::{self, Story};
use super::{File, Problem, note};
use crate::resolve::epic_number;
use crate::table::plain;

/// The request in parts, so that it can be checked with the files still known.
#[derive(Debug, Default)]
pub(super) struct Payload {
    pub(super) epics: BTreeMap<u64, Epic>,
    pub(super) epic_edges: Vec<Edge<u64>>,
}

#[derive(Debug, Default)]
pub(super) struct Epic {
    /// Title according to its directory.
    directory_title: Option<String>,
    /// Content of `epic.json`.
    described: Map<String, Value>,
    /// The `epic.json` that it comes from.
    described_in: Option<String>,
    pub(super) stories: Vec<Story>,
}

/// `dependent` needs `prerequisite`; `file` says so.
#[derive(Debug, Clone)]
pub(super) struct Edge<N> {
    pub(super) file: String,
    pub(super) dependent: N,
    pub(super) prerequisite: N,
}

/// What describes an epic, in its directory.
pub(super) const EPIC_FILE: &str = "epic.json";
/// Dependencies between epics.
pub(super) const EDGES_FILE: &str = "epic_dependencies.json";

/// True for the files that belong to an import; others are left alone.
pub(super) fn is_known(path: &str) -> bool {
    let name = file_name(path);
    name == EDGES_FILE || name == EPIC_FILE || (name.starts_with("us_") && name.ends_with(".json"))
}

/// Puts stories into epics, in natural number order.
pub(super) fn payload(files: &[File], problems: &mut Vec<Problem>) -> Payload {
    let mut payload = Payload::default();
    for file in files {
        match file_name(&file.path) {
            EPIC_FILE => payload.add_epic(file, problems),
            EDGES_FILE => payload.add_edges(file, problems),
            _ => payload.add_story(file, problems),
        }
    }
    for epic in payload.epics.values_mut() {
        epic.stories.sort_by_key(|story| (natural(&story.number), story.number.clone()));
    }
    payload
}

impl Payload {
    fn epic(&mut self, number: u64, path: &str) -> &mut Epic {
        let epic = self.epics.entry(number).or_default();
        if epic.directory_title.is_none() {
            epic.directory_title =
                epic_directory(path).filter(|(n, _)| *n == number).and_then(|(_, title)| title);
        }
        epic
    }

    fn add_story(&mut self, file: &File, problems: &mut Vec<Problem>) {
        let Some(story) = story::convert(file, problems) else {
            return;
        };
        let directory = epic_directory(&file.path).map(|(number, _)| number);
        let major = story.number.split('.').next().and_then(|major| major.parse().ok());
        match directory.or(story.epic_id).or(major).filter(|number| *number > 0) {
            Some(number) => self.epic(number, &file.path).stories.push(story),
            None => problems.push(Problem::new(&file.path, "belongs to no epic: epic numbers start at 1")),
        }
    }

    fn add_epic(&mut self, file: &File, problems: &mut Vec<Problem>) {
        let Value::Object(content) = &file.content else {
            problems.push(Problem::new(&file.path, "must be a JSON object"));
            return;
        };
        let number = epic_directory(&file.path).map(|(number, _)| number);
        let Some(number) =
            number.or_else(|| content.get("number").and_then(|n| epic_number(&plain(n)))).filter(|n| *n > 0)
        else {
            problems.push(Problem::new(
                &file.path,
                "has no epic number above 0: neither in its directory's name nor as number",
            ));
            return;
        };
        for key in ["depends_on", "depends_on_epics"] {
            match content.get(key) {
                None | Some(Value::Null) => {}
                Some(Value::Array(targets)) => {
                    for target in targets {
                        self.add_edge(file, Some(number), epic_number(&plain(target)), target, problems);
                    }
                }
                Some(_) => problems.push(Problem::new(&file.path, format!("{key} must be an array"))),
            }
        }
        super::report::<EpicChange>(content, &mut |message| {
            problems.push(Problem::new(&file.path, message));
        });
        let epic = self.epic(number, &file.path);
        match &epic.described_in {
            Some(first) => {
                problems
                    .push(Problem::new(&file.path, format!("epic {number} is already described in {first}")));
            }
            None => {
                epic.described = content.clone();
                epic.described_in = Some(file.path.clone());
            }
        }
    }

    fn add_edges(&mut self, file: &File, problems: &mut Vec<Problem>) {
        let edges = file.content.get("epic_dependencies").unwrap_or(&file.content);
        let Some(edges) = edges.as_array() else {
            problems.push(Problem::new(&file.path, "must be an array of {\"epic\", \"depends_on\"}"));
            return;
        };
        for edge in edges {
            let end = |key: &str| epic_number(&plain(&edge[key]));
            self.add_edge(file, end("epic"), end("depends_on"), edge, problems);
        }
    }

    fn add_edge(
        &mut self,
        file: &File,
        dependent: Option<u64>,
        prerequisite: Option<u64>,
        written: &Value,
        problems: &mut Vec<Problem>,
    ) {
        let (Some(dependent), Some(prerequisite)) = (dependent, prerequisite) else {
            problems.push(Problem::new(&file.path, format!("invalid epic dependency {written}")));
            return;
        };
        // The same edge may stand in epic.json and in epic_dependencies.json.
        if !self
            .epic_edges
            .iter()
            .any(|edge| (edge.dependent, edge.prerequisite) == (dependent, prerequisite))
        {
            self.epic_edges.push(Edge { file: file.path.clone(), dependent, prerequisite });
        }
    }

    /// Every dependency between stories, in natural order of the dependent.
    pub(super) fn story_edges(&self) -> Vec<Edge<String>> {
        let stories = self.epics.values().flat_map(|epic| &epic.stories);
        let edges = stories.flat_map(|story| {
            story.dependencies.iter().map(|prerequisite| Edge {
                file: story.file.clone(),
                dependent: story.number.clone(),
                prerequisite: prerequisite.clone(),
            })
        });
        edges.collect()
    }

    /// Gives new stories the statuses that an export noted; says for how many that is not possible.
    pub(super) fn apply_statuses(&mut self) -> usize {
        let mut without = 0;
        for story in self.epics.values_mut().flat_map(|epic| &mut epic.stories) {
            match story.note.as_ref().map(note::initial) {
                Some(Some(initial)) => story.content.extend(initial),
                Some(None) => without += 1,
                None => {}
            }
        }
        without
    }

    /// The body of the request.
    pub(super) fn into_json(self) -> Value {
        let story_edges = self.story_edges();
        let epics: Vec<Value> = self
            .epics
            .into_iter()
            .enumerate()
            .map(|(position, (number, epic))| epic.into_json(number, position))
            .collect();
        json!({
            "epics": epics,
            "story_dependencies": story_edges.iter()
                .map(|edge| json!({"story": edge.dependent, "depends_on": edge.prerequisite})).collect::<Vec<_>>(),
            "epic_dependencies": self.epic_edges.iter()
                .map(|edge| json!({"epic": edge.dependent, "depends_on": edge.prerequisite})).collect::<Vec<_>>(),
        })
    }
}

impl Epic {
    fn into_json(self, number: u64, position: usize) -> Value {
        let described = |key: &str| self.described.get(key).filter(|value| !value.is_null()).cloned();
        let named = self.stories.iter().find_map(|story| story.epic_name.clone());
        let title =
            named.or_else(|| self.directory_title.clone()).unwrap_or_else(|| format!("Epic {number}"));
        let mut epic = Map::new();
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                epic.insert(key.to_owned(), value);
            }
        };
        put("number", Some(number.into()));
        put("title", described("title").or(Some(title.into())));
        put("description", described("description"));
        // A description that says null means it: there is no phase.
        let phase = match self.described.contains_key("phase") {
            true => described("phase"),
            false => most_common_phase(&self.stories).map(Value::from),
        };
        put("phase", phase);
        put("position", described("position").or(Some(position.into())));
        put("metadata", described("metadata"));
        put("stories", Some(self.stories.into_iter().map(|story| Value::Object(story.content)).collect()));
        Value::Object(epic)
    }
}

/// The phase of most stories; of several, the one that comes first.
fn most_common_phase(stories: &[Story]) -> Option<String> {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for phase in stories.iter().filter_map(|story| story.phase.as_deref()) {
        match counts.iter_mut().find(|(known, _)| *known == phase) {
            Some((_, count)) => *count += 1,
            None => counts.push((phase, 1)),
        }
    }
    let most = counts.iter().map(|(_, count)| *count).max()?;
    counts.into_iter().find(|(_, count)| *count == most).map(|(phase, _)| phase.to_owned())
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Number and title in the nearest directory called `epic_<n>_<slug>`.
fn epic_directory(path: &str) -> Option<(u64, Option<String>)> {
    path.rsplit('/').skip(1).find_map(|directory| {
        let rest = directory.strip_prefix("epic_")?;
        let (digits, slug) = rest.split_once('_').unwrap_or((rest, ""));
        let number = digits.parse().ok()?;
        let words = slug.replace('_', " ");
        let mut letters = words.trim().chars();
        let title = letters.next().map(|first| first.to_uppercase().chain(letters).collect());
        Some((number, title))
    })
}

/// Numbers compare part by part: 1.9 before 1.10.
fn natural(number: &str) -> Vec<u64> {
    number.split('.').map(|part| part.parse().unwrap_or(0)).collect()
}

#[cfg(test)]
mod tests;
