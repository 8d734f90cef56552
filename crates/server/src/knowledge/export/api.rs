//! The answer and the handler of exports.

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use loopctl_core::code::Code;
use uuid::Uuid;

use super::archive::write;
use super::store::EXPORTED_ARTICLES;
use crate::app::{AtLeast, Caller, Orchestrator};
use crate::http::{ApiError, ApiResult, Id, Operation, Output, headers, stream};
use crate::plan::projects::PROJECT_KNOWN;

/// The most articles of an export.
const MOST: usize = 5000;

const ZIP: &str = "application/zip";

/// A ZIP that is sent while it is written.
pub(super) struct Archive(Body);

impl IntoResponse for Archive {
    fn into_response(self) -> Response {
        let name = format!("attachment; filename=\"knowledge-export-{}.zip\"", Utc::now().format("%Y-%m-%d"));
        let headers = [(header::CONTENT_TYPE, ZIP), (header::CONTENT_DISPOSITION, &name)];
        (headers, self.0).into_response()
    }
}

impl Output for Archive {
    fn describe(operation: &mut Operation<'_>) {
        let about = "A ZIP, streamed: a connection that breaks before its end has not delivered the archive";
        operation.answer::<String>(200, about);
        operation.answer_as(200, ZIP);
        operation.answer_with(200, &headers::CONTENT_DISPOSITION);
    }
}

pub(super) async fn export(caller: Caller<AtLeast<Orchestrator>>) -> ApiResult<Archive> {
    archive(&caller, None).await
}

pub(super) async fn export_of_project(
    caller: Caller<AtLeast<Orchestrator>>,
    Id(project_id): Id,
) -> ApiResult<Archive> {
    archive(&caller, Some(project_id)).await
}

async fn archive<A>(caller: &Caller<A>, project_id: Option<Uuid>) -> ApiResult<Archive> {
    let turn = caller.app.fair.export(caller.tenant_id).await?;
    let mut source = caller.app.db.snapshot(caller.tenant_id).await?;
    if let Some(project_id) = project_id {
        source.optional(PROJECT_KNOWN, &[&project_id]).await?.ok_or_else(ApiError::not_found)?;
    }
    let mut articles = source.all(EXPORTED_ARTICLES, &[&project_id]).await?;
    if articles.len() > MOST {
        let message = "Export exceeds 5,000 articles. Use project-scoped export (GET /projects/:id/knowledge/export) to reduce scope.";
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, Code::ExportTooLarge, message));
    }
    articles.sort_by(|one, other| one.place().cmp(&other.place()));
    Ok(Archive(stream::spooled(&caller.app.life, turn, |sink| write(articles, source, sink))))
}
