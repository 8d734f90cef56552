//! References: what people type (`my-app`, `US-2.1`, `worker-1`) becomes the ids that the API wants.
//!
//! Filters such as `number=` are sent as hints only: every match is checked here, and lists are paged to the end, so the
//! tool also works with servers that ignore the hints.

mod key;

use loopctl_core::knowledge::check_slug;
use loopctl_core::number::StoryNumber;
use serde_json::Value;
use unicode_normalization::UnicodeNormalization;
use uuid::Uuid;

use crate::client::Client;
use crate::config::{Setting, Source};
use crate::context::Context;
use crate::error::Error;
use crate::output::rows_of;
use crate::pages::{self, STORY_PAGE};

pub(crate) use key::key;

/// A project or story with the name under which the user knows it.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) id: String,
    pub(crate) label: String,
}

/// An id in any notation, in the one the server uses.
pub(crate) fn uuid(reference: &str) -> Option<String> {
    Uuid::try_parse(reference.trim()).ok().map(|id| id.to_string())
}

/// The id of something that has no other name; `what` it is stands in the message.
pub(crate) fn id(what: &str, reference: &str) -> Result<String, Error> {
    uuid(reference).ok_or_else(|| Error::Usage(format!("Invalid {what} id '{reference}': it must be a UUID")))
}

/// The number in a story reference: `2.1`, `26.R.1`, `US-2.1`, `us_2.1`, `US 2.1`.
pub(crate) fn story_number(reference: &str) -> Option<String> {
    let text = reference.trim();
    let bare = match text.get(..3) {
        Some(prefix) if ["us-", "us_", "us "].contains(&prefix.to_ascii_lowercase().as_str()) => {
            text.get(3..)?
        }
        _ => text,
    };
    StoryNumber::parse(bare).ok().map(|number| number.as_str().to_owned())
}

/// The number in an epic reference: `2`, `E2`, `epic-2`, `epic_2`.
pub(crate) fn epic_number(reference: &str) -> Option<u64> {
    let text = reference.trim().to_ascii_lowercase();
    let bare =
        ["epic-", "epic_", "epic ", "e"].iter().find_map(|prefix| text.strip_prefix(prefix)).unwrap_or(&text);
    bare.parse().ok().filter(|_| bare.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The project given by option, environment or file.
pub(crate) async fn configured_project(context: &Context, client: &Client) -> Result<Option<Found>, Error> {
    match context.config.get(Setting::Project) {
        Some(reference) => project(client, &reference).await.map(Some),
        None => Ok(None),
    }
}

/// The project that the command line names. What is configured does not count: most of what may be
/// of one project is of all of them.
pub(crate) async fn named_project(context: &Context, client: &Client) -> Result<Option<String>, Error> {
    match project_option(context) {
        Some(reference) => Ok(Some(project(client, &reference).await?.id)),
        None => Ok(None),
    }
}

/// The same as it was typed.
pub(crate) fn project_option(context: &Context) -> Option<String> {
    let (reference, source) = context.config.lookup(Setting::Project)?;
    (source == Source::Option).then_some(reference)
}

/// The configured project, else the tenant's only active one. `what` starts the message when neither exists.
pub(crate) async fn project_for(context: &Context, client: &Client, what: &str) -> Result<Found, Error> {
    if let Some(project) = configured_project(context, client).await? {
        return Ok(project);
    }
    let mut active = all_pages(client, "/projects", &[("status", "active")]).await?;
    match active.pop() {
        Some(only) if active.is_empty() => Ok(found(&only, "slug")),
        last => {
            let names: Vec<String> = active.iter().chain(&last).map(|row| found(row, "slug").label).collect();
            let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            Err(Error::Usage(format!("{what} needs --project (projects: {names})")))
        }
    }
}

/// A project by id, slug or name.
pub(crate) async fn project(client: &Client, reference: &str) -> Result<Found, Error> {
    if let Some(id) = uuid(reference) {
        return Ok(Found { label: id.clone(), id });
    }
    let hinted = all_pages(client, "/projects", &[("slug", reference), ("include_archived", "true")]).await?;
    if let Some(row) = hinted.iter().find(|row| row["slug"] == reference) {
        return Ok(found(row, "slug"));
    }
    let every = all_pages(client, "/projects", &[("include_archived", "true")]).await?;
    let exact: Vec<&Value> = every.iter().filter(|row| is_named(row, reference)).collect();
    let same_letters = |row: &&Value| {
        let lower = |text: &str| composed(text).to_lowercase();
        let matches = |key: &str| row[key].as_str().is_some_and(|text| lower(text) == lower(reference));
        matches("name") || matches("slug")
    };
    let candidates = if exact.is_empty() { every.iter().filter(same_letters).collect() } else { exact };
    match candidates.as_slice() {
        [] => Err(Error::NotFound(format!("Project {reference} not found"))),
        [only] => Ok(found(only, "slug")),
        several => {
            let slugs: Vec<String> = several.iter().map(|row| found(row, "slug").label).collect();
            Err(Error::Usage(format!("Project name '{reference}' is ambiguous: {}", slugs.join(", "))))
        }
    }
}

/// A story by id or number.
pub(crate) async fn story(context: &Context, client: &Client, reference: &str) -> Result<Found, Error> {
    let number = match story_reference(reference)? {
        Reference::Id(id) => return Ok(Found { label: id.clone(), id }),
        Reference::Number(number) => number,
    };
    let project = project_for(context, client, &format!("Story number '{number}'")).await?;
    let mut wanted = vec![number];
    let mut found = search(client, &project, &mut wanted).await?;
    found.pop().ok_or_else(|| Unknown { numbers: wanted, project: project.label }.into())
}

/// Several stories by id or number, in the order in which they are named.
pub(crate) async fn stories(
    context: &Context,
    client: &Client,
    references: &[String],
) -> Result<Vec<Found>, Error> {
    let named = named_stories(context, client, references).await?;
    named.unknown.map_or(Ok(named.known), |unknown| Err(unknown.into()))
}

/// What became of the names of several stories.
#[derive(Debug)]
pub(crate) struct Named {
    /// In the order in which they are named.
    pub(crate) known: Vec<Found>,
    pub(crate) unknown: Option<Unknown>,
}

/// Numbers that no story of the project has, each once.
#[derive(Debug)]
pub(crate) struct Unknown {
    pub(crate) numbers: Vec<String>,
    /// As the user knows it.
    pub(crate) project: String,
}

impl From<Unknown> for Error {
    fn from(Unknown { numbers, project }: Unknown) -> Self {
        let what = if numbers.len() == 1 { "Story" } else { "Stories" };
        Self::NotFound(format!("{what} {} not found in project {project}", numbers.join(", ")))
    }
}

/// Several stories by id or number, as far as they are there.
pub(crate) async fn named_stories(
    context: &Context,
    client: &Client,
    references: &[String],
) -> Result<Named, Error> {
    let references =
        references.iter().map(|text| story_reference(text)).collect::<Result<Vec<_>, Error>>()?;
    let mut wanted: Vec<String> = Vec::new();
    for reference in &references {
        if let Reference::Number(number) = reference
            && !wanted.contains(number)
        {
            wanted.push(number.clone());
        }
    }
    let (mut found, mut unknown) = (Vec::new(), None);
    if let Some(first) = wanted.first() {
        let project = project_for(context, client, &format!("Story number '{first}'")).await?;
        found = search(client, &project, &mut wanted).await?;
        unknown = (!wanted.is_empty()).then_some(Unknown { numbers: wanted, project: project.label });
    }
    let pick = |reference| match reference {
        Reference::Id(id) => Some(Found { label: id.clone(), id }),
        Reference::Number(number) => found.iter().find(|story| story.label == number).cloned(),
    };
    Ok(Named { known: references.into_iter().filter_map(pick).collect(), unknown })
}

/// How a story was named.
enum Reference {
    Id(String),
    Number(String),
}

fn story_reference(reference: &str) -> Result<Reference, Error> {
    if let Some(id) = uuid(reference) {
        return Ok(Reference::Id(id));
    }
    story_number(reference).map(Reference::Number).ok_or_else(|| {
        Error::Usage(format!(
            "Invalid story reference '{reference}'. Use an id or a number such as 2.1 or US-2.1"
        ))
    })
}

/// So many stories are asked for one by one. Of more, a project's whole list is the shorter way.
const ONE_BY_ONE: usize = 10;

/// The stories with these numbers. What was not found stays in `wanted`.
async fn search(client: &Client, project: &Found, wanted: &mut Vec<String>) -> Result<Vec<Found>, Error> {
    let mut stories = Vec::new();
    if wanted.len() > ONE_BY_ONE {
        read_list(client, project, None, wanted, &mut stories).await?;
        return Ok(stories);
    }
    for number in wanted.clone() {
        // A server that ignores the hint has shown others as well.
        if wanted.contains(&number) {
            read_list(client, project, Some(&number), wanted, &mut stories).await?;
        }
    }
    Ok(stories)
}

/// Reads a project's stories until `number`, or without it everything, has moved from `wanted` to `stories`.
async fn read_list(
    client: &Client,
    project: &Found,
    number: Option<&String>,
    wanted: &mut Vec<String>,
    stories: &mut Vec<Found>,
) -> Result<(), Error> {
    let (limit, mut offset) = (STORY_PAGE.to_string(), 0);
    loop {
        let position = offset.to_string();
        let mut query = vec![("project_id", project.id.as_str())];
        query.extend(number.map(|number| ("number", number.as_str())));
        query.extend([("limit", limit.as_str()), ("offset", &position)]);
        let page = client.get("/stories", &query).await?;
        let rows = rows_of(&page);
        for row in rows {
            if let Some(place) = wanted.iter().position(|number| row["number"] == number.as_str()) {
                wanted.remove(place);
                stories.push(found(row, "number"));
            }
        }
        offset += rows.len();
        let done = number.map_or(wanted.is_empty(), |number| !wanted.contains(number));
        let total = page["meta"]["total_count"].as_u64();
        if done || rows.is_empty() || total.is_some_and(|total| offset as u64 >= total) {
            return Ok(());
        }
    }
}

/// An epic by id or number.
pub(crate) async fn epic(context: &Context, client: &Client, reference: &str) -> Result<Found, Error> {
    if let Some(id) = uuid(reference) {
        return Ok(Found { label: id.clone(), id });
    }
    let number = epic_reference(reference)?;
    let project = project_for(context, client, &format!("Epic number '{number}'")).await?;
    epic_numbered(client, &project, number).await
}

/// An epic by id, or by number in this project.
pub(crate) async fn epic_in(client: &Client, project: &Found, reference: &str) -> Result<Found, Error> {
    if let Some(id) = uuid(reference) {
        return Ok(Found { label: id.clone(), id });
    }
    epic_numbered(client, project, epic_reference(reference)?).await
}

async fn epic_numbered(client: &Client, project: &Found, number: u64) -> Result<Found, Error> {
    let rows = all_pages(client, &format!("/projects/{}/epics", project.id), &[]).await?;
    rows.iter()
        .find(|row| row["number"] == number)
        .map(|row| found(row, "title"))
        .ok_or_else(|| unknown_epic(number, project))
}

/// There is no epic with this number.
pub(crate) fn unknown_epic(number: u64, project: &Found) -> Error {
    Error::NotFound(format!("Epic {number} not found in project {}", project.label))
}

/// The number in an epic reference that is no id.
pub(crate) fn epic_reference(reference: &str) -> Result<u64, Error> {
    epic_number(reference).ok_or_else(|| {
        Error::Usage(format!(
            "Invalid epic reference '{reference}'. Use an id or a number such as 2 or epic-2"
        ))
    })
}

/// An agent by id or name.
pub(crate) async fn agent(client: &Client, reference: &str) -> Result<Found, Error> {
    if let Some(id) = uuid(reference) {
        return Ok(Found { label: id.clone(), id });
    }
    let rows = all_pages(client, "/agents", &[]).await?;
    rows.iter()
        .find(|row| is_named(row, reference))
        .map(|row| found(row, "name"))
        .ok_or_else(|| Error::NotFound(format!("Agent {reference} not found")))
}

/// A skill by id or name. Of several of one name, in several projects, the configured project's counts, then that of the whole tenant.
pub(crate) async fn skill(context: &Context, client: &Client, reference: &str) -> Result<Found, Error> {
    if let Some(id) = uuid(reference) {
        return Ok(Found { label: id.clone(), id });
    }
    let mut rows = all_pages(client, "/skills", &[("name", reference)]).await?;
    rows.retain(|row| is_named(row, reference));
    let of_tenant = rows.iter().find(|row| row["project_id"].is_null());
    if rows.iter().any(|row| !row["project_id"].is_null())
        && let Some(project) = configured_project(context, client).await?
    {
        let of_project = rows.iter().find(|row| row["project_id"] == project.id.as_str());
        if let Some(row) = of_project.or(of_tenant) {
            return Ok(found(row, "name"));
        }
        return Err(Error::NotFound(format!("Skill {reference} not found in project {}", project.label)));
    }
    match (of_tenant, rows.as_slice()) {
        (Some(row), _) | (None, [row]) => Ok(found(row, "name")),
        (None, []) => Err(Error::NotFound(format!("Skill {reference} not found"))),
        (None, _) => {
            Err(Error::Usage(format!("Several projects have a skill {reference}: name one with --project")))
        }
    }
}

/// An article by id, slug or title. Of several of one title, which are laid aside but one, it is that one.
pub(crate) async fn article(client: &Client, reference: &str) -> Result<Found, Error> {
    if let Some(id) = uuid(reference) {
        return Ok(Found { label: id.clone(), id });
    }
    let named = reference.trim();
    if named.is_empty() {
        return Err(Error::Usage("The name of an article must not be blank".to_owned()));
    }
    // Slugs have no blanks and no capitals; most titles do.
    if check_slug(named).is_ok() {
        let hinted = all_pages(client, "/articles", &[("slug", named)]).await?;
        if let Some(row) = hinted.iter().find(|row| row["slug"] == named) {
            return Ok(found(row, "title"));
        }
    }
    let mut rows: Vec<Value> = Vec::new();
    for spelling in spellings(named) {
        for row in all_pages(client, "/articles", &[("title", &spelling)]).await? {
            let is_named = row["title"].as_str().is_some_and(|title| composed(title) == composed(named));
            if is_named && rows.iter().all(|known| known["id"] != row["id"]) {
                rows.push(row);
            }
        }
    }
    let is_live = |row: &&Value| ["draft", "published"].iter().any(|status| row["status"] == *status);
    match (rows.iter().find(is_live), rows.as_slice()) {
        (Some(row), _) | (None, [row]) => Ok(found(row, "title")),
        (None, []) => Err(Error::NotFound(format!(
            "Article {named} not found. `loopctl knowledge search` finds what is published, `knowledge drafts` the rest"
        ))),
        (None, several) => {
            let ids: Vec<String> = several.iter().map(|row| found(row, "id").id).collect();
            Err(Error::Usage(format!("Several articles were called '{named}': {}", ids.join(", "))))
        }
    }
}

/// A tenant by id or slug, for superadmins.
pub(crate) async fn tenant(client: &Client, reference: &str) -> Result<Found, Error> {
    if let Some(id) = uuid(reference) {
        return Ok(Found { label: id.clone(), id });
    }
    let slug = reference.trim();
    let rows = all_pages(client, "/admin/tenants", &[("search", slug)]).await?;
    rows.iter()
        .find(|row| row["slug"] == slug)
        .map(|row| found(row, "slug"))
        .ok_or_else(|| Error::NotFound(format!("Tenant {slug} not found")))
}

fn is_named(row: &Value, reference: &str) -> bool {
    row["name"].as_str().is_some_and(|name| composed(name) == composed(reference))
}

/// A text with its accents in the one form (NFC): what looks the same is the same, however it was typed.
fn composed(text: &str) -> String {
    text.nfc().collect()
}

/// A text with its accents as they were typed, and in either form: the server compares sign by sign.
fn spellings(text: &str) -> Vec<String> {
    let mut spellings = vec![text.to_owned()];
    for other in [composed(text), text.nfd().collect()] {
        if !spellings.contains(&other) {
            spellings.push(other);
        }
    }
    spellings
}

/// Every row of a page-style list.
async fn all_pages(client: &Client, path: &str, filters: &[(&str, &str)]) -> Result<Vec<Value>, Error> {
    Ok(rows_of(&pages::by_page(client, path, filters).await?).to_vec())
}

fn found(row: &Value, label: &str) -> Found {
    let text = |key: &str| crate::table::plain(&row[key]);
    Found { id: text("id"), label: text(label) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn story_numbers_lose_their_prefix() {
        for reference in ["2.1", "US-2.1", "us-2.1", "US_2.1", "US 2.1", " us-2.1 "] {
            assert_eq!(story_number(reference).as_deref(), Some("2.1"), "{reference}");
        }
        assert_eq!(story_number("2").as_deref(), Some("2"));
        for text in ["1.01", "00001.1"] {
            assert_eq!(story_number(text).as_deref(), Some(text), "numbers are compared as text");
        }
    }

    #[test]
    fn other_texts_are_no_story_numbers() {
        for reference in ["", "US-", "1.2.3.4.5.6.7", "1.", ".1", "+1.1", "é2.1", "us-US-1", "us us-1", "2 1"]
        {
            assert_eq!(story_number(reference), None, "{reference}");
        }
    }

    #[test]
    fn epics_are_known_by_several_spellings() {
        for reference in ["2", "E2", "e2", "epic-2", "epic_2", "Epic 2"] {
            assert_eq!(epic_number(reference), Some(2), "{reference}");
        }
        for reference in ["", "e", "epic", "-2", "+2", "2.1"] {
            assert_eq!(epic_number(reference), None, "{reference}");
        }
    }

    #[test]
    fn ids_are_lower_cased() {
        let id = "0192AAAA-0000-7000-8000-000000000001";
        assert_eq!(uuid(id).unwrap(), id.to_lowercase());
        assert_eq!(uuid("my-app"), None);
    }
}
