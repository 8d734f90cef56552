//! How a server is reached, and as whom.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue};

use crate::error::Error;

/// How to reach a server.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Base address.
    pub(crate) server: String,
    /// Bearer key.
    pub(crate) api_key: Option<String>,
    /// Accept any certificate.
    pub(crate) insecure: bool,
    /// PEM file with further trusted certificates.
    pub(crate) cacert: Option<String>,
    /// Limit of one request, with the retries after failed connections; of a download, the limit of each silence.
    pub(crate) timeout: Duration,
    /// The tenant that a superadmin acts in.
    pub(crate) impersonation: Option<Impersonation>,
}

/// A superadmin inside a tenant.
#[derive(Debug, Clone)]
pub(crate) struct Impersonation {
    /// The tenant's id.
    pub(crate) tenant_id: String,
    /// The role that is taken; None: that of a superadmin.
    pub(crate) role: Option<String>,
}

impl Impersonation {
    /// The headers that say so.
    pub(super) fn headers(&self) -> Result<HeaderMap, Error> {
        let value = |text: &str| {
            HeaderValue::from_str(text)
                .map_err(|_| Error::Usage(format!("{text:?} cannot be sent in a header")))
        };
        let mut headers = HeaderMap::new();
        headers.insert("x-impersonate-tenant", value(&self.tenant_id)?);
        if let Some(role) = &self.role {
            headers.insert("x-effective-role", value(role)?);
        }
        Ok(headers)
    }
}
