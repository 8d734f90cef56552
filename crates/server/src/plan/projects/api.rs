//! Requests, answers and handlers of projects.

use axum::Json;
use loopctl_core::code::Code;
use loopctl_core::cost::Total;
use loopctl_core::json::JsonText;
use loopctl_core::request::{Request, flag, small_object, text, word};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::store::{
    COUNT_ACTIVE_PROJECTS, INSERT_PROJECT, LIST_PROJECTS, LOCK_PROJECT_ROW, PROJECT_PROGRESS, Progress,
    Project, ProjectDetail, SHOW_PROJECT, UPDATE_PROJECT,
};
use crate::app::{Access as _, Agent, AtLeast, Caller, Change, Committed, Orchestrator, User};
use crate::cost::analytics::{PROJECT_SPENDING, ProjectSpending};
use crate::db::{AsJson, DbError, Params, Tx};
use crate::events::{Event, Field};
use crate::http::{ApiError, ApiResult, Body, Created, Id, List, Page, Query, one, pages};
use crate::identity::tenants::{MAX_PROJECTS, check_slug, locked_limit};

/// `status` of a project at work.
const ACTIVE: &str = "active";
/// `status` of a project laid aside.
const ARCHIVED: &str = "archived";
const STATUSES: &[&str] = &[ACTIVE, ARCHIVED];

fn known_status(word: &str) -> Option<&'static str> {
    STATUSES.iter().copied().find(|known| *known == word)
}

one! { pub(super) ProjectResponse { project: Project } }

/// `POST /projects`.
#[derive(Request)]
pub(super) struct ProjectCreateRequest {
    #[rule(text(255).shown().required())]
    name: String,
    /// `[a-z0-9][a-z0-9-]*[a-z0-9]`; unique in the tenant, archived projects included; never changes.
    #[rule(text(63).min(2).that(|slug| check_slug(slug)).required())]
    slug: String,
    #[rule(text(2048))]
    repo_url: Option<String>,
    #[rule(text(50_000))]
    description: Option<String>,
    #[rule(text(255))]
    tech_stack: Option<String>,
    #[rule(text(2000).trimmed())]
    mission: Option<String>,
    /// Free-form.
    #[rule(small_object().or(JsonText::empty_object()))]
    metadata: JsonText,
}

pub(super) async fn create(
    caller: Caller<AtLeast<Orchestrator>>,
    body: Body<ProjectCreateRequest>,
) -> ApiResult<Created<ProjectResponse>> {
    let new = body.valid()?;
    caller
        .change(async |mut change| {
            let limit = locked_limit(&mut change, MAX_PROJECTS).await?;
            admit_one_more(&mut change, limit).await?;
            let params: Params<'_> = &[
                &Uuid::now_v7(),
                &new.name,
                &new.slug,
                &new.repo_url,
                &new.description,
                &new.tech_stack,
                &new.mission,
                &AsJson(&new.metadata),
            ];
            let project = change.one(INSERT_PROJECT, params).await.map_err(slug_taken)?;
            let told = json!({"name": project.name, "slug": project.slug, "status": project.status});
            change.tell([Event::new("project", project.id, "created", told).project(project.id)]);
            change.commit(Created(ProjectResponse { project })).await
        })
        .await
}

/// Refuses an active project beyond the limit. The tenant is locked: nobody else creates or reactivates one meanwhile.
async fn admit_one_more(tx: &mut Tx, limit: i64) -> ApiResult<()> {
    if tx.one(COUNT_ACTIVE_PROJECTS, &[]).await? < limit {
        return Ok(());
    }
    Err(ApiError::unprocessable(Code::ProjectLimitReached, "Project limit reached for this tenant"))
}

fn slug_taken(error: DbError) -> ApiError {
    if error.violates("projects_slug") {
        return ApiError::invalid_field("slug", "has already been taken for this tenant");
    }
    error.into()
}

#[derive(Request)]
pub(super) struct ListProjects {
    /// Wins over `include_archived`.
    #[rule(word(STATUSES, known_status))]
    status: Option<&'static str>,
    /// Archived projects as well.
    #[rule(flag())]
    include_archived: bool,
    /// Exact match.
    #[rule(text(usize::MAX))]
    slug: Option<String>,
    #[rule(pages(20, 100))]
    page: Page,
}

pub(super) async fn list(
    caller: Caller<AtLeast<Agent>>,
    Query(query): Query<ListProjects>,
) -> ApiResult<Json<List<Project>>> {
    let status = query.status.or((!query.include_archived).then_some(ACTIVE));
    caller.list(&LIST_PROJECTS, &[&status, &query.slug], &query.page).await.map(Json)
}

one! { pub(super) ProjectDetailResponse { project: ProjectDetail } }

pub(super) async fn show(
    caller: Caller<AtLeast<Agent>>,
    Id(id): Id,
) -> ApiResult<Json<ProjectDetailResponse>> {
    let project = caller.find(SHOW_PROJECT, &[&id]).await?;
    Ok(Json(ProjectDetailResponse { project }))
}

#[derive(Request)]
pub(super) struct ShowProgress {
    /// What it has cost as well.
    #[rule(flag())]
    include_cost: bool,
}

one! { pub(super) ProjectProgressResponse { progress: ProgressAndCost } }

#[derive(Serialize, JsonSchema)]
pub(super) struct ProgressAndCost {
    #[serde(flatten)]
    progress: Progress,
    #[serde(flatten)]
    cost: Option<Cost>,
}

/// What a project has cost: null without usage reports. Its budget is told all the same.
#[derive(Default, Serialize, JsonSchema)]
struct Cost {
    total_cost_millicents: Option<Total>,
    total_input_tokens: Option<Total>,
    total_output_tokens: Option<Total>,
    total_tokens: Option<Total>,
    /// That of the project itself.
    budget_millicents: Option<i64>,
    utilization_pct: Option<Total>,
}

impl Cost {
    fn of(spending: &ProjectSpending) -> Self {
        let budget_millicents = spending.budget_millicents;
        if spending.agents == 0 {
            return Self { budget_millicents, ..Self::default() };
        }
        Self {
            total_cost_millicents: Some(spending.cost_millicents),
            total_input_tokens: Some(spending.input_tokens),
            total_output_tokens: Some(spending.output_tokens),
            total_tokens: Some(spending.input_tokens + spending.output_tokens),
            budget_millicents,
            utilization_pct: spending.utilization_pct(),
        }
    }
}

pub(super) async fn progress(
    caller: Caller<AtLeast<Agent>>,
    Id(id): Id,
    Query(query): Query<ShowProgress>,
) -> ApiResult<Json<ProjectProgressResponse>> {
    let params = [&id as _];
    if !query.include_cost {
        let progress = caller.find(PROJECT_PROGRESS, &params).await?;
        return Ok(Json(ProjectProgressResponse { progress: ProgressAndCost { progress, cost: None } }));
    }
    let (progress, spending) =
        caller.read((PROJECT_PROGRESS.with(&params), PROJECT_SPENDING.with(&params))).await?;
    let progress = progress.into_iter().next().ok_or_else(ApiError::not_found)?;
    let cost = spending.first().map(Cost::of);
    Ok(Json(ProjectProgressResponse { progress: ProgressAndCost { progress, cost } }))
}

/// `PATCH /projects/:id`: every field is optional; an empty string clears what may be empty. The slug never changes.
#[derive(Request)]
pub(super) struct ProjectUpdateRequest {
    #[rule(text(255).shown().filled())]
    name: Option<String>,
    #[rule(text(2048).clearable())]
    repo_url: Option<Option<String>>,
    #[rule(text(50_000).clearable())]
    description: Option<Option<String>>,
    #[rule(text(255).clearable())]
    tech_stack: Option<Option<String>>,
    /// `active`, or, by a user key, `archived`.
    #[rule(word(STATUSES, known_status).strict())]
    status: Option<&'static str>,
    #[rule(text(2000).trimmed().clearable())]
    mission: Option<Option<String>>,
    /// Replaces the whole object.
    #[rule(small_object())]
    metadata: Option<JsonText>,
}

impl ProjectUpdateRequest {
    /// The project after this change.
    fn applied_to(&self, old: &Project) -> Project {
        Project {
            name: self.name.as_ref().unwrap_or(&old.name).clone(),
            repo_url: self.repo_url.as_ref().unwrap_or(&old.repo_url).clone(),
            description: self.description.as_ref().unwrap_or(&old.description).clone(),
            tech_stack: self.tech_stack.as_ref().unwrap_or(&old.tech_stack).clone(),
            status: self.status.unwrap_or(&old.status).to_owned(),
            mission: self.mission.as_ref().unwrap_or(&old.mission).clone(),
            metadata: self.metadata.as_ref().unwrap_or(&old.metadata).clone(),
            ..old.clone()
        }
    }
}

pub(super) async fn update(
    caller: Caller<AtLeast<Orchestrator>>,
    Id(id): Id,
    body: Body<ProjectUpdateRequest>,
) -> ApiResult<Json<ProjectResponse>> {
    let activates = body.valid().is_ok_and(|new| new.status == Some(ACTIVE));
    caller
        .change(async |mut change| {
            // The tenant's lock comes before the project's.
            let limit = if activates { Some(locked_limit(&mut change, MAX_PROJECTS).await?) } else { None };
            change.take_turn(id)?;
            let old = change.found(LOCK_PROJECT_ROW, &[&id]).await?;
            let new = body.valid()?.applied_to(&old);
            if new.status == ARCHIVED && old.status != ARCHIVED {
                AtLeast::<User>::check(caller.role)?;
            }
            if let (Some(limit), ARCHIVED) = (limit, old.status.as_str()) {
                admit_one_more(&mut change, limit).await?;
            }
            let event = updated(&old, &new);
            save(change, new, event).await
        })
        .await
}

pub(super) async fn archive(caller: Caller<AtLeast<User>>, Id(id): Id) -> ApiResult<Json<ProjectResponse>> {
    caller
        .change(async |mut change| {
            change.take_turn(id)?;
            let old = change.found(LOCK_PROJECT_ROW, &[&id]).await?;
            let event = (old.status != ARCHIVED).then(|| {
                let told = json!({"status": ARCHIVED});
                Event::new("project", id, "archived", told).old(json!({"status": old.status}))
            });
            save(change, Project { status: ARCHIVED.to_owned(), ..old }, event).await
        })
        .await
}

/// The audit entry of a change; none when nothing changed.
fn updated(old: &Project, new: &Project) -> Option<Event> {
    let fields = [
        Field::value("name", &old.name, &new.name),
        Field::value("repo_url", &old.repo_url, &new.repo_url),
        Field::value("description", &old.description, &new.description),
        Field::value("tech_stack", &old.tech_stack, &new.tech_stack),
        Field::value("status", &old.status, &new.status),
        Field::value("mission", &old.mission, &new.mission),
        Field::document("metadata", &old.metadata, &new.metadata),
    ];
    Event::updated("project", new.id, &["name", "status"], &fields)
}

/// Writes a locked project with its event; without an event nothing has changed.
async fn save(
    mut change: Change<'_>,
    new: Project,
    event: Option<Event>,
) -> ApiResult<Committed<Json<ProjectResponse>>> {
    let Some(event) = event else { return change.unchanged(Json(ProjectResponse { project: new })).await };
    let params: Params<'_> = &[
        &new.id,
        &new.name,
        &new.repo_url,
        &new.description,
        &new.tech_stack,
        &new.status,
        &new.mission,
        &AsJson(&new.metadata),
    ];
    let project = change.one(UPDATE_PROJECT, params).await?;
    change.tell([event.project(new.id)]);
    change.commit(Json(ProjectResponse { project })).await
}
