//! `auth login`, `auth status`, `auth whoami`.

use std::io::IsTerminal;

use clap::Subcommand;
use serde_json::{Map, Value, json};

use crate::commands::settings::masked;
use crate::config::{Setting, Source};
use crate::context::Context;
use crate::error::{Error, ServerError};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check a server and key, and save them
    Login {
        /// API key; asked for when absent, without showing it
        #[arg(long)]
        key: Option<String>,
        /// Read the key from standard input, whatever is configured
        #[arg(long, conflicts_with = "key")]
        key_stdin: bool,
    },
    /// Show which server and key are in use, where they come from, and whether they work
    Status,
    /// Show the tenant and the key in use
    Whoami,
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Error> {
    match command {
        Command::Login { key, key_stdin } => login(context, key, key_stdin).await,
        Command::Status => status(context).await,
        Command::Whoami => whoami(context).await,
    }
}

async fn login(context: &Context, key: Option<String>, key_stdin: bool) -> Result<(), Error> {
    let mut config = context.config.forgetting(&[Setting::Server, Setting::ApiKey]);
    let Some(server) = config.get(Setting::Server) else {
        return Err(Error::Usage(
            "Missing --server. Usage: loopctl auth login --server <url> --key <key>".to_owned(),
        ));
    };
    // Trust given for one server says nothing about another.
    if context
        .config
        .in_file(Setting::Server)
        .is_some_and(|old| old.trim_end_matches('/') != server.trim_end_matches('/'))
    {
        config = config.forgetting(&[Setting::Server, Setting::ApiKey, Setting::Insecure, Setting::Cacert]);
    }
    let key = match key.or_else(|| config.get(Setting::ApiKey).filter(|_| !key_stdin)) {
        Some(key) => key,
        None => ask_key(key_stdin)?,
    };
    let key = key.trim().to_owned();
    if key.is_empty() {
        return Err(Error::Usage(
            "Missing --key. Usage: loopctl auth login --server <url> --key <key>".to_owned(),
        ));
    }
    config.set_option(Setting::ApiKey, &key);

    match context.client_with(&config)?.get("/tenants/me", &[]).await {
        Ok(_) => {}
        Err(Error::Server(error)) if is_superadmin(&error) => {}
        Err(Error::Server(mut error)) => {
            error.headline = Some(format!(
                "Login failed ({}): {}. Check your server URL and API key.",
                error.status,
                error.message().trim_end_matches('.')
            ));
            return Err(Error::Server(error));
        }
        Err(other) => return Err(other),
    }

    let server = server.trim_end_matches('/').to_owned();
    let mut changes =
        vec![(Setting::Server, Value::from(server.as_str())), (Setting::ApiKey, Value::from(key))];
    if config.flag(Setting::Insecure)? {
        changes.push((Setting::Insecure, Value::Bool(true)));
    }
    if let Some(path) = config.get(Setting::Cacert) {
        // Later commands run in other directories.
        let path = std::fs::canonicalize(&path).map_or(path, |full| full.display().to_string());
        changes.push((Setting::Cacert, Value::from(path)));
    }
    config.save(&changes)?;
    context.output.line(&format!("Credentials saved. Server: {server}"))
}

/// A person is asked, and the terminal does not show what they answer.
fn ask_key(from_stdin: bool) -> Result<String, Error> {
    let unreadable = |error| Error::Usage(format!("Cannot read the key: {error}"));
    if std::io::stdin().is_terminal() && !from_stdin {
        return rpassword::prompt_password("API key: ").map_err(unreadable);
    }
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(unreadable)?;
    Ok(line)
}

async fn status(context: &Context) -> Result<(), Error> {
    let config = &context.config;
    let mut shown = Map::new();
    for (name, setting) in [("server", Setting::Server), ("api_key", Setting::ApiKey)] {
        let (value, source) = config.lookup(setting).unzip();
        let value = if setting == Setting::ApiKey { value.map(|key| masked(&key)) } else { value };
        shown.insert(name.to_owned(), value.into());
        shown.insert(format!("{name}_from"), source.map(Source::name).into());
    }
    let body = match context.client()?.get("/tenants/me", &[]).await {
        Ok(body) => body,
        Err(Error::Server(error)) if is_superadmin(&error) => json!({"api_key": {"role": "superadmin"}}),
        Err(other) => return Err(other),
    };
    let (tenant, key) = (&body["tenant"], &body["api_key"]);
    for (name, value) in [
        ("tenant", &tenant["slug"]),
        ("tenant_id", &tenant["id"]),
        ("role", &key["role"]),
        ("key_name", &key["name"]),
        ("agent_id", &key["agent_id"]),
    ] {
        shown.insert(name.to_owned(), value.clone());
    }
    context.output.object(&Value::Object(shown), "")
}

/// A superadmin key belongs to no tenant; this answer proves that the key is good.
pub(super) fn is_superadmin(error: &ServerError) -> bool {
    error.status == 400 && error.message().contains("X-Impersonate-Tenant")
}

async fn whoami(context: &Context) -> Result<(), Error> {
    let mut body = context.client()?.get("/tenants/me", &[]).await?;
    if let (Value::Object(members), Some(key)) = (&mut body, context.config.get(Setting::ApiKey)) {
        members.insert("key_prefix".to_owned(), Value::from(key.chars().take(8).collect::<String>()));
    }
    context.output.object(&body, "tenant")
}
