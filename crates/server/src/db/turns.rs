//! Turns: what one after the other has to do in any case. What a tenant's transactions do last is take its log's head, and the next
//! one has it when this one is committed. Those of one process wait for it here, where waiting costs PostgreSQL nothing; other
//! processes meet on the row.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;
use uuid::Uuid;

use super::LOCK_PATIENCE;

type Line = Arc<tokio::sync::Mutex<()>>;

/// A line per thing that somebody wants now, such as a tenant's log.
#[derive(Debug, Clone, Default)]
pub(crate) struct Turns(Arc<Mutex<HashMap<Uuid, Line>>>);

/// Somebody's turn, until it is dropped.
pub(crate) struct Turn {
    turns: Turns,
    of: Uuid,
    /// None when the turn is over.
    guard: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    /// Waits in line: first come, first served. None when it takes too long.
    pub(crate) async fn next(&self, of: Uuid) -> Option<Turn> {
        let line = Arc::clone(self.lines().entry(of).or_default());
        // Before the wait: who leaves the line while waiting is not remembered either.
        let mut turn = Turn { turns: self.clone(), of, guard: None };
        turn.guard = Some(timeout(LOCK_PATIENCE, line.lock_owned()).await.ok()?);
        Some(turn)
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
        if lines.get(&self.of).is_some_and(|line| Arc::strong_count(line) == 1) {
            lines.remove(&self.of);
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
        assert!(turns.next(mine).await.is_none());
        let second = tokio::spawn({
            let turns = turns.clone();
            async move { turns.next(mine).await.is_some() }
        });
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        drop((first, others));
        assert!(second.await.unwrap());
        let third = turns.next(mine).await.unwrap();
        let leaving = tokio::spawn({
            let turns = turns.clone();
            async move { turns.next(mine).await.is_some() }
        });
        tokio::task::yield_now().await;
        leaving.abort();
        assert!(leaving.await.unwrap_err().is_cancelled());
        drop(third);
        assert!(turns.lines().is_empty());
    }
}
