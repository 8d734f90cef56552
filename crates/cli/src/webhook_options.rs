//! What `serve` is told about webhooks.

use clap::{ArgAction, Args};
use loopctl_core::webhooks::{AllowedNetworks, Policy};

/// Where webhooks may lead.
#[derive(Debug, Args)]
pub(crate) struct WebhookArguments {
    /// Private networks that webhooks may reach, with commas: 10.1.0.0/16,fd00::/8
    #[arg(long, env = "LOOPCTL_WEBHOOK_ALLOWED_PRIVATE_CIDRS", value_name = "NETWORKS")]
    webhook_allowed_private_cidrs: Option<AllowedNetworks>,
    /// Whether webhooks may use http
    #[arg(long, env = "WEBHOOK_ALLOW_HTTP", value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    webhook_allow_http: bool,
}

/// The variable by an older name.
const ALLOWED: &str = "WEBHOOK_ALLOWED_PRIVATE_CIDRS";

impl WebhookArguments {
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
