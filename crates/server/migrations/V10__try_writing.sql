-- Something that needs room on the disk, and is gone at the end of the transaction: whether there is any again.
create function try_writing() returns void
    language plpgsql security definer set search_path = public, pg_temp as $$
begin
    create temporary table loopctl_room on commit drop as
        select repeat(md5(n::text), 250) as filling from generate_series(1, 100) n;
end
$$;
revoke all on function try_writing() from public;
grant execute on function try_writing() to loopctl_app;
