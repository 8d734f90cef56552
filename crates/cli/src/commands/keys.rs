//! `keys create|list|rotate|revoke`.

use clap::Subcommand;
use reqwest::Method;
use serde_json::json;

use crate::commands::one_of;
use crate::context::Context;
use crate::error::Error;
use crate::layout::table::Column;
use crate::output::rows_of;
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
    /// Put a new key in the place of an old one, which works on for a while; the new one is shown only once
    Rotate {
        /// The old key: id, what it begins with, or name
        key: String,
        /// Hours for which the old key works on: 24 if nothing is said, 168 at most, 0 for none
        #[arg(long, value_name = "N")]
        grace_hours: Option<u32>,
    },
    /// Revoke a key
    Revoke {
        /// Key: id, what it begins with, or name
        key: String,
    },
}

const COLUMNS: &[&str] = &["id", "name", "role", "key_prefix", "last_used_at", "expires_at"];

const TOLD: &[Column<'_>] = &[
    Column::text("name"),
    Column::word("role"),
    Column::reference("key_prefix").called("begins with"),
    Column::time("last_used_at").called("used"),
    Column::time("expires_at").called("ends").if_any(),
    Column::time("revoked_at").called("revoked").if_any(),
    Column::time("inserted_at").if_wide(),
    Column::id("id"),
];

const SHOWN_ONCE: &str = "Warning: save the raw key now. It is not stored and cannot be shown again.";

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Error> {
    match command {
        Command::Create { name, role, agent, expires_at } => {
            create(context, &name, &role, agent.as_deref(), expires_at.as_deref()).await
        }
        Command::List { include_revoked } => {
            let query: &[_] = if include_revoked { &[("include_revoked", "true")] } else { &[] };
            let body = context.client()?.get("/api_keys", query).await?;
            context.output.table(&body, rows_of(&body), COLUMNS, TOLD, "No keys.")
        }
        Command::Rotate { key, grace_hours } => rotate(context, &key, grace_hours).await,
        Command::Revoke { key } => {
            let client = context.client()?;
            let id = resolve::key(&client, &key).await?.id;
            client.write(Method::DELETE, &format!("/api_keys/{id}"), None).await?;
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
    output::note(SHOWN_ONCE);
    Ok(())
}

async fn rotate(context: &Context, key: &str, grace_hours: Option<u32>) -> Result<(), Error> {
    let client = context.client()?;
    let id = resolve::key(&client, key).await?.id;
    let body = grace_hours.map(|hours| json!({"grace_period_hours": hours}));
    let answer = client.post(&format!("/api_keys/{id}/rotate"), body.as_ref()).await?;
    context.output.object(&answer, "new_key")?;
    output::note(SHOWN_ONCE);
    if let Some(end) = answer["old_key_expires_at"].as_str() {
        output::note(&format!("The old key works until {end}."));
    }
    Ok(())
}
