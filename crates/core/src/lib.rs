//! The rules of loopctl: no I/O, no async, no clock, no SQL.
//!
//! - [`lifecycle`]: the story state machine, its identity gates, refusals, hints and next actions.
//! - [`graph`]: cycles and cross-level deadlocks in the dependency graph.
//! - [`breakdown`]: the fields of epics and stories that planners write.
//! - [`import`]: validation of an import payload.
//! - [`criteria`]: acceptance criteria, in a story's JSON and as rows.
//! - [`ledger`]: canonical form and leaf hash of an event.
//! - [`fields`]: reading typed fields from JSON with the contract's messages.

pub mod breakdown;
pub mod criteria;
pub mod fields;
pub mod graph;
pub mod import;
pub mod ledger;
pub mod lifecycle;
pub mod number;
pub mod role;
mod words;
