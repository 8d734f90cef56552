//! Rows and SQL of agents.

use loopctl_core::json::JsonText;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::db::{Row, Timestamp, statements};

/// An agent.
#[derive(Debug, Clone, Serialize, JsonSchema, Row)]
pub(super) struct Agent {
    pub(super) id: Uuid,
    tenant_id: Uuid,
    pub(super) name: String,
    /// `orchestrator`, `implementer` or `reviewer`.
    pub(super) agent_type: String,
    /// `active`, `idle` or `deactivated`.
    pub(super) status: String,
    last_seen_at: Option<Timestamp>,
    metadata: JsonText,
    inserted_at: Timestamp,
    updated_at: Timestamp,
}

statements! {
    KEY_IS_BOUND -> bool = "
        select agent_id is not null as bound from api_keys where tenant_id = $1 and id = $2 for no key update";
    INSERT_AGENT -> Agent = "
        insert into agents (tenant_id, id, name, agent_type, metadata, last_seen_at)
        values ($1, $2, $3, $4, $5, clock_timestamp())
        returning {*}";
    BIND_KEY -> Uuid = "
        update api_keys set agent_id = $3, updated_at = clock_timestamp()
        where tenant_id = $1 and id = $2 and agent_id is null
        returning id";
    SHOW_AGENT -> Agent = "select {*} from agents where tenant_id = $1 and id = $2";
    LIST_AGENTS -> list of Agent = {
        within: "",
        from: "
            (select agents.*, $4::text as sort_by from agents
             where tenant_id = $1 and ($2::text is null or agent_type = $2) and ($3::text is null or status = $3)) a",
        page: "
            order by
                case sort_by when 'name' then name when 'agent_type' then agent_type when 'status' then status end,
                case sort_by when 'last_seen_at' then last_seen_at when 'inserted_at' then inserted_at end nulls last,
                id
            limit $5 offset $6",
    };
}
