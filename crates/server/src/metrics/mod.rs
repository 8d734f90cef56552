//! What the process counts and measures, for whoever watches it: Prometheus series, of which each is named here once. They are of the
//! process, not of a server in it, and none says whose work it was: labels are routes, methods, statuses and other words of ours, so
//! that their number is bounded, whatever is sent; but for what tenants share, which is told of those that take most.

mod usage;

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use loopctl_core::lifecycle::LoopState;
use metrics::{
    Counter, Gauge, Histogram, Label, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::VERSION;
use crate::life::Life;

pub(crate) use usage::Usage;

const REQUESTS: &str = "loopctl_http_requests_total";
const ABANDONED: &str = "loopctl_http_requests_abandoned_total";
const REQUEST_SECONDS: &str = "loopctl_http_request_duration_seconds";
const CONNECTIONS: &str = "loopctl_http_connections";
const REFUSED_CONNECTIONS: &str = "loopctl_http_connections_refused_total";
const TRANSITIONS: &str = "loopctl_story_transitions_total";
const AUDIT_WRITES: &str = "loopctl_audit_writes_total";
const POOL_SECONDS: &str = "loopctl_db_pool_wait_seconds";
const QUERY_SECONDS: &str = "loopctl_db_query_seconds";
const POOL: &str = "loopctl_db_pool_connections";
const POOL_MOST: &str = "loopctl_db_pool_connections_max";
const POOL_WAITING: &str = "loopctl_db_pool_waiting";
const DATABASE_UP: &str = "loopctl_db_up";
const PARTITIONS_UNTIL: &str = "loopctl_audit_partitions_until_seconds";
const SECRETS_KEY: &str = "loopctl_secrets_key_configured";
const JOBS: &str = "loopctl_jobs_total";
const JOB_SECONDS: &str = "loopctl_job_duration_seconds";
const JOB_QUEUE: &str = "loopctl_jobs_queued";
const JOB_AGE: &str = "loopctl_jobs_oldest_due_seconds";
const RATE_LIMITED: &str = "loopctl_rate_limited_total";
const DELIVERIES: &str = "loopctl_webhook_deliveries_total";
const DELIVERY_SECONDS: &str = "loopctl_webhook_delivery_duration_seconds";
const DELIVERY_QUEUE: &str = "loopctl_webhook_deliveries_pending";
const DELIVERY_AGE: &str = "loopctl_webhook_oldest_pending_seconds";
const READS_DROPPED: &str = "loopctl_article_reads_dropped_total";
const SHELVES: &str = "loopctl_search_shelves";
const SHELF_BYTES: &str = "loopctl_search_shelf_bytes";
const BUILD: &str = "loopctl_build_info";

/// The counters, and what each counts.
const COUNTERS: [(&str, &str); 9] = [
    (REQUESTS, "Requests answered, by route, method and status."),
    (ABANDONED, "Requests whose clients left before they were answered, by route and method."),
    (REFUSED_CONNECTIONS, "Connections that were refused because a limit was reached."),
    (RATE_LIMITED, "Requests that were refused because a rate limit was reached, by whose: key or tenant."),
    (TRANSITIONS, "Stories that went from one status to another, by kind: agent or verified."),
    (AUDIT_WRITES, "Entries written to audit logs, by entity type and action."),
    (JOBS, "Attempts of background jobs that ended, by kind and the state that the job is then in."),
    (DELIVERIES, "Attempts to deliver to webhooks, by event type and outcome."),
    (READS_DROPPED, "Reads of articles that were not noted, by why: full or failed."),
];
/// The histograms.
const HISTOGRAMS: [(&str, &str); 5] = [
    (REQUEST_SECONDS, "How long requests took until their answer began, by route, method and status."),
    (POOL_SECONDS, "How long work waited for a connection to the database."),
    (QUERY_SECONDS, "How long the database took to answer, by round trip."),
    (JOB_SECONDS, "How long background jobs took, by kind."),
    (DELIVERY_SECONDS, "How long attempts to deliver to webhooks took."),
];
/// The gauges.
const GAUGES: [(&str, &str); 14] = [
    (SHELVES, "Tenants whose articles are kept in memory, to be searched."),
    (SHELF_BYTES, "About how many bytes these articles take."),
    (CONNECTIONS, "Connections of clients that are open."),
    (POOL, "Connections to the database, by state: idle or used."),
    (POOL_MOST, "How many connections to the database there may be."),
    (POOL_WAITING, "How much work waits for a connection to the database."),
    (
        DATABASE_UP,
        "Whether the database answered when this was asked for; without it, what it told before is shown.",
    ),
    (
        PARTITIONS_UNTIL,
        "The time from which the audit log has no partition of its own any more, in seconds since 1970.",
    ),
    (
        JOB_QUEUE,
        "Background jobs, by kind and state: those that wait, run, or were given up within the last week.",
    ),
    (JOB_AGE, "For how many seconds the first of the background jobs that wait has been due."),
    (DELIVERY_QUEUE, "Events that are to be delivered to webhooks."),
    (DELIVERY_AGE, "How many seconds ago the oldest event came about that is to be delivered to a webhook."),
    (SECRETS_KEY, "Whether there is a key to encrypt secrets with."),
    (BUILD, "1, by version."),
];

/// Where histograms of seconds are cut: from a read of one row to what runs into a deadline.
const SECONDS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// How often what was measured is added up, so that it does not grow between two scrapes.
const UPKEEP: Duration = Duration::from_secs(5);

/// What is measured, as text. The first call begins to measure: a process has one recorder, whatever servers it runs.
pub(crate) fn exporter() -> &'static PrometheusHandle {
    static EXPORTER: OnceLock<PrometheusHandle> = OnceLock::new();
    EXPORTER.get_or_init(|| {
        // It refuses no buckets but an empty list.
        let recorder = PrometheusBuilder::new().set_buckets(&SECONDS).unwrap_or_default().build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("this process has another recorder of metrics: /metrics will be empty");
        }
        COUNTERS.into_iter().for_each(|(name, about)| describe_counter!(name, about));
        HISTOGRAMS.into_iter().for_each(|(name, about)| describe_histogram!(name, about));
        GAUGES.into_iter().for_each(|(name, about)| describe_gauge!(name, about));
        metrics_process::Collector::default().describe();
        gauge!(BUILD, "version" => VERSION).set(1.0);
        handle
    })
}

/// Adds up what was measured, until the process ends.
pub(crate) async fn keep_adding_up(life: Life) {
    let exporter = exporter();
    let mut due = tokio::time::interval(UPKEEP);
    loop {
        tokio::select! {
            _ = due.tick() => exporter.run_upkeep(),
            () = life.ending() => return,
        }
    }
}

/// A request was answered. `route` is a template or one word for whatever is none, and `method` one of a few.
pub(crate) fn answered(route: &str, method: &'static str, status: StatusCode, took: Duration) {
    let labels = vec![
        Label::new("route", route.to_owned()),
        Label::from_static_parts("method", method),
        Label::new("status", status.as_str().to_owned()),
    ];
    counter!(REQUESTS, labels.clone()).increment(1);
    histogram!(REQUEST_SECONDS, labels).record(took);
}

/// The client of a request left before the answer.
pub(crate) fn abandoned(route: &str, method: &'static str) {
    counter!(ABANDONED, "route" => route.to_owned(), "method" => method).increment(1);
}

/// Connections of clients that are open.
pub(crate) fn connections() -> Gauge {
    gauge!(CONNECTIONS)
}

/// Connections that were refused.
pub(crate) fn refused_connections() -> Counter {
    counter!(REFUSED_CONNECTIONS)
}

/// A request was refused because the rate limit of its key, or of its tenant, was reached.
pub(crate) fn rate_limited(of: &'static str) {
    counter!(RATE_LIMITED, "limit" => of).increment(1);
}

/// Entries of one kind were committed to a log.
pub(crate) fn recorded(entity_type: &'static str, action: &'static str, entries: usize) {
    counter!(AUDIT_WRITES, "entity_type" => entity_type, "action" => action).increment(entries as u64);
}

/// A story's step, to be counted when it is committed.
#[derive(Debug)]
pub(crate) struct Step {
    kind: &'static str,
    from: &'static str,
    to: &'static str,
}

impl Step {
    /// What a step has changed: one status, both or neither.
    pub(crate) fn of(before: &LoopState, next: &LoopState) -> impl Iterator<Item = Self> + use<> {
        let agent = (before.agent_status.as_str(), next.agent_status.as_str());
        let verified = (before.verified_status.as_str(), next.verified_status.as_str());
        let steps = [("agent", agent), ("verified", verified)].into_iter();
        steps.filter(|(_, (from, to))| from != to).map(|(kind, (from, to))| Self { kind, from, to })
    }

    /// Counts it.
    pub(crate) fn count(&self) {
        counter!(TRANSITIONS, "kind" => self.kind, "from" => self.from, "to" => self.to).increment(1);
    }
}

/// How long a pool's users wait.
#[derive(Debug, Clone)]
pub(crate) struct Waits {
    pool: Histogram,
    query: Histogram,
}

impl Waits {
    /// Ready to be used: these are measured many times per request.
    pub(crate) fn new() -> Self {
        Self { pool: histogram!(POOL_SECONDS), query: histogram!(QUERY_SECONDS) }
    }

    /// Waits for a connection.
    pub(crate) async fn for_connection<T>(&self, wait: impl Future<Output = T>) -> T {
        measured(&self.pool, wait).await
    }

    /// Waits for the database.
    pub(crate) async fn for_answer<T>(&self, wait: impl Future<Output = T>) -> T {
        measured(&self.query, wait).await
    }
}

async fn measured<T>(histogram: &Histogram, wait: impl Future<Output = T>) -> T {
    let began = Instant::now();
    let value = wait.await;
    histogram.record(began.elapsed());
    value
}

/// A pool as it is now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PoolState {
    /// Connections that nobody uses.
    pub(crate) idle: usize,
    /// Those that somebody uses.
    pub(crate) used: usize,
    /// How many there may be.
    pub(crate) most: usize,
    /// Who waits for one.
    pub(crate) waiting: usize,
}

impl PoolState {
    /// Shows it.
    pub(crate) fn show(self) {
        gauge!(POOL, "state" => "idle").set(self.idle as f64);
        gauge!(POOL, "state" => "used").set(self.used as f64);
        gauge!(POOL_MOST).set(self.most as f64);
        gauge!(POOL_WAITING).set(self.waiting as f64);
    }
}

/// Whether the database answers.
pub(crate) fn show_database(up: bool) {
    gauge!(DATABASE_UP).set(f64::from(u8::from(up)));
}

/// Until when the log has partitions.
pub(crate) fn show_partitions(until: f64) {
    gauge!(PARTITIONS_UNTIL).set(until);
}

/// An attempt of a job ended, and left it in this state.
pub(crate) fn job_ended(kind: &'static str, state: String, took: Duration) {
    counter!(JOBS, "kind" => kind, "state" => state).increment(1);
    histogram!(JOB_SECONDS, "kind" => kind).record(took);
}

/// An attempt of a job ended with its worker.
pub(crate) fn job_lost(kind: String) {
    counter!(JOBS, "kind" => kind, "state" => "lost").increment(1);
}

/// How many jobs of a kind are in this state.
pub(crate) fn show_jobs(kind: String, state: String, count: f64) {
    gauge!(JOB_QUEUE, "kind" => kind, "state" => state).set(count);
}

/// For how long the first job has been due.
pub(crate) fn show_oldest_job(seconds: f64) {
    gauge!(JOB_AGE).set(seconds);
}

/// Something was sent to a webhook, or should have been.
pub(crate) fn delivered(event_type: String, outcome: &'static str) {
    counter!(DELIVERIES, "event_type" => event_type, "outcome" => outcome).increment(1);
}

/// How long an attempt to deliver took.
pub(crate) fn delivery_took(took: Duration) {
    histogram!(DELIVERY_SECONDS).record(took);
}

/// So many reads of articles were not noted.
pub(crate) fn reads_dropped(why: &'static str, rows: usize) {
    counter!(READS_DROPPED, "reason" => why).increment(rows as u64);
}

/// How many tenants' articles are kept in memory, and how much of it they take.
pub(crate) fn show_shelves(count: usize, bytes: usize) {
    gauge!(SHELVES).set(count as f64);
    gauge!(SHELF_BYTES).set(bytes as f64);
}

/// What is to be delivered, and for how long it has been.
pub(crate) fn show_deliveries(pending: f64, oldest: f64) {
    gauge!(DELIVERY_QUEUE).set(pending);
    gauge!(DELIVERY_AGE).set(oldest);
}

/// Whether secrets can be encrypted.
pub(crate) fn show_secrets_key(configured: bool) {
    gauge!(SECRETS_KEY).set(f64::from(u8::from(configured)));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_step_is_what_has_changed() {
        use loopctl_core::lifecycle::{AgentStatus, VerifiedStatus};
        let before = LoopState { agent_status: AgentStatus::ReportedDone, ..LoopState::untouched() };
        let told = |next: &LoopState| {
            Step::of(&before, next).map(|step| [step.kind, step.from, step.to].join(" ")).collect::<Vec<_>>()
        };
        assert!(told(&before).is_empty());
        let verified = LoopState { verified_status: VerifiedStatus::Verified, ..before.clone() };
        assert_eq!(told(&verified), ["verified unverified verified"]);
        let reset = LoopState { verified_status: VerifiedStatus::Rejected, ..LoopState::untouched() };
        assert_eq!(told(&reset), ["agent reported_done pending", "verified unverified rejected"]);
    }

    /// Operators find every series in the document.
    #[test]
    fn every_series_is_documented() {
        let document = include_str!("../../../../docs/operations.md");
        let of_tenants = usage::SERIES.iter().map(|(name, ..)| name);
        for name in COUNTERS.iter().chain(&HISTOGRAMS).chain(&GAUGES).map(|(name, _)| name).chain(of_tenants)
        {
            assert!(document.contains(&format!("`{name}`")), "{name}");
        }
    }

    /// And a query for each, of series that there are.
    #[test]
    fn every_series_is_watched() {
        let document = include_str!("../../../../docs/runbook.md");
        let ours = COUNTERS.iter().chain(&HISTOGRAMS).chain(&GAUGES).map(|(name, _)| *name);
        let ours: BTreeSet<_> = ours.chain(usage::SERIES.iter().map(|(name, ..)| *name)).collect();
        let words = document.split(|c: char| !c.is_ascii_lowercase() && c != '_');
        let asked: BTreeSet<_> = words
            .filter(|word| word.starts_with("loopctl_") && !word.starts_with("loopctl_owner"))
            .map(|word| word.strip_suffix("_bucket").unwrap_or(word))
            .collect();
        let unknown: Vec<_> = asked.difference(&ours).filter(|word| !word.ends_with('_')).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
        let unwatched: Vec<_> = ours.difference(&asked).collect();
        assert_eq!(unwatched, [&SHELVES], "with its bytes beside it");
    }
}
