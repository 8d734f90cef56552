//! Changes of an article.

use std::slice::from_ref;

use axum::Json;
use loopctl_core::code::Code;
use loopctl_core::fields::{BLANK, is_blank};
use loopctl_core::json::JsonText;
use loopctl_core::knowledge::{Category, Status, moved, tags};
use loopctl_core::request::{Custom, Request, Rule as _, custom, small_object, uuid, word};
use uuid::Uuid;

use super::api::{ArticleResponse, BODY, CATEGORY, TITLE, check_project, is_of_tenant, taken};
use super::store::{Article, LOCK_ARTICLE, UPDATE_ARTICLE};
use super::told;
use crate::app::{AtLeast, KeyHolder, User};
use crate::db::{AsJson, Params};
use crate::http::{ApiError, ApiResult, Body, Id};
use crate::knowledge::embeddings;
use crate::knowledge::system::{self, Whose, whose};

/// A category that may be left out, and is not blank.
const fn other_category() -> Custom<Option<Category>> {
    custom(
        |fields, name| {
            if fields.value(name).is_some_and(|value| is_blank(&value)) {
                fields.fail(name, BLANK);
                return None;
            }
            CATEGORY.read(fields, name).and_then(Category::parse)
        },
        || CATEGORY.schema(),
    )
}

/// `PATCH /articles/:id`: every field is optional, and what is null stays.
#[derive(Request)]
pub(super) struct ArticleUpdateRequest {
    #[rule(TITLE.filled())]
    title: Option<String>,
    /// Markdown.
    #[rule(BODY.filled())]
    body: Option<String>,
    #[rule(other_category())]
    category: Option<Category>,
    #[rule(word(Status::WORDS, Status::parse).strict())]
    status: Option<Status>,
    /// Replaces all of them.
    #[rule(tags())]
    tags: Option<Vec<String>>,
    /// Replaces the whole object.
    #[rule(small_object())]
    metadata: Option<JsonText>,
    #[rule(uuid())]
    project_id: Option<Uuid>,
}

impl ArticleUpdateRequest {
    /// The article after this change.
    ///
    /// # Errors
    /// 422 when it does not go to that status.
    fn changed(&self, old: &Article) -> ApiResult<Article> {
        let new = self.applied_to(old);
        if new.status != old.status {
            moved(old.status, new.status).map_err(not_that_way)?;
        }
        Ok(new)
    }

    fn applied_to(&self, old: &Article) -> Article {
        Article {
            title: self.title.as_ref().unwrap_or(&old.title).clone(),
            body: self.body.as_ref().unwrap_or(&old.body).clone(),
            category: self.category.unwrap_or(old.category),
            status: self.status.unwrap_or(old.status),
            tags: self.tags.as_ref().unwrap_or(&old.tags).clone(),
            metadata: self.metadata.as_ref().unwrap_or(&old.metadata).clone(),
            project_id: self.project_id.or(old.project_id),
            ..old.clone()
        }
    }
}

pub(super) async fn update(
    holder: KeyHolder<AtLeast<User>>,
    Id(id): Id,
    body: Body<ArticleUpdateRequest>,
) -> ApiResult<Json<ArticleResponse>> {
    let caller = match whose(holder, id).await? {
        Whose::Tenants(caller) => caller,
        Whose::System(superadmin) => {
            let sent = body.valid()?;
            return system::change(
                &superadmin,
                id,
                |old| sent.changed(old),
                |article| Json(ArticleResponse { data: article }),
            )
            .await;
        }
    };
    let changed = caller
        .change(async |mut change| {
            let old = change.found(LOCK_ARTICLE, &[&id]).await?;
            let is_known = is_of_tenant(&mut change, body.anyway().project_id).await?;
            let new = body.checked(|_, errors| check_project(is_known, errors))?.changed(&old)?;
            let changed = told::changed_fields(&old, &new);
            if changed.is_empty() {
                return change.unchanged(Json(ArticleResponse { data: old })).await;
            }
            let params: Params<'_> = &[
                &id,
                &new.title,
                &new.body,
                &new.category.as_str(),
                &new.status.as_str(),
                &new.tags,
                &AsJson(&new.metadata),
                &new.project_id,
            ];
            let article = change.one(UPDATE_ARTICLE, params).await.map_err(taken)?;
            if ["title", "body", "status"].iter().any(|field| changed.contains(field)) {
                embeddings::changed(&mut change, from_ref(&article)).await?;
            }
            change.tell([told::updated(&old, &article, &changed)]);
            change.commit(Json(ArticleResponse { data: article })).await
        })
        .await;
    let answer = system::or_forbidden(&caller.app, id, changed).await?;
    caller.app.jobs.wake();
    Ok(answer)
}

/// What refuses a change of status.
pub(super) fn not_that_way(message: String) -> ApiError {
    ApiError::unprocessable(Code::InvalidTransition, message)
}
