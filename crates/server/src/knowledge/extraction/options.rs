//! Who looks through texts, and where they may come from.

use std::fmt;

use loopctl_core::webhooks::{AllowedNetworks, Policy};

/// How texts are looked through.
#[derive(Debug, Clone, Default)]
pub struct ExtractionOptions {
    /// Who does it.
    pub extractor: ExtractorChoice,
    /// Private networks that pages may be fetched from all the same.
    pub allowed_sources: AllowedNetworks,
}

impl ExtractionOptions {
    /// Where pages may be fetched from.
    pub(crate) fn sources(&self) -> Policy {
        Policy { allow_http: true, allowed: self.allowed_sources.clone() }
    }
}

/// Who looks through texts.
#[derive(Debug, Clone, Default)]
pub enum ExtractorChoice {
    /// Rules of our own, which ask nobody.
    #[default]
    Local,
    /// A model, by the API of Anthropic or one like it.
    Anthropic(AnthropicOptions),
    /// Nobody.
    Off,
}

/// How a model is asked.
#[derive(Clone)]
pub struct AnthropicOptions {
    /// The secret that lets us.
    pub api_key: String,
    /// Where: `https://api.anthropic.com/v1`.
    pub base_url: String,
    /// Which.
    pub model: String,
}

impl AnthropicOptions {
    /// Where it is asked unless something else is said.
    pub const BASE_URL: &'static str = "https://api.anthropic.com/v1";
    /// What is asked unless something else is said: a small one.
    pub const MODEL: &'static str = "claude-haiku-4-5";
}

impl fmt::Debug for AnthropicOptions {
    /// A key belongs into no log.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("AnthropicOptions");
        shown.field("base_url", &self.base_url).field("model", &self.model).finish_non_exhaustive()
    }
}
