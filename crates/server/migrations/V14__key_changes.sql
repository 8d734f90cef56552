-- Servers remember for a second at most what a key has told them, and are told when that changes.

-- As before, and how many seconds are left until the key expires; null: it never does.
drop function authenticate(text, uuid);
create function authenticate(p_key_hash text, p_impersonate uuid)
    returns table (
        key_id uuid, key_name text, key_prefix text, role text, agent_id uuid, tenant_id uuid, tenant_status text, tenant_slug text,
        expires_in float8
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
        return query select k.id, k.name, k.key_prefix, k.role, null::uuid, t.id, t.status, t.slug, seconds_left
            from (select 1) one left join tenants t on t.id = p_impersonate;
    else
        return query select k.id, k.name, k.key_prefix, k.role, k.agent_id, t.id, t.status, t.slug, seconds_left
            from tenants t where t.id = k.tenant_id;
    end if;
end
$$;
revoke all on function authenticate(text, uuid) from public;
grant execute on function authenticate(text, uuid) to loopctl_app;

-- Tells whose keys are no longer what they were: the tenant, in the named column; of a superadmin's key nobody. Commits that
-- tell something take turns in the whole cluster, so it is told of these rare changes only: not when a key was used or an agent
-- seen, and not of what is new, because nobody remembers that something was not there.
create function tell_key_change() returns trigger language plpgsql as $$
begin
    perform pg_notify('loopctl_key_changes', coalesce(to_jsonb(old) ->> tg_argv[0], ''));
    return null;
end
$$;

create trigger api_keys_tell_change after update on api_keys
    for each row
    when ((old.id, old.tenant_id, old.name, old.key_hash, old.key_prefix, old.role, old.agent_id, old.expires_at, old.revoked_at)
          is distinct from
          (new.id, new.tenant_id, new.name, new.key_hash, new.key_prefix, new.role, new.agent_id, new.expires_at, new.revoked_at))
    execute function tell_key_change('tenant_id');
create trigger api_keys_tell_deletion after delete on api_keys
    for each row execute function tell_key_change('tenant_id');
create trigger tenants_tell_change after update on tenants
    for each row when ((old.id, old.status, old.slug) is distinct from (new.id, new.status, new.slug))
    execute function tell_key_change('id');
create trigger tenants_tell_deletion after delete on tenants
    for each row execute function tell_key_change('id');

-- Also of changes that replication brings, and of those by somebody who has put the other triggers aside.
alter table api_keys enable always trigger api_keys_tell_change, enable always trigger api_keys_tell_deletion;
alter table tenants enable always trigger tenants_tell_change, enable always trigger tenants_tell_deletion;
