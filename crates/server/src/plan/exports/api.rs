//! The request, the answer and the handler of exports.

use loopctl_core::import::InitialStatus;
use loopctl_core::json::JsonText;
use loopctl_core::request::{Request, flag};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::document::write;
use super::store::{
    ExportedEpic, ExportedEpicDependency, ExportedProject, ExportedStoryDependency, ProjectRow, Source,
    StoryRow, StoryState,
};
use crate::VERSION;
use crate::app::{Agent, AtLeast, Caller};
use crate::db::Timestamp;
use crate::http::{ApiError, ApiResult, Id, Query, Streamed, stream};

#[derive(Request)]
pub(super) struct ExportProject {
    /// Write what makes an import restore statuses.
    #[rule(flag())]
    include_status: bool,
}

/// A project's plan as one document, which is written piece by piece.
#[derive(Serialize, JsonSchema)]
pub(super) struct Export {
    #[serde(flatten)]
    head: Head,
    /// By number.
    epics: Vec<EpicWithStories>,
    /// By the dependent's number, then the prerequisite's.
    story_dependencies: Vec<ExportedStoryDependency>,
    /// By the dependent's number, then the prerequisite's.
    epic_dependencies: Vec<ExportedEpicDependency>,
}

/// What the document begins with.
#[derive(Serialize, JsonSchema)]
pub(super) struct Head {
    export_metadata: ExportMetadata,
    project: ExportedProject,
}

/// Where a document comes from.
#[derive(Serialize, JsonSchema)]
struct ExportMetadata {
    exported_at: Timestamp,
    loopctl_version: &'static str,
    project_id: Uuid,
    tenant_id: Uuid,
}

/// An epic with its stories.
#[derive(Serialize, JsonSchema)]
struct EpicWithStories {
    #[serde(flatten)]
    epic: ExportedEpic,
    /// By number, as numbers: 1.9 comes before 1.10.
    stories: Vec<ExportedStory<'static>>,
}

/// A story. Statuses, assignment and times are for the reader; an import ignores them, except the `initial_*` ones.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ExportedStory")]
pub(super) struct ExportedStory<'a> {
    #[serde(flatten)]
    state: &'a StoryState,
    /// Only with `include_status`.
    #[serde(skip_serializing_if = "Option::is_none")]
    initial_agent_status: Option<&'static str>,
    /// Only with `include_status`.
    #[serde(skip_serializing_if = "Option::is_none")]
    initial_verified_status: Option<&'static str>,
    metadata: &'a JsonText,
}

impl<'a> ExportedStory<'a> {
    pub(super) fn of(row: &'a StoryRow, include_status: bool) -> Self {
        let StoryRow { state, metadata } = row;
        // A story that was verified in the loop becomes verified wherever the document is imported. That is no way
        // around the loop which was not there before: who may import may say so of any new story, a document says
        // nothing about stories that exist, and the audit entry of the new one says that its status was imported.
        let initial = if include_status { state.restoring() } else { InitialStatus::default() };
        Self {
            state,
            initial_agent_status: initial.initial_agent_status,
            initial_verified_status: initial.initial_verified_status,
            metadata,
        }
    }
}

pub(super) async fn export(
    caller: Caller<AtLeast<Agent>>,
    Id(project_id): Id,
    Query(query): Query<ExportProject>,
) -> ApiResult<Streamed<Export>> {
    let tenant_id = caller.tenant_id;
    let turn = caller.app.fair.export(tenant_id).await?;
    let mut source = Source::new(caller.app.db.snapshot(tenant_id).await?, project_id);
    let ProjectRow { exported_at, project } = source.project().await?.ok_or_else(ApiError::not_found)?;
    let export_metadata = ExportMetadata { exported_at, loopctl_version: VERSION, project_id, tenant_id };
    let head = Head { export_metadata, project };
    let writing = |sink| write(head, source, query.include_status, sink);
    Ok(Streamed::new(stream::spooled(&caller.app.life, turn, writing)))
}
