//! What becomes of texts and reviews: candidates for drafts, by rules of our own or by a model that is asked. Whatever a text says, it
//! becomes the text of drafts and nothing else.

mod anthropic;
mod options;
mod reviews;

use loopctl_core::knowledge::{Candidate, LOCAL_RULES, ReviewSummary, of_content, of_review};
use loopctl_core::webhooks::Policy;

use self::anthropic::Anthropic;
use super::ingestion::Pages;
use crate::jobs::JobError;

pub use options::{AnthropicOptions, ExtractionOptions, ExtractorChoice};
pub(crate) use reviews::{enqueue, learn};

/// What was found in a text.
pub(super) struct Extracted {
    pub(super) candidates: Vec<Candidate>,
    /// Pieces of the text that could not be looked through.
    pub(super) chunks_failed: i32,
    /// By what it was found.
    pub(super) source: &'static str,
}

impl Extracted {
    /// Of what nobody looks through.
    const fn nothing() -> Self {
        Self { candidates: Vec::new(), chunks_failed: 0, source: "none" }
    }
}

/// Who looks through texts.
enum Extractor {
    Off,
    Local,
    Anthropic(Box<Anthropic>),
}

/// What the work is done with: pages are fetched by the one, and looked through by the other.
pub(crate) struct Extraction {
    extractor: Extractor,
    pub(super) pages: Pages,
}

impl Extraction {
    /// As a process was told to.
    ///
    /// # Errors
    /// When a model cannot be asked with these options.
    pub(crate) fn new(options: &ExtractionOptions) -> Result<Self, String> {
        let extractor = match &options.extractor {
            ExtractorChoice::Off => Extractor::Off,
            ExtractorChoice::Local => Extractor::Local,
            ExtractorChoice::Anthropic(anthropic) => {
                Extractor::Anthropic(Box::new(Anthropic::new(anthropic)?))
            }
        };
        Ok(Self { extractor, pages: Pages::new(options.sources()) })
    }

    /// What finds nothing, for a process that does none of it.
    pub(crate) fn none() -> Self {
        Self { extractor: Extractor::Off, pages: Pages::new(Policy::default()) }
    }

    /// Looks through a text.
    ///
    /// # Errors
    /// When nobody does, or none of it could be looked through.
    pub(super) async fn content(&self, source_type: &str, text: String) -> Result<Extracted, JobError> {
        match &self.extractor {
            Extractor::Off => Err(JobError(
                "this server does not look through texts: its LOOPCTL_EXTRACTOR is off".to_owned(),
            )),
            Extractor::Anthropic(anthropic) => anthropic.content(source_type, &text).await.map_err(JobError),
            Extractor::Local => {
                let found = tokio::task::spawn_blocking(move || of_content(&text)).await;
                let candidates = found.map_err(|error| JobError(error.to_string()))?;
                Ok(Extracted { candidates, chunks_failed: 0, source: LOCAL_RULES })
            }
        }
    }

    /// Looks through a review. Where nobody does, nothing is found in it.
    ///
    /// # Errors
    /// When it could not be looked through.
    async fn review(&self, review: &ReviewSummary) -> Result<Extracted, JobError> {
        match &self.extractor {
            Extractor::Off => Ok(Extracted::nothing()),
            Extractor::Anthropic(anthropic) => anthropic.review(review).await.map_err(JobError),
            Extractor::Local => {
                let candidates = of_review(review).into_iter().collect();
                Ok(Extracted { candidates, chunks_failed: 0, source: LOCAL_RULES })
            }
        }
    }
}
