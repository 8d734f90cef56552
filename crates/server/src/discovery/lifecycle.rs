//! The transition table, as it decides.

use loopctl_core::lifecycle::{Action, AgentStatus, Transition, VerifiedStatus, transitions};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::told::Told;
use crate::http::{ApiResult, Asked, Fixed, LOOK_AGAIN, Unless};

/// What moves a story.
#[derive(Serialize, JsonSchema)]
pub(super) struct Lifecycle {
    states: States,
    /// In the order of a story's life.
    transitions: Vec<Call>,
}

/// A story is always in one of each.
#[derive(Serialize, JsonSchema)]
struct States {
    agent_status: &'static [AgentStatus],
    verified_status: &'static [VerifiedStatus],
}

/// A transition, and how it is called.
#[derive(Serialize, JsonSchema)]
struct Call {
    method: &'static str,
    path: String,
    #[serde(flatten)]
    transition: Transition,
}

/// Where an action is called, as the list of routes names it.
fn path_of(action: Action) -> String {
    match action {
        Action::MarkComplete => "/api/v1/stories/bulk/mark-complete".to_owned(),
        _ => format!("/api/v1/stories/:id/{action}"),
    }
}

pub(super) fn document() -> Fixed<Lifecycle> {
    let call = |transition: Transition| Call { method: "POST", path: path_of(transition.action), transition };
    let lifecycle = Lifecycle {
        states: States { agent_status: AgentStatus::ALL, verified_status: VerifiedStatus::ALL },
        transitions: transitions().into_iter().map(call).collect(),
    };
    Fixed::json(&json!(lifecycle), "application/json", LOOK_AGAIN)
}

pub(super) async fn show(told: Told, asked: Asked) -> ApiResult<Unless<Lifecycle>> {
    Ok(told.documents().lifecycle.get().await?.unless(&asked))
}
