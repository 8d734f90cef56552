//! SQL of signing up.

use crate::db::statements;
use crate::identity::authenticators::TakenChallenge;

statements! {
    /// What was asked for with these challenges, which are used up with the transaction.
    TAKE_SIGNUP_CHALLENGES -> TakenChallenge = "
        select {*} from take_signup_challenges($2) where $1::uuid is not null";
    BEGIN_ENROLLMENT = "select begin_enrollment($1, $2, $3, $4, $5)";
    KEEP_SECRET = "insert into tenant_secrets (tenant_id, id, name, ciphertext) values ($1, $2, $3, $4)";
    COMPLETE_ENROLLMENT = "select complete_enrollment($1)";
}
