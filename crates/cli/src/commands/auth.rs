//! `auth login`, `auth whoami`.

use std::io::IsTerminal;

use clap::Subcommand;
use serde_json::Value;

use crate::config::Setting;
use crate::context::Context;
use crate::error::Error;
use crate::output;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check a server and key, and save them
    Login {
        /// API key; read from standard input when absent
        #[arg(long)]
        key: Option<String>,
    },
    /// Show the tenant and the key in use
    Whoami,
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Error> {
    match command {
        Command::Login { key } => login(context, key).await,
        Command::Whoami => whoami(context).await,
    }
}

async fn login(context: &Context, key: Option<String>) -> Result<(), Error> {
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
    let key = match key.or_else(|| config.get(Setting::ApiKey)) {
        Some(key) => key,
        None => ask_key()?,
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
        // A superadmin key belongs to no tenant; this answer proves that the key is good.
        Err(Error::Server(error))
            if error.status == 400 && error.message().contains("X-Impersonate-Tenant") => {}
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

fn ask_key() -> Result<String, Error> {
    if std::io::stdin().is_terminal() {
        output::note("API key:");
    }
    let mut line = String::new();
    std::io::stdin()
        .read_line(&mut line)
        .map_err(|error| Error::Usage(format!("Cannot read the key from standard input: {error}")))?;
    Ok(line)
}

async fn whoami(context: &Context) -> Result<(), Error> {
    let mut body = context.client()?.get("/tenants/me", &[]).await?;
    if let (Value::Object(members), Some(key)) = (&mut body, context.config.get(Setting::ApiKey)) {
        members.insert("key_prefix".to_owned(), Value::from(key.chars().take(8).collect::<String>()));
    }
    context.output.object(&body, "tenant")
}
