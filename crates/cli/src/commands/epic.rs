//! `epic list|create|show|update|delete`.

use clap::Subcommand;
use reqwest::Method;
use serde_json::Value;

use crate::args::Paging;
use crate::client::Client;
use crate::commands::{changes, deleted, given, stories};
use crate::context::Context;
use crate::error::Error;
use crate::layout::table::Column;
use crate::output::rows_of;
use crate::{json_argument, pages, resolve};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the epics of a project
    #[command(
        after_help = "Without --limit and --page all epics are listed. A page has 20 rows unless --limit says otherwise."
    )]
    List {
        /// Only epics of this phase
        #[arg(long)]
        phase: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Create an epic
    Create {
        /// Number, unique in the project
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        number: u32,
        /// Title
        #[arg(long, value_name = "TITLE")]
        title: String,
        #[command(flatten)]
        details: Details,
    },
    /// Show an epic and its stories
    Show {
        /// Epic: id or number (2, E2, epic-2)
        epic: String,
    },
    /// Change an epic
    Update {
        /// Epic: id or number (2, E2, epic-2)
        epic: String,
        /// New title
        #[arg(long, value_name = "TITLE")]
        title: Option<String>,
        #[command(flatten)]
        details: Details,
    },
    /// Delete an epic with all its stories (user)
    Delete {
        /// Epic: id or number (2, E2, epic-2)
        epic: String,
    },
}

/// What an epic may have.
#[derive(Debug, clap::Args)]
pub(crate) struct Details {
    /// What the epic is about
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Phase the epic belongs to
    #[arg(long, value_name = "TEXT")]
    phase: Option<String>,
    /// Place among the epics of the project, from 0
    #[arg(long, value_name = "N")]
    position: Option<u32>,
    /// Metadata: JSON object, @file or -
    #[arg(long, value_name = "JSON")]
    metadata: Option<String>,
}

impl Details {
    fn members(self) -> Result<[(&'static str, Option<Value>); 4], Error> {
        let metadata = self.metadata.map(|text| json_argument::object("--metadata", &text)).transpose()?;
        Ok([
            ("description", self.description.map(Value::from)),
            ("phase", self.phase.map(Value::from)),
            ("position", self.position.map(Value::from)),
            ("metadata", metadata),
        ])
    }
}

const COLUMNS: &[&str] =
    &["id", "number", "title", "phase", "position", "story_count", "completion_percentage"];

const TOLD: &[Column<'_>] = &[
    Column::reference("number"),
    Column::text("title"),
    Column::word("phase").if_any(),
    Column::number("story_count").called("stories"),
    Column::number("completion_percentage").called("verified %"),
    Column::number("position").if_wide(),
    Column::id("id"),
];

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Error> {
    match command {
        Command::List { phase, paging } => list(context, phase.as_deref(), &paging).await,
        Command::Create { number, title, details } => {
            let [description, phase, position, metadata] = details.members()?;
            let number = ("number", Some(number.into()));
            let title = ("title", Some(title.into()));
            let body = given([number, title, description, phase, position, metadata]);
            let client = context.client()?;
            let project = resolve::project_for(context, &client, "epic create").await?;
            let answer = client.post(&format!("/projects/{}/epics", project.id), Some(&body)).await?;
            context.output.object(&answer, "epic")
        }
        Command::Show { epic } => {
            let client = context.client()?;
            let body = client.get(&path(context, &client, &epic).await?.0, &[]).await?;
            // People get the stories as a table below the epic.
            context.output.object_with_rows(
                &body,
                "epic",
                "stories",
                stories::told,
                stories::TOLD,
                "No stories.",
            )
        }
        Command::Update { epic, title, details } => {
            let [description, phase, position, metadata] = details.members()?;
            let title = ("title", title.map(Value::from));
            let body = changes([title, description, phase, position, metadata])?;
            let client = context.client()?;
            let (path, _) = path(context, &client, &epic).await?;
            let answer = client.write(Method::PATCH, &path, Some(&body)).await?;
            context.output.object(&answer, "epic")
        }
        Command::Delete { epic } => {
            let client = context.client()?;
            let (path, id) = path(context, &client, &epic).await?;
            client.write(Method::DELETE, &path, None).await?;
            deleted(context, &id)
        }
    }
}

/// Path and id of the epic.
async fn path(context: &Context, client: &Client, reference: &str) -> Result<(String, String), Error> {
    let id = resolve::epic(context, client, reference).await?.id;
    Ok((format!("/epics/{id}"), id))
}

async fn list(context: &Context, phase: Option<&str>, paging: &Paging) -> Result<(), Error> {
    let client = context.client()?;
    let project = resolve::project_for(context, &client, "epic list").await?;
    let path = format!("/projects/{}/epics", project.id);
    let filters: Vec<_> = phase.map(|phase| ("phase", phase)).into_iter().collect();
    let body = pages::list(&client, &path, &filters, paging).await?;
    context.output.table(&body, rows_of(&body), COLUMNS, TOLD, "No epics.")
}
