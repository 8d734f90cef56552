//! What `serve` and `worker` are told about making drafts of texts.

use clap::{Args, ValueEnum};
use loopctl_core::webhooks::AllowedNetworks;
use loopctl_server::{AnthropicOptions, ExtractionOptions, ExtractorChoice};

/// The secret with which a model may be asked. From the command line everybody on the machine could read it.
const API_KEY: &str = "ANTHROPIC_API_KEY";

/// Who looks through texts, and where they may come from.
#[derive(Debug, Args)]
pub(crate) struct ExtractionArguments {
    /// Who makes drafts of texts and reviews (default: anthropic where ANTHROPIC_API_KEY is set, else local)
    #[arg(long, env = "LOOPCTL_EXTRACTOR", value_name = "WHO")]
    extractor: Option<Who>,
    /// Where the API of Anthropic is, or one like it
    #[arg(long, env = "ANTHROPIC_BASE_URL", value_name = "URL", default_value = AnthropicOptions::BASE_URL)]
    anthropic_base_url: String,
    /// The model that is asked
    #[arg(long, env = "ANTHROPIC_EXTRACTION_MODEL", value_name = "MODEL", default_value = AnthropicOptions::MODEL)]
    anthropic_extraction_model: String,
    /// Private networks that pages may be fetched from, with commas: 10.1.0.0/16,fd00::/8
    #[arg(long, env = "LOOPCTL_INGESTION_ALLOWED_PRIVATE_CIDRS", value_name = "NETWORKS")]
    ingestion_allowed_private_cidrs: Option<AllowedNetworks>,
}

/// Who looks through texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Who {
    /// Rules of loopctl's own, which ask nobody
    Local,
    /// A model, with ANTHROPIC_API_KEY
    Anthropic,
    /// Nobody: reviews teach nothing, and texts are refused by their jobs
    Off,
}

impl ExtractionArguments {
    /// The options that they make.
    pub(crate) fn options(&self) -> Result<ExtractionOptions, String> {
        let api_key = std::env::var(API_KEY).ok().filter(|key| !key.trim().is_empty());
        let allowed_sources = self.ingestion_allowed_private_cidrs.clone().unwrap_or_default();
        Ok(ExtractionOptions { extractor: self.choice(api_key)?, allowed_sources })
    }

    fn choice(&self, api_key: Option<String>) -> Result<ExtractorChoice, String> {
        match (self.extractor, api_key) {
            (Some(Who::Off), _) => Ok(ExtractorChoice::Off),
            (Some(Who::Local), _) | (None, None) => Ok(ExtractorChoice::Local),
            (Some(Who::Anthropic), None) => {
                Err(format!("LOOPCTL_EXTRACTOR is anthropic, and {API_KEY} is not set"))
            }
            (Some(Who::Anthropic) | None, Some(api_key)) => {
                Ok(ExtractorChoice::Anthropic(AnthropicOptions {
                    api_key,
                    base_url: self.anthropic_base_url.clone(),
                    model: self.anthropic_extraction_model.clone(),
                }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_looks_through_texts() {
        let choice = |extractor, key: Option<&str>| {
            let arguments = ExtractionArguments {
                extractor,
                anthropic_base_url: AnthropicOptions::BASE_URL.into(),
                anthropic_extraction_model: "m".into(),
                ingestion_allowed_private_cidrs: None,
            };
            arguments.choice(key.map(str::to_owned))
        };
        assert!(matches!(choice(None, None), Ok(ExtractorChoice::Local)));
        assert!(matches!(choice(Some(Who::Local), Some("k")), Ok(ExtractorChoice::Local)));
        assert!(matches!(choice(Some(Who::Off), Some("k")), Ok(ExtractorChoice::Off)));
        assert!(matches!(choice(None, Some("k")), Ok(ExtractorChoice::Anthropic(_))));
        assert!(choice(Some(Who::Anthropic), None).unwrap_err().contains(API_KEY));
    }
}
