//! The knowledge of a tenant: articles that agents and people write, how they hang together, and what is made of all of them; and what
//! the server itself explains to everybody.

pub(crate) mod articles;
pub(crate) mod links;
pub(crate) mod system;
