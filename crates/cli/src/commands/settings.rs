//! `config set|get|show`.

use clap::Subcommand;
use serde_json::{Map, Value, json};

use crate::config::{self, Setting};
use crate::context::Context;
use crate::error::Error;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Store a setting: server, api_key, format, project, insecure or cacert
    Set {
        /// Setting
        key: String,
        /// Its value
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    /// Show the value of a setting
    Get {
        /// Setting
        key: String,
    },
    /// Show all settings and where they come from
    Show {
        /// Show the whole API key
        #[arg(long)]
        reveal: bool,
    },
}

pub(crate) fn run(context: &Context, command: Command) -> Result<(), Error> {
    match command {
        Command::Set { key, value } => set(context, &key, &value),
        Command::Get { key } => get(context, &key),
        Command::Show { reveal } => show(context, reveal),
    }
}

fn set(context: &Context, key: &str, value: &str) -> Result<(), Error> {
    let key = Setting::parse(key)?;
    context.config.save(&[(key, config::validate(key, value)?)])?;
    let shown = if key == Setting::ApiKey { masked(value) } else { value.to_owned() };
    context.output.line(&format!("Config {} set to {shown}", key.name()))
}

fn get(context: &Context, key: &str) -> Result<(), Error> {
    let key = Setting::parse(key)?;
    match context.config.get(key) {
        Some(value) => context.output.object(&json!({"key": key.name(), "value": value}), ""),
        None => Err(Error::NotFound(format!("Config key '{}' is not set", key.name()))),
    }
}

fn show(context: &Context, reveal: bool) -> Result<(), Error> {
    let mut settings = Map::new();
    let mut sources = Map::new();
    for key in Setting::ALL {
        let (value, source) = match context.config.lookup(key) {
            Some((value, source)) if key == Setting::ApiKey && !reveal => {
                (Value::from(masked(&value)), Some(source))
            }
            Some((value, source)) => (Value::from(value), Some(source)),
            None => (Value::Null, None),
        };
        settings.insert(key.name().to_owned(), value);
        if let Some(source) = source {
            sources.insert(key.name().to_owned(), Value::from(source.name()));
        }
    }
    settings.insert("sources".to_owned(), Value::Object(sources));
    context.output.object(&Value::Object(settings), "")
}

/// Enough of a key to recognise it.
pub(crate) fn masked(key: &str) -> String {
    format!("{}...", key.chars().take(8).collect::<String>())
}
