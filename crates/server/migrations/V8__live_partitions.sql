-- Partitions of the log come while it is in use.
--
-- `create table … partition of` locks the whole log against everybody, and queues behind whoever is reading it; whoever
-- comes after that, each writer, then queues behind it. A table that exists by itself is attached beside readers and writers
-- of the log. Only the default partition has to be had alone for a moment: writers have nothing to do with it as long as
-- their month has a partition, and readers wait for half a second at most. It is looked through while it is held, which takes
-- no time as long as it is empty; a constraint that spared it would for a while refuse the very rows that it is there for.
drop function ensure_audit_partitions(integer);

-- Creates the monthly partitions from this month to `p_ahead` months ahead, with no right on them for the application role:
-- row-level security of the parent does not protect a partition that is named directly. Returns those that could not be
-- had: the next call tries again.
create function ensure_audit_partitions(p_ahead integer) returns text[] language plpgsql set lock_timeout = '500ms' as $$
declare
    first_day date;
    name text;
    missing text[] := '{}';
begin
    for i in 0..p_ahead loop
        first_day := date_trunc('month', now() at time zone 'utc') + make_interval(months => i);
        name := format('audit_log_y%sm%s', to_char(first_day, 'YYYY'), to_char(first_day, 'MM'));
        if to_regclass(name) is not null then
            continue;
        end if;
        -- Rows that came before their partition stay in the default one: they are never altered, not even moved.
        if exists (select from only audit_log_default where inserted_at >= first_day::timestamp at time zone 'utc'
                   and inserted_at < (first_day + interval '1 month') at time zone 'utc') then
            raise warning 'audit rows of % are in the default partition', name;
            continue;
        end if;
        begin
            execute format('create table %I (like audit_log including all)', name);
            execute format('create trigger no_truncate before truncate on %I '
                               'for each statement execute function audit_log_append_only()', name);
            execute format('alter table %I enable row level security, force row level security', name);
            execute format('revoke all on %I from loopctl_app', name);
            execute format('alter table audit_log attach partition %I for values from (%L) to (%L)', name,
                               first_day || ' 00:00:00+00', (first_day + interval '1 month')::date || ' 00:00:00+00');
        exception when lock_not_available or deadlock_detected then
            missing := missing || name;
        end;
    end loop;
    return missing;
end
$$;
revoke all on function ensure_audit_partitions(integer) from public;

-- Until now anybody who planned could say that a story had been backfilled. What no backfill has said is no proof, and is
-- kept as an import keeps it.
update stories s
set metadata = jsonb_build_object('imported_backfill', metadata -> 'backfill') || (metadata - 'backfill')
where metadata ? 'backfill'
  and not exists (select from audit_log a
                  where a.tenant_id = s.tenant_id and a.story_id = s.id and a.action = 'backfilled');
