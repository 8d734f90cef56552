//! SQL of orchestrator states.

use crate::db::statements;

statements! {
    /// The project, and the state if one was saved. The project stays until the transaction ends.
    FIND_STATE = "
        select s.id, s.version, s.state_data
        from projects p
             left join orchestrator_states s on s.tenant_id = p.tenant_id and s.project_id = p.id and s.state_key = $3
        where p.tenant_id = $1 and p.id = $2 for key share of p";
    /// No row when somebody else was first.
    FIRST_SAVE = "
        insert into orchestrator_states (tenant_id, id, project_id, state_key, state_data, inserted_at, updated_at)
        values ($1, $2, $3, $4, $5, clock_timestamp(), clock_timestamp())
        on conflict (tenant_id, project_id, state_key) do nothing
        returning *";
    /// No row when the version has moved on. The data of one version never changes: what was read of the version
    /// that this replaces is what it replaces.
    NEXT_SAVE = "
        update orchestrator_states set state_data = $4, version = version + 1, updated_at = clock_timestamp()
        where tenant_id = $1 and id = $2 and version = $3
        returning *";
    SHOW_STATE = "select * from orchestrator_states where tenant_id = $1 and project_id = $2 and state_key = $3";
    COUNT_SAVES = "
        select count(*) as total, exists (select from projects where tenant_id = $1 and id = $2) as known
        from audit_log
        where tenant_id = $1 and entity_type = 'orchestrator_state' and action = 'saved'
          and entity_id = (select id from orchestrator_states
                           where tenant_id = $1 and project_id = $2 and state_key = $3)";
    LIST_SAVES = "
        select (new_state ->> 'version')::integer as version, new_state -> 'state_data' as state_data, actor_label,
               inserted_at
        from audit_log
        where tenant_id = $1 and entity_type = 'orchestrator_state' and action = 'saved'
          and entity_id = (select id from orchestrator_states
                           where tenant_id = $1 and project_id = $2 and state_key = $3)
        order by inserted_at desc, id desc limit $4 offset $5";
}
