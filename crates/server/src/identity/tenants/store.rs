//! Rows and SQL of one tenant.

use loopctl_core::json::JsonText;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::db::{Row, Timestamp, statements};

/// A tenant.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(crate) struct Tenant {
    pub(super) id: Uuid,
    pub(super) name: String,
    pub(super) slug: String,
    pub(super) email: Option<String>,
    pub(super) settings: JsonText,
    /// Always `active` for a tenant that can see itself, except under impersonation.
    pub(in crate::identity) status: String,
    /// `standard` or `strict`.
    custody_mode: String,
    pub(in crate::identity) custody_halted_at: Option<Timestamp>,
    pub(super) default_story_budget_millicents: Option<i64>,
    pub(super) token_data_retention_days: Option<i32>,
    inserted_at: Timestamp,
    updated_at: Timestamp,
}

statements! {
    AGENT_TYPE -> String = "select agent_type from agents where tenant_id = $1 and id = $2";
    SHOW_TENANT -> Tenant = "select {*} from tenants where id = $1";
    /// Counting what a limit bounds under this lock makes the limit race-free.
    LOCK_TENANT -> Tenant = "select {*} from tenants where id = $1 for no key update";
    /// Settings are merged by the database: two concurrent updates of different keys both survive, and a null
    /// removes its key.
    UPDATE_TENANT -> Tenant = "
        update tenants set
            name = coalesce($2, name), slug = coalesce($3, slug), email = coalesce($4, email),
            settings = (
                select coalesce(jsonb_object_agg(key, value), '{}') from jsonb_each(settings || $5)
                where not ($5 ? key and value = 'null')),
            default_story_budget_millicents = case when $6 then $7 else default_story_budget_millicents end,
            token_data_retention_days = case when $8 then $9 else token_data_retention_days end,
            updated_at = clock_timestamp()
        where id = $1
        returning {*}";
    /// The default for each story is another: what budgets have told of it can be told again.
    FORGET_DEFAULT_ALERTS = "delete from token_budget_alerts where tenant_id = $1 and budget_id is null";
}
