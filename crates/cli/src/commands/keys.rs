//! `keys create|list|revoke`.

use clap::Subcommand;
use reqwest::Method;
use serde_json::json;

use crate::commands::one_of;
use crate::context::Context;
use crate::error::Error;
use crate::{output, resolve};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a key; it is shown only once
    Create {
        /// Name of the key
        #[arg(long)]
        name: String,
        /// user, orchestrator or agent
        #[arg(long)]
        role: String,
        /// Agent the key belongs to: id or name
        #[arg(long)]
        agent: Option<String>,
        /// When the key ends, ISO 8601
        #[arg(long, value_name = "TIME")]
        expires_at: Option<String>,
    },
    /// List keys
    List {
        /// Also list revoked keys
        #[arg(long)]
        include_revoked: bool,
    },
    /// Revoke a key
    Revoke {
        /// Id of the key
        id: String,
    },
}

const COLUMNS: &[&str] = &["id", "name", "role", "key_prefix", "last_used_at", "expires_at"];

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Error> {
    match command {
        Command::Create { name, role, agent, expires_at } => {
            create(context, &name, &role, agent.as_deref(), expires_at.as_deref()).await
        }
        Command::List { include_revoked } => {
            let query: &[_] = if include_revoked { &[("include_revoked", "true")] } else { &[] };
            let body = context.client()?.get("/api_keys", query).await?;
            context.output.list(&body, COLUMNS, "No keys.")
        }
        Command::Revoke { id } => {
            let id = resolve::id("key", &id)?;
            context.client()?.write(Method::DELETE, &format!("/api_keys/{id}"), None).await?;
            context.output.object(&json!({"status": "revoked", "id": id}), "")
        }
    }
}

async fn create(
    context: &Context,
    name: &str,
    role: &str,
    agent: Option<&str>,
    expires_at: Option<&str>,
) -> Result<(), Error> {
    one_of("role", role, &["user", "orchestrator", "agent"])?;
    let client = context.client()?;
    let mut body = json!({"name": name, "role": role});
    if let Some(agent) = agent {
        body["agent_id"] = resolve::agent(&client, agent).await?.id.into();
    }
    if let Some(time) = expires_at {
        body["expires_at"] = time.into();
    }
    let answer = client.post("/api_keys", Some(&body)).await?;
    context.output.object(&answer, "api_key")?;
    output::note("Warning: save the raw key now. It is not stored and cannot be shown again.");
    Ok(())
}
