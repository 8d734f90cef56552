//! What the bodies must hold, what a finding counts for, and how a run ends (file 03 §11.2, §11.4, §11.5).

use loopctl_core::fields::{FieldErrors, Fields, INVALID, Length};
use serde_json::{Map, Value};

use super::dialect::Dialect;

/// What a run is started with.
#[derive(Debug)]
pub(super) struct Start {
    /// Only the seed's family may leave it out.
    pub(super) guide_reference: Option<String>,
    pub(super) notes: Option<String>,
}

impl Start {
    /// Reads and checks the fields.
    pub(super) fn read(dialect: Dialect, object: &Map<String, Value>) -> Result<Self, FieldErrors> {
        let mut fields = Fields::new(object);
        let limit = Length::max(1000);
        let start = Self {
            guide_reference: match dialect {
                Dialect::Code => Some(fields.required_text("guide_reference", limit)),
                Dialect::Seed => fields.text("guide_reference", limit),
            },
            notes: fields.text("notes", Length::max(50_000)),
        };
        fields.finish(start)
    }
}

/// The most findings of a run: every answer with a run has them all.
pub(super) const MAX_FINDINGS: i32 = 1000;

/// Whether a value that is no string may stand for one.
type Instead = fn(&Value) -> bool;

/// A finding's fields besides `severity` and `title`: the most characters of each, and what it may be instead of
/// a string. Both families take all of them.
const OPTIONAL: [(&str, usize, Instead); 8] = [
    ("type", 255, never),
    ("step", 1000, Value::is_number),
    ("description", 50_000, never),
    ("steps", 50_000, Value::is_array),
    ("expected", 50_000, never),
    ("actual", 50_000, never),
    ("screenshot_path", 2000, never),
    ("console_errors", 50_000, array_or_object),
];

fn never(_: &Value) -> bool {
    false
}

fn array_or_object(value: &Value) -> bool {
    value.is_array() || value.is_object()
}

/// A finding, with the fields that were sent.
#[derive(Debug, PartialEq)]
pub(super) struct Finding(Map<String, Value>);

impl Finding {
    /// Reads and checks the fields; what is not one of them is left out.
    pub(super) fn read(dialect: Dialect, object: &Map<String, Value>) -> Result<Self, FieldErrors> {
        let mut fields = Fields::new(object);
        let mut sent = Map::new();
        let mut keep = |name: &str, value: Option<Value>| {
            sent.extend(value.map(|value| (name.to_owned(), value)));
        };
        let one_of = |word: &str| dialect.severities().iter().find(|known| **known == word).copied();
        let title = Length::max(500);
        match dialect {
            Dialect::Code => {
                keep("severity", fields.word("severity", one_of).map(Value::from));
                keep("title", fields.text("title", title).map(Value::from));
            }
            Dialect::Seed => {
                let severity = fields.required("severity", |fields| fields.word("severity", one_of));
                keep("severity", Some(severity.into()));
                keep("title", Some(fields.required_text("title", title).into()));
            }
        }
        for (name, max, instead) in OPTIONAL {
            keep(name, text_or(&mut fields, name, Length::max(max), instead));
        }
        let found = fields.finish(Self(sent))?;
        if found.0.is_empty() {
            let names = OPTIONAL.map(|(name, ..)| name).join(", ");
            let message = format!("needs at least one of severity, title, {names}");
            return Err(FieldErrors::one("finding", message));
        }
        Ok(found)
    }

    /// How bad it is; `low` when nobody said.
    fn severity(&self) -> &str {
        self.0.get("severity").and_then(Value::as_str).unwrap_or("low")
    }

    /// What it adds to the run's counters.
    pub(super) fn counts(&self) -> Counts {
        Counts {
            screenshots: i32::from(self.0.contains_key("screenshot_path")),
            critical: i32::from(matches!(self.severity(), "critical" | "blocker")),
            high: i32::from(matches!(self.severity(), "high" | "bug")),
        }
    }

    /// What the audit log tells of it.
    pub(super) fn audited(&self) -> Map<String, Value> {
        let member = |name: &str| self.0.get(name).cloned().unwrap_or_default();
        let mut audited = Map::from_iter([
            ("severity".to_owned(), self.severity().into()),
            ("type".to_owned(), member("type")),
            ("step".to_owned(), member("step")),
        ]);
        if let Some(title) = self.0.get("title") {
            audited.insert("title".to_owned(), title.clone());
        }
        audited
    }

    /// The fields that were sent, to be stored.
    pub(super) fn into_content(self) -> Value {
        Value::Object(self.0)
    }
}

/// A string, or what may be sent instead of one; blank counts as absent.
fn text_or(fields: &mut Fields<'_>, name: &str, length: Length, instead: Instead) -> Option<Value> {
    match fields.value(name)? {
        Value::String(_) => fields.text(name, length).map(Value::from),
        // As long as a text may be, written out.
        value if instead(value) => fields.fits(name, &value.to_string(), length).then(|| value.clone()),
        _ => {
            fields.fail(name, INVALID);
            None
        }
    }
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
pub(super) struct Completion {
    pub(super) summary: String,
    /// Only the seed's family may leave it out.
    status: Option<&'static str>,
}

impl Completion {
    /// Reads and checks the fields.
    pub(super) fn read(dialect: Dialect, object: &Map<String, Value>) -> Result<Self, FieldErrors> {
        let mut fields = Fields::new(object);
        let summary = fields.required_text("summary", Length::max(50_000));
        let sent =
            fields.value("status").filter(|value| value.as_str().is_none_or(|word| !word.trim().is_empty()));
        let status = ["passed", "failed"].into_iter().find(|word| sent.is_some_and(|sent| sent == word));
        if status.is_none() && (dialect == Dialect::Code || sent.is_some()) {
            fields.fail("status", "must be passed or failed");
        }
        fields.finish(Self { summary, status })
    }

    /// The run's last status: what was sent, else what the findings say.
    pub(super) fn status(&self, critical_count: i32, high_count: i32) -> &'static str {
        self.status.unwrap_or(if critical_count + high_count > 0 { "failed" } else { "passed" })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    fn finding(dialect: Dialect, body: Value) -> Result<Finding, Value> {
        Finding::read(dialect, &object(body)).map_err(|errors| json!(errors.0))
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
            let found = finding(Dialect::Code, json!({"severity": severity})).unwrap();
            assert_eq!(found.counts(), Counts { screenshots: 0, critical, high }, "{severity}");
            let of_seed = finding(Dialect::Seed, json!({"severity": severity, "title": "t"}));
            match ["bug", "enhancement", "blocker"].contains(&severity) {
                true => assert_eq!(of_seed.unwrap().counts(), found.counts()),
                false => assert_eq!(of_seed.unwrap_err(), json!({"severity": ["is invalid"]})),
            }
        }
        let silent = finding(Dialect::Code, json!({"description": "d"})).unwrap();
        assert_eq!(silent.counts(), Counts { screenshots: 0, critical: 0, high: 0 });
        assert_eq!(Value::Object(silent.audited()), json!({"severity": "low", "type": null, "step": null}));
    }

    #[test]
    fn only_what_was_sent_is_kept() {
        let body = json!({
            "severity": "critical", "title": " ", "type": null, "step": 3, "screenshot_path": "s.png",
            "console_errors": [{"message": "x"}], "steps": ["a", "b"], "id": "mine", "recorded_at": "never", "x": 1,
        });
        let found = finding(Dialect::Code, body).unwrap();
        assert_eq!(found.counts(), Counts { screenshots: 1, critical: 1, high: 0 });
        assert_eq!(
            found.into_content(),
            json!({"severity": "critical", "step": 3, "screenshot_path": "s.png",
                   "console_errors": [{"message": "x"}], "steps": ["a", "b"]})
        );
    }

    #[test]
    fn a_blank_screenshot_is_none() {
        for nothing in [json!(""), json!(" "), Value::Null] {
            let found = finding(Dialect::Code, json!({"step": "1", "screenshot_path": nothing})).unwrap();
            assert_eq!(found.counts().screenshots, 0);
        }
    }

    #[test]
    fn findings_are_checked() {
        let nothing = finding(Dialect::Code, json!({"x": 1, "description": " "})).unwrap_err();
        assert!(nothing["finding"][0].as_str().unwrap().contains("at least one of severity, title, type"));
        assert_eq!(
            finding(Dialect::Code, json!({"severity": "awful", "description": 1, "step": [], "title": {}})),
            Err(json!({"severity": ["is invalid"], "description": ["is invalid"], "step": ["is invalid"],
                       "title": ["is invalid"]}))
        );
        assert_eq!(
            finding(Dialect::Seed, json!({"severity": " ", "steps": {}, "actual": "x".repeat(50_001)})),
            Err(json!({"severity": ["can't be blank"], "title": ["can't be blank"], "steps": ["is invalid"],
                       "actual": ["should be at most 50000 character(s)"]}))
        );
    }

    #[test]
    fn a_guide_is_required_of_one_family() {
        let read = |dialect, body| {
            Start::read(dialect, &object(body)).map(|start| start.guide_reference).map_err(|e| json!(e.0))
        };
        assert_eq!(
            read(Dialect::Code, json!({"guide_reference": " "})),
            Err(json!({"guide_reference": ["can't be blank"]}))
        );
        assert_eq!(read(Dialect::Seed, json!({"guide_reference": " "})), Ok(None));
        for dialect in [Dialect::Code, Dialect::Seed] {
            assert_eq!(read(dialect, json!({"guide_reference": "g"})), Ok(Some("g".to_owned())));
            assert!(read(dialect, json!({"guide_reference": "ä".repeat(1000)})).is_ok());
            assert_eq!(
                read(dialect, json!({"guide_reference": "ä".repeat(1001)})),
                Err(json!({"guide_reference": ["should be at most 1000 character(s)"]}))
            );
        }
    }

    #[test]
    fn a_run_ends_as_it_is_told_or_as_its_findings_say() {
        let read = |dialect, body| Completion::read(dialect, &object(body)).map_err(|errors| json!(errors.0));
        for dialect in [Dialect::Code, Dialect::Seed] {
            for status in ["passed", "failed"] {
                let told = read(dialect, json!({"summary": "s", "status": status})).unwrap();
                assert_eq!((told.status(0, 0), told.status(1, 1)), (status, status));
            }
            for status in [json!("in_progress"), json!("cancelled"), json!("Passed"), json!(1), json!([])] {
                assert_eq!(
                    read(dialect, json!({"summary": "s", "status": status})).unwrap_err(),
                    json!({"status": ["must be passed or failed"]})
                );
            }
        }
        for nothing in [Value::Null, json!(""), json!(" ")] {
            assert_eq!(
                read(Dialect::Code, json!({"summary": " ", "status": nothing})).unwrap_err(),
                json!({"summary": ["can't be blank"], "status": ["must be passed or failed"]})
            );
            let silent = read(Dialect::Seed, json!({"summary": "s", "status": nothing})).unwrap();
            let ends = [(0, 0), (1, 0), (0, 1)].map(|(critical, high)| silent.status(critical, high));
            assert_eq!(ends, ["passed", "failed", "failed"]);
        }
    }
}
