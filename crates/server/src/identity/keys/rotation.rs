//! `POST /api_keys/:id/rotate`: a new key in the place of an old one, which works on for a while.

use loopctl_core::code::Code;
use loopctl_core::request::{Custom, Request, custom};
use schemars::{JsonSchema, json_schema};
use serde::Serialize;
use serde_json::{Value, json};

use super::api::NewApiKey;
use super::store::{LOCK_KEY, Rotatable, SUPERSEDE_KEY, insert_key};
use crate::app::{AtLeast, Caller, User, new_raw_key};
use crate::db::Timestamp;
use crate::events::Event;
use crate::http::{ApiError, ApiResult, Body, CreatedSecret, Id};

/// For how many hours an old key works on unless something else is asked for, and at most.
const GRACE: i32 = 24;
const LONGEST: i32 = 168;

/// `POST /api_keys/:id/rotate`.
#[derive(Debug, Request)]
pub(super) struct ApiKeyRotateRequest {
    /// For how many hours the old key works on: 24 if nothing is said, 168 at most, 0 for none.
    #[rule(grace_period())]
    grace_period_hours: i32,
}

const fn grace_period() -> Custom<i32> {
    custom(
        |fields, name| fields.value(name).map_or(GRACE, |value| grace_hours(&value)),
        || json_schema!({"type": "integer", "minimum": 0, "maximum": LONGEST, "default": GRACE}),
    )
}

/// Whole hours within the bounds; what is no number counts as not said.
fn grace_hours(value: &Value) -> i32 {
    let number = match value {
        // Forms and query strings carry only strings.
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_f64(),
    };
    let hours = number.filter(|hours| !hours.is_nan()).unwrap_or(f64::from(GRACE));
    #[allow(clippy::cast_possible_truncation, reason = "it lies between two numbers that fit")]
    let hours = hours.round().clamp(0.0, f64::from(LONGEST)) as i32;
    hours
}

#[derive(Serialize, JsonSchema)]
pub(super) struct ApiKeyRotatedResponse {
    /// With the name, role and agent of the old one; it does not expire.
    new_key: NewApiKey,
    old_key_expires_at: Option<Timestamp>,
}

pub(super) async fn rotate(
    caller: Caller<AtLeast<User>>,
    Id(id): Id,
    body: Body<ApiKeyRotateRequest>,
) -> ApiResult<CreatedSecret<ApiKeyRotatedResponse>> {
    let hours = body.checked(|_, _| {})?.grace_period_hours;
    let raw_key = new_raw_key();
    caller
        .change(async |mut change| {
            let Rotatable { key: old, superseded_at } = change.found(LOCK_KEY, &[&id]).await?;
            if old.revoked_at.is_some() {
                return Err(ApiError::unprocessable(Code::KeyRevoked, "Cannot rotate a revoked key"));
            }
            if superseded_at.is_some() {
                return Err(ApiError::unprocessable(Code::KeySuperseded, "Cannot rotate a superseded key"));
            }
            // First, because an agent has one live key of a role.
            let until = change.one(SUPERSEDE_KEY, &[&id, &hours]).await?;
            let new = insert_key(&mut change, &raw_key, &old.name, old.role, old.agent_id, None).await?;
            let told = json!({"new_key_id": new.id, "new_key_prefix": new.key_prefix, "expires_at": until});
            let rotated =
                Event::new("api_key", id, "rotated", told).old(json!({"expires_at": old.expires_at}));
            change.tell([rotated, new.created()]);
            let new_key = NewApiKey::of(new, &raw_key);
            change.commit(CreatedSecret(ApiKeyRotatedResponse { new_key, old_key_expires_at: until })).await
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_of_grace() {
        for (sent, hours) in [
            (json!(12), 12),
            (json!("12"), 12),
            (json!(" 1.5 "), 2),
            (json!(11.4), 11),
            (json!(0), 0),
            (json!(-3), 0),
            (json!(168), 168),
            (json!(1000), 168),
            (json!(1e300), 168),
            (json!("inf"), 168),
            (json!("NaN"), 24),
            (json!("soon"), 24),
            (json!(""), 24),
            (json!(true), 24),
            (json!([1]), 24),
            (json!({}), 24),
        ] {
            assert_eq!(grace_hours(&sent), hours, "{sent}");
        }
    }
}
