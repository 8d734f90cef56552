//! The knowledge of a tenant: articles that agents and people write, how they hang together, and what is made of all of them; and what
//! the server itself explains to everybody.

pub(crate) mod access;
pub(crate) mod analytics;
pub(crate) mod articles;
pub(crate) mod embeddings;
pub(crate) mod export;
pub(crate) mod extraction;
pub(crate) mod index;
pub(crate) mod ingestion;
pub(crate) mod links;
pub(crate) mod lint;
pub(crate) mod pipeline;
pub(crate) mod search;
pub(crate) mod system;
pub(crate) mod work;

use std::sync::Arc;

use embeddings::{EmbeddingOptions, Meaning};
use search::Shelves;

/// What this process knows of what articles mean.
#[derive(Debug, Clone)]
pub(crate) struct Knowledge {
    pub(crate) meaning: Arc<Meaning>,
    pub(crate) shelves: Shelves,
}

impl Default for Knowledge {
    /// Of nothing it knows what it means.
    fn default() -> Self {
        Self { meaning: Arc::new(Meaning::off()), shelves: Shelves::default() }
    }
}

impl Knowledge {
    /// # Errors
    /// When nobody can make out what texts mean with these options.
    pub(crate) fn new(options: &EmbeddingOptions) -> Result<Self, String> {
        Ok(Self { meaning: Arc::new(Meaning::new(options)?), shelves: Shelves::default() })
    }
}
