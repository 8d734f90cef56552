//! What work costs.

use serde_json::Value;

use super::{CURSOR, Effect, PAGE, PROJECT, Run, Shape, Tool, given, project_of};
use crate::api::{Call, KeyFor};
use crate::arguments::{Field, Kind, choice, integer, text, within};
use crate::seats::Seat;

const PHASES: &[&str] = &["planning", "implementing", "reviewing", "other"];
const BREAKDOWNS: &[&str] = &["agent", "epic", "model"];

pub(super) const TOOLS: &[Tool] = &[
    Tool::new(
        "report_token_usage",
        "Report the tokens and the cost of a working session on a story. 100,000 millicents are a dollar.",
        Effect::Adds,
        Run::Call(|arguments, _| {
            arguments.id("story_id")?;
            let names = [
                "story_id",
                "input_tokens",
                "output_tokens",
                "model_name",
                "cost_millicents",
                "phase",
                "skill_version_id",
                "session_id",
                "tool_call_count",
                "cot_length_tokens",
                "tests_run_count",
            ];
            Ok(Call::post(KeyFor::Agent, "/token-usage").body(Value::Object(arguments.some_of(&names))))
        }),
    )
    .takes(&[
        text("story_id").required(),
        integer("input_tokens").required(),
        integer("output_tokens").required(),
        text("model_name").required(),
        integer("cost_millicents").required(),
        choice("phase", PHASES),
        text("skill_version_id"),
        text("session_id"),
        integer("tool_call_count"),
        integer("cot_length_tokens"),
        integer("tests_run_count"),
    ])
    .told(Shape::Used)
    .listed(&[Seat::Implementer, Seat::Reviewer])
    .briefly(
        "Report what your session on a story has used. 100,000 millicents are a dollar.",
        &[
            text("story_id").required(),
            integer("input_tokens").required(),
            integer("output_tokens").required(),
            text("model_name").required(),
            integer("cost_millicents").required(),
            choice("phase", PHASES),
            text("session_id"),
            text("skill_version_id"),
        ],
    ),
    Tool::new(
        "get_cost_summary",
        "What a project has cost; by agent, epic or model if asked.",
        Effect::Reads,
        Run::Call(|arguments, settings| {
            let project = project_of(arguments, settings)?;
            let path = match arguments.text("breakdown") {
                Some("agent") => "/analytics/agents",
                Some("epic") => "/analytics/epics",
                Some("model") => "/analytics/models",
                _ => return Ok(Call::get(KeyFor::Orchestrator, format!("/analytics/projects/{project}"))),
            };
            Ok(Call::get(KeyFor::Orchestrator, path).query("project_id", Some(project)))
        }),
    )
    .takes(&[text("project_id").required(), choice("breakdown", BREAKDOWNS)])
    .listed(&[Seat::Orchestrator])
    .briefly("What a project has cost.", &[PROJECT, choice("breakdown", BREAKDOWNS), CURSOR]),
    Tool::new(
        "get_story_token_usage",
        "What was reported as used for a story.",
        Effect::Reads,
        Run::Call(|arguments, _| {
            Ok(Call::get(KeyFor::Orchestrator, format!("/stories/{}/token-usage", arguments.id("story_id")?)))
        }),
    )
    .takes(&[text("story_id").required()]),
    Tool::new(
        "get_cost_anomalies",
        "Stories whose cost stands out.",
        Effect::Reads,
        Run::Call(|arguments, _| {
            Ok(Call::get(KeyFor::Orchestrator, "/cost-anomalies")
                .query("project_id", given(arguments, "project_id"))
                .query("page", given(arguments, "page"))
                .query("page_size", given(arguments, "page_size")))
        }),
    )
    .takes(&[text("project_id"), PAGE[0], PAGE[1]]),
    Tool::new(
        "set_token_budget",
        "Say what a project, an epic, a story or an agent may cost. 100,000 millicents are a dollar.",
        Effect::Adds,
        Run::Call(|arguments, _| {
            arguments.id("scope_id")?;
            let names = ["scope_type", "scope_id", "budget_millicents", "alert_threshold_pct", "enforcement"];
            Ok(Call::post(KeyFor::Orchestrator, "/token-budgets")
                .body(Value::Object(arguments.some_of(&names))))
        }),
    )
    .takes(&[
        choice("scope_type", &["project", "epic", "story", "agent"]).required(),
        text("scope_id").required().about("id, story or epic number, slug, agent's name"),
        integer("budget_millicents").required(),
        Field::new("alert_threshold_pct", Kind::Number { least: 0.0, most: 100.0 }),
        choice("enforcement", &["warn", "block"]),
    ])
    .listed(&[Seat::Orchestrator]),
    Tool::new(
        "list_verifications",
        "The verification results of a story, newest first.",
        Effect::Reads,
        Run::Call(|arguments, _| {
            let path = format!("/stories/{}/verifications", arguments.id("story_id")?);
            Ok(Call::get(KeyFor::Orchestrator, path).query("page_size", given(arguments, "page_size")))
        }),
    )
    .takes(&[text("story_id").required(), within("page_size", 1, 100)]),
];
