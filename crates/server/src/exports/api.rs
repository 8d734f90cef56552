//! `GET /projects/:id/export`.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use utoipa::ToSchema;

use super::document::write;
use super::records::{ExportedEpic, ExportedEpicDependency, ExportedStory, ExportedStoryDependency, Head};
use super::store::Source;
use super::stream;
use crate::App;
use crate::http::caller::Agent;
use crate::http::{ApiError, ApiResult, AtLeast, Caller, Id, Query};

/// A project's plan as one document (file 03 §10).
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents the answer, which is written piece by piece")]
struct Export {
    #[serde(flatten)]
    head: Head,
    /// By number.
    epics: Vec<EpicWithStories>,
    /// By the dependent's number, then the prerequisite's.
    story_dependencies: Vec<ExportedStoryDependency<'static>>,
    /// By the dependent's number, then the prerequisite's.
    epic_dependencies: Vec<ExportedEpicDependency>,
}

/// An epic with its stories.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents the answer, which is written piece by piece")]
struct EpicWithStories {
    #[serde(flatten)]
    epic: ExportedEpic,
    /// By number, as numbers: 1.9 comes before 1.10.
    stories: Vec<ExportedStory>,
}

/// A project with all its epics, stories and dependencies, as one document that can be imported again as it is (within
/// the limits of imports: 500 epics, 5000 stories, 50000 dependencies, 10 MiB).
///
/// An import of the document starts every new story anew. With `include_status=true` those that are verified, or were
/// reported done without anybody working on them in the loop, carry `initial_*` members, with which an import restores
/// their status. Other statuses are not restored: work that is not verified belongs to the loop, and so do rejections.
/// Stories that exist keep their status in any case.
#[utoipa::path(get, path = "/api/v1/projects/{id}/export", tag = "Import/Export",
    params(("id" = Uuid, Path),
           ("include_status" = Option<bool>, Query, description = "Write what makes an import restore statuses")),
    responses((status = 200, body = Export, description = "Not wrapped. Two exports of an unchanged project differ only \
               in `exported_at`. Streamed: a connection that breaks before its end has not delivered the document"),
              (status = 404), (status = 503)))]
pub(super) async fn export(
    State(app): State<App>,
    caller: Caller<AtLeast<Agent>>,
    Id(project_id): Id,
    query: Query,
) -> ApiResult<Response> {
    let tenant_id = caller.tenant_id;
    let include_status = query.flag("include_status");
    let mut source = Source::new(app.db.snapshot(tenant_id).await?, tenant_id, project_id);
    let project = source.project().await?.ok_or_else(ApiError::not_found)?;
    let head = Head::read(&project, tenant_id, project_id)?;
    let body = stream::body(|sink| write(head, source, include_status, sink));
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}
