//! `deps graph|list|add|remove`: which story or epic waits for which.

mod graph;

pub(in crate::commands) use self::graph::{Around, numbers};

use std::collections::HashMap;

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::Client;
use crate::commands::deleted;
use crate::context::Context;
use crate::error::Error;
use crate::layout::table::Column;
use crate::output::rows_of;
use crate::resolve::{self, Found};
use graph::Graph;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show a project's epics, stories, and what waits for what
    Graph,
    /// List the dependencies between the project's epics, or of one epic's stories
    List {
        /// Epic whose stories are meant: id or number
        epic: Option<String>,
    },
    /// Make a story or epic depend on another
    Add {
        #[command(flatten)]
        pair: Pair,
    },
    /// Remove a dependency (user)
    Remove {
        /// What depends: id or number; or the id of the dependency itself
        #[arg(value_name = "DEPENDENT")]
        dependent: String,
        /// What it depends on: id or number
        #[arg(value_name = "PREREQUISITE")]
        prerequisite: Option<String>,
        /// Both are epics, or the id is that of a dependency between epics
        #[arg(long)]
        epic: bool,
    },
}

/// `A` depends on `B`.
#[derive(Debug, Args)]
pub(crate) struct Pair {
    /// What depends: id or number
    #[arg(value_name = "DEPENDENT")]
    dependent: String,
    /// What has to be verified first: id or number
    #[arg(value_name = "PREREQUISITE")]
    prerequisite: String,
    /// Both are epics
    #[arg(long)]
    epic: bool,
}

/// Stories or epics: the names that differ.
struct Kind {
    path: &'static str,
    envelope: &'static str,
    dependent: &'static str,
    prerequisite: &'static str,
}

const STORIES: Kind = Kind {
    path: "/story_dependencies",
    envelope: "story_dependency",
    dependent: "story_id",
    prerequisite: "depends_on_story_id",
};
const EPICS: Kind = Kind {
    path: "/epic_dependencies",
    envelope: "epic_dependency",
    dependent: "epic_id",
    prerequisite: "depends_on_epic_id",
};

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Error> {
    match command {
        Command::Graph => show_graph(context).await,
        Command::List { epic } => list(context, epic.as_deref()).await,
        Command::Add { pair: Pair { dependent, prerequisite, epic } } => {
            let kind = if epic { EPICS } else { STORIES };
            let client = context.client()?;
            let (dependent, prerequisite) = ends(context, &client, epic, &dependent, &prerequisite).await?;
            let body = json!({kind.dependent: dependent.id, kind.prerequisite: prerequisite.id});
            let answer = client.post(kind.path, Some(&body)).await?;
            context.output.object(&answer, kind.envelope)
        }
        Command::Remove { dependent, prerequisite, epic } => {
            let kind = if epic { EPICS } else { STORIES };
            let id = match prerequisite {
                Some(prerequisite) => edge(context, epic, &dependent, &prerequisite).await?,
                None => resolve::id("dependency", &dependent)?,
            };
            context.client()?.write(Method::DELETE, &format!("{}/{id}", kind.path), None).await?;
            deleted(context, &id)
        }
    }
}

/// Both ends of a dependency: stories, or epics.
async fn ends(
    context: &Context,
    client: &Client,
    epic: bool,
    dependent: &str,
    prerequisite: &str,
) -> Result<(Found, Found), Error> {
    if epic {
        let dependent = resolve::epic(context, client, dependent).await?;
        return Ok((dependent, resolve::epic(context, client, prerequisite).await?));
    }
    let references = [dependent.to_owned(), prerequisite.to_owned()];
    match <[Found; 2]>::try_from(resolve::stories(context, client, &references).await?) {
        Ok([dependent, prerequisite]) => Ok((dependent, prerequisite)),
        Err(_) => Err(Error::not_json()),
    }
}

/// The id of the dependency between the two.
async fn edge(context: &Context, epic: bool, dependent: &str, prerequisite: &str) -> Result<String, Error> {
    let kind = if epic { EPICS } else { STORIES };
    let client = context.client()?;
    let (from, to) = ends(context, &client, epic, dependent, prerequisite).await?;
    let list = if epic {
        let body = client.get(&format!("/epics/{}", from.id), &[]).await?;
        format!("/projects/{}/epic_dependencies", member(&body, "/epic/project_id")?)
    } else {
        let body = client.get(&format!("/stories/{}", from.id), &[]).await?;
        format!("/epics/{}/story_dependencies", member(&body, "/story/epic_id")?)
    };
    let edges = client.get(&list, &[]).await?;
    let same =
        |edge: &&Value| edge[kind.dependent] == from.id.as_str() && edge[kind.prerequisite] == to.id.as_str();
    let id = rows_of(&edges).iter().find(same).and_then(|edge| edge["id"].as_str());
    id.map(ToOwned::to_owned)
        .ok_or_else(|| Error::NotFound(format!("{dependent} does not depend on {prerequisite}")))
}

fn member<'a>(body: &'a Value, pointer: &str) -> Result<&'a str, Error> {
    let text = body.pointer(pointer).and_then(Value::as_str);
    text.ok_or_else(|| Error::Other(format!("The server's answer has no {pointer}")))
}

async fn show_graph(context: &Context) -> Result<(), Error> {
    let client = context.client()?;
    let project = resolve::project_for(context, &client, "deps graph").await?;
    let body = client.get(&format!("/projects/{}/dependency_graph", project.id), &[]).await?;
    let graph = Graph::new(&body["graph"]);
    if context.output.human() {
        return context.output.styled(&(graph.picture(context.output.screen()) + "\n"));
    }
    context.output.rows(&body, &graph.rows(), graph::COLUMNS, "The project has no stories.")
}

async fn list(context: &Context, epic: Option<&str>) -> Result<(), Error> {
    let client = context.client()?;
    let (kind, body, project) = match epic {
        Some(epic) => {
            let path = format!("/epics/{}", resolve::epic(context, &client, epic).await?.id);
            let edges = client.get(&format!("{path}/story_dependencies"), &[]).await?;
            if context.output.is_json() {
                return context.output.json(&edges);
            }
            let epic = client.get(&path, &[]).await?;
            (STORIES, edges, member(&epic, "/epic/project_id")?.to_owned())
        }
        None => {
            let project = resolve::project_for(context, &client, "deps list").await?;
            let path = format!("/projects/{}/epic_dependencies", project.id);
            let edges = client.get(&path, &[]).await?;
            if context.output.is_json() {
                return context.output.json(&edges);
            }
            (EPICS, edges, project.id)
        }
    };
    // People know numbers; the edges hold ids.
    let graph = client.get(&format!("/projects/{project}/dependency_graph"), &[]).await?;
    let numbers = numbers(&graph["graph"]);
    let rows: Vec<Value> = rows_of(&body).iter().map(|edge| named(edge, &kind, &numbers)).collect();
    let columns = ["id", "dependent", "depends_on", "inserted_at"];
    let told = [
        Column::reference("dependent"),
        Column::reference("depends_on"),
        Column::time("inserted_at").called("since"),
        Column::id("id"),
    ];
    context.output.table(&body, &rows, &columns, &told, "No dependencies.")
}

/// The edge with the numbers of its ends in place of their ids.
fn named(edge: &Value, kind: &Kind, numbers: &HashMap<&str, &Value>) -> Value {
    // The id stays when the graph does not have it.
    let number = |id| edge[id].as_str().and_then(|id| numbers.get(id).copied()).unwrap_or(&edge[id]);
    json!({
        "id": edge["id"],
        "dependent": number(kind.dependent),
        "depends_on": number(kind.prerequisite),
        "inserted_at": edge["inserted_at"],
    })
}
