-- The use of a key is noted in batches, apart from requests: finding a key only reads.

create or replace function authenticate(p_key_hash text, p_impersonate uuid)
    returns table (
        key_id uuid, key_name text, key_prefix text, role text, agent_id uuid, tenant_id uuid, tenant_status text, tenant_slug text
    )
    language plpgsql stable security definer set search_path = public, pg_temp as $$
declare
    k api_keys;
begin
    select * into k from api_keys a
        where a.key_hash = p_key_hash and a.revoked_at is null
          and (a.expires_at is null or a.expires_at > clock_timestamp());
    if not found then
        return;
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

-- Notes that keys, and the agents that they are bound to, were in use so many seconds ago. Runs with the owner's rights:
-- a batch is of many tenants. It waits for nobody's lock and not for the disk, and gives back the keys whose
-- row, or whose agent's, was locked.
create function note_key_uses(p_keys uuid[], p_ages float8[]) returns uuid[]
    language plpgsql security definer set search_path = public, pg_temp as $$
declare
    free uuid[];
    busy uuid[];
begin
    perform set_config('synchronous_commit', 'off', true);
    free := array(select a.id from api_keys a where a.id = any (p_keys) for no key update skip locked);
    update api_keys a
        set last_used_at = greatest(a.last_used_at, clock_timestamp() - make_interval(secs => u.age))
        from unnest(p_keys, p_ages) u (key_id, age)
        where a.id = u.key_id and a.id = any (free);
    with seen as (
        select a.tenant_id, a.agent_id, min(u.age) as age
        from unnest(p_keys, p_ages) u (key_id, age) join api_keys a on a.id = u.key_id
        where a.agent_id is not null
        group by a.tenant_id, a.agent_id
    ), unlocked as (
        select g.tenant_id, g.id, s.age from agents g join seen s on (g.tenant_id, g.id) = (s.tenant_id, s.agent_id)
        for no key update of g skip locked
    ), noted as (
        update agents g
            set last_seen_at = greatest(g.last_seen_at, clock_timestamp() - make_interval(secs => u.age))
            from unlocked u where (g.tenant_id, g.id) = (u.tenant_id, u.id)
            returning g.tenant_id, g.id
    )
    select array_agg(a.id) into busy from api_keys a
        where a.id = any (p_keys)
          and (a.id <> all (free)
               or a.agent_id is not null and (a.tenant_id, a.agent_id) not in (select n.tenant_id, n.id from noted n));
    return coalesce(busy, '{}');
end
$$;
revoke all on function note_key_uses(uuid[], float8[]) from public;
grant execute on function note_key_uses(uuid[], float8[]) to loopctl_app;
