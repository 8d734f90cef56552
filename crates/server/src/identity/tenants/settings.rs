//! The settings of a tenant.

use loopctl_core::cost::measured::compare::Factor;
use loopctl_core::fields::FieldErrors;
use loopctl_core::json::{JsonText, scalar};
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
        value.as_ref().and_then(Value::as_i64).filter(|limit| *limit >= 0).unwrap_or(self.default)
    }
}

/// What a known setting must look like. Unknown keys are kept as they come.
#[derive(Clone, Copy)]
enum Kind {
    Integer {
        min: i64,
    },
    /// A number above 1.
    Factor,
    Boolean,
    Object,
}

const KNOWN: &[(&str, Kind)] = &[
    ("rate_limit_requests_per_minute", Kind::Integer { min: 1 }),
    ("max_api_keys", Kind::Integer { min: 0 }),
    ("max_projects", Kind::Integer { min: 0 }),
    ("max_webhooks", Kind::Integer { min: 0 }),
    ("max_concurrent_agents", Kind::Integer { min: 0 }),
    ("max_stories_per_project", Kind::Integer { min: 0 }),
    ("webhook_max_consecutive_failures", Kind::Integer { min: 1 }),
    ("webhook_event_retention_days", Kind::Integer { min: 1 }),
    ("claim_mismatch_factor", Kind::Factor),
    ("auto_reset_on_rejection", Kind::Boolean),
    ("knowledge_auto_extract", Kind::Boolean),
    ("onboarding", Kind::Object),
];

/// Checks settings to be merged; null removes a key and is always fine.
pub(super) fn check(settings: &JsonText, errors: &mut FieldErrors) {
    let settings = settings.object().unwrap_or_default();
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
        Kind::Factor if Factor::parse(raw.get()).is_none() => Some("must be a number above 1"),
        Kind::Boolean if !value.is_boolean() => Some("must be a boolean"),
        Kind::Object if !raw.get().starts_with('{') => Some("must be an object"),
        Kind::Integer { .. } | Kind::Factor | Kind::Boolean | Kind::Object => None,
    }
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
        for factor in [json!(1), json!(0.5), json!("2"), json!(true)] {
            let faults = check(json!({"claim_mismatch_factor": factor}));
            assert_eq!(faults, ["claim_mismatch_factor must be a number above 1"]);
        }
        assert!(check(json!({"claim_mismatch_factor": 1.5})).is_empty());
    }

    #[test]
    fn bad_limits_fall_back() {
        let limit = |settings: Value| MAX_PROJECTS.of(&settings.into());
        assert_eq!(limit(json!({"max_projects": "many"})), 50);
        assert_eq!(limit(json!({"max_projects": 2})), 2);
        assert_eq!(limit(json!({})), 50);
    }
}
