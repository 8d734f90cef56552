//! What is read for one answer: no more than an answer may hold, and of what is large one thing after the other.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use deadpool_postgres::Client;
use futures_util::TryStreamExt as _;
use uuid::Uuid;

use super::DbError;
use super::shares::{Share, Shares};
use super::tx::{Fate, Kind, Query, Tx};

/// What an answer may hold that is not streamed, in bytes.
pub(crate) const LARGEST_ANSWER: usize = 16 * 1024 * 1024;

/// What keeps a large answer from being read.
pub(crate) const OTHER_LARGE: &str = "too many large answers are being read";

/// What is read without waiting for a turn, in bytes.
const SMALL: usize = 1024 * 1024;

/// The rows of statements that go together, while they come.
pub(super) struct Reading {
    /// Who may read large answers; None where nothing is gathered into one, and where it is known that it may be large.
    turns: Option<Shares>,
    tenant_id: Uuid,
    fate: Fate,
    /// Whether there may be more of it than an answer holds: then it is for the client to ask for less.
    is_list: bool,
    /// As they came.
    bytes: AtomicUsize,
    /// Taken by what has turned out to be large.
    turn: Mutex<Option<Share>>,
}

impl Reading {
    pub(super) fn of(tx: &Tx) -> Self {
        let (is_list, large, tenant_id) = (tx.kind == Kind::Listing, &tx.db.users.large, tx.tenant_id);
        let is_gathered = is_list || tx.kind == Kind::Reading;
        let turns = (is_gathered && !tx.has(large, tenant_id)).then(|| large.clone());
        let (fate, bytes, turn) = (tx.fate(), AtomicUsize::new(0), Mutex::default());
        Self { turns, tenant_id, fate, is_list, bytes, turn }
    }

    /// The turn, if there had to be one: it lasts until what was read is understood.
    pub(super) fn into_turn(self) -> Option<Share> {
        self.turn.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a statement, at the first poll, and gathers its rows.
    pub(super) async fn rows(
        &self,
        client: &Client,
        (prepared, params): &Query<'_>,
    ) -> Result<Vec<tokio_postgres::Row>, DbError> {
        let mut coming = pin!(client.query_raw(prepared, params.iter().copied()).await?);
        let mut rows = Vec::new();
        while let Some(row) = coming.try_next().await? {
            self.admit(row.raw_size_bytes(), rows.len())?;
            rows.push(row);
        }
        Ok(rows)
    }

    /// One row alone is read whatever it weighs. What has turned out to be large when others are at it waits for them without a connection,
    /// and is read again.
    fn admit(&self, bytes: usize, before: usize) -> Result<(), DbError> {
        let bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if self.is_list && bytes > LARGEST_ANSWER && before > 0 {
            return Err(DbError::TooLarge(before));
        }
        let Some(turns) = self.turns.as_ref().filter(|_| bytes > SMALL) else { return Ok(()) };
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if turn.is_none() {
            let others = || self.fate.wait_for(turns.line(self.tenant_id, OTHER_LARGE));
            *turn = Some(turns.take_now(self.tenant_id, 1).ok_or_else(others)?);
        }
        Ok(())
    }
}
