//! Articles are published, withdrawn, and laid aside.

use std::slice::from_ref;

use axum::Json;
use loopctl_core::knowledge::{Move, Status, moved};
use uuid::Uuid;

use super::api::{ArticleResponse, taken};
use super::store::{Article, LOCK_ARTICLE, SET_STATUS};
use super::told;
use super::update::not_that_way;
use crate::app::{AtLeast, Change, Committed, KeyHolder, Orchestrator, User};
use crate::http::{ApiResult, Body, Id, Nothing};
use crate::knowledge::embeddings;
use crate::knowledge::system::{Whose, or_forbidden, set_status, whose};

pub(super) async fn publish(
    holder: KeyHolder<AtLeast<Orchestrator>>,
    Id(id): Id,
    _: Body<Nothing>,
) -> ApiResult<Json<ArticleResponse>> {
    take(holder, id, Move::Publish).await
}

pub(super) async fn unpublish(
    holder: KeyHolder<AtLeast<User>>,
    Id(id): Id,
    _: Body<Nothing>,
) -> ApiResult<Json<ArticleResponse>> {
    take(holder, id, Move::Unpublish).await
}

pub(super) async fn archive(
    holder: KeyHolder<AtLeast<User>>,
    Id(id): Id,
    _: Body<Nothing>,
) -> ApiResult<Json<ArticleResponse>> {
    take(holder, id, Move::Archive).await
}

async fn take<A>(holder: KeyHolder<A>, id: Uuid, way: Move) -> ApiResult<Json<ArticleResponse>> {
    match whose(holder, id).await? {
        Whose::Tenants(caller) => {
            let changed = caller.change(async |change| go(change, id, way).await).await;
            let answer = or_forbidden(&caller.app, id, changed).await?;
            caller.app.jobs.wake();
            Ok(answer)
        }
        Whose::System(superadmin) => {
            let passes = |from| moved(from, way.to()).map_err(not_that_way);
            set_status(&superadmin, id, way.to(), passes, answer).await
        }
    }
}

fn answer(article: Article) -> Json<ArticleResponse> {
    Json(ArticleResponse { data: article })
}

/// Takes an article this way, if it is one from where it stands.
async fn go(mut change: Change<'_>, id: Uuid, way: Move) -> ApiResult<Committed<Json<ArticleResponse>>> {
    let old = change.found(LOCK_ARTICLE, &[&id]).await?;
    moved(old.status, way.to()).map_err(not_that_way)?;
    set(change, &old, way.to()).await
}

/// Lays it aside from wherever it stands.
pub(super) async fn delete(holder: KeyHolder<AtLeast<User>>, Id(id): Id) -> ApiResult<Json<ArticleResponse>> {
    let caller = match whose(holder, id).await? {
        Whose::Tenants(caller) => caller,
        Whose::System(superadmin) => {
            return set_status(&superadmin, id, Status::Archived, |_| Ok(()), answer).await;
        }
    };
    let changed = caller
        .change(async |mut change| {
            let old = change.found(LOCK_ARTICLE, &[&id]).await?;
            if old.status == Status::Archived {
                return change.unchanged(Json(ArticleResponse { data: old })).await;
            }
            set(change, &old, Status::Archived).await
        })
        .await;
    or_forbidden(&caller.app, id, changed).await
}

async fn set(
    mut change: Change<'_>,
    old: &Article,
    status: Status,
) -> ApiResult<Committed<Json<ArticleResponse>>> {
    let article = change.one(SET_STATUS, &[&old.id, &status.as_str()]).await.map_err(taken)?;
    embeddings::changed(&mut change, from_ref(&article)).await?;
    change.tell([told::moved(&article, old.status)]);
    change.commit(Json(ArticleResponse { data: article })).await
}
