//! What a caller can do next on a story, as calls.

use loopctl_core::lifecycle::{Facts, next_actions};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::app::Identity;

/// A call that would pass next.
#[derive(Serialize, JsonSchema)]
pub(crate) struct NextStep {
    action: String,
    method: &'static str,
    path: String,
    required_body: Map<String, Value>,
    preconditions: Vec<&'static str>,
    learn_more: String,
}

/// What the caller can do next on a story.
pub(crate) fn next_steps(caller: &Identity, facts: &Facts, story_id: Uuid) -> Vec<NextStep> {
    next_actions(facts, &caller.actor())
        .into_iter()
        .map(|next| NextStep {
            action: next.action.as_str().replace('-', "_"),
            method: "POST",
            path: format!("/api/v1/stories/{story_id}/{}", next.action),
            required_body: next.required_body,
            preconditions: next.preconditions,
            learn_more: format!("{}/docs/lifecycle#actions", caller.app.public_url),
        })
        .collect()
}
