//! Who uses the connections, how many of them each may have at the same time, and for how long.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::order::{Order, Place};
use super::shares::{Share, Shares};
use super::tx::Kind;
use super::{DbError, POOL_WAIT};

/// Why somebody who waited for a connection has none.
const TAKEN: &str = "all connections to the database are in use that this tenant may have";

/// Why somebody has none for whom there is none.
const BUSY: &str = "all connections to the database are in use";

/// How many connections superadmins may have in one tenant.
const SUPERADMINS: u32 = 2;

/// How many large answers may be read at the same time.
const LARGE: usize = 3;

/// The longest pause of a tenant between two of them.
const LARGE_PAUSE: Duration = Duration::from_secs(30);

/// How many transactions may write thousands of rows at the same time.
pub(crate) const HEAVY: usize = 3;

/// How long transactions may take, from the moment on which they have a connection. Who has waited for longer is told so, and what was
/// under way is stopped and taken back.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// Those that only read.
    reads: Duration,
    /// Those that write.
    writes: Duration,
}

impl Patience {
    /// Of requests.
    const USUAL: Self = Self { reads: Duration::from_secs(10), writes: Duration::from_secs(30) };
    /// Of imports, and of whatever else writes thousands of rows.
    const LONG: Self = Self { writes: Duration::from_secs(120), ..Self::USUAL };
    /// Of jobs, for which nobody waits: PostgreSQL's own limits are enough.
    const OF_JOBS: Self = Self { reads: Duration::MAX, writes: Duration::MAX };
}

/// Those who use a pool in one way.
#[derive(Debug, Clone)]
pub(super) struct Users {
    /// The connections that a tenant may have at the same time, for whatever it does, for what it writes, and for snapshots.
    pub(super) connections: Shares,
    writers: Shares,
    snapshots: Shares,
    /// Who is next when they are all in use; None for those who do not stand in line with tenants.
    order: Option<Order>,
    /// Whoever reads a large answer.
    pub(super) large: Shares,
    /// The turn to do that, of one for whom it has come.
    in_turn: Option<Arc<Share>>,
    /// A turn for every connection that jobs may have at the same time; None: they are none.
    jobs: Option<Shares>,
    patience: Patience,
    /// Whether they write thousands of rows: of those there are few in all. A connection is closed when such a transaction has ended,
    /// because what is sent in large pieces leaves large buffers behind.
    pub(super) at_length: bool,
}

/// How many of so many connections one tenant may have: with two that take all they can get, there are some left.
fn share_of(size: usize) -> u32 {
    u32::try_from((size * 2).div_ceil(5)).unwrap_or(u32::MAX).max(1)
}

/// How many snapshots there may be beside so many connections.
const fn snapshots_of(size: usize) -> usize {
    if size < 2 { 1 } else { size / 2 }
}

/// What a transaction has besides its connection, until that is given back.
#[derive(Default)]
pub(super) struct Held {
    /// Shares of its tenant, and turns.
    shares: Vec<Share>,
    /// Its place among those who use the connections.
    pub(super) place: Option<Place>,
}

impl Held {
    /// With a turn that it has waited for.
    pub(super) fn keep(&mut self, turn: Option<Share>) {
        self.shares.extend(turn);
    }

    /// Whether it has one of these.
    pub(super) fn has(&self, shares: &Shares, of: Uuid) -> bool {
        self.shares.iter().any(|share| share.is_of(shares, of))
    }
}

impl Users {
    /// Requests, which share so many connections.
    pub(super) fn of(size: usize) -> Self {
        let each = share_of(size);
        let connections = Shares::of(each);
        Self {
            // Who reads waits for nobody who writes, and for no export.
            writers: Shares::of(each - 1),
            snapshots: Shares::within(each / 2, snapshots_of(size)),
            order: Some(Order::of(size)),
            large: Shares::within(1, LARGE).with_pauses_for(&connections, LARGE_PAUSE),
            in_turn: None,
            connections,
            jobs: None,
            patience: Patience::USUAL,
            at_length: false,
        }
    }

    /// Jobs: at most so many at the same time, whoever's they are.
    pub(super) fn jobs(&self, most: usize) -> Self {
        let unbounded = || Shares::of(u32::MAX);
        Self {
            connections: unbounded(),
            writers: unbounded(),
            large: unbounded(),
            jobs: Some(Shares::of(u32::try_from(most).unwrap_or(u32::MAX))),
            order: None,
            patience: Patience::OF_JOBS,
            ..self.clone()
        }
    }

    /// Superadmins at work in a tenant.
    pub(super) fn superadmins(&self) -> Self {
        let few = || Shares::of(SUPERADMINS);
        Self { connections: few(), writers: few(), large: Shares::turns(), order: None, ..self.clone() }
    }

    /// The same at work on thousands of rows.
    pub(super) fn at_length(&self) -> Self {
        Self { patience: Patience::LONG, at_length: true, ..self.clone() }
    }

    /// One for whom the turn has come to read a large answer, which lasts as long as this does.
    pub(super) fn in_turn(&self, turn: Share) -> Self {
        Self { large: Shares::of(u32::MAX), in_turn: Some(Arc::new(turn)), ..self.clone() }
    }

    /// From here on the turn is used, if they have one.
    pub(super) fn begin(&self) {
        self.in_turn.iter().for_each(|turn| turn.begin());
    }

    /// How many connections there are for what takes long, beside so many others.
    pub(super) const fn aside(size: usize) -> usize {
        snapshots_of(size) + HEAVY
    }

    /// Whether such a transaction takes long.
    pub(super) const fn stand_aside(&self, kind: Kind) -> bool {
        self.at_length || matches!(kind, Kind::Snapshot)
    }

    /// Whether they are jobs.
    pub(super) const fn are_jobs(&self) -> bool {
        self.jobs.is_some()
    }

    /// How long a transaction may take.
    pub(super) const fn patience(&self, kind: Kind) -> Duration {
        if kind.writes() { self.patience.writes } else { self.patience.reads }
    }

    /// What a transaction has to have before it takes a connection.
    ///
    /// # Errors
    /// When the tenant has none of it left for too long.
    pub(super) async fn admit(&self, tenant_id: Uuid, kind: Kind) -> Result<Held, DbError> {
        let mut shares = Vec::from_iter(self.admit_job().await);
        let wanted: &[&Shares] = match kind {
            // Who has one of few turns for it has waited for that.
            _ if self.at_length => &[],
            Kind::Snapshot => &[&self.snapshots],
            Kind::Writing => &[&self.writers, &self.connections],
            Kind::Reading | Kind::Listing | Kind::Part => &[&self.connections],
            Kind::ReadingAll => &[],
        };
        let until = Instant::now() + POOL_WAIT;
        let patience = || until.saturating_duration_since(Instant::now());
        for wanted in wanted {
            let share = wanted.take(tenant_id, 1, patience()).await;
            shares.push(share.ok_or(DbError::Overloaded(TAKEN))?);
        }
        Ok(Held { shares, place: None })
    }

    /// Waits for a transaction's place among those who use the connections; there is none for who does not stand in line with them.
    ///
    /// # Errors
    /// When others are at work there for too long.
    pub(super) async fn let_in(&self, tenant_id: Uuid, kind: Kind) -> Result<Option<Place>, DbError> {
        let Some(order) = self.order.as_ref().filter(|_| !self.stand_aside(kind)) else { return Ok(None) };
        let place = order.take(tenant_id, POOL_WAIT).await;
        place.map(Some).ok_or_else(|| DbError::Pool(BUSY.to_owned()))
    }

    /// How many wait for a place.
    pub(super) fn waiting(&self) -> usize {
        self.order.as_ref().map_or(0, Order::waiting)
    }

    /// The turn of a job, whoever's it is; none for what is no job.
    pub(super) async fn admit_job(&self) -> Option<Share> {
        match &self.jobs {
            Some(jobs) => jobs.take(Uuid::nil(), 1, Duration::MAX).await,
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_tenants_leave_something_for_a_third() {
        for (size, share) in [(1, 1), (2, 1), (5, 2), (10, 4), (16, 7), (100, 40)] {
            assert_eq!(share_of(size), share, "{size}");
            assert!(size < 5 || 2 * share < size as u32, "{size}");
        }
    }
}
