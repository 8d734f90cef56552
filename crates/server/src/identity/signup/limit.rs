//! How often one address may try to sign up, counted for all servers together.

use std::net::IpAddr;

use loopctl_core::signup_limit::SignupLimit;
use uuid::Uuid;

use super::store::{Attempts, FORGET_ATTEMPTS, HOLD_ATTEMPTS, NOTE_ATTEMPTS};
use crate::db::{Db, Params, Tx};
use crate::http::{ApiError, ApiResult, network_of};

/// Counts an attempt, whatever comes of it.
///
/// # Errors
/// 429 beyond the limit; or when the database fails.
pub(super) async fn count(db: &Db, limit: SignupLimit, address: IpAddr) -> ApiResult<()> {
    let address = network_of(address).to_string();
    db.transaction(Uuid::nil(), async |mut tx: Tx| {
        let Attempts { times, now } = tx.one(HOLD_ATTEMPTS, &[&limit.name, &address]).await?;
        let times = limit.admit(&times, now).map_err(|seconds| {
            let message = "Too many registration attempts. Please try again later.";
            ApiError::too_many_requests(message, seconds)
        })?;
        let note: Params<'_> = &[&limit.name, &address, &times];
        tx.commit(&(NOTE_ATTEMPTS.with(note), FORGET_ATTEMPTS.with(&[])))
            .await
            .map(drop)
            .map_err(ApiError::from)
    })
    .await
}
