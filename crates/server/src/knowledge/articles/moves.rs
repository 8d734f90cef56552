//! Articles are published, withdrawn, and laid aside.

use axum::Json;
use loopctl_core::knowledge::{Move, Status, moved};
use uuid::Uuid;

use super::api::{ArticleResponse, taken};
use super::store::{Article, LOCK_ARTICLE, SET_STATUS};
use super::told;
use super::update::not_that_way;
use crate::app::{AtLeast, Caller, Change, Committed, Orchestrator, User};
use crate::http::{ApiResult, Body, Id, Nothing};
use crate::knowledge::embeddings;

pub(super) async fn publish(
    caller: Caller<AtLeast<Orchestrator>>,
    Id(id): Id,
    _: Body<Nothing>,
) -> ApiResult<Json<ArticleResponse>> {
    let answer = caller.change(async |change| go(change, id, Move::Publish).await).await?;
    caller.app.jobs.wake();
    Ok(answer)
}

pub(super) async fn unpublish(
    caller: Caller<AtLeast<User>>,
    Id(id): Id,
    _: Body<Nothing>,
) -> ApiResult<Json<ArticleResponse>> {
    caller.change(async |change| go(change, id, Move::Unpublish).await).await
}

pub(super) async fn archive(
    caller: Caller<AtLeast<User>>,
    Id(id): Id,
    _: Body<Nothing>,
) -> ApiResult<Json<ArticleResponse>> {
    caller.change(async |change| go(change, id, Move::Archive).await).await
}

/// Takes an article this way, if it is one from where it stands.
async fn go(mut change: Change<'_>, id: Uuid, way: Move) -> ApiResult<Committed<Json<ArticleResponse>>> {
    let old = change.found(LOCK_ARTICLE, &[&id]).await?;
    moved(old.status, way.to()).map_err(not_that_way)?;
    set(change, &old, way.to()).await
}

/// Lays it aside from wherever it stands.
pub(super) async fn delete(caller: Caller<AtLeast<User>>, Id(id): Id) -> ApiResult<Json<ArticleResponse>> {
    caller
        .change(async |mut change| {
            let old = change.found(LOCK_ARTICLE, &[&id]).await?;
            if old.status == Status::Archived {
                return change.unchanged(Json(ArticleResponse { data: old })).await;
            }
            set(change, &old, Status::Archived).await
        })
        .await
}

async fn set(
    mut change: Change<'_>,
    old: &Article,
    status: Status,
) -> ApiResult<Committed<Json<ArticleResponse>>> {
    let article = change.one(SET_STATUS, &[&old.id, &status.as_str()]).await.map_err(taken)?;
    embeddings::changed(&mut change, &article).await?;
    change.tell([told::moved(&article, old.status)]);
    change.commit(Json(ArticleResponse { data: article })).await
}
