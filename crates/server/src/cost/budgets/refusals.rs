//! What budgets refuse, as those are told who ask.

use loopctl_core::code::Code;
use loopctl_core::cost::Total;
use loopctl_core::cost::budgets::{LimitType, Overdrawn, Overrun, Place};
use serde_json::{Value, json};

use crate::events::Event;
use crate::http::ApiError;

/// A report that a budget has blocked.
pub(crate) struct Blocked {
    /// What the reporter is told.
    pub(crate) error: ApiError,
    /// What is recorded, after everything else was taken back.
    pub(crate) event: Event,
}

impl Blocked {
    pub(super) fn of(overrun: &Overrun, place: &Place) -> Self {
        let Overrun { budget, target, used } = overrun;
        let unit = match used.limit_type {
            LimitType::Cost => "millicents",
            LimitType::Tokens => "tokens",
            LimitType::InputTokens => "input tokens",
            LimitType::OutputTokens => "output tokens",
        };
        let message = format!("Token budget exceeded: {} of {} {unit}", used.current.0, used.limit);
        let current = number(used.current);
        let error = ApiError::blocked(Code::TokenBudgetExceeded, message)
            .with(
                "context",
                json!({
                    "budget_id": budget.id, "scope_type": budget.scope_type, "scope_id": budget.scope_id,
                    "target_type": target.target_type, "target_id": target.id, "limit_type": used.limit_type,
                    "limit": used.limit, "current": current, "overage": number(used.current - used.limit.into()),
                    "utilization_pct": number(used.percent), "enforcement": budget.enforcement,
                }),
            )
            .with(
                "hints",
                json!([
                    "Raise the limit or set enforcement to warn, then report again: PATCH /api/v1/token-budgets/:id (a user key).",
                    "Record usage separately with POST /api/v1/token-usage.",
                ]),
            );
        let told = json!({"limit_type": used.limit_type, "limit": used.limit, "current": current});
        let event = Event::new("token_budget", budget.id.unwrap_or(place.story_id), "report_blocked", told)
            .project(place.project_id)
            .meta("story_id", place.story_id.to_string())
            .meta("budget_id", budget.id.map(|id| id.to_string()))
            .meta("limit_type", used.limit_type.as_str())
            .meta("limit", used.limit)
            .meta("current", current);
        Self { error, event }
    }
}

/// A number as an error tells it. Beyond what programs read as an integer, it says as much as that.
fn number(total: Total) -> Value {
    let Total(exact) = total;
    json!(i64::try_from(exact).unwrap_or(if exact < 0 { i64::MIN } else { i64::MAX }))
}

/// A claim that would set aside more than is left.
pub(super) fn exhausted(overdrawn: &Overdrawn) -> ApiError {
    let Overdrawn { budget, target, spent, reserved, limit } = overdrawn;
    let millicents = budget.reserve_millicents.unwrap_or_default();
    let message = format!(
        "Conflict: the {} budget has not enough left: {} spent and {} set aside of {limit} millicents, and a claim sets aside {millicents}",
        budget.scope_type, spent.0, reserved.0
    );
    ApiError::conflict(Code::BudgetExhausted, message)
        .with(
            "context",
            json!({
                "budget_id": budget.id, "scope_type": budget.scope_type, "scope_id": budget.scope_id,
                "target_type": target.target_type, "target_id": target.id, "spent": number(*spent),
                "reserved": number(*reserved), "limit": limit, "reserve_millicents": millicents, "raised_by": "user",
            }),
        )
        .with(
            "hints",
            json!([
                "Wait until stories that are held are reported or given back: that frees what they have set aside.",
                "Or have the limit raised: PATCH /api/v1/token-budgets/:id (a user key).",
            ]),
        )
}
