-- What webhooks cost: those that many events wait for, and those that are not there.

-- Whether a tenant has ever had a webhook, beside the head of its log: whoever records something has locked the head, and sees
-- there what was committed while it waited. Most tenants have none, and pay nothing.
alter table audit_heads add column has_webhooks boolean not null default false;

drop trigger audit_head_advances on audit_heads;
create trigger audit_head_advances after update of tenant_id, position, last_at on audit_heads for each row
    when (new.tenant_id <> old.tenant_id or new.position <= old.position or new.last_at <= old.last_at)
    execute function audit_head_advances();

create function note_webhook() returns trigger language plpgsql security definer set search_path = public, pg_temp as $$
begin
    update audit_heads set has_webhooks = true where tenant_id = new.tenant_id and not has_webhooks;
    return null;
end
$$;
revoke all on function note_webhook() from public;
-- At the end of its transaction: the head is locked last of all, and in the tenant's turn.
create constraint trigger note_webhook after insert on webhooks deferrable initially deferred
    for each row execute function note_webhook();

alter table webhooks no force row level security;
alter table audit_heads no force row level security;
update audit_heads set has_webhooks = true where tenant_id in (select tenant_id from webhooks);
alter table webhooks force row level security;
alter table audit_heads force row level security;

-- What a webhook is to be told next: a few events at a time, in order, so that a long queue takes few transactions.

drop function next_webhook_event(uuid);

-- First attempts come in their order, and a further one before those that have waited less than it. The plan is for long queues,
-- however much waited when it was made.
create function next_webhook_events(p_webhook_id uuid) returns table (id uuid, nth bigint)
    language plpgsql stable rows 16
    set search_path = public, pg_temp set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off
as $$
declare
    moment constant timestamptz := clock_timestamp();
begin
    return query
    with first as materialized (
        select e.id, e.next_attempt_at, e.position from webhook_events e
        where e.tenant_id = current_tenant_id() and e.webhook_id = p_webhook_id and e.status = 'pending' and e.attempts = 0
          and e.next_attempt_at <= moment
        order by e.position limit 16
    ), again as materialized (
        select e.id, e.next_attempt_at from webhook_events e
        where e.tenant_id = current_tenant_id() and e.webhook_id = p_webhook_id and e.status = 'pending' and e.attempts > 0
          and e.next_attempt_at <= moment
        order by e.next_attempt_at limit 16
    ), due as (
        -- As late as the latest before it: clocks do not change the order.
        select f.id, max(f.next_attempt_at) over (order by f.position) as since, 0 as kind, f.position from first f
        union all
        select a.id, a.next_attempt_at, 1, 0 from again a
    )
    select d.id, row_number() over (order by d.since, d.kind, d.position, d.id) from due d limit 16;
end
$$;
revoke all on function next_webhook_events(uuid) from public;
grant execute on function next_webhook_events(uuid) to loopctl_app;
