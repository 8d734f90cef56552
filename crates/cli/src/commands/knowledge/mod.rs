//! `knowledge`: the wiki of what is known, for those who look something up, write it down, or keep it in order.

mod article;
mod export;
mod find;
mod ingest;
mod links;
mod lint;
mod markdown;
mod stats;

use std::path::Path;

use clap::Subcommand;
use loopctl_core::knowledge::Category;
use serde_json::Value;

use crate::args::Paging;
use crate::client::Client;
use crate::context::Context;
use crate::error::Error;
use crate::{json_argument, resolve};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Find published articles, the best first; with --project only those of that project
    #[command(after_help = find::SEARCH_EXAMPLES)]
    Search(find::SearchArguments),
    /// The best articles for a task, in full
    #[command(after_help = find::CONTEXT_EXAMPLES)]
    Context(find::ContextArguments),
    /// One article, with its links
    #[command(after_help = article::GET_EXAMPLES)]
    Get(article::GetArguments),
    /// Write an article: a draft, unless --publish (orchestrator); with --project one of that project
    #[command(after_help = article::CREATE_EXAMPLES)]
    Create(article::CreateArguments),
    /// Change an article (user)
    #[command(after_help = article::UPDATE_EXAMPLES)]
    Update(article::UpdateArguments),
    /// Let agents find a draft (orchestrator), or several, all or none (user)
    #[command(after_help = "Example:\n  loopctl knowledge publish retry-budgets")]
    Publish(article::SeveralArguments),
    /// Make a draft again of what was published or superseded (user)
    #[command(after_help = "Example:\n  loopctl knowledge unpublish retry-budgets")]
    Unpublish(article::OneArgument),
    /// Lay an article aside (user)
    #[command(after_help = "Example:\n  loopctl knowledge archive retry-budgets")]
    Archive(article::OneArgument),
    /// Drafts that wait to be published, newest first (orchestrator)
    #[command(after_help = "Example:\n  loopctl knowledge drafts --format csv")]
    Drafts(Paging),
    /// Titles of all published articles, by category
    #[command(after_help = "Example:\n  loopctl knowledge index --project my-app --format human")]
    Index(find::IndexArguments),
    /// What is stale, unlinked, contradictory or missing (orchestrator)
    #[command(after_help = lint::EXAMPLES)]
    Lint(lint::Arguments),
    /// Published articles as a ZIP of Markdown files that link to each other (orchestrator)
    #[command(after_help = export::EXAMPLES)]
    Export(export::Arguments),
    /// Have drafts made of a page or a text (orchestrator)
    #[command(after_help = ingest::EXAMPLES)]
    Ingest(ingest::Arguments),
    /// What became of what was ingested in the last 7 days (orchestrator)
    #[command(after_help = "Example:\n  loopctl knowledge jobs --format human")]
    Jobs,
    /// Links of an article, in both directions
    #[command(after_help = "Example:\n  loopctl knowledge links retry-budgets")]
    Links(article::OneArgument),
    /// Link an article with another one
    #[command(after_help = links::EXAMPLES)]
    Link(links::LinkArguments),
    /// Remove a link (user)
    #[command(after_help = "Example:\n  loopctl knowledge unlink 0192aaaa-0000-7000-8000-000000000001")]
    Unlink(links::UnlinkArguments),
    /// How often an article was read; without one, which are read most (orchestrator)
    #[command(after_help = stats::EXAMPLES)]
    Stats(stats::Arguments),
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Error> {
    match command {
        Command::Search(arguments) => find::search(context, arguments).await,
        Command::Context(arguments) => find::context(context, arguments).await,
        Command::Get(arguments) => article::get(context, arguments).await,
        Command::Create(arguments) => article::create(context, arguments).await,
        Command::Update(arguments) => article::update(context, arguments).await,
        Command::Publish(arguments) => article::publish(context, &arguments.articles).await,
        Command::Unpublish(arguments) => article::step(context, &arguments.article, "unpublish").await,
        Command::Archive(arguments) => article::step(context, &arguments.article, "archive").await,
        Command::Drafts(paging) => article::drafts(context, &paging).await,
        Command::Index(arguments) => find::index(context, arguments).await,
        Command::Lint(arguments) => lint::run(context, arguments).await,
        Command::Export(arguments) => export::run(context, arguments).await,
        Command::Ingest(arguments) => ingest::run(context, arguments).await,
        Command::Jobs => ingest::jobs(context).await,
        Command::Links(arguments) => links::list(context, &arguments.article).await,
        Command::Link(arguments) => links::link(context, arguments).await,
        Command::Unlink(arguments) => links::unlink(context, &arguments.link).await,
        Command::Stats(arguments) => stats::run(context, arguments).await,
    }
}

/// The path of an article, by whatever it is named.
async fn path(client: &Client, article: &str) -> Result<String, Error> {
    Ok(format!("/articles/{}", resolve::article(client, article).await?.id))
}

/// The path of something of the whole wiki, or of the part that the named project has.
async fn of_project(context: &Context, client: &Client, what: &str) -> Result<String, Error> {
    let project = resolve::named_project(context, client).await?;
    let before = project.map_or_else(String::new, |project| format!("/projects/{project}"));
    Ok(format!("{before}/knowledge/{what}"))
}

/// The id of the story for which something is read.
async fn story(context: &Context, client: &Client, story: Option<&str>) -> Result<Option<String>, Error> {
    match story {
        Some(story) => Ok(Some(resolve::story(context, client, story).await?.id)),
        None => Ok(None),
    }
}

/// Refuses what is no category, before anything is sent.
fn check_category(category: Option<&str>) -> Result<(), Error> {
    match category {
        Some(word) if Category::parse(word).is_none() => Err(Error::Usage(format!(
            "Invalid category '{word}'. Valid categories: {}",
            Category::WORDS.join(", ")
        ))),
        _ => Ok(()),
    }
}

/// The text of a file, or of standard input (`-`), of so many characters at most. A byte order mark is none of it.
fn text_of(file: &Path, most: usize) -> Result<String, Error> {
    let name = file.display();
    let read = if file.as_os_str() == "-" { json_argument::stdin() } else { std::fs::read_to_string(file) };
    let text = read.map_err(|error| Error::Usage(format!("Cannot read {name}: {error}")))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    if text.trim().is_empty() {
        return Err(Error::Usage(format!("{name} holds no text")));
    }
    if text.chars().count() > most {
        return Err(Error::Usage(format!("{name} has more than {most} characters")));
    }
    Ok(text.to_owned())
}

/// A member as text.
fn text<'a>(of: &'a Value, name: &str) -> &'a str {
    of[name].as_str().unwrap_or_default()
}
