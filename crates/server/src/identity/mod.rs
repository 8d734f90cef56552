//! Who there is: tenants, how they come about, their API keys, their authenticators, their agents; and what superadmins see and do of
//! all of them.

pub(crate) mod admin;
pub(crate) mod agents;
pub(crate) mod authenticators;
pub(crate) mod keys;
pub(crate) mod signup;
pub(crate) mod tenants;
