//! Somebody without a key.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use loopctl_core::code::Code;

use crate::app::App;
use crate::http::{ApiError, FOREIGN, Input, Operation, Peer, admit_own_pages, client_address};
use crate::identity::authenticators::RelyingParty;

/// A client that signs up, or in. A browser says whose page it is that calls, and others than ours may not.
pub(crate) struct Visitor {
    pub(crate) app: App,
    /// Whom authenticators sign for.
    pub(crate) party: RelyingParty,
    /// Behind proxies that are trusted, what they say of it.
    pub(crate) address: IpAddr,
}

impl FromRequestParts<App> for Visitor {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let party = RelyingParty::of(&app.public_url)?;
        admit_own_pages(&parts.headers, &app.public_url)?;
        let Peer(peer) = parts.extensions.get().copied().ok_or_else(ApiError::internal)?;
        let address = client_address(peer, &parts.headers, &app.trusted_proxies);
        Ok(Self { app: app.clone(), party, address })
    }
}

impl Input for Visitor {
    fn describe(operation: &mut Operation<'_>) {
        operation.refuse(403, Code::OriginMismatch, FOREIGN);
    }
}
