-- Custody by order instead of by time: which report a review saw, in which cycle of the story, and of which title and criteria.
-- Who started a story is remembered by whom it was started; what an agent touched is known as touched, also after it was deleted;
-- and a verified story says by which way it became so.

-- JSON in one form: members by code point, no white space, strings with as few escapes as possible, numbers with all their
-- digits. It is the form of RFC 8785, but for numbers beyond 2^53 and those that are written there with an exponent.
create function canonical_json(p_document jsonb) returns text
    language plpgsql immutable strict parallel safe as $$
begin
    -- Only what has members or items is looked into by another call: a query for each would take its time.
    case jsonb_typeof(p_document)
        when 'object' then
            return '{' || coalesce((
                select string_agg(
                    to_json(key)::text || ':' || case
                        when jsonb_typeof(value) = 'number' then trim_scale((value #>> '{}')::numeric)::text
                        when jsonb_typeof(value) in ('string', 'boolean', 'null') or value in ('{}', '[]') then value::text
                        else canonical_json(value) end,
                    ',' order by key collate "C")
                from jsonb_each(p_document)), '') || '}';
        when 'array' then
            return '[' || coalesce((
                select string_agg(
                    case
                        when jsonb_typeof(value) = 'number' then trim_scale((value #>> '{}')::numeric)::text
                        when jsonb_typeof(value) in ('string', 'boolean', 'null') or value in ('{}', '[]') then value::text
                        else canonical_json(value) end,
                    ',' order by place)
                from jsonb_array_elements(p_document) with ordinality as items (value, place)), '') || ']';
        when 'number' then
            return trim_scale((p_document #>> '{}')::numeric)::text;
        else
            return p_document::text;
    end case;
end
$$;

-- What a story asks for, in 32 bytes.
create function criteria_digest(p_title text, p_criteria jsonb) returns bytea
    language sql immutable strict parallel safe as $$
    select sha256(convert_to(
        '{"acceptance_criteria":' || canonical_json(p_criteria) || ',"title":' || to_json(p_title)::text || '}', 'UTF8'))
$$;

drop trigger keep_custody on stories;
alter table stories
    add column criteria_digest bytea,
    -- When an agent first contracted it, claimed it or reported an artifact for it.
    add column first_touched_at timestamptz,
    -- The first begins with the story, each rejection begins the next.
    add column cycle integer not null default 1 check (cycle > 0),
    -- How often it was reported.
    add column report_number integer not null default 0 check (report_number >= 0),
    -- The cycle of the report that stands.
    add column report_cycle integer,
    add column contracted_digest bytea,
    add column verified_digest bytea,
    add column verification_source text check (verification_source in ('loop', 'backfill', 'mark_complete', 'import'));
alter table review_records
    -- 1, 2, … per story.
    add column number integer,
    add column report_number integer not null default 0,
    add column cycle integer not null default 0,
    -- NULL: from before it was kept, and not known any more.
    add column criteria_digest bytea;
alter table verification_results
    add column report_number integer not null default 0,
    add column cycle integer not null default 0,
    add column criteria_digest bytea;

-- Who started a story in which cycle, written by the trigger below alone.
create table story_starts (
    tenant_id uuid not null,
    id uuid not null default gen_random_uuid(),
    story_id uuid not null,
    cycle integer not null,
    -- NULL: a superadmin, who has no agent. All of them count as one.
    agent_id uuid,
    -- From the first claim to the last release; NULL while it is held.
    held_from timestamptz not null,
    held_until timestamptz,
    primary key (tenant_id, id),
    constraint story_starts_once unique nulls not distinct (tenant_id, story_id, cycle, agent_id),
    foreign key (tenant_id, story_id) references stories (tenant_id, id) on delete cascade,
    foreign key (tenant_id, agent_id) references agents (tenant_id, id) deferrable initially deferred
);

-- Numbers of stories that an agent had touched when they were deleted.
create table touched_numbers (
    tenant_id uuid not null,
    project_id uuid not null,
    number text not null,
    deleted_at timestamptz not null,
    primary key (tenant_id, project_id, number),
    foreign key (tenant_id, project_id) references projects (tenant_id, id) on delete cascade
);

do $$
declare
    name text;
begin
    foreach name in array array['story_starts', 'touched_numbers'] loop
        execute format('alter table %I enable row level security, force row level security', name);
        execute format('create policy tenant_isolation on %I using (tenant_id = (select current_tenant_id())) '
                       'with check (tenant_id = (select current_tenant_id()))', name);
        execute format('grant select on %I to loopctl_app', name);
    end loop;
end
$$;

-- Whether an agent counts as an implementer of a story in these cycles: it started it, or holds it.
create function is_implementer(p_story stories, p_agent_id uuid) returns boolean
    language sql stable set search_path = public, pg_temp as $$
    select p_agent_id is not distinct from p_story.assigned_agent_id and p_agent_id is not null
        or exists (
            select from story_starts b
            where b.tenant_id = p_story.tenant_id and b.story_id = p_story.id and b.agent_id = p_agent_id
              and b.cycle in (p_story.cycle, p_story.report_cycle))
$$;

-- What is there already, as far as evidence and log tell.

alter table review_records disable trigger append_only;

-- Changes of title or criteria, of which nobody was told until now.
create temporary table edits on commit drop as
    select tenant_id, story_id, max(inserted_at) as at from audit_log
    where entity_type = 'story' and action = 'updated'
      and (old_state -> 'title' is distinct from new_state -> 'title' or old_state ? 'acceptance_criteria')
    group by tenant_id, story_id;

update stories s set
    criteria_digest = criteria_digest(s.title, s.acceptance_criteria),
    cycle = 1 + (select count(*) from audit_log r
                 where r.tenant_id = s.tenant_id and r.story_id = s.id and r.action = 'rejected'),
    report_number = case when s.reported_by_agent_id is not null then 1 else 0 end,
    first_touched_at = least(
        s.first_claimed_at,
        case when s.contracted_by_agent_id is not null then s.updated_at end,
        (select min(a.inserted_at) from artifact_reports a
         where a.tenant_id = s.tenant_id and a.story_id = s.id and a.reported_by = 'agent'),
        (select min(a.inserted_at) from audit_log a
         where a.tenant_id = s.tenant_id and a.story_id = s.id and a.action = 'status_changed'
           and a.new_state ->> 'agent_status' = 'contracted'
           and (a.actor_label like 'agent:%' or a.metadata ->> 'effective_role' = 'agent')));
-- Of what was reported and stands: as many rejections as there were before the last report.
update stories s set
    report_cycle = 1 + (
        select count(*) from audit_log r
        where r.tenant_id = s.tenant_id and r.story_id = s.id and r.action = 'rejected'
          and r.position < (
            select max(a.position) from audit_log a
            where a.tenant_id = s.tenant_id and a.story_id = s.id and a.entity_type = 'story'
              and a.action = 'status_changed' and a.new_state ->> 'agent_status' = 'reported_done'))
where reported_by_agent_id is not null or verified_status = 'verified' and first_claimed_at is not null;
update stories s set
    verification_source = coalesce((
        select case a.action when 'backfilled' then 'backfill' when 'mark_complete' then 'mark_complete'
            -- What came as reported was worked on elsewhere.
            else case when s.first_claimed_at is null then 'import' else 'loop' end end
        from audit_log a
        where a.tenant_id = s.tenant_id and a.story_id = s.id and a.entity_type = 'story'
          and a.action in ('verified', 'backfilled', 'mark_complete')
        order by a.position desc limit 1), 'import'),
    -- What was verified and changed since is stale, whatever it said.
    verified_digest = case when exists (select from edits e where e.tenant_id = s.tenant_id and e.story_id = s.id
                                        and e.at > s.verified_at) then '\x' else criteria_digest end
where verified_status = 'verified';

insert into story_starts (tenant_id, story_id, cycle, agent_id, held_from, held_until)
select tenant_id, story_id, cycle, agent_id, min(at),
       -- When the others gave it back is not known to the moment.
       case when not bool_or(holds and cycle = now_in) then max(at) end
from (
    select s.tenant_id, s.id as story_id, (a.new_state ->> 'agent_id')::uuid as agent_id, a.inserted_at as at, s.cycle as now_in,
           1 + (select count(*) from audit_log r
                where r.tenant_id = s.tenant_id and r.story_id = s.id and r.action = 'rejected'
                  and r.position < a.position)::integer as cycle,
           s.assigned_at is not null and s.assigned_agent_id is not distinct from (a.new_state ->> 'agent_id')::uuid as holds
    from stories s
    join audit_log a on a.tenant_id = s.tenant_id and a.story_id = s.id and a.entity_type = 'story'
        and a.action = 'status_changed' and a.new_state ->> 'agent_status' = 'implementing') started
group by tenant_id, story_id, cycle, agent_id;

with numbered as (
    select tenant_id, id, row_number() over (partition by tenant_id, story_id order by inserted_at, id) as nth
    from review_records
)
update review_records r set number = n.nth from numbered n where (n.tenant_id, n.id) = (r.tenant_id, r.id);
-- Those that count today go on counting, unless title or criteria have changed since, or they are by somebody who had started
-- the story and given it back.
update review_records r set
    report_number = s.report_number,
    cycle = s.cycle,
    criteria_digest = case when not exists (select from edits e where e.tenant_id = r.tenant_id and e.story_id = r.story_id
                                            and e.at > r.inserted_at) then s.criteria_digest end
from stories s
where s.tenant_id = r.tenant_id and s.id = r.story_id
  and r.completed_at > s.reported_done_at and r.inserted_at > s.reported_done_at
  and r.inserted_at > coalesce(s.rejected_at, '-infinity')
  and not is_implementer(s, r.reviewer_agent_id);

insert into touched_numbers (tenant_id, project_id, number, deleted_at)
select d.tenant_id, d.project_id, d.old_state ->> 'number', max(d.inserted_at)
from audit_log d
join projects p on p.tenant_id = d.tenant_id and p.id = d.project_id
where d.entity_type = 'story' and d.action = 'deleted' and d.old_state ->> 'number' is not null
  and exists (
    select from audit_log a
    where a.tenant_id = d.tenant_id and a.story_id = d.entity_id
      and (a.action = 'status_changed' and a.new_state ->> 'agent_status' = 'assigned'
           or a.action = 'status_changed' and a.new_state ->> 'agent_status' = 'contracted'
              and (a.actor_label like 'agent:%' or a.metadata ->> 'effective_role' = 'agent')
           or a.entity_type = 'artifact_report' and a.new_state ->> 'reported_by' = 'agent'))
group by d.tenant_id, d.project_id, d.old_state ->> 'number';

-- A number of before may be in use again: what has it was touched, too.
update stories s set first_touched_at = t.deleted_at
from touched_numbers t
where (t.tenant_id, t.project_id, t.number) = (s.tenant_id, s.project_id, s.number) and s.first_touched_at is null;

set constraints all immediate;
alter table review_records enable trigger append_only, alter column number set not null;
alter table review_records add constraint review_records_number unique (tenant_id, story_id, number);
drop index review_records_by_story;
alter table stories
    alter column criteria_digest set not null,
    add constraint stories_contracted_means_touched
        check (contracted_by_agent_id is null or first_touched_at is not null),
    add constraint stories_claimed_means_touched check (first_claimed_at is null or first_touched_at is not null),
    add constraint stories_report_is_of_a_cycle check (report_cycle <= cycle),
    add constraint stories_verified_has_source
        check ((verified_status = 'verified') = (verification_source is not null)
               and (verified_status = 'verified') = (verified_digest is not null));

-- Nobody but the database says what the digest of a story is. Named so as to come before `keep_custody`.
create function stories_digest_criteria() returns trigger language plpgsql as $$
begin
    new.criteria_digest := criteria_digest(new.title, new.acceptance_criteria);
    return new;
end
$$;
create trigger digest_criteria before insert on stories for each row execute function stories_digest_criteria();
create trigger digest_criteria_anew before update on stories for each row
    when ((old.title, old.acceptance_criteria, old.criteria_digest)
          is distinct from (new.title, new.acceptance_criteria, new.criteria_digest))
    execute function stories_digest_criteria();

-- How a story may arrive. What was touched under this number before may be worked on, and not arrive as done.
create function stories_arrive() returns trigger language plpgsql set search_path = public, pg_temp as $$
declare
    touched timestamptz;
begin
    if new.agent_status not in ('pending', 'reported_done') or new.verified_status = 'rejected'
        or (new.cycle, new.report_number) <> (1, 0) or new.report_cycle is not null
        or coalesce(new.assigned_agent_id, new.contracted_by_agent_id, new.reported_by_agent_id) is not null
        or new.assigned_at is not null
    then
        raise exception 'stories_arrive_new_or_done: nobody would know who had started story %', new.id;
    end if;
    if new.verified_status = 'verified' then
        if new.verification_source is distinct from 'import' then
            raise exception 'verified_needs_evidence: story % can be created as verified by an import only', new.id;
        end if;
        new.verified_digest := new.criteria_digest;
    end if;
    select deleted_at into touched from touched_numbers t
        where (t.tenant_id, t.project_id, t.number) = (new.tenant_id, new.project_id, new.number);
    if found then
        if new.agent_status = 'reported_done' or new.verified_status = 'verified' then
            raise exception 'not_pre_existing: story % was worked on before it was deleted', new.number;
        end if;
        new.first_touched_at := coalesce(new.first_touched_at, touched);
    end if;
    return new;
end
$$;
create trigger keep_custody_of_new before insert on stories for each row execute function stories_arrive();

-- The heart of the trust model, once more, for whoever writes to the table and by whatever way.
create or replace function stories_keep_custody() returns trigger language plpgsql set search_path = public, pg_temp as $$
declare
    reported boolean := old.agent_status = 'implementing' and new.agent_status = 'reported_done';
    released boolean := new.agent_status = 'pending';
    rejected boolean := new.cycle <> old.cycle;
    verified boolean := new.verified_status = 'verified' and old.verified_status <> 'verified';
    -- Reviewed and verified: in the loop what was reported there, and otherwise what an import brought as reported.
    judged boolean := verified and new.verification_source = case when old.report_number > 0 then 'loop' else 'import' end;
    adopted boolean := verified and coalesce(new.verification_source in ('backfill', 'mark_complete'), false);
    -- The newest result, where it is of this report in this cycle and by another than those who did the work.
    result text;
    result_digest bytea;
begin
    if (new.project_id, new.number) <> (old.project_id, old.number) then
        raise exception 'number_is_final: by it story % is known also after it was deleted', new.id;
    end if;
    if old.first_claimed_at is not null and new.first_claimed_at is distinct from old.first_claimed_at
        or old.first_touched_at is not null and new.first_touched_at is distinct from old.first_touched_at
    then
        raise exception 'first_touched_is_final: a story that was claimed or touched stays known as such';
    end if;
    if new.agent_status <> old.agent_status and not released
        and not (new.agent_status = 'reported_done' and adopted)
        and (old.agent_status, new.agent_status) not in (
            ('pending', 'contracted'), ('contracted', 'assigned'), ('assigned', 'implementing'),
            ('implementing', 'reported_done'))
    then
        raise exception 'one_step_at_a_time: story % does not go from % to %', new.id, old.agent_status, new.agent_status;
    end if;
    if (new.assigned_agent_id, new.assigned_at) is distinct from (old.assigned_agent_id, old.assigned_at)
        and not released and not (old.agent_status = 'contracted' and new.agent_status = 'assigned')
    then
        raise exception 'hands_change_by_release: story % is given back before another takes it', new.id;
    end if;
    if judged or rejected then
        select v.result, v.criteria_digest into result, result_digest
        from (
            select * from verification_results
            where tenant_id = old.tenant_id and story_id = old.id
            order by iteration desc limit 1) v
        where (v.report_number, v.cycle) = (old.report_number, old.cycle)
          and v.orchestrator_agent_id is not null and not is_implementer(old, v.orchestrator_agent_id);
    end if;
    if rejected and not (
            new.cycle = old.cycle + 1 and new.verified_status = 'rejected' and coalesce(result = 'fail', false)
            and (old.agent_status = 'reported_done' or old.verified_status = 'verified'))
        or not rejected and new.verified_status = 'rejected' and old.verified_status <> 'rejected'
        or not rejected and old.verified_status = 'verified' and new.verified_status <> 'verified'
    then
        raise exception 'cycles_count_rejections: each rejection of story % begins the next cycle, and nothing else', new.id;
    end if;
    if new.report_number <> old.report_number + reported::integer
        or new.report_cycle is distinct from (case
            when reported then old.cycle
            -- Verified work stands, whoever held it.
            when released and new.verified_status <> 'verified' then null
            else old.report_cycle end)
    then
        raise exception 'report_numbers_count_reports: each report of story % has the next number, and its cycle', new.id;
    end if;
    if reported and (new.reported_by_agent_id is null or is_implementer(old, new.reported_by_agent_id)) then
        raise exception 'reported_by_another: story % was started by the agent that reports it', new.id;
    end if;
    if old.verified_status = 'verified' and new.verified_status = 'verified' then
        if (new.verification_source, new.verified_digest) is distinct from (old.verification_source, old.verified_digest) then
            raise exception 'verification_is_final: story % stays verified as it was', new.id;
        end if;
    elsif verified then
        if new.verified_digest is distinct from new.criteria_digest then
            raise exception 'verified_needs_evidence: story % is verified as it is now', new.id;
        elsif judged then
            -- What is reported, with the newest review of it and the newest result, of these criteria and by others.
            if (old.agent_status, new.agent_status) <> ('reported_done', 'reported_done')
                or not exists (
                    select from (
                        select reviewer_agent_id, criteria_digest from review_records
                        where tenant_id = old.tenant_id and story_id = old.id
                          and report_number = old.report_number and cycle = old.cycle
                        order by number desc limit 1) r
                    where r.criteria_digest = new.criteria_digest and not is_implementer(old, r.reviewer_agent_id))
                or not coalesce(result <> 'fail' and result_digest = new.criteria_digest, false)
            then
                raise exception 'verified_needs_evidence: story % has no review and result by others than its implementers',
                    new.id;
            end if;
        elsif not adopted or new.first_touched_at is not null then
            raise exception 'not_pre_existing: story % was touched by an agent, or is not new', new.id;
        end if;
    end if;
    return new;
end
$$;
create trigger keep_custody before update on stories for each row
    when (old.number <> new.number or old.project_id <> new.project_id
        or old.first_claimed_at is distinct from new.first_claimed_at
        or old.first_touched_at is distinct from new.first_touched_at
        or old.agent_status <> new.agent_status or old.verified_status <> new.verified_status
        or old.assigned_agent_id is distinct from new.assigned_agent_id
        or old.assigned_at is distinct from new.assigned_at
        or old.cycle <> new.cycle or old.report_number <> new.report_number
        or old.report_cycle is distinct from new.report_cycle
        or old.verification_source is distinct from new.verification_source
        or old.verified_digest is distinct from new.verified_digest)
    execute function stories_keep_custody();

-- Whoever starts a story is remembered, and when they held it.
create function stories_note_start() returns trigger language plpgsql security definer
    set search_path = public, pg_temp as $$
begin
    insert into story_starts (tenant_id, story_id, cycle, agent_id, held_from)
    values (new.tenant_id, new.id, new.cycle, new.assigned_agent_id, new.assigned_at)
    on conflict on constraint story_starts_once do update set held_until = null;
    return null;
end
$$;
create trigger note_start after update on stories for each row
    when (new.agent_status = 'implementing' and old.agent_status <> 'implementing')
    execute function stories_note_start();

create function stories_note_release() returns trigger language plpgsql security definer
    set search_path = public, pg_temp as $$
begin
    update story_starts set held_until = clock_timestamp()
    where tenant_id = old.tenant_id and story_id = old.id and held_until is null;
    return null;
end
$$;
create trigger note_release after update on stories for each row
    when (old.assigned_at is not null and new.assigned_at is distinct from old.assigned_at)
    execute function stories_note_release();

-- The number of a touched story is remembered. Where the project itself goes, there is nothing to be remembered for.
create function stories_remember_number() returns trigger language plpgsql security definer
    set search_path = public, pg_temp as $$
begin
    insert into touched_numbers (tenant_id, project_id, number, deleted_at)
    select p.tenant_id, p.id, old.number, clock_timestamp()
    from projects p where p.tenant_id = old.tenant_id and p.id = old.project_id
    on conflict do nothing;
    return null;
end
$$;
create trigger remember_number after delete on stories for each row
    when (old.first_touched_at is not null)
    execute function stories_remember_number();

-- An artifact that an agent reports is a touch.
create function artifact_reports_touch() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
    update stories set first_touched_at = clock_timestamp()
    where tenant_id = new.tenant_id and id = new.story_id and first_touched_at is null;
    return new;
end
$$;
create trigger touch before insert on artifact_reports for each row
    when (new.reported_by = 'agent') execute function artifact_reports_touch();

-- Evidence is of the story as it is when it is written: its report, its cycle, its title and criteria. The story is locked.
create function evidence_is_of_now() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
    select report_number, cycle, criteria_digest into new.report_number, new.cycle, new.criteria_digest
    from stories where tenant_id = new.tenant_id and id = new.story_id;
    return new;
end
$$;
create trigger of_now before insert on review_records for each row execute function evidence_is_of_now();
create trigger of_now before insert on verification_results for each row execute function evidence_is_of_now();

revoke execute on function stories_note_start(), stories_note_release(), stories_remember_number() from public;
