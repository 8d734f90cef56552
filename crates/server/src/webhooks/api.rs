//! Requests, answers and handlers of webhooks.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use loopctl_core::code::Code;
use loopctl_core::fields::{BLANK, FieldErrors, INVALID};
use loopctl_core::request::{Custom, Request, boolean, custom, nullable, text, uuid, word};
use loopctl_core::webhooks::{EventType, NO_EVENTS, Policy};
use rand::Rng as _;
use schemars::{JsonSchema, json_schema};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::store::{
    COUNT_WEBHOOKS, DELETE_WEBHOOK, DELETE_WEBHOOK_EVENTS, Delivery, INSERT_WEBHOOK, LIST_DELIVERIES,
    LIST_WEBHOOKS, LOCK_DELIVERY, LOCK_WEBHOOK, PROJECT_OF_WEBHOOK, REDELIVER, SHOW_WEBHOOK, UPDATE_WEBHOOK,
    Webhook,
};
use crate::app::{AtLeast, Caller, Change, User};
use crate::db::{Params, column};
use crate::events::{Event, Field, Notice};
use crate::http::{
    ApiError, ApiResult, Body, CreatedSecret, Feed, Id, Input, List, NoContent, Nothing, Operation, Paged,
    Place, Query, one, pages, path_ids,
};
use crate::identity::tenants::{MAX_WEBHOOKS, locked_limit};
use crate::secrets::webhook_context;

/// The states of a delivery.
const STATUSES: &[&str] = &["pending", "delivered", "failed", "exhausted"];

fn known_status(word: &str) -> Option<&'static str> {
    STATUSES.iter().copied().find(|known| *known == word)
}

one! { pub(super) WebhookResponse { webhook: Webhook } }
one! { pub(super) WebhookCreatedResponse { webhook: NewWebhook } }

/// A webhook just created: the only time that its secret is shown.
#[derive(Serialize, JsonSchema)]
pub(super) struct NewWebhook {
    #[serde(flatten)]
    webhook: Webhook,
    /// Deliveries are signed with these 64 characters.
    signing_secret: String,
    /// The same, as libraries for Standard Webhooks take it.
    signing_secret_whsec: String,
}

/// `POST /webhooks`.
#[derive(Request)]
pub(super) struct WebhookCreateRequest {
    /// `https` or `http`, to no private address.
    #[rule(text(2048).required())]
    url: String,
    /// At least one.
    #[rule(event_types().mandatory())]
    events: Vec<EventType>,
    /// Only of this project; default of all.
    #[rule(uuid())]
    project_id: Option<Uuid>,
}

const fn event_types() -> Custom<Vec<EventType>> {
    custom(
        |fields, name| {
            if fields.raw(name).is_none() {
                fields.fail(name, BLANK);
                fields.fail(name, NO_EVENTS);
            }
            changed_event_types(fields, name).unwrap_or_default()
        },
        event_types_schema,
    )
}

/// The event types that a field lists; None when it lists none.
fn changed_event_types(
    fields: &mut loopctl_core::fields::Fields<'_>,
    name: &'static str,
) -> Option<Vec<EventType>> {
    let raw = fields.raw(name)?;
    let Ok(names) = serde_json::from_str::<Vec<String>>(raw.get()) else {
        fields.fail(name, INVALID);
        return None;
    };
    let parsed = EventType::parse_all(names.iter().map(String::as_str));
    parsed.map_err(|message| fields.fail(name, message)).ok()
}

fn event_types_schema() -> schemars::Schema {
    json_schema!({"type": "array", "minItems": 1, "items": {"type": "string", "enum": EventType::WORDS}})
}

/// 32 random bytes in hex. What signs is this text, not the bytes.
fn new_secret() -> String {
    let mut bytes = [0_u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    hex::encode(bytes)
}

pub(super) async fn create(
    caller: Caller<AtLeast<User>>,
    body: Body<WebhookCreateRequest>,
) -> ApiResult<CreatedSecret<WebhookCreatedResponse>> {
    let app = &caller.app;
    let (id, secret) = (Uuid::now_v7(), new_secret());
    caller
        .change(async |mut change| {
            let limit = locked_limit(&mut change, MAX_WEBHOOKS).await?;
            if change.one(COUNT_WEBHOOKS, &[]).await? >= limit {
                let message = "Webhook limit reached for this tenant";
                return Err(ApiError::unprocessable(Code::WebhookLimitReached, message));
            }
            let known = is_known_project(&mut change, body.anyway().project_id).await?;
            let new = body.checked(|new, errors| {
                check(errors, &app.webhook_policy, Some(&new.url), known);
            })?;
            let sealed = app.vault.seal(&webhook_context(&caller.tenant_id, &id), secret.as_bytes())?;
            let events = column(&new.events, |event| event.as_str());
            let params: Params<'_> = &[&id, &new.url, &events, &new.project_id, &sealed];
            let webhook = change.one(INSERT_WEBHOOK, params).await?;
            change.tell([about(&webhook, Event::new("webhook", id, "created", told(&webhook)))]);
            let signing_secret_whsec = format!("whsec_{}", BASE64_STANDARD.encode(&secret));
            let webhook = NewWebhook { webhook, signing_secret: secret.clone(), signing_secret_whsec };
            change.commit(CreatedSecret(WebhookCreatedResponse { webhook })).await
        })
        .await
}

/// Whether a webhook may be of this project, as far as the tenant is concerned.
async fn is_known_project(change: &mut Change<'_>, project_id: Option<Uuid>) -> ApiResult<bool> {
    let Some(project_id) = project_id else { return Ok(true) };
    Ok(change.optional(PROJECT_OF_WEBHOOK, &[&project_id]).await?.is_some())
}

/// What only the server and its database can say of the fields.
fn check(errors: &mut FieldErrors, policy: &Policy, url: Option<&str>, project_is_known: bool) {
    if let Some(url) = url
        && !errors.0.contains_key("url")
        && let Err(message) = policy.url(url)
    {
        errors.add("url", message);
    }
    if !project_is_known {
        errors.add("project_id", "does not exist");
    }
}

/// What the log tells of a webhook.
fn told(webhook: &Webhook) -> Value {
    json!({
        "url": webhook.url, "events": webhook.events, "project_id": webhook.project_id, "active": webhook.active,
    })
}

fn about(webhook: &Webhook, event: Event) -> Event {
    Event { project_id: webhook.project_id, ..event }
}

pub(super) async fn list(
    caller: Caller<AtLeast<User>>,
    Query(query): Query<Paged>,
) -> ApiResult<Json<List<Webhook>>> {
    caller.list(&LIST_WEBHOOKS, &[], &query.page).await.map(Json)
}

pub(super) async fn show(caller: Caller<AtLeast<User>>, Id(id): Id) -> ApiResult<Json<WebhookResponse>> {
    let webhook = caller.find(SHOW_WEBHOOK, &[&id]).await?;
    Ok(Json(WebhookResponse { webhook }))
}

/// `PATCH /webhooks/:id`: every field is optional.
#[derive(Request)]
pub(super) struct WebhookUpdateRequest {
    #[rule(text(2048).filled())]
    url: Option<String>,
    /// Replaces the whole list.
    #[rule(custom(changed_event_types, event_types_schema))]
    events: Option<Vec<EventType>>,
    /// Null: of all projects.
    #[rule(nullable(uuid()))]
    project_id: Option<Option<Uuid>>,
    /// True forgets the failures as well.
    #[rule(boolean())]
    active: Option<bool>,
}

impl WebhookUpdateRequest {
    /// The webhook after this change.
    fn applied_to(&self, old: &Webhook) -> Webhook {
        let events = self.events.as_ref();
        let events = events.map(|events| events.iter().map(|event| event.as_str().to_owned()).collect());
        Webhook {
            url: self.url.as_ref().unwrap_or(&old.url).clone(),
            events: events.unwrap_or_else(|| old.events.clone()),
            project_id: self.project_id.unwrap_or(old.project_id),
            active: self.active.unwrap_or(old.active),
            ..old.clone()
        }
    }
}

pub(super) async fn update(
    caller: Caller<AtLeast<User>>,
    Id(id): Id,
    body: Body<WebhookUpdateRequest>,
) -> ApiResult<Json<WebhookResponse>> {
    let policy = &caller.app.webhook_policy;
    caller
        .change(async |mut change| {
            let old = change.found(LOCK_WEBHOOK, &[&id]).await?;
            let known = is_known_project(&mut change, body.anyway().project_id.flatten()).await?;
            let sent = body.checked(|sent, errors| check(errors, policy, sent.url.as_deref(), known))?;
            let (new, forgets) = (sent.applied_to(&old), sent.active == Some(true));
            let event = updated(&old, &new);
            if event.is_none() && !(forgets && old.consecutive_failures > 0) {
                return change.unchanged(Json(WebhookResponse { webhook: old })).await;
            }
            let params: Params<'_> = &[&id, &new.url, &new.events, &new.project_id, &new.active, &forgets];
            let webhook = change.one(UPDATE_WEBHOOK, params).await?;
            change.tell(event);
            change.commit(Json(WebhookResponse { webhook })).await
        })
        .await
}

/// The audit entry of a change; none when nothing changed that it tells of.
fn updated(old: &Webhook, new: &Webhook) -> Option<Event> {
    let fields = [
        Field::value("url", &old.url, &new.url),
        Field::value("events", &old.events, &new.events),
        Field::value("project_id", &old.project_id, &new.project_id),
        Field::value("active", &old.active, &new.active),
    ];
    let event = Event::updated("webhook", new.id, &["url", "events", "project_id", "active"], &fields)?;
    Some(about(new, event))
}

pub(super) async fn delete(caller: Caller<AtLeast<User>>, Id(id): Id) -> ApiResult<NoContent> {
    caller
        .change(async |mut change| {
            let webhook = change.found(LOCK_WEBHOOK, &[&id]).await?;
            change.execute(DELETE_WEBHOOK_EVENTS, &[&id]).await?;
            change.tell([about(&webhook, Event::deleted("webhook", id, told(&webhook)))]);
            change.commit_with(DELETE_WEBHOOK.with(&[&id]), NoContent).await
        })
        .await
}

/// An event that was put into the queue by itself.
#[derive(Serialize, JsonSchema)]
pub(super) struct Enqueued {
    webhook_event_id: Uuid,
    /// `pending`.
    status: &'static str,
    message: &'static str,
}

pub(super) async fn test(
    caller: Caller<AtLeast<User>>,
    Id(id): Id,
    _: Body<Nothing>,
) -> ApiResult<Json<Enqueued>> {
    let event_id = Uuid::now_v7();
    caller
        .change(async |mut change| {
            let webhook = change.found(LOCK_WEBHOOK, &[&id]).await?;
            let data = json!({"message": "This is a test event", "webhook_id": id});
            // Some receivers look for it beside type and time, others below `data`, as it once was.
            let mut payload = data.clone();
            payload["data"] = data;
            let notice = Notice::new(EventType::WebhookTest, &payload).only_to(id, event_id);
            let event = Event::new("webhook", id, "tested", json!({"webhook_event_id": event_id}));
            change.tell([about(&webhook, event.telling(notice))]);
            let message = "Test event created and enqueued for delivery";
            change.commit(Json(Enqueued { webhook_event_id: event_id, status: "pending", message })).await
        })
        .await
}

#[derive(Request)]
pub(super) struct ListDeliveries {
    #[rule(word(STATUSES, known_status))]
    status: Option<&'static str>,
    #[rule(word(EventType::WORDS, EventType::parse))]
    event_type: Option<EventType>,
    #[rule(pages(25, 100).or_cursor())]
    place: Place,
}

pub(super) async fn deliveries(
    caller: Caller<AtLeast<User>>,
    Id(id): Id,
    Query(query): Query<ListDeliveries>,
) -> ApiResult<Json<Feed<Delivery>>> {
    let event_type = query.event_type.map(EventType::as_str);
    let filters: Params<'_> = &[&id, &query.status, &event_type];
    caller.feed(&LIST_DELIVERIES, filters, &query.place, |delivery| delivery.inserted_at).await.map(Json)
}

/// A delivery in a path, and its webhook.
pub(super) struct DeliveryId {
    webhook_id: Uuid,
    id: Uuid,
}

impl<S: Send + Sync> FromRequestParts<S> for DeliveryId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        match path_ids(parts, state).await?[..] {
            [webhook_id, id] => Ok(Self { webhook_id, id }),
            _ => Err(ApiError::not_found()),
        }
    }
}

impl Input for DeliveryId {
    fn describe(operation: &mut Operation<'_>) {
        Id::describe(operation);
    }
}

pub(super) async fn redeliver(
    caller: Caller<AtLeast<User>>,
    DeliveryId { webhook_id, id }: DeliveryId,
    _: Body<Nothing>,
) -> ApiResult<Json<Enqueued>> {
    let enqueued = caller
        .change(async |mut change| {
            let webhook = change.found(LOCK_WEBHOOK, &[&webhook_id]).await?;
            let delivery = change.found(LOCK_DELIVERY, &[&webhook_id, &id]).await?;
            if !webhook.active && delivery.event_type != EventType::WebhookTest.as_str() {
                let message =
                    "Conflict: the webhook is not active; activate it first (PATCH it with active true)";
                return Err(ApiError::conflict(Code::WebhookInactive, message));
            }
            if delivery.status == "pending" {
                let message = "Conflict: the event is pending and will be delivered without this call";
                return Err(ApiError::conflict(Code::DeliveryPending, message));
            }
            change.execute(REDELIVER, &[&id]).await?;
            let told = json!({"webhook_event_id": id});
            change.tell([about(&webhook, Event::new("webhook", webhook_id, "redelivered", told))]);
            let message = "Event enqueued for delivery once more";
            change.commit(Json(Enqueued { webhook_event_id: id, status: "pending", message })).await
        })
        .await?;
    caller.app.webhooks_queued.notify_one();
    Ok(enqueued)
}
