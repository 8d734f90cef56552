//! How often one address may try to sign up, or in, counted for all servers together.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use loopctl_core::attempts::AttemptLimit;
use uuid::Uuid;

use crate::db::{Db, Params, Row, Tx, statements};
use crate::http::{ApiError, ApiResult, network_of};

/// The attempts of an address that were let through, and what time it is.
#[derive(Row)]
pub(crate) struct Attempts {
    times: Vec<DateTime<Utc>>,
    #[row(sql = "clock_timestamp()")]
    now: DateTime<Utc>,
}

statements! {
    /// Holds the address until the transaction ends. `$1` is nobody's.
    HOLD_ATTEMPTS -> Attempts = "
        insert into address_attempts (kind, address) select $2, $3 where $1::uuid is not null
        on conflict (kind, address) do update set last_at = clock_timestamp()
        returning {*}";
    NOTE_ATTEMPTS = "
        update address_attempts set times = $4 where kind = $2 and address = $3 and $1::uuid is not null";
    /// Forgets who has not been here for an hour, and of all others those who have not for longest, beyond ten thousand: who has so
    /// many addresses need not come twice from one. More go than come, so that the table stays small. Which ones is looked up first:
    /// rows that are skipped by an offset would be locked as well.
    FORGET_ATTEMPTS = "
        with old as (
            select kind, address from address_attempts
            where last_at <= greatest(statement_timestamp() - interval '1 hour',
                                      (select last_at from address_attempts order by last_at desc offset 10000 limit 1))
            order by last_at limit 10 for update skip locked
        )
        delete from address_attempts where $1::uuid is not null and (kind, address) in (table old)";
}

/// Counts an attempt, whatever comes of it.
///
/// # Errors
/// 429 beyond the limit; or when the database fails.
pub(super) async fn count(db: &Db, limit: AttemptLimit, address: IpAddr) -> ApiResult<()> {
    let address = network_of(address).to_string();
    db.transaction(Uuid::nil(), async |mut tx: Tx| {
        let Attempts { times, now } = tx.one(HOLD_ATTEMPTS, &[&limit.name, &address]).await?;
        let times = limit.admit(&times, now).map_err(|seconds| {
            let message = format!("Too many {} attempts. Please try again later.", limit.of);
            ApiError::too_many_requests(&message, seconds)
        })?;
        let note: Params<'_> = &[&limit.name, &address, &times];
        tx.commit(&(NOTE_ATTEMPTS.with(note), FORGET_ATTEMPTS.with(&[])))
            .await
            .map(drop)
            .map_err(ApiError::from)
    })
    .await
}
