//! `agent register|list|show`.

use clap::Subcommand;
use serde_json::json;

use crate::args::Paging;
use crate::client::borrowed;
use crate::commands::{given_parameters, one_of};
use crate::context::Context;
use crate::error::Error;
use crate::layout::table::Column;
use crate::output::rows_of;
use crate::{pages, resolve};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Register the agent behind your agent key
    Register {
        /// Name of the agent
        #[arg(long)]
        name: String,
        /// implementer, reviewer or orchestrator
        #[arg(long = "type", value_name = "TYPE")]
        agent_type: String,
    },
    /// List agents (orchestrator)
    List {
        /// Only of this type: implementer, reviewer or orchestrator
        #[arg(long = "type", value_name = "TYPE")]
        agent_type: Option<String>,
        /// Only of this status: active, idle or deactivated
        #[arg(long)]
        status: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Show an agent (orchestrator)
    Show {
        /// Agent: id or name
        agent: String,
    },
}

const TYPES: &[&str] = &["implementer", "reviewer", "orchestrator"];
const STATUSES: &[&str] = &["active", "idle", "deactivated"];

const COLUMNS: &[&str] = &["id", "name", "agent_type", "status", "last_seen_at", "inserted_at"];

const TOLD: &[Column<'_>] = &[
    Column::reference("name"),
    Column::word("agent_type").called("type"),
    Column::status("status"),
    Column::time("last_seen_at").called("seen"),
    Column::time("inserted_at").if_wide(),
    Column::id("id"),
];

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Error> {
    match command {
        Command::Register { name, agent_type } => {
            one_of("type", &agent_type, TYPES)?;
            let body = json!({"name": name, "agent_type": agent_type});
            let answer = context.client()?.post("/agents/register", Some(&body)).await?;
            context.output.object(&answer, "agent")
        }
        Command::List { agent_type, status, paging } => {
            // Words that it does not know filter nothing at the server.
            agent_type.iter().try_for_each(|word| one_of("type", word, TYPES))?;
            status.iter().try_for_each(|word| one_of("status", word, STATUSES))?;
            let filters = given_parameters([("agent_type", agent_type), ("status", status)]);
            let body = pages::list(&context.client()?, "/agents", &borrowed(&filters), &paging).await?;
            context.output.table(&body, rows_of(&body), COLUMNS, TOLD, "No agents.")
        }
        Command::Show { agent } => {
            let client = context.client()?;
            let id = resolve::agent(&client, &agent).await?.id;
            let body = client.get(&format!("/agents/{id}"), &[]).await?;
            context.output.object(&body, "agent")
        }
    }
}
