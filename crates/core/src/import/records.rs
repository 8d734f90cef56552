//! The field rules of every record. All records are read as changes; creating one is a change
//! of nothing, with the defaults of a new record.

use super::outline::{EpicOutline, StoryOutline, title_left_out};
use super::{InitialStatus, NewEpic, NewStory};
use crate::breakdown::{EpicChange, StoryChange};
use crate::criteria;
use crate::fields::{FieldErrors, Fields};
use crate::lifecycle;
use crate::number::StoryNumber;
use crate::request::{Request, Rule as _, word};

/// An epic of the payload.
#[derive(Debug, Clone)]
pub(super) struct EpicRecord {
    pub(super) number: i32,
    pub(super) change: EpicChange,
    pub(super) stories: Vec<StoryRecord>,
}

/// A story of the payload.
#[derive(Debug, Clone)]
pub(super) struct StoryRecord {
    pub(super) number: StoryNumber,
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
        if title_left_out(&epic.object) {
            found.push(Untitled { path: epic.path.clone(), number: RecordNumber::Epic(epic.number) });
        }
        for story in &epic.stories {
            if title_left_out(&story.object) {
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
            Ok(EpicRecord { number: epic.number, change, stories })
        })
        .collect()
}

/// The epic to create from a record, the `index`th of the payload. Its title is there: without one it would have
/// been refused as untitled.
pub(super) fn new_epic(number: i32, change: EpicChange, index: i32) -> NewEpic {
    NewEpic {
        number,
        title: change.title.unwrap_or_default(),
        description: change.description.flatten(),
        phase: change.phase.flatten(),
        position: change.position.unwrap_or(index),
        metadata: change.metadata.unwrap_or_default(),
    }
}

/// The story to create from a record listed under `epic`. Its title is there, as an epic's.
pub(super) fn new_story(record: StoryRecord, epic: i32) -> NewStory {
    let StoryRecord { number, change, initial } = record;
    NewStory {
        number,
        epic,
        title: change.title.unwrap_or_default(),
        description: change.description.flatten(),
        acceptance_criteria: change.acceptance_criteria.unwrap_or_default(),
        estimated_hours: change.estimated_hours,
        metadata: lifecycle::imported(&change.metadata.unwrap_or_default()),
        initial,
    }
}

fn epic_change(epic: &EpicOutline<'_>) -> Result<EpicChange, String> {
    EpicChange::from_object(&epic.object).map_err(|errors| message(&epic.path, &errors))
}

fn story_record(story: &StoryOutline<'_>) -> Result<StoryRecord, String> {
    let mut fields = Fields::new(&story.object);
    let number = StoryNumber::parse(&story.number);
    if let Err(fault) = &number {
        fields.fail("number", fault.clone());
    }
    let faults: Vec<_> = story.criteria.iter().flat_map(criteria::faults).collect();
    for fault in &faults {
        fields.fail(&format!("acceptance_criteria[{}].{}", fault.index, fault.member), fault.message.clone());
    }
    let mut change = StoryChange::read(&mut fields);
    change.acceptance_criteria = story.criteria.clone().map(criteria::normalise);
    let initial = InitialStatus {
        initial_agent_status: word(&["pending", "reported_done"], |sent| {
            ["pending", "reported_done"].into_iter().find(|known| *known == sent)
        })
        .read(&mut fields, "initial_agent_status"),
        initial_verified_status: word(&["unverified", "pass", "verified"], |sent| {
            ["unverified", "pass", "verified"].into_iter().find(|known| *known == sent)
        })
        .read(&mut fields, "initial_verified_status"),
    };
    let mut errors = fields.into_errors();
    // What is wrong with an item is told above, with the item that it is about.
    let of_list = errors.0.remove("acceptance_criteria").unwrap_or_default();
    for told in of_list.into_iter().filter(|told| faults.iter().all(|fault| fault.message != *told)) {
        errors.add("acceptance_criteria", told);
    }
    let (change, initial) =
        errors.check((change, initial)).map_err(|errors| message(&story.path, &errors))?;
    Ok(StoryRecord { number: number.map_err(String::from)?, change, initial })
}

/// `epics[0].title: <msg>, <msg>; epics[0].phase: <msg>`
fn message(path: &str, errors: &FieldErrors) -> String {
    let fields: Vec<String> =
        errors.0.iter().map(|(field, messages)| format!("{path}.{field}: {}", messages.join(", "))).collect();
    fields.join("; ")
}
