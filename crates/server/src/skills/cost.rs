//! What each version of a skill has cost, and whether the next one made it worse.

use axum::Json;
use loopctl_core::cost::Total;
use schemars::JsonSchema;
use serde::Serialize;

use crate::app::{AtLeast, Caller, User};
use crate::db::{Row, statements};
use crate::http::{ApiError, ApiResult, Id, List, PagedOrWhole, Query};

statements! {
    SKILL_KNOWN -> bool = "select true from skills where tenant_id = $1 and id = $2";
    /// Versions with reports, from the first one. Corrections add to the cost, and are no invocations.
    COST_OF_VERSIONS -> VersionSums = "
        select {*}
        from skill_versions v
        join usage_by_day d on d.tenant_id = v.tenant_id and d.skill_version_id = v.id
        join story_states s on s.tenant_id = d.tenant_id and s.id = d.story_id
        where v.tenant_id = $1 and v.skill_id = $2
        group by v.version order by v.version";
    COST_OF_VERSION -> VersionSums = "
        select {*}
        from skill_versions v
        join usage_by_day d on d.tenant_id = v.tenant_id and d.skill_version_id = v.id
        join story_states s on s.tenant_id = d.tenant_id and s.id = d.story_id
        where v.tenant_id = $1 and v.skill_id = $2 and v.version = $3
        group by v.version";
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

/// From how many invocations on a version is judged.
const ENOUGH: i64 = 3;

fn compared(sums: VersionSums, before: Option<Total>) -> SkillCostPerformance {
    let cost = SkillCostSummary::from(sums);
    let (mean, judged) = (cost.avg_cost_per_invocation_millicents, sums.verified + sums.rejected);
    let before = before.filter(|before| *before > Total::default());
    SkillCostPerformance {
        stories_verified_count: sums.verified,
        stories_rejected_count: sums.rejected,
        verification_rate_pct: Total::from(sums.verified).rounded_percent_of(judged.into()),
        cost_change_pct: before.and_then(|before| (mean - before).rounded_percent_of(before)),
        cost_regression: before.is_some_and(|before| mean > before + before) && sums.invocations >= ENOUGH,
        cost,
    }
}

fn rows(versions: &[VersionSums]) -> Vec<SkillCostPerformance> {
    let mean = |sums: &VersionSums| sums.cost_millicents.rounded_share(sums.invocations);
    let before = std::iter::once(None).chain(versions.iter().map(mean).map(Some));
    versions.iter().zip(before).map(|(sums, before)| compared(*sums, before)).collect()
}

pub(super) async fn performance(
    caller: Caller<AtLeast<User>>,
    Id(id): Id,
    Query(query): Query<PagedOrWhole>,
) -> ApiResult<Json<List<SkillCostPerformance>>> {
    let params = [&id as _];
    let (known, versions) = caller.read((SKILL_KNOWN.with(&params), COST_OF_VERSIONS.with(&params))).await?;
    known.first().ok_or_else(ApiError::not_found)?;
    let rows = rows(&versions);
    let meta = query.page.meta(rows.len().try_into().unwrap_or(i64::MAX));
    let place = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
    let (skip, size) = (place(query.page.skip), place(query.page.size));
    Ok(Json(List { data: rows.into_iter().skip(skip).take(size).collect(), meta }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(version: i32, invocations: i64, cost: i64) -> VersionSums {
        VersionSums { version, invocations, cost_millicents: cost.into(), verified: 2, rejected: 1 }
    }

    /// The second of two rows: how much more it costs, and whether that is too much.
    fn second(first: (i64, i64), second: (i64, i64)) -> (Option<i128>, bool) {
        let told = rows(&[version(1, first.0, first.1), version(4, second.0, second.1)]);
        assert_eq!((told[0].cost_change_pct, told[0].cost_regression), (None, false));
        (told[1].cost_change_pct.map(|change| change.0), told[1].cost_regression)
    }

    #[test]
    fn a_version_is_compared_with_the_row_before() {
        assert_eq!(second((2, 60_000), (5, 400_000)), (Some(167), true));
        assert_eq!(second((2, 60_000), (2, 160_000)), (Some(167), false), "too few");
        assert_eq!(second((1, 1000), (3, 4500)), (Some(50), false));
        assert_eq!(second((1, 1000), (3, 6000)), (Some(100), false), "exactly twice");
        assert_eq!(second((3, 3000), (3, 9000)), (Some(200), true));
        assert_eq!(second((1, 1000), (3, 1500)), (Some(-50), false));
        assert_eq!(second((1, 0), (3, 9000)), (None, false));
        // Corrections alone are no invocation.
        assert_eq!(second((0, 900), (3, 9000)), (None, false));
        assert_eq!(rows(&[version(1, 3, 10)])[0].verification_rate_pct, Some(Total(67)));
    }
}
