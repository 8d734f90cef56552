//! What came of an event, written down along with the question what comes next: in one round trip, and only by whoever still has
//! the lease.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::LEASE;
use super::sender::Attempt;
use super::store::{DEACTIVATED, DELIVERED, Due, EXHAUSTED, FAILED, GIVE_BACK, GivenUp, NEXT, PUT_OFF};
use super::turn::{Arrived, Turn};
use crate::db::{Batch, DbError, Params, Row, Statement, Tx, column};
use crate::events::{self, Attribution, Event};
use crate::identity::tenants::{MAX_WEBHOOK_FAILURES, limit};
use crate::metrics;

/// How long an event is put off whose secret this server cannot read: that is for its operator to mend, and no fault of the
/// receiver's.
const PUT_OFF_FOR: Duration = Duration::from_secs(60);

impl Turn {
    /// The first events of the turn.
    pub(super) async fn next(&self) -> Result<Vec<Due>, DbError> {
        self.write(NEXT.with(&[&self.webhook_id, &self.lease])).await
    }

    /// They arrived. What comes next, if that is asked.
    pub(super) async fn arrived(&mut self, arrived: &[Arrived], ask: bool) -> Result<Vec<Due>, DbError> {
        if arrived.is_empty() {
            return Ok(Vec::new());
        }
        let (webhook_id, held, lease) = (self.webhook_id, self.lease, LEASE.as_secs_f64());
        let ids = column(arrived, |event| event.id);
        let attempts = column(arrived, |event| event.attempts);
        let statuses = column(arrived, |event| event.attempt.status);
        let latencies = column(arrived, |event| event.attempt.latency);
        let excerpts = column(arrived, |event| event.attempt.excerpt.as_deref());
        let ages = column(arrived, |event| event.at.elapsed().as_secs_f64());
        let record: Params<'_> =
            &[&webhook_id, &held, &lease, &ids, &attempts, &statuses, &latencies, &excerpts, &ages];
        let record = DELIVERED.with(record);
        let (types, next) =
            if ask { self.go_on(record).await? } else { (self.write(record).await?, Vec::new()) };
        for event_type in &types {
            metrics::delivered(event_type.clone(), "delivered");
        }
        if types.len() < arrived.len() {
            self.lost("delivered");
        }
        Ok(next)
    }

    /// Records something that leaves the lease, and asks what comes next; at the end of the turn the lease is given back instead.
    async fn go_on<R: Row>(&mut self, record: Statement<'_, R>) -> Result<(Vec<R>, Vec<Due>), DbError> {
        let (webhook_id, lease) = (self.webhook_id, self.lease);
        let held: Params<'_> = &[&webhook_id, &lease];
        let sent = Instant::now();
        let (recorded, next) = if self.is_over() {
            let (recorded, _) = self.write((record, GIVE_BACK.with(held))).await?;
            (recorded, Vec::new())
        } else {
            self.write((record, NEXT.with(held))).await?
        };
        (self.renewed, self.pause) = (sent, sent.elapsed());
        Ok((recorded, next))
    }

    /// Nothing was begun with what was read.
    pub(super) async fn give_back(&self) -> Result<Vec<Due>, DbError> {
        self.write(GIVE_BACK.with(&[&self.webhook_id, &self.lease])).await?;
        Ok(Vec::new())
    }

    async fn write<B: Batch>(&self, batch: B) -> Result<B::Answer, DbError> {
        self.office.app.db.write(self.tenant_id, batch).await
    }

    /// It did not arrive, and is tried again in so many seconds. The turn is over: whoever struggles gets fewer.
    pub(super) async fn failed(
        &self,
        due: &Due,
        attempt: &Attempt,
        error: &str,
        delay: f64,
    ) -> Result<Vec<Due>, DbError> {
        let Attempt { status, latency, excerpt, .. } = attempt;
        let (held, lease): (Params<'_>, _) = (&[&self.webhook_id, &self.lease], LEASE.as_secs_f64());
        let record: Params<'_> = &[
            &self.webhook_id,
            &self.lease,
            &lease,
            &due.id,
            &due.attempts,
            status,
            latency,
            excerpt,
            &error,
            &delay,
        ];
        let (failed, _) = self.write((FAILED.with(record), GIVE_BACK.with(held))).await?;
        self.tally(&due.event_type, "failed", !failed.is_empty());
        Ok(Vec::new())
    }

    /// It did not arrive, and is given up. That may switch the webhook off, which is told like every other change.
    pub(super) async fn exhausted(
        &self,
        due: &Due,
        attempt: &Attempt,
        error: &str,
    ) -> Result<Vec<Due>, DbError> {
        let work = |tx: Tx| self.give_up(tx, due, attempt, error);
        let given_up = self.office.app.db.transaction::<_, DbError, _>(self.tenant_id, work).await?;
        self.tally(&due.event_type, "exhausted", given_up.is_some());
        if given_up.is_some_and(|given_up| given_up.disabled) {
            tracing::info!(webhook_id = %self.webhook_id, "a webhook was switched off: too many events could not be delivered");
        }
        Ok(Vec::new())
    }

    async fn give_up(
        &self,
        mut tx: Tx,
        due: &Due,
        attempt: &Attempt,
        error: &str,
    ) -> Result<Option<GivenUp>, DbError> {
        let Attempt { status, latency, excerpt, .. } = attempt;
        let (held, lease): (Params<'_>, _) = (&[&self.webhook_id, &self.lease], LEASE.as_secs_f64());
        let threshold = limit(&mut tx, MAX_WEBHOOK_FAILURES).await?.max(1);
        let record: Params<'_> = &[
            &self.webhook_id,
            &self.lease,
            &lease,
            &due.id,
            &due.attempts,
            status,
            latency,
            excerpt,
            &error,
            &threshold,
        ];
        let given_up = tx.optional(EXHAUSTED, record).await?;
        let Some(GivenUp { disabled: true, consecutive_failures, project_id }) = given_up else {
            tx.commit(&GIVE_BACK.with(held)).await?;
            return Ok(given_up);
        };
        tx.execute(GIVE_BACK, held).await?;
        let told = json!({"consecutive_failures": consecutive_failures, "threshold": threshold, "last_error": error});
        let event = Event::new("webhook", self.webhook_id, "webhook_auto_disabled", told);
        let event = project_id.into_iter().fold(event, Event::project);
        events::record(tx, &Attribution::system("auto_disable"), vec![event], None).await?;
        Ok(given_up)
    }

    /// The webhook was switched off: what is due is not sent.
    pub(super) async fn deactivated(&mut self) -> Result<Vec<Due>, DbError> {
        let (webhook_id, held) = (self.webhook_id, self.lease);
        let record: Params<'_> = &[&webhook_id, &held, &LEASE.as_secs_f64()];
        let (types, next) = self.go_on(DEACTIVATED.with(record)).await?;
        for event_type in types {
            self.tally(&event_type, "deactivated", true);
        }
        Ok(next)
    }

    /// Nobody can sign it at the moment.
    pub(super) async fn put_off(&self, due: &Due, reason: &str) -> Result<Vec<Due>, DbError> {
        tracing::error!(webhook_id = %self.webhook_id, reason, "the signing secret of a webhook cannot be read");
        let (seconds, error) =
            (PUT_OFF_FOR.as_secs_f64(), "delivery_error: the signing secret cannot be read");
        let record: Params<'_> = &[&self.webhook_id, &self.lease, &due.id, &seconds, &error];
        self.write(PUT_OFF.with(record)).await?;
        Ok(Vec::new())
    }

    fn tally(&self, event_type: &str, outcome: &'static str, recorded: bool) {
        if recorded {
            metrics::delivered(event_type.to_owned(), outcome);
        } else {
            self.lost(outcome);
        }
    }

    /// Deleted meanwhile, or another server's by now.
    fn lost(&self, outcome: &'static str) {
        tracing::warn!(webhook_id = %self.webhook_id, outcome, "what came of a delivery was not recorded: it is gone");
    }
}
