//! Usage by day, for good: recounted from the reports of a day, as often as one likes, until some of those are gone.
//!
//! Whoever deletes or corrects reports marks the summaries that count them ([`store::MARK_STALE`]). A day is recounted in a transaction of its
//! own. First it holds what is there of the day, and takes the marks away; then it counts. So who marks something in the meantime waits,
//! or leaves a mark that stays: no deletion is lost between the two.

mod job;
mod store;

pub(super) use job::recount;
pub(crate) use job::roll_up;
pub(crate) use store::STATEMENTS;
