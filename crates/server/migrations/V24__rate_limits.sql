-- How many requests keys and tenants make within a minute, counted for all servers together. A server takes permits from here, some at
-- a time, and lets a request pass for each without asking again.

-- How many permits were issued in a minute, for a key, for the sessions of an authenticator, or for all of a tenant: the id is its own. There
-- is one row for each, which begins anew with each minute in which somebody asks; what a crash takes with it costs nothing but that
-- minute's count. There is no foreign key to what the id names: rows of which nobody has asked for a day are forgotten.
create unlogged table rate_windows (
    tenant_id uuid not null references tenants (id) on delete cascade,
    id uuid not null,
    -- Since 1970.
    minute bigint not null default 0,
    issued bigint not null default 0 check (issued >= 0),
    primary key (tenant_id, id)
) with (fillfactor = 50);

alter table rate_windows enable row level security, force row level security;
create policy tenant_isolation on rate_windows
    using (tenant_id = current_tenant_id()) with check (tenant_id = current_tenant_id());
-- Written by the functions below alone, with the owner's rights: nobody gives a tenant back what it has spent.

-- Notes, until the connection ends, that there is one more server. Locks of this table's number are for that.
create function note_server() returns void
    language plpgsql set search_path = public, pg_temp as $$
begin
    perform pg_advisory_lock_shared('rate_windows'::regclass::oid::integer, 0);
end
$$;

-- One counter's part of what follows; its row is locked. What a server asks for is, in this order: the minute of what it gives back,
-- how many permits that are, how many it would have at most, how many may be issued in all, and how many it keeps.
create function issue_permits(
    p_tenant_id uuid, p_id uuid, p_minute bigint, p_ask bigint[], p_may boolean, out issued bigint, out granted bigint
)
    language plpgsql volatile set search_path = public, pg_temp as $$
begin
    select case when w.minute = p_minute then w.issued else 0 end into issued
        from rate_windows w where (w.tenant_id, w.id) = (p_tenant_id, p_id);
    if p_ask[1] = p_minute then
        issued := greatest(issued - p_ask[2], 0);
    end if;
    granted := case when p_may then greatest(least(p_ask[3], p_ask[4] - issued), 0) else 0 end;
    issued := issued + granted;
    update rate_windows w set minute = p_minute, issued = issue_permits.issued
        where (w.tenant_id, w.id) = (p_tenant_id, p_id);
end
$$;
revoke all on function issue_permits(uuid, uuid, bigint, bigint[], boolean) from public;

-- Issues permits for a key and for its tenant, in the minute that it is when both rows are locked; `moment` is in microseconds since
-- 1970. How many there may be depends on how many servers there are: those that have noted themselves, and p_unnoted further ones. A
-- server that goes by another number is told the right one, and given nothing. Who gets nothing for the key needs nothing of the tenant.
create function take_permits(
    p_tenant_id uuid, p_api_key_id uuid, p_unnoted bigint, p_servers bigint, p_key bigint[], p_tenant bigint[],
    out moment bigint, out servers bigint, out key_issued bigint, out key_granted bigint, out tenant_issued bigint,
    out tenant_granted bigint
)
    language plpgsql volatile security definer set search_path = public, pg_temp as $$
declare
    this_minute bigint;
begin
    insert into rate_windows (tenant_id, id) values (p_tenant_id, p_api_key_id), (p_tenant_id, p_tenant_id)
        on conflict do nothing;
    perform from rate_windows w where w.tenant_id = p_tenant_id and w.id in (p_api_key_id, p_tenant_id)
        order by w.id = p_tenant_id for no key update;
    select count(*) + p_unnoted into servers from pg_locks l
        where l.locktype = 'advisory' and l.classid = 'rate_windows'::regclass and l.granted
          and l.database = (select d.oid from pg_database d where d.datname = current_database());
    moment := floor(extract(epoch from clock_timestamp()) * 1000000);
    this_minute := moment / 60000000;
    select k.issued, k.granted into key_issued, key_granted
        from issue_permits(p_tenant_id, p_api_key_id, this_minute, p_key, servers = p_servers) k;
    select t.issued, t.granted into tenant_issued, tenant_granted
        from issue_permits(p_tenant_id, p_tenant_id, this_minute, p_tenant,
                           servers = p_servers and p_key[5] + key_granted > 0) t;
end
$$;

-- Takes back what a server has not spent that ends, but for rows that somebody holds at this moment.
create function return_permits(p_tenant_ids uuid[], p_ids uuid[], p_minutes bigint[], p_held bigint[]) returns void
    language sql volatile security definer set search_path = public, pg_temp as $$
    with returned as (
        select * from unnest(p_tenant_ids, p_ids, p_minutes, p_held) r (tenant_id, id, minute, held)
    ), free as (
        select w.tenant_id, w.id from rate_windows w join returned r using (tenant_id, id)
        for no key update of w skip locked
    )
    update rate_windows w set issued = greatest(w.issued - r.held, 0)
        from returned r join free using (tenant_id, id)
        where (w.tenant_id, w.id) = (r.tenant_id, r.id) and w.minute = r.minute
$$;
-- Forgets counters of which nobody has asked for a day, so many at a time; how many it were.
create function prune_rate_windows(p_most integer) returns bigint
    language sql volatile security definer set search_path = public, pg_temp as $$
    with old as (
        delete from rate_windows where (tenant_id, id) in (
            select w.tenant_id, w.id from rate_windows w
            where w.minute < floor(extract(epoch from clock_timestamp()) / 60) - 1440 limit p_most for update skip locked)
        returning 1
    )
    select count(*) from old
$$;

revoke all on function prune_rate_windows(integer), note_server(), take_permits(uuid, uuid, bigint, bigint, bigint[], bigint[]),
    return_permits(uuid[], uuid[], bigint[], bigint[]) from public;
grant execute on function prune_rate_windows(integer), note_server(), take_permits(uuid, uuid, bigint, bigint, bigint[], bigint[]),
    return_permits(uuid[], uuid[], bigint[], bigint[]) to loopctl_app;

-- As before, and what the tenant has set as its limit, as JSON; null when it has set none.
drop function authenticate(text, uuid);
create function authenticate(p_key_hash text, p_impersonate uuid)
    returns table (
        key_id uuid, key_name text, key_prefix text, role text, agent_id uuid, tenant_id uuid, tenant_status text, tenant_slug text,
        expires_in float8, rate_limit text
    )
    language plpgsql stable security definer set search_path = public, pg_temp as $$
declare
    k api_keys;
    seconds_left float8;
begin
    select * into k from api_keys a
        where a.key_hash = p_key_hash and a.revoked_at is null
          and (a.expires_at is null or a.expires_at > clock_timestamp());
    if not found then
        return;
    end if;
    seconds_left := extract(epoch from k.expires_at) - extract(epoch from clock_timestamp());
    if k.role = 'superadmin' then
        return query select k.id, k.name, k.key_prefix, k.role, null::uuid, t.id, t.status, t.slug, seconds_left, null::text
            from (select 1) one left join tenants t on t.id = p_impersonate;
    else
        return query select k.id, k.name, k.key_prefix, k.role, k.agent_id, t.id, t.status, t.slug, seconds_left,
                            (t.settings -> 'rate_limit_requests_per_minute')::text
            from tenants t where t.id = k.tenant_id;
    end if;
end
$$;
revoke all on function authenticate(text, uuid) from public;
grant execute on function authenticate(text, uuid) to loopctl_app;

-- So a change of the limit is told as well.
drop trigger tenants_tell_change on tenants;
create trigger tenants_tell_change after update on tenants
    for each row
    when ((old.id, old.status, old.slug, old.settings -> 'rate_limit_requests_per_minute') is distinct from
          (new.id, new.status, new.slug, new.settings -> 'rate_limit_requests_per_minute'))
    execute function tell_key_change('id');
alter table tenants enable always trigger tenants_tell_change;
