//! The audit entries of an import: the rows that single-record endpoints would write, and one summary, which webhooks are told.

use loopctl_core::import::Plan;
use loopctl_core::json::JsonText;
use loopctl_core::webhooks::EventType;
use serde_json::json;
use uuid::Uuid;

use super::api::Summary;
use super::write::{Written, id};
use crate::events::{Event, Notice};
use crate::http::{ApiError, ApiResult};
use crate::plan::stories::UnderWay;

/// Everything that an import tells, in the order in which it was written.
pub(super) fn events(
    project_id: Uuid,
    plan: &Plan,
    written: Written,
    under_way: &UnderWay,
    summary: &Summary,
) -> ApiResult<Vec<Event>> {
    let mut events = Vec::new();
    for epic in &plan.new_epics {
        let new = json!({"number": epic.number, "title": epic.title, "project_id": project_id});
        events.push(Event::new("epic", id(&written.epics, &epic.number)?, "created", new));
    }
    events.extend(written.changed_epics.into_iter().map(|change| change.event));
    for story in &plan.new_stories {
        let new = json!({
            "number": story.number.as_str(), "title": story.title, "epic_id": id(&written.epics, &story.epic)?,
            "project_id": project_id, "agent_status": story.initial.agent_status(),
            "verified_status": story.initial.verified_status(),
        });
        let mut event = Event::new("story", id(&written.stories, &story.number)?, "created", new);
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
    events.extend(written.changed_stories.into_iter().map(|change| change.event));
    events.extend(written.digests.iter().filter_map(|now| under_way.changed(now.id, &now.digest)));
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
    let (epics_created, stories_created) = (plan.new_epics.len(), plan.new_stories.len());
    let mut what =
        json!({"project_id": project_id, "epic_count": epics_created, "story_count": stories_created});
    let action = match summary {
        Summary::Fresh(_) => "imported",
        Summary::Merge(_) => {
            what["merge"] = json!(true);
            what["epics_created"] = json!(epics_created);
            what["stories_created"] = json!(stories_created);
            what["stories_updated"] = json!(plan.updated_stories.len());
            "merge_imported"
        }
    };
    let told = JsonText::of(summary).map_err(|_| ApiError::internal())?;
    let notice = Notice::new(EventType::ProjectImported, &what);
    events.push(Event::new("project", project_id, action, told).telling(notice));
    Ok(events.into_iter().map(|event| event.project(project_id)).collect())
}
