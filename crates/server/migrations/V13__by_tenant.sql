-- The schema can be spread over several servers by tenant: every key of a tenant's table has the tenant in it, policies have no
-- subquery, and what is looked up before a tenant is known points at no tenant's table and writes to none. And the log, which
-- every change writes to, keeps the indexes that somebody reads.

-- The tenant of the running transaction, or NULL when none is set: then tenant tables show no rows and take none. Simple enough
-- to become part of the query that it protects.
create or replace function current_tenant_id() returns uuid
    language sql stable parallel safe
    return nullif(current_setting('loopctl.tenant_id', true), '')::uuid;

do $$
declare
    p record;
begin
    for p in
        select tablename, policyname, qual is not null as reads, with_check is not null as writes,
               case tablename when 'tenants' then 'id' else 'tenant_id' end as tenant
        from pg_policies where schemaname = 'public'
    loop
        execute format('alter policy %I on %I', p.policyname, p.tablename)
            || case when p.reads then format(' using (%I = current_tenant_id())', p.tenant) else '' end
            || case when p.writes then format(' with check (%I = current_tenant_id())', p.tenant) else '' end;
    end loop;
end
$$;

-- A tenant's head is written by whoever creates the tenant, in the same transaction.
drop trigger create_audit_head on tenants;
drop function create_audit_head();

-- Judged without a call where nothing is wrong, and afterwards: a trigger before it would lock the row once more.
drop trigger audit_head_advances on audit_heads;
create trigger audit_head_advances after update on audit_heads for each row
    when (new.tenant_id <> old.tenant_id or new.position <= old.position or new.last_at <= old.last_at)
    execute function audit_head_advances();
alter table audit_heads set (fillfactor = 50);

-- What belongs to no tenant has the nil UUID in the log, as it has in its head.
alter table audit_log disable trigger append_only;
update audit_log set tenant_id = '00000000-0000-0000-0000-000000000000' where tenant_id is null;
alter table audit_log enable trigger append_only;
drop index audit_log_entity, audit_log_project, audit_log_story;
alter table audit_log
    drop constraint audit_log_pkey,
    drop constraint audit_log_clock,
    alter column tenant_id set not null;
-- A tenant's clock never stands still: its time is a row's name, the cursor of those who follow it, and their index.
alter table audit_log add constraint audit_log_clock primary key (tenant_id, inserted_at);
create index audit_log_story on audit_log (tenant_id, story_id, inserted_at) where story_id is not null;
-- Of everything else than stories, which the index above finds.
create index audit_log_entity on audit_log (tenant_id, entity_id, inserted_at) where entity_type <> 'story';

-- Keys are found before their tenant is known. That a key's agent exists is looked up where a foreign key would have done it.
alter table api_keys drop constraint api_keys_tenant_id_agent_id_fkey;
create function api_keys_have_agents() returns trigger language plpgsql security definer
    set search_path = public, pg_temp as $$
begin
    perform from agents where tenant_id = new.tenant_id and id = new.agent_id for key share;
    if not found and exists (select from api_keys where id = new.id and agent_id = new.agent_id) then
        raise exception 'api_keys_have_agents: key % is bound to no agent of its tenant', new.id
            using errcode = 'foreign_key_violation';
    end if;
    return null;
end
$$;
create constraint trigger api_keys_have_agents after insert or update of tenant_id, agent_id on api_keys
    deferrable initially deferred for each row when (new.agent_id is not null)
    execute function api_keys_have_agents();
create function agents_keep_keys() returns trigger language plpgsql security definer
    set search_path = public, pg_temp as $$
begin
    if exists (select from api_keys where tenant_id = old.tenant_id and agent_id = old.id)
        and not exists (select from agents where tenant_id = old.tenant_id and id = old.id)
    then
        raise exception 'api_keys_have_agents: a key is bound to agent %', old.id using errcode = 'foreign_key_violation';
    end if;
    return null;
end
$$;
create constraint trigger agents_keep_keys after delete or update of tenant_id, id on agents
    deferrable initially deferred for each row execute function agents_keep_keys();
revoke execute on function api_keys_have_agents(), agents_keep_keys() from public;
