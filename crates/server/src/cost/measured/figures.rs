//! What views show of what was measured, beside what is claimed.

use std::collections::HashMap;

use loopctl_core::cost::Total;
use loopctl_core::cost::measured::compare::{self, Claimed};
use loopctl_core::cost::measured::millicents;
use schemars::JsonSchema;
use serde::Serialize;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::store::{MEASURED_OF_AGENTS, MEASURED_OF_PROJECTS, MEASURED_OF_STORIES, MeasuredSums};
use crate::app::Identity;
use crate::http::ApiResult;

/// What was measured.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Measured {
    /// Without what a cache was used for.
    input_tokens: Total,
    output_tokens: Total,
    /// Null where the tool tells no cost.
    cost_millicents: Option<Total>,
}

/// What was measured, beside what is claimed: members of a view.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct MeasuredFigures {
    /// Null where nothing was.
    measured: Option<Measured>,
    /// Measured; not among `input_tokens`.
    cache_read_tokens: Total,
    /// Measured; not among `input_tokens`.
    cache_creation_tokens: Total,
    /// How many times what is claimed was measured, with two decimals: of the cost, or of tokens where one of both tells no cost. Null
    /// where there is nothing to compare.
    measured_ratio: Option<String>,
}

impl MeasuredFigures {
    /// Of what was measured, if anything was, beside what is claimed.
    pub(crate) fn of(sums: Option<&MeasuredSums>, claimed: Claimed) -> Self {
        let measured = sums.filter(|sums| sums.has_tokens || sums.has_cost).map(|sums| Measured {
            input_tokens: sums.input_tokens,
            output_tokens: sums.output_tokens,
            cost_millicents: sums.has_cost.then(|| millicents(sums.cost_picodollars)),
        });
        Self {
            measured,
            cache_read_tokens: sums.map(|sums| sums.cache_read_tokens).unwrap_or_default(),
            cache_creation_tokens: sums.map(|sums| sums.cache_creation_tokens).unwrap_or_default(),
            measured_ratio: sums.and_then(|sums| compare::ratio(sums.compared(), claimed)),
        }
    }
}

impl MeasuredSums {
    /// As it is compared with what is claimed.
    pub(crate) fn compared(&self) -> compare::Measured {
        compare::Measured {
            tokens: self.input_tokens + self.output_tokens,
            cost_picodollars: self.cost_picodollars,
        }
    }
}

/// By story; those of which nothing was measured are not there.
///
/// # Errors
/// When the database fails.
pub(crate) async fn of_stories(caller: &Identity, ids: &[Uuid]) -> ApiResult<HashMap<Uuid, MeasuredSums>> {
    Ok(by_id(caller.read(MEASURED_OF_STORIES.with(&[&ids])).await?))
}

/// By agent, within a project or, where that is null, everywhere, and from a day to another, both included.
///
/// # Errors
/// When the database fails.
pub(crate) async fn of_agents(
    caller: &Identity,
    ids: &[Uuid],
    project_and_days: [&(dyn ToSql + Sync); 3],
) -> ApiResult<HashMap<Uuid, MeasuredSums>> {
    let [project_id, since, until] = project_and_days;
    Ok(by_id(caller.read(MEASURED_OF_AGENTS.with(&[&ids, project_id, since, until])).await?))
}

/// By project.
///
/// # Errors
/// When the database fails.
pub(crate) async fn of_projects(caller: &Identity, ids: &[Uuid]) -> ApiResult<HashMap<Uuid, MeasuredSums>> {
    Ok(by_id(caller.read(MEASURED_OF_PROJECTS.with(&[&ids])).await?))
}

fn by_id(sums: Vec<MeasuredSums>) -> HashMap<Uuid, MeasuredSums> {
    sums.into_iter().map(|sums| (sums.id, sums)).collect()
}
