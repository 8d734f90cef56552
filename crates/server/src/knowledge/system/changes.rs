//! What superadmins do to system articles, by the routes of articles. It is told in the log that belongs to no tenant, and to no webhook.

use std::slice::from_ref;

use axum::http::StatusCode;
use loopctl_core::code::Code;
use loopctl_core::json::JsonText;
use loopctl_core::knowledge::Status;
use loopctl_core::role::Role;
use uuid::Uuid;

use super::store::{CHANGE_SYSTEM_ARTICLE, CREATE_SYSTEM_ARTICLE, LOCK_SYSTEM_ARTICLE, SHOW_SYSTEM_ARTICLE};
use crate::app::{App, Caller, Change, Identity, KeyHolder};
use crate::db::{AsJson, DbError, Params};
use crate::events::Event;
use crate::http::{Answer, ApiError, ApiResult};
use crate::knowledge::articles::{Article, told};
use crate::knowledge::embeddings;

/// A system article, whatever its status.
///
/// # Errors
/// When the database fails.
pub(crate) async fn find(app: &App, id: Uuid) -> ApiResult<Option<Article>> {
    let found = app.db.read(Uuid::nil(), SHOW_SYSTEM_ARTICLE.with(&[&id])).await?;
    Ok(found.into_iter().next().map(Article::from))
}

/// Whose the article is that somebody wants to change.
pub(crate) enum Whose<A> {
    /// That of a tenant, or nobody's.
    Tenants(Caller<A>),
    /// The server's, and this is a superadmin.
    System(Identity),
}

/// Finds out whose an article is, as far as it matters before the tenant's own are looked at: only superadmins may change the others.
///
/// # Errors
/// 403 for a system article and a superadmin who has taken on another role; 400 for a superadmin inside no tenant, unless it is one; or
/// when the database fails.
pub(crate) async fn whose<A>(holder: KeyHolder<A>, id: Uuid) -> ApiResult<Whose<A>> {
    if holder.may_call(&[Role::Superadmin]) && find(holder.app(), id).await?.is_some() {
        return beyond_tenants(holder).map(Whose::System);
    }
    holder.in_tenant().map(Whose::Tenants)
}

/// What came of a tenant's change of an article. Where the tenant has none of that id, the one that everybody may read is not theirs.
///
/// # Errors
/// Those of the change, 403 in place of 404 for a published system article; or when the database fails.
pub(crate) async fn or_forbidden<T>(app: &App, id: Uuid, changed: ApiResult<T>) -> ApiResult<T> {
    match changed {
        Err(error) if error.is_not_found() => match find(app, id).await? {
            Some(article) if article.status == Status::Published => Err(forbidden()),
            _ => Err(error),
        },
        changed => changed,
    }
}

/// The caller as a superadmin who works on system articles.
///
/// # Errors
/// 403 for everybody else.
pub(crate) fn beyond_tenants<A>(holder: KeyHolder<A>) -> ApiResult<Identity> {
    holder.beyond_tenants().ok_or_else(forbidden)
}

/// 403: what is everybody's is not written by a tenant.
pub(crate) fn forbidden() -> ApiError {
    let message = "System-scoped articles require superadmin role";
    ApiError::new(StatusCode::FORBIDDEN, Code::SystemScopeForbidden, message)
}

/// A system article that is to be.
pub(crate) struct NewSystemArticle<'a> {
    pub(crate) id: Uuid,
    pub(crate) slug: &'a str,
    pub(crate) title: &'a str,
    pub(crate) body: &'a str,
    pub(crate) category: &'a str,
    pub(crate) status: &'a str,
    pub(crate) tags: &'a Vec<String>,
    pub(crate) metadata: &'a JsonText,
}

/// Creates a system article.
///
/// # Errors
/// 422 when its slug is taken; or when the database fails.
pub(crate) async fn create<T: Answer>(
    superadmin: &Identity,
    new: &NewSystemArticle<'_>,
    answer: impl Fn(Article) -> T,
) -> ApiResult<T> {
    let NewSystemArticle { id, slug, title, body, category, status, tags, metadata } = new;
    superadmin
        .change(async |mut change| {
            let params: Params<'_> =
                &[&superadmin.key_id, id, slug, title, body, category, status, tags, &AsJson(metadata)];
            let article: Article = change.one(CREATE_SYSTEM_ARTICLE, params).await.map_err(taken)?.into();
            embeddings::changed(&mut change, from_ref(&article)).await?;
            change.tell([of_nobody(told::created(&article))]);
            change.commit(answer(article)).await
        })
        .await
        .inspect(|_| superadmin.app.jobs.wake())
}

fn taken(error: DbError) -> ApiError {
    if error.violates("system_articles_slug") {
        return ApiError::invalid_field("slug", "has already been taken");
    }
    error.into()
}

/// Changes a system article. `changed` makes of what it is what it is to be, or refuses that.
///
/// # Errors
/// 404 when there is none; what `changed` refuses; or when the database fails.
pub(crate) async fn change<T: Answer>(
    superadmin: &Identity,
    id: Uuid,
    changed: impl Fn(&Article) -> ApiResult<Article>,
    answer: impl Fn(Article) -> T,
) -> ApiResult<T> {
    superadmin
        .change(async |mut change| {
            let old = locked(&mut change, id).await?;
            // It stays nobody's.
            let new = Article { project_id: None, ..changed(&old)? };
            let fields = told::changed_fields(&old, &new);
            if fields.is_empty() {
                return change.unchanged(answer(old)).await;
            }
            let article = write(&mut change, &new).await?;
            embeddings::changed(&mut change, from_ref(&article)).await?;
            change.tell([of_nobody(told::updated(&old, &article, &fields))]);
            change.commit(answer(article)).await
        })
        .await
        .inspect(|_| superadmin.app.jobs.wake())
}

/// Gives a system article another status, if `passes` lets it; that which it has is no change.
///
/// # Errors
/// 404 when there is none; what `passes` refuses; or when the database fails.
pub(crate) async fn set_status<T: Answer>(
    superadmin: &Identity,
    id: Uuid,
    status: Status,
    passes: impl Fn(Status) -> ApiResult<()>,
    answer: impl Fn(Article) -> T,
) -> ApiResult<T> {
    superadmin
        .change(async |mut change| {
            let old = locked(&mut change, id).await?;
            passes(old.status)?;
            if old.status == status {
                return change.unchanged(answer(old)).await;
            }
            let from = old.status;
            let article = write(&mut change, &Article { status, ..old }).await?;
            embeddings::changed(&mut change, from_ref(&article)).await?;
            change.tell([of_nobody(told::moved(&article, from))]);
            change.commit(answer(article)).await
        })
        .await
        .inspect(|_| superadmin.app.jobs.wake())
}

async fn locked(change: &mut Change<'_>, id: Uuid) -> ApiResult<Article> {
    let key_id = change.caller.key_id;
    change.found(LOCK_SYSTEM_ARTICLE, &[&key_id, &id]).await.map(Article::from)
}

async fn write(change: &mut Change<'_>, new: &Article) -> ApiResult<Article> {
    let Article { id, title, body, category, status, tags, metadata, .. } = new;
    let (key_id, category, status) = (change.caller.key_id, category.as_str(), status.as_str());
    let params: Params<'_> = &[&key_id, id, title, body, &category, &status, tags, &AsJson(metadata)];
    Ok(change.one(CHANGE_SYSTEM_ARTICLE, params).await?.into())
}

/// Tells no webhook: they are tenants'.
fn of_nobody(event: Event) -> Event {
    Event { notice: None, ..event }.meta("scope", "system")
}
