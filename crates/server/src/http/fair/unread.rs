//! What is left unread of bodies that are refused: it is taken before the answer goes out, so that clients get to read that, but not
//! faster than this, because it helps nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::sleep;

/// How many bytes are taken in a second, of all bodies together.
const RATE: u64 = 16 * 1024 * 1024;

/// How many bytes of each body are taken at once: it may have arrived with its request.
const AT_ONCE: usize = 64 * 1024;

/// How many bodies are left to be taken.
#[derive(Debug, Clone, Default)]
pub(super) struct Unread(Arc<AtomicU32>);

/// One of them.
#[derive(Debug)]
#[must_use]
pub(crate) struct Rest {
    all: Unread,
    taken: usize,
}

impl Unread {
    pub(super) fn begin(&self) -> Rest {
        self.0.fetch_add(1, Ordering::Relaxed);
        Rest { all: self.clone(), taken: 0 }
    }
}

impl Rest {
    /// How much was taken of it.
    pub(crate) const fn taken(&self) -> usize {
        self.taken
    }

    /// So many bytes more are taken: waits until there may be more of them.
    pub(crate) async fn take(&mut self, bytes: usize) {
        self.taken = self.taken.saturating_add(bytes);
        if self.taken > AT_ONCE {
            sleep(pause(bytes, self.all.0.load(Ordering::Relaxed))).await;
        }
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        self.all.0.fetch_sub(1, Ordering::Relaxed);
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

    #[tokio::test(start_paused = true)]
    async fn all_together_are_as_fast_as_one_and_what_is_small_is_taken_at_once() {
        let unread = Unread::default();
        let began = Instant::now();
        let mut alone = unread.begin();
        for _ in 0..1024 {
            alone.take(16 * 1024).await;
        }
        assert!((900..2_100).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
        assert_eq!(alone.taken() as u64, RATE);
        drop(alone);

        let _others: Vec<_> = (0..99).map(|_| unread.begin()).collect();
        let (mut one_of_many, began) = (unread.begin(), Instant::now());
        one_of_many.take(AT_ONCE).await;
        assert_eq!(began.elapsed(), Duration::ZERO);
        one_of_many.take(1024 * 1024).await;
        assert!((6_200..6_300).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    }

    #[test]
    fn none_is_counted_any_more() {
        let unread = Unread::default();
        drop((unread.begin(), unread.begin()));
        assert_eq!(unread.0.load(Ordering::Relaxed), 0);
    }
}
