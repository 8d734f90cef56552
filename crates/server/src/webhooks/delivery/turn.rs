//! A turn: whoever has taken a webhook delivers what it is to be told, one event after the other, until nothing is due, one has
//! failed, or others should have a turn.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use loopctl_core::json::scalar;
use loopctl_core::webhooks::{Envelope, Signer, body};
use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::json;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::sender::{Attempt, EXCHANGE, Sender};
use super::store::{Due, GIVE_BACK};
use super::{DeliveryOptions, LEASE};
use crate::app::App;
use crate::db::DbError;
use crate::metrics;
use crate::secrets::webhook_context;

/// How long a turn may take, and how many events it may deliver, when others wait for one.
const TURN: Duration = Duration::from_secs(15);
const EVENTS: usize = 200;

/// The longest pause between two events of a turn.
const PAUSE: Duration = Duration::from_millis(100);

/// How long events are delivered as they were read before what came of them is recorded, and it is asked what comes next: a webhook
/// may have been changed, switched off or deleted meanwhile.
const FRESH: Duration = Duration::from_millis(50);

/// A lease that has not been renewed for so long is not relied on for another exchange: what is slow here may be slow there.
const RELIED_ON: Duration = LEASE.saturating_sub(EXCHANGE).saturating_sub(Duration::from_secs(10));

/// What deliveries need.
pub(super) struct Office {
    pub(super) app: App,
    pub(super) sender: Sender,
    pub(super) options: DeliveryOptions,
}

/// Why an event did not arrive.
enum Obstacle {
    /// The webhook was switched off.
    Deactivated,
    /// Nobody can sign it at the moment, for this reason.
    Unsigned(String),
    /// What came of the request, and what went wrong.
    Failed(Attempt, String),
}

/// An event that arrived.
pub(super) struct Arrived {
    pub(super) id: Uuid,
    /// Before this one.
    pub(super) attempts: i32,
    pub(super) attempt: Attempt,
    pub(super) at: Instant,
}

/// A webhook that was taken.
pub(super) struct Turn {
    pub(super) office: Arc<Office>,
    pub(super) tenant_id: Uuid,
    pub(super) webhook_id: Uuid,
    pub(super) lease: Uuid,
    /// When the lease was last asked for.
    pub(super) renewed: Instant,
    /// How long the database took, the last time: so long is left to others before each event. A long queue takes what nobody needs,
    /// and the busier the machine is, the less.
    pub(super) pause: Duration,
    /// How many events were delivered, and until when there may be more.
    count: usize,
    until: Instant,
    /// Whether it is still to be given back.
    held: bool,
}

impl Turn {
    pub(super) fn new(office: Arc<Office>, webhook: (Uuid, Uuid), lease: Uuid, renewed: Instant) -> Self {
        let (tenant_id, webhook_id) = webhook;
        let until = renewed + TURN;
        Self {
            office,
            tenant_id,
            webhook_id,
            lease,
            renewed,
            pause: Duration::ZERO,
            count: 0,
            until,
            held: true,
        }
    }

    /// Whether the turn ends with this event.
    pub(super) fn is_over(&self) -> bool {
        self.count >= EVENTS || Instant::now() >= self.until || self.office.app.life.is_ending()
    }

    /// Delivers until the turn is over. What fails on the way is tried again when the lease is given back.
    pub(super) async fn run(mut self) {
        let outcome = self.deliver_all().await;
        if let Err(error) = outcome {
            tracing::warn!(%error, webhook_id = %self.webhook_id, "deliveries of a webhook were broken off");
        }
    }

    async fn deliver_all(&mut self) -> Result<(), DbError> {
        let mut due = self.next().await?;
        // When nothing comes next, the lease has been given back, or is lost.
        while !due.is_empty() {
            due = self.deliver(due).await?;
        }
        self.held = false;
        Ok(())
    }

    /// Delivers what was read, in order, and records what came of it; what comes next.
    async fn deliver(&mut self, due: Vec<Due>) -> Result<Vec<Due>, DbError> {
        let read = Instant::now();
        let mut arrived = Vec::new();
        for due in due {
            sleep(self.pause.min(PAUSE)).await;
            if self.renewed.elapsed() > RELIED_ON || self.office.app.life.is_ending() {
                break;
            }
            self.count += 1;
            match self.send(&due).await {
                Ok(attempt) => {
                    arrived.push(Arrived { id: due.id, attempts: due.attempts, attempt, at: Instant::now() })
                }
                Err(obstacle) => {
                    self.arrived(&arrived, false).await?;
                    return self.stopped(&due, obstacle).await;
                }
            }
            if self.is_over() || read.elapsed() > FRESH {
                break;
            }
        }
        if arrived.is_empty() { self.give_back().await } else { self.arrived(&arrived, true).await }
    }

    async fn send(&self, due: &Due) -> Result<Attempt, Obstacle> {
        if !due.active && due.event_type != "webhook.test" {
            return Err(Obstacle::Deactivated);
        }
        let (headers, body) = self.request(due).map_err(Obstacle::Unsigned)?;
        let mut attempt = self.office.sender.post(&due.url, headers, body).await;
        metrics::delivery_took(Duration::from_millis(attempt.latency.unsigned_abs().into()));
        match attempt.error.take() {
            None => Ok(attempt),
            Some(error) => Err(Obstacle::Failed(attempt, error)),
        }
    }

    /// What comes next when an event did not arrive.
    async fn stopped(&mut self, due: &Due, obstacle: Obstacle) -> Result<Vec<Due>, DbError> {
        let (attempt, error) = match obstacle {
            Obstacle::Deactivated => return self.deactivated().await,
            Obstacle::Unsigned(reason) => return self.put_off(due, &reason).await,
            Obstacle::Failed(attempt, error) => (attempt, error),
        };
        let number = due.attempts + 1;
        tracing::debug!(webhook_id = %self.webhook_id, event_id = %due.id, attempt = number, status = attempt.status,
                        "a delivery failed");
        match self.office.options.retries.delay(number, rand::random()) {
            Some(delay) => self.failed(due, &attempt, &error, delay).await,
            None => self.exhausted(due, &attempt, &error).await,
        }
    }

    /// The head and the bytes of the request. They are signed as they are sent.
    fn request(&self, due: &Due) -> Result<(HeaderMap, Vec<u8>), String> {
        let context = webhook_context(&self.tenant_id, &self.webhook_id);
        let secret =
            self.office.app.vault.open(&context, &due.signing_secret).map_err(|error| error.to_string())?;
        let signer = Signer::new(&secret).map_err(|error| error.to_string())?;
        let told = due.payload.object().and_then(|payload| payload.get("timestamp").map(scalar));
        let happened = told.as_ref().and_then(|told| told.as_str());
        let noted = json!(due.inserted_at);
        let timestamp = happened.or(noted.as_str()).unwrap_or_default();
        let body = body(&Envelope { id: due.id, event: &due.event_type, timestamp }, &due.payload);
        let (id, now) = (due.id.to_string(), Utc::now().timestamp());
        let (of_body, of_message) = (signer.of_body(&body), signer.of_message(due.id, now, &body));
        let (now, attempt) = (now.to_string(), (due.attempts + 1).to_string());
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("content-type", "application/json"),
            ("x-loopctl-signature", &of_body),
            ("x-signature-256", &of_body),
            ("x-webhook-id", &id),
            ("x-webhook-timestamp", &now),
            ("x-loopctl-event", &due.event_type),
            ("x-loopctl-attempt", &attempt),
            ("webhook-id", &id),
            ("webhook-timestamp", &now),
            ("webhook-signature", &of_message),
        ] {
            headers.insert(name, HeaderValue::from_str(value).map_err(|error| error.to_string())?);
        }
        Ok((headers, body))
    }
}

impl Drop for Turn {
    /// Also of a turn that is broken off in the middle, so that others need not wait until the lease ends by itself.
    fn drop(&mut self) {
        if !self.held || tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let app = self.office.app.clone();
        let (tenant_id, webhook_id, lease) = (self.tenant_id, self.webhook_id, self.lease);
        self.office.app.life.complete(async move {
            if let Err(error) = app.db.write(tenant_id, GIVE_BACK.with(&[&webhook_id, &lease])).await {
                tracing::debug!(%error, %webhook_id, "a lease was not given back");
            }
        });
    }
}
