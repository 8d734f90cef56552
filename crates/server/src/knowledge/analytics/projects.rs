//! What was read for a project.

use std::collections::BTreeMap;

use axum::Json;
use chrono::NaiveDate;
use loopctl_core::request::Request;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::asked::{ReadArticle, Sums, sums_from, top_from, up_to_date};
use crate::app::{AtLeast, Caller, Orchestrator};
use crate::db::{Params, Row, statements};
use crate::http::{ApiError, ApiResult, Id, Query, clamped};

statements! {
    /// Keys of no agent are of nobody.
    READING_PROJECT -> ReadingProject = "
        select {*} from projects p where p.tenant_id = $1 and p.id = $3";
    READS_OF_PROJECT -> Sums = sums_from!("article_access_events e
        where e.tenant_id = $1 and e.accessed_at >= now() - make_interval(days => $2) and e.project_id = $3");
    TOP_OF_PROJECT -> ReadArticle = top_from!("article_access_events e
        where e.tenant_id = $1 and e.accessed_at >= now() - make_interval(days => $2) and e.project_id = $4");
    /// The days of UTC up to today, with those on which nothing was read.
    READS_BY_DAY -> DailyReads = "
        select {*} from (
            select (now() at time zone 'utc')::date - ago as date from generate_series($2::integer - 1, 0, -1) ago) d
        left join (
            select (e.accessed_at at time zone 'utc')::date as of_day, count(*) as reads from article_access_events e
            where e.tenant_id = $1 and e.project_id = $3
              and e.accessed_at >= ((now() at time zone 'utc')::date - ($2::integer - 1))::timestamp at time zone 'utc'
            group by 1) r on r.of_day = d.date
        order by d.date";
}

/// The project itself, and how many agents read for it.
#[derive(Debug, Row)]
pub(crate) struct ReadingProject {
    name: String,
    #[row(sql = "(select count(distinct k.agent_id) from article_access_events e
                  join api_keys k on k.tenant_id = $1 and k.id = e.api_key_id
                  where e.tenant_id = $1 and e.project_id = $3
                    and e.accessed_at >= now() - make_interval(days => $2))")]
    unique_agents: i64,
}

/// What was read on a day.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(crate) struct DailyReads {
    /// In UTC.
    date: NaiveDate,
    #[row(sql = "coalesce(r.reads, 0)")]
    read_count: i64,
}

#[derive(Request)]
pub(super) struct ProjectUsageQuery {
    /// How many articles.
    #[rule(clamped(20, 1, 100))]
    limit: i32,
    /// Of how many days, up to now.
    #[rule(clamped(7, 1, 365))]
    since_days: i32,
}

/// What was read for a project.
#[derive(Serialize, JsonSchema)]
pub(super) struct ProjectUsageResponse {
    data: ProjectUsage,
    meta: ProjectUsageMeta,
}

/// Which days were asked for.
#[derive(Serialize, JsonSchema)]
struct ProjectUsageMeta {
    since_days: i32,
}

/// What was read for a project.
#[derive(Serialize, JsonSchema)]
struct ProjectUsage {
    project_id: Uuid,
    project_name: String,
    total_reads: i64,
    unique_articles: i64,
    unique_api_keys: i64,
    /// Without keys of no agent.
    unique_agents: i64,
    access_by_type: BTreeMap<&'static str, i64>,
    /// The most read first.
    top_articles: Vec<ReadArticle>,
    /// One for each day up to today, in UTC.
    daily_series: Vec<DailyReads>,
}

pub(super) async fn show(
    caller: Caller<AtLeast<Orchestrator>>,
    Id(project_id): Id,
    Query(ProjectUsageQuery { limit, since_days }): Query<ProjectUsageQuery>,
) -> ApiResult<Json<ProjectUsageResponse>> {
    up_to_date(&caller).await;
    let of_project: Params<'_> = &[&since_days, &project_id];
    let top: Params<'_> = &[&since_days, &limit, &project_id];
    let asked = (
        READING_PROJECT.with(of_project),
        READS_OF_PROJECT.with(of_project),
        TOP_OF_PROJECT.with(top),
        READS_BY_DAY.with(of_project),
    );
    let (project, sums, top_articles, daily_series) = caller.read(asked).await?;
    let project = project.into_iter().next().ok_or_else(ApiError::not_found)?;
    let sums = sums.into_iter().next().ok_or_else(ApiError::internal)?;
    let data = ProjectUsage {
        project_id,
        project_name: project.name,
        total_reads: sums.total_reads,
        unique_articles: sums.unique_articles,
        unique_api_keys: sums.unique_keys,
        unique_agents: project.unique_agents,
        access_by_type: sums.by_type(),
        top_articles,
        daily_series,
    };
    Ok(Json(ProjectUsageResponse { data, meta: ProjectUsageMeta { since_days } }))
}
