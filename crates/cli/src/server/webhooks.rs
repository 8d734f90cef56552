//! What `serve` and `worker` are told about webhooks.

use clap::{ArgAction, Args};
use loopctl_core::webhooks::{AllowedNetworks, Policy, RetrySchedule};
use loopctl_server::serve::DeliveryOptions;

/// Where webhooks may lead, and how they are delivered to.
#[derive(Debug, Args)]
pub(crate) struct WebhookArguments {
    /// Private networks that webhooks may reach, with commas: 10.1.0.0/16,fd00::/8
    #[arg(long, env = "LOOPCTL_WEBHOOK_ALLOWED_PRIVATE_CIDRS", value_name = "NETWORKS")]
    webhook_allowed_private_cidrs: Option<AllowedNetworks>,
    /// Whether webhooks may use http
    #[arg(long, env = "WEBHOOK_ALLOW_HTTP", value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    webhook_allow_http: bool,
    /// Webhooks that are delivered to at the same time
    #[arg(long, env = "WEBHOOK_CONCURRENCY", value_name = "N", default_value_t = 10,
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    webhook_concurrency: u16,
    /// Seconds between attempts, with commas; the last one counts for all that follow (default: 60,300,1500,7200,36000)
    #[arg(long, env = "LOOPCTL_WEBHOOK_RETRY_SCHEDULE", value_name = "SECONDS")]
    webhook_retry_schedule: Option<RetrySchedule>,
}

/// The variable by an older name.
const ALLOWED: &str = "WEBHOOK_ALLOWED_PRIVATE_CIDRS";

impl WebhookArguments {
    /// How webhooks are delivered to.
    pub(crate) fn deliveries(&self) -> DeliveryOptions {
        let retries = self.webhook_retry_schedule.clone().unwrap_or_default();
        DeliveryOptions { concurrency: usize::from(self.webhook_concurrency), retries }
    }

    /// The policy that they make.
    pub(crate) fn policy(&self) -> Result<Policy, String> {
        let allowed = match &self.webhook_allowed_private_cidrs {
            Some(allowed) => allowed.clone(),
            None => {
                let text = std::env::var(ALLOWED).unwrap_or_default();
                text.parse().map_err(|error| format!("{ALLOWED}: {error}"))?
            }
        };
        Ok(Policy { allow_http: self.webhook_allow_http, allowed })
    }
}
