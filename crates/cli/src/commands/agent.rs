//! `agent register`.

use clap::Subcommand;
use serde_json::json;

use crate::commands::one_of;
use crate::context::Context;
use crate::error::Error;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Register the agent behind your agent key
    Register {
        /// Name of the agent
        #[arg(long)]
        name: String,
        /// implementer or orchestrator
        #[arg(long = "type", value_name = "TYPE")]
        agent_type: String,
    },
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Error> {
    let Command::Register { name, agent_type } = command;
    one_of("type", &agent_type, &["implementer", "reviewer", "orchestrator"])?;
    let body = json!({"name": name, "agent_type": agent_type});
    let answer = context.client()?.post("/agents/register", Some(&body)).await?;
    context.output.object(&answer, "agent")
}
