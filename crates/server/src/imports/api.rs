//! `POST /projects/:id/import`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use loopctl_core::import::{self, ImportError, Mode, Payload, Plan};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::audit;
use super::store::{REFRESH_DETAILS, Snapshot, snapshot};
use super::write::{VERY_LARGE, write};
use crate::App;
use crate::events;
use crate::http::caller::{Orchestrator, Superadmin, User};
use crate::http::error::retrying;
use crate::http::{ApiError, ApiResult, Caller, Exact, Id, Identity, LargeBody};
use crate::projects::lock_project;

/// The body of an import (file 03 §9.2).
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents the body, which `loopctl_core::import` reads")]
struct ImportPayload {
    /// At most 500, with at most 5000 stories.
    epics: Vec<Value>,
    /// `{"story": "1.2", "depends_on": "1.1"}`
    story_dependencies: Option<Vec<Value>>,
    /// `{"epic": 2, "depends_on": 1}`
    epic_dependencies: Option<Vec<Value>>,
    /// Update what exists instead of refusing it; also as a query parameter.
    merge: Option<bool>,
}

/// Imports epics, stories and dependencies: all of them or none.
#[utoipa::path(post, path = "/api/v1/projects/{id}/import", tag = "Import/Export",
    params(("id" = Uuid, Path), ("merge" = Option<bool>, Query)), request_body = ImportPayload,
    responses((status = 201, description = "Fresh: `{\"import\": {\"epics_created\", \"stories_created\", \"dependencies_created\"}}`"),
              (status = 200, description = "Merged, with counts of updates and the stories that the payload leaves out"),
              (status = 403), (status = 404),
              (status = 409, description = "Numbers exist; use merge=true"), (status = 413), (status = 422)))]
pub(super) async fn import(
    State(app): State<App>,
    caller: Caller<Exact<(Orchestrator, User, Superadmin)>>,
    Id(project_id): Id,
    LargeBody(body): LargeBody,
) -> ApiResult<(StatusCode, Json<Value>)> {
    let mode = if wants_merge(&body) { Mode::Merge } else { Mode::Fresh };
    // Parsed without the lock: nobody waits for a large payload to be read. The project is looked up first,
    // because an unknown one is 404 whatever the payload says.
    let payload = import::parse(&body, mode);
    let summary = retrying(|| perform(&app, &caller, project_id, mode, payload.clone())).await?;
    let status = match mode {
        Mode::Fresh => StatusCode::CREATED,
        Mode::Merge => StatusCode::OK,
    };
    Ok((status, Json(json!({"import": summary}))))
}

/// Lets the planner know of what has arrived with the stories. The import is done, whatever becomes of this.
async fn refresh_statistics(app: &App) {
    if let Err(error) = app.db.without_tenant(REFRESH_DETAILS, &[]).await {
        tracing::warn!(%error, "statistics were not refreshed after a large import");
    }
}

fn wants_merge(body: &Map<String, Value>) -> bool {
    match body.get("merge") {
        Some(Value::Bool(flag)) => *flag,
        Some(Value::String(text)) => text == "true" || text == "1",
        _ => false,
    }
}

async fn perform(
    app: &App,
    caller: &Identity,
    project_id: Uuid,
    mode: Mode,
    payload: Result<Payload, ImportError>,
) -> ApiResult<Value> {
    let tenant_id = caller.tenant_id;
    let mut tx = app.db.tenant(tenant_id).await?;
    let project = lock_project(&mut tx, tenant_id, project_id).await?;
    let payload = payload.map_err(refused)?;
    let found = snapshot(&mut tx, tenant_id, project_id, mode == Mode::Merge).await?;
    let plan = payload.plan(&found.existing).map_err(refused)?;
    if !plan.new_stories.is_empty() {
        project.admits((found.stories.len() + plan.new_stories.len()) as u64)?;
    }
    let written = write(&mut tx, tenant_id, project_id, &plan, &found).await?;
    let summary = summary(mode, &plan, &found);
    let events = audit::events(project_id, mode, &plan, &written, &summary)?;
    events::record(tx, tenant_id, &caller.attribution(), events).await?;
    if plan.new_stories.len() >= VERY_LARGE {
        refresh_statistics(app).await;
    }
    Ok(summary)
}

/// The answer, which is also the new state of the summary's audit entry (file 03 §9.4, §9.6).
fn summary(mode: Mode, plan: &Plan, found: &Snapshot) -> Value {
    let dependencies = plan.new_story_edges.len() + plan.new_epic_edges.len();
    match mode {
        Mode::Fresh => json!({
            "epics_created": plan.new_epics.len(),
            "stories_created": plan.new_stories.len(),
            "dependencies_created": dependencies,
        }),
        Mode::Merge => {
            let orphans: Vec<_> = plan
                .orphans
                .iter()
                .map(|number| {
                    let title = found.stories.get(number.as_str()).map(|(_, story)| story.title.as_str());
                    json!({"number": number.as_str(), "title": title})
                })
                .collect();
            json!({
                "epics_created": plan.new_epics.len(),
                "epics_updated": plan.updated_epics.len(),
                "stories_created": plan.new_stories.len(),
                "stories_updated": plan.updated_stories.len(),
                "stories_orphaned": orphans,
                "dependencies_created": dependencies,
                "dependencies_existing": plan.existing_edges,
            })
        }
    }
}

fn refused(error: ImportError) -> ApiError {
    let message = error.to_string();
    match error {
        ImportError::Invalid(_) => ApiError::unprocessable("invalid_import", message),
        ImportError::Conflict { epics, stories } => ApiError::conflict("import_conflict", message)
            .with("details", json!({"duplicate_epic_numbers": epics, "duplicate_story_numbers": stories})),
    }
}
