//! What every route shares: who calls, what is sent, how answers and errors look.

pub mod body;
pub mod caller;
pub mod error;
pub mod layers;
pub mod page;
pub mod query;

use axum::extract::FromRequestParts;
use axum::extract::RawPathParams;
use axum::http::request::Parts;
use loopctl_core::fields::parse_uuid;
use uuid::Uuid;

pub use body::{Body, LargeBody};
pub use caller::{Any, AtLeast, Caller, Exact, Identity};
pub use error::{ApiError, ApiResult};
pub use page::{Meta, Page};
pub use query::Query;

/// The UUID in a path. Anything else there names nothing: 404.
#[derive(Debug, Clone, Copy)]
pub struct Id(pub Uuid);

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
