//! What superadmins do to system articles, by the routes of articles. It is told in the log that belongs to no tenant, and to no webhook.

use axum::http::StatusCode;
use loopctl_core::code::Code;
use loopctl_core::json::JsonText;
use loopctl_core::knowledge::{Category, Move, Status, generated_slug, moved};
use serde_json::json;
use uuid::Uuid;

use super::store::{
    CHANGE_SYSTEM_ARTICLE, CREATE_SYSTEM_ARTICLE, LOCK_SYSTEM_ARTICLE, SHOW_SYSTEM_ARTICLE, SystemArticle,
};
use crate::app::{Caller, Change, Committed, Identity, KeyHolder};
use crate::db::{DbError, Jsonb, Params};
use crate::events::{Event, Field};
use crate::http::{Answer, ApiError, ApiResult};

/// Whose the article is that somebody wants to change.
pub(crate) enum Whose<A> {
    /// That of a tenant, or nobody's.
    Tenants(Caller<A>),
    /// The server's, and this is a superadmin.
    System(Identity),
}

/// Finds out whose an article is.
///
/// # Errors
/// 403 for a system article, unless it is a superadmin who asks; 400 for a superadmin inside no tenant, unless it is one; or when the
/// database fails.
pub(crate) async fn whose<A>(holder: KeyHolder<A>, id: Uuid) -> ApiResult<Whose<A>> {
    let found = holder.app().db.read(Uuid::nil(), SHOW_SYSTEM_ARTICLE.with(&[&id])).await?;
    if found.is_empty() { holder.in_tenant().map(Whose::Tenants) } else { beyond(holder).map(Whose::System) }
}

/// The caller as a superadmin who works on system articles.
///
/// # Errors
/// 403 for everybody else.
pub(crate) fn beyond<A>(holder: KeyHolder<A>) -> ApiResult<Identity> {
    let message = "System-scoped articles require superadmin role";
    let forbidden = || ApiError::new(StatusCode::FORBIDDEN, Code::SystemScopeForbidden, message);
    holder.beyond_tenants().ok_or_else(forbidden)
}

/// A system article that is to be.
pub(crate) struct Draft {
    /// None: made of the title.
    pub(crate) slug: Option<String>,
    pub(crate) title: String,
    pub(crate) body: String,
    pub(crate) category: Category,
    pub(crate) status: Status,
    pub(crate) tags: Vec<String>,
    pub(crate) metadata: JsonText,
}

/// Creates a system article.
///
/// # Errors
/// 422 when its slug is taken; or when the database fails.
pub(crate) async fn create<T: Answer>(
    superadmin: &Identity,
    draft: &Draft,
    answer: impl Fn(SystemArticle) -> T,
) -> ApiResult<T> {
    let Draft { slug, title, body, category, status, tags, metadata } = draft;
    let slug = slug.clone().unwrap_or_else(|| generated_slug(title, rand::random()));
    superadmin
        .change(async |mut change| {
            let (id, category, status) = (Uuid::now_v7(), category.as_str(), status.as_str());
            let params: Params<'_> =
                &[&superadmin.key_id, &id, &slug, title, body, &category, &status, tags, &Jsonb(metadata)];
            let created = change.one(CREATE_SYSTEM_ARTICLE, params).await.map_err(slug_taken)?;
            change.tell([told_created(id, title, category, status, tags)]);
            change.commit(answer(created)).await
        })
        .await
}

fn slug_taken(error: DbError) -> ApiError {
    if error.violates("system_articles_slug") {
        return ApiError::invalid_field("slug", "has already been taken");
    }
    error.into()
}

/// The audit entry of a new system article.
pub(super) fn told_created(id: Uuid, title: &str, category: &str, status: &str, tags: &[impl AsRef<str>]) -> Event {
    let tags: Vec<_> = tags.iter().map(AsRef::as_ref).collect();
    let told = json!({"title": title, "category": category, "status": status, "tags": tags, "project_id": null});
    Event::new("article", id, "created", told).meta("scope", "system")
}

/// What is to become of a system article; None: it stays so.
#[derive(Default)]
pub(crate) struct Edit {
    pub(crate) title: Option<String>,
    pub(crate) body: Option<String>,
    pub(crate) category: Option<Category>,
    pub(crate) status: Option<Status>,
    pub(crate) tags: Option<Vec<String>>,
    pub(crate) metadata: Option<JsonText>,
}

impl Edit {
    fn applied_to(&self, old: &SystemArticle) -> SystemArticle {
        let category = self.category.map(|category| category.as_str().to_owned());
        let status = self.status.map(|status| status.as_str().to_owned());
        SystemArticle {
            title: self.title.as_ref().unwrap_or(&old.title).clone(),
            body: self.body.as_ref().unwrap_or(&old.body).clone(),
            category: category.unwrap_or_else(|| old.category.clone()),
            status: status.unwrap_or_else(|| old.status.clone()),
            tags: self.tags.as_ref().unwrap_or(&old.tags).clone(),
            metadata: self.metadata.as_ref().unwrap_or(&old.metadata).clone(),
            ..old.clone()
        }
    }
}

/// Changes a system article.
///
/// # Errors
/// 404 when there is none; 422 when it cannot go to that status; or when the database fails.
pub(crate) async fn change<T: Answer>(
    superadmin: &Identity,
    id: Uuid,
    edit: &Edit,
    answer: impl Fn(SystemArticle) -> T,
) -> ApiResult<T> {
    superadmin
        .change(async |mut change| {
            let old = change.found(LOCK_SYSTEM_ARTICLE, &[&superadmin.key_id, &id]).await?;
            let new = edit.applied_to(&old);
            if new.status != old.status {
                passes(&old.status, edit.status)?;
            }
            save(change, old, new, Told::Fields, &answer).await
        })
        .await
}

/// Publishes a system article, takes it back, or lays it aside.
///
/// # Errors
/// As [`change`].
pub(crate) async fn move_on<T: Answer>(
    superadmin: &Identity,
    id: Uuid,
    way: Move,
    answer: impl Fn(SystemArticle) -> T,
) -> ApiResult<T> {
    superadmin
        .change(async |mut change| {
            let old = change.found(LOCK_SYSTEM_ARTICLE, &[&superadmin.key_id, &id]).await?;
            passes(&old.status, Some(way.to()))?;
            let new = SystemArticle { status: way.to().as_str().to_owned(), ..old.clone() };
            let action = match way {
                Move::Publish => "published",
                Move::Unpublish => "unpublished",
                Move::Archive => "archived",
            };
            save(change, old, new, Told::Status(action), &answer).await
        })
        .await
}

/// Lays a system article aside, whatever its status. Done again it changes nothing.
///
/// # Errors
/// 404 when there is none; or when the database fails.
pub(crate) async fn remove<T: Answer>(
    superadmin: &Identity,
    id: Uuid,
    answer: impl Fn(SystemArticle) -> T,
) -> ApiResult<T> {
    superadmin
        .change(async |mut change| {
            let old = change.found(LOCK_SYSTEM_ARTICLE, &[&superadmin.key_id, &id]).await?;
            let new = SystemArticle { status: Status::Archived.as_str().to_owned(), ..old.clone() };
            save(change, old, new, Told::Status("archived"), &answer).await
        })
        .await
}

/// 422 unless an article may go from a status to that one.
fn passes(from: &str, to: Option<Status>) -> ApiResult<()> {
    let (Some(from), Some(to)) = (Status::parse(from), to) else { return Ok(()) };
    moved(from, to).map_err(|message| ApiError::unprocessable(Code::InvalidTransition, message))
}

/// What is told of a change.
enum Told {
    /// All of the article, before and after.
    Fields,
    /// Its status, by this action.
    Status(&'static str),
}

/// Writes and tells what has become of a locked article; nothing, where nothing differs.
async fn save<'a, T: Answer>(
    mut change: Change<'a>,
    old: SystemArticle,
    new: SystemArticle,
    told: Told,
    answer: &impl Fn(SystemArticle) -> T,
) -> ApiResult<Committed<T>> {
    let fields = [
        Field::value("title", &old.title, &new.title),
        Field::value("body", &old.body, &new.body),
        Field::value("category", &old.category, &new.category),
        Field::value("status", &old.status, &new.status),
        Field::value("tags", &old.tags, &new.tags),
        Field::document("metadata", &old.metadata, &new.metadata),
    ];
    const ALL: [&str; 6] = ["title", "body", "category", "status", "tags", "metadata"];
    let Some(event) = Event::updated("article", old.id, &ALL, &fields) else {
        return change.unchanged(answer(old)).await;
    };
    let event = match told {
        Told::Fields => event,
        Told::Status(action) => {
            Event::new("article", old.id, action, json!({"status": new.status})).old(json!({"status": old.status}))
        }
    };
    let params: Params<'_> = &[
        &change.caller.key_id,
        &new.id,
        &new.title,
        &new.body,
        &new.category,
        &new.status,
        &new.tags,
        &Jsonb(&new.metadata),
    ];
    let changed = change.one(CHANGE_SYSTEM_ARTICLE, params).await?;
    change.tell([event.meta("scope", "system")]);
    change.commit(answer(changed)).await
}
