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
