-- Delivery of webhooks: what is due is found by webhook, however much waits behind it.

-- First attempts go in the order in which events came about, whatever the clock said; further ones when they are due.
drop index webhook_events_pending;
create index webhook_events_first on webhook_events (tenant_id, webhook_id, position)
    where status = 'pending' and attempts = 0;
create index webhook_events_again on webhook_events (tenant_id, webhook_id, next_attempt_at)
    where status = 'pending' and attempts > 0;

-- Every event is written at least twice, and every delivery writes its webhook: what that leaves behind is cleared away early, and
-- a webhook is rewritten in its page.
alter table webhook_events set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
                                autovacuum_analyze_scale_factor = 0.05);
alter table webhooks set (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

-- Takes webhooks that have something due for whoever delivers: of any tenant, so it runs with the owner's rights. Nobody else
-- delivers to them until the lease is given back, or has not been renewed for so long.
--
-- The caller has p_places in all. p_busy names the tenant of each that is taken, and p_struggling of each that is taken by a webhook
-- whose last attempt failed. A tenant gets a quarter of the places, those that struggle a half, of all and of the tenant's. Who
-- has fewest places comes first, then who has waited longest.
--
-- Only the first of what waits is looked at of each webhook, so a long queue costs no more than a short one. The plan must not
-- depend on how much waited when it was made.
create function claim_webhooks(
    p_lease uuid, p_seconds float8, p_places integer, p_busy uuid[], p_struggling uuid[]
) returns table (tenant_ids uuid[], webhook_ids uuid[], struggling boolean[], next_in float8)
    language plpgsql security definer
    set search_path = public, pg_temp set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off
as $$
declare
    of_tenant constant integer := greatest(p_places / 4, 1);
    of_struggling constant integer := greatest(p_places / 2, 1);
    moment constant timestamptz := clock_timestamp();
begin
    return query
    with recursive first as (
        (select e.tenant_id, e.webhook_id, e.next_attempt_at from webhook_events e
         where e.status = 'pending' and e.attempts = 0
         order by e.tenant_id, e.webhook_id, e.position limit 1)
        union all
        select n.* from first f cross join lateral (
            select e.tenant_id, e.webhook_id, e.next_attempt_at from webhook_events e
            where e.status = 'pending' and e.attempts = 0 and (e.tenant_id, e.webhook_id) > (f.tenant_id, f.webhook_id)
            order by e.tenant_id, e.webhook_id, e.position limit 1) n
    ), again as (
        (select e.tenant_id, e.webhook_id, e.next_attempt_at from webhook_events e
         where e.status = 'pending' and e.attempts > 0
         order by e.tenant_id, e.webhook_id, e.next_attempt_at limit 1)
        union all
        select n.* from again a cross join lateral (
            select e.tenant_id, e.webhook_id, e.next_attempt_at from webhook_events e
            where e.status = 'pending' and e.attempts > 0 and (e.tenant_id, e.webhook_id) > (a.tenant_id, a.webhook_id)
            order by e.tenant_id, e.webhook_id, e.next_attempt_at limit 1) n
    ), waiting as materialized (
        select w.tenant_id, w.webhook_id, min(w.next_attempt_at) as since
        from (select * from first union all select * from again) w
        group by w.tenant_id, w.webhook_id
    ), free as materialized (
        select w.tenant_id, w.webhook_id, w.since, h.struggling,
               row_number() over (partition by w.tenant_id, h.struggling order by w.since, w.webhook_id) as nth
        from waiting w
             join webhooks h on (h.tenant_id, h.id) = (w.tenant_id, w.webhook_id)
             join tenants t on t.id = w.tenant_id
        where w.since <= moment and t.status = 'active' and (h.leased_until is null or h.leased_until <= moment)
    ), of_tenants as (
        select f.tenant_id, f.webhook_id, f.since, f.struggling,
               row_number() over (partition by f.tenant_id order by f.since, f.webhook_id)
                   + (select count(*) from unnest(p_busy) b (id) where b.id = f.tenant_id) as nth
        from free f
        where not f.struggling
           or f.nth + (select count(*) from unnest(p_struggling) s (id) where s.id = f.tenant_id)
              <= greatest(of_tenant / 2, 1)
    ), in_order as (
        select o.*, row_number() over (partition by o.struggling order by o.nth, o.since, o.webhook_id) as of_kind
        from of_tenants o
        where o.nth <= of_tenant
    ), chosen as materialized (
        select i.tenant_id, i.webhook_id from in_order i
        where not i.struggling or i.of_kind <= of_struggling - cardinality(p_struggling)
        order by i.nth, i.since, i.webhook_id
        limit greatest(p_places - cardinality(p_busy), 0)
    ), locked as materialized (
        select h.tenant_id, h.id from chosen c join webhooks h on (h.tenant_id, h.id) = (c.tenant_id, c.webhook_id)
        where h.leased_until is null or h.leased_until <= moment
        for no key update of h skip locked
    ), claimed as (
        update webhooks h set lease = p_lease, leased_until = clock_timestamp() + make_interval(secs => p_seconds)
        from locked l
        where (h.tenant_id, h.id) = (l.tenant_id, l.id)
        returning h.tenant_id, h.id, h.struggling
    )
    select coalesce(array_agg(c.tenant_id), '{}'), coalesce(array_agg(c.id), '{}'), coalesce(array_agg(c.struggling), '{}'),
           (select extract(epoch from min(w.since) - moment)::float8 from waiting w
            where not exists (select from claimed c where (c.tenant_id, c.id) = (w.tenant_id, w.webhook_id)))
    from claimed c;
end
$$;
revoke all on function claim_webhooks(uuid, float8, integer, uuid[], uuid[]) from public;
grant execute on function claim_webhooks(uuid, float8, integer, uuid[], uuid[]) to loopctl_app;

-- What a webhook is to be told next; null when nothing is due. A first attempt that has waited longer than a further one goes
-- first. As above, the plan is for long queues.
create function next_webhook_event(p_webhook_id uuid) returns uuid
    language plpgsql stable
    set search_path = public, pg_temp set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off
as $$
declare
    first record;
    again record;
begin
    select e.id, e.next_attempt_at into first from webhook_events e
        where e.tenant_id = current_tenant_id() and e.webhook_id = p_webhook_id and e.status = 'pending' and e.attempts = 0
          and e.next_attempt_at <= clock_timestamp()
        order by e.position limit 1;
    select e.id, e.next_attempt_at into again from webhook_events e
        where e.tenant_id = current_tenant_id() and e.webhook_id = p_webhook_id and e.status = 'pending' and e.attempts > 0
          and e.next_attempt_at <= clock_timestamp()
        order by e.next_attempt_at limit 1;
    if first.id is null or again.next_attempt_at < first.next_attempt_at then
        return again.id;
    end if;
    return first.id;
end
$$;
revoke all on function next_webhook_event(uuid) from public;
grant execute on function next_webhook_event(uuid) to loopctl_app;

-- How many events wait in the whole database, and for how long the oldest of them has. For whoever watches; beyond a million it
-- does not count on.
create function webhook_queue_stats() returns table (pending bigint, oldest_pending_age float8)
    language sql stable security definer set search_path = public, pg_temp as $$
    select count(*), coalesce(extract(epoch from clock_timestamp() - min(p.inserted_at)), 0)::float8
    from (
        -- As the indexes have it.
        (select e.inserted_at from webhook_events e where e.status = 'pending' and e.attempts = 0 limit 1000000)
        union all
        (select e.inserted_at from webhook_events e where e.status = 'pending' and e.attempts > 0 limit 1000000)) p
$$;
revoke all on function webhook_queue_stats() from public;
grant execute on function webhook_queue_stats() to loopctl_app;
