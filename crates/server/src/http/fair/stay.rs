//! The stay of one request: what it has of the process, from the moment on which it is known whose it is until its answer is sent.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::Request;
use axum::http::{Extensions, Uri};
use tokio::time::sleep;
use uuid::Uuid;

use super::expected::{LEAST_LARGE, Question};
use super::unread::Rest;
use super::{BASE, BRIEFLY, Fair};
use crate::db::{Db, Share, Shares};
use crate::http::client::network_of;
use crate::http::error::{ApiError, ApiResult};
use crate::life::Life;
use crate::metrics::Usage;

/// What a byte of a body takes until it is answered: itself, what is read from it, and what goes to the database.
const BODY_FACTOR: usize = 4;

/// What a value of JSON takes where something is made of it: the value, what is made of that, and its name.
const VALUE: usize = 512;

/// How long an answer to what is done waits for room.
const AFTERWARDS: Duration = Duration::from_secs(10);

fn too_much() -> ApiError {
    ApiError::overloaded("all the memory is in use that requests and answers of this tenant may have")
}

/// Goes with a request, and with its answer until that is sent.
#[derive(Clone)]
pub(crate) struct Stay {
    fair: Fair,
    held: Arc<Mutex<Held>>,
}

struct Held {
    /// Whose it is: a tenant, a superadmin, or as long as neither is known an address.
    of: Uuid,
    /// Whether it is known who asks.
    is_known: bool,
    shares: Vec<Share>,
    /// In KiB, beyond what every request takes.
    room: u32,
    /// What is asked for, where nothing is changed.
    asked: Option<Uri>,
}

impl Stay {
    /// Of a request of which nothing is known but the network that it comes from.
    pub(crate) fn new(fair: Fair, peer: Option<IpAddr>) -> Self {
        let of = peer.map_or(Uuid::nil(), |peer| match network_of(peer) {
            IpAddr::V4(address) => Uuid::from_u128(u32::from(address).into()),
            IpAddr::V6(address) => Uuid::from_u128(address.into()),
        });
        let held = Held { of, is_known: false, shares: Vec::new(), room: 0, asked: None };
        Self { fair, held: Arc::new(Mutex::new(held)) }
    }

    /// Of a request that asks for this, and changes nothing.
    #[must_use]
    pub(crate) fn asking(self, uri: &Uri) -> Self {
        self.held().asked = Some(uri.clone());
        self
    }

    /// That of a request. One that no layer has prepared has a process of its own.
    pub(crate) fn of(request: &Request) -> Self {
        Self::in_parts(request.extensions())
    }

    /// As [`Self::of`].
    pub(crate) fn in_parts(extensions: &Extensions) -> Self {
        let known = extensions.get::<Self>().cloned();
        known.unwrap_or_else(|| {
            Self::new(Fair::new(Fair::ROOM, &Shares::of(1), Life::default(), Usage::default()), None)
        })
    }

    /// It is this tenant's, or this superadmin's. Asked again, it is known. A question whose answer was large makes room for that as well,
    /// and where it would be read `over` connections that take turns, it waits for its turn and gets them with that: what is begun without
    /// is thrown away when it turns out to be large.
    ///
    /// # Errors
    /// 503 when they have no room left, or their turn does not come.
    pub(crate) async fn enter(&self, of: Uuid, over: Option<&Db>) -> ApiResult<Option<Db>> {
        {
            let mut held = self.held();
            if held.is_known {
                return Ok(None);
            }
            (held.of, held.is_known) = (of, true);
        }
        let share = self.fair.small.take(of, 1, BRIEFLY).await;
        self.held().shares.push(share.ok_or_else(too_much)?);
        let expected = self.question().map_or(0, |question| self.fair.expected.size(question));
        // First its own, and then what it shares with others.
        self.make_room(expected).await?;
        match over.filter(|_| expected > 0) {
            Some(db) => Ok(Some(db.in_turn(of).await?)),
            None => Ok(None),
        }
    }

    /// Makes room for a body of so many bytes.
    ///
    /// # Errors
    /// 503 when there is none.
    pub(crate) async fn admit_body(&self, bytes: usize) -> ApiResult<()> {
        self.make_room(bytes.saturating_mul(BODY_FACTOR)).await
    }

    /// Makes room for so many values of JSON, out of which something is made that is larger than their text.
    ///
    /// # Errors
    /// 503 when there is none.
    pub(crate) async fn admit_values(&self, values: usize) -> ApiResult<()> {
        self.make_room(values.saturating_mul(VALUE)).await
    }

    /// It is refused, and needs no room any more; the rest of its body is to be taken.
    pub(crate) fn give_up(&self) -> Rest {
        let mut held = self.held();
        held.shares.clear();
        held.room = 0;
        self.fair.unread.begin(held.of)
    }

    /// The answer takes so many bytes, or would have: so it may the next time.
    pub(crate) fn expect(&self, bytes: usize) {
        if let Some(question) = self.question() {
            self.fair.expected.note(question, bytes);
        }
    }

    /// The answer would have been large, and it is not known how large: so it may be the next time, unless that is known.
    pub(crate) fn expect_large(&self) {
        if let Some(question) = self.question().filter(|question| self.fair.expected.size(*question) == 0) {
            self.fair.expected.note(question, LEAST_LARGE);
        }
    }

    /// Whose question it is, and which.
    fn question(&self) -> Option<Question> {
        let held = self.held();
        let asked = held.asked.as_ref().filter(|_| held.is_known);
        asked.map(|uri| self.fair.expected.question(held.of, uri))
    }

    /// Makes room for an answer of so many bytes. Of what was only read the client is refused where there is none; of what was done it
    /// has to hear, which waits longer and does not fail.
    ///
    /// # Errors
    /// 503 for what was only read.
    pub(crate) async fn admit_answer(&self, bytes: usize, only_read: bool) -> ApiResult<()> {
        // What anybody may read is there once, however many read it.
        if !self.held().is_known {
            return Ok(());
        }
        let further = self.further(bytes);
        if further == 0 {
            return Ok(());
        }
        let (of, room) = (self.held().of, &self.fair.room);
        let share = match room.take_now(of, further) {
            Some(share) => Some(share),
            None if only_read => {
                // It is there already, and so are all that wait.
                let _while_waiting = self.fair.waiting.take_now(of, further).ok_or_else(too_much)?;
                Some(room.take(of, further, BRIEFLY).await.ok_or_else(too_much)?)
            }
            None => room.take(of, further, AFTERWARDS).await,
        };
        self.keep(share, further);
        Ok(())
    }

    /// Waits until it may be the turn of a large body: as long as others of the tenant are read, or it has a pause, no more of this one is
    /// taken than there is, and who leaves meanwhile has cost nothing.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(crate) async fn until_reading(&self) -> ApiResult<()> {
        let of = self.held().of;
        self.fair.reading_turn(of).await.map(drop)
    }

    /// Reads what was sent, where it disturbs nobody.
    ///
    /// # Errors
    /// Those of reading; 503 when its turn does not come, or the process ends before.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        bytes: usize,
        read: impl FnOnce() -> ApiResult<T> + Send + 'static,
    ) -> ApiResult<T> {
        let of = self.held().of;
        self.fair.usage.received(of, bytes);
        self.fair.life.wait(self.fair.read(of, bytes, read)).await.ok_or_else(ApiError::stopping)?
    }

    /// Waits until the process has been about to end for so long.
    pub(crate) async fn ended(&self, since: Duration) {
        self.fair.life.ending().await;
        sleep(since).await;
    }

    /// So many bytes are sent, because there was no room for more or not.
    pub(crate) fn answered(&self, bytes: usize, is_overload: bool) {
        let of = self.held().of;
        self.fair.usage.answered(of, bytes, is_overload);
    }

    /// Waits for room for so many bytes in all, which there are none of yet.
    async fn make_room(&self, bytes: usize) -> ApiResult<()> {
        let further = self.further(bytes);
        if further > 0 {
            let of = self.held().of;
            let share = self.fair.room.take(of, further, BRIEFLY).await;
            self.keep(Some(share.ok_or_else(too_much)?), further);
        }
        Ok(())
    }

    /// How much room so many bytes in all take further, in KiB, beyond what every request has. Who asks for more than a share gets all of
    /// that.
    fn further(&self, bytes: usize) -> u32 {
        let wanted = u32::try_from(bytes / 1024).unwrap_or(u32::MAX).saturating_sub(BASE);
        wanted.min(self.fair.room.each()).saturating_sub(self.held().room)
    }

    fn keep(&self, share: Option<Share>, room: u32) {
        let mut held = self.held();
        held.room += share.as_ref().map_or(0, |_| room);
        held.shares.extend(share);
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: Uuid = Uuid::from_u128(1);
    const MIB: usize = 1024 * 1024;

    async fn stay(fair: &Fair, of: Uuid) -> Stay {
        let stay = Stay::new(fair.clone(), None);
        stay.enter(of, None).await.unwrap();
        stay
    }

    #[tokio::test(start_paused = true)]
    async fn a_tenant_has_its_share_and_others_have_the_rest() {
        // Three MiB of it for a tenant's large bodies and answers, and sixteen of its requests.
        let fair = Fair::new(16, &Shares::of(1), Life::default(), Usage::default());
        let (first, second) = (stay(&fair, TENANT).await, stay(&fair, TENANT).await);
        first.admit_body(MIB * 3 / 4).await.unwrap();
        let error = second.admit_body(MIB / 2).await.unwrap_err();
        assert!(error.is_unavailable() && error.code() == loopctl_core::code::Code::Overloaded);
        let other = stay(&fair, Uuid::from_u128(2)).await;
        other.admit_body(MIB * 3 / 4).await.unwrap();
        // Small ones have room, as many as there may be.
        let mut small = Vec::new();
        for _ in 2..16 {
            small.push(stay(&fair, TENANT).await);
        }
        assert!(Stay::new(fair.clone(), None).enter(TENANT, None).await.is_err());
        // Once its answer is sent, there is room: even for more than a share, which is all of it.
        drop(first);
        second.admit_body(100 * MIB).await.unwrap();
        second.admit_body(100 * MIB).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn who_asked_for_much_waits_before_it_is_read() {
        let fair = Fair::new(16, &Shares::of(1), Life::default(), Usage::default());
        let uri = Uri::from_static("/stories?limit=500");
        let ask = async || {
            let stay = Stay::new(fair.clone(), None).asking(&uri);
            stay.enter(TENANT, None).await.map(|_| stay)
        };
        let first = ask().await.unwrap();
        first.expect(2 * MIB);
        first.admit_answer(2 * MIB, true).await.unwrap();
        assert!(ask().await.is_err(), "there is no room for another one");
        stay(&fair, TENANT).await.admit_answer(MIB / 2, true).await.unwrap();
        drop(first);
        ask().await.unwrap().expect(10);
        let (_first, _second) = (ask().await.unwrap(), ask().await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_done_is_answered_and_what_was_read_may_be_refused() {
        let fair = Fair::new(16, &Shares::of(1), Life::default(), Usage::default());
        let (first, second) = (stay(&fair, TENANT).await, stay(&fair, TENANT).await);
        first.admit_answer(2 * MIB, true).await.unwrap();
        second.admit_answer(60 * 1024, true).await.unwrap();
        assert!(second.admit_answer(2 * MIB, true).await.is_err());
        second.admit_answer(2 * MIB, false).await.unwrap();
        // What anybody may read is not counted.
        Stay::new(fair, None).admit_answer(2 * MIB, true).await.unwrap();
    }
}
