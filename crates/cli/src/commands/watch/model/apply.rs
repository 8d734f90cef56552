//! What a change of the log says of the board, and what it leaves to be read.
//!
//! An entry says in its new state what it sets: that is believed, whatever the entry is called. So the board follows the loop without
//! a single request; asked is only where an entry names something that it does not describe.

use loopctl_core::lifecycle::{AgentStatus, VerifiedStatus};
use serde_json::Value;
use uuid::Uuid;

use super::{Board, Event, MOST_EVENTS, Moment, id, moment, text};
use crate::commands::events::told;
use crate::layout::status;

/// What is to be read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Again {
    Tenant,
    Projects,
    /// A project with all that is at work in it.
    Project(Uuid),
    /// The plan of a project.
    Plan(Uuid),
    Budgets,
    Violations,
}

impl Board {
    /// Takes in a change, and says what it leaves to be read.
    pub(crate) fn apply(&mut self, change: &Value) -> Option<Again> {
        self.taken += 1;
        let kind = change["entity_type"].as_str().unwrap_or_default();
        let action = change["action"].as_str().unwrap_or_default();
        let (about, project) = (id(&change["entity_id"]), id(&change["project_id"]));
        self.learn_name(change);
        let again = match (kind, action) {
            ("story", "created" | "updated" | "deleted")
            | ("epic", "created" | "updated" | "deleted")
            | ("story_dependency" | "epic_dependency", _)
            | ("project", "imported" | "merge_imported") => project.map(Again::Plan),
            ("project", _) => Some(Again::Projects),
            ("tenant", _) => Some(Again::Tenant),
            ("token_budget" | "token_usage_report" | "token_data_archival", _) => Some(Again::Budgets),
            ("audit_pending_violation", _) => Some(Again::Violations),
            _ => None,
        };
        let known = about.filter(|_| kind == "story");
        let moved = known.is_some_and(|story| self.move_story(story, change, action));
        self.note(change, known);
        // A story that the board does not know is of a plan that has grown, which does not say who has the story by now.
        let unknown = known.is_some() && !moved;
        again.or_else(|| project.filter(|_| unknown).map(Again::Project))
    }

    /// Whoever acts under a name is called so.
    fn learn_name(&mut self, change: &Value) {
        let state = &change["new_state"];
        let agent = id(&change["entity_id"]).filter(|_| change["entity_type"] == "agent");
        if let (Some(agent), Some(name)) = (agent, state["name"].as_str()) {
            self.is_called(agent, name);
        }
        // Of a key that may not list agents: what theirs are called says more than ids.
        let label = change["actor_label"].as_str().and_then(|label| label.strip_prefix("agent:"));
        if let (Some(agent), Some(name)) = (id(&state["agent_id"]), label)
            && !self.agents.contains_key(&agent)
        {
            self.is_called(agent, name);
        }
    }

    /// False where there is no such story.
    fn move_story(&mut self, story: Uuid, change: &Value, action: &str) -> bool {
        let (state, at) = (&change["new_state"], moment(&change["inserted_at"]));
        let taken = self.taken;
        let Some(story) = self.stories.get_mut(&story) else { return false };
        story.touched = taken;
        let agent_status = state["agent_status"].as_str().and_then(AgentStatus::parse);
        let verified_status = state["verified_status"].as_str().and_then(VerifiedStatus::parse);
        if let Some(status) = verified_status {
            if status == VerifiedStatus::Rejected {
                story.rejected_at = at;
                story.reason = state["rejection_reason"].as_str().map(text);
            }
            story.verified_status = status;
        }
        match action {
            "review_requested" => story.finished_at = moment(&state["review_requested_at"]).or(at),
            "review_completed" => story.reviewed_at = at,
            _ => {}
        }
        if let Some(status) = agent_status {
            story.goes_to(status, at);
            // Whoever contracts it is to claim it.
            let named = if status == AgentStatus::Contracted { "agent_id" } else { "assigned_agent_id" };
            if let Some(holder) = state.get(named).filter(|_| status != AgentStatus::Pending) {
                (story.holder, story.held_since) = (id(holder), at);
            }
            if let Some(reported) = moment(&state["reported_done_at"]) {
                story.reported_at = Some(reported);
            }
        }
        true
    }

    fn note(&mut self, change: &Value, story: Option<Uuid>) {
        self.events.extend(event(change, story));
        if self.events.len() > MOST_EVENTS {
            self.events.pop_front();
        }
    }

    /// What was before the board began to follow, oldest first.
    pub(super) fn note_earlier(&mut self, changes: &[Value]) {
        let began = self.events.iter().find_map(|event| event.at);
        for change in changes.iter().rev() {
            self.learn_name(change);
            if self.events.len() >= MOST_EVENTS {
                return;
            }
            let story = id(&change["entity_id"]).filter(|_| change["entity_type"] == "story");
            let earlier = |event: &Event| began.is_none_or(|began| event.at.is_some_and(|at| at < began));
            if let Some(event) = event(change, story).filter(earlier) {
                self.events.push_front(event);
            }
        }
    }
}

/// A change as news; None of what is none.
fn event(change: &Value, story: Option<Uuid>) -> Option<Event> {
    let kind = change["entity_type"].as_str().unwrap_or_default();
    let action = change["action"].as_str().unwrap_or_default();
    // What has become of the story says the same; what a search makes of articles is nobody's news.
    if kind == "verification_result" || action == "auto_reset" || action.starts_with("article.embedding") {
        return None;
    }
    let what = match story {
        Some(_) => words(change),
        None => {
            let action = action.strip_prefix(&format!("{kind}.")).unwrap_or(action);
            let row = told(change);
            let more = row["change"].as_str().unwrap_or_default();
            format!("{} {}  {more}", status::words(kind), status::words(action))
        }
    };
    let (at, who, what) = (moment(&change["inserted_at"]), who(change), text(what.trim_end()));
    Some(Event { at, who, what, story })
}

/// What has happened to a story: the status that it goes to, or what else is told, with the reason of a rejection.
pub(crate) fn words(entry: &Value) -> String {
    let (state, action) = (&entry["new_state"], entry["action"].as_str().unwrap_or_default());
    text(&match (action, state["agent_status"].as_str(), state["rejection_reason"].as_str()) {
        ("status_changed", Some(word), _) => status::words(word),
        (action, _, Some(reason)) => format!("{}: {reason}", status::words(action)),
        (action, ..) => status::words(action),
    })
}

/// Whose doing it was; of a key its name, which says more than its role.
pub(crate) fn who(entry: &Value) -> String {
    let label = entry["actor_label"].as_str().unwrap_or_default();
    let name = ["agent:", "orchestrator:", "user:"].iter().find_map(|role| label.strip_prefix(role));
    text(name.filter(|name| !name.is_empty()).unwrap_or(label))
}

impl super::Story {
    /// Into another status, with what ends by that.
    fn goes_to(&mut self, status: AgentStatus, at: Option<Moment>) {
        match status {
            AgentStatus::Pending | AgentStatus::Contracted => {
                (self.holder, self.held_since, self.finished_at) = (None, None, None);
                (self.reported_at, self.reviewed_at) = (None, None);
            }
            AgentStatus::Assigned => self.finished_at = None,
            AgentStatus::Implementing if self.agent_status != status => self.finished_at = None,
            AgentStatus::Implementing => {}
            AgentStatus::ReportedDone => (self.reported_at, self.reviewed_at) = (at, None),
        }
        self.agent_status = status;
    }
}
