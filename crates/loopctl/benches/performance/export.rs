//! A project as one document.

use std::time::{Duration, Instant};

use crate::bench::Bench;
use crate::bulk::{ROUNDS, median};
use crate::ready::Growth;

pub(crate) struct Export {
    pub(crate) time: Duration,
    /// Bytes of the document.
    pub(crate) size: u64,
    /// Bytes by which the server's resident memory rose, at its highest.
    pub(crate) memory: u64,
}

/// Exports the largest project that there is.
pub(crate) async fn measure(bench: &Bench, growth: &Growth) -> Export {
    let path = format!("/projects/{}/export", growth.largest);
    let before = bench.service.mark_memory();
    let (mut times, mut size) = (Vec::new(), 0);
    for _ in 0..ROUNDS {
        let began = Instant::now();
        size = growth.tenant.user.drain(&path).await;
        times.push(began.elapsed());
    }
    Export { time: median(times), size, memory: bench.service.highest_memory().saturating_sub(before) }
}
