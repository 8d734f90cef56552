//! `GET /stories/:id`: a story with its surroundings.

use axum::Json;
use loopctl_core::lifecycle::Facts;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::next_steps::{NextStep, next_steps};
use super::store::{RECENT_ARTIFACTS, SHOW_STORY, StoryInLoop, VerificationResult};
use crate::app::{Agent, AtLeast, Caller};
use crate::evidence::artifacts::ArtifactReport;
use crate::http::{ApiResult, Id};
use crate::plan::stories::Story;

#[derive(Serialize, JsonSchema)]
pub(super) struct ShownStory {
    story: StoryDetail,
    next_actions: Vec<NextStep>,
}

/// A story with its surroundings.
#[derive(Serialize, JsonSchema)]
struct StoryDetail {
    #[serde(flatten)]
    story: Story,
    /// Edges on which this story is the dependent.
    dependencies: Vec<DependencyEdge>,
    /// The 20 most recent, newest first.
    artifacts: Vec<ArtifactReport>,
    latest_verification: Option<VerificationResult>,
    /// How often the story was verified or rejected.
    iteration_count: i32,
    /// Present only when the project has a mission.
    #[serde(skip_serializing_if = "Option::is_none")]
    project_mission: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct DependencyEdge {
    story_id: Uuid,
    depends_on_story_id: Uuid,
}

pub(super) async fn show(caller: Caller<AtLeast<Agent>>, Id(id): Id) -> ApiResult<Json<ShownStory>> {
    let shown = caller.find(SHOW_STORY, &[&id]).await?;
    let StoryInLoop { story, mission, prerequisites, has_artifacts, review, started, latest } = shown;
    let artifacts =
        if has_artifacts { caller.read(RECENT_ARTIFACTS.with(&[&id])).await? } else { Vec::new() };
    let facts = Facts { review: review.review(), started: started.holdings(), ..story.facts() };
    let edge = |depends_on_story_id| DependencyEdge { story_id: id, depends_on_story_id };
    Ok(Json(ShownStory {
        next_actions: next_steps(&caller, &facts, id),
        story: StoryDetail {
            story,
            dependencies: prerequisites.into_iter().map(edge).collect(),
            artifacts,
            iteration_count: latest.as_ref().map_or(0, |latest| latest.iteration),
            latest_verification: latest,
            project_mission: mission,
        },
    }))
}
