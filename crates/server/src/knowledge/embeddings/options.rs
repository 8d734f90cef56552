//! Who makes vectors, and where their model is.

use std::fmt;
use std::path::PathBuf;

use loopctl_embed::Embedder;

/// How texts become vectors.
#[derive(Debug, Clone, Default)]
pub struct EmbeddingOptions {
    /// Who does it.
    pub choice: EmbeddingChoice,
    /// A file with another model than the one that comes along.
    pub model: Option<PathBuf>,
    /// From which similarity on articles are linked, from 0 to 1; above that none are. None: what fits who makes the vectors.
    pub related: Option<f32>,
}

/// Who makes vectors.
#[derive(Debug, Clone, Default)]
pub enum EmbeddingChoice {
    /// A small model in this process.
    #[default]
    Local,
    /// Hashes of words.
    Hash,
    /// A provider, by the API of `OpenAI` or one like it.
    OpenAi(OpenAiOptions),
    /// Nobody.
    Off,
}

/// How a provider is asked.
#[derive(Clone)]
pub struct OpenAiOptions {
    /// The secret that lets us.
    pub api_key: String,
    /// Where.
    pub base_url: String,
    /// Which model.
    pub model: String,
}

impl OpenAiOptions {
    /// Where it is asked unless something else is said.
    pub const BASE_URL: &'static str = "https://api.openai.com/v1";
    /// What is asked unless something else is said.
    pub const MODEL: &'static str = "text-embedding-3-small";
}

impl fmt::Debug for OpenAiOptions {
    /// A key belongs into no log.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("OpenAiOptions");
        shown.field("base_url", &self.base_url).field("model", &self.model).finish_non_exhaustive()
    }
}

impl EmbeddingOptions {
    /// The model that is used in this process.
    ///
    /// # Errors
    /// When the file that was named cannot be read, or holds none.
    pub(super) fn model(&self) -> Result<Embedder, String> {
        let Some(path) = &self.model else { return Ok(Embedder::built_in()) };
        let shown = path.display();
        let file =
            std::fs::read(path).map_err(|error| format!("LOOPCTL_EMBEDDING_MODEL {shown}: {error}"))?;
        let name = path.file_stem().map_or_else(|| "model".into(), |name| name.to_string_lossy());
        // Once for each process, which uses it until it ends.
        let (name, file) = (String::leak(name.into_owned()), Vec::leak(file));
        Embedder::model(name, file).map_err(|error| format!("LOOPCTL_EMBEDDING_MODEL {shown}: {error}"))
    }
}
