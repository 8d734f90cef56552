//! What was used of each model, beside what was used in all.

use std::collections::BTreeMap;

use loopctl_core::cost::Total;
use schemars::JsonSchema;
use serde::Serialize;

use crate::db::Row;

/// What was used of a model.
#[derive(Debug, Clone, Copy, Default, Serialize, JsonSchema)]
pub(crate) struct ModelUsage {
    pub(crate) input_tokens: Total,
    pub(crate) output_tokens: Total,
    pub(crate) cost_millicents: Total,
}

impl ModelUsage {
    pub(super) fn add(&mut self, input_tokens: Total, output_tokens: Total, cost_millicents: Total) {
        self.input_tokens = self.input_tokens + input_tokens;
        self.output_tokens = self.output_tokens + output_tokens;
        self.cost_millicents = self.cost_millicents + cost_millicents;
    }
}

/// Adds up what rows of the alias `m` say of one model each, into the columns of [`ByModel`].
pub(super) const COLLECTED: &str = "
    sum(m.input_tokens) as input_tokens, sum(m.output_tokens) as output_tokens, sum(m.cost_millicents) as cost_millicents,
    sum(m.reports)::bigint as reports,
    array_agg(m.model_name order by m.model_name) as models, array_agg(m.input_tokens order by m.model_name) as input_by_model,
    array_agg(m.output_tokens order by m.model_name) as output_by_model,
    array_agg(m.cost_millicents order by m.model_name) as cost_by_model";

/// Models by name, each with what was used of it.
#[derive(Debug, Row)]
pub(super) struct ByModel {
    models: Vec<String>,
    input_by_model: Vec<Total>,
    output_by_model: Vec<Total>,
    cost_by_model: Vec<Total>,
}

impl ByModel {
    /// As answers have it.
    pub(super) fn breakdown(self) -> BTreeMap<String, ModelUsage> {
        let usage = self.input_by_model.into_iter().zip(self.output_by_model).zip(self.cost_by_model);
        let usage = usage.map(|((input_tokens, output_tokens), cost_millicents)| ModelUsage {
            input_tokens,
            output_tokens,
            cost_millicents,
        });
        self.models.into_iter().zip(usage).collect()
    }
}

/// The model with the most tokens; of several the first by name.
pub(super) fn primary(breakdown: &BTreeMap<String, ModelUsage>) -> Option<&str> {
    let tokens = |usage: &ModelUsage| usage.input_tokens + usage.output_tokens;
    let most = breakdown.values().map(tokens).max()?;
    breakdown.iter().find(|(_, usage)| tokens(usage) == most).map(|(name, _)| name.as_str())
}
