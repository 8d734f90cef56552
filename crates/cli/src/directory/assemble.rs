//! The files of a directory as one import request.

use std::collections::{BTreeMap, BTreeSet};

use loopctl_core::breakdown::EpicChange;
use loopctl_core::number::StoryNumber;
use serde_json::{Map, Value, json};

use super::story::{self, Story};
use super::{File, Known, Problem, note};
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
    /// The directories that are called after it.
    directories: BTreeSet<String>,
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
/// Members of what describes an epic.
pub(super) const EPIC_MEMBERS: [&str; 6] =
    ["number", "title", "description", "phase", "position", "metadata"];
/// The epics that an epic needs, in what describes it.
pub(super) const NEEDED_EPICS: [&str; 2] = ["depends_on", "depends_on_epics"];
/// The two ends of a dependency between epics, as an import knows them.
pub(super) const DEPENDENT: [&str; 2] = ["epic", "epic_number"];
pub(super) const PREREQUISITE: [&str; 2] = ["depends_on", "depends_on_epic"];
/// Dependencies between epics.
pub(super) const EDGES_FILE: &str = "epic_dependencies.json";
/// Their list, where the file is an object.
pub(super) const EDGES_LIST: &str = "epic_dependencies";

/// The kinds of files that belong to an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Epic,
    Edges,
    Story,
}

/// What a file is, by its name; in names, the case of letters and `-` or `_` make no difference. Others are left alone.
pub(super) fn kind(path: &str) -> Option<Kind> {
    match same_spelling(path.rsplit('/').next().unwrap_or(path)).as_str() {
        EPIC_FILE => Some(Kind::Epic),
        EDGES_FILE => Some(Kind::Edges),
        name if name.starts_with("us_") && name.ends_with(".json") => Some(Kind::Story),
        _ => None,
    }
}

/// A name as an export would spell it.
fn same_spelling(name: &str) -> String {
    name.to_ascii_lowercase().replace('-', "_")
}

/// Puts stories into epics, in natural number order.
pub(super) fn payload(files: &[File], problems: &mut Vec<Problem>) -> Payload {
    let mut payload = Payload::default();
    for file in files {
        match kind(&file.path) {
            Some(Kind::Epic) => payload.add_epic(file, problems),
            Some(Kind::Edges) => payload.add_edges(file, problems),
            _ => payload.add_story(file, problems),
        }
    }
    for epic in payload.epics.values_mut() {
        epic.stories.sort_by_cached_key(|story| StoryNumber::parse(&story.number).ok());
    }
    payload
}

impl Payload {
    fn epic(&mut self, number: u64, file: &File) -> &mut Epic {
        let epic = self.epics.entry(number).or_default();
        if let Some((directory, (_, title))) = epic_directory(&file.path).filter(|(_, (n, _))| *n == number) {
            let below = file.path.strip_prefix(directory).unwrap_or_default();
            epic.directories.insert(file.place.strip_suffix(below).unwrap_or(directory).to_owned());
            epic.directory_title = epic.directory_title.take().or(title);
        }
        epic
    }

    fn add_story(&mut self, file: &File, problems: &mut Vec<Problem>) {
        let Some(story) = story::convert(file, problems) else {
            return;
        };
        let directory = epic_directory(&file.path).map(|(_, (number, _))| number);
        let major = story.number.split('.').next().and_then(|major| major.parse().ok());
        match directory.or(story.epic_id).or(major).filter(|number| *number > 0) {
            Some(number) => self.epic(number, file).stories.push(story),
            None => problems.push(Problem::new(&file.place, "belongs to no epic: epic numbers start at 1")),
        }
    }

    fn add_epic(&mut self, file: &File, problems: &mut Vec<Problem>) {
        let Value::Object(content) = &file.content else {
            problems.push(Problem::new(&file.place, "must be a JSON object"));
            return;
        };
        let number = epic_directory(&file.path).map(|(_, (number, _))| number);
        let Some(number) =
            number.or_else(|| content.get("number").and_then(|n| epic_number(&plain(n)))).filter(|n| *n > 0)
        else {
            problems.push(Problem::new(
                &file.place,
                "has no epic number above 0: neither in its directory's name nor as number",
            ));
            return;
        };
        for key in NEEDED_EPICS {
            match content.get(key) {
                None | Some(Value::Null) => {}
                Some(Value::Array(targets)) => {
                    for target in targets {
                        self.add_edge(file, Some(number), epic_number(&plain(target)), target, problems);
                    }
                }
                Some(_) => problems.push(Problem::new(&file.place, format!("{key} must be an array"))),
            }
        }
        super::report::<EpicChange>(content, &mut |message| {
            problems.push(Problem::new(&file.place, message));
        });
        let epic = self.epic(number, file);
        match &epic.described_in {
            Some(first) => {
                problems.push(Problem::new(
                    &file.place,
                    format!("epic {number} is already described in {first}"),
                ));
            }
            None => {
                epic.described = content.clone();
                epic.described_in = Some(file.place.clone());
            }
        }
    }

    fn add_edges(&mut self, file: &File, problems: &mut Vec<Problem>) {
        let edges = file.content.get(EDGES_LIST).unwrap_or(&file.content);
        let Some(edges) = edges.as_array() else {
            problems.push(Problem::new(&file.place, "must be an array of {\"epic\", \"depends_on\"}"));
            return;
        };
        for edge in edges {
            let end = |[name, other]: [&str; 2]| {
                let value = edge.get(name).filter(|value| !value.is_null()).or(edge.get(other))?;
                epic_number(&plain(value))
            };
            self.add_edge(file, end(DEPENDENT), end(PREREQUISITE), edge, problems);
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
            problems.push(Problem::new(&file.place, format!("invalid epic dependency {written}")));
            return;
        };
        // The same edge may stand in epic.json and in epic_dependencies.json.
        if !self
            .epic_edges
            .iter()
            .any(|edge| (edge.dependent, edge.prerequisite) == (dependent, prerequisite))
        {
            self.epic_edges.push(Edge { file: file.place.clone(), dependent, prerequisite });
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

    /// Says of which epics several directories bear the name: it may be a mistake, and there is one title.
    pub(super) fn directories_of_one_epic(&self) -> Vec<String> {
        let several = self.epics.iter().filter(|(_, epic)| epic.directories.len() > 1);
        let line = |(number, epic): (&u64, &Epic)| {
            let names: Vec<&str> = epic.directories.iter().map(String::as_str).collect();
            let title = epic.title(*number);
            format!(
                "note: epic {number} has several directories, and one title, {title}: {}",
                names.join(", ")
            )
        };
        several.map(line).collect()
    }

    /// Leaves out the dependencies on what is not there, and says which.
    pub(super) fn drop_unknown(&mut self, known: &Known) -> Vec<String> {
        let stories = self.epics.values().flat_map(|epic| &epic.stories);
        let here: BTreeSet<String> = stories.map(|story| story.number.clone()).collect();
        let mut dropped = Vec::new();
        let mut note = |file: &str, what: &str| dropped.push(format!("note: dropped: {file}: {what}"));
        for story in self.epics.values_mut().flat_map(|epic| &mut epic.stories) {
            story.dependencies.retain(|number| {
                let stays = here.contains(number) || known.stories.contains_key(number);
                if !stays {
                    note(&story.file, &format!("dependency of story {} on {number}", story.number));
                }
                stays
            });
        }
        let is_there = |end: &u64| self.epics.contains_key(end) || known.epics.contains(end);
        self.epic_edges.retain(|edge| {
            let stays = [edge.dependent, edge.prerequisite].iter().all(is_there);
            if !stays {
                note(&edge.file, &format!("dependency of epic {} on {}", edge.dependent, edge.prerequisite));
            }
            stays
        });
        dropped
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

    /// The body of the request. Of what is `known` to be in the project, only what the files say is a part of it.
    pub(super) fn into_json(self, known: &Known) -> Value {
        let story_edges = self.story_edges();
        let epics: Vec<Value> = self
            .epics
            .into_iter()
            .enumerate()
            .map(|(position, (number, epic))| epic.into_json(number, position, known))
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
    fn described(&self, key: &str) -> Option<Value> {
        self.described.get(key).filter(|value| !value.is_null()).cloned()
    }

    /// From its description, else its stories.
    fn written_title(&self) -> Option<Value> {
        let named = || self.stories.iter().find_map(|story| story.epic_name.clone());
        self.described("title").or_else(|| named().map(Value::from))
    }

    /// As it is written, else from its directory.
    fn title(&self, number: u64) -> Value {
        self.written_title().unwrap_or_else(|| {
            self.directory_title.clone().unwrap_or_else(|| format!("Epic {number}")).into()
        })
    }

    fn into_json(self, number: u64, position: usize, known: &Known) -> Value {
        let is_new = !known.epics.contains(&number);
        let mut epic = Map::new();
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                epic.insert(key.to_owned(), value);
            }
        };
        put("number", Some(number.into()));
        put("title", if is_new { Some(self.title(number)) } else { self.written_title() });
        put("description", self.described("description"));
        // A description that says null means it: there is no phase.
        let phase = match self.described.contains_key("phase") {
            false if is_new => most_common_phase(&self.stories).map(Value::from),
            _ => self.described("phase"),
        };
        put("phase", phase);
        put("position", self.described("position").or(is_new.then(|| position.into())));
        put("metadata", self.described("metadata"));
        put("stories", Some(self.stories.into_iter().map(|story| story.into_json(known)).collect()));
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

/// The nearest directory of a file that is called after an epic: its path, and what its name says.
fn epic_directory(path: &str) -> Option<(&str, (u64, Option<String>))> {
    let mut directory = path;
    while let Some((parent, _)) = directory.rsplit_once('/') {
        directory = parent;
        let name = directory.rsplit('/').next().unwrap_or(directory);
        if let Some(epic) = epic_of(name) {
            return Some((directory, epic));
        }
    }
    None
}

/// Number and title in a name such as `epic_2_user_accounts`.
pub(super) fn epic_of(name: &str) -> Option<(u64, Option<String>)> {
    let (lead, rest) = name.split_at_checked("epic_".len())?;
    if same_spelling(lead) != "epic_" {
        return None;
    }
    let (digits, slug) = rest.split_once(['_', '-']).unwrap_or((rest, ""));
    let number = digits.parse().ok()?;
    let words = slug.replace(['_', '-'], " ");
    let mut letters = words.trim().chars();
    let title = letters.next().map(|first| first.to_uppercase().chain(letters).collect());
    Some((number, title))
}

#[cfg(test)]
mod tests;
