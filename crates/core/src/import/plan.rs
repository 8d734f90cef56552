//! Conflicts, what is new and what is updated, references and cycles.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::edges::{NamedEdge, References};
use super::records::{EpicRecord, RecordNumber, new_epic, new_story};
use super::{Existing, ImportError, Mode, Payload, Plan};
use crate::graph::{Edge, Graph};
use crate::number::StoryNumber;

impl Payload {
    /// What to write into a project that has `existing`.
    ///
    /// # Errors
    /// The first of conflicts (fresh), missing titles of new records (merge), field rules, unresolved references,
    /// cycles and deadlocks.
    pub fn plan(self, existing: &Existing) -> Result<Plan, ImportError> {
        let known = Known {
            epics: existing.epics.iter().copied().collect(),
            stories: existing.stories.iter().map(|(number, _)| number.as_str()).collect(),
        };
        match self.mode {
            Mode::Fresh => self.check_conflicts(&known, existing)?,
            Mode::Merge => self.check_titles(&known)?,
        }
        let mut plan = sort_out(self.records?, &known);
        let named: HashSet<&str> = self.story_numbers.iter().map(String::as_str).collect();
        plan.orphans = existing
            .stories
            .iter()
            .map(|(number, _)| number)
            .filter(|number| !named.contains(number.as_str()))
            .cloned()
            .collect();
        plan.orphans.sort();
        plan.existing_edges = existing.story_edges.len() + existing.epic_edges.len();
        connect(&mut plan, existing, &self.references)?;
        Ok(plan)
    }

    fn check_conflicts(&self, known: &Known<'_>, existing: &Existing) -> Result<(), ImportError> {
        let named: HashSet<&str> = self.story_numbers.iter().map(String::as_str).collect();
        let mut epics: Vec<i32> =
            self.epic_numbers.iter().copied().filter(|number| known.epics.contains(number)).collect();
        epics.sort_unstable();
        let mut stories: Vec<&StoryNumber> = existing
            .stories
            .iter()
            .map(|(number, _)| number)
            .filter(|number| named.contains(number.as_str()))
            .collect();
        stories.sort();
        if epics.is_empty() && stories.is_empty() {
            return Ok(());
        }
        let stories = stories.into_iter().map(StoryNumber::to_string).collect();
        Err(ImportError::Conflict { epics, stories })
    }

    fn check_titles(&self, known: &Known<'_>) -> Result<(), ImportError> {
        let missing = self.untitled.iter().find(|record| match &record.number {
            RecordNumber::Epic(number) => !known.epics.contains(number),
            RecordNumber::Story(number) => !known.stories.contains(number.as_str()),
        });
        missing.map_or(Ok(()), |record| Err(format!("{}.title: can't be blank", record.path).into()))
    }
}

/// The numbers that the project already has.
struct Known<'a> {
    epics: HashSet<i32>,
    stories: HashSet<&'a str>,
}

/// New records and changes of known ones.
fn sort_out(records: Vec<EpicRecord>, known: &Known<'_>) -> Plan {
    let mut plan = Plan::default();
    for (EpicRecord { number: epic, change, stories }, index) in records.into_iter().zip(0..) {
        if known.epics.contains(&epic) {
            plan.updated_epics.push((epic, change));
        } else {
            plan.new_epics.push(new_epic(epic, change, index));
        }
        let (matched, new): (Vec<_>, Vec<_>) =
            stories.into_iter().partition(|story| known.stories.contains(story.number.as_str()));
        plan.updated_stories.extend(matched.into_iter().map(|story| (story.number, story.change)));
        plan.new_stories.extend(new.into_iter().map(|story| new_story(story, epic)));
    }
    plan
}

/// Resolves the payload's references, adds the edges that do not exist yet and checks the resulting graph.
fn connect(plan: &mut Plan, existing: &Existing, references: &References) -> Result<(), ImportError> {
    // Sorted, so that the path of a cycle begins with its smallest number.
    let mut stories: BTreeMap<&StoryNumber, i32> =
        existing.stories.iter().map(|(number, epic)| (number, *epic)).collect();
    stories.extend(plan.new_stories.iter().map(|story| (&story.number, story.epic)));
    let mut epics: BTreeSet<i32> = existing.epics.iter().copied().collect();
    epics.extend(plan.new_epics.iter().map(|epic| epic.number));
    epics.extend(stories.values());

    let mut graph = Graph::default();
    let epic_index: HashMap<i32, usize> =
        epics.iter().map(|number| (*number, graph.add_epic(*number))).collect();
    let story_index: HashMap<&str, usize> = stories
        .iter()
        .map(|(number, epic)| (number.as_str(), graph.add_story(number.as_str(), epic_index[epic])))
        .collect();
    let find_story = |number: &str| story_index.get(number).copied();
    let find_epic = |number: i32| epic_index.get(&number).copied();

    let old = existing.story_edges.iter().filter_map(|(from, to)| Some((find_story(from)?, find_story(to)?)));
    let story_edges = Edges::resolve(old.collect(), &references.stories, "story", find_story)?;
    let old = existing.epic_edges.iter().filter_map(|(from, to)| Some((find_epic(*from)?, find_epic(*to)?)));
    let epic_edges =
        Edges::resolve(old.collect(), &references.epics, "epic", |number| find_epic(number.parse().ok()?))?;
    for (dependent, prerequisite) in story_edges.all() {
        graph.add_edge(Edge::Story(dependent, prerequisite));
    }
    for (dependent, prerequisite) in epic_edges.all() {
        graph.add_edge(Edge::Epic(dependent, prerequisite));
    }
    graph.check().map_err(|fault| graph.explain(&fault))?;

    let stories: Vec<&StoryNumber> = stories.into_keys().collect();
    let epics: Vec<i32> = epics.into_iter().collect();
    let number = |index: usize| stories[index].clone();
    plan.new_story_edges = story_edges.new.iter().map(|(from, to)| (number(*from), number(*to))).collect();
    plan.new_epic_edges = epic_edges.new.iter().map(|(from, to)| (epics[*from], epics[*to])).collect();
    Ok(())
}

/// Edges of one level by index: the project's own, and those that the payload adds to them, each once.
struct Edges {
    old: Vec<(usize, usize)>,
    new: Vec<(usize, usize)>,
}

impl Edges {
    fn resolve(
        old: Vec<(usize, usize)>,
        named: &[NamedEdge],
        what: &str,
        find: impl Fn(&str) -> Option<usize>,
    ) -> Result<Self, String> {
        let resolve = |number: &str| {
            find(number).ok_or_else(|| {
                format!("Unresolved dependency reference: {what} '{number}' not found in import")
            })
        };
        let mut seen: HashSet<(usize, usize)> = old.iter().copied().collect();
        let mut new = Vec::new();
        for (dependent, prerequisite) in named {
            let edge = (resolve(dependent)?, resolve(prerequisite)?);
            if seen.insert(edge) {
                new.push(edge);
            }
        }
        Ok(Self { old, new })
    }

    fn all(&self) -> impl Iterator<Item = (usize, usize)> {
        self.old.iter().chain(&self.new).copied()
    }
}
