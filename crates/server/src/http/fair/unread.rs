//! What is left unread of bodies for which there was no room: it is taken before the answer goes out, so that clients get to read that, but
//! not faster than this, because to send megabytes again at once helps nobody.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::sleep;
use uuid::Uuid;

/// How many bytes are taken in a second, of all bodies of a tenant together.
const RATE: u64 = 8 * 1024 * 1024;

/// How many bytes of each body are taken at once: it may have arrived with its request.
const AT_ONCE: usize = 64 * 1024;

/// Whose bodies are left to be taken, and how many.
#[derive(Debug, Clone, Default)]
pub(super) struct Unread(Arc<Mutex<HashMap<Uuid, u32>>>);

/// One of them.
#[derive(Debug)]
#[must_use]
pub(crate) struct Rest {
    all: Unread,
    of: Uuid,
    taken: usize,
}

impl Unread {
    pub(super) fn begin(&self, of: Uuid) -> Rest {
        *self.bodies().entry(of).or_default() += 1;
        Rest { all: self.clone(), of, taken: 0 }
    }

    fn bodies(&self) -> MutexGuard<'_, HashMap<Uuid, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rest {
    /// So many bytes more are taken: waits until there may be more of them.
    pub(crate) async fn take(&mut self, bytes: usize) {
        self.taken = self.taken.saturating_add(bytes);
        if self.taken > AT_ONCE {
            let bodies = self.all.bodies().get(&self.of).copied().unwrap_or_default();
            sleep(pause(bytes, bodies)).await;
        }
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        let mut bodies = self.all.bodies();
        let left = bodies.get(&self.of).map_or(0, |count| count.saturating_sub(1));
        if left == 0 {
            bodies.remove(&self.of);
        } else {
            bodies.insert(self.of, left);
        }
    }
}

/// How long so many bytes take, of one of so many bodies.
fn pause(bytes: usize, bodies: u32) -> Duration {
    let nanoseconds = (bytes as u64).saturating_mul(1_000_000_000) / RATE;
    Duration::from_nanos(nanoseconds).saturating_mul(bodies)
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    const MINE: Uuid = Uuid::from_u128(1);
    const OTHER: Uuid = Uuid::from_u128(2);
    const MIB: usize = 1024 * 1024;

    #[tokio::test(start_paused = true)]
    async fn all_of_a_tenant_are_as_fast_as_one_and_what_is_small_is_taken_at_once() {
        let unread = Unread::default();
        let others: Vec<_> = (0..99).map(|_| unread.begin(OTHER)).collect();
        let mine = async |bytes: usize| {
            let (mut rest, began) = (unread.begin(MINE), Instant::now());
            for _ in 0..bytes / (32 * 1024) {
                rest.take(32 * 1024).await;
            }
            began.elapsed().as_millis()
        };
        assert_eq!(mine(AT_ONCE).await, 0);
        // However many others there are.
        let alone = mine(RATE as usize).await;
        assert!((980..1_300).contains(&alone), "{alone} ms");
        let further: Vec<_> = (0..99).map(|_| unread.begin(MINE)).collect();
        let one_of_many = mine(MIB).await;
        assert!((11_000..12_600).contains(&one_of_many), "{one_of_many} ms");
        drop((others, further));
        assert!(unread.bodies().is_empty(), "nobody is remembered");
    }
}
