-- Superadmins end the halt of a tenant's custody.

-- Ends that of the tenant of the transaction, if there is one. The application's role has no right to the column: only in the name of a
-- live superadmin key is it changed. That one of the tenant's authenticators has signed for it, the server looks at.
create function clear_custody_halt(p_api_key_id uuid) returns void
    language plpgsql volatile security definer set search_path = public, pg_temp as $$
begin
    if not exists (select from api_keys where id = p_api_key_id and role = 'superadmin' and revoked_at is null
                       and (expires_at is null or expires_at > clock_timestamp()))
    then
        raise exception 'custody_halt_is_the_superadmins: only a superadmin ends a halt';
    end if;
    update tenants set custody_halted_at = null, updated_at = clock_timestamp()
        where id = current_tenant_id() and custody_halted_at is not null;
end
$$;
revoke all on function clear_custody_halt(uuid) from public;
grant execute on function clear_custody_halt(uuid) to loopctl_app;
