//! The queue, row by row. Whoever delivers to a webhook has its lease, and every statement looks whether it still does: what was
//! lost meanwhile belongs to another one, and nothing is recorded over it.

use loopctl_core::json::JsonText;
use uuid::Uuid;

use crate::db::{Row, Timestamp, statements};

/// What was taken, and when there will be more.
#[derive(Debug, Row)]
pub(crate) struct Claim {
    pub(super) tenant_ids: Vec<Uuid>,
    pub(super) webhook_ids: Vec<Uuid>,
    /// Whether the last attempt failed.
    pub(super) struggling: Vec<bool>,
    /// Seconds until something is due that was not taken; not positive when it is. None when nothing waits.
    pub(super) next_in: Option<f64>,
}

/// An event that is due, with where it is to be delivered.
#[derive(Debug, Row)]
pub(crate) struct Due {
    #[row(sql = "e.id")]
    pub(super) id: Uuid,
    #[row(sql = "e.event_type")]
    pub(super) event_type: String,
    #[row(sql = "e.payload")]
    pub(super) payload: JsonText,
    #[row(sql = "e.inserted_at")]
    pub(super) inserted_at: Timestamp,
    /// So far.
    #[row(sql = "e.attempts")]
    pub(super) attempts: i32,
    #[row(sql = "w.url")]
    pub(super) url: String,
    #[row(sql = "w.signing_secret")]
    pub(super) signing_secret: Vec<u8>,
    #[row(sql = "w.active")]
    pub(super) active: bool,
}

/// What giving up an event did to its webhook.
#[derive(Debug, Row)]
pub(crate) struct GivenUp {
    #[row(sql = "w.consecutive_failures")]
    pub(super) consecutive_failures: i32,
    #[row(sql = "held.active and not w.active")]
    pub(super) disabled: bool,
    #[row(sql = "w.project_id")]
    pub(super) project_id: Option<Uuid>,
}

statements! {
    CLAIM_WEBHOOKS -> Claim = "select {*} from claim_webhooks($1, $2, $3, $4, $5)";
    /// What the webhook of a lease is to be told next, in order. When there is nothing, the lease is given back.
    NEXT -> Due = "
        with due as materialized (
            select {*} from next_webhook_events($2) next
                 join webhook_events e on e.tenant_id = $1 and e.id = next.id
                 join webhooks w on w.tenant_id = $1 and w.id = $2 and w.lease = $3 and w.leased_until > clock_timestamp()
                 join tenants t on t.id = $1 and t.status = 'active'
            order by next.nth
        ), given_back as (
            update webhooks set lease = null, leased_until = null
            where tenant_id = $1 and id = $2 and lease = $3 and not exists (select from due)
        )
        select * from due";
    GIVE_BACK = "
        update webhooks set lease = null, leased_until = null where tenant_id = $1 and id = $2 and lease = $3";
    /// Events that arrived, each so many seconds ago. The counter is set back whatever it was: who changes it meanwhile waits for
    /// this row, or this for them. Nobody waits for the disk: what a crash of the machine forgets of it is delivered again, as it
    /// would be if it had come a moment earlier.
    DELIVERED -> String = "
        with held as (
            update webhooks
            set consecutive_failures = 0, last_delivery_at = clock_timestamp(), struggling = false,
                leased_until = clock_timestamp() + make_interval(secs => $4)
            where tenant_id = $1 and id = $2 and lease = $3 and set_config('synchronous_commit', 'off', true) is not null
            returning id
        )
        update webhook_events e
        set status = 'delivered', attempts = e.attempts + 1, error = null,
            delivered_at = clock_timestamp() - make_interval(secs => sent.age),
            last_attempt_at = clock_timestamp() - make_interval(secs => sent.age), updated_at = clock_timestamp(),
            response_status = sent.status, latency_ms = sent.latency, response_excerpt = sent.excerpt
        from held, unnest($5::uuid[], $6::int[], $7::int[], $8::int[], $9::text[], $10::float8[])
            sent (id, attempts, status, latency, excerpt, age)
        where e.tenant_id = $1 and e.id = sent.id and e.webhook_id = held.id and e.status = 'pending'
          and e.attempts = sent.attempts
        returning e.event_type";
    /// Tried again later.
    FAILED -> Uuid = "
        with held as (
            update webhooks set struggling = true, leased_until = clock_timestamp() + make_interval(secs => $4)
            where tenant_id = $1 and id = $2 and lease = $3
            returning id
        )
        update webhook_events e
        set attempts = e.attempts + 1, last_attempt_at = clock_timestamp(), updated_at = clock_timestamp(),
            next_attempt_at = clock_timestamp() + make_interval(secs => $11), error = $10,
            response_status = $7, latency_ms = $8, response_excerpt = $9
        from held
        where e.tenant_id = $1 and e.id = $5 and e.webhook_id = held.id and e.status = 'pending' and e.attempts = $6
        returning e.id";
    /// Given up. What was only a test does not count; at the threshold the webhook is switched off.
    EXHAUSTED -> GivenUp = "
        with held as (
            select id, active, consecutive_failures from webhooks
            where tenant_id = $1 and id = $2 and lease = $3
            for no key update
        ), given_up as (
            update webhook_events e
            set status = 'exhausted', attempts = e.attempts + 1, last_attempt_at = clock_timestamp(),
                updated_at = clock_timestamp(), error = $10, response_status = $7, latency_ms = $8, response_excerpt = $9
            from held
            where e.tenant_id = $1 and e.id = $5 and e.webhook_id = held.id and e.status = 'pending' and e.attempts = $6
            returning e.event_type <> 'webhook.test' as counts
        )
        update webhooks w
        set struggling = true, leased_until = clock_timestamp() + make_interval(secs => $4),
            consecutive_failures = held.consecutive_failures + given_up.counts::int,
            active = held.active and not (given_up.counts and held.consecutive_failures + 1 >= $11::bigint)
        from held, given_up
        where w.tenant_id = $1 and w.id = held.id
        returning {*}";
    /// A webhook that was switched off is told nothing but tests; many at once, because many may wait.
    DEACTIVATED -> String = "
        with held as (
            update webhooks set leased_until = clock_timestamp() + make_interval(secs => $4)
            where tenant_id = $1 and id = $2 and lease = $3 and not active
            returning id
        )
        update webhook_events e
        set status = 'failed', error = 'webhook_deactivated', last_attempt_at = clock_timestamp(),
            updated_at = clock_timestamp()
        from held
        where e.tenant_id = $1 and e.id in (
            select p.id from webhook_events p
            where p.tenant_id = $1 and p.webhook_id = held.id and p.status = 'pending' and p.event_type <> 'webhook.test'
              and p.next_attempt_at <= clock_timestamp()
            limit 500)
        returning e.event_type";
    /// Put off without an attempt, and the lease is given back.
    PUT_OFF = "
        with held as (
            update webhooks set lease = null, leased_until = null
            where tenant_id = $1 and id = $2 and lease = $3
            returning id
        )
        update webhook_events e
        set next_attempt_at = clock_timestamp() + make_interval(secs => $5), error = $6, updated_at = clock_timestamp()
        from held
        where e.tenant_id = $1 and e.id = $4 and e.webhook_id = held.id and e.status = 'pending'";
}
