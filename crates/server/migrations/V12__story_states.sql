-- What is planned of a story and where it stands are two rows. `stories` keeps what planners write; `story_states` has what the
-- loop changes, in a narrow row that a transition can write without touching an index. Whether a story is ready is kept there,
-- instead of being found out by every reader, and in `epic_states` how many are open and blocked.

set constraints all immediate;

-- Where an epic stands: how many stories it has, and how many of them are not verified, and blocked. Written by triggers alone, and
-- only for those who hold the project: what agents do all day, contract, claim, start, changes nothing of it.
create table epic_states (
    tenant_id uuid not null,
    -- The epic's own.
    id uuid not null,
    project_id uuid not null,
    stories integer not null default 0 check (stories >= 0),
    -- Not verified.
    open integer not null default 0 check (open between 0 and stories),
    -- Of these, those that wait for something that is not verified.
    blocked integer not null default 0,
    primary key (tenant_id, id),
    foreign key (tenant_id, project_id, id) references epics (tenant_id, project_id, id) on delete cascade,
    constraint epic_states_blocked_are_open check (blocked between 0 and open)
) with (fillfactor = 50);
create index epic_states_by_project on epic_states (tenant_id, project_id);

create table story_states (
    tenant_id uuid not null,
    -- The story's own.
    id uuid not null,
    -- Where it is in the queues: filled in and kept in step by triggers, whatever the statement says. Stories do not change
    -- project or epic, and their numbers are final.
    project_id uuid not null,
    epic_id uuid not null,
    epic_position integer not null,
    queue_key text collate "C" not null,
    -- Prerequisites that are not verified, counted by triggers alone.
    unmet_stories integer not null default 0,
    unmet_epics integer not null default 0,
    -- What spares readers a question, told by triggers alone: how many stories it waits for, verified or not, and whether there
    -- are artifacts, reviews or results of it.
    prerequisites integer not null default 0,
    has_evidence boolean not null default false,
    verifier_needed boolean not null default false,
    -- The first begins with the story, each rejection begins the next.
    cycle integer not null default 1,
    -- How often it was reported.
    report_number integer not null default 0,
    -- The cycle of the report that stands.
    report_cycle integer,
    reported_by_agent_id uuid,
    reported_done_at timestamptz,
    verified_status text not null default 'unverified',
    verified_at timestamptz,
    verified_digest bytea,
    verification_source text,
    rejected_at timestamptz,
    rejection_reason text,
    implementer_dispatch_id uuid,
    verifier_dispatch_id uuid,
    -- What changes most comes last, in the order of the loop: the log of PostgreSQL tells what is between the first and the last
    -- byte that differ.
    contracted_by_agent_id uuid,
    contracted_digest bytea,
    -- When an agent first contracted it, claimed it or reported an artifact for it.
    first_touched_at timestamptz,
    first_claimed_at timestamptz,
    assigned_agent_id uuid,
    assigned_at timestamptz,
    review_requested_at timestamptz,
    agent_status text not null default 'pending',
    updated_at timestamptz not null default now(),
    -- Pending and open without an unmet prerequisite, open with one, and open otherwise. Columns of their own, filled in by
    -- triggers, so that a transition between two states that are neither ready nor blocked leaves the indexes below alone.
    ready boolean not null default false,
    blocked boolean not null default false,
    taken boolean not null default false,
    primary key (tenant_id, id),
    foreign key (tenant_id, id) references stories (tenant_id, id) on delete cascade,
    foreign key (tenant_id, assigned_agent_id) references agents (tenant_id, id) deferrable initially deferred,
    foreign key (tenant_id, contracted_by_agent_id) references agents (tenant_id, id) deferrable initially deferred,
    foreign key (tenant_id, reported_by_agent_id) references agents (tenant_id, id) deferrable initially deferred
) with (fillfactor = 60);

-- What the state machine promises, whoever writes. One function for all of it, and no conditions on triggers: PostgreSQL reads
-- every check, and every condition, of a table anew from its text for each statement that updates it, which took several times
-- as long as the rest of the update; a function is read once per connection. It is told which promise was broken.
create function is_sound(p_state story_states) returns boolean language plpgsql immutable as $$
declare
    broken text := case
        when p_state.agent_status not in ('pending', 'contracted', 'assigned', 'implementing', 'reported_done')
            then 'story_states_agent_status_check'
        when p_state.verified_status not in ('unverified', 'verified', 'rejected')
            then 'story_states_verified_status_check'
        when p_state.verification_source not in ('loop', 'backfill', 'mark_complete', 'import')
            then 'story_states_verification_source_check'
        when least(p_state.unmet_stories, p_state.unmet_epics, p_state.report_number) < 0 or p_state.cycle < 1
            or p_state.prerequisites < p_state.unmet_stories
            then 'story_states_counts_check'
        when p_state.agent_status in ('assigned', 'implementing') and p_state.first_claimed_at is null
            then 'stories_held_means_claimed'
        when p_state.agent_status in ('pending', 'contracted') and p_state.assigned_agent_id is not null
            then 'stories_idle_means_not_held'
        when p_state.assigned_agent_id = p_state.reported_by_agent_id then 'stories_nobody_reports_their_own'
        when p_state.verified_status = 'verified' and p_state.verified_at is null then 'stories_verified_has_time'
        when p_state.contracted_by_agent_id is not null and p_state.first_touched_at is null
            then 'stories_contracted_means_touched'
        when p_state.first_claimed_at is not null and p_state.first_touched_at is null then 'stories_claimed_means_touched'
        when p_state.report_cycle > p_state.cycle then 'stories_report_is_of_a_cycle'
        when (p_state.verified_status = 'verified') <> (p_state.verification_source is not null)
            or (p_state.verified_status = 'verified') <> (p_state.verified_digest is not null)
            then 'stories_verified_has_source'
    end;
begin
    if broken is not null then
        raise exception '%: the state of story % cannot be so', broken, p_state.id
            using errcode = 'check_violation', constraint = broken, table = 'story_states';
    end if;
    return true;
end
$$;
alter table story_states add constraint story_states_are_sound check (is_sound(story_states));

-- Where a story stands among all of epics of one position: by number.
create function story_queue_key(p_order_key text, p_number text) returns text
    language sql immutable strict parallel safe
    -- Sorts before whatever may follow in a longer key.
    return p_order_key || E'\t' || p_number;

-- What is there already.

insert into epic_states (tenant_id, id, project_id, stories, open)
select e.tenant_id, e.id, e.project_id, count(s.id), count(s.id) filter (where s.verified_status <> 'verified')
from epics e left join stories s on s.tenant_id = e.tenant_id and s.epic_id = e.id
group by e.tenant_id, e.id;

insert into story_states (
    tenant_id, id, project_id, epic_id, epic_position, queue_key, agent_status, verified_status, unmet_stories, unmet_epics,
    prerequisites, has_evidence, cycle, report_number, report_cycle, assigned_agent_id, contracted_by_agent_id, reported_by_agent_id, assigned_at,
    first_claimed_at, first_touched_at, review_requested_at, reported_done_at, verified_at, rejected_at, rejection_reason,
    contracted_digest, verified_digest, verification_source, implementer_dispatch_id, verifier_dispatch_id, verifier_needed,
    updated_at, ready, blocked, taken)
select s.tenant_id, s.id, s.project_id, s.epic_id, s.epic_position, story_queue_key(s.order_key, s.number), s.agent_status,
       s.verified_status, coalesce(d.unmet, 0), coalesce(w.unmet, 0), coalesce(d.total, 0),
       exists (select from artifact_reports a where a.tenant_id = s.tenant_id and a.story_id = s.id)
           or exists (select from review_records r where r.tenant_id = s.tenant_id and r.story_id = s.id)
           or exists (select from verification_results v where v.tenant_id = s.tenant_id and v.story_id = s.id),
       s.cycle, s.report_number, s.report_cycle,
       s.assigned_agent_id, s.contracted_by_agent_id, s.reported_by_agent_id, s.assigned_at, s.first_claimed_at,
       s.first_touched_at, s.review_requested_at, s.reported_done_at, s.verified_at, s.rejected_at, s.rejection_reason,
       s.contracted_digest, s.verified_digest, s.verification_source, s.implementer_dispatch_id, s.verifier_dispatch_id,
       s.verifier_needed, s.updated_at,
       s.agent_status = 'pending' and s.verified_status <> 'verified' and coalesce(d.unmet, 0) + coalesce(w.unmet, 0) = 0,
       s.verified_status <> 'verified' and coalesce(d.unmet, 0) + coalesce(w.unmet, 0) > 0,
       s.agent_status <> 'pending' and s.verified_status <> 'verified' and coalesce(d.unmet, 0) + coalesce(w.unmet, 0) = 0
from stories s
left join (
    select d.tenant_id, d.story_id, count(*) as total, count(*) filter (where p.verified_status <> 'verified') as unmet
    from story_dependencies d
    join stories p on p.tenant_id = d.tenant_id and p.id = d.depends_on_story_id
    group by d.tenant_id, d.story_id) d on d.tenant_id = s.tenant_id and d.story_id = s.id
left join (
    select d.tenant_id, d.epic_id, count(*) as unmet
    from epic_dependencies d
    join epic_states p on p.tenant_id = d.tenant_id and p.id = d.depends_on_epic_id and p.open > 0
    group by d.tenant_id, d.epic_id) w on w.tenant_id = s.tenant_id and w.epic_id = s.epic_id;

update epic_states e set blocked = c.blocked
from (select tenant_id, epic_id, count(*) filter (where blocked) as blocked from story_states group by tenant_id, epic_id) c
where c.tenant_id = e.tenant_id and c.epic_id = e.id;

set constraints all immediate;

create index story_states_in_order on story_states (tenant_id, project_id, epic_position, queue_key);
create index story_states_ready on story_states (tenant_id, project_id, epic_position, queue_key) where ready;
create index story_states_ready_in_epic on story_states (tenant_id, epic_id, queue_key) where ready;
create index story_states_blocked on story_states (tenant_id, project_id, epic_position, queue_key) where blocked;
create index story_states_blocked_in_epic on story_states (tenant_id, epic_id, queue_key) where blocked;
create index story_states_taken on story_states (tenant_id, project_id, epic_id) where taken;
create statistics story_states_tenant_project (dependencies) on tenant_id, project_id, epic_id from story_states;

-- What goes from `stories`, with the indexes and checks on it.

drop trigger keep_custody on stories;
drop trigger keep_custody_of_new on stories;
drop trigger note_start on stories;
drop trigger note_release on stories;
drop trigger remember_number on stories;
drop function stories_keep_custody(), stories_arrive(), stories_note_start(), stories_note_release(), stories_remember_number(),
    is_implementer(stories, uuid);
alter table stories
    drop constraint stories_epic,
    add constraint stories_epic foreign key (tenant_id, project_id, epic_id)
        references epics (tenant_id, project_id, id) on delete cascade;
alter table epics drop constraint epics_tenant_id_project_id_id_position_key;
alter table stories
    drop column agent_status, drop column verified_status, drop column assigned_agent_id, drop column assigned_at,
    drop column contracted_by_agent_id, drop column first_claimed_at, drop column first_touched_at,
    drop column review_requested_at, drop column reported_done_at, drop column reported_by_agent_id, drop column verified_at,
    drop column rejected_at, drop column rejection_reason, drop column cycle, drop column report_number,
    drop column report_cycle, drop column contracted_digest, drop column verified_digest, drop column verification_source,
    drop column implementer_dispatch_id, drop column verifier_dispatch_id, drop column verifier_needed;

-- Who may write what. States come and go with their stories, and what is counted and copied is the triggers' own.

alter table epic_states enable row level security, force row level security;
create policy tenant_isolation on epic_states
    using (tenant_id = (select current_tenant_id())) with check (tenant_id = (select current_tenant_id()));
grant select on epic_states to loopctl_app;

alter table story_states enable row level security, force row level security;
create policy tenant_isolation on story_states
    using (tenant_id = (select current_tenant_id())) with check (tenant_id = (select current_tenant_id()));
grant select on story_states to loopctl_app;
grant insert (tenant_id, id, agent_status, verified_status, reported_done_at, verified_at, verification_source)
    on story_states to loopctl_app;
grant update (agent_status, verified_status, cycle, report_number, report_cycle, assigned_agent_id, contracted_by_agent_id,
              reported_by_agent_id, assigned_at, first_claimed_at, first_touched_at, review_requested_at, reported_done_at,
              verified_at, rejected_at, rejection_reason, contracted_digest, verified_digest, verification_source,
              updated_at)
    on story_states to loopctl_app;
revoke insert, update on stories from loopctl_app;
grant insert (tenant_id, project_id, epic_id, id, number, title, description, acceptance_criteria, estimated_hours, metadata)
    on stories to loopctl_app;
grant update (title, description, acceptance_criteria, estimated_hours, metadata, updated_at) on stories to loopctl_app;
-- A dependency comes and goes, and is never another.
revoke update on story_dependencies, epic_dependencies from loopctl_app;

-- A story as it is shown. Nothing is read of its state where nothing of it is asked for.
create view whole_stories with (security_invoker = true) as
    select s.tenant_id, s.id, s.project_id, s.epic_id, s.epic_position, s.number, s.order_key, s.sort_key, s.title, s.description,
           s.acceptance_criteria, s.estimated_hours, s.metadata, s.criteria_digest, s.inserted_at,
           greatest(s.updated_at, t.updated_at) as updated_at,
           t.agent_status, t.verified_status, t.unmet_stories, t.unmet_epics, t.prerequisites, t.has_evidence, t.cycle, t.report_number, t.report_cycle,
           t.assigned_agent_id, t.contracted_by_agent_id, t.reported_by_agent_id, t.assigned_at, t.first_claimed_at,
           t.first_touched_at, t.review_requested_at, t.reported_done_at, t.verified_at, t.rejected_at, t.rejection_reason,
           t.contracted_digest, t.verified_digest, t.verification_source, t.implementer_dispatch_id, t.verifier_dispatch_id,
           t.verifier_needed, t.ready, t.blocked, t.taken
    from stories s left join story_states t on t.tenant_id = s.tenant_id and t.id = s.id;
grant select on whole_stories to loopctl_app;

create or replace function refresh_record_statistics() returns void language plpgsql security definer
    set search_path = public, pg_temp set lock_timeout = '2s' as $$
begin
    analyze epics, epic_states, stories, story_states;
exception when lock_not_available then
    -- Somebody else is looking already.
    null;
end
$$;

-- Custody, as before: the functions are those of the migration before, of a story's state instead of a story.

create function is_implementer(p_story story_states, p_agent_id uuid) returns boolean
    language sql stable set search_path = public, pg_temp as $$
    select p_agent_id is not distinct from p_story.assigned_agent_id and p_agent_id is not null
        or exists (
            select from story_starts b
            where b.tenant_id = p_story.tenant_id and b.story_id = p_story.id and b.agent_id = p_agent_id
              and b.cycle in (p_story.cycle, p_story.report_cycle))
$$;

create function stories_stay() returns trigger language plpgsql as $$
begin
    raise exception 'number_is_final: by it story % is known also after it was deleted', new.id;
end
$$;
create trigger number_is_final before update on stories for each row
    when ((old.tenant_id, old.id, old.project_id, old.epic_id, old.number)
          is distinct from (new.tenant_id, new.id, new.project_id, new.epic_id, new.number))
    execute function stories_stay();

-- The epic's position is the epic's to say. It stays while a story comes.
create function stories_take_place() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
    select position into new.epic_position from epics where tenant_id = new.tenant_id and id = new.epic_id for share;
    return new;
end
$$;
create trigger take_place before insert on stories for each row execute function stories_take_place();

-- How a story may arrive, and where. What was touched under this number before may be worked on, and not arrive as done.
create function story_states_arrive() returns trigger language plpgsql set search_path = public, pg_temp
    -- Planned for the first of many, when there is nothing there yet.
    set enable_seqscan = off as $$
declare
    story stories;
    touched timestamptz;
begin
    select * into story from stories where tenant_id = new.tenant_id and id = new.id;
    new.project_id := story.project_id;
    new.epic_id := story.epic_id;
    new.epic_position := story.epic_position;
    new.queue_key := story_queue_key(story.order_key, story.number);
    new.unmet_stories := 0;
    new.unmet_epics := 0;
    new.prerequisites := 0;
    new.has_evidence := false;
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
        new.verified_digest := story.criteria_digest;
    end if;
    select deleted_at into touched from touched_numbers t
        where (t.tenant_id, t.project_id, t.number) = (story.tenant_id, story.project_id, story.number);
    if found then
        if new.agent_status = 'reported_done' or new.verified_status = 'verified' then
            raise exception 'not_pre_existing: story % was worked on before it was deleted', story.number;
        end if;
        new.first_touched_at := coalesce(new.first_touched_at, touched);
    end if;
    new.ready := new.agent_status = 'pending' and new.verified_status <> 'verified';
    new.blocked := false;
    new.taken := new.agent_status <> 'pending' and new.verified_status <> 'verified';
    return new;
end
$$;
create trigger arrive before insert on story_states for each row execute function story_states_arrive();

-- Every story has a state: new, unless the statement that brought it has said otherwise.
create function stories_begin() returns trigger language plpgsql security definer set search_path = public, pg_temp as $$
begin
    insert into story_states (tenant_id, id)
    select n.tenant_id, n.id from new_stories n
    where not exists (select from story_states t where t.tenant_id = n.tenant_id and t.id = n.id);
    return null;
end
$$;
create trigger begin_state after insert on stories referencing new table as new_stories
    for each statement execute function stories_begin();

-- The heart of the trust model, once more, for whoever writes to the table and by whatever way.
create function keep_custody(old story_states, new story_states) returns void
    language plpgsql set search_path = public, pg_temp as $$
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
    -- Of title and criteria as they are.
    asked bytea;
begin
    if (new.tenant_id, new.id) <> (old.tenant_id, old.id) then
        raise exception 'number_is_final: a state stays with story %', old.id;
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
        select criteria_digest into asked from stories where tenant_id = new.tenant_id and id = new.id;
        if new.verified_digest is distinct from asked then
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
                    where r.criteria_digest = asked and not is_implementer(old, r.reviewer_agent_id))
                or not coalesce(result <> 'fail' and result_digest = asked, false)
            then
                raise exception 'verified_needs_evidence: story % has no review and result by others than its implementers',
                    new.id;
            end if;
        elsif not adopted or new.first_touched_at is not null then
            raise exception 'not_pre_existing: story % was touched by an agent, or is not new', new.id;
        end if;
    end if;
end
$$;

-- What every change of a state goes through: the flags are what they say, and custody is kept. The steps that are made all day
-- (contract, claim, start, a request for review) are judged here, by the same rules: nothing of the evidence changes, nothing
-- that is known is forgotten, and hands change with a claim alone. Everything else is for the function.
create function story_states_step() returns trigger language plpgsql as $$
begin
    new.ready := new.agent_status = 'pending' and new.verified_status <> 'verified'
        and new.unmet_stories = 0 and new.unmet_epics = 0;
    new.blocked := new.verified_status <> 'verified' and (new.unmet_stories > 0 or new.unmet_epics > 0);
    new.taken := new.verified_status <> 'verified' and not new.ready and not new.blocked;
    if old.tenant_id = new.tenant_id and old.id = new.id and old.verified_status = new.verified_status
        and old.cycle = new.cycle and old.report_number = new.report_number
        and old.report_cycle is not distinct from new.report_cycle
        and old.verification_source is not distinct from new.verification_source
        and old.verified_digest is not distinct from new.verified_digest
        and (old.first_claimed_at is null or old.first_claimed_at is not distinct from new.first_claimed_at)
        and (old.first_touched_at is null or old.first_touched_at is not distinct from new.first_touched_at)
        and (old.agent_status = 'contracted' and new.agent_status = 'assigned'
            or old.assigned_agent_id is not distinct from new.assigned_agent_id
                and old.assigned_at is not distinct from new.assigned_at
                and (old.agent_status = new.agent_status
                    or old.agent_status = 'pending' and new.agent_status = 'contracted'
                    or old.agent_status = 'assigned' and new.agent_status = 'implementing'))
    then
        return new;
    end if;
    perform public.keep_custody(old, new);
    return new;
end
$$;
create trigger step before update on story_states for each row execute function story_states_step();

-- The number of a touched story is remembered. Where the project itself goes, there is nothing to be remembered for.
create function stories_remember_number() returns trigger language plpgsql security definer
    set search_path = public, pg_temp as $$
begin
    -- Whoever is touching it now has done so by then.
    perform from story_states where tenant_id = old.tenant_id and id = old.id for update;
    insert into touched_numbers (tenant_id, project_id, number, deleted_at)
    select p.tenant_id, p.id, old.number, clock_timestamp()
    from projects p
    join story_states t on t.tenant_id = p.tenant_id and t.id = old.id and t.first_touched_at is not null
    where p.tenant_id = old.tenant_id and p.id = old.project_id
    on conflict do nothing;
    return old;
end
$$;
create trigger remember_number before delete on stories for each row execute function stories_remember_number();

-- An artifact that an agent reports is a touch.
create or replace function artifact_reports_touch() returns trigger language plpgsql security definer
    set search_path = public, pg_temp as $$
begin
    update story_states set has_evidence = true,
        first_touched_at = case when new.reported_by = 'agent' then coalesce(first_touched_at, clock_timestamp())
                           else first_touched_at end
    where tenant_id = new.tenant_id and id = new.story_id
      and (not has_evidence or first_touched_at is null and new.reported_by = 'agent');
    return null;
end
$$;
drop trigger touch on artifact_reports;
create trigger touch after insert on artifact_reports for each row execute function artifact_reports_touch();

create function evidence_is_noted() returns trigger language plpgsql security definer
    set search_path = public, pg_temp as $$
begin
    update story_states set has_evidence = true
    where tenant_id = new.tenant_id and id = new.story_id and not has_evidence;
    return null;
end
$$;
create trigger noted after insert on review_records for each row execute function evidence_is_noted();
create trigger noted after insert on verification_results for each row execute function evidence_is_noted();

create or replace function evidence_is_of_now() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
    select t.report_number, t.cycle, s.criteria_digest into new.report_number, new.cycle, new.criteria_digest
    from story_states t join stories s on s.tenant_id = t.tenant_id and s.id = t.id
    where t.tenant_id = new.tenant_id and t.id = new.story_id;
    return new;
end
$$;

-- Readiness. Whoever changes what is unmet holds the project, so that two of them never count past each other; requests have
-- it from their beginning, so that nobody waits for it with a story in hand.

create function hold_projects(p_tenant uuid, p_projects uuid[]) returns void
    language plpgsql security definer set search_path = public, pg_temp as $$
begin
    perform from projects where tenant_id = p_tenant and id = any (p_projects) order by id for no key update;
end
$$;

-- Counts what these stories wait for, and brings the counts of their epics in step.
create function recount(p_tenant uuid, p_stories uuid[]) returns void
    language plpgsql security definer set search_path = public, pg_temp as $$
begin
    if p_stories = '{}' then
        return;
    end if;
    perform from story_states where tenant_id = p_tenant and id = any (p_stories) order by id for no key update;
    with waiting as (
        select t.id, t.epic_id, t.blocked, d.total, d.unmet
        from story_states t
        cross join lateral (
            select count(*) as total, count(*) filter (where p.verified_status <> 'verified') as unmet
            from story_dependencies d
            join story_states p on p.tenant_id = p_tenant and p.id = d.depends_on_story_id
            where d.tenant_id = p_tenant and d.story_id = t.id) d
        where t.tenant_id = p_tenant and t.id = any (p_stories)
    ), epics_waiting as (
        select e.epic_id, (
            select count(*) from epic_dependencies d
            join epic_states p on p.tenant_id = p_tenant and p.id = d.depends_on_epic_id
            where d.tenant_id = p_tenant and d.epic_id = e.epic_id and p.open > 0) as unmet
        from (select distinct epic_id from waiting) e
    ), changed as (
        update story_states t set prerequisites = w.total, unmet_stories = w.unmet, unmet_epics = e.unmet
        from waiting w join epics_waiting e on e.epic_id = w.epic_id
        where t.tenant_id = p_tenant and t.id = w.id
          and (t.prerequisites, t.unmet_stories, t.unmet_epics) <> (w.total, w.unmet, e.unmet)
        returning t.epic_id, t.blocked::integer - w.blocked::integer as blocked
    )
    update epic_states e set blocked = e.blocked + c.blocked
    from (select epic_id, sum(blocked) as blocked from changed group by epic_id) c
    where e.tenant_id = p_tenant and e.id = c.epic_id and c.blocked <> 0;
end
$$;

-- The stories of the epics that wait for these.
create function stories_waiting_for(p_tenant uuid, p_epics uuid[]) returns setof uuid
    language sql stable security definer set search_path = public, pg_temp as $$
    select s.id from epic_dependencies d
    join stories s on s.tenant_id = p_tenant and s.epic_id = d.epic_id
    where d.tenant_id = p_tenant and d.depends_on_epic_id = any (p_epics)
$$;

create function epics_begin() returns trigger language plpgsql security definer set search_path = public, pg_temp as $$
begin
    insert into epic_states (tenant_id, id, project_id) values (new.tenant_id, new.id, new.project_id);
    return null;
end
$$;
create trigger begin_state after insert on epics for each row execute function epics_begin();

create function epics_move() returns trigger language plpgsql security definer set search_path = public, pg_temp as $$
begin
    update stories set epic_position = new.position where tenant_id = new.tenant_id and epic_id = new.id;
    update story_states t set epic_position = new.position
    from stories s
    where s.tenant_id = new.tenant_id and s.epic_id = new.id and t.tenant_id = new.tenant_id and t.id = s.id;
    return null;
end
$$;
create trigger move_stories after update on epics for each row
    when (old.position <> new.position) execute function epics_move();

-- New states, or states that are gone, in the counts of their epics. Of an epic that had no open story and has some, or the
-- other way round, whoever waits for it is counted anew.
create function story_states_come_or_go() returns trigger language plpgsql security definer
    set search_path = public, pg_temp as $$
declare
    v_sign integer := case tg_op when 'INSERT' then 1 else -1 end;
    v_tenant uuid;
    v_turned uuid[];
begin
    for v_tenant in select distinct tenant_id from changed_states loop
        perform hold_projects(v_tenant, array(select distinct project_id from changed_states where tenant_id = v_tenant));
        with counts as (
            select epic_id, count(*) as stories, count(*) filter (where verified_status <> 'verified') as open,
                   count(*) filter (where blocked) as blocked
            from changed_states where tenant_id = v_tenant group by epic_id
        ), counted as (
            update epic_states e set stories = e.stories + v_sign * c.stories, open = e.open + v_sign * c.open,
                                     blocked = e.blocked + v_sign * c.blocked
            from counts c where e.tenant_id = v_tenant and e.id = c.epic_id
            returning e.id, e.open, e.open - v_sign * c.open as open_before
        )
        select array_agg(id) into v_turned from counted where (open > 0) <> (open_before > 0);
        perform recount(v_tenant, array(select stories_waiting_for(v_tenant, v_turned)));
        if tg_op = 'INSERT' then
            perform recount(v_tenant, array(
                select n.id from changed_states n
                where n.tenant_id = v_tenant
                  and n.epic_id in (select d.epic_id from epic_dependencies d where d.tenant_id = v_tenant)));
        end if;
    end loop;
    return null;
end
$$;
create trigger come after insert on story_states referencing new table as changed_states
    for each statement execute function story_states_come_or_go();
create trigger go after delete on story_states referencing old table as changed_states
    for each statement execute function story_states_come_or_go();

-- What follows from a change of a state. Whoever starts a story is remembered, and when they held it; and where a story has become
-- verified, or is it no longer, those that wait for it are counted anew.
create function story_states_follow() returns trigger language plpgsql security definer
    set search_path = public, pg_temp as $$
declare
    v_opened integer;
    v_open integer;
begin
    if new.agent_status = 'implementing' and old.agent_status <> 'implementing' then
        -- The story is locked: nobody else starts it meanwhile.
        update story_starts set held_until = null
        where tenant_id = new.tenant_id and story_id = new.id and cycle = new.cycle
          and agent_id is not distinct from new.assigned_agent_id;
        if not found then
            insert into story_starts (tenant_id, story_id, cycle, agent_id, held_from)
            values (new.tenant_id, new.id, new.cycle, new.assigned_agent_id, new.assigned_at);
        end if;
    end if;
    if old.assigned_at is not null and new.assigned_at is distinct from old.assigned_at then
        update story_starts set held_until = clock_timestamp()
        where tenant_id = old.tenant_id and story_id = old.id and held_until is null;
    end if;
    v_opened := (new.verified_status <> 'verified')::integer - (old.verified_status <> 'verified')::integer;
    if v_opened <> 0 then
        perform hold_projects(new.tenant_id, array[new.project_id]);
        update epic_states set open = open + v_opened, blocked = blocked + new.blocked::integer - old.blocked::integer
        where tenant_id = new.tenant_id and id = new.epic_id
        returning open into v_open;
        perform recount(new.tenant_id, array(
            select d.story_id from story_dependencies d
            where d.tenant_id = new.tenant_id and d.depends_on_story_id = new.id
            union
            select stories_waiting_for(new.tenant_id, array[new.epic_id])
            where (v_open > 0) <> (v_open - v_opened > 0)));
    end if;
    return null;
end
$$;
create trigger follow after update on story_states for each row execute function story_states_follow();

-- Dependencies that come or go: those who wait are counted, or all stories of the epics that wait.
create function dependencies_come_or_go() returns trigger language plpgsql security definer
    set search_path = public, pg_temp as $$
declare
    v_tenant uuid;
    v_waiting uuid[];
begin
    for v_tenant in select distinct tenant_id from changed_edges loop
        perform hold_projects(v_tenant, array(select distinct project_id from changed_edges where tenant_id = v_tenant));
        if tg_table_name = 'story_dependencies' then
            v_waiting := array(select distinct story_id from changed_edges where tenant_id = v_tenant);
        else
            v_waiting := array(
                select s.id from stories s
                where s.tenant_id = v_tenant
                  and s.epic_id in (select epic_id from changed_edges where tenant_id = v_tenant));
        end if;
        perform recount(v_tenant, v_waiting);
    end loop;
    return null;
end
$$;
create trigger come after insert on story_dependencies referencing new table as changed_edges
    for each statement execute function dependencies_come_or_go();
create trigger go after delete on story_dependencies referencing old table as changed_edges
    for each statement execute function dependencies_come_or_go();
create trigger come after insert on epic_dependencies referencing new table as changed_edges
    for each statement execute function dependencies_come_or_go();
create trigger go after delete on epic_dependencies referencing old table as changed_edges
    for each statement execute function dependencies_come_or_go();

revoke execute on function hold_projects(uuid, uuid[]), recount(uuid, uuid[]), stories_waiting_for(uuid, uuid[]),
    stories_begin(), stories_remember_number(), epics_begin(), epics_move(), story_states_come_or_go(), story_states_follow(),
    dependencies_come_or_go(), evidence_is_noted()
    from public;

-- Or the planner would take the new tables for empty.
analyze epics, epic_states, stories, story_states;
