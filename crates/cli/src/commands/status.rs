//! `status`: the progress of a project or epic, or one story.

use clap::Args;
use loopctl_core::cost::Total;
use serde_json::Value;

use crate::client::Client;
use crate::commands::cost::fields;
use crate::commands::story;
use crate::context::Context;
use crate::error::Error;
use crate::layout::status;
use crate::resolve::{self, Found};
use crate::terminal::{Style, Tone};
use crate::{bars, figures, table};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Story: id or number; --project only says where to look
    story: Option<String>,
    /// Epic: id or number
    #[arg(long, value_name = "REF", conflicts_with = "story")]
    epic: Option<String>,
}

pub(crate) async fn run(context: &Context, arguments: Arguments) -> Result<(), Error> {
    if let Some(reference) = arguments.story {
        return story::show(context, &reference).await;
    }
    if let Some(reference) = arguments.epic {
        let client = context.client()?;
        let epic = resolve::epic(context, &client, &reference).await?;
        let body = client.get(&format!("/epics/{}/progress", epic.id), &[]).await?;
        return show(context, &body, &format!("Epic: {}", epic.label), None);
    }
    let usage =
        || Error::Usage("Usage: loopctl status <story> | --project <project> | --epic <epic>".to_owned());
    if context.config.get(crate::config::Setting::Project).is_none() {
        return Err(usage());
    }
    let client = context.client()?;
    let project = resolve::configured_project(context, &client).await?.ok_or_else(usage)?;
    let body = client.get(&format!("/projects/{}/progress", project.id), &[]).await?;
    let cost = if context.output.human() { cost_line(&client, &project).await } else { None };
    show(context, &body, &format!("Project: {}", project.label), cost)
}

fn show(context: &Context, body: &Value, heading: &str, cost: Option<String>) -> Result<(), Error> {
    if !context.output.human() {
        return context.output.object(body, "progress");
    }
    let mut lines = picture(&body["progress"], &table::one_line(heading), context.output.screen().style);
    lines.extend(cost.into_iter().flat_map(|cost| [String::new(), cost]));
    context.output.styled(&(lines.join("\n") + "\n"))
}

/// What the project has cost so far. Analytics may be closed to this key: then there is no line.
async fn cost_line(client: &Client, project: &Found) -> Option<String> {
    let body = client.get(&format!("/analytics/projects/{}", project.id), &[]).await.ok()?;
    let data = &body["data"];
    let cost = Some(fields::cost(data)).filter(|cost| cost.0 > 0)?;
    let limit = fields::total(data, "budget_millicents").zip(fields::total(data, "utilization_pct"));
    let budget = limit.map_or_else(String::new, |(budget, percent)| {
        format!(" / {} budget ({}% utilized)", figures::dollars(budget), percent.0)
    });
    let tokens = figures::tokens(fields::tokens(data));
    Some(format!("Cost: {}{budget}  |  Tokens: {tokens}", figures::dollars(cost)))
}

const BAR: usize = 30;

fn picture(progress: &Value, heading: &str, style: Style) -> Vec<String> {
    let counts = |key: &str| -> Vec<(String, u64)> {
        let map = progress[key].as_object();
        map.into_iter().flatten().map(|(name, count)| (name.clone(), count.as_u64().unwrap_or(0))).collect()
    };
    let (work, trust) = (counts("stories_by_agent_status"), counts("stories_by_verified_status"));
    let verified = trust.iter().find(|(name, _)| name == "verified").map_or(0, |(_, count)| *count);
    let total =
        progress["total_stories"].as_u64().unwrap_or_else(|| work.iter().map(|(_, count)| count).sum());
    let percent = progress["verification_percentage"]
        .as_f64()
        .unwrap_or_else(|| if total == 0 { 0.0 } else { verified as f64 * 100.0 / total as f64 });

    let mut lines = vec![style.bold(heading), String::new()];
    let shown = style.paint(Tone::Good, &bar(verified, total));
    lines.push(format!("Verified  [{shown}] {percent:.1}%  ({verified} of {total} stories)"));
    if let (Some(in_loop), Some(adopted)) =
        (progress["verified_in_loop"].as_u64(), progress["verified_adopted"].as_u64())
    {
        lines.push(format!(
            "          {in_loop} in the loop, {adopted} adopted (imported, backfilled or marked complete)"
        ));
    }
    if let (Some(done), Some(epics)) =
        (progress["epics_completed"].as_u64(), progress["total_epics"].as_u64())
    {
        lines.push(format!("Epics     {done} of {epics} completed"));
    }
    if let (done, Value::Number(hours)) =
        (&progress["estimated_hours_completed"], &progress["estimated_hours_total"])
    {
        lines.push(format!("Hours     {} of {hours} verified", table::plain(done)));
    }
    for (title, counts) in [("Work", work), ("Verification", trust)] {
        lines.extend([String::new(), style.bold(title)]);
        for (name, count) in counts {
            let bar = bar(count, total).replace('.', "");
            let line = format!("  {:<14} {count:>5}", table::one_line(&status::words(&name)));
            let bar =
                if bar.is_empty() { bar } else { format!("  {}", style.paint(status::tone(&name), &bar)) };
            lines.push(line + &bar);
        }
    }
    lines
}

fn bar(share: u64, total: u64) -> String {
    bars::bar(Total(share.into()), Total(total.into()), BAR)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_picture_of_an_epic_computes_what_the_server_leaves_out() {
        let progress = json!({"stories_by_agent_status": {"pending": 1, "reported_done": 1},
            "stories_by_verified_status": {"unverified": 1, "verified": 1, "rejected": 0}});
        let text = picture(&progress, "Epic: Basics", Style::plain()).join("\n");
        assert!(text.contains("50.0%  (1 of 2 stories)"), "{text}");
        assert!(!text.contains("Epics ") && !text.contains("adopted"), "{text}");
    }

    #[test]
    fn what_the_loop_verified_stands_apart_from_what_was_adopted() {
        let progress = json!({"total_stories": 3, "stories_by_verified_status": {"verified": 3},
            "verified_in_loop": 1, "verified_adopted": 2});
        let text = picture(&progress, "Epic: Basics", Style::plain()).join("\n");
        let line =
            "(3 of 3 stories)\n          1 in the loop, 2 adopted (imported, backfilled or marked complete)";
        assert!(text.contains(line), "{text}");
    }
}
