//! `GET` and `PATCH /tenants/me`.

use axum::Json;
use axum::extract::State;
use loopctl_core::fields::{BLANK, FieldErrors, Fields, INVALID, Length, integer};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::check_settings;
use super::store::{LOCK_TENANT, SHOW_TENANT, UPDATE_TENANT, read};
use crate::App;
use crate::db::{DbError, Timestamp};
use crate::events::{self, Event};
use crate::http::caller::User;
use crate::http::{Any, ApiError, ApiResult, AtLeast, Body, Caller};

/// A tenant as its own keys see it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Tenant {
    pub(super) id: Uuid,
    pub(super) name: String,
    pub(super) slug: String,
    pub(super) email: Option<String>,
    #[schema(value_type = Object)]
    pub(super) settings: Value,
    /// Always `active` for a tenant that can see itself, except under impersonation.
    pub(super) status: String,
    /// `standard` or `strict` (file 02 §1.3).
    pub(super) custody_mode: String,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(super) custody_halted_at: Option<Timestamp>,
    pub(super) default_story_budget_millicents: Option<i64>,
    pub(super) token_data_retention_days: Option<i32>,
    #[schema(value_type = String, format = DateTime)]
    pub(super) inserted_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub(super) updated_at: Timestamp,
}

/// The caller's tenant, and which key is calling.
#[utoipa::path(get, path = "/api/v1/tenants/me", tag = "Tenants",
    responses((status = 200, body = Tenant, description = "`{\"tenant\": …, \"api_key\": …}`")))]
pub(super) async fn show(State(app): State<App>, caller: Caller<Any>) -> ApiResult<Json<Value>> {
    let tx = app.db.tenant(caller.tenant_id).await?;
    let row = tx.finish_opt(SHOW_TENANT, &[&caller.tenant_id]).await?;
    let tenant = read(&row.ok_or_else(ApiError::not_found)?)?;
    Ok(Json(json!({
        "tenant": tenant,
        "api_key": {"id": caller.key_id, "name": caller.key_name, "key_prefix": caller.key_prefix, "role": caller.role, "agent_id": caller.agent_id},
    })))
}

/// `PATCH /tenants/me`: every field is optional.
#[derive(Debug, ToSchema)]
pub(crate) struct UpdateTenant {
    name: Option<String>,
    slug: Option<String>,
    email: Option<String>,
    /// Merged into the current settings; null removes a key.
    #[schema(value_type = Option<Object>)]
    settings: Option<Map<String, Value>>,
    /// Null removes the budget.
    #[schema(value_type = Option<i64>)]
    default_story_budget_millicents: Option<Option<i64>>,
    /// At least 30; null keeps the data for ever.
    #[schema(value_type = Option<i32>)]
    token_data_retention_days: Option<Option<i32>>,
}

impl UpdateTenant {
    fn read(object: &Map<String, Value>) -> Result<Self, FieldErrors> {
        let mut fields = Fields::new(object);
        for name in ["name", "slug", "email"] {
            if object.get(name).is_some_and(|value| value.as_str().is_some_and(|text| text.trim().is_empty()))
            {
                fields.fail(name, BLANK);
            }
        }
        let name = fields.text("name", Length::max(120)).map(|name| name.trim().to_owned());
        let slug = fields.text("slug", Length::range(2, 64));
        if slug.as_deref().is_some_and(|slug| !is_slug(slug)) {
            fields.fail("slug", BAD_SLUG);
        }
        let email = fields.text("email", Length::max(255)).map(|email| email.trim().to_lowercase());
        if email.as_deref().is_some_and(|email| !is_email(email)) {
            fields.fail("email", "must be a valid email address");
        }
        if object.get("settings").is_some_and(Value::is_null) {
            fields.fail("settings", INVALID);
        }
        let settings = fields.object("settings");
        let budget = nullable(object, "default_story_budget_millicents", whole_number);
        match budget {
            Some(Err(())) => fields.fail("default_story_budget_millicents", INVALID),
            Some(Ok(Some(number))) if number <= 0 => {
                fields.fail("default_story_budget_millicents", "must be greater than 0");
            }
            _ => {}
        }
        let retention = nullable(object, "token_data_retention_days", integer);
        match retention {
            Some(Err(())) => fields.fail("token_data_retention_days", INVALID),
            Some(Ok(Some(days))) if days < 30 => {
                fields.fail("token_data_retention_days", "must be at least 30 days");
            }
            _ => {}
        }
        match fields.value("custody_mode").map(|value| value.as_str().unwrap_or_default()) {
            None | Some("standard") => {}
            // Accepting it would promise what nothing enforces yet (file 02 §1.3).
            Some("strict") => fields.fail("custody_mode", "strict custody is not available in this version"),
            Some(_) => fields.fail("custody_mode", INVALID),
        }
        let update = Self {
            name,
            slug,
            email,
            settings,
            default_story_budget_millicents: budget.and_then(Result::ok),
            token_data_retention_days: retention.and_then(Result::ok),
        };
        let mut errors = match fields.finish(()) {
            Ok(()) => FieldErrors::default(),
            Err(errors) => errors,
        };
        if let Some(settings) = &update.settings {
            check_settings(settings, &mut errors);
        }
        if errors.is_empty() { Ok(update) } else { Err(errors) }
    }
}

/// Absent: None. Null: `Some(Ok(None))`. Of the wrong type: `Some(Err(()))`.
fn nullable<T>(
    object: &Map<String, Value>,
    name: &str,
    read: impl FnOnce(&Value) -> Option<T>,
) -> Option<Result<Option<T>, ()>> {
    match object.get(name)? {
        Value::Null => Some(Ok(None)),
        value => Some(read(value).map(Some).ok_or(())),
    }
}

/// A 64-bit integer, or a string that is one: forms and query strings carry only strings.
fn whole_number(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_i64(),
    }
}

/// The contract's sentence about slugs.
pub(crate) const BAD_SLUG: &str =
    "must be lowercase alphanumeric with hyphens, starting and ending with alphanumeric";

/// `[a-z0-9][a-z0-9-]*[a-z0-9]`, the whole string.
pub(crate) fn is_slug(text: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.len() >= 2
        && bytes.iter().all(|byte| alphanumeric(*byte) || *byte == b'-')
        && bytes.first().is_some_and(|byte| alphanumeric(*byte))
        && bytes.last().is_some_and(|byte| alphanumeric(*byte))
}

/// `something@something.tld` without spaces.
pub(crate) fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else {
        return false;
    };
    let labels: Vec<_> = domain.split('.').collect();
    !local.is_empty()
        && !text.contains(char::is_whitespace)
        && !domain.contains('@')
        && labels.len() >= 2
        && labels.iter().all(|label| !label.is_empty())
}

/// Changes the caller's tenant. Settings are merged key by key.
#[utoipa::path(patch, path = "/api/v1/tenants/me", tag = "Tenants", request_body = UpdateTenant,
    responses((status = 200, body = Tenant), (status = 403), (status = 422)))]
pub(super) async fn update(
    State(app): State<App>,
    caller: Caller<AtLeast<User>>,
    body: Body,
) -> ApiResult<Json<Value>> {
    let new = body.read(UpdateTenant::read)?;
    let mut tx = app.db.tenant(caller.tenant_id).await?;
    let old = read(&tx.query_one(LOCK_TENANT, &[&caller.tenant_id]).await?)?;
    let settings = Value::Object(new.settings.unwrap_or_default());
    let row = tx
        .query_one(
            UPDATE_TENANT,
            &[
                &caller.tenant_id,
                &new.name,
                &new.slug,
                &new.email,
                &settings,
                &new.default_story_budget_millicents.is_some(),
                &new.default_story_budget_millicents.flatten(),
                &new.token_data_retention_days.is_some(),
                &new.token_data_retention_days.flatten(),
            ],
        )
        .await
        .map_err(taken)?;
    let tenant = read(&row)?;
    let event = changed(&old, &tenant)?;
    events::record(tx, caller.tenant_id, &caller.attribution(), event.into_iter().collect()).await?;
    Ok(Json(json!({"tenant": tenant})))
}

/// The audit entry with the fields that changed; none when nothing did.
fn changed(old: &Tenant, new: &Tenant) -> ApiResult<Option<Event>> {
    let [Value::Object(mut before), Value::Object(mut after)] = [json!(old), json!(new)] else {
        return Err(ApiError::internal());
    };
    before.remove("updated_at");
    after.retain(|key, value| before.get(key).is_some_and(|old| old != value));
    before.retain(|key, _| after.contains_key(key));
    Ok((!after.is_empty())
        .then(|| Event::new("tenant", new.id, "updated", Value::Object(after)).old(Value::Object(before))))
}

fn taken(error: DbError) -> ApiError {
    for (constraint, field) in [("tenants_slug_key", "slug"), ("tenants_email_key", "email")] {
        if error.violates(constraint) {
            return ApiError::invalid_field(field, "has already been taken");
        }
    }
    error.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_and_addresses() {
        for good in ["ab", "my-app", "a1-b2", "00"] {
            assert!(is_slug(good), "{good}");
        }
        for bad in ["INVALID", "-bad", "a", "bad-", "ab\n", "a b", "ä-b", ""] {
            assert!(!is_slug(bad), "{bad:?}");
        }
        assert!(is_email("a@acme.example"));
        for bad in ["a", "a@b", "a@b.", "@b.c", "a b@c.d", "a@b@c.d", "a@.c"] {
            assert!(!is_email(bad), "{bad}");
        }
    }
}
