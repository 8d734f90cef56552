//! Who makes vectors, and where their model is.

use std::fmt;
use std::path::PathBuf;

use loopctl_embed::Embedder;
use sha2::{Digest as _, Sha256};

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
        let stem = path.file_stem().map_or_else(|| "model".into(), |name| name.to_string_lossy());
        // Once for each process, which uses it until it ends.
        let (name, file) = (String::leak(name_of(&stem, &file)), Vec::leak(file));
        Embedder::model(name, file).map_err(|error| format!("LOOPCTL_EMBEDDING_MODEL {shown}: {error}"))
    }
}

/// What the model of a file is called. Vectors of one name are compared with each other, and another file may take the place of one.
fn name_of(stem: &str, file: &[u8]) -> String {
    let digest = hex::encode(Sha256::digest(file));
    // The database takes 200 characters.
    let stem: String = stem.chars().take(100).collect();
    format!("{stem}-{}", &digest[..12])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_file_is_another_model_whatever_it_is_called() {
        // `printf '%s' abc | sha256sum`
        assert_eq!(name_of("ours", b"abc"), "ours-ba7816bf8f01");
        assert_ne!(name_of("ours", b"abc"), name_of("ours", b"abd"));
        assert_eq!(name_of(&"ä".repeat(255), b"abc").chars().count(), 113);
        for built_in in [Embedder::hash(), Embedder::built_in()] {
            assert_ne!(name_of(built_in.name(), b"abc"), built_in.name());
        }
    }

    #[test]
    fn a_file_is_read_and_one_that_is_none_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ours.bin");
        let options = EmbeddingOptions { model: Some(path.clone()), ..EmbeddingOptions::default() };
        let refused = options.model().unwrap_err();
        assert!(refused.contains("LOOPCTL_EMBEDDING_MODEL") && refused.contains("ours.bin"), "{refused}");
        std::fs::write(&path, "nothing").unwrap();
        assert!(options.model().unwrap_err().contains("no model"));
        std::fs::write(&path, include_bytes!("../../../../embed/model.bin")).unwrap();
        let name = options.model().unwrap().name();
        assert!(name.starts_with("ours-") && name.len() == "ours-".len() + 12, "{name}");
    }
}
