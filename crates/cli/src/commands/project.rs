//! `project create|list|info|update|archive`.

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use crate::args::Paging;
use crate::commands::{changes, given};
use crate::context::Context;
use crate::error::Error;
use crate::layout::table::Column;
use crate::output::rows_of;
use crate::{pages, resolve};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a project
    Create {
        /// Name of the project
        name: String,
        /// Short name for addresses and options; made from the name when absent
        #[arg(long)]
        slug: Option<String>,
        /// Address of the repository
        #[arg(long, value_name = "TEXT")]
        repo: Option<String>,
        /// Languages and frameworks
        #[arg(long, value_name = "TEXT")]
        tech_stack: Option<String>,
        /// What the project is about
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
    },
    /// List projects
    List {
        /// active or archived
        #[arg(long)]
        status: Option<String>,
        /// Also list archived projects
        #[arg(long)]
        include_archived: bool,
        #[command(flatten)]
        paging: Paging,
    },
    /// Show a project
    Info {
        /// Id, slug or name; the configured project when absent
        #[arg(value_name = "PROJECT")]
        reference: Option<String>,
    },
    /// Change a project
    Update {
        /// Id, slug or name
        #[arg(value_name = "PROJECT")]
        reference: String,
        /// New name
        #[arg(long)]
        name: Option<String>,
        /// Address of the repository
        #[arg(long, value_name = "TEXT")]
        repo: Option<String>,
        /// Languages and frameworks
        #[arg(long, value_name = "TEXT")]
        tech_stack: Option<String>,
        /// What the project is about
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        /// What the project is for; agents read it with every story
        #[arg(long, value_name = "TEXT")]
        mission: Option<String>,
        /// New status
        #[arg(long, value_parser = ["active", "archived"])]
        status: Option<String>,
    },
    /// Archive a project: it leaves the lists and keeps everything (user)
    Archive {
        /// Id, slug or name
        #[arg(value_name = "PROJECT")]
        reference: String,
    },
}

/// A short name made from a name, as servers take them: two characters and more, up to 63.
fn slug_of(name: &str) -> Result<String, Error> {
    let slug = crate::slug::slug(name, '-', 63);
    if slug.len() < 2 {
        let message = format!("No short name can be made from '{name}'. Give one: --slug my-project");
        return Err(Error::Usage(message));
    }
    Ok(slug)
}

const COLUMNS: &[&str] = &["id", "name", "slug", "status", "repo_url"];

const TOLD: &[Column<'_>] = &[
    Column::text("name"),
    Column::reference("slug"),
    Column::status("status"),
    Column::text("repo_url").called("repository").if_any(),
    Column::id("id"),
];

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Error> {
    match command {
        Command::Create { name, slug, repo, tech_stack, description } => {
            let slug = slug.map_or_else(|| slug_of(&name), Ok)?;
            let body = given([
                ("name", Some(name.into())),
                ("slug", Some(slug.into())),
                ("repo_url", repo.map(Value::from)),
                ("tech_stack", tech_stack.map(Value::from)),
                ("description", description.map(Value::from)),
            ]);
            let answer = context.client()?.post("/projects", Some(&body)).await?;
            context.output.object(&answer, "project")
        }
        Command::List { status, include_archived, paging } => {
            let status = status.as_ref().map(|status| ("status", status.as_str()));
            let mut filters = Vec::from_iter(status);
            filters.extend(include_archived.then_some(("include_archived", "true")));
            if paging.limit.is_none() && paging.page.is_some() {
                filters.push(("page_size", "100"));
            }
            let body = pages::list(&context.client()?, "/projects", &filters, &paging).await?;
            context.output.table(&body, rows_of(&body), COLUMNS, TOLD, "No projects.")
        }
        Command::Info { reference } => {
            let client = context.client()?;
            let project = match reference {
                Some(reference) => resolve::project(&client, &reference).await?,
                None => resolve::project_for(context, &client, "project info").await?,
            };
            let body = client.get(&format!("/projects/{}", project.id), &[]).await?;
            context.output.object(&body, "project")
        }
        Command::Update { reference, name, repo, tech_stack, description, mission, status } => {
            let body = changes([
                ("name", name.map(Value::from)),
                ("repo_url", repo.map(Value::from)),
                ("tech_stack", tech_stack.map(Value::from)),
                ("description", description.map(Value::from)),
                ("mission", mission.map(Value::from)),
                ("status", status.map(Value::from)),
            ])?;
            let client = context.client()?;
            let project = resolve::project(&client, &reference).await?;
            let answer =
                client.write(Method::PATCH, &format!("/projects/{}", project.id), Some(&body)).await?;
            context.output.object(&answer, "project")
        }
        Command::Archive { reference } => {
            let client = context.client()?;
            let project = resolve::project(&client, &reference).await?;
            client.write(Method::DELETE, &format!("/projects/{}", project.id), None).await?;
            context.output.object(&json!({"status": "archived", "id": project.id}), "")
        }
    }
}
