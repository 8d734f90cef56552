//! What waits for what: found out of the edges of the plan and of what is verified, in linear time.

use std::collections::{HashMap, HashSet};

use loopctl_core::lifecycle::VerifiedStatus;
use uuid::Uuid;

use super::{Project, Story};

/// Which stories cannot be begun yet, and how many wait for each.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    waiting: HashSet<Uuid>,
    /// Of what is not verified: how many stories wait for it.
    behind: HashMap<Uuid, usize>,
}

impl Waits {
    pub(super) fn of(projects: &HashMap<Uuid, Project>, stories: &HashMap<Uuid, Story>) -> Self {
        let is_open = |story: &Story| story.verified_status != VerifiedStatus::Verified;
        let open = |id: &Uuid| stories.get(id).is_some_and(is_open);
        let mut of_epic: HashMap<Uuid, Vec<Uuid>> = HashMap::new();
        for (id, story) in stories.iter().filter(|(_, story)| is_open(story)) {
            of_epic.entry(story.epic).or_default().push(*id);
        }
        let mut waits = Self::default();
        for project in projects.values() {
            for (story, prerequisite) in &project.story_edges {
                if open(story) && open(prerequisite) {
                    waits.waiting.insert(*story);
                    *waits.behind.entry(*prerequisite).or_default() += 1;
                }
            }
            for (epic, prerequisite) in &project.epic_edges {
                let (Some(dependents), Some(prerequisites)) = (of_epic.get(epic), of_epic.get(prerequisite))
                else {
                    continue;
                };
                waits.waiting.extend(dependents);
                for prerequisite in prerequisites {
                    *waits.behind.entry(*prerequisite).or_default() += dependents.len();
                }
            }
        }
        waits
    }

    pub(super) fn waits(&self, story: Uuid) -> bool {
        self.waiting.contains(&story)
    }

    /// How many stories wait for it.
    pub(super) fn behind(&self, story: Uuid) -> usize {
        self.behind.get(&story).copied().unwrap_or_default()
    }
}

impl super::Board {
    /// The stories that a story waits for by itself, and those that wait for it.
    pub(crate) fn edges(&self, id: Uuid) -> (Vec<Uuid>, Vec<Uuid>) {
        let project = self.stories.get(&id).and_then(|story| self.projects.get(&story.project));
        let edges = project.map_or(&[][..], |project| project.story_edges.as_slice());
        let before = edges.iter().filter(|(story, _)| *story == id).map(|(_, before)| *before);
        let after = edges.iter().filter(|(_, before)| *before == id).map(|(story, _)| *story);
        (before.collect(), after.collect())
    }

    /// The epics of which it waits for every story.
    pub(crate) fn epics_before(&self, id: Uuid) -> Vec<String> {
        let Some(story) = self.stories.get(&id) else { return Vec::new() };
        let Some(project) = self.projects.get(&story.project) else { return Vec::new() };
        let before = project.epic_edges.iter().filter(|(epic, _)| *epic == story.epic);
        before.filter_map(|(_, before)| project.epics.get(before).cloned()).collect()
    }
}
