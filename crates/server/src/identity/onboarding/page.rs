//! The page of a tenant's first steps.

use std::collections::BTreeSet;

use askama::Template;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use chrono::Utc;
use loopctl_core::json::JsonText;
use url::form_urlencoded;
use uuid::Uuid;

use crate::app::App;
use crate::db::{Row, statements};
use crate::http::{ApiError, ApiResult, Input, Operation, path_ids};
use crate::secrets::onboarding_context;
use crate::web::Visit;

statements! {
    FIRST_STEPS -> FirstSteps = "select {*} from tenants t where t.id = $1 and t.status = 'active'";
}

/// What has been done so far.
#[derive(Row)]
pub(crate) struct FirstSteps {
    name: String,
    #[row(sql = "coalesce(settings->'onboarding'->'completed', '[]')")]
    completed: JsonText,
    #[row(sql = "audit_signing_public_key is not null")]
    has_audit_key: bool,
    #[row(sql = "exists (select from projects where tenant_id = $1)")]
    has_project: bool,
    #[row(sql = "exists (select from agents where tenant_id = $1)")]
    has_agent: bool,
}

/// A step, in the order in which they are shown.
struct Step {
    key: &'static str,
    title: &'static str,
    done: bool,
}

#[derive(Template)]
#[template(path = "identity/onboarding/page.html")]
pub(super) struct OnboardingPage {
    name: String,
    tenant_id: Uuid,
    server: String,
    steps: Vec<Step>,
}

/// Whose first steps they are, for whoever was given the token when they signed up.
pub(super) struct Newcomer(Option<Uuid>);

impl FromRequestParts<App> for Newcomer {
    type Rejection = ApiError;

    /// Anything else than the right token for an id is nobody.
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let Some(tenant_id) = path_ids(parts, app).await.ok().and_then(|ids| ids.first().copied()) else {
            return Ok(Self(None));
        };
        let query = parts.uri.query().unwrap_or_default();
        let shown = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "token");
        let accepted = shown.is_some_and(|(_, token)| {
            app.vault.accepts_token(&onboarding_context(&tenant_id), &token, Utc::now())
        });
        Ok(Self(accepted.then_some(tenant_id)))
    }
}

impl Input for Newcomer {
    fn describe(operation: &mut Operation<'_>) {
        operation.path_ids = true;
        operation.query.push(loopctl_core::request::Member {
            name: "token",
            description: "What signing up gave",
            schema: schemars::json_schema!({"type": "string"}),
            required: true,
        });
    }
}

pub(super) async fn page(
    State(app): State<App>,
    Newcomer(tenant_id): Newcomer,
) -> ApiResult<Visit<OnboardingPage>> {
    let Some(tenant_id) = tenant_id else { return Ok(Visit::Elsewhere("/")) };
    let found = app.db.read(tenant_id, FIRST_STEPS.with(&[])).await?.into_iter().next();
    let Some(found) = found else { return Ok(Visit::Elsewhere("/")) };
    let steps = steps(&found);
    let server = app.public_url.to_string();
    Ok(Visit::Page(OnboardingPage { name: found.name, tenant_id, server, steps }))
}

/// A step is done when somebody has said so, or when it can be seen.
fn steps(found: &FirstSteps) -> Vec<Step> {
    let completed = found.completed.to_value();
    let said: BTreeSet<&str> =
        completed.as_array().into_iter().flatten().filter_map(serde_json::Value::as_str).collect();
    [
        ("audit_key", "Generate audit signing key", found.has_audit_key),
        ("system_article_tour", "Read the system articles", false),
        ("first_project", "Create your first project", found.has_project),
        ("first_agent", "Register your first agent", found.has_agent),
    ]
    .into_iter()
    .map(|(key, title, seen)| Step { key, title, done: seen || said.contains(key) })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_done_when_they_are_seen_or_said_to_be() {
        let mut found = FirstSteps {
            name: String::new(),
            completed: JsonText::from(serde_json::json!(["system_article_tour", 7, "other"])),
            has_audit_key: true,
            has_project: false,
            has_agent: false,
        };
        let done = |found: &FirstSteps| -> Vec<bool> { steps(found).iter().map(|step| step.done).collect() };
        assert_eq!(done(&found), [true, true, false, false]);
        found.has_agent = true;
        for completed in [serde_json::json!("first_project"), serde_json::json!({"first_project": true})] {
            found.completed = JsonText::from(completed);
            assert_eq!(done(&found), [true, false, false, true]);
        }
    }
}
