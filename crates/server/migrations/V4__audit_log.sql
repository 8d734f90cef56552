-- The audit log (file 04 §1, §2.4): one row per change, written in the change's transaction, never altered.

-- One row per tenant, and the nil UUID for what belongs to no tenant. Locked last in every transaction that
-- records events, so that a tenant's positions and timestamps are in commit order.
create table audit_heads (
    tenant_id uuid primary key,
    position bigint not null default 0,
    last_at timestamptz not null default '-infinity'
);
insert into audit_heads (tenant_id) values ('00000000-0000-0000-0000-000000000000');

create function create_audit_head() returns trigger language plpgsql security definer
    set search_path = public, pg_temp as $$
begin
    insert into audit_heads (tenant_id) values (new.id);
    return null;
end
$$;
create trigger create_audit_head after insert on tenants for each row execute function create_audit_head();

-- The clock of the log runs forwards only.
create function audit_head_advances() returns trigger language plpgsql as $$
begin
    if new.tenant_id <> old.tenant_id or new.position <= old.position or new.last_at <= old.last_at then
        raise exception 'audit_head_advances: positions and times of the audit log only grow';
    end if;
    return new;
end
$$;
create trigger audit_head_advances before update on audit_heads
    for each row execute function audit_head_advances();

create table audit_log (
    id uuid not null,
    -- NULL: outside any tenant. No foreign key: the log outlives what it tells of.
    tenant_id uuid,
    -- Gap-free per tenant, in commit order.
    position bigint not null,
    project_id uuid,
    entity_type text not null,
    entity_id uuid not null,
    action text not null,
    actor_type text not null check (actor_type in ('api_key', 'superadmin', 'system', 'human')),
    actor_id uuid,
    actor_label text,
    old_state jsonb,
    new_state jsonb,
    metadata jsonb not null default '{}',
    -- The story that this concerns, for its history. A column, because under row-level security an operator on
    -- `metadata` could never be an index condition.
    story_id uuid generated always as (
        case when entity_type = 'story' then entity_id else (metadata ->> 'story_id')::uuid end) stored,
    -- SHA-256 of the canonical form of what happened; the ledger chains these.
    leaf_hash bytea not null check (length(leaf_hash) = 32),
    -- Strictly increasing per tenant, in commit order: the cursor of the change feed.
    inserted_at timestamptz not null,
    primary key (id, inserted_at),
    constraint audit_log_clock unique nulls not distinct (tenant_id, inserted_at)
) partition by range (inserted_at);
create index audit_log_entity on audit_log (tenant_id, entity_type, entity_id, inserted_at);
create index audit_log_project on audit_log (tenant_id, project_id, inserted_at) where project_id is not null;
create index audit_log_story on audit_log (tenant_id, story_id, inserted_at, id) where story_id is not null;

create function audit_log_append_only() returns trigger language plpgsql as $$
begin
    raise exception '% on audit_log is not allowed', tg_op;
end
$$;
create trigger append_only before update or delete on audit_log
    for each row execute function audit_log_append_only();
create trigger no_truncate before truncate on audit_log
    for each statement execute function audit_log_append_only();

-- An insert never fails for want of a partition.
create table audit_log_default partition of audit_log default;
create trigger no_truncate before truncate on audit_log_default
    for each statement execute function audit_log_append_only();

-- Creates the monthly partitions from this month to `p_ahead` months ahead, with no right on them for the
-- application role: row-level security of the parent does not protect a partition that is named directly.
create function ensure_audit_partitions(p_ahead integer) returns void language plpgsql as $$
declare
    first_day date;
    name text;
begin
    for i in 0..p_ahead loop
        first_day := date_trunc('month', now() at time zone 'utc') + make_interval(months => i);
        name := format('audit_log_y%sm%s', to_char(first_day, 'YYYY'), to_char(first_day, 'MM'));
        if to_regclass(name) is not null then
            continue;
        end if;
        -- Rows that came before their partition stay in the default one: they are never altered, not even moved.
        if exists (select from only audit_log_default where inserted_at >= first_day::timestamp at time zone 'utc'
                   and inserted_at < (first_day + interval '1 month') at time zone 'utc') then
            raise warning 'audit rows of % are in the default partition', name;
            continue;
        end if;
        execute format('create table %I partition of audit_log for values from (%L) to (%L)', name,
                           first_day || ' 00:00:00+00', (first_day + interval '1 month')::date || ' 00:00:00+00');
        execute format('create trigger no_truncate before truncate on %I '
                           'for each statement execute function audit_log_append_only()', name);
        execute format('alter table %I enable row level security, force row level security', name);
        execute format('revoke all on %I from loopctl_app', name);
    end loop;
end
$$;
revoke all on function ensure_audit_partitions(integer) from public;
select ensure_audit_partitions(3);
alter table audit_log_default enable row level security, force row level security;

alter table audit_log enable row level security, force row level security;
create policy tenant_reads on audit_log for select using (tenant_id = (select current_tenant_id()));
create policy tenant_appends on audit_log for insert with check (tenant_id = (select current_tenant_id()));
grant select, insert on audit_log to loopctl_app;

alter table audit_heads enable row level security, force row level security;
create policy tenant_isolation on audit_heads
    using (tenant_id = (select current_tenant_id())) with check (tenant_id = (select current_tenant_id()));
grant select, update on audit_heads to loopctl_app;
