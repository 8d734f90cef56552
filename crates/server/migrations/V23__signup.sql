-- Tenants that people create themselves, over the network: who they are is what their authenticators (WebAuthn) sign.

-- The public half of the key that a tenant's log is signed with. The private half is among the tenant's secrets.
alter table tenants add column audit_signing_public_key bytea check (length(audit_signing_public_key) = 32);

-- The authenticators that a tenant's owner may prove to be the owner with.
create table tenant_root_authenticators (
    tenant_id uuid not null references tenants (id) on delete cascade,
    id uuid not null,
    credential_id bytea not null check (length(credential_id) between 1 and 1023),
    -- COSE, as the authenticator gave it.
    public_key bytea not null check (length(public_key) between 1 and 8192),
    attestation_format text not null check (length(attestation_format) between 1 and 32),
    -- How often it says that it has signed; 0 for ever where it does not count.
    sign_count bigint not null default 0 check (sign_count between 0 and 4294967295),
    -- Whether it knew its user when it was enrolled, and whether its key may be copied: it must go on as it began.
    user_verified boolean not null,
    backup_eligible boolean not null,
    friendly_name text not null check (friendly_name ~ '\S' and length(friendly_name) <= 120),
    last_used_at timestamptz,
    inserted_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, id),
    -- Of one tenant, as everywhere: by it is known who signs in.
    constraint tenant_root_authenticators_credential unique (credential_id)
);

-- What authenticators are asked to sign: each for one enrolment or one proof, by whichever server asks for it to be looked at.
create table webauthn_challenges (
    -- The nil UUID for a tenant that is yet to come, which is why there is no foreign key. What is left of a tenant goes with time.
    tenant_id uuid not null,
    id uuid not null,
    purpose text not null check (purpose in ('registration', 'assertion')),
    challenge bytea not null check (length(challenge) = 32),
    -- What was asked for, as the library keeps it.
    state jsonb not null,
    expires_at timestamptz not null,
    primary key (tenant_id, id),
    constraint webauthn_challenges_challenge unique (tenant_id, challenge)
);
create index webauthn_challenges_expiry on webauthn_challenges (expires_at);

-- What must be read again and is told to nobody, encrypted by the server.
create table tenant_secrets (
    tenant_id uuid not null references tenants (id) on delete cascade,
    id uuid not null,
    name text not null check (name in ('audit_signing_key')),
    ciphertext bytea not null,
    inserted_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, id),
    constraint tenant_secrets_name unique (tenant_id, name)
);

-- Who tried to sign up, or in, in the last hour or little more. Whose address it is belongs to no tenant.
create table address_attempts (
    kind text not null check (kind in ('signup', 'challenge', 'sign_in_challenge', 'sign_in')),
    address text not null,
    -- The attempts that were let through.
    times timestamptz[] not null default '{}',
    last_at timestamptz not null default clock_timestamp(),
    primary key (kind, address)
);
create index address_attempts_last on address_attempts (last_at);

alter table tenant_root_authenticators enable row level security, force row level security;
create policy tenant_isolation on tenant_root_authenticators
    using (tenant_id = current_tenant_id()) with check (tenant_id = current_tenant_id());
alter table webauthn_challenges enable row level security, force row level security;
create policy tenant_isolation on webauthn_challenges
    using (tenant_id = current_tenant_id()) with check (tenant_id = current_tenant_id());
alter table tenant_secrets enable row level security, force row level security;
create policy tenant_isolation on tenant_secrets
    using (tenant_id = current_tenant_id()) with check (tenant_id = current_tenant_id());

grant select, insert, delete on tenant_root_authenticators to loopctl_app;
grant update (sign_count, last_used_at, updated_at) on tenant_root_authenticators to loopctl_app;
grant select, insert, delete on webauthn_challenges to loopctl_app;
-- Written, and read by nothing yet.
grant insert on tenant_secrets to loopctl_app;
grant select, insert, update, delete on address_attempts to loopctl_app;

-- Uses up challenges that were given to somebody without a tenant: what was asked for with those that are still good.
create function take_signup_challenges(p_challenges bytea[]) returns table (challenge bytea, state jsonb)
    language sql volatile security definer set search_path = public, pg_temp as $$
    delete from webauthn_challenges c
    where c.tenant_id = '00000000-0000-0000-0000-000000000000' and c.purpose = 'registration'
      and c.challenge = any (p_challenges) and c.expires_at > clock_timestamp()
    returning c.challenge, c.state
$$;

-- The beginning of a tenant, which may do nothing yet.
create function begin_enrollment(p_tenant_id uuid, p_name text, p_slug text, p_email text, p_public_key bytea) returns void
    language sql volatile security definer set search_path = public, pg_temp as $$
    insert into tenants (id, name, slug, email, status, audit_signing_public_key)
    values (p_tenant_id, p_name, p_slug, p_email, 'pending_enrollment', p_public_key);
    -- Where its log goes on from.
    insert into audit_heads (tenant_id) values (p_tenant_id)
$$;

-- Its end: whoever has an authenticator and a key to sign its log with may begin.
create function complete_enrollment(p_tenant_id uuid) returns void
    language plpgsql volatile security definer set search_path = public, pg_temp as $$
begin
    update tenants t set status = 'active', updated_at = clock_timestamp()
    where t.id = p_tenant_id and t.id = current_tenant_id() and t.status = 'pending_enrollment'
      and exists (select from tenant_root_authenticators a where a.tenant_id = t.id)
      and exists (select from tenant_secrets s where s.tenant_id = t.id and s.name = 'audit_signing_key');
    if not found then
        raise exception 'complete_enrollment: tenant % has nothing to begin with', p_tenant_id using errcode = 'check_violation';
    end if;
end
$$;

-- Forgets challenges whose time is over, so many at a time; how many it were.
create function prune_webauthn_challenges(p_most integer) returns bigint
    language sql volatile security definer set search_path = public, pg_temp as $$
    with old as (
        delete from webauthn_challenges where (tenant_id, id) in (
            select tenant_id, id from webauthn_challenges
            where expires_at <= clock_timestamp() order by expires_at limit p_most for update skip locked)
        returning 1
    )
    select count(*) from old
$$;

-- Forgets tenants whose enrolment did not come to its end; which they were.
create function prune_pending_tenants() returns setof uuid
    language sql volatile security definer set search_path = public, pg_temp as $$
    delete from tenants
    where status = 'pending_enrollment' and inserted_at < clock_timestamp() - interval '15 minutes'
    returning id
$$;

revoke all on function take_signup_challenges(bytea[]), begin_enrollment(uuid, text, text, text, bytea), complete_enrollment(uuid),
    prune_webauthn_challenges(integer), prune_pending_tenants() from public;
grant execute on function take_signup_challenges(bytea[]), begin_enrollment(uuid, text, text, text, bytea),
    complete_enrollment(uuid), prune_webauthn_challenges(integer), prune_pending_tenants() to loopctl_app;
