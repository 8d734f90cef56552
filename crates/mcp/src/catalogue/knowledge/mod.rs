//! What is known: finding and reading articles, writing and publishing them.

pub(super) mod work;

use serde_json::Value;

use super::{Effect, PROJECT, Run, Shape, Tool, given, offset, page_size};
use crate::api::{Call, KeyFor};
use crate::arguments::{Arguments, Field, Kind, Wrong, at_least, choice, flag, id, integer, text, within};
use crate::seats::Seat;

const CATEGORIES: &[&str] = &["pattern", "convention", "decision", "finding", "reference"];
/// What an article is that says nothing of it.
const CATEGORY: &str = "finding";
const TAGS: Field = Field::new("tags", Kind::Texts(20));

pub(super) const TOOLS: &[Tool] = &[
    Tool::new(
        "knowledge_index",
        "Titles of published articles by category; call it first. Send story_id while you work on one.",
        Effect::Reads,
        Run::Call(|arguments, _| {
            Ok(Call::get(KeyFor::Agent, of_project(arguments, "index")?)
                .query("story_id", arguments.id_if_sent("story_id")?))
        }),
    )
    .takes(&[id("project_id"), id("story_id")]),
    Tool::new(
        "knowledge_search",
        "Find articles: titles and snippets. Send story_id while you work on one.",
        Effect::Reads,
        Run::Call(|arguments, _| {
            if arguments.text("q").is_none() {
                return Err(Wrong::lacks("q"));
            }
            let call = attributed(
                Call::get(KeyFor::Agent, "/knowledge/search").query("q", given(arguments, "q")),
                arguments,
            )?;
            Ok(["category", "tags", "mode", "include_system", "limit"]
                .into_iter()
                .fold(call, |call, name| call.query(name, given(arguments, name))))
        }),
    )
    .takes(&[
        text("q").required(),
        id("project_id"),
        id("story_id"),
        text("category"),
        text("tags").about("comma-separated"),
        choice("mode", &["keyword", "semantic", "combined"]),
        flag("include_system").about("and loopctl's own"),
        integer("limit"),
    ]),
    Tool::new(
        "knowledge_get",
        "One article in full. Send story_id while you work on one.",
        Effect::Reads,
        Run::Call(|arguments, _| attributed(Call::get(KeyFor::Agent, article(arguments, "")?), arguments)),
    )
    .takes(&[id("article_id").required(), id("project_id"), id("story_id")]),
    Tool::new(
        "knowledge_context",
        "The best articles for a task, in full. Send story_id while you work on one.",
        Effect::Reads,
        Run::Call(|arguments, _| {
            if arguments.text("query").is_none() {
                return Err(Wrong::lacks("query"));
            }
            let call = attributed(
                Call::get(KeyFor::Agent, "/knowledge/context").query("query", given(arguments, "query")),
                arguments,
            )?;
            Ok(["limit", "recency_weight", "max_tokens"]
                .into_iter()
                .fold(call, |call, name| call.query(name, given(arguments, name))))
        }),
    )
    .takes(&[
        text("query").required(),
        id("project_id"),
        id("story_id"),
        integer("limit"),
        Field::new("recency_weight", Kind::Number { least: 0.0, most: 1.0 }),
        integer("max_tokens"),
    ])
    .told(Shape::Articles)
    .listed(&[Seat::Implementer, Seat::Reviewer, Seat::Orchestrator])
    .briefly(
        "What the team knows about a task: the best articles. Send story_id while you work on one.",
        &[text("query").required(), PROJECT, text("story_id"), integer("limit"), integer("max_tokens")],
    ),
    Tool::new(
        "knowledge_create",
        "File a finding, pattern or decision as a draft.",
        Effect::Adds,
        Run::Call(|arguments, _| {
            arguments.id_if_sent("project_id")?;
            let mut body = arguments.some_of(&["title", "body", "category", "tags", "project_id"]);
            body.entry("category").or_insert_with(|| CATEGORY.into());
            Ok(Call::post(KeyFor::Agent, "/articles").body(Value::Object(body)))
        }),
    )
    .takes(&[
        text("title").required(),
        text("body").required(),
        choice("category", CATEGORIES),
        TAGS,
        text("project_id"),
    ])
    .told(Shape::Article)
    .listed(&[Seat::Implementer])
    .briefly(
        "File what you have learned as a draft: one thing each, in Markdown.",
        &[text("title").required(), text("body").required(), choice("category", CATEGORIES), TAGS, PROJECT],
    ),
    Tool::new(
        "knowledge_publish",
        "Let agents find a draft.",
        Effect::Settles,
        Run::Call(|arguments, _| Ok(Call::post(KeyFor::Orchestrator, article(arguments, "/publish")?))),
    )
    .takes(&[text("article_id").required()])
    .told(Shape::Article)
    .listed(&[Seat::Orchestrator])
    .briefly("Let agents find a draft that you have read.", &[text("article_id").required()]),
    Tool::new(
        "knowledge_bulk_publish",
        "Publish up to 100 drafts, all or none. Needs LOOPCTL_USER_KEY.",
        Effect::Settles,
        Run::Call(|arguments, _| {
            let body = Value::Object(arguments.some_of(&["article_ids"]));
            Ok(Call::post(KeyFor::User, "/knowledge/bulk-publish").body(body))
        }),
    )
    .takes(&[Field::new("article_ids", Kind::Texts(100)).required()])
    .told(Shape::Results),
    Tool::new(
        "knowledge_unpublish",
        "Make an article a draft again. Needs LOOPCTL_USER_KEY.",
        Effect::Settles,
        Run::Call(|arguments, _| Ok(Call::post(KeyFor::User, article(arguments, "/unpublish")?))),
    )
    .takes(&[text("article_id").required()])
    .told(Shape::Article),
    Tool::new(
        "knowledge_archive",
        "Lay an article aside. Needs LOOPCTL_USER_KEY.",
        Effect::Destroys,
        Run::Call(|arguments, _| Ok(Call::post(KeyFor::User, article(arguments, "/archive")?))),
    )
    .takes(&[text("article_id").required()])
    .told(Shape::Article),
    Tool::new(
        "knowledge_delete",
        "The same as knowledge_archive.",
        Effect::Destroys,
        Run::Call(|arguments, _| Ok(Call::delete(KeyFor::User, article(arguments, "")?))),
    )
    .takes(&[text("article_id").required()])
    .told(Shape::Article),
    Tool::new(
        "knowledge_drafts",
        "Drafts to be published, 20 a page.",
        Effect::Reads,
        Run::Call(|arguments, _| {
            if arguments.text("article_id").is_some() {
                return Ok(Call::get(KeyFor::Orchestrator, article(arguments, "")?));
            }
            Ok(Call::get(KeyFor::Orchestrator, "/knowledge/drafts")
                .query("limit", Some(page_size(arguments)))
                .query("offset", offset(arguments))
                .query("project_id", arguments.id_if_sent("project_id")?))
        }),
    )
    .takes(&[integer("limit"), integer("offset"), text("project_id")])
    .told(Shape::Drafts)
    .listed(&[Seat::Orchestrator])
    .briefly(
        "Drafts to be published, a line each; with article_id its text.",
        &[PROJECT, text("article_id")],
    ),
    Tool::new(
        "knowledge_lint",
        "What is stale, unlinked, contradictory or missing among the articles.",
        Effect::Reads,
        Run::Call(|arguments, _| {
            let call = Call::get(KeyFor::Orchestrator, of_project(arguments, "lint")?);
            Ok(["stale_days", "min_coverage", "max_per_category"]
                .into_iter()
                .fold(call, |call, name| call.query(name, given(arguments, name))))
        }),
    )
    .takes(&[
        text("project_id"),
        integer("stale_days"),
        at_least("min_coverage", 1),
        within("max_per_category", 1, 500),
    ])
    .told(Shape::Lint)
    .listed(&[Seat::Orchestrator])
    .briefly("What is wrong with the articles: counts, and the first of each.", &[PROJECT]),
];

/// The path of an article, and what is done with it.
fn article(arguments: &Arguments, what: &str) -> Result<String, Wrong> {
    Ok(format!("/articles/{}{what}", arguments.id("article_id")?))
}

/// The path of something of the whole wiki, or of a project's part of it.
fn of_project(arguments: &Arguments, what: &str) -> Result<String, Wrong> {
    let project = arguments.id_if_sent("project_id")?;
    let before = project.map_or_else(String::new, |project| format!("/projects/{project}"));
    Ok(format!("{before}/knowledge/{what}"))
}

/// A call that says for which work something is read.
fn attributed(call: Call, arguments: &Arguments) -> Result<Call, Wrong> {
    Ok(call
        .query("project_id", arguments.id_if_sent("project_id")?)
        .query("story_id", arguments.id_if_sent("story_id")?))
}
