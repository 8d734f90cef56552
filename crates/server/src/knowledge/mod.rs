//! The knowledge of a tenant: articles that agents and people write, how they hang together, and what is made of all of them.

pub(crate) mod access;
pub(crate) mod analytics;
pub(crate) mod articles;
pub(crate) mod export;
pub(crate) mod extraction;
pub(crate) mod index;
pub(crate) mod ingestion;
pub(crate) mod links;
pub(crate) mod lint;
pub(crate) mod pipeline;
pub(crate) mod work;
