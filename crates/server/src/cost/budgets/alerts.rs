//! What is told of the levels of budgets, each time that one is reached.

use loopctl_core::cost::Total;
use loopctl_core::cost::budgets::{
    Crossing, Enforcement, Key, Level, LimitType, Moved, Place, ScopeType, TargetType,
};
use loopctl_core::webhooks::EventType;
use serde::Serialize;
use uuid::Uuid;

use crate::db::{DbError, Params, Tx, column, statements};
use crate::events::{Attribution, Event, Notice};

statements! {
    INSERT_ALERTS = "
        insert into token_budget_alerts (tenant_id, budget_id, target_type, target_id, level)
        select $1, t.* from unnest($2::uuid[], $3::text[], $4::uuid[], $5::text[]) t
        on conflict on constraint token_budget_alerts_once do nothing";
    DELETE_ALERTS = "
        delete from token_budget_alerts a
        using unnest($2::uuid[], $3::text[], $4::uuid[], $5::text[]) as t (budget_id, target_type, target_id, level)
        where a.tenant_id = $1 and a.target_id = t.target_id and a.target_type = t.target_type and a.level = t.level
          and a.budget_id is not distinct from t.budget_id";
}

/// A level that was reached, as the log has it.
#[derive(Serialize)]
struct Reached {
    budget_id: Option<Uuid>,
    scope_type: ScopeType,
    scope_id: Uuid,
    utilization_pct: Total,
    threshold_type: Level,
    budget_millicents: Option<i64>,
}

/// What webhooks are told of it.
#[derive(Serialize)]
struct Alert {
    budget_id: Option<Uuid>,
    scope_type: ScopeType,
    scope_id: Uuid,
    budget_millicents: Option<i64>,
    current_spend_millicents: Total,
    utilization_pct: Total,
    alert_threshold_pct: i32,
    triggering_report_id: Uuid,
    project_id: Uuid,
    limit_type: LimitType,
    token_limit: Option<i64>,
    current_tokens: Total,
    enforcement: Enforcement,
    target_type: TargetType,
    target_id: Uuid,
    #[serde(flatten)]
    overage: Option<Overage>,
}

/// By how much a budget is passed; null where that is not limited.
#[derive(Serialize)]
struct Overage {
    overage_millicents: Option<Total>,
    overage_tokens: Option<Total>,
}

/// What is told of the levels that a report of a story has reached.
pub(crate) fn told(moved: &Moved, place: &Place, report_id: Uuid) -> Vec<Event> {
    moved.reached.iter().map(|crossing| crossed(crossing, place, report_id)).collect()
}

fn crossed(crossing: &Crossing, place: &Place, report_id: Uuid) -> Event {
    let Crossing { budget, target, level, used, spent } = crossing;
    let (scope_type, scope_id) = (budget.scope_type, budget.scope_id);
    let over = |limit: Option<i64>, current: Total| limit.map(|limit| (current - limit.into()).max(Total(0)));
    let overage = (*level == Level::Exceeded).then(|| Overage {
        overage_millicents: over(budget.limits.cost, spent.cost),
        overage_tokens: over(budget.limits.tokens, spent.tokens()),
    });
    let alert = Alert {
        budget_id: budget.id,
        scope_type,
        scope_id,
        budget_millicents: budget.limits.cost,
        current_spend_millicents: spent.cost,
        utilization_pct: used.percent,
        alert_threshold_pct: budget.alert_threshold_pct,
        triggering_report_id: report_id,
        project_id: place.project_id,
        limit_type: used.limit_type,
        token_limit: budget.limits.tokens,
        current_tokens: spent.tokens(),
        enforcement: budget.enforcement,
        target_type: target.target_type,
        target_id: target.id,
        overage,
    };
    let event_type = match level {
        Level::Warning => EventType::TokenBudgetWarning,
        Level::Exceeded => EventType::TokenBudgetExceeded,
    };
    let reached = Reached {
        budget_id: budget.id,
        scope_type,
        scope_id,
        utilization_pct: used.percent,
        threshold_type: *level,
        budget_millicents: budget.limits.cost,
    };
    let event = Event::of("token_budget", budget.id.unwrap_or(scope_id), "threshold_crossed", &reached)
        .project(place.project_id)
        .meta("budget_id", budget.id.map(|id| id.to_string()))
        .meta("scope_type", scope_type.as_str())
        .meta("scope_id", scope_id.to_string())
        .meta("threshold_type", level.as_str())
        .meta("story_id", place.story_id.to_string())
        .telling(Notice::new(event_type, &alert));
    Event { by: Some(Attribution::system("budgets")), ..event }
}

/// Writes which levels were told of, and which are not reached any more.
///
/// # Errors
/// When the database fails.
pub(crate) async fn save_levels(tx: &mut Tx, moved: &[&Moved]) -> Result<(), DbError> {
    let reached: Vec<&Crossing> = moved.iter().flat_map(|moved| &moved.reached).collect();
    if !reached.is_empty() {
        let params: Params<'_> = &[
            &column(&reached, |crossing| crossing.budget.id),
            &column(&reached, |crossing| crossing.target.target_type.as_str()),
            &column(&reached, |crossing| crossing.target.id),
            &column(&reached, |crossing| crossing.level.as_str()),
        ];
        tx.execute(INSERT_ALERTS, params).await?;
    }
    let left: Vec<&(Key, Level)> = moved.iter().flat_map(|moved| &moved.left).collect();
    if !left.is_empty() {
        let params: Params<'_> = &[
            &column(&left, |(key, _)| key.budget_id),
            &column(&left, |(key, _)| key.target.target_type.as_str()),
            &column(&left, |(key, _)| key.target.id),
            &column(&left, |(_, level)| level.as_str()),
        ];
        tx.execute(DELETE_ALERTS, params).await?;
    }
    Ok(())
}
