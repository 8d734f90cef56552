//! Rows and SQL of authenticators and of what they are asked to sign.

use loopctl_core::json::JsonText;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::db::{Row, Timestamp, statements};

/// An authenticator of a tenant.
#[derive(Debug, Clone, Serialize, JsonSchema, Row)]
pub(crate) struct Authenticator {
    pub(super) id: Uuid,
    pub(super) friendly_name: String,
    /// `none`, `packed`, `fido-u2f`, `apple`, `tpm` or `android-key`.
    pub(super) attestation_format: String,
    /// How often it says that it has signed; 0 where it does not count.
    sign_count: i64,
    last_used_at: Option<Timestamp>,
    inserted_at: Timestamp,
}

/// What a proof is compared with.
#[derive(Row)]
pub(crate) struct StoredAuthenticator {
    pub(super) id: Uuid,
    pub(super) credential_id: Vec<u8>,
    pub(super) public_key: Vec<u8>,
    pub(super) sign_count: i64,
    pub(super) user_verified: bool,
    pub(super) backup_eligible: bool,
}

/// A challenge that has been used up.
#[derive(Row)]
pub(crate) struct TakenChallenge {
    pub(crate) challenge: Vec<u8>,
    /// What was asked for.
    pub(crate) state: JsonText,
}

statements! {
    LIST_AUTHENTICATORS -> list of Authenticator = {
        within: "",
        from: "tenant_root_authenticators where tenant_id = $1",
        page: "order by inserted_at, id limit $2 offset $3",
    };
    /// Whoever adds or takes one away holds the tenant first.
    COUNT_AUTHENTICATORS -> i64 = "select count(*) from tenant_root_authenticators where tenant_id = $1";
    CREDENTIAL_IDS -> Vec<u8> = "
        select credential_id from tenant_root_authenticators where tenant_id = $1 order by inserted_at, id";
    INSERT_AUTHENTICATOR -> Authenticator = "
        insert into tenant_root_authenticators (tenant_id, id, credential_id, public_key, attestation_format, sign_count,
                                                user_verified, backup_eligible, friendly_name)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        returning {*}";
    FIND_AUTHENTICATOR -> Uuid = "select id from tenant_root_authenticators where tenant_id = $1 and id = $2";
    DELETE_AUTHENTICATOR -> Authenticator = "
        delete from tenant_root_authenticators where tenant_id = $1 and id = $2
        returning {*}";
    LOCK_AUTHENTICATOR -> StoredAuthenticator = "
        select {*} from tenant_root_authenticators where tenant_id = $1 and credential_id = $2 for no key update";
    NOTE_USE = "
        update tenant_root_authenticators
        set sign_count = $3, last_used_at = clock_timestamp(), updated_at = clock_timestamp()
        where tenant_id = $1 and id = $2";
    /// Yields when it is over.
    INSERT_CHALLENGE -> Timestamp = "
        insert into webauthn_challenges (tenant_id, id, purpose, challenge, state, expires_at)
        values ($1, $2, $3, $4, $5, clock_timestamp() + interval '5 minutes')
        returning expires_at";
    /// It is gone with the change that it is for; one that is refused leaves it.
    TAKE_CHALLENGE_BY_ID -> TakenChallenge = "
        delete from webauthn_challenges
        where tenant_id = $1 and id = $2 and purpose = 'assertion' and expires_at > clock_timestamp()
        returning {*}";
    /// One that was given to whoever wants to sign in to some tenant.
    TAKE_SIGN_IN_CHALLENGE -> TakenChallenge = "
        select {*} from take_sign_in_challenge($2) where $1::uuid is not null";
    TAKE_CHALLENGE -> TakenChallenge = "
        delete from webauthn_challenges
        where tenant_id = $1 and challenge = $2 and purpose = 'registration' and expires_at > clock_timestamp()
        returning {*}";
}
