//! What is told of articles: in the log, and to webhooks. Bodies and metadata are told to no webhook.

use loopctl_core::json::JsonText;
use loopctl_core::knowledge::{Category, Status};
use loopctl_core::webhooks::EventType;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::store::Article;
use crate::events::{Event, Notice};

/// What webhooks are told of an article.
#[derive(Serialize)]
struct Told<'a> {
    id: Uuid,
    title: &'a str,
    category: Category,
    project_id: Option<Uuid>,
    status: Status,
    tags: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    changed_fields: Option<&'a [&'static str]>,
}

impl<'a> Told<'a> {
    /// An article as it is now.
    fn of(article: &'a Article) -> Self {
        let Article { id, project_id, title, category, status, tags, .. } = article;
        Self {
            id: *id,
            title,
            category: *category,
            project_id: *project_id,
            status: *status,
            tags,
            changed_fields: None,
        }
    }
}

/// An article was written.
pub(crate) fn created(article: &Article) -> Event {
    let Article { id, project_id, title, category, status, tags, .. } = article;
    told_created(*id, *project_id, title, *category, *status, tags)
}

/// The same, of what is known of it before it is written.
pub(super) fn told_created(
    id: Uuid,
    project_id: Option<Uuid>,
    title: &str,
    category: Category,
    status: Status,
    tags: &[String],
) -> Event {
    let entry = json!({"title": title, "category": category, "status": status, "tags": tags, "project_id": project_id});
    let payload = Told { id, title, category, project_id, status, tags, changed_fields: None };
    let notice = Notice::new(EventType::ArticleCreated, &payload);
    Event::new("article", id, "article.created", entry).project(project_id).telling(notice)
}

/// An article has gone from one status to another.
pub(crate) fn moved(article: &Article, from: Status) -> Event {
    let (action, event_type) = match article.status {
        Status::Published => ("article.published", EventType::ArticlePublished),
        Status::Draft => ("article.unpublished", EventType::ArticleUnpublished),
        Status::Archived => ("article.archived", EventType::ArticleArchived),
        Status::Superseded => ("article.superseded", EventType::ArticleSuperseded),
    };
    by_status(article, from, action).telling(Notice::new(event_type, &Told::of(article)))
}

/// An article was superseded by another one.
pub(crate) fn superseded(article: &Article, from: Status, by: (Uuid, &str)) -> Event {
    let payload = json!({
        "superseded_article_id": article.id,
        "superseded_title": article.title,
        "superseding_article_id": by.0,
        "superseding_title": by.1,
    });
    let notice = Notice::new(EventType::ArticleSuperseded, &payload);
    by_status(article, from, "article.superseded").telling(notice)
}

fn by_status(article: &Article, from: Status, action: &'static str) -> Event {
    let state = |status: Status| json!({"status": status});
    Event::new("article", article.id, action, state(article.status))
        .old(state(from))
        .project(article.project_id)
}

/// The whole of what may be changed, as the log has it before and after a change.
#[derive(Serialize)]
struct Snapshot<'a> {
    title: &'a str,
    body: &'a str,
    category: Category,
    status: Status,
    tags: &'a [String],
    project_id: Option<Uuid>,
    metadata: &'a JsonText,
}

impl<'a> Snapshot<'a> {
    fn of(article: &'a Article) -> Self {
        let Article { title, body, category, status, tags, project_id, metadata, .. } = article;
        Self { title, body, category: *category, status: *status, tags, project_id: *project_id, metadata }
    }
}

/// What a change makes other than it was, by the names of fields.
pub(crate) fn changed_fields(old: &Article, new: &Article) -> Vec<&'static str> {
    let fields = [
        ("title", old.title != new.title),
        ("body", old.body != new.body),
        ("category", old.category != new.category),
        ("status", old.status != new.status),
        ("tags", old.tags != new.tags),
        ("metadata", old.metadata != new.metadata),
        ("project_id", old.project_id != new.project_id),
    ];
    fields.into_iter().filter_map(|(name, differs)| differs.then_some(name)).collect()
}

/// An article was changed.
pub(crate) fn updated(old: &Article, new: &Article, changed: &[&'static str]) -> Event {
    let payload = Told { changed_fields: Some(changed), ..Told::of(new) };
    let before = JsonText::of(&Snapshot::of(old)).unwrap_or_else(|_| Value::Null.into());
    Event::of("article", new.id, "article.updated", &Snapshot::of(new))
        .old(before)
        .project(new.project_id)
        .telling(Notice::new(EventType::ArticleUpdated, &payload))
}
