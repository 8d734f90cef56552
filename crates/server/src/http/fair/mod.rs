//! Fair shares: what the requests of one tenant may take of this process at the same time, so that there is something left for others.
//! Connections to the database are shared out where they are lent ([`crate::db`]).

mod expected;
mod stay;
mod unread;

use std::ops::Deref;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::task::spawn_blocking;
use uuid::Uuid;

use crate::db::{HEAVY, Share, Shares};
use crate::life::Life;
use crate::metrics::Usage;

use super::error::{ApiError, ApiResult};

use expected::Expected;
pub(crate) use stay::Stay;
use unread::Unread;

/// How long a request waits for room before it is refused: others of its tenant have most of what there is.
const BRIEFLY: Duration = Duration::from_secs(2);

/// How long a large body waits for its turn to be read.
const READING_PATIENCE: Duration = Duration::from_secs(30);

/// How long work on thousands of rows waits for its turn: longer than a pause, and the work before it.
const HEAVY_PATIENCE: Duration = Duration::from_secs(60);

/// The longest pauses of a tenant beside others: between reading large bodies, and between working on thousands of rows.
const READING_PAUSE: Duration = Duration::from_secs(5);
const HEAVY_PAUSE: Duration = Duration::from_secs(40);

/// How many exports may be on their way at the same time: of a tenant, and in all. Each may have a file of 32 MiB.
const EXPORTS: u32 = 2;
const MOST_EXPORTS: usize = 32;

/// How long one waits for another.
const EXPORT_PATIENCE: Duration = Duration::from_secs(10);

/// What every request takes, in KiB: there is room for a small body and a small answer in it.
const BASE: u32 = 64;

/// A body up to this size is read by whoever answers the request; a larger one beside them, because it takes milliseconds.
const SMALL: usize = 64 * 1024;

/// What requests take of the process.
#[derive(Debug, Clone)]
pub(crate) struct Fair(Arc<Parts>);

/// What it is made of: every request has it.
#[derive(Debug)]
pub(crate) struct Parts {
    /// Room for what every request takes, by their number.
    small: Shares,
    /// Room for what bodies and answers take besides, in KiB: small requests do not stand in line behind those.
    room: Shares,
    /// Room for answers that are there, and have no room yet, in KiB.
    waiting: Shares,
    /// What answers take.
    expected: Expected,
    /// Turns for reading large bodies.
    reading: Shares,
    /// Turns for work on thousands of rows.
    heavy: Shares,
    /// Exports that are being sent.
    exports: Shares,
    /// Bodies of which the rest is taken for nothing.
    unread: Unread,
    /// Nobody waits for a turn when the process ends.
    pub(super) life: Life,
    /// Who asks for how much.
    usage: Usage,
}

impl Deref for Fair {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Fair {
    /// How many MiB of bodies and answers there may be, unless an operator says otherwise.
    pub(crate) const ROOM: u32 = 256;

    /// With room for so many MiB, of which a tenant may have a quarter, beside those who are served.
    pub(crate) fn new(room: u32, served: &Shares, life: Life, usage: Usage) -> Self {
        let room = room.saturating_mul(1024);
        let small = (room / 16 / BASE).max(1);
        // Who waits has a connection, and what it has sent: as many of those as are let in, and no more.
        let small = Shares::within(small, 4 * small as usize).with_at_most(2 * small as usize);
        let cores = available_parallelism().map_or(1, usize::from);
        Self(Arc::new(Parts {
            room: Shares::within(room / 16 * 3, (room / 4 * 3) as usize),
            waiting: Shares::within(room / 16, (room / 4) as usize),
            expected: Expected::default(),
            reading: Shares::within(1, cores).with_pauses_for(served, READING_PAUSE),
            heavy: Shares::within(1, HEAVY).with_pauses_for(served, HEAVY_PAUSE),
            exports: Shares::within(EXPORTS, MOST_EXPORTS),
            unread: Unread::default(),
            small,
            life,
            usage,
        }))
    }

    /// Waits for the tenant's turn to work on thousands of rows.
    ///
    /// # Errors
    /// 503 when it takes too long, or the process ends first.
    pub(crate) async fn heavy(&self, tenant_id: Uuid) -> ApiResult<Share> {
        self.turn(&self.heavy, tenant_id, HEAVY_PATIENCE, "too many imports are under way").await
    }

    /// Waits until the tenant may be sent another export.
    ///
    /// # Errors
    /// As [`Self::heavy`].
    pub(crate) async fn export(&self, tenant_id: Uuid) -> ApiResult<Share> {
        let sending = "too many exports of this tenant are being sent";
        self.turn(&self.exports, tenant_id, EXPORT_PATIENCE, sending).await
    }

    /// Waits for the tenant's turn to have a large body read.
    async fn reading_turn(&self, tenant_id: Uuid) -> ApiResult<Share> {
        let reading = "too many large bodies of this tenant are being read";
        self.turn(&self.reading, tenant_id, READING_PATIENCE, reading).await
    }

    async fn turn(&self, shares: &Shares, of: Uuid, patience: Duration, why: &str) -> ApiResult<Share> {
        let turn = self.life.wait(shares.take(of, 1, patience)).await;
        turn.ok_or_else(ApiError::stopping)?.ok_or_else(|| ApiError::overloaded(why))
    }

    /// Reads so many bytes: beside everything else when there are many, and then one body of a tenant at a time.
    ///
    /// # Errors
    /// Those of reading, or 503 when the tenant's turn does not come.
    async fn read<T: Send + 'static>(
        &self,
        tenant_id: Uuid,
        bytes: usize,
        read: impl FnOnce() -> ApiResult<T> + Send + 'static,
    ) -> ApiResult<T> {
        if bytes <= SMALL {
            return read();
        }
        let turn = self.reading_turn(tenant_id).await?;
        // Who leaves meanwhile leaves the turn to the reading, which ends by itself.
        let done = spawn_blocking(move || {
            let _until_read = turn;
            read()
        });
        done.await.map_err(|error| {
            tracing::error!(%error, "a body was not read to its end");
            ApiError::internal()
        })?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_large_is_read_one_by_one_and_panics_are_failures() {
        let fair = Fair::new(Fair::ROOM, &Shares::of(1), Life::default(), Usage::default());
        let tenant_id = Uuid::from_u128(1);
        let here = std::thread::current().id();
        let thread = || Ok(std::thread::current().id());
        assert_eq!(fair.read(tenant_id, SMALL, thread).await.unwrap(), here);
        assert_ne!(fair.read(tenant_id, SMALL + 1, thread).await.unwrap(), here);
        let broken = fair.read::<()>(tenant_id, SMALL + 1, || panic!("a defect")).await.unwrap_err();
        assert!(broken.is_failure() && !broken.is_unavailable());
        assert!(fair.reading.take_now(tenant_id, 1).is_some(), "its turn has ended");
    }
}
