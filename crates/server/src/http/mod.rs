//! What every route shares: who calls, what is sent, how answers and errors look.

pub(crate) mod body;
pub(crate) mod caller;
pub(crate) mod error;
pub(crate) mod layers;
pub(crate) mod page;
pub(crate) mod query;

use axum::extract::FromRequestParts;
use axum::extract::RawPathParams;
use axum::http::request::Parts;
use loopctl_core::fields::parse_uuid;
use uuid::Uuid;

pub(crate) use body::{Body, LargeBody};
pub(crate) use caller::{Any, AtLeast, Caller, Exact, Identity};
pub(crate) use error::{ApiError, ApiResult};
pub(crate) use page::{List, Meta, Page};
pub(crate) use query::Query;

/// The UUID in a path. Anything else there names nothing: 404.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Id(pub Uuid);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| ApiError::bad_request("Bad Request: the path is not valid UTF-8"))?;
        let id = params.iter().last().and_then(|(_, text)| parse_uuid(text));
        id.map(Self).ok_or_else(ApiError::not_found)
    }
}
