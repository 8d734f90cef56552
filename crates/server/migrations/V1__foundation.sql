-- Tenants, API keys, agents, and the ground that row-level security stands on (file 01 §13).
--
-- Conventions of every migration: a tenant table has `tenant_id` first in its primary key and in its foreign
-- keys, so that a child can never point at another tenant's parent; row-level security is forced; the
-- application role gets exactly the privileges it needs. A test walks the catalogue and holds us to it.

-- The application role. It owns nothing and cannot bypass row-level security. Roles belong to the cluster, not
-- to the database, so it may exist already, or be created by another database's migration right now.
do $$
begin
    if not exists (select from pg_roles where rolname = 'loopctl_app') then
        create role loopctl_app nologin;
    end if;
exception when duplicate_object or unique_violation then null;
end
$$;

grant usage on schema public to loopctl_app;

-- The tenant of the running transaction, or NULL when none is set or the setting is no UUID: then tenant
-- tables show no rows and take none. Policies call it in a sub-select, so that it runs once per statement.
create function current_tenant_id() returns uuid
    language sql stable parallel safe
    return case
        when current_setting('loopctl.tenant_id', true) ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
        then current_setting('loopctl.tenant_id', true)::uuid
    end;

create table tenants (
    id uuid primary key,
    name text not null check (name ~ '\S' and length(name) <= 120),
    slug text not null unique check (slug ~ '^[a-z0-9][a-z0-9-]*[a-z0-9]$' and length(slug) between 2 and 64),
    email text unique,
    settings jsonb not null default '{}' check (jsonb_typeof(settings) = 'object'),
    status text not null default 'active'
        check (status in ('active', 'suspended', 'deactivated', 'pending_enrollment')),
    custody_mode text not null default 'standard' check (custody_mode in ('standard', 'strict')),
    custody_halted_at timestamptz,
    default_story_budget_millicents bigint check (default_story_budget_millicents > 0),
    token_data_retention_days integer check (token_data_retention_days >= 30),
    inserted_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index tenants_status on tenants (status);

create table agents (
    tenant_id uuid not null references tenants (id) on delete cascade,
    id uuid not null,
    name text not null check (name ~ '\S' and length(name) <= 255),
    agent_type text not null check (agent_type in ('orchestrator', 'implementer')),
    status text not null default 'active' check (status in ('active', 'idle', 'deactivated')),
    last_seen_at timestamptz,
    metadata jsonb not null default '{}' check (jsonb_typeof(metadata) = 'object'),
    inserted_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, id),
    constraint agents_name unique (tenant_id, name)
);

-- Superadmin keys have no tenant, which is why the tenant is not in the primary key here.
create table api_keys (
    id uuid primary key,
    tenant_id uuid references tenants (id) on delete cascade,
    name text not null check (name ~ '\S' and length(name) <= 255),
    key_hash text not null unique check (key_hash ~ '^[0-9a-f]{64}$'),
    key_prefix text not null check (length(key_prefix) <= 8),
    role text not null check (role in ('superadmin', 'user', 'orchestrator', 'agent')),
    agent_id uuid,
    last_used_at timestamptz,
    expires_at timestamptz,
    revoked_at timestamptz,
    -- Set by rotation: the key lives on for its grace period, but no longer counts.
    superseded_at timestamptz,
    -- Set for keys minted by a dispatch.
    dispatch_id uuid,
    inserted_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint api_keys_superadmin_has_no_tenant check ((role = 'superadmin') = (tenant_id is null)),
    constraint api_keys_user_has_no_agent check (role <> 'user' or agent_id is null),
    foreign key (tenant_id, agent_id) references agents (tenant_id, id) deferrable initially deferred
);
create index api_keys_tenant on api_keys (tenant_id, inserted_at desc, id);
-- An agent may hold one agent key and one orchestrator key (file 01 §6.1).
create unique index api_keys_live_per_agent on api_keys (tenant_id, agent_id, role)
    where revoked_at is null and superseded_at is null and dispatch_id is null and role in ('agent', 'orchestrator');

-- What a key is never changes: its role and tenant, the agent it was bound to, and that it was revoked.
create function api_key_role_immutable() returns trigger language plpgsql as $$
begin
    if old.role is distinct from new.role or old.tenant_id is distinct from new.tenant_id then
        raise exception 'api_key_role_immutable: the role of an API key cannot be changed';
    elsif old.agent_id is not null and old.agent_id is distinct from new.agent_id then
        raise exception 'api_key_agent_immutable: an API key stays with its agent';
    elsif old.revoked_at is not null and old.revoked_at is distinct from new.revoked_at then
        raise exception 'api_key_revocation_final: a revoked API key stays revoked';
    end if;
    return new;
end
$$;
create trigger api_key_role_immutable before update on api_keys
    for each row execute function api_key_role_immutable();

-- From the hash of a presented key to everything a request needs to know about its caller. The one place
-- that reads keys before a tenant is known, and therefore runs with the owner's rights. `p_impersonate` is
-- honoured for superadmin keys only. Also notes the key's and the agent's use, at most once a second, without
-- waiting for anybody's lock and without waiting for the disk: losing that note in a crash is harmless.
create function authenticate(p_key_hash text, p_impersonate uuid)
    returns table (
        key_id uuid, key_name text, key_prefix text, role text, agent_id uuid, tenant_id uuid, tenant_status text, tenant_slug text
    )
    language plpgsql security definer set search_path = public, pg_temp as $$
declare
    k api_keys;
begin
    select * into k from api_keys a
        where a.key_hash = p_key_hash and a.revoked_at is null
          and (a.expires_at is null or a.expires_at > clock_timestamp());
    if not found then
        return;
    end if;
    if k.last_used_at is null or k.last_used_at < clock_timestamp() - interval '1 second' then
        perform set_config('synchronous_commit', 'off', true);
        update api_keys a set last_used_at = clock_timestamp()
            where a.id = (select b.id from api_keys b where b.id = k.id for no key update skip locked);
        update agents g set last_seen_at = clock_timestamp()
            where (g.tenant_id, g.id) = (
                select h.tenant_id, h.id from agents h
                where h.tenant_id = k.tenant_id and h.id = k.agent_id for no key update skip locked);
    end if;
    if k.role = 'superadmin' then
        return query select k.id, k.name, k.key_prefix, k.role, null::uuid, t.id, t.status, t.slug
            from (select 1) one left join tenants t on t.id = p_impersonate;
    else
        return query select k.id, k.name, k.key_prefix, k.role, k.agent_id, t.id, t.status, t.slug
            from tenants t where t.id = k.tenant_id;
    end if;
end
$$;
revoke all on function authenticate(text, uuid) from public;
grant execute on function authenticate(text, uuid) to loopctl_app;

alter table tenants enable row level security, force row level security;
create policy tenant_isolation on tenants
    using (id = (select current_tenant_id())) with check (id = (select current_tenant_id()));
alter table agents enable row level security, force row level security;
create policy tenant_isolation on agents
    using (tenant_id = (select current_tenant_id())) with check (tenant_id = (select current_tenant_id()));
-- Rows without a tenant (superadmin keys) equal nothing, so no tenant sees them.
alter table api_keys enable row level security, force row level security;
create policy tenant_isolation on api_keys
    using (tenant_id = (select current_tenant_id())) with check (tenant_id = (select current_tenant_id()));

-- Status, custody and halts are not the tenant's to change; a key's hash and prefix are nobody's.
grant select on tenants to loopctl_app;
grant update (name, slug, email, settings, default_story_budget_millicents, token_data_retention_days, updated_at)
    on tenants to loopctl_app;
grant select, insert on agents to loopctl_app;
grant select, insert on api_keys to loopctl_app;
grant update (agent_id, expires_at, revoked_at, superseded_at, updated_at) on api_keys to loopctl_app;
