//! The rules of loopctl: no I/O, no async, no clock, no SQL.
//!
//! - [`lifecycle`]: the story state machine, its identity gates, refusals, hints and next actions.
//! - [`graph`]: cycles and cross-level deadlocks in the dependency graph.
//! - [`breakdown`]: the fields of epics and stories that planners write.
//! - [`import`]: validation of an import payload.
//! - [`criteria`]: acceptance criteria, in a story's JSON and as rows.
//! - [`ledger`]: canonical form and leaf hash of an event.
//! - [`code`]: the stable words of everything that is refused or fails.
//! - [`attempts`]: how often one client without a key may try something.
//! - [`cost`]: money and tokens, and what budgets say of them.
//! - [`request`]: what requests may hold, as rules that read a field and describe it; [`fields`] is what they read from.
//! - [`moment`]: moments in a query, as people and programs write them.
//! - [`schedule`]: when what is done regularly is done next, and how long after a failure something is tried again.
//! - [`rate`]: how many requests keys and tenants may make within a minute.
//! - [`webhooks`]: where webhooks may lead, and what they may be told.
//! - [`json`]: JSON that is kept as its text.

// The derive of requests names this crate from wherever it is used, here as well.
extern crate self as loopctl_core;

pub mod attempts;
pub mod breakdown;
pub mod code;
pub mod cost;
pub mod criteria;
pub mod fields;
pub mod graph;
pub mod import;
pub mod json;
pub mod knowledge;
pub mod ledger;
pub mod lifecycle;
pub mod moment;
pub mod number;
pub mod rate;
pub mod request;
pub mod role;
pub mod schedule;
pub mod webhooks;
mod words;
