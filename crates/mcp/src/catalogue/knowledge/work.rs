//! Work on the wiki: taking it out and bringing things in, and who reads what.

use serde_json::Value;

use super::super::{Effect, Run, Shape, Tool, given};
use super::of_project;
use crate::api::{Call, KeyFor};
use crate::arguments::{Arguments, Field, Kind, Wrong, choice, id, text, within};

/// What whoever sends an agent's id is told.
const NOT_BY_AGENT: &str = "agent_id (agents.id) is deprecated: send api_key_id, the key that has read";
const SINCE: Field = within("since_days", 1, 365);
const ACCESS_TYPES: &[&str] = &["search", "get", "context", "index"];

pub(in super::super) const TOOLS: &[Tool] = &[
    Tool::new(
        "knowledge_export",
        "How to get all articles as a ZIP, or that ZIP at save_to.",
        Effect::Adds,
        Run::Export(|arguments| Ok(Call::get(KeyFor::Orchestrator, of_project(arguments, "export")?))),
    )
    .takes(&[text("project_id"), text("save_to")]),
    Tool::new(
        "knowledge_ingest",
        "Have drafts made of a URL or a text.",
        Effect::Adds,
        Run::Call(|arguments, _| {
            arguments.id_if_sent("project_id")?;
            let body = arguments.some_of(&["source_type", "url", "content", "project_id"]);
            Ok(Call::post(KeyFor::Orchestrator, "/knowledge/ingest").body(Value::Object(body)))
        }),
    )
    .takes(&[text("url"), text("content"), text("source_type").required(), text("project_id")]),
    Tool::new(
        "knowledge_ingest_batch",
        "The same of up to 50, with a result for each.",
        Effect::Adds,
        Run::Call(|arguments, _| {
            arguments.id_if_sent("project_id")?;
            let mut body = arguments.some_of(&["items"]);
            if let Some(project) = arguments.text("project_id") {
                let items = body.get_mut("items").and_then(Value::as_array_mut);
                for item in items.into_iter().flatten().filter_map(Value::as_object_mut) {
                    item.entry("project_id").or_insert_with(|| project.into());
                }
            }
            Ok(Call::post(KeyFor::Orchestrator, "/knowledge/ingest/batch").body(Value::Object(body)))
        }),
    )
    .takes(&[
        Field::new(
            "items",
            Kind::Objects(
                &[
                    text("url"),
                    text("content"),
                    text("source_type").required(),
                    text("project_id"),
                    Field::new("metadata", Kind::Anything),
                ],
                50,
            ),
        )
        .required(),
        text("project_id"),
    ])
    .told(Shape::Results),
    Tool::new(
        "knowledge_ingestion_jobs",
        "What became of what was ingested lately.",
        Effect::Reads,
        Run::Call(|_, _| Ok(Call::get(KeyFor::Orchestrator, "/knowledge/ingestion-jobs"))),
    ),
    Tool::new(
        "knowledge_analytics_top",
        "The articles that are read most.",
        Effect::Reads,
        Run::Call(|arguments, _| {
            let call = Call::get(KeyFor::Orchestrator, "/knowledge/analytics/top-articles");
            Ok(limited(call, arguments)
                .query("access_type", given(arguments, "access_type"))
                .query("project_id", arguments.id_if_sent("project_id")?)
                .query("group_by", given(arguments, "group_by")))
        }),
    )
    .takes(&[
        within("limit", 1, 100),
        SINCE,
        choice("access_type", ACCESS_TYPES),
        text("project_id"),
        choice("group_by", &["article", "project", "agent"]),
    ]),
    Tool::new(
        "knowledge_article_stats",
        "How often an article was read.",
        Effect::Reads,
        Run::Call(|arguments, _| {
            let path = format!("/knowledge/articles/{}/stats", arguments.id("article_id")?);
            Ok(Call::get(KeyFor::Orchestrator, path))
        }),
    )
    .takes(&[text("article_id").required()]),
    Tool::new(
        "knowledge_agent_usage",
        "What a key has read, or an agent by all of its keys.",
        Effect::Reads,
        Run::Call(|arguments, _| {
            let said = |name| arguments.text(name).is_some_and(|text| !text.trim().is_empty());
            let name = match (said("api_key_id"), said("agent_id")) {
                (true, false) => "api_key_id",
                (false, true) => "agent_id",
                _ => return Err(Wrong("pass exactly one of api_key_id or agent_id".to_owned())),
            };
            let path = format!("/knowledge/analytics/agents/{}", arguments.id(name)?);
            Ok(limited(Call::get(KeyFor::Orchestrator, path), arguments))
        }),
    )
    .takes(&[id("api_key_id"), id("agent_id").deprecated(NOT_BY_AGENT), within("limit", 1, 100), SINCE]),
    Tool::new(
        "knowledge_unused_articles",
        "Published articles that nobody reads.",
        Effect::Reads,
        Run::Call(|arguments, _| {
            Ok(Call::get(KeyFor::Orchestrator, "/knowledge/analytics/unused-articles")
                .query("days_unused", given(arguments, "days_unused"))
                .query("limit", given(arguments, "limit")))
        }),
    )
    .takes(&[within("days_unused", 1, 365), within("limit", 1, 200)]),
];

fn limited(call: Call, arguments: &Arguments) -> Call {
    call.query("limit", given(arguments, "limit")).query("since_days", given(arguments, "since_days"))
}
