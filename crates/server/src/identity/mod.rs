//! Who there is: tenants, how they come about, their API keys, their authenticators, their agents.

pub(crate) mod agents;
pub(crate) mod authenticators;
pub(crate) mod keys;
pub(crate) mod signup;
pub(crate) mod tenants;
