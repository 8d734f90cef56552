//! SQL of the caller's tenant.

use tokio_postgres::Row;

use super::api::Tenant;
use crate::db::{DbError, statements};

statements! {
    SHOW_TENANT = "select * from tenants where id = $1";
    /// Counting what a limit bounds under this lock makes the limit race-free.
    LOCK_TENANT = "select * from tenants where id = $1 for no key update";
    /// Settings are merged by the database: two concurrent updates of different keys both survive, and a null
    /// removes its key.
    UPDATE_TENANT = "
        update tenants set
            name = coalesce($2, name), slug = coalesce($3, slug), email = coalesce($4, email),
            settings = (
                select coalesce(jsonb_object_agg(key, value), '{}') from jsonb_each(settings || $5)
                where not ($5 ? key and value = 'null')),
            default_story_budget_millicents = case when $6 then $7 else default_story_budget_millicents end,
            token_data_retention_days = case when $8 then $9 else token_data_retention_days end,
            updated_at = clock_timestamp()
        where id = $1
        returning *";
}

/// Reads a row of `tenants`.
pub(super) fn read(row: &Row) -> Result<Tenant, DbError> {
    Ok(Tenant {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        slug: row.try_get("slug")?,
        email: row.try_get("email")?,
        settings: row.try_get("settings")?,
        status: row.try_get("status")?,
        custody_mode: row.try_get("custody_mode")?,
        custody_halted_at: row.try_get("custody_halted_at")?,
        default_story_budget_millicents: row.try_get("default_story_budget_millicents")?,
        token_data_retention_days: row.try_get("token_data_retention_days")?,
        inserted_at: row.try_get("inserted_at")?,
        updated_at: row.try_get("updated_at")?,
    })
}
