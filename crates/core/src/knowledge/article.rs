//! What an article may hold.

use schemars::{Schema, json_schema};

use crate::fields::{Fields, INVALID};
use crate::json::{elements, scalar};
use crate::request::Rule;
use crate::words::words;

words! {
    /// What kind of knowledge an article is.
    Category {
        /// A way of doing something that has proved itself.
        Pattern = "pattern",
        /// What everybody does the same way.
        Convention = "convention",
        /// What was chosen, and why.
        Decision = "decision",
        /// What was found out.
        Finding = "finding",
        /// What is looked up.
        Reference = "reference",
    }
}

words! {
    /// Where an article stands.
    Status {
        /// Not yet for readers.
        Draft = "draft",
        /// For readers.
        Published = "published",
        /// Laid aside for good.
        Archived = "archived",
        /// Another one takes its place.
        Superseded = "superseded",
    }
}

words! {
    /// How one article is to another.
    Relationship {
        /// They belong together, in both directions.
        RelatesTo = "relates_to",
        /// The source was made from the target.
        DerivedFrom = "derived_from",
        /// They cannot both be right.
        Contradicts = "contradicts",
        /// The source takes the target's place.
        Supersedes = "supersedes",
    }
}

/// The most characters of a title.
pub const MAX_TITLE: usize = 500;
/// The most characters of a body.
pub const MAX_BODY: usize = 100_000;
/// The most tags of an article.
pub const MAX_TAGS: usize = 20;
/// The most characters of a tag.
const MAX_TAG: usize = 100;

/// Where articles come from.
pub const SOURCE_TYPES: &[&str] =
    &["review_finding", "manual", "agent", "session_log", "newsletter", "skill", "web_article", "ingestion"];

/// As much of what was sent as is repeated.
fn shown(text: &str) -> String {
    const MOST: usize = 200;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Whether an article may say that it comes from there.
///
/// # Errors
/// Why not.
pub fn check_source_type(text: &str) -> Result<(), String> {
    if SOURCE_TYPES.contains(&text) { Ok(()) } else { Err(format!("unknown source type: {}", shown(text))) }
}

/// Tags: at most 20 words of letters, digits, `_` and `-`.
pub const fn tags() -> Tags {
    Tags
}

/// See [`tags`].
#[derive(Debug, Clone, Copy)]
pub struct Tags;

impl Tags {
    /// Whether a word may be a tag.
    ///
    /// # Errors
    /// Why not.
    pub fn check(tag: &str) -> Result<(), String> {
        if tag.chars().nth(MAX_TAG).is_some() {
            return Err(format!("tag {} exceeds maximum length of {MAX_TAG}", shown(tag)));
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if tag.is_empty() || !tag.bytes().all(is_plain) {
            return Err(format!("tag {tag} contains invalid characters"));
        }
        Ok(())
    }
}

impl Rule for Tags {
    type Value = Option<Vec<String>>;

    fn read(&self, fields: &mut Fields<'_>, name: &'static str) -> Self::Value {
        let raw = fields.raw(name)?;
        let Some(items) = elements(raw) else {
            fields.fail(name, INVALID);
            return None;
        };
        if items.len() > MAX_TAGS {
            fields.fail(name, format!("must not exceed {MAX_TAGS} tags"));
            return None;
        }
        let mut tags = Vec::with_capacity(items.len());
        for item in items {
            if item.get() == "null" {
                fields.fail(name, "each tag must be a string");
                continue;
            }
            match scalar(item).as_str().map(|tag| Self::check(tag).map(|()| tag.to_owned())) {
                Some(Ok(tag)) => tags.push(tag),
                Some(Err(message)) => fields.fail(name, message),
                None => fields.fail(name, INVALID),
            }
        }
        Some(tags)
    }

    fn schema(&self) -> Schema {
        json_schema!({
            "type": "array",
            "maxItems": MAX_TAGS,
            "items": {"type": "string", "minLength": 1, "maxLength": MAX_TAG, "pattern": "^[A-Za-z0-9_-]+$"},
        })
    }
}

/// Whether a text may be the slug of an article.
///
/// # Errors
/// What it should be.
pub fn check_slug(text: &str) -> Result<(), String> {
    match text.chars().count() {
        0 | 1 => return Err("should be at least 2 character(s)".to_owned()),
        2..=64 => {}
        _ => return Err("should be at most 64 character(s)".to_owned()),
    }
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = [text.bytes().next(), text.bytes().next_back()];
    let sound = ends.into_iter().flatten().all(plain) && text.bytes().all(|byte| plain(byte) || byte == b'-');
    if sound { Ok(()) } else { Err("must be lowercase alphanumeric with hyphens".to_owned()) }
}

/// A slug made of a title, with six digits by which it is another one than that of the same title elsewhere.
pub fn generated_slug(title: &str, digits: u32) -> String {
    let lower = title.to_lowercase();
    let kept: String = lower
        .chars()
        .filter(|letter| {
            letter.is_ascii_lowercase() || letter.is_ascii_digit() || *letter == '-' || letter.is_whitespace()
        })
        .collect();
    let joined = kept.split_whitespace().collect::<Vec<_>>().join("-");
    let cut: String = joined.trim_matches('-').chars().take(56).collect();
    let digits = format!("{:06x}", digits & 0x00ff_ffff);
    match cut.trim_end_matches('-') {
        "" => digits,
        words => format!("{words}-{digits}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::json::JsonText;

    fn read(sent: Value) -> (Option<Vec<String>>, Vec<String>) {
        let text = JsonText::from(json!({"tags": sent}));
        let object = text.object().unwrap();
        let mut fields = Fields::new(&object);
        let read = tags().read(&mut fields, "tags");
        (read, fields.into_errors().0.remove("tags").unwrap_or_default())
    }

    #[test]
    fn tags_are_plain_words() {
        let twenty: Vec<_> = (0..20).map(|nth| format!("t{nth}")).collect();
        assert_eq!(read(json!(twenty)), (Some(twenty.clone()), vec![]));
        assert_eq!(read(json!([twenty, vec!["x".to_owned()]].concat())).1, ["must not exceed 20 tags"]);
        assert_eq!(read(json!(null)), (None, vec![]));
        assert_eq!(read(json!([])), (Some(vec![]), vec![]));
        let long = "a".repeat(101);
        for (sent, message) in [
            (json!("a"), "is invalid".to_owned()),
            (json!({}), "is invalid".to_owned()),
            (json!([7]), "is invalid".to_owned()),
            (json!([["a"]]), "is invalid".to_owned()),
            (json!([null]), "each tag must be a string".to_owned()),
            (json!(["bad tag!"]), "tag bad tag! contains invalid characters".to_owned()),
            (json!(["a\n"]), "tag a\n contains invalid characters".to_owned()),
            (json!(["ä"]), "tag ä contains invalid characters".to_owned()),
            (json!([""]), "tag  contains invalid characters".to_owned()),
            (json!([long]), format!("tag {long} exceeds maximum length of 100")),
        ] {
            assert_eq!(read(sent.clone()).1, [message], "{sent}");
        }
        assert_eq!(read(json!(["A_b-9", &long[1..]])).1, [""; 0]);
        let huge = read(json!(["ä".repeat(1_000_000)])).1;
        assert!(huge[0].len() < 500, "{}", huge[0].len());
    }

    #[test]
    fn slugs_begin_and_end_with_a_letter_or_digit() {
        for sound in ["ab", "a1", "a-b", "a--b", "0-0", &"a".repeat(64)] {
            assert_eq!(check_slug(sound), Ok(()), "{sound}");
        }
        for wrong in ["-a", "a-", "A-b", "a_b", "a b", "äb", "ab\n"] {
            assert_eq!(
                check_slug(wrong).unwrap_err(),
                "must be lowercase alphanumeric with hyphens",
                "{wrong:?}"
            );
        }
        assert_eq!(check_slug("a").unwrap_err(), "should be at least 2 character(s)");
        assert_eq!(check_slug(&"a".repeat(65)).unwrap_err(), "should be at most 64 character(s)");
    }

    #[test]
    fn slugs_are_made_of_titles() {
        for (title, expected) in [
            ("Ecto Multi pattern", "ecto-multi-pattern-00002a"),
            ("  What's New? (v2.0) ", "whats-new-v20-00002a"),
            ("ÄÖ ß", "00002a"),
            ("--", "00002a"),
        ] {
            assert_eq!(generated_slug(title, 42), expected, "{title}");
        }
        assert_eq!(generated_slug(&"a".repeat(500), 0xff12_3456), format!("{}-123456", "a".repeat(56)));
    }

    #[test]
    fn sources_are_known_words() {
        assert_eq!(check_source_type("manual"), Ok(()));
        assert_eq!(check_source_type("unknown_source").unwrap_err(), "unknown source type: unknown_source");
        assert!(check_source_type(&"x".repeat(1_000_000)).unwrap_err().len() < 300);
    }

    proptest! {
        #[test]
        fn a_generated_slug_is_always_sound(title in ".{0,120}", digits in any::<u32>()) {
            let slug = generated_slug(&title, digits);
            prop_assert_eq!(check_slug(&slug), Ok(()), "{}", slug);
        }
    }
}
