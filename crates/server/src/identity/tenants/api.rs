//! `GET` and `PATCH /tenants/me`.

use axum::Json;
use loopctl_core::fields::INVALID;
use loopctl_core::json::JsonText;
use loopctl_core::request::{
    Custom, Request, Rule as _, Text, amount, custom, integer, nullable, object, text, word,
};
use loopctl_core::role::Role;
use schemars::{JsonSchema, json_schema};
use serde::Serialize;
use uuid::Uuid;

use super::settings;
use super::store::{AGENT_TYPE, FORGET_DEFAULT_ALERTS, LOCK_TENANT, SHOW_TENANT, Tenant, UPDATE_TENANT};
use crate::app::{Any, AtLeast, Caller, User};
use crate::db::{AsJson, DbError, Params, Tx};
use crate::events::{Event, Field};
use crate::http::{ApiError, ApiResult, Body, one};

#[derive(Serialize, JsonSchema)]
pub(super) struct CurrentTenantResponse {
    tenant: Tenant,
    /// The key that is calling.
    api_key: OwnKey,
}

#[derive(Serialize, JsonSchema)]
struct OwnKey {
    id: Uuid,
    name: String,
    key_prefix: String,
    /// The effective role.
    role: Role,
    agent_id: Option<Uuid>,
    /// What that agent does.
    agent_type: Option<String>,
}

pub(super) async fn show(caller: Caller<Any>) -> ApiResult<Json<CurrentTenantResponse>> {
    let of_agent: Params<'_> = &[&caller.agent_id];
    let (tenant, agent_type) = caller.read((SHOW_TENANT.with(&[]), AGENT_TYPE.with(of_agent))).await?;
    let tenant = tenant.into_iter().next().ok_or_else(ApiError::not_found)?;
    Ok(Json(CurrentTenantResponse {
        tenant,
        api_key: OwnKey {
            id: caller.key_id,
            name: caller.key_name.clone(),
            key_prefix: caller.key_prefix.clone(),
            role: caller.role,
            agent_id: caller.agent_id,
            agent_type: agent_type.into_iter().next(),
        },
    }))
}

/// What a tenant may be called.
pub(crate) const NAME: Text = text(120).trimmed().shown();

/// `PATCH /tenants/me`: every field is optional.
#[derive(Debug, Request)]
pub(in crate::identity) struct TenantUpdateRequest {
    #[rule(NAME.filled())]
    name: Option<String>,
    /// Lower-case letters, digits and hyphens.
    #[rule(text(64).min(2).filled().that(|slug| check_slug(slug)))]
    slug: Option<String>,
    #[rule(text(255).trimmed().filled().that(|email| check_email(email)))]
    email: Option<String>,
    /// Merged into the current settings; null removes a key.
    #[rule(settings_to_merge())]
    settings: Option<JsonText>,
    /// Null removes the budget.
    #[rule(nullable(amount().positive()))]
    default_story_budget_millicents: Option<Option<i64>>,
    /// Null keeps the data for ever.
    #[rule(nullable(integer().at_least(30, "must be at least 30 days").at_most(36_500, "must be at most 36500 days")))]
    token_data_retention_days: Option<Option<i32>>,
    /// Only `standard` is available.
    #[rule(word(&["standard", "strict"], custody_mode).strict())]
    custody_mode: Option<&'static str>,
}

fn custody_mode(word: &str) -> Option<&'static str> {
    ["standard", "strict"].into_iter().find(|known| *known == word)
}

const fn settings_to_merge() -> Custom<Option<JsonText>> {
    custom(
        |fields, name| {
            if fields.is_sent(name) && fields.raw(name).is_none() {
                fields.fail(name, INVALID);
            }
            object().read(fields, name)
        },
        || json_schema!({"type": "object"}),
    )
}

/// `[a-z0-9][a-z0-9-]*[a-z0-9]`, the whole string.
///
/// # Errors
/// The contract's sentence about slugs.
pub(crate) fn check_slug(text: &str) -> Result<(), String> {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let sound = bytes.len() >= 2
        && bytes.iter().all(|byte| alphanumeric(*byte) || *byte == b'-')
        && bytes.first().is_some_and(|byte| alphanumeric(*byte))
        && bytes.last().is_some_and(|byte| alphanumeric(*byte));
    if sound {
        return Ok(());
    }
    Err("must be lowercase alphanumeric with hyphens, starting and ending with alphanumeric".to_owned())
}

/// `something@something.tld` without spaces.
///
/// # Errors
/// The contract's sentence about addresses.
pub(crate) fn check_email(text: &str) -> Result<(), String> {
    let (local, domain) = text.split_once('@').unwrap_or_default();
    let labels: Vec<_> = domain.split('.').collect();
    let sound = !local.is_empty()
        && !text.contains(char::is_whitespace)
        && !domain.contains('@')
        && labels.len() >= 2
        && labels.iter().all(|label| !label.is_empty());
    if sound { Ok(()) } else { Err("must be a valid email address".to_owned()) }
}

one! { pub(super) TenantResponse { tenant: Tenant } }

pub(super) async fn update(
    caller: Caller<AtLeast<User>>,
    body: Body<TenantUpdateRequest>,
) -> ApiResult<Json<TenantResponse>> {
    let new = checked(&body)?;
    caller
        .change(async |mut change| {
            let (tenant, event) = apply(new, &mut change, &[]).await?;
            change.tell(event);
            change.commit(Json(TenantResponse { tenant })).await
        })
        .await
}

/// What a change of a tenant may ask for.
///
/// # Errors
/// 422 with every field that is not acceptable.
pub(in crate::identity) fn checked(body: &Body<TenantUpdateRequest>) -> ApiResult<&TenantUpdateRequest> {
    body.checked(|new, errors| {
        // Nothing enforces it yet, and accepting it would promise that something does.
        if new.custody_mode == Some("strict") {
            errors.add("custody_mode", "strict custody is not available in this version");
        }
        if let Some(settings) = &new.settings {
            settings::check(settings, errors);
        }
    })
}

/// Changes the tenant of the transaction. What it is then, and the audit entry, which `always` tells these fields: none when nothing
/// changed.
///
/// # Errors
/// 422 for what another tenant has; or when the database fails.
pub(in crate::identity) async fn apply(
    new: &TenantUpdateRequest,
    tx: &mut Tx,
    always: &[&str],
) -> ApiResult<(Tenant, Option<Event>)> {
    let (email, merged) =
        (new.email.as_deref().map(str::to_lowercase), new.settings.clone().unwrap_or_default());
    let (budget, retention) = (new.default_story_budget_millicents, new.token_data_retention_days);
    let old = tx.one(LOCK_TENANT, &[]).await?;
    let params: Params<'_> = &[
        &new.name,
        &new.slug,
        &email,
        &AsJson(&merged),
        &budget.is_some(),
        &budget.flatten(),
        &retention.is_some(),
        &retention.flatten(),
    ];
    let tenant = tx.one(UPDATE_TENANT, params).await.map_err(taken)?;
    if tenant.default_story_budget_millicents != old.default_story_budget_millicents {
        tx.execute(FORGET_DEFAULT_ALERTS, &[]).await?;
    }
    let event = updated(&old, &tenant, always);
    Ok((tenant, event))
}

fn updated(old: &Tenant, new: &Tenant, always: &[&str]) -> Option<Event> {
    let budgets = (&old.default_story_budget_millicents, &new.default_story_budget_millicents);
    let fields = [
        Field::value("name", &old.name, &new.name),
        Field::value("slug", &old.slug, &new.slug),
        Field::value("email", &old.email, &new.email),
        Field::document("settings", &old.settings, &new.settings),
        Field::value("default_story_budget_millicents", budgets.0, budgets.1),
        Field::value(
            "token_data_retention_days",
            &old.token_data_retention_days,
            &new.token_data_retention_days,
        ),
    ];
    Event::updated("tenant", new.id, always, &fields)
}

fn taken(error: DbError) -> ApiError {
    match taken_field(&error) {
        Some(field) => ApiError::invalid_field(field, TAKEN),
        None => error.into(),
    }
}

/// What is said of a field that another tenant has.
pub(crate) const TAKEN: &str = "has already been taken";

/// The field that another tenant has, if that is why a tenant could not be written.
pub(crate) fn taken_field(error: &DbError) -> Option<&'static str> {
    let unique = [("tenants_slug_key", "slug"), ("tenants_email_key", "email")];
    unique.into_iter().find(|(constraint, _)| error.violates(constraint)).map(|(_, field)| field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_and_addresses() {
        for good in ["ab", "my-app", "a1-b2", "00"] {
            assert!(check_slug(good).is_ok(), "{good}");
        }
        for bad in ["INVALID", "-bad", "a", "bad-", "ab\n", "a b", "ä-b", ""] {
            assert!(check_slug(bad).is_err(), "{bad:?}");
        }
        assert!(check_email("a@acme.example").is_ok());
        for bad in ["a", "a@b", "a@b.", "@b.c", "a b@c.d", "a@b@c.d", "a@.c"] {
            assert!(check_email(bad).is_err(), "{bad}");
        }
    }
}
