//! Rows and SQL of webhooks and their deliveries.

use loopctl_core::json::JsonText;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::db::{Row, Timestamp, statements};

/// A webhook, without its secret.
#[derive(Debug, Clone, Serialize, JsonSchema, Row)]
pub(super) struct Webhook {
    pub(super) id: Uuid,
    pub(super) url: String,
    /// What it is told of.
    pub(super) events: Vec<String>,
    /// Of which project; null: of all, and of what belongs to none.
    pub(super) project_id: Option<Uuid>,
    /// Inactive ones are told of nothing.
    pub(super) active: bool,
    /// Events that were given up since the last success.
    pub(super) consecutive_failures: i32,
    /// The last success.
    pub(super) last_delivery_at: Option<Timestamp>,
    pub(super) inserted_at: Timestamp,
    pub(super) updated_at: Timestamp,
}

/// An event that is delivered to a webhook, and what has become of it.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(super) struct Delivery {
    /// What receivers know it by.
    id: Uuid,
    event_type: String,
    /// `pending`, `delivered`, `failed` (never sent: the webhook was not active) or `exhausted` (given up).
    pub(super) status: String,
    attempts: i32,
    delivered_at: Option<Timestamp>,
    /// Why the last attempt failed.
    error: Option<String>,
    /// What the receiver answered to the last attempt.
    response_status: Option<i32>,
    /// How long that took.
    latency_ms: Option<i32>,
    /// The beginning of that answer.
    response_excerpt: Option<String>,
    last_attempt_at: Option<Timestamp>,
    /// Null unless it is pending.
    #[row(sql = "case when status = 'pending' then next_attempt_at end")]
    next_attempt_at: Option<Timestamp>,
    pub(super) inserted_at: Timestamp,
}

/// As much of a delivery as decides whether it can be repeated.
#[derive(Row)]
pub(super) struct Repeated {
    pub(super) status: String,
    pub(super) event_type: String,
}

/// What a tenant keeps, and for how long.
#[derive(Row)]
pub(super) struct Keeping {
    pub(super) settings: JsonText,
}

statements! {
    COUNT_WEBHOOKS -> i64 = "select count(*) from webhooks where tenant_id = $1";
    PROJECT_OF_WEBHOOK -> Uuid = "select id from projects where tenant_id = $1 and id = $2";
    INSERT_WEBHOOK -> Webhook = "
        insert into webhooks (tenant_id, id, url, events, project_id, signing_secret) values ($1, $2, $3, $4, $5, $6)
        returning {*}";
    LIST_WEBHOOKS -> list of Webhook = {
        within: "",
        from: "webhooks where tenant_id = $1",
        page: "order by inserted_at desc, id desc limit $2 offset $3",
    };
    SHOW_WEBHOOK -> Webhook = "select {*} from webhooks where tenant_id = $1 and id = $2";
    /// Comes before its events and the head of the log. Who writes to the log locks no more of it than its key, after the head,
    /// which this lets happen.
    LOCK_WEBHOOK -> Webhook = "
        select {*} from webhooks where tenant_id = $1 and id = $2 for no key update";
    /// The failures are forgotten by the statement that says so, whatever they are by now.
    UPDATE_WEBHOOK -> Webhook = "
        update webhooks set url = $3, events = $4, project_id = $5, active = $6,
                            consecutive_failures = case when $7 then 0 else consecutive_failures end,
                            updated_at = clock_timestamp()
        where tenant_id = $1 and id = $2
        returning {*}";
    /// Before the tenant's turn: there may be many. Those that are told meanwhile go with the webhook.
    DELETE_WEBHOOK_EVENTS = "delete from webhook_events where tenant_id = $1 and webhook_id = $2";
    /// In the tenant's turn, when nobody has locked its key to tell it something.
    DELETE_WEBHOOK = "delete from webhooks where tenant_id = $1 and id = $2";
    /// By the time of their entries in the log, of which no two are the same.
    LIST_DELIVERIES -> list of Delivery = {
        within: "webhooks where tenant_id = $1 and id = $2",
        from: "
            webhook_events
            where tenant_id = $1 and webhook_id = $2 and ($3::text is null or status = $3)
              and ($4::text is null or event_type = $4)",
        page: "
            and inserted_at < coalesce($7::timestamptz, 'infinity')
            order by inserted_at desc, id desc limit $5 offset $6",
    };
    LOCK_DELIVERY -> Repeated = "
        select {*} from webhook_events where tenant_id = $1 and webhook_id = $2 and id = $3 for no key update";
    /// What the receiver said last is kept until it says something else.
    REDELIVER = "
        update webhook_events set status = 'pending', attempts = 0, next_attempt_at = clock_timestamp(),
                                  delivered_at = null, error = null, updated_at = clock_timestamp()
        where tenant_id = $1 and id = $2";
    SETTINGS_OF_RETENTION -> Keeping = "select {*} from tenants where id = $1";
    /// A thousand at most of what is over for longer than so many days, and of what was never sent for three times as long: the
    /// oldest of each webhook. What is to be delivered once more by the time it is locked stays.
    CLEAN_UP -> i64 = "
        with gone as (
            delete from webhook_events e
            where tenant_id = $1 and status <> 'pending' and id = any (array(
                select old.id from webhooks w cross join lateral (
                    select o.id from webhook_events o
                    where o.tenant_id = w.tenant_id and o.webhook_id = w.id
                      and o.inserted_at < now() - make_interval(days => $2)
                      and (o.status in ('delivered', 'exhausted')
                           or o.status = 'failed' and o.inserted_at < now() - make_interval(days => 3 * $2))
                    order by o.inserted_at limit 1000) old
                where w.tenant_id = (select $1::uuid) limit 1000))
            returning 1
        ) select count(*) from gone";
}
