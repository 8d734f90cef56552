//! `GET /metrics`: what the process counts, in the text format of Prometheus, for whoever watches it from the same machine or has
//! a superadmin key.

use std::net::IpAddr;
use std::time::Duration;

use axum::extract::{FromRequestParts, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use axum::response::{IntoResponse, Response};

use crate::app::{App, Exact, KeyHolder, Superadmin};
use crate::db::{DbError, Row, statements};
use crate::http::{ApiError, Peer};
use crate::metrics;

/// How long the database may take. Whoever scrapes gives up after 10 s, as a rule, and the rest is worth telling without it.
const BUDGET: Duration = Duration::from_secs(3);

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

statements! {
    /// Kinds of jobs that are known have their place whether there are any or not: what is gone must not be shown for ever.
    QUEUES -> Queues = "
        select {*} from (
            select k.kind, s.state, coalesce(j.jobs, 0) as jobs, j.oldest_due
            from (select kind from job_schedules union select kind from job_queue_stats()) k
                 cross join unnest(array['available', 'retryable', 'executing', 'discarded']) s (state)
                 left join job_queue_stats() j using (kind, state)) j";
    DELIVERIES -> Deliveries = "select {*} from webhook_queue_stats()";
}

/// What only the database knows of the queues, one column per column.
#[derive(Row)]
pub(crate) struct Queues {
    #[row(sql = "coalesce(array_agg(j.kind), '{}')")]
    kinds: Vec<String>,
    #[row(sql = "coalesce(array_agg(j.state), '{}')")]
    states: Vec<String>,
    #[row(sql = "coalesce(array_agg(j.jobs), '{}')")]
    jobs: Vec<i64>,
    #[row(sql = "coalesce(max(j.oldest_due), 0)")]
    oldest_due: f64,
    /// Seconds since 1970; null when there is but the default partition.
    #[row(sql = "extract(epoch from audit_log_ceiling())::float8")]
    partitions_until: Option<f64>,
}

#[derive(Row)]
pub(crate) struct Deliveries {
    pending: i64,
    oldest_pending_age: f64,
}

/// Somebody who may see what the process counts.
pub(crate) struct Watcher;

impl FromRequestParts<App> for Watcher {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let peer = parts.extensions.get::<Peer>();
        if peer.is_some_and(|Peer(address)| is_from_here(*address, &parts.headers)) {
            return Ok(Self);
        }
        KeyHolder::<Exact<(Superadmin,)>>::from_request_parts(parts, app).await?;
        Ok(Self)
    }
}

/// Whether a request is this machine's own. What a proxy on this machine hands on is not, and a proxy says so.
fn is_from_here(peer: IpAddr, headers: &HeaderMap) -> bool {
    let handed_on = |name: &HeaderName| {
        let name = name.as_str();
        matches!(name, "forwarded" | "via" | "x-real-ip") || name.starts_with("x-forwarded-")
    };
    peer.to_canonical().is_loopback() && !headers.keys().any(handed_on)
}

pub(crate) async fn metrics(_: Watcher, State(app): State<App>) -> Response {
    app.db.pool_state().show();
    metrics::show_secrets_key(app.vault.has_key());
    let told = tokio::time::timeout(BUDGET, ask(&app)).await;
    metrics::show_database(matches!(told, Ok(Ok(()))));
    // Reads files, and writes hundreds of kilobytes.
    let text = tokio::task::spawn_blocking(|| {
        metrics_process::Collector::default().collect();
        metrics::exporter().render()
    });
    let by_tenant = app.db.usage().text();
    match text.await {
        Ok(text) => ([(CONTENT_TYPE, TEXT)], text + &by_tenant).into_response(),
        Err(_) => ApiError::internal().into_response(),
    }
}

/// What only the database knows: the one place for gauges that are read when somebody asks for them.
async fn ask(app: &App) -> Result<(), DbError> {
    if let Some(queues) = app.pulse.without_tenant(QUEUES, &[]).await? {
        for ((kind, state), jobs) in queues.kinds.into_iter().zip(queues.states).zip(queues.jobs) {
            metrics::show_jobs(kind, state, jobs as f64);
        }
        metrics::show_oldest_job(queues.oldest_due);
        queues.partitions_until.into_iter().for_each(metrics::show_partitions);
    }
    if let Some(Deliveries { pending, oldest_pending_age }) =
        app.pulse.without_tenant(DELIVERIES, &[]).await?
    {
        metrics::show_deliveries(pending as f64, oldest_pending_age);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::http::{Request, StatusCode};
    use axum::routing::get;
    use tower::ServiceExt as _;

    use super::*;

    /// The status of a request without a key, from this address, with these headers.
    async fn status(peer: Option<&str>, headers: &[&str]) -> StatusCode {
        let router = Router::new().route("/metrics", get(async |_: Watcher| "counted"));
        let mut request = Request::builder().uri("/metrics");
        for name in headers {
            request = request.header(*name, "127.0.0.1");
        }
        let mut request = request.body(Body::empty()).unwrap();
        if let Some(peer) = peer {
            request.extensions_mut().insert(Peer(peer.parse().unwrap()));
        }
        router.with_state(App::without_database()).oneshot(request).await.unwrap().status()
    }

    #[tokio::test]
    async fn others_need_a_key_and_so_does_what_was_handed_on() {
        for peer in [None, Some("192.0.2.1"), Some("10.0.0.1"), Some("::ffff:192.0.2.1"), Some("2001:db8::1")]
        {
            assert_eq!(status(peer, &[]).await, StatusCode::UNAUTHORIZED, "{peer:?}");
        }
        for peer in ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(status(Some(peer), &["accept", "x-request-id"]).await, StatusCode::OK, "{peer}");
            for header in ["X-Forwarded-For", "Forwarded", "x-real-ip", "Via", "x-forwarded-proto"] {
                assert_eq!(status(Some(peer), &[header]).await, StatusCode::UNAUTHORIZED, "{peer} {header}");
            }
        }
    }
}
