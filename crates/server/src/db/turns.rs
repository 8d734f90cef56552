//! Turns to write: what a tenant's transactions do last is take its log's head, and the next one has it when this one is
//! committed. Those of one process wait for it here, where waiting costs PostgreSQL nothing; other processes meet on the row.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;
use uuid::Uuid;

use super::{DbError, LOCK_PATIENCE};

type Line = Arc<tokio::sync::Mutex<()>>;

/// A line per tenant that has something to write now.
#[derive(Debug, Clone, Default)]
pub(super) struct Turns(Arc<Mutex<HashMap<Uuid, Line>>>);

/// A tenant's turn, until it is dropped.
pub(super) struct Turn {
    turns: Turns,
    tenant_id: Uuid,
    /// None when the turn is over.
    guard: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    /// Waits in the tenant's line: first come, first served.
    ///
    /// # Errors
    /// When it takes too long.
    pub(super) async fn next(&self, tenant_id: Uuid) -> Result<Turn, DbError> {
        let line = Arc::clone(self.lines().entry(tenant_id).or_default());
        // Before the wait: who leaves the line while waiting is not remembered either.
        let mut turn = Turn { turns: self.clone(), tenant_id, guard: None };
        let Ok(guard) = timeout(LOCK_PATIENCE, line.lock_owned()).await else {
            return Err(DbError::Pool("the tenant's other transactions take too long".to_owned()));
        };
        turn.guard = Some(guard);
        Ok(turn)
    }

    fn lines(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, Line>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    /// A line in which nobody stands is forgotten.
    fn drop(&mut self) {
        self.guard = None;
        let mut lines = self.turns.lines();
        if lines.get(&self.tenant_id).is_some_and(|line| Arc::strong_count(line) == 1) {
            lines.remove(&self.tenant_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_at_a_time_per_tenant_and_nobody_is_remembered() {
        let (turns, mine, other) = (Turns::default(), Uuid::from_u128(1), Uuid::from_u128(2));
        let first = turns.next(mine).await.unwrap();
        let others = turns.next(other).await.unwrap();
        // Who waits too long is told so, and leaves the line.
        assert!(turns.next(mine).await.is_err_and(|error| error.is_unavailable()));
        let second = tokio::spawn({
            let turns = turns.clone();
            async move { turns.next(mine).await.is_ok() }
        });
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        drop((first, others));
        assert!(second.await.unwrap());
        let third = turns.next(mine).await.unwrap();
        let leaving = tokio::spawn({
            let turns = turns.clone();
            async move { turns.next(mine).await.is_ok() }
        });
        tokio::task::yield_now().await;
        leaving.abort();
        assert!(leaving.await.unwrap_err().is_cancelled());
        drop(third);
        assert!(turns.lines().is_empty());
    }
}
