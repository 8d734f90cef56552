//! SQL of agents.

use tokio_postgres::Row;

use super::api::Agent;
use crate::db::{DbError, statements};

statements! {
    KEY_IS_BOUND = "
        select agent_id is not null as bound from api_keys where tenant_id = $1 and id = $2 for no key update";
    INSERT_AGENT = "
        insert into agents (tenant_id, id, name, agent_type, metadata, last_seen_at)
        values ($1, $2, $3, $4, $5, clock_timestamp())
        returning *";
    BIND_KEY = "
        update api_keys set agent_id = $3, updated_at = clock_timestamp()
        where tenant_id = $1 and id = $2 and agent_id is null
        returning id";
    SHOW_AGENT = "select * from agents where tenant_id = $1 and id = $2";
    COUNT_AGENTS = "
        select count(*) as total from agents
        where tenant_id = $1 and ($2::text is null or agent_type = $2) and ($3::text is null or status = $3)";
    LIST_AGENTS = "
        select * from agents
        where tenant_id = $1 and ($2::text is null or agent_type = $2) and ($3::text is null or status = $3)
        order by
            case $4::text when 'name' then name when 'agent_type' then agent_type when 'status' then status end,
            case $4::text when 'last_seen_at' then last_seen_at when 'inserted_at' then inserted_at end nulls last,
            id
        limit $5 offset $6";
}

/// Reads a row of `agents`.
pub(super) fn read(row: &Row) -> Result<Agent, DbError> {
    Ok(Agent {
        id: row.try_get("id")?,
        tenant_id: row.try_get("tenant_id")?,
        name: row.try_get("name")?,
        agent_type: row.try_get("agent_type")?,
        status: row.try_get("status")?,
        last_seen_at: row.try_get("last_seen_at")?,
        metadata: row.try_get("metadata")?,
        inserted_at: row.try_get("inserted_at")?,
        updated_at: row.try_get("updated_at")?,
    })
}
