//! What an entry of the log says of money and tokens, as people read it.

use loopctl_core::cost::Total;
use serde_json::Value;

use crate::figures::{self, dollars, total};
use crate::table::plain;

/// How a figure is shown.
type Shown = fn(Total) -> String;

/// Amounts of a budget.
const AMOUNTS: &[(&str, Shown)] = &[
    ("budget_millicents", dollars),
    ("token_limit", |count| format!("{} tokens", figures::tokens(count))),
    ("budget_input_tokens", |count| format!("{} input tokens", figures::tokens(count))),
    ("budget_output_tokens", |count| format!("{} output tokens", figures::tokens(count))),
    ("reserve_millicents", |reserve| format!("{} set aside", dollars(reserve))),
];

/// The entry in words; None of one that is about something else.
pub(super) fn spent(entry: &Value) -> Option<String> {
    let (old, new) = (&entry["old_state"], &entry["new_state"]);
    let state = if new.is_null() { old } else { new };
    match (entry["entity_type"].as_str()?, entry["action"].as_str()?) {
        // The model of a correction is that of the report.
        ("token_usage_report", action) => Some(report(state, action != "corrected")),
        ("token_budget", "threshold_crossed") => Some(crossed(state)),
        ("token_budget", "report_blocked") => {
            let (kind, limit) = (plain(&state["limit_type"]), total(&state["limit"])?);
            let current = total(&state["current"])?;
            Some(match kind.as_str() {
                "cost" => format!("report blocked: {} of {}", dollars(current), dollars(limit)),
                kind => {
                    let (current, limit) = (figures::tokens(current), figures::tokens(limit));
                    format!("report blocked: {current} of {limit} {}", kind.replace('_', " "))
                }
            })
        }
        ("token_budget", _) => Some(terms(old, new)),
        ("cost_anomaly", "resolved") => Some("resolved".to_owned()),
        ("cost_anomaly", _) => {
            Some(format!("{}, factor {}", plain(&state["anomaly_type"]), plain(&state["deviation_factor"])))
        }
        _ => None,
    }
}

/// `$0.44, 10.2K tokens, claude-opus-4`; what is nothing is left out.
fn report(state: &Value, with_model: bool) -> String {
    let counts = ["input_tokens", "output_tokens"].map(|name| total(&state[name]).unwrap_or_default());
    let tokens = total(&state["total_tokens"]).unwrap_or(counts.into_iter().sum());
    let cost = total(&state["cost_millicents"]).unwrap_or_default();
    let parts = [
        (cost.0 != 0 || tokens.0 == 0).then(|| dollars(cost)),
        (tokens.0 != 0).then(|| format!("{} tokens", figures::tokens(tokens))),
        with_model.then(|| plain(&state["model_name"])).filter(|model| !model.is_empty()),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// `warning at 85 % of $0.10`. Of which limit it is so much, not every entry says.
fn crossed(state: &Value) -> String {
    let (level, percent) = (plain(&state["threshold_type"]), plain(&state["utilization_pct"]));
    let is_of_money = state["limit_type"].is_null() || state["limit_type"] == "cost";
    let limit = total(&state["budget_millicents"]).filter(|_| is_of_money);
    let limit = limit.map_or_else(String::new, |limit| format!(" of {}", dollars(limit)));
    format!("{level} at {percent} %{limit}")
}

/// `$5.00 -> $20.00, warn -> block`: what a budget is, or what has changed in it.
fn terms(old: &Value, new: &Value) -> String {
    let amount = |state: &Value, (name, shown): (&str, Shown)| total(&state[name]).map(shown);
    let amounts = AMOUNTS.iter().map(|of| (amount(old, *of), amount(new, *of)));
    let words = |name: &str| (old[name].as_str().map(str::to_owned), new[name].as_str().map(str::to_owned));
    let percent =
        |state: &Value| total(&state["alert_threshold_pct"]).map(|at| format!("warning at {} %", at.0));
    let all = amounts.chain([words("enforcement"), (percent(old), percent(new))]);
    let is_change = !old.is_null() && !new.is_null();
    let parts = all.filter_map(|(before, after)| match (before, after) {
        (before, after) if before == after => None,
        (None, after) if is_change => after.map(|after| format!("none -> {after}")),
        (Some(before), None) if is_change => Some(format!("{before} -> none")),
        (Some(before), Some(after)) => Some(format!("{before} -> {after}")),
        (before, after) => after.or(before),
    });
    parts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(entity_type: &str, action: &str, old: Value, new: Value) -> String {
        let entry = json!({"entity_type": entity_type, "action": action, "old_state": old, "new_state": new});
        spent(&entry).unwrap()
    }

    #[test]
    fn reports_are_told_by_what_they_used() {
        let state = json!({"cost_millicents": 43_500, "input_tokens": 9_000, "output_tokens": 1_200,
            "total_tokens": 10_200, "model_name": "claude-opus-4", "phase": "implementing"});
        let of = "token_usage_report";
        assert_eq!(told(of, "created", Value::Null, state.clone()), "$0.44, 10.2K tokens, claude-opus-4");
        assert_eq!(told(of, "deleted", state, Value::Null), "$0.44, 10.2K tokens, claude-opus-4");
        let correction = |cost: i64, input: i64| {
            let state = json!({"cost_millicents": cost, "input_tokens": input, "output_tokens": 0, "model_name": "m"});
            told(of, "corrected", Value::Null, state)
        };
        assert_eq!(correction(-3_500, 0), "-$0.04");
        assert_eq!(correction(0, -1_500), "-1.5K tokens");
        assert_eq!(correction(0, 0), "$0.00");
    }

    #[test]
    fn budgets_are_told_by_what_became_of_them() {
        let of = "token_budget";
        let crossed = |state| told(of, "threshold_crossed", Value::Null, state);
        let reached =
            json!({"utilization_pct": 85, "threshold_type": "warning", "budget_millicents": 10_000});
        assert_eq!(crossed(reached), "warning at 85 % of $0.10");
        let reached =
            json!({"utilization_pct": 101, "threshold_type": "exceeded", "budget_millicents": null});
        assert_eq!(crossed(reached), "exceeded at 101 %");
        let reached = json!({"utilization_pct": 101, "threshold_type": "exceeded", "budget_millicents": 10_000,
            "limit_type": "tokens"});
        assert_eq!(crossed(reached), "exceeded at 101 %");
        let blocked = |kind, current, limit| {
            let state = json!({"limit_type": kind, "limit": limit, "current": current});
            told(of, "report_blocked", Value::Null, state)
        };
        assert_eq!(blocked("tokens", 210_000, 200_000), "report blocked: 210K of 200K tokens");
        assert_eq!(blocked("cost", 120_000, 100_000), "report blocked: $1.20 of $1.00");
        assert_eq!(blocked("input_tokens", 2, 1), "report blocked: 2 of 1 input tokens");
        let terms = |money: Option<u64>, tokens: Option<u64>, enforcement: &str| {
            json!({"budget_millicents": money, "token_limit": tokens, "enforcement": enforcement,
                "alert_threshold_pct": 80})
        };
        let (before, after) =
            (terms(Some(500_000), None, "warn"), terms(Some(2_000_000), Some(1_500), "block"));
        assert_eq!(told(of, "created", Value::Null, before.clone()), "$5.00, warn, warning at 80 %");
        assert_eq!(
            told(of, "updated", before.clone(), after.clone()),
            "$5.00 -> $20.00, none -> 1.5K tokens, warn -> block"
        );
        assert_eq!(told(of, "updated", after, before), "$20.00 -> $5.00, 1.5K tokens -> none, block -> warn");
        assert_eq!(told(of, "deleted", json!({"budget_millicents": 500_000}), Value::Null), "$5.00");
    }

    #[test]
    fn anomalies_are_told_by_their_factor() {
        let state = json!({"anomaly_type": "high_cost", "deviation_factor": "3.08", "story_id": "s"});
        assert_eq!(told("cost_anomaly", "detected", Value::Null, state), "high_cost, factor 3.08");
        let resolved =
            told("cost_anomaly", "resolved", json!({"resolved": false}), json!({"resolved": true}));
        assert_eq!(resolved, "resolved");
        for other in [json!({}), json!({"entity_type": "story", "action": "created"})] {
            assert_eq!(spent(&other), None);
        }
    }
}
