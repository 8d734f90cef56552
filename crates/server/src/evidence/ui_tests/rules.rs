//! What both families' bodies come down to, what a finding counts for, and how a run ends.

use loopctl_core::fields::{FieldErrors, Fields, INVALID};
use loopctl_core::json::{JsonText, Transcoded, compact};
use loopctl_core::request::{Request, Rule, Text, text};
use schemars::Schema;
use serde::Serialize;
use serde_json::value::to_raw_value;

/// What a run is started with.
#[derive(Debug)]
pub(super) struct Start<'a> {
    /// One family may leave it out.
    pub(super) guide_reference: Option<&'a str>,
    pub(super) notes: Option<&'a str>,
}

/// The most findings of a run, and the most bytes of them: an answer with one run has them all.
const MOST_FINDINGS: i32 = 1000;
const MOST_BYTES: i32 = 1 << 20;

/// The bytes below which a finding must stay.
const FINDING_LIMIT: usize = 65_536;

/// How many bytes a finding adds to a run that has so many findings, and bytes of them.
///
/// # Errors
/// When there is no room for it; the message says of what.
pub(super) fn room_for(content: &JsonText, findings: i32, bytes: i32) -> Result<i32, String> {
    let most = |what: &str| format!("A run has at most {what}; complete it and start another");
    if findings >= MOST_FINDINGS {
        return Err(most(&format!("{MOST_FINDINGS} findings")));
    }
    let new = i32::try_from(content.as_str().len()).unwrap_or(MOST_BYTES);
    if bytes.saturating_add(new) > MOST_BYTES {
        return Err(most("1 MiB of findings"));
    }
    Ok(new)
}

/// A finding's fields besides `severity` and `title`. Both families take all of them.
#[derive(Debug, Request, Serialize)]
pub(super) struct Details {
    #[rule(text(255))]
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<String>,
    #[rule(text_or(1000, &["number"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<JsonText>,
    #[rule(text(50_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[rule(text_or(50_000, &["array"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<JsonText>,
    #[rule(text(50_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<String>,
    #[rule(text(50_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    actual: Option<String>,
    #[rule(text(2000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    screenshot_path: Option<String>,
    #[rule(text_or(50_000, &["array", "object"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    console_errors: Option<JsonText>,
}

/// A text, or another type of JSON, which may be as long as the text when it is written out without white space.
const fn text_or(max: usize, others: &'static [&'static str]) -> TextOr {
    TextOr { text: text(max), others }
}

/// See [`text_or`].
struct TextOr {
    text: Text,
    others: &'static [&'static str],
}

impl Rule for TextOr {
    type Value = Option<JsonText>;

    fn read(&self, fields: &mut Fields<'_>, name: &'static str) -> Option<JsonText> {
        let sent = JsonText::from(fields.document(name)?);
        let sent_type = match sent.as_str().as_bytes().first() {
            Some(b'"') => return self.text.read(fields, name).map(|_| sent),
            Some(b'[') => "array",
            Some(b'{') => "object",
            Some(b't' | b'f') => "boolean",
            _ => "number",
        };
        if !self.others.contains(&sent_type) {
            fields.fail(name, INVALID);
            return None;
        }
        let written = serde_json::to_string(&Transcoded(&sent)).unwrap_or_default();
        self.text.fits(fields, name, &written).then_some(sent)
    }

    fn schema(&self) -> Schema {
        let mut schema = self.text.schema();
        schema.insert("type".to_owned(), [&["string"], self.others].concat().into());
        schema.insert("items".to_owned(), serde_json::json!({}));
        schema
    }
}

/// A finding, with the fields that were sent.
#[derive(Debug, Serialize)]
pub(super) struct Finding<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) severity: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) title: Option<&'a str>,
    #[serde(flatten)]
    pub(super) details: &'a Details,
}

impl<'a> Finding<'a> {
    /// What is stored of it: what was sent, and nothing else.
    ///
    /// # Errors
    /// When nothing was sent, or too much altogether.
    pub(super) fn content(&self) -> Result<JsonText, FieldErrors> {
        let content = to_raw_value(self).map_err(|_| FieldErrors::one("finding", INVALID))?;
        if content.get() == "{}" {
            let names: Vec<_> = Details::members().into_iter().map(|member| member.name).collect();
            let message = format!("needs at least one of severity, title, {}", names.join(", "));
            return Err(FieldErrors::one("finding", message));
        }
        let content = compact(&content);
        if content.as_str().len() >= FINDING_LIMIT {
            return Err(FieldErrors::one("finding", "must be smaller than 64KB"));
        }
        Ok(content)
    }

    /// How bad it is; `low` when nobody said.
    fn gravity(&self) -> &'a str {
        self.severity.unwrap_or("low")
    }

    /// What it adds to the run's counters.
    pub(super) fn counts(&self) -> Counts {
        Counts {
            screenshots: i32::from(self.details.screenshot_path.is_some()),
            critical: i32::from(matches!(self.gravity(), "critical" | "blocker")),
            high: i32::from(matches!(self.gravity(), "high" | "bug")),
        }
    }

    /// What the audit log tells of it.
    pub(super) fn audited(&self) -> Audited<'a> {
        Audited {
            severity: self.gravity(),
            r#type: self.details.r#type.as_deref(),
            step: self.details.step.as_ref(),
            title: self.title,
        }
    }
}

/// What the audit log tells of a finding.
#[derive(Debug, Serialize)]
pub(super) struct Audited<'a> {
    severity: &'a str,
    r#type: Option<&'a str>,
    step: Option<&'a JsonText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
}

/// Findings by what matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    /// With a screenshot.
    pub(super) screenshots: i32,
    /// `critical` and `blocker`.
    pub(super) critical: i32,
    /// `high` and `bug`.
    pub(super) high: i32,
}

/// How a run is completed.
#[derive(Debug)]
pub(super) struct Completion<'a> {
    pub(super) summary: &'a str,
    /// One family may leave it out.
    pub(super) status: Option<&'static str>,
}

impl Completion<'_> {
    /// The run's last status: what was sent, else what the findings say.
    pub(super) fn status(&self, critical_count: i32, high_count: i32) -> &'static str {
        self.status.unwrap_or(if critical_count + high_count > 0 { "failed" } else { "passed" })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::evidence::ui_tests::dialect::{Dialect, UiTestRuns, UiTests};

    /// Reads a body and makes something of it.
    fn read<T: Request, R>(body: Value, make: impl FnOnce(&T) -> Result<R, FieldErrors>) -> Result<R, Value> {
        let text = JsonText::from(body);
        let read = T::from_object(&text.object().unwrap()).and_then(|sent| make(&sent));
        read.map_err(|errors| json!(errors.0))
    }

    /// What is stored of a finding, what it counts for, and what is told of it.
    fn finding<D: Dialect>(body: Value) -> Result<(Value, Counts, Value), Value> {
        read::<D::Finding, _>(body, |sent| {
            let finding = D::finding(sent);
            Ok((finding.content()?.to_value(), finding.counts(), json!(finding.audited())))
        })
    }

    fn guide<D: Dialect>(body: Value) -> Result<Option<String>, Value> {
        read::<D::Start, _>(body, |sent| Ok(D::start(sent).guide_reference.map(str::to_owned)))
    }

    /// How a run ends without grave findings, with a critical one, and with a high one.
    fn ends<D: Dialect>(body: Value) -> Result<[&'static str; 3], Value> {
        read::<D::Completion, _>(body, |sent| {
            let completion = D::completion(sent);
            Ok([(0, 0), (1, 0), (0, 1)].map(|(critical, high)| completion.status(critical, high)))
        })
    }

    #[test]
    fn every_severity_counts_for_one_thing_at_most() {
        for (severity, critical, high) in [
            ("critical", 1, 0),
            ("blocker", 1, 0),
            ("high", 0, 1),
            ("bug", 0, 1),
            ("medium", 0, 0),
            ("low", 0, 0),
            ("enhancement", 0, 0),
        ] {
            let (_, counts, _) = finding::<UiTests>(json!({"severity": severity})).unwrap();
            assert_eq!(counts, Counts { screenshots: 0, critical, high }, "{severity}");
            let titled = finding::<UiTestRuns>(json!({"severity": severity, "title": "t"}));
            match ["bug", "enhancement", "blocker"].contains(&severity) {
                true => assert_eq!(titled.unwrap().1, counts),
                false => assert_eq!(titled.unwrap_err(), json!({"severity": ["is invalid"]})),
            }
        }
        let (_, counts, audited) = finding::<UiTests>(json!({"description": "d"})).unwrap();
        assert_eq!(counts, Counts { screenshots: 0, critical: 0, high: 0 });
        assert_eq!(audited, json!({"severity": "low", "type": null, "step": null}));
    }

    #[test]
    fn only_what_was_sent_is_kept() {
        let body = json!({
            "severity": "critical", "title": " ", "type": null, "step": 3, "screenshot_path": "s.png",
            "console_errors": [{"message": "x"}], "steps": ["a", "b"], "id": "mine", "recorded_at": "never", "x": 1,
        });
        let (content, counts, audited) = finding::<UiTests>(body).unwrap();
        assert_eq!(counts, Counts { screenshots: 1, critical: 1, high: 0 });
        assert_eq!(
            content,
            json!({"severity": "critical", "step": 3, "screenshot_path": "s.png",
                   "console_errors": [{"message": "x"}], "steps": ["a", "b"]})
        );
        assert_eq!(audited, json!({"severity": "critical", "type": null, "step": 3}));
    }

    #[test]
    fn a_blank_screenshot_is_none() {
        for nothing in [json!(""), json!(" "), Value::Null] {
            let (_, counts, _) =
                finding::<UiTests>(json!({"step": "1", "screenshot_path": nothing})).unwrap();
            assert_eq!(counts.screenshots, 0);
        }
    }

    #[test]
    fn findings_are_checked() {
        let nothing = finding::<UiTests>(json!({"x": 1, "description": " "})).unwrap_err();
        assert!(nothing["finding"][0].as_str().unwrap().contains("at least one of severity, title, type"));
        assert_eq!(
            finding::<UiTests>(json!({"severity": "awful", "description": 1, "step": [], "title": {}})),
            Err(json!({"severity": ["is invalid"], "description": ["is invalid"], "step": ["is invalid"],
                       "title": ["is invalid"]}))
        );
        assert_eq!(
            finding::<UiTestRuns>(json!({"severity": " ", "steps": {}, "actual": "x".repeat(50_001)})),
            Err(json!({"severity": ["can't be blank"], "title": ["can't be blank"], "steps": ["is invalid"],
                       "actual": ["should be at most 50000 character(s)"]}))
        );
    }

    #[test]
    fn a_finding_has_an_end() {
        let long = |bytes| json!({"description": "x".repeat(50_000), "actual": "x".repeat(bytes)});
        let rest = FINDING_LIMIT - long(0).to_string().len();
        assert!(finding::<UiTests>(long(rest - 1)).is_ok());
        assert_eq!(
            finding::<UiTests>(long(rest)).unwrap_err(),
            json!({"finding": ["must be smaller than 64KB"]})
        );
        // What is written out counts in characters, without white space.
        let steps = |text: &str| json!({"steps": [text]});
        assert!(finding::<UiTests>(steps(&"ä".repeat(30_000))).is_ok());
        assert_eq!(
            finding::<UiTests>(steps(&"x".repeat(49_997))).unwrap_err(),
            json!({"steps": ["should be at most 50000 character(s)"]})
        );
    }

    #[test]
    fn a_guide_is_required_of_one_family() {
        assert_eq!(
            guide::<UiTests>(json!({"guide_reference": " "})),
            Err(json!({"guide_reference": ["can't be blank"]}))
        );
        assert_eq!(guide::<UiTestRuns>(json!({"guide_reference": " "})), Ok(None));
        for guide in [guide::<UiTests>, guide::<UiTestRuns>] {
            assert_eq!(guide(json!({"guide_reference": "g"})), Ok(Some("g".to_owned())));
            assert!(guide(json!({"guide_reference": "ä".repeat(1000)})).is_ok());
            assert_eq!(
                guide(json!({"guide_reference": "ä".repeat(1001)})),
                Err(json!({"guide_reference": ["should be at most 1000 character(s)"]}))
            );
        }
    }

    #[test]
    fn a_run_ends_as_it_is_told_or_as_its_findings_say() {
        for ends in [ends::<UiTests>, ends::<UiTestRuns>] {
            for status in ["passed", "failed"] {
                assert_eq!(ends(json!({"summary": "s", "status": status})), Ok([status; 3]));
            }
            for status in [json!("in_progress"), json!("cancelled"), json!("Passed"), json!(1), json!([])] {
                assert_eq!(
                    ends(json!({"summary": "s", "status": status})).unwrap_err(),
                    json!({"status": ["must be passed or failed"]})
                );
            }
        }
        for nothing in [Value::Null, json!(""), json!(" ")] {
            assert_eq!(
                ends::<UiTests>(json!({"summary": " ", "status": nothing})).unwrap_err(),
                json!({"summary": ["can't be blank"], "status": ["must be passed or failed"]})
            );
            let silent = ends::<UiTestRuns>(json!({"summary": "s", "status": nothing})).unwrap();
            assert_eq!(silent, ["passed", "failed", "failed"]);
        }
    }
}
