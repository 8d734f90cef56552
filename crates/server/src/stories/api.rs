//! Lists, detail and acceptance criteria of stories (file 03 §5.5-§5.7, file 02 §7.3).

use axum::Json;
use axum::extract::State;
use loopctl_core::lifecycle::{AgentStatus, VerifiedStatus};
use serde::Serialize;
use serde_json::{Value, json};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Story;
use super::store::{
    COUNT_EPIC_STORIES, COUNT_STORIES, CRITERIA, LATEST_VERIFICATION, LIST_EPIC_STORIES, LIST_STORIES,
    RECENT_ARTIFACTS, SHOW_STORY, STORY_PREREQUISITES,
};
use crate::App;
use crate::artifacts::ArtifactReport;
use crate::db::{DbError, Statement, Timestamp};
use crate::http::caller::Agent;
use crate::http::page::Style;
use crate::http::{ApiError, ApiResult, AtLeast, Caller, Id, List, Page, Query};
use crate::trust_loop::{NextStep, VerificationResult, next_steps};

/// A story with its surroundings.
#[derive(Debug, Serialize, ToSchema)]
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

/// A story in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StoryItem {
    #[serde(flatten)]
    story: Story,
    /// Only with `include_token_totals`.
    #[serde(flatten)]
    token_totals: Option<TokenTotals>,
}

/// What a story has cost so far: null without usage reports (file 03 §5.6), and there are none yet.
#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
struct TokenTotals {
    total_tokens: Option<i64>,
    total_cost_millicents: Option<i64>,
    #[schema(value_type = Option<Object>)]
    token_totals: Option<i64>,
}

#[derive(Debug, Serialize, ToSchema)]
struct DependencyEdge {
    story_id: Uuid,
    depends_on_story_id: Uuid,
}

/// A criterion of a story.
#[derive(Debug, Serialize, ToSchema)]
struct Criterion {
    id: Uuid,
    ac_id: String,
    description: String,
    #[schema(value_type = Object)]
    verification_criterion: Value,
    /// `pending`, `verified`, `failed` or `unverifiable`.
    status: String,
    #[schema(value_type = Option<String>, format = DateTime)]
    verified_at: Option<Timestamp>,
    evidence_path: Option<String>,
}

/// A project's stories in order. Numbers compare as numbers.
#[utoipa::path(get, path = "/api/v1/stories", tag = "Stories",
    description = "A project's stories in order; `limit` and `page_size` are interchangeable.",
    params(("project_id" = Uuid, Query), ("epic_id" = Option<Uuid>, Query), ("agent_status" = Option<String>, Query),
           ("verified_status" = Option<String>, Query), ("number" = Option<String>, Query, description = "Exact match"),
           ("limit" = Option<i64>, Query, description = "Default 100, at most 500; `page_size` is an alias"),
           ("offset" = Option<i64>, Query), ("page" = Option<i64>, Query),
           ("include_token_totals" = Option<bool>, Query)),
    responses((status = 200, body = List<StoryItem>), (status = 400), (status = 422)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller<AtLeast<Agent>>,
    query: Query,
) -> ApiResult<Json<List<StoryItem>>> {
    let page = Page::new(&query, Style::limit(100, 500));
    let project_id = query
        .id("project_id")?
        .ok_or_else(|| ApiError::bad_request("project_id query parameter is required"))?;
    let epic_id = query.id("epic_id")?;
    let (agent_status, verified_status) = status_filters(&query)?;
    let number = query.text("number");
    let filters: [&(dyn ToSql + Sync); 6] =
        [&caller.tenant_id, &project_id, &epic_id, &agent_status, &verified_status, &number];
    let mut params = filters.to_vec();
    params.extend([&page.size as &(dyn ToSql + Sync), &page.skip]);
    let tx = app.db.tenant(caller.tenant_id).await?;
    let (count, rows) = tx
        .finish_list(
            Statement { sql: COUNT_STORIES, params: &filters },
            Statement { sql: LIST_STORIES, params: &params },
        )
        .await?;
    Ok(Json(List { data: items(&rows, &query)?, meta: page.meta(count.try_get("total")?) }))
}

/// An epic's stories in number order.
#[utoipa::path(get, path = "/api/v1/epics/{epic_id}/stories", tag = "Stories",
    description = "An epic's stories in number order; `limit` and `page_size` are interchangeable.",
    params(("epic_id" = Uuid, Path), ("agent_status" = Option<String>, Query),
           ("verified_status" = Option<String>, Query), ("page" = Option<i64>, Query),
           ("page_size" = Option<i64>, Query), ("include_token_totals" = Option<bool>, Query)),
    responses((status = 200, body = List<StoryItem>), (status = 404), (status = 422)))]
pub(super) async fn list_of_epic(
    State(app): State<App>,
    caller: Caller<AtLeast<Agent>>,
    Id(epic_id): Id,
    query: Query,
) -> ApiResult<Json<List<StoryItem>>> {
    let page = Page::new(&query, Style::page(20, 100));
    let (agent_status, verified_status) = status_filters(&query)?;
    let filters: [&(dyn ToSql + Sync); 4] = [&caller.tenant_id, &epic_id, &agent_status, &verified_status];
    let mut params = filters.to_vec();
    params.extend([&page.size as &(dyn ToSql + Sync), &page.skip]);
    let tx = app.db.tenant(caller.tenant_id).await?;
    let (count, rows) = tx
        .finish_list(
            Statement { sql: COUNT_EPIC_STORIES, params: &filters },
            Statement { sql: LIST_EPIC_STORIES, params: &params },
        )
        .await?;
    if !count.try_get::<_, bool>("known")? {
        return Err(ApiError::not_found());
    }
    Ok(Json(List { data: items(&rows, &query)?, meta: page.meta(count.try_get("total")?) }))
}

/// `agent_status` and `verified_status`; an unknown word, or one of the other track, is 422.
fn status_filters(query: &Query) -> ApiResult<(Option<&'static str>, Option<&'static str>)> {
    let agent = query.word("agent_status", AgentStatus::parse)?.map(AgentStatus::as_str);
    let verified = query.word("verified_status", VerifiedStatus::parse)?.map(VerifiedStatus::as_str);
    Ok((agent, verified))
}

fn items(rows: &[Row], query: &Query) -> Result<Vec<StoryItem>, DbError> {
    let token_totals = query.flag("include_token_totals").then(TokenTotals::default);
    let item = |row| Ok(StoryItem { story: Story::read(row)?, token_totals });
    rows.iter().map(item).collect()
}

/// One story with its prerequisites, artifacts and latest verification, and what the caller can do next.
#[utoipa::path(get, path = "/api/v1/stories/{id}", tag = "Stories", params(("id" = Uuid, Path)),
    responses((status = 200, body = StoryDetail, description = "`{\"story\": …, \"next_actions\": […]}`"), (status = 404)))]
pub(super) async fn show(
    State(app): State<App>,
    caller: Caller<AtLeast<Agent>>,
    Id(id): Id,
) -> ApiResult<Json<Value>> {
    let params: &[&(dyn ToSql + Sync)] = &[&caller.tenant_id, &id];
    let tx = app.db.tenant(caller.tenant_id).await?;
    let answers = tx
        .finish(&[
            Statement { sql: SHOW_STORY, params },
            Statement { sql: STORY_PREREQUISITES, params },
            Statement { sql: RECENT_ARTIFACTS, params },
            Statement { sql: LATEST_VERIFICATION, params },
        ])
        .await?;
    let [stories, prerequisites, artifacts, verifications] = answers.as_slice() else {
        return Err(ApiError::internal());
    };
    let row = stories.first().ok_or_else(ApiError::not_found)?;
    let story = Story::read(row)?;
    let facts = loopctl_core::lifecycle::Facts { reviewed: row.try_get("reviewed")?, ..story.facts() };
    let next: Vec<NextStep> = next_steps(&facts, &caller.actor(), id, &app.public_url);
    let detail = StoryDetail {
        story,
        dependencies: prerequisites
            .iter()
            .map(|row| {
                Ok(DependencyEdge { story_id: id, depends_on_story_id: row.try_get("depends_on_story_id")? })
            })
            .collect::<Result<_, DbError>>()?,
        artifacts: artifacts.iter().map(ArtifactReport::read).collect::<Result<_, _>>()?,
        latest_verification: verifications.first().map(VerificationResult::read).transpose()?,
        iteration_count: row.try_get("iteration_count")?,
        project_mission: row.try_get("mission")?,
    };
    Ok(Json(json!({"story": detail, "next_actions": next})))
}

/// A story's acceptance criteria, one by one, in the order of its list.
#[utoipa::path(get, path = "/api/v1/stories/{story_id}/acceptance_criteria", tag = "Stories",
    params(("story_id" = Uuid, Path)),
    responses((status = 200, body = Vec<Criterion>, description = "`{\"data\": […]}`"), (status = 404)))]
pub(super) async fn acceptance_criteria(
    State(app): State<App>,
    caller: Caller<AtLeast<Agent>>,
    Id(id): Id,
) -> ApiResult<Json<Value>> {
    let tx = app.db.tenant(caller.tenant_id).await?;
    let rows = tx.finish_query(CRITERIA, &[&caller.tenant_id, &id]).await?;
    if rows.is_empty() {
        return Err(ApiError::not_found());
    }
    let mut criteria = Vec::with_capacity(rows.len());
    for row in &rows {
        // The one row of a story without criteria has none.
        let Some(id) = row.try_get("id")? else { continue };
        criteria.push(Criterion {
            id,
            ac_id: row.try_get("ac_id")?,
            description: row.try_get("description")?,
            verification_criterion: row.try_get("verification_criterion")?,
            status: row.try_get("status")?,
            verified_at: row.try_get("verified_at")?,
            evidence_path: row.try_get("evidence_path")?,
        });
    }
    Ok(Json(json!({"data": criteria})))
}
