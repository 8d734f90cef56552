//! Webhooks: who is to be told of what, and what is to be delivered to them.

mod delivery;

use loopctl_core::webhooks::Policy;
use tokio::sync::Notify;

pub use delivery::DeliveryOptions;
pub(crate) use delivery::{STATEMENTS as DELIVERY_STATEMENTS, keep_delivering};

/// What this server knows of webhooks.
#[derive(Debug, Default)]
pub(crate) struct Webhooks {
    /// Where they may lead.
    pub(crate) policy: Policy,
    /// Told when something was put into the queue here. What others put there is found by looking.
    pub(crate) queued: Notify,
}

impl Webhooks {
    /// With nothing in the queue.
    pub(crate) fn new(policy: Policy) -> Self {
        Self { policy, queued: Notify::new() }
    }
}
