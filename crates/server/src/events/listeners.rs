//! Who waits for what is recorded next. The log is the truth: whoever waits is only told that it is worth a look.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit, watch};
use uuid::Uuid;

/// The most that listen to one tenant, and in all.
pub(crate) const MOST_OF_TENANT: usize = 64;
pub(crate) const MOST: usize = 1024;

/// How many read the log at once, of all who listen: the other connections are for those who ask.
const READERS: usize = 4;

/// Those who listen in this process, by tenant.
#[derive(Debug, Clone)]
pub(crate) struct Listeners {
    tenants: Arc<Mutex<HashMap<Uuid, watch::Sender<()>>>>,
    readers: Arc<Semaphore>,
}

impl Default for Listeners {
    fn default() -> Self {
        Self { tenants: Arc::default(), readers: Arc::new(Semaphore::new(READERS)) }
    }
}

/// Somebody who listens, until it is dropped.
#[derive(Debug)]
pub(crate) struct Listener(watch::Receiver<()>);

impl Listeners {
    /// Begins to listen. Whether nobody did: then whoever joins has to see to it that somebody looks for what other processes
    /// record, for as long as [`Self::anybody`] listens. None: there are too many.
    pub(crate) fn join(&self, tenant_id: Uuid) -> Option<(Listener, bool)> {
        let mut tenants = self.tenants();
        let of_tenant = tenants.get(&tenant_id).map_or(0, watch::Sender::receiver_count);
        let all: usize = tenants.values().map(watch::Sender::receiver_count).sum();
        if of_tenant >= MOST_OF_TENANT || all >= MOST {
            return None;
        }
        let is_first = !tenants.contains_key(&tenant_id);
        let told = tenants.entry(tenant_id).or_insert_with(|| watch::Sender::new(()));
        Some((Listener(told.subscribe()), is_first))
    }

    /// Something was recorded.
    pub(crate) fn wake(&self, tenant_id: Uuid) {
        if let Some(told) = self.tenants().get(&tenant_id) {
            told.send_replace(());
        }
    }

    /// Whether anybody still listens. If not, the next one is the first again.
    pub(crate) fn anybody(&self, tenant_id: Uuid) -> bool {
        let mut tenants = self.tenants();
        let listening = tenants.get(&tenant_id).is_some_and(|told| told.receiver_count() > 0);
        if !listening {
            tenants.remove(&tenant_id);
        }
        listening
    }

    /// Waits for a turn to read the log, which is over when it is dropped.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // Turns are given for as long as the process lives.
        self.readers.acquire().await.ok()
    }

    fn tenants(&self) -> MutexGuard<'_, HashMap<Uuid, watch::Sender<()>>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener {
    /// Waits until something was recorded since it was last told so, or may have been.
    pub(crate) async fn woken(&mut self) {
        // Nobody forgets a tenant to which somebody listens.
        if self.0.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const TENANT: Uuid = Uuid::from_u128(1);
    const OTHER: Uuid = Uuid::from_u128(2);

    #[tokio::test]
    async fn whoever_listens_is_told_once_of_however_much() {
        let listeners = Listeners::default();
        listeners.wake(TENANT);
        let (mut first, is_first) = listeners.join(TENANT).unwrap();
        let (mut second, is_second) = listeners.join(TENANT).unwrap();
        let (mut other, _) = listeners.join(OTHER).unwrap();
        assert!(is_first && !is_second);
        assert!(first.woken().now_or_never().is_none(), "nothing has been recorded since");
        listeners.wake(TENANT);
        listeners.wake(TENANT);
        assert!(first.woken().now_or_never().is_some() && first.woken().now_or_never().is_none());
        assert!(second.woken().now_or_never().is_some(), "also when it was not waiting");
        assert!(other.woken().now_or_never().is_none());
    }

    #[test]
    fn a_tenant_to_which_nobody_listens_is_forgotten() {
        let listeners = Listeners::default();
        let (first, _) = listeners.join(TENANT).unwrap();
        assert!(listeners.anybody(TENANT) && !listeners.anybody(OTHER));
        drop(first);
        let (second, is_first) = listeners.join(TENANT).unwrap();
        assert!(!is_first, "somebody still looks");
        drop(second);
        assert!(!listeners.anybody(TENANT) && listeners.tenants().is_empty());
        assert!(listeners.join(TENANT).unwrap().1);
    }

    #[test]
    fn there_is_room_for_so_many_and_no_more() {
        let listeners = Listeners::default();
        let mut all: Vec<_> = (0..MOST_OF_TENANT).map(|_| listeners.join(TENANT).unwrap()).collect();
        assert!(listeners.join(TENANT).is_none());
        all.pop();
        assert!(listeners.join(TENANT).is_some());
        let others =
            (2..).map(Uuid::from_u128).flat_map(|tenant| std::iter::repeat_n(tenant, MOST_OF_TENANT));
        all.extend(others.map_while(|tenant| listeners.join(tenant)));
        assert_eq!(all.len(), MOST);
        assert!(listeners.join(TENANT).is_none());
    }
}
