//! The audit entries of an import: the rows that single-record endpoints would write, and one summary
//! (file 03 §9.7, §12).

use loopctl_core::import::{Mode, Plan};
use serde_json::{Value, json};
use uuid::Uuid;

use super::write::{Written, id};
use crate::db::DbError;
use crate::events::Event;

/// Everything that an import tells, in the order in which it was written.
pub(super) fn events(
    project_id: Uuid,
    mode: Mode,
    plan: &Plan,
    written: &Written,
    summary: &Value,
) -> Result<Vec<Event>, DbError> {
    let mut events = Vec::new();
    for epic in &plan.new_epics {
        let new = json!({"number": epic.number, "title": epic.title, "project_id": project_id});
        events.push(Event::new("epic", id(&written.epics, &epic.number)?, "created", new));
    }
    for change in &written.changed_epics {
        events.extend(change.old.updated(change.id, &change.new));
    }
    for story in &plan.new_stories {
        let new = json!({
            "number": story.number.as_str(), "title": story.title, "epic_id": id(&written.epics, &story.epic)?,
            "project_id": project_id, "agent_status": story.initial.agent_status(),
            "verified_status": story.initial.verified_status(),
        });
        let mut event = Event::new("story", id(&written.stories, story.number.as_str())?, "created", new);
        // Provenance: a status that nobody earned in the loop says where it comes from.
        for (key, word) in [
            ("initial_agent_status", story.initial.initial_agent_status),
            ("initial_verified_status", story.initial.initial_verified_status),
        ] {
            if let Some(word) = word {
                event = event.meta(key, word);
            }
        }
        events.push(event);
    }
    for change in &written.changed_stories {
        events.extend(change.old.updated(change.id, &change.new));
    }
    for (edge, dependent, prerequisite) in &written.epic_edges {
        let new = json!({"epic_id": dependent, "depends_on_epic_id": prerequisite});
        events.push(Event::new("epic_dependency", *edge, "created", new));
    }
    for (edge, dependent, prerequisite) in &written.story_edges {
        let new = json!({"story_id": dependent, "depends_on_story_id": prerequisite});
        events.push(Event::new("story_dependency", *edge, "created", new));
    }
    for event in &mut events {
        event.metadata.insert("source".to_owned(), json!("import"));
    }
    let action = match mode {
        Mode::Fresh => "imported",
        Mode::Merge => "merge_imported",
    };
    events.push(Event::new("project", project_id, action, summary.clone()));
    Ok(events.into_iter().map(|event| event.project(project_id)).collect())
}
