//! What whoever watches over the server sees: `/health`, ten times a second, each time over a connection of its own.

use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::support::http::Connection;

const EVERY: Duration = Duration::from_millis(100);
/// When an orchestrator of containers gives up.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(crate) struct Health {
    pub(crate) asked: usize,
    /// Anything but 200, or nothing in time.
    pub(crate) failed: usize,
    /// What came of the first of those instead, and when.
    pub(crate) first_failures: Vec<String>,
}

/// So many failures are told one by one.
const TOLD: usize = 5;

impl Health {
    /// Asks until the future is dropped.
    pub(crate) async fn watch(&mut self, address: &str) {
        let mut ticks = interval(EVERY);
        let began = Instant::now();
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let ask = async {
                let request = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
                Connection::open(address).await?.exchange(&[request]).await
            };
            self.asked += 1;
            let instead = match timeout(PATIENCE, ask).await {
                Ok(Ok(200)) => continue,
                Ok(Ok(status)) => status.to_string(),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer".to_owned(),
            };
            self.failed += 1;
            if self.first_failures.len() < TOLD {
                self.first_failures.push(format!("{instead} after {:.1} s", began.elapsed().as_secs_f64()));
            }
        }
    }
}
