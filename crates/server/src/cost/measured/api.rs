//! Handlers.

use axum::http::StatusCode;
use chrono::Utc;
use loopctl_core::code::Code;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use uuid::Uuid;

use super::batch::Batch;
use super::record::record;
use super::wire::{Export, Sent, Taken};
use super::{logs as of_logs, metrics as of_metrics};
use crate::app::{Agent, AtLeast, Caller, Identity};
use crate::http::{ApiError, ApiResult};

pub(super) async fn metrics(
    caller: Caller<AtLeast<Agent>>,
    sent: Sent<ExportMetricsServiceRequest>,
) -> ApiResult<Taken<ExportMetricsServiceRequest>> {
    take(&caller, &sent, of_metrics::read).await
}

pub(super) async fn logs(
    caller: Caller<AtLeast<Agent>>,
    sent: Sent<ExportLogsServiceRequest>,
) -> ApiResult<Taken<ExportLogsServiceRequest>> {
    take(&caller, &sent, of_logs::read).await
}

async fn take<E: Export>(caller: &Identity, sent: &Sent<E>, read: fn(&E, &mut Batch)) -> ApiResult<Taken<E>> {
    let agent_id = agent_of(caller)?;
    let mut batch = Batch::new(agent_id, Utc::now().timestamp_nanos_opt().unwrap_or(i64::MAX));
    read(&sent.export, &mut batch);
    record(caller, agent_id, sent, &batch).await
}

/// Whose usage it is.
fn agent_of(caller: &Identity) -> ApiResult<Uuid> {
    caller.agent_id.ok_or_else(|| {
        let message = "API key must be associated with an agent to report token usage";
        ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, Code::AgentRequired, message)
    })
}
