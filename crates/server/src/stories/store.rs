//! SQL of stories.

use crate::db::statements;

/// A story of the alias `s` has every prerequisite verified: predicates 2 and 3 of file 03 §8.1. Dependencies lie
/// within a project; saying so lets the planner stay within it, too. `offset 0` keeps the two questions what they
/// are: asked per open story, and answered by an index. Made into joins, they are at the mercy of statistics, which
/// know nothing of a project that was just planned; its queues took minutes.
macro_rules! prerequisites_met {
    () => {
        " not exists (
            select from story_dependencies d
            join stories p on p.tenant_id = d.tenant_id and p.project_id = d.project_id and p.id = d.depends_on_story_id
            where d.tenant_id = s.tenant_id and d.project_id = s.project_id and d.story_id = s.id
              and p.verified_status <> 'verified' offset 0)
          and not exists (
            select from epic_dependencies d
            join stories p on p.tenant_id = d.tenant_id and p.project_id = d.project_id
                 and p.epic_id = d.depends_on_epic_id
            where d.tenant_id = s.tenant_id and d.project_id = s.project_id and d.epic_id = s.epic_id
              and p.verified_status <> 'verified' offset 0) "
    };
}

/// Which stories a queue looks at. One text per scope, so that each gets the index that fits: `$2` is the
/// project or the epic; with an epic, `$5` may name the project that it must lie in. Archived projects take part
/// only where they are named.
macro_rules! scope {
    (project) => {
        " s.tenant_id = $1 and s.project_id = $2 "
    };
    (epic) => {
        " s.tenant_id = $1 and s.epic_id = $2
          and (s.project_id = $5
               or $5::uuid is null
                  and s.project_id in (select id from projects where tenant_id = $1 and status = 'active')) "
    };
    (tenant) => {
        " s.tenant_id = $1 and $2::uuid is null
          and s.project_id in (select id from projects where tenant_id = $1 and status = 'active') "
    };
}

/// The whole queue is found once and counted; the page is cut from it. One row at least, for the count.
macro_rules! ready {
    ($scope:ident) => {
        concat!(
            "with ready as materialized (
                select s.id, s.epic_position, s.major, s.minor, s.number from stories s
                where ", scope!($scope), "
                  and s.agent_status = 'pending' and s.verified_status <> 'verified'
                  and ", prerequisites_met!(), "
            ), page as (
                select * from ready order by epic_position, major, minor, number, id limit $3 offset $4
            )
            select (select count(*) from ready) as total, s.id, s.tenant_id, s.project_id, s.epic_id, s.number, s.title,
                   s.agent_status, s.verified_status, s.sort_key, s.inserted_at, s.updated_at
            from (select 1) one
            left join page on true
            left join stories s on s.tenant_id = $1 and s.id = page.id
            order by page.epic_position, page.major, page.minor, page.number, page.id"
        )
    };
}

macro_rules! blocked {
    ($scope:ident) => {
        concat!(
            "with blocked as materialized (
                select s.id, s.epic_position, s.major, s.minor, s.number from stories s
                where ", scope!($scope), " and s.verified_status <> 'verified' and not (", prerequisites_met!(), ")
            ), page as (
                select * from blocked order by epic_position, major, minor, number, id limit $3 offset $4
            )
            select (select count(*) from blocked) as total, s.id, s.tenant_id, s.project_id, s.epic_id, s.number,
                   s.title, s.agent_status, s.verified_status, s.sort_key, s.inserted_at, s.updated_at
            from (select 1) one
            left join page on true
            left join stories s on s.tenant_id = $1 and s.id = page.id
            order by page.epic_position, page.major, page.minor, page.number, page.id"
        )
    };
}

statements! {
    /// Held until the story is there: the epic stays, and so does its position, which the story copies.
    LOCK_EPIC = "select id, position from epics where tenant_id = $1 and project_id = $2 and id = $3 for key share";
    /// As `LOCK_EPIC`.
    LOCK_EPIC_BY_NUMBER = "
        select id, position from epics where tenant_id = $1 and project_id = $2 and number = $3 for key share";
    COUNT_PROJECT_STORIES = "select count(*) as total from stories where tenant_id = $1 and project_id = $2";
    INSERT_STORY = "
        insert into stories (tenant_id, project_id, epic_id, epic_position, id, number, major, minor, title, description,
                             acceptance_criteria, estimated_hours, metadata)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
        returning *";
    /// Serialises everything that moves or changes the story.
    LOCK_STORY = "select * from stories where tenant_id = $1 and id = $2 for no key update";
    UPDATE_STORY = "
        update stories set title = $3, description = $4, acceptance_criteria = $5, estimated_hours = $6, metadata = $7,
                           updated_at = clock_timestamp()
        where tenant_id = $1 and id = $2
        returning *";
    STORY_PROJECT = "select project_id from stories where tenant_id = $1 and id = $2";
    /// Evidence, criteria and dependencies go with it.
    DELETE_STORY = "delete from stories where tenant_id = $1 and id = $2 returning *";
    COUNT_STORIES = "
        select count(*) as total from stories
        where tenant_id = $1 and project_id = $2 and ($3::uuid is null or epic_id = $3)
          and ($4::text is null or agent_status = $4) and ($5::text is null or verified_status = $5)
          and ($6::text is null or number = $6)";
    LIST_STORIES = "
        select * from stories
        where tenant_id = $1 and project_id = $2 and ($3::uuid is null or epic_id = $3)
          and ($4::text is null or agent_status = $4) and ($5::text is null or verified_status = $5)
          and ($6::text is null or number = $6)
        order by epic_position, major, minor, number, id limit $7 offset $8";
    COUNT_EPIC_STORIES = "
        select count(*) as total, exists (select from epics where tenant_id = $1 and id = $2) as known
        from stories
        where tenant_id = $1 and epic_id = $2
          and ($3::text is null or agent_status = $3) and ($4::text is null or verified_status = $4)";
    LIST_EPIC_STORIES = "
        select * from stories
        where tenant_id = $1 and epic_id = $2
          and ($3::text is null or agent_status = $3) and ($4::text is null or verified_status = $4)
        order by major, minor, number, id limit $5 offset $6";
    SHOW_STORY = "
        select s.*, p.mission,
               (select coalesce(max(iteration), 0) from verification_results v
                where v.tenant_id = $1 and v.story_id = $2) as iteration_count,
               exists (select from review_records r where r.tenant_id = $1 and r.story_id = $2
                       and r.completed_at > s.reported_done_at and r.inserted_at > s.reported_done_at) as reviewed
        from stories s join projects p on p.tenant_id = s.tenant_id and p.id = s.project_id
        where s.tenant_id = $1 and s.id = $2";
    STORY_PREREQUISITES = "
        select depends_on_story_id from story_dependencies where tenant_id = $1 and story_id = $2
        order by inserted_at, id";
    LATEST_VERIFICATION = "
        select * from verification_results where tenant_id = $1 and story_id = $2 order by iteration desc limit 1";
    /// The 20 most recent, newest first (decision 20).
    RECENT_ARTIFACTS = "
        select * from artifact_reports where tenant_id = $1 and story_id = $2
        order by inserted_at desc, id desc limit 20";
    CRITERIA = "
        select s.id as story_id, c.id, c.ac_id, c.description, c.verification_criterion, c.status, c.verified_at,
               c.evidence_path
        from stories s
        left join story_acceptance_criteria c on c.tenant_id = s.tenant_id and c.story_id = s.id
        where s.tenant_id = $1 and s.id = $2 order by c.position, c.id";

    READY_IN_PROJECT = ready!(project);
    READY_IN_EPIC = ready!(epic);
    READY_IN_TENANT = ready!(tenant);
    BLOCKED_IN_PROJECT = blocked!(project);
    BLOCKED_IN_EPIC = blocked!(epic);
    BLOCKED_IN_TENANT = blocked!(tenant);
    /// What blocks the stories of `$2`, each blocker once: every prerequisite story that is not verified, and of each
    /// prerequisite epic the first `$3` stories that are not. An epic may have thousands, and all stories of the
    /// epics that wait for it are blocked by each of them.
    BLOCKERS = "
        with blocked as (
            select id, epic_id from stories where tenant_id = (select $1::uuid) and id = any($2)
        ), of_epics as (
            select e.epic_id, p.id
            from (select distinct epic_id from blocked) e
            join epic_dependencies d on d.tenant_id = (select $1::uuid) and d.epic_id = e.epic_id
            cross join lateral (
                select id from stories
                where tenant_id = d.tenant_id and epic_id = d.depends_on_epic_id and verified_status <> 'verified'
                order by major, minor, number, id limit $3) p
        ), pairs as (
            select d.story_id, d.depends_on_story_id as blocker_id, 'story' as via
            from story_dependencies d where d.tenant_id = (select $1::uuid) and d.story_id = any($2)
            union all
            select b.id, o.id, 'epic' from blocked b join of_epics o on o.epic_id = b.epic_id
        )
        select pairs.story_id, p.id, p.number, p.title, p.agent_status, p.verified_status,
               case when bool_or(pairs.via = 'story') then 'story' else 'epic' end as via
        from pairs join stories p on p.tenant_id = (select $1::uuid) and p.id = pairs.blocker_id
        where p.verified_status <> 'verified'
        group by pairs.story_id, p.tenant_id, p.id
        order by pairs.story_id, p.major, p.minor, p.number, p.id";
    /// How many blockers the stories of `$2` have in all: prerequisite stories that are not in a prerequisite epic, and
    /// all stories of those.
    COUNT_BLOCKERS = "
        with blocked as (
            select id, epic_id from stories where tenant_id = (select $1::uuid) and id = any($2)
        ), of_epics as (
            select e.epic_id, count(*) as total
            from (select distinct epic_id from blocked) e
            join epic_dependencies d on d.tenant_id = (select $1::uuid) and d.epic_id = e.epic_id
            join stories p on p.tenant_id = d.tenant_id and p.epic_id = d.depends_on_epic_id
            where p.verified_status <> 'verified' group by e.epic_id
        )
        select b.id as story_id,
               coalesce((select total from of_epics where epic_id = b.epic_id), 0) + (
                   select count(*) from story_dependencies d
                   join stories p on p.tenant_id = d.tenant_id and p.id = d.depends_on_story_id
                   where d.tenant_id = (select $1::uuid) and d.story_id = b.id and p.verified_status <> 'verified'
                     and not exists (select from epic_dependencies e where e.tenant_id = d.tenant_id
                                     and e.epic_id = b.epic_id and e.depends_on_epic_id = p.epic_id)) as total
        from blocked b";
}
