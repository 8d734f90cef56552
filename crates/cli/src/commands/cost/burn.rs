//! What is gone of a budget, as a bar, and how long the rest lasts.

use chrono::NaiveDate;
use loopctl_core::cost::Total;
use serde_json::Value;

use super::fields;
use super::outlook::{Outlook, outlook};
use crate::{bars, figures};

/// What a project has used on each day with reports, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Trend(pub(super) Vec<(NaiveDate, Value)>);

impl Trend {
    /// From the rows of `/analytics/trends`.
    pub(super) fn new(rows: &[Value]) -> Self {
        let day = |row: &Value| row["period"].as_str().and_then(|day| day.parse().ok());
        let mut days: Vec<_> = rows.iter().filter_map(|row| Some((day(row)?, row.clone()))).collect();
        days.sort_by_key(|(day, _)| *day);
        Self(days)
    }

    /// Of each day one figure.
    pub(super) fn of(&self, figure: fn(&Value) -> Total) -> Vec<(NaiveDate, Total)> {
        self.0.iter().map(|(day, row)| (*day, figure(row))).collect()
    }
}

/// A limit, and what is gone of it.
struct Burn {
    what: &'static str,
    limit: Total,
    spent: Total,
    shown: fn(Total) -> String,
    used: fn(&Value) -> Total,
}

/// The lines about a budget, one pair for each of its limits. Without a trend nothing is said of the days to come.
pub(crate) fn lines(budget: &Value, trend: Option<(&Trend, NaiveDate)>, width: usize) -> Vec<String> {
    let burn = |what, limit, spent, shown, used| {
        let spent = fields::total(budget, spent).unwrap_or_default();
        Some(Burn { what, limit: fields::total(budget, limit)?, spent, shown, used })
    };
    let burns: [Option<Burn>; 2] = [
        burn("Cost", "budget_millicents", "current_spend_millicents", figures::dollars, fields::cost),
        burn("Tokens", "token_limit", "current_tokens", figures::tokens, fields::tokens),
    ];
    let mut lines: Vec<String> =
        burns.into_iter().flatten().flat_map(|burn| burn.lines(trend, width)).collect();
    lines.extend(set_aside(budget).map(|reserved| format!("  Held    {reserved} set aside by claims")));
    lines
}

/// What stories that are held have set aside of a budget.
pub(crate) fn set_aside(budget: &Value) -> Option<String> {
    fields::total(budget, "reserved_millicents").filter(|reserved| reserved.0 != 0).map(figures::dollars)
}

impl Burn {
    fn lines(&self, trend: Option<(&Trend, NaiveDate)>, width: usize) -> Vec<String> {
        let Self { what, limit, spent, shown, used } = self;
        let percent = spent.percent_of(*limit).unwrap_or_default().0;
        let text = format!("  {what:<7} {} of {}  {percent}%", shown(*spent), shown(*limit));
        let bar = bars::bar(*spent, *limit, width.saturating_sub(text.len() + 4).clamp(5, 30));
        let mut lines = vec![format!("{text}  [{bar}]")];
        let outlook = trend.map(|(trend, today)| outlook(*limit, *spent, &trend.of(*used), today));
        match outlook {
            Some(Outlook::On(day, rate)) => {
                lines.push(format!("          Exhausted on {day} at {} a day", shown(rate)));
            }
            Some(Outlook::Lasts) => lines.push("          Lasts at this rate".to_owned()),
            Some(Outlook::Exhausted) => lines.push("          Exhausted".to_owned()),
            None => {}
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_limit_has_its_bar() {
        let budget = json!({"budget_millicents": 500_000, "current_spend_millicents": 142_000, "token_limit": 2_000,
            "current_tokens": 2_500});
        let trend = Trend::new(&[
            json!({"period": "2026-11-20", "total_cost_millicents": 71_000, "total_tokens": 5}),
            json!({"period": "2026-11-19", "total_cost_millicents": 71_000, "total_tokens": 5}),
            json!({"period": "some day", "total_cost_millicents": 9}),
        ]);
        let today = "2026-11-20".parse().unwrap();
        assert_eq!(
            lines(&budget, Some((&trend, today)), 80),
            [
                "  Cost    $1.42 of $5.00  28%  [#########.....................]",
                "          Exhausted on 2026-11-26 at $0.71 a day",
                "  Tokens  2.5K of 2K  125%  [##############################]",
                "          Exhausted",
            ]
        );
        assert_eq!(
            lines(&json!({"budget_millicents": 500_000}), Some((&Trend::default(), today)), 40),
            ["  Cost    $0.00 of $5.00  0%  [........]", "          Lasts at this rate"]
        );
        assert_eq!(lines(&json!({"token_limit": 10}), None, 20), ["  Tokens  0 of 10  0%  [.....]"]);
        assert_eq!(lines(&json!({"reserved_millicents": 0}), None, 80), [""; 0]);
        assert_eq!(
            lines(&json!({"reserved_millicents": 5_000}), None, 80),
            ["  Held    $0.05 set aside by claims"]
        );
    }
}
