//! Who there is: tenants, their API keys, their agents.

pub(crate) mod agents;
pub(crate) mod keys;
pub(crate) mod tenants;
