//! Links: requests, answers and handlers.

use axum::Json;
use loopctl_core::code::Code;
use loopctl_core::fields::FieldErrors;
use loopctl_core::json::JsonText;
use loopctl_core::knowledge::{Relationship, Status};
use loopctl_core::request::{Request, small_object, uuid, word};
use loopctl_core::webhooks::EventType;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::store::{
    DELETE_LINK, END, End, INSERT_LINK, IS_LINKED, IS_SUPERSEDED_BY, LINKS, LOCK_END, Link, LinkWithArticles,
    TAKE_TURN_TO_SUPERSEDE,
};
use crate::app::{Agent, AtLeast, Caller, Change, User};
use crate::db::{AsJson, Params};
use crate::events::{Event, Notice};
use crate::http::{ApiError, ApiResult, Body, Created, Id, NoContent, one};
use crate::knowledge::articles::{SET_STATUS, superseded};

one! { pub(super) LinkResponse { data: Link } }

/// Links of an article.
#[derive(Serialize, JsonSchema)]
pub(super) struct LinksOfArticle {
    /// Newest first.
    data: Vec<LinkWithArticles>,
}

const SUPERSEDES: &str = Relationship::Supersedes.as_str();

/// `POST /article_links`.
#[derive(Request)]
pub(super) struct ArticleLinkCreateRequest {
    #[rule(uuid().required())]
    source_article_id: Uuid,
    #[rule(uuid().required())]
    target_article_id: Uuid,
    /// `relates_to` goes both ways; of the others the source is the one that derives, contradicts, or supersedes.
    #[rule(word(Relationship::WORDS, |text| Relationship::parse(text).map(Relationship::as_str)).required())]
    relationship_type: &'static str,
    /// Default `{}`.
    #[rule(small_object().or(JsonText::empty_object()))]
    metadata: JsonText,
}

pub(super) async fn create(
    caller: Caller<AtLeast<Agent>>,
    body: Body<ArticleLinkCreateRequest>,
) -> ApiResult<Created<LinkResponse>> {
    caller
        .change(async |mut change| {
            let asked = body.anyway();
            let supersedes = asked.relationship_type == SUPERSEDES;
            if supersedes {
                change.execute(TAKE_TURN_TO_SUPERSEDE, &[]).await?;
            }
            let source = change.optional(END, &[&asked.source_article_id]).await?;
            let lock = if supersedes { LOCK_END } else { END };
            let target = change.optional(lock, &[&asked.target_article_id]).await?;
            let new = body.checked(|_, errors| {
                let ends = [("source_article_id", source.is_some()), ("target_article_id", target.is_some())];
                for (field, is_there) in ends {
                    if !is_there && !errors.0.contains_key(field) {
                        errors.add(field, "does not exist in this tenant");
                    }
                }
                if errors.0.keys().all(|field| !field.ends_with("_article_id"))
                    && asked.source_article_id == asked.target_article_id
                {
                    errors.add("target_article_id", "cannot link an article to itself");
                }
            })?;
            // Whatever is missing was told by now.
            let (Some(source), Some(target)) = (source, target) else { return Err(ApiError::not_found()) };
            if supersedes && change.one(IS_SUPERSEDED_BY, &[&source.id, &target.id]).await? {
                return Err(ApiError::invalid_field(
                    "target_article_id",
                    "would create a supersession cycle",
                ));
            }
            let link = insert(&mut change, new).await?;
            change.tell([told_created(&link, &source, &target)]);
            if supersedes {
                let status = Status::Superseded.as_str();
                let article = change.one(SET_STATUS, &[&target.id, &status]).await?;
                change.tell([superseded(&article, target.status, (source.id, &source.title))]);
            }
            change.commit(Created(LinkResponse { data: link })).await
        })
        .await
}

/// Writes a link that is not there.
///
/// # Errors
/// 422 when it is, 409 when the two are related the other way round.
async fn insert(change: &mut Change<'_>, new: &ArticleLinkCreateRequest) -> ApiResult<Link> {
    let ArticleLinkCreateRequest { source_article_id, target_article_id, relationship_type, metadata } = new;
    let id = Uuid::now_v7();
    let link: Params<'_> = &[&id, source_article_id, target_article_id, relationship_type, &AsJson(metadata)];
    if let Some(link) = change.optional(INSERT_LINK, link).await? {
        return Ok(link);
    }
    let reverse: Params<'_> = &[target_article_id, source_article_id, relationship_type];
    if *relationship_type == Relationship::RelatesTo.as_str() && change.one(IS_LINKED, reverse).await? {
        return Err(related_already());
    }
    let mut errors = FieldErrors::default();
    let message = "link already exists between these articles with this relationship type";
    errors.add("tenant_id", message);
    Err(errors.into())
}

/// 409: what is related to one is related to the other.
fn related_already() -> ApiError {
    let message = "Conflict: these articles are related already, in the other direction";
    ApiError::conflict(Code::LinkExists, message)
        .with("hints", json!(["`relates_to` goes both ways: there is nothing left to do."]))
}

/// What the log has of a link.
fn told(link: &Link) -> Map<String, Value> {
    let fields = [
        ("source_article_id", json!(link.source_article_id)),
        ("target_article_id", json!(link.target_article_id)),
        ("relationship_type", json!(link.relationship_type)),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn told_created(link: &Link, source: &End, target: &End) -> Event {
    let mut entry = told(link);
    let mut payload = entry.clone();
    payload.extend([
        ("id".to_owned(), json!(link.id)),
        ("source_title".to_owned(), json!(source.title)),
        ("target_title".to_owned(), json!(target.title)),
    ]);
    if link.relationship_type == Relationship::Supersedes {
        entry.insert("target_superseded".to_owned(), true.into());
    }
    Event::new("article_link", link.id, "article_link.created", Value::Object(entry))
        .project(source.project_id)
        .telling(Notice::new(EventType::ArticleLinkCreated, &payload))
}

pub(super) async fn delete(caller: Caller<AtLeast<User>>, Id(id): Id) -> ApiResult<NoContent> {
    caller
        .change(async |mut change| {
            let deleted = change.found(DELETE_LINK, &[&id]).await?;
            let entry = told(&deleted.link);
            let mut payload = entry.clone();
            payload.insert("id".to_owned(), json!(id));
            let event = Event::deleted("article_link", id, Value::Object(entry))
                .project(deleted.project_id)
                .telling(Notice::new(EventType::ArticleLinkDeleted, &payload));
            change.tell([Event { action: "article_link.deleted", ..event }]);
            change.commit(NoContent).await
        })
        .await
}

pub(super) async fn list(caller: Caller<AtLeast<Agent>>, Id(id): Id) -> ApiResult<Json<LinksOfArticle>> {
    let rows = caller.read(LINKS.with(&[&id])).await?;
    Ok(Json(LinksOfArticle { data: rows.into_iter().map(LinkWithArticles::of).collect() }))
}
