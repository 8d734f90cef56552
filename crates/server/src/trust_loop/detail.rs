//! `GET /stories/:id`: a story with its surroundings.

use axum::Json;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::store::{SHOW_STORY, SURROUNDINGS, StoryInProject, VerificationResult};
use crate::app::{Agent, AtLeast, Caller};
use crate::evidence::artifacts::ArtifactReport;
use crate::http::{ApiResult, Id};
use crate::plan::stories::{NextStep, Story, next_steps};

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
    let StoryInProject { story, mission } = caller.find(SHOW_STORY, &[&id]).await?;
    let mut facts = story.facts();
    let mut detail = StoryDetail {
        dependencies: Vec::new(),
        artifacts: Vec::new(),
        latest_verification: None,
        iteration_count: 0,
        project_mission: mission,
        story,
    };
    if detail.story.has_surroundings() {
        for row in caller.read(SURROUNDINGS.with(&[&id])).await? {
            let edge = |depends_on_story_id| DependencyEdge { story_id: id, depends_on_story_id };
            detail.dependencies = row.prerequisites.into_iter().map(edge).collect();
            detail.iteration_count = row.latest.as_ref().map_or(0, |latest| latest.iteration);
            detail.latest_verification = row.latest;
            detail.artifacts.extend(row.artifact);
            facts.review = row.review.review();
            facts.started = row.started.holdings();
        }
    }
    Ok(Json(ShownStory { next_actions: next_steps(&caller, &facts, id), story: detail }))
}
