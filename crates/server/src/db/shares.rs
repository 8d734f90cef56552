//! Shares: of what there is only so much, one tenant may not have everything. Whoever asks for more than the share of theirs waits in
//! a line of their own, where waiting costs nobody anything. A share of one is a turn: what one after the other has to do in any case.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::{DbError, LOCK_PATIENCE};

/// A turn after which there is no pause.
const SHORT: Duration = Duration::from_millis(1);

/// Of those who have something, or wait.
#[derive(Debug, Default)]
struct Lines(Mutex<HashMap<Uuid, Arc<Semaphore>>>);

/// So much of something for each, and so much for all of them.
#[derive(Debug, Clone)]
pub(crate) struct Shares {
    lines: Arc<Lines>,
    each: u32,
    /// How many of each may have something or wait at the same time.
    most: usize,
    all: Arc<Semaphore>,
    pauses: Option<Pauses>,
}

/// Where a turn keeps a processor busy.
#[derive(Debug, Clone)]
struct Pauses {
    /// Who else is served.
    others: Arc<Lines>,
    longest: Duration,
}

/// What somebody has, until it is dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct Share {
    lines: Arc<Lines>,
    of: Uuid,
    /// None when it is over.
    own: Option<OwnedSemaphorePermit>,
    of_all: Option<OwnedSemaphorePermit>,
    /// Not set as long as nothing is done with it.
    since: OnceLock<Instant>,
    pauses: Option<Pauses>,
}

/// A line that somebody has to stand in, who has given back everything else.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    shares: Shares,
    of: Uuid,
    /// Why their turn has not come, if it does not.
    why: &'static str,
}

impl Line {
    /// Why somebody waits in it.
    pub(crate) const fn why(&self) -> &'static str {
        self.why
    }

    /// The turn, when it comes. It has to [begin](Share::begin) yet.
    ///
    /// # Errors
    /// When it does not come in time.
    pub(crate) async fn turn(&self) -> Result<Share, DbError> {
        let mut turn = self.shares.turn(self.of).await.ok_or(DbError::Overloaded(self.why))?;
        turn.since = OnceLock::new();
        Ok(turn)
    }
}

impl Shares {
    /// So much for each, however many there are.
    pub(crate) fn of(each: u32) -> Self {
        Self::within(each, Semaphore::MAX_PERMITS)
    }

    /// So much for each, and so much for all of them.
    pub(crate) fn within(each: u32, all: usize) -> Self {
        let each = each.clamp(1, u32::try_from(all).unwrap_or(u32::MAX));
        Self {
            lines: Arc::default(),
            each,
            most: usize::MAX,
            all: Arc::new(Semaphore::new(all)),
            pauses: None,
        }
    }

    /// Of each no more than so many have something or wait; further ones get nothing at once. For lines in which standing costs something.
    #[must_use]
    pub(crate) fn with_at_most(self, most: usize) -> Self {
        Self { most, ..self }
    }

    /// Beside others who are served, which those who have something of `among` are, somebody has these for the same part of the time as each
    /// of them: the next one begins as long after the last one as that took, for each of the others, but no later than that.
    #[must_use]
    pub(crate) fn with_pauses_for(self, among: &Self, longest: Duration) -> Self {
        Self { pauses: Some(Pauses { others: Arc::clone(&among.lines), longest }), ..self }
    }

    /// How much each may have.
    pub(crate) const fn each(&self) -> u32 {
        self.each
    }

    /// Turns: one at a time for each.
    pub(crate) fn turns() -> Self {
        Self::of(1)
    }

    /// Waits in line: first come, first served. Who asks for more than there is for each gets all of that. None when it takes too long, and
    /// when the line is too long.
    pub(crate) async fn take(&self, of: Uuid, amount: u32, patience: Duration) -> Option<Share> {
        let (line, mut share) = self.stand(of)?;
        let amount = amount.min(self.each);
        let taking = async {
            share.own = line.acquire_many_owned(amount).await.ok();
            share.of_all = Arc::clone(&self.all).acquire_many_owned(amount).await.ok();
        };
        timeout(patience, taking).await.ok()?;
        share.begin();
        (share.own.is_some() && share.of_all.is_some()).then_some(share)
    }

    /// Waits for somebody's turn for as long as PostgreSQL lets anybody wait for a lock, after the longest pause that there may be.
    pub(crate) async fn turn(&self, of: Uuid) -> Option<Share> {
        let pause = self.pauses.as_ref().map_or(Duration::ZERO, |pauses| pauses.longest);
        self.take(of, 1, pause + LOCK_PATIENCE).await
    }

    /// Where somebody waits for their turn, and what they are told when it does not come.
    pub(crate) fn line(&self, of: Uuid, why: &'static str) -> Line {
        Line { shares: self.clone(), of, why }
    }

    /// As [`Self::take`], without waiting. None when it would have to.
    pub(crate) fn take_now(&self, of: Uuid, amount: u32) -> Option<Share> {
        let (line, mut share) = self.stand(of)?;
        let amount = amount.min(self.each);
        share.own = Some(line.try_acquire_many_owned(amount).ok()?);
        share.of_all = Some(Arc::clone(&self.all).try_acquire_many_owned(amount).ok()?);
        share.begin();
        Some(share)
    }

    /// Somebody's line, and what they have as yet; None when it is too long. Who leaves the line while waiting is not remembered either.
    fn stand(&self, of: Uuid) -> Option<(Arc<Semaphore>, Share)> {
        let whole = || Arc::new(Semaphore::new(self.each as usize));
        let line = Arc::clone(self.lines.lock().entry(of).or_insert_with(whole));
        let (lines, pauses) = (Arc::clone(&self.lines), self.pauses.clone());
        let share = Share { lines, of, own: None, of_all: None, since: OnceLock::new(), pauses };
        // All who stand in it hold it, and so does the map.
        (Arc::strong_count(&line) - 1 <= self.most).then_some((line, share))
    }
}

impl Lines {
    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<Semaphore>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// How long its line waits for its next turn.
    fn pause(&self) -> Duration {
        let Some(Pauses { others, longest }) = self.pauses.as_ref().filter(|_| self.of_all.is_some()) else {
            return Duration::ZERO;
        };
        let took = self.since.get().map_or(Duration::ZERO, Instant::elapsed);
        if took < SHORT {
            return Duration::ZERO;
        }
        let others = others.lock().keys().filter(|of| **of != self.of).count();
        took.saturating_mul(u32::try_from(others).unwrap_or(u32::MAX)).min(*longest)
    }

    /// From here on something is done with it, unless that has begun before.
    pub(crate) fn begin(&self) {
        self.since.get_or_init(Instant::now);
    }

    /// Whether it is one of these, and whose.
    pub(crate) fn is_of(&self, shares: &Shares, of: Uuid) -> bool {
        self.of == of && Arc::ptr_eq(&self.lines, &shares.lines)
    }
}

impl Drop for Share {
    /// A line in which nobody stands is forgotten.
    fn drop(&mut self) {
        let pause = self.pause();
        // What others may have is given back in any case.
        self.of_all = None;
        if !pause.is_zero()
            && let Ok(runtime) = Handle::try_current()
        {
            let (lines, of, own) = (Arc::clone(&self.lines), self.of, self.own.take());
            let rest = Self { lines, of, own, of_all: None, since: OnceLock::new(), pauses: None };
            runtime.spawn(async move {
                sleep(pause).await;
                drop(rest);
            });
        }
        self.own = None;
        let mut lines = self.lines.lock();
        if lines.get(&self.of).is_some_and(|line| Arc::strong_count(line) == 1) {
            lines.remove(&self.of);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Duration = Duration::from_secs(10);
    const MINE: Uuid = Uuid::from_u128(1);
    const OTHER: Uuid = Uuid::from_u128(2);

    #[tokio::test(start_paused = true)]
    async fn one_at_a_time_per_tenant_and_nobody_is_remembered() {
        let turns = Shares::turns();
        let first = turns.take(MINE, 1, MOMENT).await.unwrap();
        let others = turns.take(OTHER, 1, MOMENT).await.unwrap();
        // Who waits too long is told so, and leaves the line.
        assert!(turns.take(MINE, 1, MOMENT).await.is_none());
        assert!(turns.take_now(MINE, 1).is_none());
        let second = tokio::spawn({
            let turns = turns.clone();
            async move { turns.take(MINE, 1, MOMENT).await.is_some() }
        });
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        drop((first, others));
        assert!(second.await.unwrap());
        let third = turns.take_now(MINE, 1).unwrap();
        let leaving = tokio::spawn({
            let turns = turns.clone();
            async move { turns.take(MINE, 1, MOMENT).await.is_some() }
        });
        tokio::task::yield_now().await;
        leaving.abort();
        assert!(leaving.await.unwrap_err().is_cancelled());
        drop(third);
        assert!(turns.lines.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_has_more_than_a_share_and_all_have_no_more_than_there_is() {
        let shares = Shares::within(4, 10);
        let mine = shares.take(MINE, 3, MOMENT).await.unwrap();
        assert!(shares.take(MINE, 2, MOMENT).await.is_none(), "of one");
        // More than a share is a share.
        let other = shares.take(OTHER, 100, MOMENT).await.unwrap();
        let third = Uuid::from_u128(3);
        assert!(shares.take(third, 4, MOMENT).await.is_none(), "of all");
        let rest = shares.take_now(third, 3).unwrap();
        drop(other);
        assert!(shares.take_now(MINE, 2).is_none() && shares.take_now(MINE, 1).is_some());
        drop((mine, rest));
        assert!(shares.lines.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn turns_have_pauses_where_others_are_served() {
        let served = Shares::of(10);
        let turns = Shares::within(1, 3).with_pauses_for(&served, 50 * Duration::from_millis(100));
        let work = Duration::from_millis(100);
        // How long somebody waits after their turn, when so many are served.
        let wait = async |count: u128| {
            let asking = (1..=count).map(|tenant| served.take_now(Uuid::from_u128(tenant), 1).unwrap());
            let _asking: Vec<_> = asking.collect();
            let turn = turns.take(MINE, 1, MOMENT).await.unwrap();
            tokio::time::advance(work).await;
            drop(turn);
            let before = Instant::now();
            // Nobody else waits for that.
            let others: Vec<_> =
                (2..5).map(|tenant| turns.take_now(Uuid::from_u128(tenant), 1).unwrap()).collect();
            drop(others);
            drop(turns.take(MINE, 1, MOMENT).await.unwrap());
            before.elapsed().as_millis()
        };
        assert_eq!(wait(1).await, 0);
        assert!((100..110).contains(&wait(2).await));
        assert!((900..910).contains(&wait(10).await));
        assert!((5000..5010).contains(&wait(500).await), "and not for ever");
        assert!(turns.lines.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_may_have_an_end() {
        let shares = Shares::of(1).with_at_most(2);
        let first = shares.take_now(MINE, 1).unwrap();
        let second = tokio::spawn({
            let shares = shares.clone();
            async move { shares.take(MINE, 1, MOMENT).await.is_some() }
        });
        tokio::task::yield_now().await;
        let before = Instant::now();
        assert!(shares.take(MINE, 1, MOMENT).await.is_none(), "two stand in it");
        assert_eq!(before.elapsed(), Duration::ZERO, "without waiting");
        assert!(shares.take_now(OTHER, 1).is_some());
        drop(first);
        assert!(second.await.unwrap());
        assert!(shares.take_now(MINE, 1).is_some() && shares.lines.lock().is_empty());
    }
}
