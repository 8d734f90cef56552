//! `tenant info|register|update|audit-key|authenticators`.

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Map, Value};

use crate::args::Paging;
use crate::client::{Client, JWK, PEM};
use crate::commands::export::to_stdout;
use crate::config::Setting;
use crate::context::Context;
use crate::error::Error;
use crate::layout::table::Column;
use crate::output::rows_of;
use crate::pages;
use crate::table::plain;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show your tenant
    Info,
    /// Says where a tenant is made: in a browser, on the server's page /signup
    Register {
        /// Options of older versions; it is not done over the network whatever they say.
        #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
        ignored: Vec<String>,
    },
    /// Change tenant settings
    Update {
        /// Setting to change; may be repeated. token_data_retention_days and default_story_budget_millicents may be null: none
        #[arg(long, value_name = "KEY=VALUE")]
        setting: Vec<String>,
    },
    /// Show the public half of the key that the tenant's log is to be signed with
    AuditKey {
        /// As PEM, which other programs read, whatever the format
        #[arg(long)]
        pem: bool,
    },
    /// List the authenticators with which the tenant's owner signs (user)
    Authenticators(Paging),
}

const AUTHENTICATORS: &[&str] =
    &["id", "friendly_name", "attestation_format", "sign_count", "last_used_at", "inserted_at"];

const TOLD: &[Column<'_>] = &[
    Column::text("friendly_name").called("name"),
    Column::word("attestation_format").called("kind"),
    Column::time("last_used_at").called("used"),
    Column::time("inserted_at").called("enrolled"),
    Column::number("sign_count").called("signatures").if_wide(),
    Column::id("id"),
];

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Error> {
    match command {
        Command::Info => {
            let body = context.client()?.get("/tenants/me", &[]).await?;
            context.output.object(&body, "tenant")
        }
        Command::Register { .. } => {
            Err(Error::Refused(registration(context.config.get(Setting::Server).as_deref())))
        }
        Command::Update { setting } => update(context, &setting).await,
        Command::AuditKey { pem } => audit_key(context, pem).await,
        Command::Authenticators(paging) => {
            let client = context.client()?;
            let path = format!("/tenants/{}/authenticators", own_id(&client).await?);
            let body = pages::list(&client, &path, &[], &paging).await?;
            context.output.table(&body, rows_of(&body), AUTHENTICATORS, TOLD, "No authenticators.")
        }
    }
}

/// Which tenant the key is of.
async fn own_id(client: &Client) -> Result<String, Error> {
    let body = client.get("/tenants/me", &[]).await?;
    Ok(plain(&body["tenant"]["id"]))
}

async fn audit_key(context: &Context, pem: bool) -> Result<(), Error> {
    let client = context.client()?;
    let path = format!("/tenants/{}/audit_public_key", own_id(&client).await?);
    if pem {
        return to_stdout(context, client.download(&path, PEM).await?).await.map(drop);
    }
    let body = client.get_as(&path, JWK).await?;
    context.output.object(&body, "")
}

/// What there is instead of a registration.
fn registration(server: Option<&str>) -> String {
    let server = server.unwrap_or("https://loopctl.com").trim_end_matches('/');
    format!(
        "\
Error: A tenant is created by WebAuthn enrollment (a passkey or security key) in a browser; the command line cannot do that.
Visit {server}/signup. It shows the tenant's first key, for: loopctl auth login --server {server}
Whoever runs the server can do without a browser: loopctl operator tenant create --name <name> --slug <slug> --email <address>"
    )
}

async fn update(context: &Context, settings: &[String]) -> Result<(), Error> {
    if settings.is_empty() {
        return Err(Error::Usage("Usage: loopctl tenant update --setting <key>=<value> ...".to_owned()));
    }
    let (mut body, mut changes) = (Map::new(), Map::new());
    for setting in settings {
        let (key, value) = setting.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or_else(|| {
            Error::Usage(format!(
                "Invalid setting '{setting}'. Usage: loopctl tenant update --setting <key>=<value>"
            ))
        })?;
        if OF_TENANT.contains(&key) {
            let value = if value == "null" { Value::Null } else { typed(value) };
            body.insert(key.to_owned(), value);
        } else {
            changes.insert(key.to_owned(), typed(value));
        }
    }
    if !changes.is_empty() {
        body.insert("settings".to_owned(), changes.into());
    }
    let answer = context.client()?.write(Method::PATCH, "/tenants/me", Some(&body.into())).await?;
    context.output.object(&answer, "tenant")
}

/// What is set like a setting, but is the tenant's own.
const OF_TENANT: &[&str] = &["custody_mode", "token_data_retention_days", "default_story_budget_millicents"];

/// `true` and `false` are booleans, integers are numbers, everything else is text.
fn typed(text: &str) -> Value {
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => text.parse::<i64>().map_or_else(|_| Value::from(text), Value::from),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn setting_values_get_their_type() {
        assert_eq!(typed("true"), json!(true));
        assert_eq!(typed("100"), json!(100));
        assert_eq!(typed("-1"), json!(-1));
        assert_eq!(typed("1.5"), json!("1.5"));
        assert_eq!(typed(""), json!(""));
    }
}
