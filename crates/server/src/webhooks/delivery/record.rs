//! What came of an event, written down along with the question what comes next: in one round trip, and only by whoever still has
//! the lease.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::LEASE;
use super::sender::Attempt;
use super::store::{DEACTIVATED, DELIVERED, Due, EXHAUSTED, FAILED, GIVE_BACK, GivenUp, NEXT, PUT_OFF};
use super::turn::Turn;
use crate::db::{DbError, Params, Tx};
use crate::events::{self, Attribution, Event};
use crate::identity::tenants::{MAX_WEBHOOK_FAILURES, limit};
use crate::metrics;

/// How long an event is put off whose secret this server cannot read: that is for its operator to mend, and no fault of the
/// receiver's.
const PUT_OFF_FOR: Duration = Duration::from_secs(60);

impl Turn {
    /// The first event of the turn.
    pub(super) async fn next(&self) -> Result<Option<Due>, DbError> {
        let held: Params<'_> = &[&self.webhook_id, &self.lease];
        let ask = |tx: Tx| async move { tx.commit(&NEXT.with(held)).await };
        Ok(self.office.app.db.transaction(self.tenant_id, ask).await?.into_iter().next())
    }

    /// It arrived.
    pub(super) async fn delivered(&mut self, due: &Due, attempt: &Attempt) -> Result<Option<Due>, DbError> {
        let Attempt { status, latency, excerpt, .. } = attempt;
        let (held, lease): (Params<'_>, _) = (&[&self.webhook_id, &self.lease], LEASE.as_secs_f64());
        let record: Params<'_> =
            &[&self.webhook_id, &self.lease, &lease, &due.id, &due.attempts, status, latency, excerpt];
        let (sent, is_over) = (Instant::now(), self.is_over());
        let work = |tx: Tx| async move {
            let delivered = DELIVERED.with(record);
            if is_over {
                let (delivered, _) = tx.commit(&(delivered, GIVE_BACK.with(held))).await?;
                return Ok((delivered, Vec::new()));
            }
            tx.commit(&(delivered, NEXT.with(held))).await
        };
        let (delivered, next) = self.office.app.db.transaction::<_, DbError, _>(self.tenant_id, work).await?;
        (self.renewed, self.pause) = (sent, sent.elapsed());
        self.tally(&due.event_type, "delivered", !delivered.is_empty());
        Ok(next.into_iter().next())
    }

    /// It did not arrive, and is tried again in so many seconds. The turn is over: whoever struggles gets fewer.
    pub(super) async fn failed(
        &self,
        due: &Due,
        attempt: &Attempt,
        error: &str,
        delay: f64,
    ) -> Result<Option<Due>, DbError> {
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
        let work = |tx: Tx| async move { tx.commit(&(FAILED.with(record), GIVE_BACK.with(held))).await };
        let (failed, _) = self.office.app.db.transaction::<_, DbError, _>(self.tenant_id, work).await?;
        self.tally(&due.event_type, "failed", !failed.is_empty());
        Ok(None)
    }

    /// It did not arrive, and is given up. That may switch the webhook off, which is told like every other change.
    pub(super) async fn exhausted(
        &self,
        due: &Due,
        attempt: &Attempt,
        error: &str,
    ) -> Result<Option<Due>, DbError> {
        let work = |tx: Tx| self.give_up(tx, due, attempt, error);
        let given_up = self.office.app.db.transaction::<_, DbError, _>(self.tenant_id, work).await?;
        self.tally(&due.event_type, "exhausted", given_up.is_some());
        if given_up.is_some_and(|given_up| given_up.disabled) {
            tracing::info!(webhook_id = %self.webhook_id, "a webhook was switched off: too many events could not be delivered");
        }
        Ok(None)
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
    pub(super) async fn deactivated(&mut self) -> Result<Option<Due>, DbError> {
        let (held, lease): (Params<'_>, _) = (&[&self.webhook_id, &self.lease], LEASE.as_secs_f64());
        let record: Params<'_> = &[&self.webhook_id, &self.lease, &lease];
        let (sent, is_over) = (Instant::now(), self.is_over());
        let work = |tx: Tx| async move {
            let deactivated = DEACTIVATED.with(record);
            if is_over {
                let (types, _) = tx.commit(&(deactivated, GIVE_BACK.with(held))).await?;
                return Ok((types, Vec::new()));
            }
            tx.commit(&(deactivated, NEXT.with(held))).await
        };
        let (types, next) = self.office.app.db.transaction::<_, DbError, _>(self.tenant_id, work).await?;
        (self.renewed, self.pause) = (sent, sent.elapsed());
        for event_type in types {
            self.tally(&event_type, "deactivated", true);
        }
        Ok(next.into_iter().next())
    }

    /// Nobody can sign it at the moment.
    pub(super) async fn put_off(&self, due: &Due, reason: &str) -> Result<Option<Due>, DbError> {
        tracing::error!(webhook_id = %self.webhook_id, reason, "the signing secret of a webhook cannot be read");
        let (seconds, error) =
            (PUT_OFF_FOR.as_secs_f64(), "delivery_error: the signing secret cannot be read");
        let record: Params<'_> = &[&self.webhook_id, &self.lease, &due.id, &seconds, &error];
        let work = |tx: Tx| async move { tx.commit(&PUT_OFF.with(record)).await };
        self.office.app.db.transaction::<_, DbError, _>(self.tenant_id, work).await?;
        Ok(None)
    }

    fn tally(&self, event_type: &str, outcome: &'static str, recorded: bool) {
        if recorded {
            metrics::delivered(event_type.to_owned(), outcome);
        } else {
            // Deleted meanwhile, or another server's by now.
            tracing::warn!(webhook_id = %self.webhook_id, outcome, "what came of a delivery was not recorded: it is gone");
        }
    }
}
