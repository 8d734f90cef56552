//! Rows and SQL of what was measured.

use loopctl_core::cost::Total;
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::db::{Row, statements};

/// A story that a resource names, or that an agent holds.
#[derive(Debug, Row)]
pub(super) struct NamedStory {
    /// Which of those that were asked for, from 1.
    pub(super) nth: i64,
    pub(super) story_id: Uuid,
    pub(super) project_id: Uuid,
}

/// A project that a resource names.
#[derive(Debug, Row)]
pub(super) struct NamedProject {
    /// Which of those that were asked for, from 1.
    pub(super) nth: i64,
    pub(super) project_id: Uuid,
}

/// A point that is near another in time, or the same.
#[derive(Debug, Row)]
pub(super) struct NearPoint {
    #[row(sql = "p.series")]
    pub(super) series: Uuid,
    #[row(sql = "p.begun_ns")]
    pub(super) begun_ns: i64,
    #[row(sql = "p.at_ns")]
    pub(super) at_ns: i64,
    #[row(sql = "p.value")]
    pub(super) value: Option<Total>,
}

/// What counts of a story, an agent or a project.
#[derive(Debug, Clone, Copy, Row)]
pub(crate) struct MeasuredSums {
    /// The story, the agent or the project.
    #[row(sql = "u.id")]
    pub(crate) id: Uuid,
    #[row(sql = "greatest(sum(u.input_tokens), 0)")]
    pub(crate) input_tokens: Total,
    #[row(sql = "sum(u.output_tokens)")]
    pub(crate) output_tokens: Total,
    #[row(sql = "sum(u.cache_read_tokens)")]
    pub(crate) cache_read_tokens: Total,
    #[row(sql = "sum(u.cache_creation_tokens)")]
    pub(crate) cache_creation_tokens: Total,
    #[row(sql = "sum(u.cost_picodollars)")]
    pub(crate) cost_picodollars: Total,
    #[row(sql = "sum(u.token_points) > 0")]
    pub(crate) has_tokens: bool,
    #[row(sql = "sum(u.cost_points) > 0")]
    pub(crate) has_cost: bool,
}

statements! {
    /// The first lock: what an agent exports is added one after the other.
    TAKE_MEASURED_AGENT = "
        insert into measured_agents (tenant_id, agent_id) values ($1, $2)
        on conflict (tenant_id, agent_id) do update set last_at = clock_timestamp()";
    /// A story stays until what is of it has been added.
    MEASURED_STORIES -> NamedStory = "
        select a.nth, s.id as story_id, s.project_id
        from unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[]) with ordinality
            as a (story_id, project_id, slug, number, nth)
        join stories s on s.tenant_id = $1 and s.id = coalesce(a.story_id, (
            select n.id from stories n
            where n.tenant_id = $1 and n.number = a.number and n.project_id = (
                select p.id from projects p where p.tenant_id = $1 and (p.id = a.project_id or p.slug = a.slug))))
        order by s.id for key share of s";
    MEASURED_PROJECTS -> NamedProject = "
        select a.nth, p.id as project_id
        from unnest($2::uuid[], $3::text[]) with ordinality as a (project_id, slug, nth)
        join projects p on p.tenant_id = $1 and (p.id = a.project_id or p.slug = a.slug)";
    /// The one that it started last, of those that it holds.
    MEASURED_HELD_STORY -> NamedStory = "
        select 0::bigint as nth, s.id as story_id, s.project_id
        from story_starts b
        join story_states t on t.tenant_id = b.tenant_id and t.id = b.story_id
        join stories s on s.tenant_id = b.tenant_id and s.id = b.story_id
        where b.tenant_id = $1 and b.agent_id = $2 and b.held_until is null
          and t.assigned_agent_id = b.agent_id and t.agent_status = 'implementing'
        order by b.started_at desc nulls last, b.held_from desc
        limit 1
        for key share of s";
    /// For each point the same one, if it is known, and the nearest before and after.
    NEAR_POINTS -> NearPoint = "
        select {*}
        from unnest($2::uuid[], $3::bigint[], $4::bigint[]) as a (series, begun_ns, at_ns)
        cross join lateral (
            (select q.series, q.begun_ns, q.at_ns, q.value from measured_points q
             where q.tenant_id = $1 and q.series = a.series and q.begun_ns = a.begun_ns and q.at_ns <= a.at_ns
             order by q.at_ns desc limit 2)
            union all
            (select q.series, q.begun_ns, q.at_ns, q.value from measured_points q
             where q.tenant_id = $1 and q.series = a.series and q.begun_ns = a.begun_ns and q.at_ns > a.at_ns
             order by q.at_ns limit 1)) p";
    /// The agent is locked: nobody else adds what it measured.
    ADD_MEASURED = "
        with points as (
            insert into measured_points (tenant_id, agent_id, series, begun_ns, at_ns, value)
            select $1, $2, series, begun_ns, at_ns, value
            from unnest($3::uuid[], $4::bigint[], $5::bigint[], $6::numeric[]) as p (series, begun_ns, at_ns, value)
        )
        insert into measured_usage as u (tenant_id, agent_id, tool, session_id, source, model_name, day, story_id, project_id,
                                         input_tokens, output_tokens, cache_read_tokens, cache_creation_tokens,
                                         cost_picodollars, token_points, cost_points)
        select $1, $2, tool, session_id, source, model_name, day, story_id, project_id, input_tokens, output_tokens,
               cache_read_tokens, cache_creation_tokens, cost_picodollars, token_points, cost_points
        from unnest($7::text[], $8::text[], $9::text[], $10::text[], $11::date[], $12::uuid[], $13::uuid[], $14::numeric[],
                    $15::numeric[], $16::numeric[], $17::numeric[], $18::numeric[], $19::bigint[], $20::bigint[])
            as n (tool, session_id, source, model_name, day, story_id, project_id, input_tokens, output_tokens,
                  cache_read_tokens, cache_creation_tokens, cost_picodollars, token_points, cost_points)
        on conflict on constraint measured_usage_once do update set
            input_tokens = u.input_tokens + excluded.input_tokens,
            output_tokens = u.output_tokens + excluded.output_tokens,
            cache_read_tokens = u.cache_read_tokens + excluded.cache_read_tokens,
            cache_creation_tokens = u.cache_creation_tokens + excluded.cache_creation_tokens,
            cost_picodollars = u.cost_picodollars + excluded.cost_picodollars,
            token_points = u.token_points + excluded.token_points,
            cost_points = u.cost_points + excluded.cost_points,
            updated_at = clock_timestamp()";
    MEASURED_OF_STORIES -> MeasuredSums = "
        select {*} from (select story_id as id, c.* from counted_usage c where c.tenant_id = $1 and c.story_id = any($2)) u
        group by u.id";
    /// Within a project, or everywhere, and within some days.
    MEASURED_OF_AGENTS -> MeasuredSums = "
        select {*} from (
            select agent_id as id, c.* from counted_usage c
            where c.tenant_id = $1 and c.agent_id = any($2) and ($3::uuid is null or c.project_id = $3)
              and c.day between $4::date and $5::date) u
        group by u.id";
    MEASURED_OF_PROJECTS -> MeasuredSums = "
        select {*} from (
            select project_id as id, c.* from counted_usage c where c.tenant_id = $1 and c.project_id = any($2)) u
        group by u.id";
}

/// A whole number as the database takes it. None beyond 2^96, which nobody has used.
pub(super) fn numeric(total: Total) -> Option<Decimal> {
    Decimal::try_from_i128_with_scale(total.0, 0).ok()
}
