//! What may be ingested: one page or one text.

use loopctl_core::fields::Fields;
use loopctl_core::fields::parse_uuid;
use loopctl_core::json::{JsonText, Object, compact_length, is_exact, scalar};
use loopctl_core::request::{Member, Request};
use loopctl_core::webhooks::{PRIVATE, Policy};
use schemars::{Schema, json_schema};
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// The most characters of a text, of a URL and of a source type.
pub(super) const MOST_CONTENT: usize = 500_000;
const MOST_URL: usize = 2048;
const MOST_SOURCE_TYPE: usize = 64;
/// The most bytes of metadata, and one more.
const METADATA: usize = 65_536;

/// What is to be ingested.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) source_type: String,
    pub(super) source: Source,
    /// None: of the whole tenant. What is no id is nobody's project.
    pub(super) project_id: Option<Uuid>,
    pub(super) metadata: Option<JsonText>,
}

/// Where it is.
#[derive(Debug, Clone)]
pub(super) enum Source {
    Url(String),
    Content(String),
}

impl Source {
    pub(super) fn url(&self) -> Option<&str> {
        match self {
            Self::Url(url) => Some(url),
            Self::Content(_) => None,
        }
    }

    pub(super) fn content(&self) -> Option<&str> {
        match self {
            Self::Url(_) => None,
            Self::Content(content) => Some(content),
        }
    }

    /// SHA-256 in hexadecimal digits.
    pub(super) fn hash(&self) -> String {
        let (Self::Url(text) | Self::Content(text)) = self;
        hex::encode(Sha256::digest(text.as_bytes()))
    }
}

/// What is wrong with an item, in a sentence.
pub(super) type Fault = String;

impl Item {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn of(object: &Object<'_>) -> Result<Self, Fault> {
        let source = match (text(object, "url")?, text(object, "content")?) {
            (None, None) => return Err("Exactly one of 'url' or 'content' is required".to_owned()),
            (Some(_), Some(_)) => {
                return Err("Provide exactly one of 'url' or 'content', not both".to_owned());
            }
            (Some(url), None) => Source::Url(checked_url(url)?),
            (None, Some(content)) => {
                at_most(&content, "content", MOST_CONTENT)?;
                Source::Content(content)
            }
        };
        let source_type = text(object, "source_type")?.ok_or("'source_type' is required")?;
        at_most(&source_type, "source_type", MOST_SOURCE_TYPE)?;
        let project_id = match filled(object, "project_id").map(scalar) {
            None => None,
            Some(Value::String(blank)) if blank.trim().is_empty() => None,
            Some(sent) => Some(sent.as_str().and_then(parse_uuid).unwrap_or_default()),
        };
        let metadata = filled(object, "metadata").map(checked_metadata).transpose()?;
        Ok(Self { source_type, source, project_id, metadata })
    }
}

fn filled<'a>(object: &Object<'a>, name: &str) -> Option<&'a RawValue> {
    object.get(name).filter(|raw| raw.get() != "null")
}

/// A text that is there and not blank.
fn text(object: &Object<'_>, name: &str) -> Result<Option<String>, Fault> {
    match filled(object, name).map(scalar) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.trim().is_empty())),
        Some(_) => Err(format!("'{name}' must be a string")),
    }
}

fn at_most(text: &str, name: &str, most: usize) -> Result<(), Fault> {
    match text.chars().nth(most) {
        None => Ok(()),
        Some(_) => Err(format!("'{name}' is too long (max {most} characters)")),
    }
}

fn checked_url(url: String) -> Result<String, Fault> {
    let url = url.trim().to_owned();
    at_most(&url, "url", MOST_URL)?;
    // Whether a private address may be asked, this server's settings say.
    match Policy::default().url(&url) {
        Ok(_) | Err(PRIVATE) => Ok(url),
        Err(_) => Err("'url' must be an http(s) URL".to_owned()),
    }
}

fn checked_metadata(raw: &RawValue) -> Result<JsonText, Fault> {
    if !raw.get().starts_with('{') {
        return Err("'metadata' must be an object".to_owned());
    }
    if raw.get().len() >= METADATA && compact_length(raw) >= METADATA {
        return Err("'metadata' must be smaller than 64KB".to_owned());
    }
    if !is_exact(raw.get()) {
        return Err("'metadata' has a number that cannot be stored exactly: send it as a string".to_owned());
    }
    Ok(raw.into())
}

/// `POST /knowledge/ingest`.
pub(super) struct IngestRequest(pub(super) Result<Item, Fault>);

impl Request for IngestRequest {
    const NAME: &'static str = "IngestRequest";

    fn read(fields: &mut Fields<'_>) -> Self {
        Self(Item::of(fields.object()))
    }

    fn members() -> Vec<Member> {
        let text = |most: usize| json_schema!({"type": "string", "minLength": 1, "maxLength": most});
        let member =
            |name, description, schema: Schema, required| Member { name, description, schema, required };
        vec![
            member(
                "source_type",
                "What kind of text it is, in a word of yours.",
                text(MOST_SOURCE_TYPE),
                true,
            ),
            member(
                "url",
                "A page, over http or https, on the public network. Either this or `content`.",
                json_schema!({"type": "string", "format": "uri", "maxLength": MOST_URL}),
                false,
            ),
            member("content", "The text itself: best as Markdown.", text(MOST_CONTENT), false),
            member(
                "project_id",
                "Whose drafts they are; absent: the whole tenant's.",
                json_schema!({"type": "string", "format": "uuid"}),
                false,
            ),
            member(
                "metadata",
                "Kept with each draft, as `metadata.ingestion`.",
                json_schema!({"type": "object"}),
                false,
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn item(value: Value) -> Result<Item, Fault> {
        Item::of(&JsonText::from(value).object().unwrap())
    }

    #[test]
    fn what_is_not_one_page_or_one_text() {
        for (value, fault) in [
            (json!({}), "Exactly one of 'url' or 'content' is required"),
            (
                json!({"source_type": "x", "url": " ", "content": null}),
                "Exactly one of 'url' or 'content' is required",
            ),
            (
                json!({"source_type": "x", "url": "http://a.example", "content": "c"}),
                "Provide exactly one of 'url' or 'content', not both",
            ),
            (json!({"content": "c"}), "'source_type' is required"),
            (json!({"content": "c", "source_type": " "}), "'source_type' is required"),
            (json!({"content": "c", "source_type": 7}), "'source_type' must be a string"),
            (json!({"content": ["c"], "source_type": "x"}), "'content' must be a string"),
            (json!({"url": {}, "source_type": "x"}), "'url' must be a string"),
            (
                json!({"content": "c", "source_type": "x".repeat(65)}),
                "'source_type' is too long (max 64 characters)",
            ),
            (
                json!({"content": "é".repeat(500_001), "source_type": "x"}),
                "'content' is too long (max 500000 characters)",
            ),
            (
                json!({"url": format!("http://a.example/{}", "x".repeat(2048)), "source_type": "x"}),
                "'url' is too long (max 2048 characters)",
            ),
            (json!({"content": "c", "source_type": "x", "metadata": []}), "'metadata' must be an object"),
            (
                json!({"content": "c", "source_type": "x", "metadata": {"a": "x".repeat(65_536)}}),
                "'metadata' must be smaller than 64KB",
            ),
        ] {
            assert_eq!(
                item(value.clone()).unwrap_err(),
                fault,
                "{}",
                value.to_string().get(..60).unwrap_or_default()
            );
        }
        for url in [
            "ftp://a.example/",
            "http://u:p@a.example/",
            "nonsense",
            "//a.example",
            "http://a b.example/",
            "file:///etc/passwd",
        ] {
            let fault = item(json!({"url": url, "source_type": "x"})).unwrap_err();
            assert_eq!(fault, "'url' must be an http(s) URL", "{url}");
        }
    }

    #[test]
    fn what_is() {
        let found = item(json!({"url": " https://a.example/x ", "source_type": "newsletter", "content": ""}))
            .unwrap();
        assert_eq!(found.source.url(), Some("https://a.example/x"));
        assert_eq!((found.project_id, found.metadata.is_none()), (None, true));
        let content = "é".repeat(500_000);
        let found = item(json!({"content": content, "source_type": "x", "project_id": "nope"})).unwrap();
        assert_eq!((found.project_id, found.source.hash().len()), (Some(Uuid::nil()), 64));
    }
}
