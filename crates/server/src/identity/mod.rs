//! Who there is: tenants, their API keys, their agents; and what superadmins see and do of all of them.

pub(crate) mod admin;
pub(crate) mod agents;
pub(crate) mod keys;
pub(crate) mod tenants;
