//! `story list|create|show|update|delete`.

mod shown;

pub(super) use self::shown::criteria_items;

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Number, Value};

use crate::args::Paging;
use crate::client::{Client, borrowed};
use crate::commands::deps::Around;
use crate::commands::{changes, deleted, given, given_parameters, stories};
use crate::context::Context;
use crate::error::Error;
use crate::resolve::{self, Found};
use crate::{json_argument, pages};

/// What an empty list says.
const NONE: &str = "No stories.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the stories of a project
    #[command(
        after_help = "Without --limit and --page all stories are listed. A page has 500 rows, or fewer with --limit."
    )]
    List {
        /// Only stories with this agent status
        #[arg(long, value_name = "STATUS",
              value_parser = ["pending", "contracted", "assigned", "implementing", "reported_done"])]
        agent_status: Option<String>,
        /// Only stories with this verified status
        #[arg(long, value_name = "STATUS", value_parser = ["unverified", "verified", "rejected"])]
        verified_status: Option<String>,
        /// Only stories of this epic: id or number
        #[arg(long, value_name = "REF")]
        epic: Option<String>,
        /// Only stories whose title or criteria have changed since they were contracted or verified
        #[arg(long)]
        stale: bool,
        #[command(flatten)]
        paging: Paging,
    },
    /// Create a story
    Create {
        /// Epic: id or number (2, E2, epic-2)
        #[arg(long, value_name = "REF")]
        epic: String,
        /// Number, unique in the project: 2.1 or 2
        #[arg(long, value_name = "N", value_parser = number)]
        number: String,
        /// Title
        #[arg(long, value_name = "TITLE")]
        title: String,
        #[command(flatten)]
        details: Details,
    },
    /// Show a story
    Show {
        /// Story: id or number
        story: String,
    },
    /// Change a story; its statuses move only through the trust loop
    Update {
        /// Story: id or number
        story: String,
        /// New title
        #[arg(long, value_name = "TITLE")]
        title: Option<String>,
        #[command(flatten)]
        details: Details,
    },
    /// Delete a story (user)
    Delete {
        /// Story: id or number
        story: String,
    },
}

/// What a story may have.
#[derive(Debug, Args)]
pub(crate) struct Details {
    /// What is to be done
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Estimated hours, for example 4 or 1.5
    #[arg(long, value_name = "N", value_parser = hours)]
    hours: Option<Number>,
    /// Acceptance criteria: JSON array of objects, @file or -
    #[arg(long, value_name = "JSON")]
    criteria: Option<String>,
    /// Metadata: JSON object, @file or -
    #[arg(long, value_name = "JSON")]
    metadata: Option<String>,
}

impl Details {
    fn members(self) -> Result<[(&'static str, Option<Value>); 4], Error> {
        let criteria = self.criteria.map(|text| json_argument::read("--criteria", &text)).transpose()?;
        if criteria.as_ref().is_some_and(|criteria| !criteria.is_array()) {
            return Err(Error::Usage("Invalid JSON in --criteria: it must be an array".to_owned()));
        }
        let metadata = self.metadata.map(|text| json_argument::object("--metadata", &text)).transpose()?;
        Ok([
            ("description", self.description.map(Value::from)),
            ("estimated_hours", self.hours.map(Value::from)),
            ("acceptance_criteria", criteria),
            ("metadata", metadata),
        ])
    }
}

fn number(text: &str) -> Result<String, String> {
    resolve::story_number(text).ok_or_else(|| "expected a form such as 2.1 or 2".to_owned())
}

fn hours(text: &str) -> Result<Number, String> {
    text.parse().map_err(|_| "expected a number such as 4 or 1.5".to_owned())
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Error> {
    match command {
        Command::List { agent_status, verified_status, epic, stale, paging } => {
            let filters = given_parameters([
                ("agent_status", agent_status),
                ("verified_status", verified_status),
                ("stale", stale.then(|| "true".to_owned())),
            ]);
            let body = list(context, filters, epic.as_deref(), &paging).await?;
            stories::show(context, &body, if stale { stories::STALE_COLUMNS } else { stories::COLUMNS }, NONE)
        }
        Command::Create { epic, number, title, details } => {
            let [description, hours, criteria, metadata] = details.members()?;
            let client = context.client()?;
            // The server finds an epic by its number; an id has a path of its own.
            let number = ("number", Some(number.into()));
            let title = ("title", Some(title.into()));
            let answer = match resolve::uuid(&epic) {
                Some(id) => {
                    let body = given([number, title, description, hours, criteria, metadata]);
                    client.post(&format!("/epics/{id}/stories"), Some(&body)).await?
                }
                None => {
                    let epic = resolve::epic_reference(&epic)?;
                    let project = resolve::project_for(context, &client, "story create").await?;
                    let epic_number = ("epic_number", Some(epic.into()));
                    let body = given([epic_number, number, title, description, hours, criteria, metadata]);
                    let answer = client.post(&format!("/projects/{}/stories", project.id), Some(&body)).await;
                    answer.map_err(|error| without_epic(error, epic, &project))?
                }
            };
            stepped(context, &answer, "")
        }
        Command::Show { story } => show(context, &story).await,
        Command::Update { story, title, details } => {
            let [description, hours, criteria, metadata] = details.members()?;
            let title = ("title", title.map(Value::from));
            let body = changes([title, description, hours, criteria, metadata])?;
            let client = context.client()?;
            let (path, _) = path(context, &client, &story).await?;
            let answer = client.write(Method::PATCH, &path, Some(&body)).await?;
            stepped(context, &answer, "")
        }
        Command::Delete { story } => {
            let client = context.client()?;
            let (path, id) = path(context, &client, &story).await?;
            client.write(Method::DELETE, &path, None).await?;
            deleted(context, &id)
        }
    }
}

/// Prints one story. People see it among those that it waits for, or that wait for it.
pub(super) async fn show(context: &Context, reference: &str) -> Result<(), Error> {
    let client = context.client()?;
    let story = resolve::story(context, &client, reference).await?;
    let body = client.get(&format!("/stories/{}", story.id), &[]).await?;
    if !context.output.human() {
        return context.output.object(&body, "story");
    }
    // What it is called that it waits for only the project says. Where that cannot be had, the story is shown without.
    let graph = match body["story"]["project_id"].as_str() {
        Some(project) => client.get(&format!("/projects/{project}/dependency_graph"), &[]).await.ok(),
        None => None,
    };
    let graph = graph.unwrap_or_default();
    let around = Around::of(&graph["graph"], &story.id);
    context.output.block(shown::whole(&body, &around, context.output.screen()))
}

/// Prints a story after a step, or after a change. Programs get all of the answer.
pub(super) fn stepped(context: &Context, body: &Value, label: &str) -> Result<(), Error> {
    if context.output.human() {
        return context.output.block(shown::brief(body, context.output.screen()));
    }
    context.output.step(body, "story", label)
}

/// The server's word for a reference that leads to nothing becomes the tool's.
fn without_epic(error: Error, epic: u64, project: &Found) -> Error {
    match error {
        Error::Server(error) if error.body["error"]["code"] == "epic_not_found" => {
            resolve::unknown_epic(epic, project)
        }
        other => other,
    }
}

/// Path and id of the story.
async fn path(context: &Context, client: &Client, reference: &str) -> Result<(String, String), Error> {
    let id = resolve::story(context, client, reference).await?.id;
    Ok((format!("/stories/{id}"), id))
}

async fn list(
    context: &Context,
    filters: Vec<(&'static str, String)>,
    epic: Option<&str>,
    paging: &Paging,
) -> Result<Value, Error> {
    let client = context.client()?;
    let project = resolve::project_for(context, &client, "story list").await?;
    let mut query = vec![("project_id", project.id.clone())];
    query.extend(filters);
    if let Some(epic) = epic {
        query.push(("epic_id", resolve::epic_in(&client, &project, epic).await?.id));
    }
    pages::stories(&client, &borrowed(&query), paging).await
}
