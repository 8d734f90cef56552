//! `skill list|get|create|update|history|archive|import|stats|cost-performance|results|record`.

use std::path::PathBuf;

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use super::cost::{self, fields};
use super::{given, given_parameters, not_blank};
use crate::args::Paging;
use crate::client::{Client, borrowed};
use crate::context::Context;
use crate::error::Error;
use crate::layout::table::Column;
use crate::output::rows_of;
use crate::{json_argument, pages, progress, resolve, skill_files};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List skills; with --project only those of that project
    List {
        /// active or archived
        #[arg(long)]
        status: Option<String>,
        /// Part of the name
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// One skill with its prompt
    Get {
        /// Skill: id or name
        skill: String,
        /// An earlier version
        #[arg(long, value_name = "N")]
        version: Option<u32>,
        /// Print the prompt and nothing else
        #[arg(long)]
        prompt: bool,
    },
    /// Create a skill from a file (user); with --project one of that project alone
    Create {
        /// Markdown file with the prompt, and before it name and description between two lines ---
        #[arg(long, value_name = "PATH")]
        file: PathBuf,
        /// Name, instead of the file's
        #[arg(long)]
        name: Option<String>,
        /// Description, instead of the file's
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
    },
    /// Add a version from a file (user)
    Update {
        /// Skill: id or name
        skill: String,
        /// Markdown file with the prompt
        #[arg(long, value_name = "PATH")]
        file: PathBuf,
        /// What is different
        #[arg(long, value_name = "TEXT")]
        changelog: Option<String>,
    },
    /// The versions of a skill
    History {
        /// Skill: id or name
        skill: String,
        #[command(flatten)]
        paging: Paging,
    },
    /// Lay a skill aside (user)
    Archive {
        /// Skill: id or name
        skill: String,
    },
    /// Create or update skills from the Markdown files of a directory (user); with --project those of that project
    Import {
        /// Directory
        dir: PathBuf,
    },
    /// What came of each version
    Stats {
        /// Skill: id or name
        skill: String,
    },
    /// What each version has cost, and whether it costs more than the one before (user)
    CostPerformance {
        /// Skill: id or name
        skill: String,
    },
    /// What came of a version, newest first
    Results {
        /// Skill: id or name
        skill: String,
        /// Version; the current one when absent
        #[arg(long, value_name = "N")]
        version: Option<u32>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Note by which version of a skill the newest verification of a story came about (orchestrator)
    Record {
        /// Skill: id or name
        skill: String,
        /// Story: id or number
        #[arg(long)]
        story: String,
        /// Version; the current one when absent
        #[arg(long, value_name = "N")]
        version: Option<u32>,
        /// Counts such as findings_count: JSON object, @file or -
        #[arg(long, value_name = "JSON")]
        metrics: Option<String>,
    },
}

const COLUMNS: &[&str] = &["id", "name", "current_version", "status"];
const TOLD: &[Column<'_>] = &[
    Column::reference("name"),
    Column::number("current_version").called("version"),
    Column::status("status"),
    Column::text("description"),
    Column::id("id"),
];
const TOLD_VERSIONS: &[Column<'_>] = &[
    Column::number("version"),
    Column::time("inserted_at").called("when"),
    Column::word("created_by").called("by"),
    Column::text("changelog"),
];
const TOLD_STATS: &[Column<'_>] = &[
    Column::number("version"),
    Column::number("total_results").called("results"),
    Column::number("pass_count").called("pass"),
    Column::number("partial_count").called("partial"),
    Column::number("fail_count").called("fail"),
    Column::number("stories_reviewed").called("stories"),
    Column::number("avg_findings").called("findings"),
    Column::number("avg_false_positives").called("false").if_wide(),
    Column::number("false_positive_rate").called("false rate"),
    Column::number("avg_iterations").called("rounds"),
];
const TOLD_RESULTS: &[Column<'_>] = &[
    Column::time("inserted_at").called("when"),
    Column::text("metrics"),
    Column::id("story_id"),
    Column::id("verification_result_id"),
];
const VERSIONS: &[&str] = &["version", "changelog", "created_by", "inserted_at"];
const STATS: &[&str] = &[
    "version",
    "total_results",
    "pass_count",
    "partial_count",
    "fail_count",
    "stories_reviewed",
    "avg_findings",
    "avg_false_positives",
    "false_positive_rate",
    "avg_iterations",
];
const COSTS: &[&str] = &[
    "version_number",
    "total_invocations",
    "total_cost_millicents",
    "avg_cost_per_invocation_millicents",
    "cost_change_pct",
    "cost_regression",
    "stories_verified_count",
    "stories_rejected_count",
    "verification_rate_pct",
];
const COSTS_TOLD: &[&str] =
    &["version", "uses", "cost", "average", "change", "worse", "verified", "rejected", "rate"];
const NO_COSTS: &str = "No token data available";
const RESULTS: &[&str] = &["inserted_at", "story_id", "verification_result_id", "metrics"];

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Error> {
    match command {
        Command::List { status, name, paging } => {
            let client = context.client()?;
            let project = resolve::named_project(context, &client).await?;
            let filters = given_parameters([("project_id", project), ("status", status), ("name", name)]);
            let body = pages::list(&client, "/skills", &borrowed(&filters), &paging).await?;
            context.output.table(&body, rows_of(&body), COLUMNS, TOLD, "No skills.")
        }
        Command::Get { skill, version, prompt } => get(context, &skill, version, prompt).await,
        Command::Create { file, name, description } => {
            let read = skill_files::read(&file)?;
            let name = name.unwrap_or(read.name);
            let description = description.or(read.description);
            let client = context.client()?;
            let body = given([
                ("name", Some(not_blank("--name", &name)?.into())),
                ("prompt_text", Some(read.prompt.into())),
                ("description", description.map(Value::from)),
                ("project_id", resolve::named_project(context, &client).await?.map(Value::from)),
            ]);
            let answer = client.post("/skills", Some(&body)).await?;
            context.output.object(&without_prompt(context, answer), "skill")
        }
        Command::Update { skill, file, changelog } => {
            let read = skill_files::read(&file)?;
            let client = context.client()?;
            let path = format!("{}/versions", path(context, &client, &skill).await?);
            let body =
                given([("prompt_text", Some(read.prompt.into())), ("changelog", changelog.map(Value::from))]);
            let answer = client.post(&path, Some(&body)).await?;
            context.output.object(&without_prompt(context, answer), "skill")
        }
        Command::History { skill, paging } => {
            let client = context.client()?;
            let path = format!("{}/versions", path(context, &client, &skill).await?);
            let body = pages::list(&client, &path, &[], &paging).await?;
            context.output.table(&body, rows_of(&body), VERSIONS, TOLD_VERSIONS, "No versions.")
        }
        Command::Archive { skill } => {
            let client = context.client()?;
            let path = path(context, &client, &skill).await?;
            context.output.object(&client.write(Method::DELETE, &path, None).await?, "skill")
        }
        Command::Import { dir } => import(context, &dir).await,
        Command::Stats { skill } => {
            let client = context.client()?;
            let path = format!("{}/stats", path(context, &client, &skill).await?);
            let body = client.get(&path, &[]).await?;
            context.output.table(&body, rows_of(&body), STATS, TOLD_STATS, "No results.")
        }
        Command::CostPerformance { skill } => {
            let client = context.client()?;
            let path = format!("{}/cost-performance", path(context, &client, &skill).await?);
            let body = client.get(&path, &[]).await?;
            if !context.output.human() {
                return context.output.list(&body, COSTS, NO_COSTS);
            }
            let rows = cost::table(COSTS_TOLD, rows_of(&body).iter().map(costs_told));
            let told: Vec<Column<'_>> = COSTS_TOLD.iter().map(|column| Column::number(column)).collect();
            context.output.table(&body, &rows, COSTS_TOLD, &told, NO_COSTS)
        }
        Command::Results { skill, version, paging } => {
            let client = context.client()?;
            let path = path(context, &client, &skill).await?;
            let version = version_or_current(&client, &path, version).await?;
            let path = format!("{path}/versions/{version}/results");
            let body = pages::list(&client, &path, &[], &paging).await?;
            context.output.table(&body, rows_of(&body), RESULTS, TOLD_RESULTS, "No results.")
        }
        Command::Record { skill, story, version, metrics } => {
            let metrics = metrics.map(|text| json_argument::object("--metrics", &text)).transpose()?;
            record(context, &skill, &story, version, metrics).await
        }
    }
}

async fn get(context: &Context, skill: &str, version: Option<u32>, prompt: bool) -> Result<(), Error> {
    let client = context.client()?;
    let path = path(context, &client, skill).await?;
    let (path, envelope) = match version {
        Some(number) => (format!("{path}/versions/{number}"), "version"),
        None => (path, "skill"),
    };
    let mut answer = client.get(&path, &[]).await?;
    if !prompt && !context.output.human() {
        return context.output.object(&answer, envelope);
    }
    // For people the prompt stands below what is said of it, with its lines.
    let text = match envelope {
        "version" => answer["version"]["prompt_text"].take(),
        _ => answer["current_prompt"].take(),
    };
    if !prompt {
        answer = without_nulls(answer, envelope);
        context.output.object(&answer, envelope)?;
        context.output.line("")?;
    }
    context.output.line(text.as_str().unwrap_or_default().trim_end())
}

/// The answer without what was taken out of it, and without what has no value.
fn without_nulls(mut answer: Value, envelope: &str) -> Value {
    for place in ["", envelope] {
        let members = if place.is_empty() { Some(&mut answer) } else { answer.get_mut(place) };
        if let Some(members) = members.and_then(Value::as_object_mut) {
            members.retain(|_, value| !value.is_null());
        }
    }
    answer
}

/// What was added, which whoever added it knows: people are not shown it again.
fn without_prompt(context: &Context, mut answer: Value) -> Value {
    if context.output.human() {
        answer.as_object_mut().map(|members| members.remove("version"));
    }
    answer
}

async fn import(context: &Context, dir: &std::path::Path) -> Result<(), Error> {
    let skills = skill_files::read_all(dir)?;
    let skills: Vec<Value> = skills
        .into_iter()
        .map(|(place, skill)| {
            let description = skill.description.unwrap_or_else(|| format!("Imported from {place}"));
            json!({"name": skill.name, "description": description, "prompt_text": skill.prompt})
        })
        .collect();
    let client = context.client()?;
    let project = resolve::named_project(context, &client).await?;
    let body = given([("skills", Some(skills.into())), ("project_id", project.map(Value::from))]);
    let bar = progress::waiting("importing");
    let answer = client.post("/skills/import", Some(&body)).await;
    bar.finish_and_clear();
    let answer = answer?;
    if !context.output.human() {
        return context.output.object(&answer, "");
    }
    let of = |member: &str| crate::table::plain(&answer[member]);
    context.output.line(&format!(
        "Imported: {} skills: {} created, {} updated, {} unchanged",
        of("total"),
        of("created"),
        of("updated"),
        of("unchanged")
    ))
}

async fn record(
    context: &Context,
    skill: &str,
    story: &str,
    version: Option<u32>,
    metrics: Option<Value>,
) -> Result<(), Error> {
    let client = context.client()?;
    let path = path(context, &client, skill).await?;
    let story = resolve::story(context, &client, story).await?;
    let newest = client.get(&format!("/stories/{}/verifications", story.id), &[("page_size", "1")]).await?;
    let verification = newest["data"][0]["id"].clone();
    if verification.is_null() {
        return Err(Error::NotFound(format!("Story {} has no verification yet", story.label)));
    }
    let number = version_or_current(&client, &path, version).await?;
    let version = client.get(&format!("{path}/versions/{number}"), &[]).await?;
    let body = given([
        ("skill_version_id", Some(version["version"]["id"].clone())),
        ("verification_result_id", Some(verification)),
        ("story_id", Some(story.id.into())),
        ("metrics", metrics),
    ]);
    let answer = client.post("/skill_results", Some(&body)).await?;
    context.output.object(&answer, "skill_result")
}

/// The id of a version that is named `NAME@VERSION`, or by its id.
pub(super) async fn version_id(context: &Context, client: &Client, named: &Version) -> Result<String, Error> {
    match named {
        Version::Id(id) => Ok(id.clone()),
        Version::Numbered { skill, number } => {
            let path = format!("{}/versions/{number}", path(context, client, skill).await?);
            let answer = client.get(&path, &[]).await.map_err(|error| match error {
                error if error.is_not_found() => {
                    Error::NotFound(format!("Skill {skill} has no version {number}"))
                }
                error => error,
            })?;
            Ok(crate::table::plain(&answer["version"]["id"]))
        }
    }
}

/// A version of a skill, as it is named.
#[derive(Debug, Clone)]
pub(crate) enum Version {
    Id(String),
    Numbered { skill: String, number: u32 },
}

impl std::str::FromStr for Version {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(id) = resolve::uuid(text) {
            return Ok(Self::Id(id));
        }
        let numbered = text.rsplit_once('@').and_then(|(skill, number)| {
            let number = number.parse().ok().filter(|number| *number > 0)?;
            (!skill.is_empty()).then(|| Self::Numbered { skill: skill.to_owned(), number })
        });
        numbered.ok_or("it must be an id, or NAME@VERSION such as review@2")
    }
}

async fn version_or_current(client: &Client, path: &str, version: Option<u32>) -> Result<String, Error> {
    match version {
        Some(version) => Ok(version.to_string()),
        None => Ok(client.get(path, &[]).await?["skill"]["current_version"].to_string()),
    }
}

async fn path(context: &Context, client: &Client, skill: &str) -> Result<String, Error> {
    Ok(format!("/skills/{}", resolve::skill(context, client, skill).await?.id))
}

/// What a version has cost, as people read it.
fn costs_told(version: &Value) -> Vec<String> {
    let percent = |name| fields::percent(version, name).unwrap_or_default();
    vec![
        fields::text(version, "version_number"),
        fields::text(version, "total_invocations"),
        fields::money(version, "total_cost_millicents"),
        fields::money(version, "avg_cost_per_invocation_millicents"),
        fields::total(version, "cost_change_pct")
            .map_or_else(String::new, |change| format!("{:+}%", change.0)),
        if version["cost_regression"] == true { "yes" } else { "no" }.to_owned(),
        fields::text(version, "stories_verified_count"),
        fields::text(version, "stories_rejected_count"),
        percent("verification_rate_pct"),
    ]
}
