//! `tenant info|register|update`.

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::error::Error;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show your tenant
    Info,
    /// Says how a tenant is made: beside the server, with `loopctl operator tenant create`
    Register {
        /// Options of older versions; it is not done over the network whatever they say.
        #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
        ignored: Vec<String>,
    },
    /// Change tenant settings
    Update {
        /// Setting to change; may be repeated
        #[arg(long, value_name = "KEY=VALUE")]
        setting: Vec<String>,
    },
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Error> {
    match command {
        Command::Info => {
            let body = context.client()?.get("/tenants/me", &[]).await?;
            context.output.object(&body, "tenant")
        }
        Command::Register { .. } => Err(Error::Refused(REGISTRATION.to_owned())),
        Command::Update { setting } => update(context, &setting).await,
    }
}

/// What there is instead of a registration.
const REGISTRATION: &str = "\
Error: Tenants are not registered over the network: whoever runs the server creates them, with access to its database.
Run beside it: loopctl operator tenant create --name <name> --slug <slug> --email <address>
It prints the tenant's first key, for: loopctl auth login --server <url> --key <key>";

async fn update(context: &Context, settings: &[String]) -> Result<(), Error> {
    if settings.is_empty() {
        return Err(Error::Usage("Usage: loopctl tenant update --setting <key>=<value> ...".to_owned()));
    }
    let mut changes = Map::new();
    for setting in settings {
        let (key, value) = setting.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or_else(|| {
            Error::Usage(format!(
                "Invalid setting '{setting}'. Usage: loopctl tenant update --setting <key>=<value>"
            ))
        })?;
        changes.insert(key.to_owned(), typed(value));
    }
    let body =
        context.client()?.write(Method::PATCH, "/tenants/me", Some(&json!({"settings": changes}))).await?;
    context.output.object(&body, "tenant")
}

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
