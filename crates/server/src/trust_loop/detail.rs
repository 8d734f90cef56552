//! `GET /stories/:id`: a story with its surroundings.

use axum::Json;
use loopctl_core::lifecycle::Facts;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::next_steps::{NextStep, next_steps};
use super::store::{
    LATEST_VERIFICATION, RECENT_ARTIFACTS, SHOW_STORY, STORY_PREREQUISITES, StoryInLoop, VerificationResult,
};
use crate::app::{Agent, AtLeast, Caller};
use crate::evidence::artifacts::ArtifactReport;
use crate::http::{ApiError, ApiResult, Id};
use crate::plan::stories::{STARTED, Started, Story};

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
    let params = [&id as _];
    let (stories, started, prerequisites, artifacts, verifications) = caller
        .read((
            SHOW_STORY.with(&params),
            STARTED.with(&params),
            STORY_PREREQUISITES.with(&params),
            RECENT_ARTIFACTS.with(&params),
            LATEST_VERIFICATION.with(&params),
        ))
        .await?;
    let StoryInLoop { story, mission, iteration_count, review } =
        stories.into_iter().next().ok_or_else(ApiError::not_found)?;
    let started = started.into_iter().map(Started::holding).collect();
    let facts = Facts { review: review.review(), started, ..story.facts() };
    let edge = |depends_on_story_id| DependencyEdge { story_id: id, depends_on_story_id };
    Ok(Json(ShownStory {
        next_actions: next_steps(&caller, &facts, id),
        story: StoryDetail {
            story,
            dependencies: prerequisites.into_iter().map(edge).collect(),
            artifacts,
            latest_verification: verifications.into_iter().next(),
            iteration_count,
            project_mission: mission,
        },
    }))
}
