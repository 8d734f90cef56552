//! `state save|load|history`: what an orchestrator wants to know again after a restart.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use crate::args::Paging;
use crate::client::Client;
use crate::context::Context;
use crate::error::Error;
use crate::layout::table::Column;
use crate::output::rows_of;
use crate::resolve::{self, Found};
use crate::{json_argument, pages};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Save state (orchestrator); fails with exit code 6 when somebody else saved in between
    Save {
        #[command(flatten)]
        key: Key,
        /// State: JSON object, @file or -
        #[arg(long, value_name = "JSON")]
        data: String,
        /// Version this state is based on; read from the server when absent
        #[arg(long, value_name = "N")]
        version: Option<u32>,
    },
    /// Show the saved state (orchestrator)
    Load {
        #[command(flatten)]
        key: Key,
    },
    /// List the states that were saved, newest first (orchestrator)
    History {
        #[command(flatten)]
        key: Key,
        #[command(flatten)]
        paging: Paging,
    },
}

/// A project keeps independent states under several keys.
#[derive(Debug, Args)]
pub(crate) struct Key {
    /// Name of the state
    #[arg(long = "key", value_name = "KEY", default_value = "main")]
    name: String,
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Error> {
    match command {
        Command::Save { key, data, version } => save(context, &key.name, &data, version).await,
        Command::Load { key } => {
            let client = context.client()?;
            let (path, project) = path(context, &client, "state load").await?;
            let body = match client.get(&path, &[("state_key", &key.name)]).await {
                Err(Error::Server(error)) if error.status == 404 => {
                    let message = format!(
                        "No state '{}' is saved in project {}. `loopctl state save` saves one",
                        key.name, project.label
                    );
                    return Err(Error::NotFound(message));
                }
                answer => answer?,
            };
            context.output.object(&body, "state")
        }
        Command::History { key, paging } => {
            let client = context.client()?;
            let (path, project) = path(context, &client, "state history").await?;
            let none = format!("No state '{}' is saved in project {}.", key.name, project.label);
            let filters = [("state_key", key.name.as_str())];
            let body = pages::list(&client, &format!("{path}/history"), &filters, &paging).await?;
            let columns = ["version", "saved_at", "saved_by", "state_data"];
            let told = [
                Column::number("version"),
                Column::time("saved_at").called("saved"),
                Column::word("saved_by").called("by"),
                Column::text("state_data"),
            ];
            context.output.table(&body, rows_of(&body), &columns, &told, &none)
        }
    }
}

/// Path of a project's state, and the project.
async fn path(context: &Context, client: &Client, what: &str) -> Result<(String, Found), Error> {
    let project = resolve::project_for(context, client, what).await?;
    Ok((format!("/orchestrator/state/{}", project.id), project))
}

async fn save(context: &Context, key: &str, data: &str, version: Option<u32>) -> Result<(), Error> {
    let data = json_argument::object("--data", data)?;
    let client = context.client()?;
    let (path, _) = path(context, &client, "state save").await?;
    let version = match version {
        Some(version) => version.into(),
        None => current_version(&client, &path, key).await?,
    };
    let body = json!({"state_key": key, "state_data": data, "version": version});
    match client.write(Method::PUT, &path, Some(&body)).await {
        Ok(answer) => context.output.object(&answer, "state"),
        // Our server says by itself what to do; another one may not.
        Err(Error::Server(mut error)) if error.status == 409 && error.body["error"]["hints"].is_null() => {
            error.advice = Some(
                "Somebody else saved in between: look at `loopctl state load`, then save again.".to_owned(),
            );
            Err(Error::Server(error))
        }
        Err(error) => Err(error),
    }
}

/// The version to build on: 0 when nothing was saved yet.
async fn current_version(client: &Client, path: &str, key: &str) -> Result<Value, Error> {
    match client.get(path, &[("state_key", key)]).await {
        Ok(body) => Ok(body["state"]["version"].clone()),
        Err(Error::Server(error)) if error.status == 404 => Ok(0.into()),
        Err(error) => Err(error),
    }
}
