-- What superadmins do to tenants, and what they are to look into.

-- What a scan has found among a tenant's records that ought not to be there, until a superadmin has dealt with it. It goes with its
-- tenant, as what it is about does.
create table audit_pending_violations (
    tenant_id uuid not null references tenants (id) on delete cascade,
    id uuid not null,
    violation_type text not null
        check (violation_type in ('nil_agent_non_user_key', 'orphaned_agent_ref', 'unreviewed_reported_done')),
    entity_type text not null,
    entity_id uuid not null,
    discovered_at timestamptz not null default now(),
    detail jsonb not null default '{}' check (jsonb_typeof(detail) = 'object'),
    status text not null default 'pending' check (status in ('pending', 'resolved', 'ignored')),
    resolved_at timestamptz,
    -- No foreign key: superadmin keys belong to no tenant.
    resolved_by_api_key_id uuid,
    resolution_note text,
    primary key (tenant_id, id),
    constraint audit_pending_violations_settled check (
        (status = 'pending') = (resolved_at is null) and (resolved_at is null) = (resolved_by_api_key_id is null)
        and (resolved_at is null) = (resolution_note is null))
);
-- However often it is looked for, it is pending once.
create unique index audit_pending_violations_once on audit_pending_violations (tenant_id, violation_type, entity_type, entity_id)
    where status = 'pending';
create index audit_pending_violations_newest on audit_pending_violations (discovered_at desc, id);

alter table audit_pending_violations enable row level security, force row level security;
create policy tenant_isolation on audit_pending_violations
    using (tenant_id = current_tenant_id()) with check (tenant_id = current_tenant_id());
grant select on audit_pending_violations to loopctl_app;
grant update (status, resolved_at, resolved_by_api_key_id, resolution_note) on audit_pending_violations to loopctl_app;

-- Suspends or activates the tenant of the transaction. The application's role has no right to the column: only in the name of a live
-- superadmin key is it changed, and only from one of the two to the other.
create function change_tenant_status(p_api_key_id uuid, p_status text) returns void
    language plpgsql volatile security definer set search_path = public, pg_temp as $$
begin
    if not exists (select from api_keys where id = p_api_key_id and role = 'superadmin' and revoked_at is null
                       and (expires_at is null or expires_at > clock_timestamp()))
    then
        raise exception 'tenant_status_is_the_superadmins: only a superadmin suspends or activates a tenant';
    end if;
    update tenants set status = p_status, updated_at = clock_timestamp()
        where id = current_tenant_id() and (status, p_status) in (('active', 'suspended'), ('suspended', 'active'));
    if not found then
        raise exception 'tenant_status_steps: a tenant goes from active to suspended and back';
    end if;
end
$$;
revoke all on function change_tenant_status(uuid, text) from public;
grant execute on function change_tenant_status(uuid, text) to loopctl_app;
