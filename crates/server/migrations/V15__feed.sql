-- From when on the log is kept whole: the beginning of its oldest month. What is older may have been dropped.
create function audit_log_floor() returns timestamptz language sql stable parallel safe
    set search_path = pg_catalog, pg_temp as $$
    select min(to_timestamp(substr(c.relname, 12), 'YYYY"m"MM') at time zone 'utc') at time zone 'utc'
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'public.audit_log'::regclass and c.relname ~ '^audit_log_y\d{4}m\d{2}$'
$$;
