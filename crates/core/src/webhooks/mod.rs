//! Webhooks: where they may lead, and what they may be told.

mod addresses;
mod body;
mod retries;
mod signature;

pub use addresses::{AllowedNetworks, NotANetwork, is_blocked};
pub use body::{Envelope, MAX_BODY, body};
pub use retries::{MAX_ATTEMPTS, NotASchedule, RetrySchedule};
pub use signature::Signer;
