//! Who uses the connections, how many of them each may have at the same time, and for how long.

use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::shares::{Share, Shares};
use super::tx::Kind;
use super::{DbError, POOL_WAIT};

/// Why somebody who waited for a connection has none.
const TAKEN: &str = "all connections to the database are in use that this tenant may have";

/// How many connections superadmins may have in one tenant.
const SUPERADMINS: u32 = 2;

/// How many large answers may be read at the same time.
const LARGE: usize = 3;

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
    connections: Shares,
    writers: Shares,
    snapshots: Shares,
    /// Whoever reads a large answer.
    pub(super) large: Shares,
    /// A turn for every connection that jobs may have at the same time; None: they are none.
    jobs: Option<Shares>,
    patience: Patience,
    /// Whether a connection is closed when its transaction has ended: what is sent in large pieces leaves large buffers behind.
    pub(super) close: bool,
}

/// How many of so many connections one tenant may have: with two that take all they can get, there are some left.
fn share_of(size: usize) -> u32 {
    u32::try_from((size * 2).div_ceil(5)).unwrap_or(u32::MAX).max(1)
}

impl Users {
    /// Requests, which share so many connections.
    pub(super) fn of(size: usize) -> Self {
        let each = share_of(size);
        Self {
            connections: Shares::of(each),
            // Who reads waits for nobody who writes, and for no export.
            writers: Shares::of(each - 1),
            snapshots: Shares::within(each / 2, (size / 2).max(1)),
            large: Shares::within(1, LARGE),
            jobs: None,
            patience: Patience::USUAL,
            close: false,
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
            patience: Patience::OF_JOBS,
            ..self.clone()
        }
    }

    /// Superadmins at work in a tenant.
    pub(super) fn superadmins(&self) -> Self {
        let few = || Shares::of(SUPERADMINS);
        Self { connections: few(), writers: few(), large: Shares::turns(), ..self.clone() }
    }

    /// The same at work on thousands of rows.
    pub(super) fn at_length(&self) -> Self {
        Self { patience: Patience::LONG, close: true, ..self.clone() }
    }

    /// Whether they are jobs.
    pub(super) const fn are_jobs(&self) -> bool {
        self.jobs.is_some()
    }

    /// How long a transaction may take.
    pub(super) const fn patience(&self, kind: Kind) -> Duration {
        if kind.writes() { self.patience.writes } else { self.patience.reads }
    }

    /// What a transaction has to have before it waits for a connection.
    ///
    /// # Errors
    /// When the tenant has none of it left for too long.
    pub(super) async fn admit(&self, tenant_id: Uuid, kind: Kind) -> Result<Vec<Share>, DbError> {
        let mut held = Vec::from_iter(self.admit_job().await);
        let wanted: &[&Shares] = match kind {
            Kind::Writing => &[&self.writers, &self.connections],
            Kind::Snapshot => &[&self.snapshots, &self.writers, &self.connections],
            Kind::Reading | Kind::Listing => &[&self.connections],
            Kind::ReadingAll => &[],
        };
        let until = Instant::now() + POOL_WAIT;
        for shares in wanted {
            let patience = until.saturating_duration_since(Instant::now());
            held.push(shares.take(tenant_id, 1, patience).await.ok_or(DbError::Overloaded(TAKEN))?);
        }
        Ok(held)
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
