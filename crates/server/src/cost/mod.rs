//! What work costs: what agents say of it and what was measured, what may be spent, and what became of it.

pub(crate) mod analytics;
pub(crate) mod anomalies;
pub(crate) mod budgets;
pub(crate) mod measured;
pub(crate) mod period;
pub(crate) mod retention;
pub(crate) mod summaries;
pub(crate) mod usage;
