//! Webhooks: where they may lead, and what they may be told.

mod addresses;
mod event_type;
mod policy;

pub use addresses::{AllowedNetworks, NotANetwork, is_blocked};
pub use event_type::{EventType, NO_EVENTS};
pub use policy::Policy;
