//! Deliveries: what is due is taken webhook by webhook, sent, and recorded.
//!
//! The table of events is the queue. Whoever delivers to a webhook has a lease on it that ends by itself, so of one webhook one
//! event is under way at a time, whatever the number of servers, and what a server leaves unfinished when it is killed is delivered
//! by another one: at least once, as the same event and with the same bytes.

mod record;
mod sender;
mod store;
mod turn;
mod worker;

use std::time::Duration;

use loopctl_core::webhooks::RetrySchedule;

pub(crate) use store::STATEMENTS;
pub(crate) use worker::keep_delivering;

/// How long a webhook is its deliverer's, from the last time that the database heard of it.
const LEASE: Duration = Duration::from_secs(60);

/// How events are delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryOptions {
    /// How many webhooks are delivered to at the same time.
    pub concurrency: usize,
    /// When what failed is tried again.
    pub retries: RetrySchedule,
}

impl Default for DeliveryOptions {
    fn default() -> Self {
        Self { concurrency: 10, retries: RetrySchedule::default() }
    }
}
