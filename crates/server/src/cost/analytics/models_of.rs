//! What was used of each model, beside what was used in all.

use std::collections::BTreeMap;

use loopctl_core::cost::Total;
use schemars::JsonSchema;
use serde::Serialize;

use super::filter::sums_of;
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

/// What a model is called in answers whose row of the alias `r` has its place among the most expensive ones. Names are whatever somebody
/// reports, and there may be as many as they like: 100 are told, and the others together.
pub(super) const NAMED: &str = "case when r.place <= 100 then r.model_name else '(other)' end";

/// Rows of the alias `r`, which are sums of a model each, added up by what their model is called.
pub(super) const FOLDED: &str = sums_of!("r");

/// Adds up what rows of the alias `m` say of one model each, into the columns of [`ByModel`].
pub(super) const COLLECTED: &str = concat!(
    sums_of!("m"),
    ", array_agg(m.model_name order by m.model_name) as models, array_agg(m.input_tokens order by m.model_name) as input_by_model,
    array_agg(m.output_tokens order by m.model_name) as output_by_model,
    array_agg(m.cost_millicents order by m.model_name) as cost_by_model"
);

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
