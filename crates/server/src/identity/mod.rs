//! Who there is: tenants, how they come about, their API keys, their authenticators, the key of their log, their agents; and what
//! superadmins see and do of all of them.

pub(crate) mod account;
pub(crate) mod admin;
pub(crate) mod agents;
mod attempts;
pub(crate) mod audit_key;
pub(crate) mod authenticators;
pub(crate) mod keys;
pub(crate) mod onboarding;
pub(crate) mod sessions;
pub(crate) mod signup;
pub(crate) mod tenants;
mod visitor;

pub(crate) use attempts::STATEMENTS as ATTEMPTS_STATEMENTS;
