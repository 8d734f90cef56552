//! Webhooks: where they may lead, and what they may be told.

mod addresses;

pub use addresses::{AllowedNetworks, NotANetwork, is_blocked};
