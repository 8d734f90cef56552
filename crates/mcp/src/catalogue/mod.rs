//! Every tool: its name, what it takes, and what it calls with whose key. One table, in the order in which it is listed.

mod cost;
mod knowledge;
mod projects;
mod record;
mod skills;
mod steps;
mod stories;

use serde_json::{Value, json};

use crate::api::{Call, Settings};
use crate::arguments::{Arguments, Field, Wrong, at_least, schema, text, within};
use crate::seats::Seat;

/// A tool.
#[derive(Debug)]
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) fields: &'static [Field],
    /// What is said of it, and what it takes, where it is listed for a role: fewer words for who pays for each of them.
    pub(crate) brief: Option<Brief>,
    pub(crate) effect: Effect,
    /// For whom it is listed.
    pub(crate) seats: &'static [Seat],
    pub(crate) run: Run,
    pub(crate) shape: Shape,
}

/// A tool as a role sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Brief {
    pub(crate) about: &'static str,
    pub(crate) fields: &'static [Field],
}

/// What a tool does to what there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Reads,
    /// Something new each time.
    Adds,
    /// Twice is as good as once.
    Settles,
    /// Something is gone after it.
    Destroys,
}

/// How it is done.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Run {
    /// One call.
    Call(fn(&Arguments, &Settings) -> Result<Call, Wrong>),
    /// The story to begin with.
    NextStory,
    /// The story to review.
    NextReview,
    /// Two steps that belong together.
    ContractAndClaim,
    /// Until something has become of a story.
    WaitForStory,
    /// What came of a skill, with the verification that says so.
    SkillResult,
    /// A call whose answer is nothing to read: how to make it, or a file.
    Export(fn(&Arguments) -> Result<Call, Wrong>),
    /// What to do, in words.
    Help,
}

/// What a role is shown of what was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// All of it.
    Whole,
    /// A story that has moved.
    Step,
    /// A story on which the work is done.
    Worked,
    /// What was used for a story.
    Used,
    /// A story to read.
    Story,
    /// A line for each story.
    Stories,
    /// Articles to read.
    Articles,
    /// A line for each draft, or one to read.
    Drafts,
    /// An article that was written or moved.
    Article,
    /// A line for each of several, of which something was made.
    Results,
    /// What is wrong with the wiki.
    Lint,
}

impl Shape {
    /// Whether it is a list that comes 20 at a time.
    pub(crate) fn is_paged(self) -> bool {
        matches!(self, Self::Stories | Self::Drafts)
    }
}

impl Effect {
    /// Hints for clients that ask people first. Unless it is said, a tool does not only read.
    pub(crate) fn annotations(self) -> Value {
        match self {
            Self::Reads => json!({"readOnlyHint": true}),
            Self::Adds => json!({"destructiveHint": false}),
            Self::Settles => json!({"destructiveHint": false, "idempotentHint": true}),
            Self::Destroys => json!({"destructiveHint": true}),
        }
    }
}

impl Tool {
    const fn new(name: &'static str, about: &'static str, effect: Effect, run: Run) -> Self {
        Self { name, about, fields: &[], brief: None, effect, seats: &[], run, shape: Shape::Whole }
    }

    const fn takes(self, fields: &'static [Field]) -> Self {
        Self { fields, ..self }
    }

    const fn told(self, shape: Shape) -> Self {
        Self { shape, ..self }
    }

    const fn listed(self, seats: &'static [Seat]) -> Self {
        Self { seats, ..self }
    }

    const fn briefly(self, about: &'static str, fields: &'static [Field]) -> Self {
        Self { brief: Some(Brief { about, fields }), ..self }
    }

    /// What it takes: `as_role`, where it is called by somebody for whom tools are chosen.
    pub(crate) fn fields(&self, as_role: bool) -> &'static [Field] {
        self.brief.filter(|_| as_role).map_or(self.fields, |brief| brief.fields)
    }

    /// As it is listed.
    pub(crate) fn listing(&self, as_role: bool) -> Value {
        let about = self.brief.filter(|_| as_role).map_or(self.about, |brief| brief.about);
        let mut listing = json!({
            "name": self.name, "description": about, "inputSchema": schema(self.fields(as_role)),
            "annotations": self.effect.annotations(),
        });
        if as_role {
            listing["outputSchema"] = json!({"type": "object"});
        }
        listing
    }
}

/// All of them.
pub(crate) fn all() -> impl Iterator<Item = &'static Tool> {
    [
        projects::TOOLS,
        stories::TOOLS,
        steps::TOOLS,
        cost::TOOLS,
        knowledge::TOOLS,
        knowledge::work::TOOLS,
        skills::TOOLS,
        record::TOOLS,
    ]
    .into_iter()
    .flatten()
}

/// The one of this name.
pub(crate) fn find(name: &str) -> Option<&'static Tool> {
    all().find(|tool| tool.name == name)
}

/// The rest of a long answer.
const CURSOR: Field = text("cursor");
/// A story, by its id or its number.
const STORY: Field = text("story_id").required();
/// By default the one that is configured, or the only one.
const PROJECT: Field = text("project_id");

/// How many of a page: never more than fit an answer, never less than one.
fn page_size(arguments: &Arguments) -> String {
    arguments.integer("limit").unwrap_or(20).clamp(1, 20).to_string()
}

fn given(arguments: &Arguments, name: &str) -> Option<String> {
    match arguments.value(name)? {
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn offset(arguments: &Arguments) -> Option<String> {
    arguments.integer("offset").map(|offset| offset.max(0).to_string())
}

fn project_of(arguments: &Arguments, settings: &Settings) -> Result<String, Wrong> {
    match (&settings.project, arguments.text("project_id")) {
        (Some(project), None) => Arguments::default().with("project_id", project.as_str()).id("project_id"),
        _ => arguments.id("project_id"),
    }
}

const PAGE: [Field; 2] = [at_least("page", 1), within("page_size", 1, 100)];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_schemas_are_objects() {
        let names: HashSet<_> = all().map(|tool| tool.name).collect();
        assert_eq!(names.len(), all().count());
        for tool in all() {
            for as_role in [true, false] {
                assert_eq!(tool.listing(as_role)["inputSchema"]["type"], "object", "{}", tool.name);
            }
            assert!(!tool.about.is_empty());
        }
    }

    /// The rest of an answer is asked for by the same call.
    #[test]
    fn what_comes_in_parts_only_reads() {
        for tool in all() {
            let is_read_on =
                matches!(tool.shape, Shape::Story | Shape::Stories | Shape::Articles | Shape::Drafts);
            let offers_it = [true, false]
                .iter()
                .any(|as_role| tool.fields(*as_role).iter().any(|field| field.name == "cursor"));
            assert!(!(is_read_on || offers_it) || tool.effect == Effect::Reads, "{}", tool.name);
        }
    }

    #[test]
    fn whoever_adds_a_tool_for_a_role_says_how_it_looks() {
        for tool in all().filter(|tool| !tool.seats.is_empty()) {
            assert!(tool.about.len() < 300, "{}", tool.name);
        }
    }
}
