//! Step 7 of §9.3: the field rules of every record. All records are read as changes; creating one is a change
//! of nothing, with the defaults of a new record.

use super::outline::{EpicOutline, StoryOutline, title_left_out};
use super::{EpicChange, InitialStatus, NewEpic, NewStory, StoryChange};
use crate::criteria;
use crate::fields::{FieldErrors, Fields, Length};
use crate::number::StoryNumber;

const TITLE: Length = Length::max(500);
const DESCRIPTION: Length = Length::max(50_000);
const PHASE: Length = Length::max(255);

/// An epic of the payload.
#[derive(Debug, Clone)]
pub(super) struct EpicRecord {
    pub(super) change: EpicChange,
    pub(super) stories: Vec<StoryRecord>,
}

/// A story of the payload.
#[derive(Debug, Clone)]
pub(super) struct StoryRecord {
    pub(super) change: StoryChange,
    initial: InitialStatus,
}

/// A record whose title was left out.
#[derive(Debug, Clone)]
pub(super) struct Untitled {
    pub(super) path: String,
    pub(super) number: RecordNumber,
}

/// Which record.
#[derive(Debug, Clone)]
pub(super) enum RecordNumber {
    Epic(i32),
    Story(String),
}

/// The records without a title, in payload order.
pub(super) fn untitled(epics: &[EpicOutline<'_>]) -> Vec<Untitled> {
    let mut found = Vec::new();
    for epic in epics {
        if title_left_out(epic.object) {
            found.push(Untitled { path: epic.path.clone(), number: RecordNumber::Epic(epic.number) });
        }
        for story in &epic.stories {
            if title_left_out(story.object) {
                let number = RecordNumber::Story(story.number.clone());
                found.push(Untitled { path: story.path.clone(), number });
            }
        }
    }
    found
}

/// All records, or the first fault: epics first, then stories.
pub(super) fn read(epics: &[EpicOutline<'_>]) -> Result<Vec<EpicRecord>, String> {
    let changes = epics.iter().map(epic_change).collect::<Result<Vec<_>, _>>()?;
    changes
        .into_iter()
        .zip(epics)
        .map(|(change, epic)| {
            let stories = epic.stories.iter().map(story_record).collect::<Result<_, _>>()?;
            Ok(EpicRecord { change, stories })
        })
        .collect()
}

/// The epic to create from a record, the `index`th of the payload. Its title is there: without one it would have
/// been refused as untitled.
pub(super) fn new_epic(change: EpicChange, index: i32) -> NewEpic {
    NewEpic {
        number: change.number,
        title: change.title.unwrap_or_default(),
        description: change.description.flatten(),
        phase: change.phase.flatten(),
        position: change.position.unwrap_or(index),
        metadata: change.metadata.unwrap_or_default(),
    }
}

/// The story to create from a record listed under `epic`. Its title is there, as an epic's.
pub(super) fn new_story(record: StoryRecord, epic: i32) -> NewStory {
    let StoryRecord { change, initial } = record;
    NewStory {
        number: change.number,
        epic,
        title: change.title.unwrap_or_default(),
        description: change.description.flatten(),
        acceptance_criteria: change.acceptance_criteria.unwrap_or_default(),
        estimated_hours: change.estimated_hours,
        metadata: change.metadata.unwrap_or_default(),
        initial,
    }
}

fn epic_change(epic: &EpicOutline<'_>) -> Result<EpicChange, String> {
    let mut fields = Fields::new(epic.object);
    let change = EpicChange {
        number: epic.number,
        title: fields.text("title", TITLE),
        description: fields.text_change("description", DESCRIPTION),
        phase: fields.text_change("phase", PHASE),
        position: fields.integer_at_least("position", 0),
        metadata: fields.object("metadata"),
    };
    fields.finish(change).map_err(|errors| message(&epic.path, &errors))
}

fn story_record(story: &StoryOutline<'_>) -> Result<StoryRecord, String> {
    let mut fields = Fields::new(story.object);
    let number = StoryNumber::parse(&story.number);
    if let Err(fault) = number {
        fields.fail("number", fault);
    }
    if let Some(index) = story.criteria.as_deref().and_then(criteria::bad_verification) {
        let field = format!("acceptance_criteria[{index}].verification_criterion");
        fields.fail(&field, criteria::BAD_VERIFICATION);
    }
    if let Some(index) = story.criteria.as_deref().and_then(criteria::long_id) {
        let limit = criteria::ID;
        fields.fail(
            &format!("acceptance_criteria[{index}].id"),
            format!("should be at most {limit} character(s)"),
        );
    }
    let title = fields.text("title", TITLE);
    let description = fields.text_change("description", DESCRIPTION);
    let estimated_hours = fields.decimal("estimated_hours");
    let metadata = fields.object("metadata");
    let initial = InitialStatus {
        initial_agent_status: initial_word(
            &mut fields,
            "initial_agent_status",
            &["pending", "reported_done"],
        ),
        initial_verified_status: initial_word(
            &mut fields,
            "initial_verified_status",
            &["unverified", "pass", "verified"],
        ),
    };
    fields.finish(()).map_err(|errors| message(&story.path, &errors))?;
    let change = StoryChange {
        number: number?,
        title,
        description,
        acceptance_criteria: story.criteria.clone().map(criteria::normalise),
        estimated_hours,
        metadata,
    };
    Ok(StoryRecord { change, initial })
}

fn initial_word(fields: &mut Fields<'_>, name: &str, known: &[&'static str]) -> Option<&'static str> {
    fields.word(name, |word| known.iter().copied().find(|known| *known == word))
}

/// `epics[0].title: <msg>, <msg>; epics[0].phase: <msg>`
fn message(path: &str, errors: &FieldErrors) -> String {
    let fields: Vec<String> =
        errors.0.iter().map(|(field, messages)| format!("{path}.{field}: {}", messages.join(", "))).collect();
    fields.join("; ")
}
