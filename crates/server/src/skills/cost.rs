//! What each version of a skill has cost, and whether the next one made it worse.

use axum::Json;
use loopctl_core::cost::Total;
use loopctl_core::cost::versions::{VersionCost, VersionUsage, compared};
use schemars::JsonSchema;
use serde::Serialize;

use crate::app::{AtLeast, Caller, User};
use crate::db::{Params, Row, column, statements};
use crate::http::{ApiError, ApiResult, Id, List, PagedOrWhole, Query};

statements! {
    SKILL_KNOWN -> bool = "select true from skills where tenant_id = $1 and id = $2";
    /// Versions with reports, from the first one, or one of them (`$3`). Corrections add to the cost, and are no invocations.
    COST_OF_VERSIONS -> VersionSums = "
        select {*}
        from skill_versions v
        join usage_by_day d on d.tenant_id = v.tenant_id and d.skill_version_id = v.id
        join story_states s on s.tenant_id = d.tenant_id and s.id = d.story_id
        where v.tenant_id = $1 and v.skill_id = $2 and ($3::integer is null or v.version = $3)
        group by v.version order by v.version";
}

/// What was reported of a version, and what became of those stories.
#[derive(Debug, Clone, Copy, Row)]
pub(crate) struct VersionSums {
    #[row(sql = "v.version")]
    version: i32,
    #[row(sql = "sum(d.invocations)::bigint")]
    invocations: i64,
    #[row(sql = "sum(d.cost_millicents)")]
    cost_millicents: Total,
    #[row(sql = "count(distinct d.story_id) filter (where s.verified_status = 'verified')")]
    verified: i64,
    #[row(sql = "count(distinct d.story_id) filter (where s.verified_status = 'rejected')")]
    rejected: i64,
}

/// What a version has cost.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SkillCostSummary {
    version_number: i32,
    /// Reports that name it, without corrections.
    total_invocations: i64,
    total_cost_millicents: Total,
    /// Rounded.
    avg_cost_per_invocation_millicents: Total,
}

impl From<VersionSums> for SkillCostSummary {
    fn from(sums: VersionSums) -> Self {
        Self {
            version_number: sums.version,
            total_invocations: sums.invocations,
            total_cost_millicents: sums.cost_millicents,
            avg_cost_per_invocation_millicents: sums.cost_millicents.rounded_share(sums.invocations),
        }
    }
}

/// What a version has cost, beside the one before it that was used.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SkillCostPerformance {
    #[serde(flatten)]
    cost: SkillCostSummary,
    /// Stories of its reports that are verified now.
    stories_verified_count: i64,
    /// Stories of its reports that are rejected now.
    stories_rejected_count: i64,
    /// Of those that are either, rounded; null without any.
    verification_rate_pct: Option<Total>,
    /// How much more an invocation costs than by the version in the row before, rounded; null in the first row, and where that one
    /// has cost nothing.
    cost_change_pct: Option<Total>,
    /// Whether it costs more than twice as much, after three invocations at least.
    cost_regression: bool,
}

/// Versions from the first one, each beside the one before it.
fn rows(versions: Vec<VersionSums>) -> Vec<SkillCostPerformance> {
    let usage = |sums: &VersionSums| VersionUsage {
        invocations: sums.invocations,
        cost_millicents: sums.cost_millicents,
        verified: sums.verified,
        rejected: sums.rejected,
    };
    let costs = compared(&column(&versions, usage));
    let row = |(sums, cost): (VersionSums, VersionCost)| SkillCostPerformance {
        cost: SkillCostSummary::from(sums),
        stories_verified_count: sums.verified,
        stories_rejected_count: sums.rejected,
        verification_rate_pct: cost.verification_rate_pct,
        cost_change_pct: cost.change_pct,
        cost_regression: cost.is_regression,
    };
    versions.into_iter().zip(costs).map(row).collect()
}

pub(super) async fn performance(
    caller: Caller<AtLeast<User>>,
    Id(id): Id,
    Query(query): Query<PagedOrWhole>,
) -> ApiResult<Json<List<SkillCostPerformance>>> {
    let (of_skill, all): (Params<'_>, Params<'_>) = (&[&id], &[&id, &None::<i32>]);
    let (known, versions) = caller.read((SKILL_KNOWN.with(of_skill), COST_OF_VERSIONS.with(all))).await?;
    known.first().ok_or_else(ApiError::not_found)?;
    let rows = rows(versions);
    let meta = query.page.meta(rows.len().try_into().unwrap_or(i64::MAX));
    let place = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
    let (skip, size) = (place(query.page.skip), place(query.page.size));
    Ok(Json(List { data: rows.into_iter().skip(skip).take(size).collect(), meta }))
}
