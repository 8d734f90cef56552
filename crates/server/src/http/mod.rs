//! What every route shares: what is sent, how answers and errors look, and how all of it is described.

pub(crate) mod accept;
pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod client;
pub(crate) mod cursor;
pub(crate) mod endpoint;
pub(crate) mod error;
pub(crate) mod fair;
pub(crate) mod fixed;
pub(crate) mod headers;
pub(crate) mod late;
pub(crate) mod layers;
pub(crate) mod moment;
pub(crate) mod openapi;
pub(crate) mod origin;
pub(crate) mod page;
pub(crate) mod query;
pub(crate) mod rate;
mod spool;
pub(crate) mod stream;
pub(crate) mod tls;

use axum::extract::{FromRequestParts, Path, RawPathParams};
use axum::http::request::Parts;
use loopctl_core::code::Code;
use loopctl_core::fields::parse_uuid;
use uuid::Uuid;

pub(crate) use accept::prefers_html;
pub(crate) use answer::{Answer, IDEMPOTENCY_KEY, Kept, LONGEST_KEY};
pub(crate) use body::{Body, BodyDigest, LargeBody, Nothing, RawBody, Sent, describe_faults, too_large};
pub(crate) use client::{client_address, network_of, private_networks};
pub(crate) use cursor::{Cursor, Feed, Place, cut};
pub(crate) use endpoint::{
    Created, CreatedSecret, Endpoint, Input, NoContent, Operation, Output, Session, endpoints, one,
};
pub(crate) use error::{ApiError, ApiResult, LARGEST_ANSWER, Refused, learn_more};
pub(crate) use fair::{Fair, Stay};
pub(crate) use fixed::{Asked, Fixed, LOOK_AGAIN, Unless};
pub(crate) use late::{Late, Shared};
pub(crate) use layers::Peer;
pub(crate) use moment::{Moment, last_moment, moment};
pub(crate) use origin::{FOREIGN, admit_own_pages, origin_of, require_own_page};
pub(crate) use page::{List, Meta, Page, Paged, PagedOrWhole, clamped, limits, pages};
pub(crate) use query::Query;
pub(crate) use rate::Noted;
pub(crate) use stream::{CutOff, EventStream, Sink, Streamed};
pub(crate) use tls::Front;

/// When an id names nothing.
const NO_RECORD: &str = "there is no such record";

/// The UUID in a path. Anything else there names nothing: 404.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Id(pub Uuid);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let ids = path_ids(parts, state).await?;
        ids.last().copied().map(Self).ok_or_else(ApiError::not_found)
    }
}

impl Input for Id {
    fn describe(operation: &mut Operation<'_>) {
        operation.path_ids = true;
        operation.refuse(404, Code::NotFound, NO_RECORD);
    }
}

/// The one name in a path. What is no text names nothing: 404.
#[derive(Debug)]
pub(crate) struct Name(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let name = Path::from_request_parts(parts, state).await;
        name.map(|Path(name)| Self(name)).map_err(|_| ApiError::not_found())
    }
}

impl Input for Name {
    fn describe(operation: &mut Operation<'_>) {
        operation.refuse(404, Code::NotFound, "nothing is called that");
    }
}

/// Every id in a path, in order.
///
/// # Errors
/// 404 when one is no UUID, whatever else it is.
pub(crate) async fn path_ids<S: Send + Sync>(parts: &mut Parts, state: &S) -> ApiResult<Vec<Uuid>> {
    // Fails when one of them is not even text.
    let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| ApiError::not_found())?;
    let ids: Option<Vec<_>> = params.iter().map(|(_, text)| parse_uuid(text)).collect();
    ids.ok_or_else(ApiError::not_found)
}
