//! What a caller can do next, asked of the same table that decides.

use serde_json::{Map, Value, json};

use super::table::{Guard, RULES, Rule, Suggest};
use super::{Action, Actor, AgentStatus, Facts, Review, VerifiedStatus};

/// A suggestion of what to call next on a story.
#[derive(Debug, Clone, PartialEq)]
pub struct NextAction {
    /// What to do.
    pub action: Action,
    /// The body that the call needs, with placeholders where the caller must write something.
    pub required_body: Map<String, Value>,
    /// What must hold besides the story's state.
    pub preconditions: Vec<&'static str>,
}

/// The steps that would pass for `actor`, in the order of a story's life.
pub fn next_actions(facts: &Facts, actor: &Actor) -> Vec<NextAction> {
    if facts.state.verified_status == VerifiedStatus::Verified {
        return Vec::new();
    }
    RULES
        .iter()
        .filter(|rule| offered(rule, facts, actor))
        .map(|rule| NextAction {
            action: rule.action,
            required_body: required_body(rule.action, facts),
            preconditions: preconditions(rule, facts),
        })
        .collect()
}

fn offered(rule: &Rule, facts: &Facts, actor: &Actor) -> bool {
    let state = &facts.state;
    let permitted = rule.roles.contains(&actor.role)
        && (!rule.guards.contains(&Guard::Assignee) || actor.holds(state))
        && (!rule.guards.contains(&Guard::NotImplementer) || !actor.is_implementer(state, &facts.started));
    let useful = match rule.action {
        // One valid review is enough.
        Action::ReviewComplete => facts.review != Review::Current,
        // With auto-reset off a rejected story stays reported; rejecting it again leads nowhere.
        Action::Reject => state.agent_status == AgentStatus::ReportedDone,
        // With auto-reset off whoever has a rejected story gives it back, to take it anew. Before that it is no step of the loop.
        Action::Unclaim => {
            state.agent_status == AgentStatus::ReportedDone
                && state.verified_status == VerifiedStatus::Rejected
        }
        _ => true,
    };
    let asked = match rule.suggest {
        Suggest::Never => false,
        Suggest::Anyone => true,
        Suggest::Permitted => permitted,
    };
    asked && useful && rule.allows_state(state)
}

fn required_body(action: Action, facts: &Facts) -> Map<String, Value> {
    let body = match action {
        Action::Contract => json!({"story_title": facts.title, "ac_count": facts.ac_count}),
        Action::ReviewComplete => json!({"review_type": "<kind of review>"}),
        Action::Verify => json!({"review_type": "<kind of review>", "summary": "<what was checked>"}),
        Action::Reject => json!({"reason": "<what is missing>"}),
        _ => json!({}),
    };
    body.as_object().cloned().unwrap_or_default()
}

fn preconditions(rule: &Rule, facts: &Facts) -> Vec<&'static str> {
    let asked_before = rule.action == Action::RequestReview && facts.state.review_requested_at.is_some();
    let again = asked_before
        .then_some("You have changed the work since you asked last; otherwise your part is done: stop");
    rule.guards
        .iter()
        .filter_map(|guard| match guard {
            Guard::Echo => Some("You have read the story's title and every acceptance criterion"),
            Guard::Dependencies => Some("Every prerequisite story and epic is verified"),
            Guard::Assignee => Some("You are the agent that claimed the story"),
            Guard::NotImplementer => Some("You have not started the story in this cycle and do not hold it"),
            Guard::ReviewRecord => {
                Some("A review of this report, of title and criteria as they are now, exists")
            }
            Guard::State
            | Guard::StateUnprocessable
            | Guard::NotVerified
            | Guard::Evidence
            | Guard::Undecided
            | Guard::PreExisting => None,
        })
        .chain(again)
        .collect()
}
