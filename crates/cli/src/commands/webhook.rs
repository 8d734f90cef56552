//! `webhook create|list|show|update|test|deliveries|redeliver|delete`.

use clap::{ArgAction, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::{changes, given, given_parameters};
use crate::args::Paging;
use crate::client::{Client, borrowed};
use crate::config::{Setting, Source};
use crate::context::Context;
use crate::error::Error;
use crate::layout::block::{Block, Fact, Item};
use crate::layout::{Screen, status, times};
use crate::{output, pages, resolve, table};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Have events sent to a URL; the secret that they are signed with is shown only once
    Create {
        /// Where they are sent: https or http
        #[arg(long)]
        url: String,
        /// Which: story.verified,story.rejected,...
        #[arg(long, value_name = "TYPES")]
        events: String,
    },
    /// List webhooks
    List(Paging),
    /// One webhook
    Show {
        /// Id of the webhook
        id: String,
    },
    /// Change a webhook; --project none makes it one of all projects
    Update {
        /// Id of the webhook
        id: String,
        /// Where events are sent
        #[arg(long)]
        url: Option<String>,
        /// The event types, in place of those before
        #[arg(long, value_name = "TYPES")]
        events: Option<String>,
        /// true (forgets failures) or false
        #[arg(long, value_name = "BOOL", action = ArgAction::Set)]
        active: Option<bool>,
    },
    /// Send a test event
    Test {
        /// Id of the webhook
        id: String,
    },
    /// What was sent to a webhook, and is to be, newest first
    Deliveries {
        /// Id of the webhook
        id: String,
        /// pending, delivered, failed or exhausted
        #[arg(long)]
        status: Option<String>,
        /// Only of this type: story.verified, ...
        #[arg(long, value_name = "TYPE")]
        event_type: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Send an event once more
    Redeliver {
        /// Id of the webhook
        id: String,
        /// Id of the delivery
        delivery: String,
    },
    /// Delete a webhook and what was to be sent to it
    Delete {
        /// Id of the webhook
        id: String,
    },
}

const COLUMNS: &[&str] = &["id", "url", "events", "active", "consecutive_failures"];
const DELIVERIES: &[&str] =
    &["inserted_at", "event_type", "status", "attempts", "response_status", "latency_ms", "error", "id"];

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Error> {
    match command {
        Command::Create { url, events } => create(context, &url, &events).await,
        Command::List(paging) => {
            let body = pages::list(&context.client()?, "/webhooks", &[], &paging).await?;
            let rows: Vec<Value> = output::rows_of(&body).iter().map(told).collect();
            if !context.output.human() || rows.is_empty() {
                return context.output.rows(&body, &rows, COLUMNS, "No webhooks.");
            }
            context.output.block(each(&rows, &output::footer(&body, rows.len()), context.output.screen()))
        }
        Command::Show { id } => {
            let path = path(&id)?;
            context.output.object(&context.client()?.get(&path, &[]).await?, "webhook")
        }
        Command::Update { id, url, events, active } => {
            let path = path(&id)?;
            let client = context.client()?;
            let body = changes([
                ("url", url.map(Value::from)),
                ("events", events.as_deref().map(listed)),
                ("active", active.map(Value::from)),
                ("project_id", named_project(context, &client).await?),
            ])?;
            let answer = client.write(Method::PATCH, &path, Some(&body)).await?;
            context.output.object(&answer, "webhook")
        }
        Command::Test { id } => {
            let path = path(&id)?;
            context.output.object(&context.client()?.post(&format!("{path}/test"), None).await?, "")
        }
        Command::Deliveries { id, status, event_type, paging } => {
            let path = format!("{}/deliveries", path(&id)?);
            let filters = given_parameters([("status", status), ("event_type", event_type)]);
            let body = pages::list(&context.client()?, &path, &borrowed(&filters), &paging).await?;
            let rows = output::rows_of(&body);
            if !context.output.human() || rows.is_empty() {
                return context.output.list(&body, DELIVERIES, "No deliveries.");
            }
            let screen = context.output.screen();
            let mut block = Block::new(screen);
            block.items(&rows.iter().map(|delivery| delivered(delivery, screen)).collect::<Vec<_>>());
            block.blank();
            block.line(output::footer(&body, rows.len()));
            context.output.block(block)
        }
        Command::Redeliver { id, delivery } => {
            let (webhook, delivery) = (path(&id)?, resolve::id("delivery", &delivery)?);
            let path = format!("{webhook}/deliveries/{delivery}/redeliver");
            context.output.object(&context.client()?.post(&path, None).await?, "")
        }
        Command::Delete { id } => {
            let id = resolve::id("webhook", &id)?;
            context.client()?.write(Method::DELETE, &path(&id)?, None).await?;
            let message = format!("Webhook {id} deleted");
            if context.output.human() {
                return context.output.line(&message);
            }
            context.output.object(&json!({"status": "deleted", "id": id, "message": message}), "")
        }
    }
}

/// A webhook with its events in words.
fn told(webhook: &Value) -> Value {
    let mut row = webhook.clone();
    let events = webhook["events"].as_array().into_iter().flatten().filter_map(Value::as_str);
    row["events"] = events.collect::<Vec<_>>().join(", ").into();
    row["state"] = match (webhook["active"].as_bool(), webhook["consecutive_failures"].as_u64()) {
        (Some(false), _) => "off".to_owned(),
        (_, Some(failures @ 1..)) => format!("failed {failures}x"),
        _ => "active".to_owned(),
    }
    .into();
    row
}

/// Webhooks below each other: addresses are long, and so are lists of events.
fn each<'s>(rows: &[Value], footer: &str, screen: &'s Screen) -> Block<'s> {
    let mut block = Block::new(screen);
    for row in rows {
        let of = |name: &str| table::plain(&row[name]);
        block.blank();
        block.heading("", &of("url"));
        let last = times::told(&of("last_delivery_at"), screen);
        block.facts(&[
            Fact::status("state", of("state")),
            Fact::new("events", of("events")),
            Fact::new("last delivery", last),
            Fact::new("id", of("id")),
        ]);
    }
    block.blank();
    block.line(footer.to_owned());
    block
}

/// A delivery with what it was answered: `3 h ago  failed 500, story.verified, 2 attempts: HTTP 500  (id)`.
fn delivered(delivery: &Value, screen: &Screen) -> Item {
    let of = |name: &str| table::plain(&delivery[name]);
    let state = format!("{} {}", of("status"), of("response_status"));
    let attempts = match delivery["attempts"].as_u64() {
        Some(attempts @ 2..) => format!(", {attempts} attempts"),
        _ => String::new(),
    };
    let error = if of("error").is_empty() { String::new() } else { format!(": {}", of("error")) };
    Item {
        name: times::told(&of("inserted_at"), screen),
        text: format!("{}, {}{attempts}{error}  {}", state.trim_end(), of("event_type"), of("id")),
        tone: status::tone(&of("status")),
    }
}

fn path(id: &str) -> Result<String, Error> {
    Ok(format!("/webhooks/{}", resolve::id("webhook", id)?))
}

/// A list with commas.
fn listed(types: &str) -> Value {
    types.split(',').map(str::trim).filter(|name| !name.is_empty()).collect()
}

async fn create(context: &Context, url: &str, events: &str) -> Result<(), Error> {
    let client = context.client()?;
    let project = match context.config.get(Setting::Project) {
        Some(word) if word == NONE => None,
        Some(reference) => Some(resolve::project(&client, &reference).await?.id.into()),
        None => None,
    };
    let body = given([("url", Some(url.into())), ("events", Some(listed(events))), ("project_id", project)]);
    let answer = client.post("/webhooks", Some(&body)).await?;
    context.output.object(&answer, "webhook")?;
    output::note("Warning: save the signing secret now. It cannot be shown again.");
    Ok(())
}

/// What `--project` says for a webhook of all projects.
const NONE: &str = "none";

/// The project that the command line names; null for none. What is configured changes no webhook.
async fn named_project(context: &Context, client: &Client) -> Result<Option<Value>, Error> {
    match context.config.lookup(Setting::Project) {
        Some((word, Source::Option)) if word == NONE => Ok(Some(Value::Null)),
        Some((reference, Source::Option)) => Ok(Some(resolve::project(client, &reference).await?.id.into())),
        _ => Ok(None),
    }
}
