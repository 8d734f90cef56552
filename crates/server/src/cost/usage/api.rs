//! Requests, answers and handlers of usage reports.

use axum::Json;
use loopctl_core::code::Code;
use loopctl_core::cost::budgets::Place;
use loopctl_core::cost::measured::compare::Claimed;
use loopctl_core::json::JsonText;
use loopctl_core::request::{Request, Text, amount, id, integer, small_object, text, uuid, word};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::record::{NewUsage, write_one};
use super::store::{
    KEEP_STORY_OF_USAGE, LIST_USAGE, StoryPlace, TOTALS_OF_STORY, TokenUsageReport, UsageTotals,
};
use crate::app::{Agent, AtLeast, Caller, Change};
use crate::cost::budgets::{DEFAULT_STORY_BUDGET, Held, LOCK_BUDGETS};
use crate::cost::measured::figures::{MeasuredFigures, of_stories};
use crate::db::Params;
use crate::http::{ApiError, ApiResult, Body, Created, Id, Meta, Paged, Query, one};

pub(super) const LABEL: Text = text(255);

/// `phase` where nothing is said.
const OTHER: &str = "other";
pub(super) const PHASES: &[&str] = &["planning", "implementing", "reviewing", OTHER];

pub(super) fn known_phase(word: &str) -> Option<String> {
    PHASES.contains(&word).then(|| word.to_owned())
}

/// What a session of work has used, reported by itself or along with a story.
#[derive(Debug, Clone, Request)]
pub(crate) struct TokenUsage {
    #[rule(amount().required())]
    pub(super) input_tokens: i64,
    #[rule(amount().required())]
    pub(super) output_tokens: i64,
    /// As you call it; there is no list of models.
    #[rule(LABEL.required())]
    pub(super) model_name: String,
    /// 100,000 are one US dollar. You work it out: the server knows no prices.
    #[rule(amount().required())]
    pub(super) cost_millicents: i64,
    /// Default `other`.
    #[rule(word(PHASES, known_phase).or(OTHER.to_owned()))]
    pub(super) phase: String,
    #[rule(LABEL)]
    pub(super) session_id: Option<String>,
    /// The version of a skill by which you worked.
    #[rule(uuid())]
    pub(super) skill_version_id: Option<Uuid>,
    /// Default `{}`.
    #[rule(small_object().or(JsonText::empty_object()))]
    pub(super) metadata: JsonText,
    #[rule(integer().not_negative())]
    pub(super) tool_call_count: Option<i32>,
    /// Length of the reasoning, in tokens.
    #[rule(integer().not_negative())]
    pub(super) cot_length_tokens: Option<i32>,
    #[rule(integer().not_negative())]
    pub(super) tests_run_count: Option<i32>,
}

/// `POST /token-usage`.
#[derive(Request)]
pub(super) struct TokenUsageCreateRequest {
    /// Any story of the tenant, whatever its state and whoever holds it.
    #[rule(id())]
    story_id: Option<Uuid>,
    #[flatten]
    usage: TokenUsage,
}

one! { pub(super) TokenUsageResponse { token_usage_report: TokenUsageReport } }

pub(super) async fn create(
    caller: Caller<AtLeast<Agent>>,
    body: Body<TokenUsageCreateRequest>,
) -> ApiResult<Created<TokenUsageResponse>> {
    let agent_id = caller.agent_id.ok_or_else(|| {
        ApiError::unprocessable(
            Code::AgentRequired,
            "API key must be associated with an agent to report token usage",
        )
    })?;
    let Some(story_id) = body.named()?.story_id else {
        return Err(ApiError::unprocessable(Code::ValidationFailed, "story_id is required"));
    };
    caller
        .change(async |mut change| {
            let (place, mut held) = keep(&mut change, story_id, agent_id).await?;
            body.anyway().usage.check_skill(&mut change).await?;
            let usage = body.valid()?.usage.clone();
            let new = NewUsage::spend(&mut held, place, agent_id, usage);
            let token_usage_report = write_one(&mut change, &held, new).await?;
            change.commit(Created(TokenUsageResponse { token_usage_report })).await
        })
        .await
}

/// Takes the locks under which something is spent for a story: the story's, then those of the budgets that it may count for.
///
/// # Errors
/// 404 without such a story, or when the database fails.
pub(super) async fn keep(
    change: &mut Change<'_>,
    story_id: Uuid,
    agent_id: Uuid,
) -> ApiResult<(Place, Held)> {
    let (stories, agents) = (vec![story_id], vec![agent_id]);
    let (of_story, of_budgets): (Params<'_>, Params<'_>) = (&[&story_id], &[&stories, &agents]);
    let locks =
        (KEEP_STORY_OF_USAGE.with(of_story), LOCK_BUDGETS.with(of_budgets), DEFAULT_STORY_BUDGET.with(&[]));
    let (story, budgets, default) = change.batch(locks).await?;
    let story = story.into_iter().next().ok_or_else(ApiError::not_found)?;
    let StoryPlace { id, project_id, epic_id } = story;
    let place = Place { story_id: id, epic_id, project_id };
    let held = Held::of(change, budgets, default, &[(place, vec![agent_id])]).await?;
    Ok((place, held))
}

/// `GET /stories/:story_id/token-usage`.
#[derive(Serialize, JsonSchema)]
pub(super) struct StoryUsage {
    data: Vec<TokenUsageReport>,
    /// Of the whole story, not of the page.
    totals: UsageTotals,
    /// The same, measured.
    #[serde(flatten)]
    figures: MeasuredFigures,
    meta: Meta,
}

pub(super) async fn list(
    caller: Caller<AtLeast<Agent>>,
    Id(story_id): Id,
    Query(query): Query<Paged>,
) -> ApiResult<Json<StoryUsage>> {
    let page = &query.page;
    let (of_story, of_page): (Params<'_>, Params<'_>) = (&[&story_id], &[&story_id, &page.size, &page.skip]);
    let statements =
        (LIST_USAGE.count.with(of_story), LIST_USAGE.rows.with(of_page), TOTALS_OF_STORY.with(of_story));
    let (count, data, sums) = caller.read(statements).await?;
    let count = count.first().filter(|count| count.known).ok_or_else(ApiError::not_found)?;
    let sums = sums.into_iter().next().ok_or_else(ApiError::internal)?;
    let totals = sums.totals();
    let claimed = Claimed { tokens: totals.total_tokens, cost_millicents: totals.total_cost_millicents };
    let measured = of_stories(&caller, &[story_id]).await?;
    let figures = MeasuredFigures::of(measured.get(&story_id), claimed);
    Ok(Json(StoryUsage { data, totals, figures, meta: page.meta(count.total) }))
}
