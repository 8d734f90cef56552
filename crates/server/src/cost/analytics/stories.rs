//! What each of some stories has cost.

use loopctl_core::cost::Total;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::db::{Row, statements};

statements! {
    /// A story without reports yields no row.
    TOTALS_OF_STORIES -> TotalsOfStory = "
        select {*} from usage_by_day d where d.tenant_id = $1 and d.story_id = any($2) group by d.story_id";
}

/// What was reported of a story.
#[derive(Debug, Clone, Copy, Row)]
pub(crate) struct TotalsOfStory {
    #[row(sql = "d.story_id")]
    pub(crate) story_id: Uuid,
    #[row(flatten)]
    pub(crate) sums: UsageSums,
}

/// What was reported of something altogether.
#[derive(Debug, Clone, Copy, Row)]
pub(crate) struct UsageSums {
    #[row(sql = "coalesce(sum(d.input_tokens), 0)")]
    input_tokens: Total,
    #[row(sql = "coalesce(sum(d.output_tokens), 0)")]
    output_tokens: Total,
    #[row(sql = "coalesce(sum(d.cost_millicents), 0)")]
    pub(crate) cost_millicents: Total,
    #[row(sql = "coalesce(sum(d.reports), 0)::bigint")]
    reports: i64,
}

/// What was reported of something altogether, as it is told.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct UsageTotals {
    total_input_tokens: Total,
    total_output_tokens: Total,
    pub(crate) total_tokens: Total,
    pub(crate) total_cost_millicents: Total,
    total_cost_dollars: String,
    /// Corrections included.
    report_count: i64,
}

impl UsageSums {
    /// As it is told.
    pub(crate) fn totals(self) -> UsageTotals {
        UsageTotals {
            total_input_tokens: self.input_tokens,
            total_output_tokens: self.output_tokens,
            total_tokens: self.input_tokens + self.output_tokens,
            total_cost_millicents: self.cost_millicents,
            total_cost_dollars: self.cost_millicents.dollars(),
            report_count: self.reports,
        }
    }
}
