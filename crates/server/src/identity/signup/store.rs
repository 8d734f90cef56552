//! SQL of signing up.

use chrono::{DateTime, Utc};

use crate::db::{Row, statements};
use crate::identity::authenticators::TakenChallenge;

/// The attempts of an address that were let through, and what time it is.
#[derive(Row)]
pub(super) struct Attempts {
    pub(super) times: Vec<DateTime<Utc>>,
    #[row(sql = "clock_timestamp()")]
    pub(super) now: DateTime<Utc>,
}

statements! {
    /// Holds the address until the transaction ends. `$1` is nobody's.
    HOLD_ATTEMPTS -> Attempts = "
        insert into signup_attempts (kind, address) select $2, $3 where $1::uuid is not null
        on conflict (kind, address) do update set last_at = clock_timestamp()
        returning {*}";
    NOTE_ATTEMPTS = "
        update signup_attempts set times = $4 where kind = $2 and address = $3 and $1::uuid is not null";
    /// Forgets who has not been here for an hour, and of all others those who have not for longest, beyond ten thousand: who has so
    /// many addresses need not come twice from one. More go than come, so that the table stays small.
    FORGET_ATTEMPTS = "
        with old as (
            select kind, address from signup_attempts where last_at < clock_timestamp() - interval '1 hour'
            order by last_at limit 10 for update skip locked
        ), beyond as (
            select kind, address from signup_attempts order by last_at desc offset 10000 limit 10 for update skip locked
        )
        delete from signup_attempts where $1::uuid is not null and (kind, address) in (table old union all table beyond)";
    /// What was asked for with these challenges, which are used up with the transaction.
    TAKE_SIGNUP_CHALLENGES -> TakenChallenge = "
        select {*} from take_signup_challenges($2) where $1::uuid is not null";
    BEGIN_ENROLLMENT = "select begin_enrollment($1, $2, $3, $4, $5)";
    KEEP_SECRET = "insert into tenant_secrets (tenant_id, id, name, ciphertext) values ($1, $2, $3, $4)";
    COMPLETE_ENROLLMENT = "select complete_enrollment($1)";
}
