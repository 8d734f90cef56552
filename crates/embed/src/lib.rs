//! Texts as vectors, in this process and without asking anybody: what is near in meaning is near in space. Of loopctl it knows what
//! words are.
//!
//! There are two ways. A small transformer that comes along (`model`) knows that a pool that has run dry and connections that nobody gives
//! back are the same; `hash` knows words alone, costs next to nothing, and is the same for ever.

mod hash;
mod model;
mod tokens;
mod vector;
mod weights;

pub use vector::{Small, dot};
pub use weights::NoModel;

use model::Model;

/// Characters of a title and a body together that have a part in an article's vectors; where they are very many tokens, fewer.
pub const MOST: usize = 32_000;

/// What makes vectors.
pub struct Embedder(Kind);

enum Kind {
    Model(&'static str, Box<Model>),
    Hash,
}

impl std::fmt::Debug for Embedder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Embedder").field(&self.name()).finish()
    }
}

impl Embedder {
    /// By the hashes of words.
    #[must_use]
    pub fn hash() -> Self {
        Self(Kind::Hash)
    }

    /// By the model that comes along.
    ///
    /// # Panics
    /// Never: a test reads it.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the file is part of the program, and a test reads it")]
    pub fn built_in() -> Self {
        Self::model("loopctl-minilm-1", include_bytes!("../model.bin")).expect("the model that comes along")
    }

    /// By a model of this name, as a file has it.
    ///
    /// # Errors
    /// When the file holds none.
    pub fn model(name: &'static str, file: &'static [u8]) -> Result<Self, NoModel> {
        Model::read(file).map(|model| Self(Kind::Model(name, Box::new(model))))
    }

    /// What it is called. Vectors of different names are never compared.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.0 {
            Kind::Model(name, _) => name,
            Kind::Hash => "local-hash-v1",
        }
    }

    /// How long its vectors are.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        match &self.0 {
            Kind::Model(_, model) => model.dimension(),
            Kind::Hash => hash::DIMENSIONS,
        }
    }

    /// From which similarity on two articles belong together.
    #[must_use]
    pub fn related(&self) -> f32 {
        match self.0 {
            Kind::Model(..) => 0.6,
            Kind::Hash => 0.35,
        }
    }

    /// The vector of a question, of length one. None: the question says nothing.
    #[must_use]
    pub fn question(&self, text: &str) -> Option<Vec<f32>> {
        match &self.0 {
            Kind::Model(_, model) => model.question(text),
            Kind::Hash => hash::vector("", text),
        }
    }

    /// The vectors of an article, one for each part of it and of length one each; none, if it says nothing.
    #[must_use]
    pub fn article(&self, title: &str, body: &str) -> Vec<Vec<f32>> {
        let room = MOST.saturating_sub(title.chars().count() + 2);
        let end = body.char_indices().nth(room).map_or(body.len(), |(at, _)| at);
        let body = &body[..end];
        match &self.0 {
            Kind::Model(_, model) => model.article(title, body),
            Kind::Hash => hash::vector(title, body).into_iter().collect(),
        }
    }

    /// How many tokens a text has, as models count them; without a model one for about four characters.
    #[must_use]
    pub fn tokens(&self, text: &str) -> usize {
        match &self.0 {
            Kind::Model(_, model) => model.tokens(text).len(),
            Kind::Hash => text.chars().count().div_ceil(4),
        }
    }
}
