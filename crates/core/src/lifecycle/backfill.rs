//! What a backfill says about work that was finished outside the loop.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use url::Url;

use crate::json::{JsonText, Object};
use crate::request::{Request, integer, text};

/// The member of a story's metadata that says how it was backfilled.
pub const BACKFILL: &str = "backfill";

/// Why a story counts as done although nobody worked on it in the loop, and where to look.
#[derive(Debug, Clone, PartialEq, Eq, Request)]
pub struct Backfill {
    /// Why the story counts as done.
    #[rule(text(2000).trimmed().required())]
    pub reason: String,
    /// An `http` or `https` address without credentials.
    #[rule(text(2000).trimmed().that(|text| check_address(text)))]
    pub evidence_url: Option<String>,
    /// A pull request.
    #[rule(integer().positive())]
    pub pr_number: Option<i32>,
}

impl Backfill {
    /// What a story's metadata says of an earlier backfill.
    pub fn recorded(metadata: &JsonText) -> Option<Self> {
        let metadata = metadata.object()?;
        let object = Object::parse(metadata.get(BACKFILL)?)?;
        Self::from_object(&object).ok()
    }

    /// The member that a backfill at time `now` adds to a story's metadata.
    pub fn metadata(&self, now: DateTime<Utc>) -> Value {
        json!({BACKFILL: {
            "reason": self.reason,
            "evidence_url": self.evidence_url,
            "pr_number": self.pr_number,
            "backfilled_at": now.to_rfc3339_opts(SecondsFormat::Micros, true),
        }})
    }
}

fn check_address(text: &str) -> Result<(), String> {
    if is_public_address(text) {
        return Ok(());
    }
    Err("must be an http or https URL without credentials".to_owned())
}

fn is_public_address(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else { return false };
    // The parser forgives white space and control characters; what is stored is the text.
    let clean = !text.contains(|character: char| character.is_whitespace() || character.is_control());
    let credentials = !url.username().is_empty() || url.password().is_some() || url.authority().contains('@');
    clean && matches!(url.scheme(), "http" | "https") && url.has_host() && !credentials
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::FieldErrors;

    fn read(body: Value) -> Result<Backfill, FieldErrors> {
        Backfill::from_object(&JsonText::from(body).object().unwrap())
    }

    #[test]
    fn a_reason_is_needed() {
        for body in [json!({}), json!({"reason": " "}), json!({"reason": null}), json!({"reason": 7})] {
            assert!(read(body.clone()).unwrap_err().0.contains_key("reason"), "{body}");
        }
        assert!(read(json!({"reason": "r".repeat(2000)})).is_ok());
        assert!(read(json!({"reason": "r".repeat(2001)})).unwrap_err().0["reason"][0].contains("2000"));
        assert_eq!(read(json!({"reason": "  r "})).unwrap().reason, "r");
    }

    #[test]
    fn pull_requests_are_positive_integers() {
        for good in [json!(232), json!("232")] {
            assert_eq!(read(json!({"reason": "r", "pr_number": good})).unwrap().pr_number, Some(232));
        }
        for bad in [json!({}), json!(0), json!(-1), json!("x"), json!(1.5), json!(true), json!(1_u64 << 40)] {
            assert!(read(json!({"reason": "r", "pr_number": bad})).unwrap_err().0.contains_key("pr_number"));
        }
    }

    #[test]
    fn evidence_is_a_public_address() {
        let url = |text: Value| read(json!({"reason": "r", "evidence_url": text}));
        for good in ["http://a.example", "https://a.example/b?c=@d#e", " https://[::1]:8/x "] {
            assert_eq!(url(json!(good)).unwrap().evidence_url.as_deref(), Some(good.trim()));
        }
        assert_eq!(url(json!("  ")).unwrap().evidence_url, None);
        for bad in [
            json!("ftp://a.example"),
            json!("javascript:alert(1)"),
            json!("a.example"),
            json!("https://"),
            json!("https://user:pw@a.example"),
            json!("https://user@a.example"),
            json!("https://a.exa mple"),
            json!("ht\ntp://a.example"),
            json!(format!("https://a.example/{}", "x".repeat(2000))),
            json!({}),
            json!(7),
        ] {
            assert!(url(bad.clone()).unwrap_err().0.contains_key("evidence_url"), "{bad}");
        }
    }

    #[test]
    fn what_is_recorded_is_what_was_said() {
        let said = read(json!({"reason": "r", "evidence_url": "https://a.example", "pr_number": 7})).unwrap();
        assert_eq!(Backfill::recorded(&said.metadata(Utc::now()).into()), Some(said));
        for other in [json!({}), json!({"backfill": 7}), json!({BACKFILL: {"reason": ""}}), Value::Null] {
            assert_eq!(Backfill::recorded(&other.into()), None);
        }
    }
}
