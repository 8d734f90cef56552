//! What a project has cost, for people: sums, budget, days, agents, models.

use chrono::NaiveDate;
use loopctl_core::cost::Total;
use serde_json::Value;

use super::burn::{self, Trend};
use super::fields;
use crate::{bars, figures, table};

/// Days with a bar of their own.
const DAYS: u64 = 14;
/// Days in the line above them.
const LONGEST_LINE: usize = 90;
/// Agents and models that are shown.
const TOP_AGENTS: usize = 3;
const MODELS: usize = 10;
/// What stands for the days where they are closed to the key.
const NO_TREND: &str = "Cost per day, and how long the budget lasts, only orchestrators may see.";

/// What is known of a project; what is closed to the key is not there.
#[derive(Debug)]
pub(super) struct Summary {
    pub(super) project: String,
    /// The figures of the project.
    pub(super) data: Value,
    pub(super) agents: Option<Vec<Value>>,
    pub(super) trend: Option<Trend>,
    /// The budget of the project as a whole.
    pub(super) budget: Option<Value>,
    pub(super) today: NaiveDate,
}

impl Summary {
    /// The lines, no wider than `width`; None where nothing was ever reported.
    pub(super) fn lines(&self, width: usize, marks: &[char]) -> Option<Vec<String>> {
        let (cost, tokens) = (fields::cost(&self.data), fields::tokens(&self.data));
        let measured = fields::measured(&self.data);
        if (cost, tokens) == Default::default() && measured.is_none() {
            return None;
        }
        let mut lines = vec![
            format!("Project Cost Summary: {}", self.project),
            String::new(),
            format!("Total Cost: {}", figures::dollars(cost)),
            format!("Total Tokens: {}", figures::tokens(tokens)),
        ];
        lines.extend(measured);
        let utilization = fields::percent(&self.data, "utilization_pct");
        lines.push(format!("Budget Utilization: {}", utilization.as_deref().unwrap_or("N/A")));
        lines.extend(self.burn(width));
        for (heading, section) in [
            ("Cost per Day:", self.days(width, marks)),
            ("Top Agents by Cost:", self.top_agents(cost, width)),
            ("Model Mix:", model_mix(&self.data, width)),
        ] {
            if !section.is_empty() {
                lines.extend([String::new(), heading.to_owned()]);
                lines.extend(section);
            }
        }
        if self.trend.is_none() {
            lines.extend([String::new(), NO_TREND.to_owned()]);
        }
        Some(lines)
    }

    fn burn(&self, width: usize) -> Vec<String> {
        // The budget itself may be closed to this key, or unknown to the server.
        let budget = self.budget.as_ref().unwrap_or(&self.data);
        burn::lines(budget, self.trend.as_ref().map(|trend| (trend, self.today)), width)
    }

    fn days(&self, width: usize, marks: &[char]) -> Vec<String> {
        let costs = self.trend.as_ref().map(|trend| trend.of(fields::cost)).unwrap_or_default();
        let (Some((first, _)), Some((last, _))) = (costs.first(), costs.last()) else { return Vec::new() };
        let on = |day: NaiveDate| {
            let reported = costs.binary_search_by_key(&day, |(day, _)| *day);
            reported.ok().and_then(|place| costs.get(place)).map_or_else(Total::default, |(_, cost)| *cost)
        };
        // All days, also those without reports.
        let until_last = |count: u64| {
            let begin = last.checked_sub_days(chrono::Days::new(count - 1)).unwrap_or(*first).max(*first);
            begin.iter_days().take_while(|day| day <= last).map(|day| (day, on(day))).collect::<Vec<_>>()
        };
        let recent = until_last(DAYS);
        let mut lines = Vec::new();
        let room = width.saturating_sub(28).min(LONGEST_LINE);
        let long = until_last(room as u64);
        if let (Some((begin, _)), true) = (long.first(), long.len() > recent.len()) {
            let figures: Vec<Total> = long.iter().map(|(_, cost)| *cost).collect();
            lines.push(format!("  {begin} |{}| {last}", bars::line(&figures, marks)));
        }
        let dollars = bars::right(recent.iter().map(|(_, cost)| figures::dollars(*cost)).collect());
        let most = recent.iter().map(|(_, cost)| *cost).max().unwrap_or_default();
        let rows =
            recent.iter().zip(dollars).map(|((day, cost), dollars)| (vec![day.to_string(), dollars], *cost));
        lines.extend(with_bars(rows.collect(), most, width));
        lines
    }

    fn top_agents(&self, whole: Total, width: usize) -> Vec<String> {
        let of_project = || self.data["top_agents"].as_array().cloned();
        let mut agents = self.agents.clone().or_else(of_project).unwrap_or_default();
        agents.sort_by_key(|agent| std::cmp::Reverse(fields::cost(agent)));
        agents.truncate(TOP_AGENTS);
        let dollars = bars::right(agents.iter().map(|agent| figures::dollars(fields::cost(agent))).collect());
        let rows = agents.iter().zip(dollars);
        let rows = rows
            .map(|(agent, dollars)| (vec![fields::text(agent, "agent_name"), dollars], fields::cost(agent)));
        with_bars(rows.collect(), whole, width)
    }
}

/// Each model with its part of the cost.
pub(super) fn model_mix(row: &Value, width: usize) -> Vec<String> {
    let mix = fields::model_mix(row);
    let whole = mix.iter().map(|(_, cost)| *cost).sum::<Total>();
    let shown = || mix.iter().take(MODELS);
    let percent =
        |cost: Total| cost.percent_of(whole).map_or("N/A".to_owned(), |part| format!("{}%", part.0));
    let percents = bars::right(shown().map(|(_, cost)| percent(*cost)).collect());
    let dollars = bars::right(shown().map(|(_, cost)| figures::dollars(*cost)).collect());
    let rows = shown().zip(percents).zip(dollars);
    let rows = rows.map(|(((model, cost), percent), dollars)| (vec![model.clone(), percent, dollars], *cost));
    let mut lines = with_bars(rows.collect(), whole, width);
    if mix.len() > MODELS {
        lines.push(format!("  ... and {} more", mix.len() - MODELS));
    }
    lines
}

/// Indented rows: a name, figures, a bar.
fn with_bars(rows: Vec<(Vec<String>, Total)>, whole: Total, width: usize) -> Vec<String> {
    let rows = bars::Rows { header: &[], texts: &[0], rows, whole }.fitting(width.saturating_sub(2));
    table::aligned(&rows).into_iter().map(|line| format!("  {line}")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ASCII: &[char] = &['.', ':', '-', '=', '+', '*', '#'];

    fn summary() -> Summary {
        let day = |day, cost| json!({"period": format!("2026-{day}"), "total_cost_millicents": cost, "total_tokens": 10});
        Summary {
            project: "my-app".to_owned(),
            data: json!({"total_cost_millicents": 1_420_000, "total_input_tokens": 6_500, "total_output_tokens": 3_200,
                "budget_millicents": 5_000_000, "utilization_pct": 28, "measured": null,
                "model_breakdown": {"a-model-with-quite-a-long-name": {"cost_millicents": 1_200_000},
                                    "b\u{1b}[31m": {"cost_millicents": 220_000}}}),
            agents: Some(vec![
                json!({"agent_name": "beta", "total_cost_millicents": 220_000}),
                json!({"agent_name": "alpha", "total_cost_millicents": 1_200_000}),
                json!({"agent_name": "nobody", "total_cost_millicents": 0}),
                json!({"agent_name": "never", "total_cost_millicents": 0}),
            ]),
            trend: Some(Trend::new(&[day("10-20", 700_000), day("11-28", 20_000), day("11-29", 700_000)])),
            budget: None,
            today: "2026-11-29".parse().unwrap(),
        }
    }

    #[test]
    fn a_project_is_a_picture() {
        let lines = summary().lines(60, ASCII).unwrap();
        assert_eq!(
            lines.join("\n"),
            "\
Project Cost Summary: my-app

Total Cost: $14.20
Total Tokens: 9.7K
Budget Utilization: 28%
  Cost    $14.20 of $50.00  28%  [#######..................]
          Exhausted on 2027-03-13 at $0.35 a day

Cost per Day:
  2026-10-29 |                              .#| 2026-11-29
  2026-11-16  $0.00
  2026-11-17  $0.00
  2026-11-18  $0.00
  2026-11-19  $0.00
  2026-11-20  $0.00
  2026-11-21  $0.00
  2026-11-22  $0.00
  2026-11-23  $0.00
  2026-11-24  $0.00
  2026-11-25  $0.00
  2026-11-26  $0.00
  2026-11-27  $0.00
  2026-11-28  $0.20  #
  2026-11-29  $7.00  ##############################

Top Agents by Cost:
  alpha   $12.00  #########################
  beta     $2.20  #####
  nobody   $0.00

Model Mix:
  a-model-with-quite-a-long-name  84%  $12.00  ###########
  b\\x1b[31m                       15%   $2.20  ##"
        );
    }

    #[test]
    fn lines_are_as_wide_as_the_terminal() {
        for width in [40, 60, 80, 200] {
            for line in summary().lines(width, ASCII).unwrap() {
                assert!(line.chars().count() <= width.max(60), "{width}: {line}");
            }
        }
    }

    #[test]
    fn what_is_closed_to_a_key_is_left_out() {
        let mut closed = Summary { agents: None, trend: None, ..summary() };
        closed.data["top_agents"] = json!([{"agent_name": "alpha", "cost_millicents": 1_200_000}]);
        let text = closed.lines(80, ASCII).unwrap().join("\n");
        assert!(text.contains("  Cost    $14.20 of $50.00  28%  [########"), "{text}");
        assert!(text.contains("Top Agents by Cost:\n  alpha  $12.00  ###"), "{text}");
        assert!(!text.contains("per Day") && !text.contains("Exhausted"), "{text}");
        assert!(text.ends_with(&format!("\n\n{NO_TREND}")), "{text}");
    }

    #[test]
    fn where_nothing_was_reported_there_is_nothing_to_say() {
        let data = json!({"total_cost_millicents": 0, "total_input_tokens": 0, "total_output_tokens": 0});
        assert_eq!(Summary { data, ..summary() }.lines(80, ASCII), None);
        let data = json!({"total_cost_millicents": 0, "measured": {"input_tokens": 5, "cost_millicents": 0}});
        let text = Summary { data, ..summary() }.lines(80, ASCII).unwrap().join("\n");
        assert!(text.contains("Measured: $0.00 and 5 tokens") && text.contains("Utilization: N/A"), "{text}");
    }

    #[test]
    fn a_budget_of_tokens_has_its_bar() {
        let budget = Some(json!({"budget_millicents": null, "token_limit": 20_000, "current_tokens": 9_700}));
        let text = Summary { budget, ..summary() }.lines(80, ASCII).unwrap().join("\n");
        assert!(text.contains("  Tokens  9.7K of 20K  48%  [##############"), "{text}");
    }
}
