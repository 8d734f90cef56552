//! The knowledge of a tenant: articles that agents and people write, how they hang together, and what is made of all of them; and what
//! the server itself explains to everybody.

pub(crate) mod articles;
pub(crate) mod export;
pub(crate) mod index;
pub(crate) mod links;
pub(crate) mod lint;
pub(crate) mod system;
