//! Whose request is next when there are more of them than connections: of those who wait, the one whose tenant has had connections for
//! the shortest time of late (start-time fair queueing). A tenant that asks for much, or for what takes long, waits for itself, and who
//! asks for little is let in before it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

/// What somebody is taken to need when they are let in: else all that are free would go to one tenant at the same moment.
const EXPECTED: Duration = Duration::from_millis(5);

/// How far a tenant may be ahead of the others, and behind them: what takes long is not made up for by waiting as long.
const APART: Duration = Duration::from_secs(1);

/// The order in which so many places are given away.
#[derive(Debug, Clone)]
pub(super) struct Order(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    free: usize,
    /// How long everybody has had places who is served as often as others: of whoever was let in last.
    now: Duration,
    tenants: HashMap<Uuid, Tenant>,
}

#[derive(Debug, Default)]
struct Tenant {
    /// How long it has had places, as if it had begun with the others.
    had: Duration,
    /// How many it has.
    has: usize,
    /// Who waits for one, in the order in which they came.
    waiting: VecDeque<oneshot::Sender<Place>>,
}

/// One of the places, until it is dropped.
#[derive(Debug)]
#[must_use]
pub(super) struct Place {
    order: Order,
    of: Uuid,
    since: Instant,
}

impl Order {
    pub(super) fn of(places: usize) -> Self {
        Self(Arc::new(Mutex::new(State { free: places, now: Duration::ZERO, tenants: HashMap::new() })))
    }

    /// Waits for a place. None when it takes too long.
    pub(super) async fn take(&self, of: Uuid, patience: Duration) -> Option<Place> {
        let coming = {
            let mut state = self.state();
            if state.free > 0 {
                state.free -= 1;
                state.let_in(of);
                return Some(self.place(of));
            }
            let (place, coming) = oneshot::channel();
            state.tenant(of).waiting.push_back(place);
            coming
        };
        timeout(patience, coming).await.ok()?.ok()
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.state().tenants.values().map(|tenant| tenant.waiting.len()).sum()
    }

    fn place(&self, of: Uuid) -> Place {
        Place { order: self.clone(), of, since: Instant::now() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Who comes anew begins with the others, and nobody is far behind them: asking for little earns little.
    fn tenant(&mut self, of: Uuid) -> &mut Tenant {
        let now = self.now;
        let tenant = self.tenants.entry(of).or_default();
        if tenant.has == 0 && tenant.waiting.is_empty() {
            tenant.had = tenant.had.clamp(now, now + APART);
        }
        tenant.had = tenant.had.max(now.saturating_sub(APART));
        tenant
    }

    fn let_in(&mut self, of: Uuid) {
        let tenant = self.tenant(of);
        tenant.has += 1;
        let had = tenant.had;
        tenant.had += EXPECTED;
        self.now = self.now.max(had);
    }

    /// Takes a place back, and says who has it next: all of them are taken as long as anybody waits.
    fn leave(&mut self, of: Uuid, took: Duration) -> Option<(Uuid, oneshot::Sender<Place>)> {
        let most = self.now + APART;
        if let Some(tenant) = self.tenants.get_mut(&of) {
            tenant.has -= 1;
            tenant.had = (tenant.had + took).saturating_sub(EXPECTED).min(most);
        }
        let next = self.next();
        match &next {
            Some((of, _)) => self.let_in(*of),
            None => self.free += 1,
        }
        next
    }

    /// Who of those that still wait is next. Who waits no more is forgotten, and so is whoever has nothing and is not ahead.
    fn next(&mut self) -> Option<(Uuid, oneshot::Sender<Place>)> {
        let now = self.now;
        self.tenants.retain(|_, tenant| {
            while tenant.waiting.front().is_some_and(oneshot::Sender::is_closed) {
                tenant.waiting.pop_front();
            }
            tenant.has > 0 || !tenant.waiting.is_empty() || tenant.had > now
        });
        let waiting = self.tenants.iter_mut().filter(|(_, tenant)| !tenant.waiting.is_empty());
        let (of, tenant) = waiting.min_by_key(|(_, tenant)| tenant.had)?;
        Some((*of, tenant.waiting.pop_front()?))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let next = self.order.state().leave(self.of, self.since.elapsed());
        if let Some((of, coming)) = next {
            // Who has left in this moment leaves it to the next one.
            let _ = coming.send(self.order.place(of));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MOMENT: Duration = Duration::from_secs(10);

    const fn tenant(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    /// How often each tenant was served within a second of two places, when so many of its requests wait at any time and each takes so long.
    async fn served(tenants: &[(usize, u64)]) -> Vec<usize> {
        let order = Order::of(2);
        let until = Instant::now() + Duration::from_secs(1);
        let mut clients = Vec::new();
        for (number, (count, milliseconds)) in tenants.iter().enumerate() {
            for _ in 0..*count {
                let (order, milliseconds) = (order.clone(), *milliseconds);
                clients.push(tokio::spawn(async move {
                    let mut times = 0;
                    while Instant::now() < until {
                        let _place = order.take(tenant(number as u128), MOMENT).await.unwrap();
                        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
                        times += 1;
                    }
                    (number, times)
                }));
            }
        }
        let mut served = vec![0; tenants.len()];
        for client in clients {
            let (number, times) = client.await.unwrap();
            served[number] += times;
        }
        let state = order.state();
        assert!(state.free == 2 && state.tenants.values().all(|tenant| tenant.has == 0));
        served
    }

    #[tokio::test(start_paused = true)]
    async fn each_has_the_same_time_however_many_ask_and_for_how_much() {
        // Alone it has everything. Who waits at the end is served as well.
        let alone = served(&[(8, 10)]).await;
        assert!((190..=208).contains(&alone[0]), "{alone:?}");
        // Of two, half; who asks for what takes ten times as long is served a tenth as often.
        let both = served(&[(4, 10), (40, 100)]).await;
        assert!(both[0] >= 90 && both[1] <= 40 + 12, "{both:?}");
        let three = served(&[(4, 10), (4, 10), (40, 50)]).await;
        assert!(three[0] >= 55 && three[1] >= 55, "{three:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn asking_for_little_earns_little() {
        let order = Order::of(2);
        let _always = order.take(tenant(1), MOMENT).await.unwrap();
        for _ in 0..1000 {
            let _often = order.take(tenant(2), MOMENT).await.unwrap();
            tokio::time::advance(Duration::from_millis(10)).await;
        }
        let mut state = order.state();
        let (now, had) = (state.now, state.tenant(tenant(1)).had);
        assert!(now > 5 * APART && had == now - APART, "{now:?} {had:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_or_gives_up_is_passed_over_and_nobody_is_remembered() {
        let order = Order::of(1);
        let first = order.take(tenant(1), MOMENT).await.unwrap();
        assert!(order.take(tenant(2), MOMENT).await.is_none(), "it takes too long");
        let leaving = tokio::spawn({
            let order = order.clone();
            async move { order.take(tenant(2), MOMENT).await.is_some() }
        });
        let staying = tokio::spawn({
            let order = order.clone();
            async move { order.take(tenant(3), MOMENT).await.is_some() }
        });
        tokio::task::yield_now().await;
        leaving.abort();
        assert!(leaving.await.unwrap_err().is_cancelled());
        drop(first);
        assert!(staying.await.unwrap());
        let state = order.state();
        assert!(state.free == 1 && state.tenants.values().all(|tenant| tenant.has == 0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_took_long_is_forgotten() {
        let order = Order::of(1);
        let long = order.take(tenant(1), MOMENT).await.unwrap();
        tokio::time::advance(100 * APART).await;
        drop(long);
        let ahead = { order.state().tenants[&tenant(1)].had };
        assert!(ahead <= APART, "{ahead:?}");
        // Waiting for nothing earns nothing: who comes later is not before everybody for as long as the others were there.
        for _ in 0..300 {
            let _place = order.take(tenant(2), MOMENT).await.unwrap();
            tokio::time::advance(Duration::from_millis(10)).await;
        }
        let state = order.state();
        assert!(state.now >= ahead, "{:?}", state.now);
    }

    proptest! {
        /// Whatever happens in whatever order, there are never more than there are, and none is lost.
        #[test]
        fn no_place_is_lost(steps in proptest::collection::vec((0_u128..4, 0_u8..4), 1..200)) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            runtime.block_on(async {
                let order = Order::of(3);
                let (mut has, mut waits) = (Vec::new(), Vec::new());
                for (number, step) in steps {
                    match step {
                        0 | 1 => waits.push(Box::pin({
                            let order = order.clone();
                            async move { order.take(tenant(number), MOMENT).await }
                        })),
                        2 if !has.is_empty() => drop(has.swap_remove(number as usize % has.len())),
                        3 if !waits.is_empty() => drop(waits.swap_remove(number as usize % waits.len())),
                        _ => {}
                    }
                    let mut still = Vec::new();
                    for mut wait in waits {
                        match futures_util::poll!(wait.as_mut()) {
                            std::task::Poll::Ready(place) => has.extend(place),
                            std::task::Poll::Pending => still.push(wait),
                        }
                    }
                    waits = still;
                    assert_eq!(order.state().free, 3 - has.len());
                    assert!(has.len() == 3 || waits.is_empty());
                }
                drop((has, waits));
                assert_eq!(order.state().free, 3);
            });
        }
    }
}
