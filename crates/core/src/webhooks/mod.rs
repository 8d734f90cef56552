//! Webhooks: where they may lead, what they may be told, and how.

mod addresses;
mod body;
mod event_type;
mod policy;
mod retries;
mod signature;

pub use addresses::{AllowedNetworks, NotANetwork, is_blocked};
pub use body::{Envelope, MAX_BODY, body};
pub use event_type::{EventType, NO_EVENTS};
pub use policy::{PRIVATE, Policy};
pub use retries::{MAX_ATTEMPTS, NotASchedule, RetrySchedule};
pub use signature::Signer;
