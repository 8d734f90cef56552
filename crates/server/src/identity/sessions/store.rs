//! SQL of sessions.

use uuid::Uuid;

use crate::db::{Row, Timestamp, statements};

/// Where an authenticator is enrolled.
#[derive(Row)]
pub(super) struct Home {
    pub(super) tenant_id: Uuid,
    pub(super) tenant_status: String,
}

statements! {
    /// Asked without a tenant, which is what it tells.
    TENANT_OF_AUTHENTICATOR -> Home = "select {*} from tenant_of_authenticator($1)";
    AUTHENTICATORS_OF -> Vec<u8> = "select authenticators_of($2) where $1::uuid is not null";
    /// Yields when it is over.
    INSERT_SESSION -> Timestamp = "
        insert into sessions (tenant_id, id, authenticator_id, token_hash, expires_at)
        values ($1, $2, $3, $4, clock_timestamp() + make_interval(secs => $5))
        returning expires_at";
    /// Ends all but the newest sessions of an authenticator: nobody has so many browsers.
    END_OLD_SESSIONS = "
        delete from sessions where tenant_id = $1 and id in (
            select id from sessions where tenant_id = $1 and authenticator_id = $2
            order by inserted_at desc, id desc offset 20)";
    END_SESSION -> Uuid = "delete from sessions where tenant_id = $1 and id = $2 returning id";
}
