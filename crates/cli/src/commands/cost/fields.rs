//! Figures in answers, under the names that they have there: other servers use others for some of them.

use loopctl_core::cost::Total;
use serde_json::Value;

use crate::figures;
use crate::table::plain;

/// Other names of members: those that are read, and what stands in for them.
const OTHERS: &[(&str, &[&str])] = &[
    ("total_cost_millicents", &["cost_millicents"]),
    ("story_cost_millicents", &["cost_millicents"]),
    ("utilization_pct", &["budget_utilization_percent"]),
    ("epic_name", &["epic_title"]),
    // Of a whole project, which has no budget's names for them.
    ("current_spend_millicents", &["total_cost_millicents", "cost_millicents"]),
    ("current_tokens", &["total_tokens"]),
];

/// A member, or what stands in for it.
pub(crate) fn member<'a>(row: &'a Value, name: &str) -> &'a Value {
    let others = OTHERS.iter().filter(|(known, _)| *known == name).flat_map(|(_, others)| others.iter());
    let names = std::iter::once(name).chain(others.copied());
    names.map(|name| &row[name]).find(|value| !value.is_null()).unwrap_or(&Value::Null)
}

/// A member as text.
pub(crate) fn text(row: &Value, name: &str) -> String {
    plain(member(row, name))
}

/// A member as a figure.
pub(crate) fn total(row: &Value, name: &str) -> Option<Total> {
    figures::total(member(row, name))
}

/// What it has cost.
pub(crate) fn cost(row: &Value) -> Total {
    total(row, "total_cost_millicents").unwrap_or_default()
}

/// Tokens of both kinds.
pub(crate) fn tokens(row: &Value) -> Total {
    match (total(row, "total_input_tokens"), total(row, "total_output_tokens")) {
        (None, None) => total(row, "total_tokens").unwrap_or_default(),
        (input, output) => input.unwrap_or_default() + output.unwrap_or_default(),
    }
}

/// A member that is money, in dollars; empty where there is none.
pub(crate) fn money(row: &Value, name: &str) -> String {
    total(row, name).map(figures::dollars).unwrap_or_default()
}

/// A member that counts tokens.
pub(crate) fn short(row: &Value, name: &str) -> String {
    total(row, name).map(figures::tokens).unwrap_or_default()
}

/// A member that is a percentage; None where there is nothing that it could be of.
pub(crate) fn percent(row: &Value, name: &str) -> Option<String> {
    total(row, name).map(|percent| format!("{}%", percent.0))
}

/// What the agents' own programs have told of it, beside what was reported.
pub(crate) fn measured(row: &Value) -> Option<String> {
    let measured = row.get("measured").filter(|measured| measured.is_object())?;
    let ratio = match &row["measured_ratio"] {
        Value::Null => String::new(),
        ratio => format!(", {} times what was reported", plain(ratio)),
    };
    let tokens = total(measured, "input_tokens").unwrap_or_default()
        + total(measured, "output_tokens").unwrap_or_default();
    // Not every tool tells a cost.
    let cost = total(measured, "cost_millicents");
    let cost = cost.map_or_else(String::new, |cost| format!("{} and ", figures::dollars(cost)));
    Some(format!("Measured: {cost}{} tokens{ratio}", figures::tokens(tokens)))
}

/// Which model has cost how much, the most expensive first. The breakdown is a map or a list.
pub(crate) fn model_mix(row: &Value) -> Vec<(String, Total)> {
    let of_list = |list: &Value| -> Vec<(String, Total)> {
        let models = list.as_array().into_iter().flatten();
        models.map(|model| (text(model, "model_name"), cost(model))).collect()
    };
    let mut mix = match &row["model_breakdown"] {
        Value::Object(models) => models.iter().map(|(name, model)| (name.clone(), cost(model))).collect(),
        list => of_list(list),
    };
    mix.sort_by(|(a, more), (b, less)| less.cmp(more).then_with(|| a.cmp(b)));
    mix
}

/// The row with these members under the names that they are read by.
pub(crate) fn named(row: &Value, names: &[&str]) -> Value {
    let mut row = row.clone();
    for name in names {
        let value = member(&row, name).clone();
        if let Some(members) = row.as_object_mut() {
            members.insert((*name).to_owned(), value);
        }
    }
    row
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_of_our_own_come_first() {
        let both =
            json!({"total_cost_millicents": 5, "cost_millicents": 7, "epic_name": null, "epic_title": "E"});
        assert_eq!((cost(&both), text(&both, "epic_name").as_str()), (Total(5), "E"));
        assert_eq!(cost(&json!({"cost_millicents": 7})), Total(7));
        assert_eq!(
            percent(&json!({"budget_utilization_percent": 28}), "utilization_pct").as_deref(),
            Some("28%")
        );
        assert_eq!(percent(&json!({"utilization_pct": null}), "utilization_pct"), None);
        assert_eq!(
            tokens(&json!({"total_input_tokens": 3, "total_output_tokens": 4, "total_tokens": 9})),
            Total(7)
        );
        assert_eq!(tokens(&json!({"total_tokens": 9})), Total(9));
        assert_eq!(named(&json!({"epic_title": "E"}), &["epic_name"])["epic_name"], "E");
    }

    #[test]
    fn a_model_mix_is_a_map_or_a_list() {
        let expected = [("b".to_owned(), Total(9)), ("a".to_owned(), Total(1)), ("c".to_owned(), Total(1))];
        let cost = |cost: i64| json!({ "cost_millicents": cost });
        let map = json!({"model_breakdown": {"c": cost(1), "a": cost(1), "b": cost(9)}});
        let list = json!([{"model_name": "c", "cost_millicents": 1}, {"model_name": "a", "total_cost_millicents": 1},
            {"model_name": "b", "cost_millicents": 9}]);
        assert_eq!(model_mix(&map), expected);
        assert_eq!(model_mix(&json!({"model_breakdown": list})), expected);
        assert_eq!(model_mix(&json!({})), []);
    }

    #[test]
    fn what_was_measured_stands_beside_what_was_reported() {
        let row = json!({"measured": {"input_tokens": 900, "output_tokens": 600, "cost_millicents": 250_000},
            "measured_ratio": "1.06"});
        assert_eq!(measured(&row).unwrap(), "Measured: $2.50 and 1.5K tokens, 1.06 times what was reported");
        let tokens =
            json!({"measured": {"input_tokens": 900, "output_tokens": 600, "cost_millicents": null}});
        assert_eq!(measured(&tokens).unwrap(), "Measured: 1.5K tokens");
        assert_eq!(measured(&json!({"measured": null})), None);
    }
}
