//! Keys that nothing reads: a misspelt one would otherwise be dropped without a word.

use super::edges;
use super::outline::Outline;
use crate::breakdown::{EpicChange, StoryChange};
use crate::json::{Object, elements};
use crate::request::Request;

/// So many are named.
const NAMED: usize = 20;
/// And so much of each name is shown, in characters.
const SHOWN: usize = 200;

/// The keys of a payload that mean nothing to an import.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ignored {
    /// The first 20, such as `epics[0].stories[1].acceptanceCriteria`.
    pub paths: Vec<String>,
    /// How many there are.
    pub count: usize,
}

/// What an import reads of the body, or an export writes beside it.
const BODY: &[&str] = &[
    "epics",
    "story_dependencies",
    "epic_dependencies",
    "merge",
    "project_id",
    "id",
    "export_metadata",
    "project",
];

/// Besides the fields of a change and what it needs.
const EPIC: &[&str] = &["number", "stories"];
const STORY: &[&str] = &["number", "initial_agent_status", "initial_verified_status"];

/// What an export tells of a story for the reader: an import knows it, and takes nothing of it.
pub const STORY_TOLD: &[&str] = &[
    "agent_status",
    "verified_status",
    "assigned_agent_id",
    "assigned_at",
    "reported_done_at",
    "verified_at",
    "rejected_at",
    "rejection_reason",
    "criteria_digest",
    "verification_source",
    "contract_stale",
    "verification_stale",
];

impl Ignored {
    /// Those of a whole body.
    pub(super) fn of(body: &Object<'_>, outline: &Outline<'_>) -> Self {
        let mut ignored = Self::default();
        ignored.add(body, &[BODY], "");
        let (of_epics, of_stories) = (names_of::<EpicChange>(), names_of::<StoryChange>());
        for epic in &outline.epics {
            ignored.add(&epic.object, &[EPIC, &of_epics, edges::EPIC.nested], &epic.path);
            for story in &epic.stories {
                ignored.add(
                    &story.object,
                    &[STORY, STORY_TOLD, &of_stories, edges::STORY.nested],
                    &story.path,
                );
            }
        }
        for kind in [edges::STORY, edges::EPIC] {
            let edges = body.get(kind.list).and_then(elements).unwrap_or_default();
            for (index, edge) in edges.into_iter().enumerate() {
                if let Some(edge) = Object::parse(edge) {
                    let path = format!("{}[{index}]", kind.list);
                    ignored.add(&edge, &[&kind.dependent, &kind.prerequisite], &path);
                }
            }
        }
        ignored
    }

    fn add(&mut self, object: &Object<'_>, known: &[&[&str]], path: &str) {
        for (name, _) in object.members().filter(|(name, _)| !known.iter().any(|known| known.contains(name)))
        {
            self.count += 1;
            if self.paths.len() < NAMED {
                let shown: String = name.chars().take(SHOWN).collect();
                let point = if path.is_empty() { "" } else { "." };
                self.paths.push(format!("{path}{point}{shown}"));
            }
        }
    }
}

/// The fields that a change reads.
fn names_of<T: Request>() -> Vec<&'static str> {
    T::members().into_iter().map(|member| member.name).collect()
}
