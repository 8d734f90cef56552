//! Usage by day, for good: recounted from the reports of a day, as often as one likes, until some of those are gone.
//!
//! Whoever deletes or corrects reports marks the summaries that count them ([`mark_stale`]). A day is recounted in a transaction of its
//! own. First it holds what is there of the day, and takes the marks away; then it counts. So who marks something in the meantime waits,
//! or leaves a mark that stays: no deletion is lost between the two.

mod job;
mod store;

use uuid::Uuid;

use crate::db::{DbError, Tx};

pub(super) use job::recount;
pub(crate) use job::roll_up;
pub(crate) use store::STATEMENTS;

/// Marks what counts these reports, of which something was deleted or corrected: it is counted again before anything else.
///
/// # Errors
/// When the database fails.
pub(super) async fn mark_stale(tx: &mut Tx, reports: &[Uuid]) -> Result<(), DbError> {
    tx.execute(store::MARK_STALE, &[&reports]).await
}
