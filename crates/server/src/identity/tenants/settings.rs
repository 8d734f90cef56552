//! The settings of a tenant.

use loopctl_core::cost::anomalies::Multipliers;
use loopctl_core::fields::{FieldErrors, decimal_text};
use loopctl_core::json::{JsonText, scalar};
use rust_decimal::Decimal;
use serde_json::Value;
use serde_json::value::RawValue;

/// How many live API keys a tenant may have unless it has set `max_api_keys`.
pub(crate) const MAX_API_KEYS: Limit = Limit { key: "max_api_keys", default: 100 };
/// How many active projects a tenant may have unless it has set `max_projects`.
pub(crate) const MAX_PROJECTS: Limit = Limit { key: "max_projects", default: 50 };
/// How many events may be given up, one after the other, until their webhook is switched off, unless a tenant has set
/// `webhook_max_consecutive_failures`.
pub(crate) const MAX_WEBHOOK_FAILURES: Limit = Limit { key: "webhook_max_consecutive_failures", default: 10 };
/// How many webhooks a tenant may have unless it has set `max_webhooks`.
pub(crate) const MAX_WEBHOOKS: Limit = Limit { key: "max_webhooks", default: 10 };
/// For how many days a tenant keeps deliveries unless it has set `webhook_event_retention_days`.
pub(crate) const WEBHOOK_RETENTION_DAYS: Limit = Limit { key: "webhook_event_retention_days", default: 30 };

/// A counting limit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    key: &'static str,
    default: i64,
}

impl Limit {
    /// What the settings say. A value that is no integer counts as not set.
    pub(crate) fn of(self, settings: &JsonText) -> i64 {
        let value = settings.object().and_then(|settings| settings.get(self.key).map(scalar));
        value.as_ref().and_then(integer).filter(|limit| *limit >= 0).unwrap_or(self.default)
    }
}

/// From where on the cost of a story stands out, unless a tenant has said otherwise.
const HIGH: Factor =
    Factor { key: "cost_anomaly_multiplier", default: Decimal::from_parts(30, 0, 0, false, 1) };
const LOW: Factor =
    Factor { key: "cost_anomaly_low_multiplier", default: Decimal::from_parts(1, 0, 0, false, 1) };
const CLAIM: Factor = Factor { key: "claim_mismatch_factor", default: Decimal::TWO };
const MIN_STORIES: Limit = Limit { key: "cost_anomaly_min_stories", default: 3 };

/// From where on the cost of a story stands out.
pub(crate) fn multipliers(settings: &JsonText) -> Multipliers {
    Multipliers {
        high: HIGH.of(settings),
        low: LOW.of(settings),
        min_stories: usize::try_from(MIN_STORIES.of(settings)).unwrap_or(usize::MAX),
        claim: CLAIM.of(settings),
    }
}

/// A number that something is multiplied with, to the last digit.
#[derive(Debug, Clone, Copy)]
struct Factor {
    key: &'static str,
    default: Decimal,
}

impl Factor {
    /// What the settings say. What is no number counts as not set.
    fn of(self, settings: &JsonText) -> Decimal {
        let set = settings.object().and_then(|settings| settings.get(self.key).and_then(number));
        set.unwrap_or(self.default)
    }
}

/// A number, or a text that is one, with every digit that was sent.
fn number(raw: &RawValue) -> Option<Decimal> {
    match scalar(raw) {
        Value::Number(_) => decimal_text(raw.get()),
        Value::String(text) => decimal_text(text.trim()),
        _ => None,
    }
}

/// What a known setting must look like. Unknown keys are kept as they come.
#[derive(Clone, Copy)]
enum Kind {
    Integer {
        min: i64,
    },
    /// As an integer, or in digits.
    AtLeast {
        min: i64,
        message: &'static str,
    },
    /// A number, between two others.
    Between {
        over: i64,
        below: Option<i64>,
        message: &'static str,
    },
    Boolean,
    Object,
}

const MORE_THAN_ONE: Kind =
    Kind::Between { over: 1, below: None, message: "must be a number greater than 1" };

const KNOWN: &[(&str, Kind)] = &[
    ("rate_limit_requests_per_minute", Kind::Integer { min: 1 }),
    ("max_api_keys", Kind::Integer { min: 0 }),
    ("max_projects", Kind::Integer { min: 0 }),
    ("max_webhooks", Kind::Integer { min: 0 }),
    ("max_concurrent_agents", Kind::Integer { min: 0 }),
    ("max_stories_per_project", Kind::Integer { min: 0 }),
    ("webhook_max_consecutive_failures", Kind::Integer { min: 1 }),
    ("webhook_event_retention_days", Kind::Integer { min: 1 }),
    ("cost_anomaly_multiplier", MORE_THAN_ONE),
    (
        "cost_anomaly_low_multiplier",
        Kind::Between { over: 0, below: Some(1), message: "must be a number greater than 0 and less than 1" },
    ),
    (
        "cost_anomaly_min_stories",
        Kind::AtLeast { min: 2, message: "must be an integer greater than or equal to 2" },
    ),
    ("claim_mismatch_factor", MORE_THAN_ONE),
    ("auto_reset_on_rejection", Kind::Boolean),
    ("knowledge_auto_extract", Kind::Boolean),
    ("onboarding", Kind::Object),
];

/// What is easily taken for a setting, and would do nothing there.
const FIELDS: &[&str] = &["default_story_budget_millicents", "token_data_retention_days"];

/// Checks settings to be merged; null removes a key and is always fine.
pub(super) fn check(settings: &JsonText, errors: &mut FieldErrors) {
    let settings = settings.object().unwrap_or_default();
    for key in FIELDS.iter().filter(|key| settings.get(key).is_some()) {
        errors.add("settings", format!("{key} is a field of the tenant, beside settings"));
    }
    for (key, kind) in KNOWN {
        let Some(raw) = settings.get(key).filter(|raw| raw.get() != "null") else { continue };
        if let Some(message) = fault(*kind, raw) {
            errors.add("settings", format!("{key} {message}"));
        }
    }
}

fn fault(kind: Kind, raw: &RawValue) -> Option<&'static str> {
    let value = scalar(raw);
    match kind {
        Kind::Integer { min } if value.as_i64().is_none_or(|number| number < min) => {
            Some("must be a positive integer")
        }
        Kind::AtLeast { min, message } if integer(&value).is_none_or(|number| number < min) => Some(message),
        Kind::Between { over, below, message } => {
            let is_between = |number: Decimal| {
                number > Decimal::from(over) && below.is_none_or(|below| number < Decimal::from(below))
            };
            (!number(raw).is_some_and(is_between)).then_some(message)
        }
        Kind::Boolean if !value.is_boolean() => Some("must be a boolean"),
        Kind::Object if !raw.get().starts_with('{') => Some("must be an object"),
        Kind::Integer { .. } | Kind::AtLeast { .. } | Kind::Boolean | Kind::Object => None,
    }
}

/// An integer, or a text that is one.
fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn known_settings_are_typed() {
        let check = |settings: Value| {
            let mut errors = FieldErrors::default();
            check(&settings.into(), &mut errors);
            errors.0.remove("settings").unwrap_or_default()
        };
        assert!(
            check(json!({"max_projects": 0, "anything": ["goes"], "knowledge_auto_extract": null}))
                .is_empty()
        );
        assert_eq!(
            check(json!({"rate_limit_requests_per_minute": "x"})),
            ["rate_limit_requests_per_minute must be a positive integer"]
        );
        assert_eq!(
            check(json!({"knowledge_auto_extract": "yes"})),
            ["knowledge_auto_extract must be a boolean"]
        );
        assert_eq!(check(json!({"max_api_keys": -1, "max_projects": 1.5})).len(), 2);
        assert!(check(json!({"claim_mismatch_factor": 1.5})).is_empty());
    }

    #[test]
    fn multipliers_are_exact() {
        let faults = |settings: Value| {
            let mut errors = FieldErrors::default();
            check(&settings.into(), &mut errors);
            errors.0.remove("settings").unwrap_or_default()
        };
        for wrong in [
            json!(1),
            json!("1.0"),
            json!(0.5),
            json!(-2),
            json!("two"),
            json!("1_000"),
            json!(true),
            json!([2]),
        ] {
            for key in ["cost_anomaly_multiplier", "claim_mismatch_factor"] {
                let told = faults(json!({key: wrong}));
                assert_eq!(told, [format!("{key} must be a number greater than 1")], "{wrong}");
            }
        }
        for wrong in [json!(0), json!(1), json!("1.1"), json!("-0.1"), json!({})] {
            let told = faults(json!({"cost_anomaly_low_multiplier": wrong}));
            let message = "cost_anomaly_low_multiplier must be a number greater than 0 and less than 1";
            assert_eq!(told, [message], "{wrong}");
        }
        for wrong in [json!(1), json!("1"), json!(2.5), json!("x")] {
            let told = faults(json!({"cost_anomaly_min_stories": wrong}));
            assert_eq!(
                told,
                ["cost_anomaly_min_stories must be an integer greater than or equal to 2"],
                "{wrong}"
            );
        }
        let fine = json!({"cost_anomaly_multiplier": "2.5", "cost_anomaly_low_multiplier": 0.2, "cost_anomaly_min_stories": "5"});
        assert_eq!(faults(fine.clone()), [""; 0]);
        let set = multipliers(&fine.into());
        let text = |set: Multipliers| (set.high.to_string(), set.low.to_string(), set.min_stories);
        assert_eq!(text(set), ("2.5".to_owned(), "0.2".to_owned(), 5));
        assert_eq!(multipliers(&json!({"claim_mismatch_factor": "1.25"}).into()).claim, Decimal::new(125, 2));
        assert_eq!(multipliers(&json!({}).into()).claim, Decimal::TWO);
        assert_eq!(text(multipliers(&json!({}).into())), ("3.0".to_owned(), "0.1".to_owned(), 3));
        let odd = json!({"cost_anomaly_multiplier": "x", "cost_anomaly_min_stories": -1});
        assert_eq!(text(multipliers(&odd.into())), ("3.0".to_owned(), "0.1".to_owned(), 3));
    }

    #[test]
    fn bad_limits_fall_back() {
        let limit = |settings: Value| MAX_PROJECTS.of(&settings.into());
        assert_eq!(limit(json!({"max_projects": "many"})), 50);
        assert_eq!(limit(json!({"max_projects": 2})), 2);
        assert_eq!(limit(json!({})), 50);
    }
}
