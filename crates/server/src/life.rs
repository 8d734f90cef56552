//! The life of the process: what runs beside requests, and how all of it ends.

use std::future::Future;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TrackedFuture;

/// How long what must not be dropped may take when everything else is over.
const LAST: Duration = Duration::from_secs(1);

/// How long whoever waits for what others have goes on waiting when the process ends: what was about to be given back is.
const MOMENT: Duration = Duration::from_secs(1);

/// The one place for work that outlives a request, and for the connections themselves. It ends in two steps: first
/// everything is asked to come to its end, and after a while what has not is dropped.
#[derive(Debug, Clone, Default)]
pub(crate) struct Life {
    ending: CancellationToken,
    over: CancellationToken,
    tasks: TaskTracker,
}

impl Life {
    /// Runs work that nobody waits for. It is dropped where it stands when the process has no more time for it.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let over = self.over.clone();
        self.tasks.spawn(async move { over.run_until_cancelled(work).await });
    }

    /// Runs work that must not stop half-way, and takes moments.
    pub(crate) fn complete(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(work);
    }

    /// Work that runs elsewhere, and that the end waits for.
    pub(crate) fn track<F: Future>(&self, work: F) -> TrackedFuture<F> {
        self.tasks.track_future(work)
    }

    /// When nothing new is to be begun any more.
    pub(crate) async fn ending(&self) {
        self.ending.cancelled().await;
    }

    /// Whether that is so already.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.is_cancelled()
    }

    /// Waits for what others have. None when the process ends first: what has begun is finished, and what would have to wait for that is
    /// not begun any more. What is there at once is had at the end as well.
    pub(crate) async fn wait<T>(&self, what: impl Future<Output = T>) -> Option<T> {
        let given_up = async {
            self.ending().await;
            sleep(MOMENT).await;
        };
        tokio::select! {
            biased;
            had = what => Some(had),
            () = given_up => None,
        }
    }

    /// Asks everything to come to its end and waits for it, but not for longer than `patience`. Whether all came to
    /// their end by themselves.
    pub(crate) async fn end(&self, patience: Duration) -> bool {
        self.ending.cancel();
        self.tasks.close();
        let in_time = tokio::time::timeout(patience, self.tasks.wait()).await.is_ok();
        self.over.cancel();
        // What is dropped may leave something to be completed.
        let _ = tokio::time::timeout(LAST, self.tasks.wait()).await;
        in_time
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[tokio::test]
    async fn work_that_listens_comes_to_its_end() {
        let (life, done) = (Life::default(), Arc::new(AtomicBool::new(false)));
        let (ending, told) = (life.clone(), Arc::clone(&done));
        life.spawn(async move {
            ending.ending().await;
            told.store(true, Ordering::Relaxed);
        });
        assert!(life.end(Duration::from_secs(30)).await);
        assert!(done.load(Ordering::Relaxed));
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_end_nobody_waits_and_what_is_there_is_had() {
        let life = Life::default();
        let waiting = tokio::spawn({
            let life = life.clone();
            async move { life.wait(std::future::pending::<()>()).await }
        });
        sleep(MOMENT * 100).await;
        assert!(!waiting.is_finished());
        life.end(Duration::ZERO).await;
        assert_eq!(waiting.await.unwrap(), None);
        assert_eq!(life.wait(async { "there" }).await, Some("there"));
        let soon = async {
            sleep(MOMENT / 2).await;
            "soon"
        };
        assert_eq!(life.wait(soon).await, Some("soon"));
    }

    /// And what it leaves behind is completed.
    #[tokio::test]
    async fn work_that_does_not_is_dropped() {
        struct Leaves(Life, Arc<AtomicBool>);
        impl Drop for Leaves {
            fn drop(&mut self) {
                let done = Arc::clone(&self.1);
                self.0.complete(async move {
                    tokio::task::yield_now().await;
                    done.store(true, Ordering::Relaxed);
                });
            }
        }
        let (life, done) = (Life::default(), Arc::new(AtomicBool::new(false)));
        let left = Leaves(life.clone(), Arc::clone(&done));
        life.spawn(async move {
            let _left = left;
            std::future::pending().await
        });
        assert!(!life.end(Duration::from_millis(1)).await);
        assert!(done.load(Ordering::Relaxed));
    }
}
