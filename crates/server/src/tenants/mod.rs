//! The caller's tenant and its settings (file 01 §5.4-§5.6).

mod api;
mod store;

use loopctl_core::fields::FieldErrors;
use serde_json::{Map, Value};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::App;
use crate::db::{DbError, Tx};
use store::LOCK_TENANT;

pub(crate) use api::{BAD_SLUG, is_email, is_slug};
pub(crate) use store::STATEMENTS;

/// How many live API keys a tenant may have unless it has set `max_api_keys`.
pub(crate) const DEFAULT_MAX_API_KEYS: i64 = 100;
/// How many active projects a tenant may have unless it has set `max_projects`.
pub(crate) const DEFAULT_MAX_PROJECTS: i64 = 50;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(api::show, api::update))
}

/// A counting limit of the tenant, whose row is locked until the transaction ends: what is counted after this
/// cannot be overtaken.
pub(crate) async fn locked_limit(
    tx: &mut Tx,
    tenant_id: Uuid,
    key: &str,
    default: i64,
) -> Result<i64, DbError> {
    let row = tx.query_one(LOCK_TENANT, &[&tenant_id]).await?;
    Ok(limit(&row.try_get("settings")?, key, default))
}

/// A value that is no integer counts as not set.
fn limit(settings: &Value, key: &str, default: i64) -> i64 {
    settings.get(key).and_then(Value::as_i64).filter(|limit| *limit >= 0).unwrap_or(default)
}

/// What a known setting must look like (file 01 §5.6). Unknown keys are kept as they come.
#[derive(Clone, Copy)]
enum Kind {
    Integer { min: i64 },
    Boolean,
    Object,
}

const KNOWN_SETTINGS: &[(&str, Kind)] = &[
    ("rate_limit_requests_per_minute", Kind::Integer { min: 1 }),
    ("max_api_keys", Kind::Integer { min: 0 }),
    ("max_projects", Kind::Integer { min: 0 }),
    ("max_webhooks", Kind::Integer { min: 0 }),
    ("max_concurrent_agents", Kind::Integer { min: 0 }),
    ("max_stories_per_project", Kind::Integer { min: 0 }),
    ("webhook_max_consecutive_failures", Kind::Integer { min: 1 }),
    ("webhook_event_retention_days", Kind::Integer { min: 1 }),
    ("auto_reset_on_rejection", Kind::Boolean),
    ("knowledge_auto_extract", Kind::Boolean),
    ("onboarding", Kind::Object),
];

/// Checks settings to be merged; null removes a key and is always fine.
fn check_settings(settings: &Map<String, Value>, errors: &mut FieldErrors) {
    for (key, kind) in KNOWN_SETTINGS {
        let Some(value) = settings.get(*key).filter(|value| !value.is_null()) else {
            continue;
        };
        let message = match kind {
            Kind::Integer { min } if value.as_i64().is_none_or(|number| number < *min) => {
                "must be a positive integer"
            }
            Kind::Boolean if !value.is_boolean() => "must be a boolean",
            Kind::Object if !value.is_object() => "must be an object",
            Kind::Integer { .. } | Kind::Boolean | Kind::Object => continue,
        };
        errors.add("settings", format!("{key} {message}"));
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
            check_settings(settings.as_object().unwrap(), &mut errors);
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
    }

    #[test]
    fn bad_limits_fall_back() {
        assert_eq!(limit(&json!({"max_projects": "many"}), "max_projects", 50), 50);
        assert_eq!(limit(&json!({"max_projects": 2}), "max_projects", 50), 2);
        assert_eq!(limit(&json!({}), "max_projects", 50), 50);
    }
}
