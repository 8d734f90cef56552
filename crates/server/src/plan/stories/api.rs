//! Lists, changes, deletion and acceptance criteria of stories.

use std::collections::HashMap;

use axum::Json;
use loopctl_core::breakdown::StoryChange;
use loopctl_core::cost::Total;
use loopctl_core::fields::parse_uuid;
use loopctl_core::lifecycle::{AgentStatus, VerifiedStatus};
use loopctl_core::request::{Request, flag, id, text, word};
use schemars::JsonSchema;
use serde::Serialize;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::locks::{LOCK_STORY, LOCK_WITH_DEPENDENTS};
use super::store::{
    CRITERIA, Criterion, DELETE_STORY, LIST_BY_STATUS, LIST_EPIC_STORIES, LIST_HELD, LIST_NUMBERED,
    LIST_STALE, LIST_STORIES, STORY_KNOWN, STORY_PROJECT, Story, UPDATE_STORY, then_find,
};
use super::text::check_metadata;
use super::{CriteriaList, UnderWay, write_criteria};
use crate::app::{Agent, AtLeast, Caller, Identity, Orchestrator, User};
use crate::cost::analytics::TOTALS_OF_STORIES;
use crate::cost::usage::UsageTotals;
use crate::db::{AsJson, Params};
use crate::events::Event;
use crate::http::{ApiError, ApiResult, Body, Id, List, NoContent, Page, Query, limits, one, pages};
use crate::plan::dependencies::STORIES;
use crate::plan::projects::lock_project_of;

/// An unknown status, or one of the other track, is 422.
#[derive(Request)]
struct StatusFilter {
    #[rule(word(AgentStatus::WORDS, AgentStatus::parse))]
    agent_status: Option<AgentStatus>,
    #[rule(word(VerifiedStatus::WORDS, VerifiedStatus::parse))]
    verified_status: Option<VerifiedStatus>,
    /// Members for what each story has cost.
    #[rule(flag())]
    include_token_totals: bool,
}

impl StatusFilter {
    fn words(&self) -> (Option<&'static str>, Option<&'static str>) {
        (self.agent_status.map(AgentStatus::as_str), self.verified_status.map(VerifiedStatus::as_str))
    }

    /// Stories as they are listed: with what they have cost, where that is wanted, which is asked for all of them at once.
    async fn items(&self, caller: &Identity, stories: List<Story>) -> ApiResult<List<StoryItem>> {
        if !self.include_token_totals {
            return Ok(stories.map(|story| StoryItem { story, token_totals: None }));
        }
        let ids: Vec<_> = stories.data.iter().map(|story| story.id).collect();
        let totals = caller.read(TOTALS_OF_STORIES.with(&[&ids])).await?;
        let mut totals: HashMap<_, _> =
            totals.into_iter().map(|of| (of.story_id, of.sums.totals())).collect();
        Ok(stories.map(|story| {
            let token_totals = Some(TokenTotals::of(totals.remove(&story.id)));
            StoryItem { story, token_totals }
        }))
    }
}

/// A story in a list.
#[derive(Serialize, JsonSchema)]
pub(super) struct StoryItem {
    #[serde(flatten)]
    story: Story,
    #[serde(flatten)]
    token_totals: Option<TokenTotals>,
}

/// What a story has cost so far: null without usage reports.
#[derive(Serialize, JsonSchema)]
struct TokenTotals {
    total_tokens: Option<Total>,
    total_cost_millicents: Option<Total>,
    token_totals: Option<UsageTotals>,
}

impl TokenTotals {
    fn of(token_totals: Option<UsageTotals>) -> Self {
        Self {
            total_tokens: token_totals.as_ref().map(|totals| totals.total_tokens),
            total_cost_millicents: token_totals.as_ref().map(|totals| totals.total_cost_millicents),
            token_totals,
        }
    }
}

#[derive(Request)]
pub(super) struct ListStories {
    /// Required, except with `held_by`.
    #[rule(id())]
    project_id: Option<Uuid>,
    #[rule(id())]
    epic_id: Option<Uuid>,
    /// Exactly this number.
    #[rule(text(usize::MAX))]
    number: Option<String>,
    /// Only those under way that this agent is assigned to, or has contracted and nobody has claimed: an agent's id, or `me` for
    /// the one of the key. Of all projects where none is named.
    #[rule(text(usize::MAX))]
    held_by: Option<String>,
    /// Only those whose title or criteria have changed since they were contracted, or verified.
    #[rule(flag())]
    stale: bool,
    #[flatten]
    status: StatusFilter,
    #[rule(limits(100, 500))]
    page: Page,
}

pub(super) async fn list(
    caller: Caller<AtLeast<Agent>>,
    Query(query): Query<ListStories>,
) -> ApiResult<Json<List<StoryItem>>> {
    let ListStories { project_id, epic_id, number, held_by, stale, status, page } = query;
    let (agent, verified) = status.words();
    if let Some(held_by) = held_by {
        let holder = holder(&caller, &held_by)?;
        let filters: Params<'_> = &[&project_id, &epic_id, &agent, &verified, &stale, &number, &holder];
        let stories = caller.list(&LIST_HELD, filters, &page).await?;
        return status.items(&caller, stories).await.map(Json);
    }
    let project_id =
        project_id.ok_or_else(|| ApiError::bad_request("project_id query parameter is required"))?;
    // One text per question, so that each gets the index that fits.
    let filters: [&(dyn ToSql + Sync); 6] = [&project_id, &epic_id, &agent, &verified, &stale, &number];
    let unfiltered = epic_id.is_none() && agent.is_none() && verified.is_none();
    let (list, filters) = match (&number, stale) {
        (Some(_), _) => (&LIST_NUMBERED, &filters[..]),
        (None, true) => (&LIST_STALE, &filters[..4]),
        (None, false) if unfiltered => (&LIST_STORIES, &filters[..1]),
        (None, false) => (&LIST_BY_STATUS, &filters[..4]),
    };
    let stories = caller.list(list, filters, &page).await?;
    status.items(&caller, stories).await.map(Json)
}

/// Whose stories are asked for.
fn holder(caller: &Identity, held_by: &str) -> ApiResult<Uuid> {
    match held_by {
        "me" => caller.agent_id.ok_or_else(|| {
            ApiError::bad_request("held_by=me is for keys of an agent: this key has none, name an agent's id")
        }),
        id => parse_uuid(id).ok_or_else(ApiError::not_found),
    }
}

#[derive(Request)]
pub(super) struct ListEpicStories {
    #[flatten]
    status: StatusFilter,
    #[rule(pages(20, 100))]
    page: Page,
}

pub(super) async fn list_of_epic(
    caller: Caller<AtLeast<Agent>>,
    Id(epic_id): Id,
    Query(query): Query<ListEpicStories>,
) -> ApiResult<Json<List<StoryItem>>> {
    let (agent, verified) = query.status.words();
    let stories = caller.list(&LIST_EPIC_STORIES, &[&epic_id, &agent, &verified], &query.page).await?;
    query.status.items(&caller, stories).await.map(Json)
}

one! { pub(super) StoryResponse { story: Story } }

pub(super) async fn update(
    caller: Caller<AtLeast<Orchestrator>>,
    Id(id): Id,
    body: Body<StoryChange>,
) -> ApiResult<Json<StoryResponse>> {
    caller
        .change(async |mut change| {
            let story = then_find(&mut change, LOCK_STORY.with(&[&id]), id).await?;
            let story = story.ok_or_else(ApiError::not_found)?;
            let old = story.text();
            let sent = body.checked(|sent, errors| check_metadata(&old.metadata, sent, errors))?;
            let new = old.changed(sent);
            let Some(event) = old.updated(id, &new) else {
                return change.unchanged(Json(StoryResponse { story })).await;
            };
            let asks_for_other = if old.asks_the_same(&new) { &[][..] } else { &[id] };
            let under_way = UnderWay::admit(&mut change, asks_for_other).await?;
            let params: Params<'_> = &[
                &id,
                &new.title,
                &new.description,
                &AsJson(&new.acceptance_criteria),
                &new.estimated_hours,
                &AsJson(&new.metadata),
            ];
            let story = then_find(&mut change, UPDATE_STORY.with(params), id).await?;
            let story = story.ok_or_else(ApiError::not_found)?;
            if let Some(criteria) = &sent.acceptance_criteria {
                let list = CriteriaList { story_id: id, criteria, replaces: true };
                write_criteria(&mut change, &[list]).await?;
            }
            let events = [event].into_iter().chain(under_way.changed(id, story.digest()));
            change.tell(events.map(|event| event.project(story.project_id)));
            change.commit(Json(StoryResponse { story })).await
        })
        .await
}

pub(super) async fn delete(caller: Caller<AtLeast<User>>, Id(id): Id) -> ApiResult<NoContent> {
    caller
        .change(async |mut change| {
            let (project_id, _) = lock_project_of(&mut change, STORY_PROJECT, id).await?;
            change.execute(LOCK_WITH_DEPENDENTS, &[&vec![id]]).await?;
            let edges = STORIES.deleted_with(&mut change, &[id]).await?;
            let old = serde_json::json!(change.found(DELETE_STORY, &[&id]).await?);
            change.tell([Event::deleted("story", id, old).project(project_id)]);
            change.tell(edges);
            change.commit(NoContent).await
        })
        .await
}

#[derive(Serialize, JsonSchema)]
pub(super) struct CriteriaOfStory {
    data: Vec<Criterion>,
}

pub(super) async fn acceptance_criteria(
    caller: Caller<AtLeast<Agent>>,
    Id(id): Id,
) -> ApiResult<Json<CriteriaOfStory>> {
    let params = [&id as _];
    let (known, data) = caller.read((STORY_KNOWN.with(&params), CRITERIA.with(&params))).await?;
    known.first().ok_or_else(ApiError::not_found)?;
    Ok(Json(CriteriaOfStory { data }))
}
