//! What `serve` and `worker` are told about making out what texts mean.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use loopctl_server::{EmbeddingChoice, EmbeddingOptions, OpenAiOptions};

/// The secret with which a provider may be asked. From the command line everybody on the machine could read it.
const API_KEY: &str = "OPENAI_API_KEY";

/// Who makes vectors of texts.
#[derive(Debug, Args)]
pub(crate) struct EmbeddingArguments {
    /// Who makes out what articles and questions mean (default: openai where OPENAI_API_KEY is set, else local)
    #[arg(long, env = "LOOPCTL_EMBEDDINGS", value_name = "WHO")]
    embeddings: Option<Who>,
    /// A file with another model for `local` than the one that comes along
    #[arg(long, env = "LOOPCTL_EMBEDDING_MODEL", value_name = "FILE")]
    embedding_model: Option<PathBuf>,
    /// From which similarity on published articles are linked, from 0 to 1; above 1 none are (default: what fits who makes it out)
    #[arg(long, env = "LOOPCTL_ARTICLE_LINK_THRESHOLD", value_name = "SIMILARITY")]
    article_link_threshold: Option<f32>,
    /// Where the API of OpenAI is, or one like it
    #[arg(long, env = "OPENAI_BASE_URL", value_name = "URL", default_value = OpenAiOptions::BASE_URL)]
    openai_base_url: String,
    /// The model that is asked
    #[arg(long, env = "OPENAI_EMBEDDING_MODEL", value_name = "MODEL", default_value = OpenAiOptions::MODEL)]
    openai_embedding_model: String,
}

/// Who makes vectors of texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Who {
    /// A small model in this process, which asks nobody
    Local,
    /// Hashes of words: other words for the same thing are not found
    Hash,
    /// A provider, with OPENAI_API_KEY
    Openai,
    /// Nobody: search goes by words alone
    Off,
}

impl EmbeddingArguments {
    /// The options that they make.
    pub(crate) fn options(&self) -> Result<EmbeddingOptions, String> {
        let api_key = std::env::var(API_KEY).ok().filter(|key| !key.trim().is_empty());
        Ok(EmbeddingOptions {
            choice: self.choice(api_key)?,
            model: self.embedding_model.clone(),
            related: self.article_link_threshold,
        })
    }

    fn choice(&self, api_key: Option<String>) -> Result<EmbeddingChoice, String> {
        match (self.embeddings, api_key) {
            (Some(Who::Off), _) => Ok(EmbeddingChoice::Off),
            (Some(Who::Hash), _) => Ok(EmbeddingChoice::Hash),
            (Some(Who::Local), _) | (None, None) => Ok(EmbeddingChoice::Local),
            (Some(Who::Openai), None) => {
                Err(format!("LOOPCTL_EMBEDDINGS is openai, and {API_KEY} is not set"))
            }
            (Some(Who::Openai) | None, Some(api_key)) => Ok(EmbeddingChoice::OpenAi(OpenAiOptions {
                api_key,
                base_url: self.openai_base_url.clone(),
                model: self.openai_embedding_model.clone(),
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_makes_vectors() {
        let choice = |embeddings, key: Option<&str>| {
            let arguments = EmbeddingArguments {
                embeddings,
                embedding_model: None,
                article_link_threshold: None,
                openai_base_url: OpenAiOptions::BASE_URL.into(),
                openai_embedding_model: "m".into(),
            };
            arguments.choice(key.map(str::to_owned))
        };
        assert!(matches!(choice(None, None), Ok(EmbeddingChoice::Local)));
        assert!(matches!(choice(Some(Who::Local), Some("k")), Ok(EmbeddingChoice::Local)));
        assert!(matches!(choice(Some(Who::Hash), Some("k")), Ok(EmbeddingChoice::Hash)));
        assert!(matches!(choice(Some(Who::Off), Some("k")), Ok(EmbeddingChoice::Off)));
        assert!(matches!(choice(None, Some("k")), Ok(EmbeddingChoice::OpenAi(_))));
        assert!(choice(Some(Who::Openai), None).unwrap_err().contains(API_KEY));
    }
}
