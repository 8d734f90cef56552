//! Who there is: tenants, how they come about, their API keys, their authenticators, the key of their log, their agents; and what
//! superadmins see and do of all of them.

pub(crate) mod admin;
pub(crate) mod agents;
pub(crate) mod audit_key;
pub(crate) mod authenticators;
pub(crate) mod keys;
pub(crate) mod signup;
pub(crate) mod tenants;
