-- Something that needs room on the disk, and is gone at the end of the transaction: whether there is any again.
create function try_writing() returns void
    language plpgsql security definer set search_path = public, pg_temp as $$
begin
    create temporary table loopctl_room (filling text) on commit drop;
    -- As large as it looks: text that repeats itself would be compressed.
    alter table loopctl_room alter column filling set storage external;
    insert into loopctl_room select repeat('loopctl ', 1000) from generate_series(1, 100);
end
$$;
revoke all on function try_writing() from public;
grant execute on function try_writing() to loopctl_app;
