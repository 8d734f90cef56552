//! What coding agents measured of their own work: a receiver of what they export anyway (OTLP over HTTP), the sums of it, and what
//! views show of them.
//!
//! [`wire`] reads requests, [`metrics`] and [`logs`] find in them what tools tell of usage, and [`record`] adds it, each point once.

mod api;
mod batch;
pub(super) mod figures;
mod logs;
mod metrics;
mod record;
mod store;
mod wire;

use crate::app::Endpoint;
use crate::http::endpoints;

pub(crate) use store::STATEMENTS;
pub(super) use store::{MEASURED_OF_STORIES, MeasuredSums};

/// The routes of this resource. Exporters know them by these paths.
pub(crate) fn routes() -> Vec<Endpoint> {
    endpoints! { "Token Efficiency";
        /// Takes the metrics of a coding agent, as OpenTelemetry exports them (OTLP/HTTP).
        ///
        /// Protobuf or JSON, compressed with gzip or not; the answer is written as the request was. What tools tell of tokens and cost
        /// is added to what was measured of the agent that the key is bound to, each point once, however often it is sent. Other
        /// metrics are passed over. `partialSuccess` tells what could not be used, and what no story is known for.
        POST "/v1/metrics" => api::metrics, 422 AgentRequired "the key is not bound to an agent";
        /// Takes the log events of a coding agent, as OpenTelemetry exports them (OTLP/HTTP).
        ///
        /// As `/v1/metrics`. What events tell of a session counts where its metrics say nothing of it.
        POST "/v1/logs" => api::logs, 422 AgentRequired "the key is not bound to an agent";
    }
}
