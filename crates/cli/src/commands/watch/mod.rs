//! `loopctl watch`: a board of a project, or of all of a tenant's, that follows what happens.
//!
//! Three things go on beside each other: the log is read on and on (`commands::events::Feed`), what it does not say is asked for at a
//! pace (`fetch`), and whatever either of them tells is taken in and shown here. What the board knows and what follows from it is in
//! `model`, what is on the screen in `app` and `keys`, and how that looks in `view`.

mod app;
mod fetch;
mod keys;
mod model;
mod opened;
mod pace;
mod screen;
mod view;

use std::io::IsTerminal as _;

use chrono::TimeDelta;
use clap::Args;
use serde_json::Value;
use tokio::sync::mpsc;
use uuid::Uuid;

use self::fetch::{Reader, Wishes};
use self::model::{Answer, Board};
use self::screen::Screen;
use crate::client::Client;
use crate::commands::events::{Feed, Heard};
use crate::context::Context;
use crate::error::Error;
use crate::moment::ago;
use crate::resolve;

/// What its help ends with.
pub(crate) const EXAMPLES: &str = "Without --project, all active projects are shown. Tab goes from panel to panel, Enter opens a story, / filters, \
    ? lists the keys, q quits.\n\n\
    Examples:\n  loopctl watch\n  loopctl watch --project my-app --epic 2 --patience 90m";

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only the stories of this epic: id or number
    #[arg(long, value_name = "REF")]
    epic: Option<String>,
    /// After how long a story counts as held for long: 30m, 4h, 2d
    #[arg(long, value_name = "TIME", default_value = "4h")]
    patience: String,
}

/// What has been heard of the log.
enum News {
    Reached,
    Change(Value),
    /// Nothing comes any more for now; why, where the server did not only end the stream.
    Away(Option<String>),
}

/// So many changes wait to be taken in; the server waits with further ones.
const WAITING: usize = 256;

pub(crate) async fn run(context: &Context, arguments: Arguments) -> Result<(), Error> {
    let patience = ago(&arguments.patience).filter(|patience| *patience > TimeDelta::zero());
    let patience = patience.ok_or_else(|| {
        Error::Usage(format!("Invalid --patience '{}'. Valid: 30m, 4h, 2d", arguments.patience))
    })?;
    let client = context.client()?;
    if !is_shown() {
        return Err(Error::Usage(
            "watch draws on a terminal, and standard output is none. To read what happens line by line: loopctl changes --follow"
                .to_owned(),
        ));
    }
    let me = client.get("/tenants/me", &[]).await?;
    let (project, epic) = scope(context, &client, arguments.epic.as_deref()).await?;
    let mut board = Board { epic, ..Board::default() };
    let text = |path: &str| me.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (tenant_id, role) = (text("/tenant/id"), text("/api_key/role"));
    board.take(&Answer::Tenant(me));
    let wishes = Wishes::new();
    let (told, answers) = mpsc::channel(WAITING);
    let (news, heard) = mpsc::channel(WAITING);
    let filters: Vec<_> = project.iter().map(|project| ("project_id", project.clone())).collect();
    let feed = Feed::new(&client, &filters, None).quiet();
    let reader = Reader { client: &client, project, tenant_id, role, wishes: &wishes, told };
    let screen = Screen::open(board, patience, &wishes)?;
    // Whoever ends first ends it: the screen when somebody quits, the others when the key is none any more.
    tokio::select! {
        result = screen.run(heard, answers) => result,
        result = hear(feed, news) => result,
        result = reader.run() => result,
    }
}

/// Whether there is somebody who sees it.
fn is_shown() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// The project that is shown, and the epic; without a project all of them.
async fn scope(
    context: &Context,
    client: &Client,
    epic: Option<&str>,
) -> Result<(Option<String>, Option<Uuid>), Error> {
    let Some(reference) = epic else {
        let project = resolve::configured_project(context, client).await?;
        if let Some(project) = &project {
            // That it is there is known before the screen is taken.
            client.get(&format!("/projects/{}", project.id), &[]).await?;
        }
        return Ok((project.map(|project| project.id), None));
    };
    let epic = resolve::epic(context, client, reference).await?;
    let body = client.get(&format!("/epics/{}", epic.id), &[]).await?;
    let member = |name: &str| body["epic"][name].as_str().map(ToOwned::to_owned);
    let project = member("project_id").ok_or_else(Error::not_json)?;
    Ok((Some(project), member("id").and_then(|id| Uuid::try_parse(&id).ok())))
}

/// Hands on what happens.
async fn hear(mut feed: Feed<'_>, news: mpsc::Sender<News>) -> Result<(), Error> {
    loop {
        let heard = match feed.next().await? {
            Heard::Reached => News::Reached,
            Heard::Change(change) => News::Change(change),
            Heard::Ended => News::Away(None),
            Heard::Away(error) => News::Away(Some(error.to_line())),
        };
        if news.send(heard).await.is_err() {
            return Ok(());
        }
    }
}
