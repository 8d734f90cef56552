//! Rows and SQL of anomalies.

use chrono::{DateTime, NaiveDate, Utc};
use loopctl_core::cost::Total;
use loopctl_core::cost::anomalies::{Limit, StoryUsage};
use loopctl_core::json::JsonText;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::db::{Row, Timestamp, statements};

/// A story whose cost stands out, of the alias `c`.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(crate) struct CostAnomaly {
    #[row(sql = "c.id")]
    id: Uuid,
    #[row(sql = "c.tenant_id")]
    tenant_id: Uuid,
    #[row(sql = "c.story_id")]
    story_id: Uuid,
    #[row(sql = "s.title")]
    story_title: String,
    /// Who holds the story now.
    #[row(sql = "a.name")]
    agent_name: Option<String>,
    /// `high_cost`, `suspiciously_low`, `budget_exceeded` or `claim_mismatch`.
    #[row(sql = "c.anomaly_type")]
    anomaly_type: String,
    #[row(sql = "c.story_cost_millicents")]
    story_cost_millicents: Total,
    /// The same as `story_cost_millicents`.
    #[row(sql = "c.story_cost_millicents")]
    cost_millicents: Total,
    /// What others cost, what it may cost, or what was measured.
    #[row(sql = "c.reference_avg_millicents")]
    reference_avg_millicents: Total,
    /// A decimal as a string.
    #[row(sql = "c.deviation_factor::text")]
    deviation_factor: String,
    #[row(sql = "c.resolved")]
    resolved: bool,
    /// Too old to be listed, unless that is asked for.
    #[row(sql = "c.archived")]
    archived: bool,
    /// With what it was compared, and how.
    #[row(sql = "c.metadata")]
    metadata: JsonText,
    #[row(sql = "c.inserted_at")]
    inserted_at: Timestamp,
    #[row(sql = "c.updated_at")]
    updated_at: Timestamp,
}

/// An anomaly that is locked.
#[derive(Row)]
pub(super) struct Standing {
    pub(super) resolved: bool,
    pub(super) updated_at: Timestamp,
    #[row(sql = "(select project_id from stories s where s.tenant_id = $1 and s.id = c.story_id)")]
    pub(super) project_id: Uuid,
}

/// What was reported of a story, and what it may cost.
#[derive(Row)]
pub(super) struct Reported {
    #[row(sql = "u.story_id")]
    story_id: Uuid,
    #[row(sql = "u.epic_id")]
    epic_id: Uuid,
    #[row(sql = "u.project_id")]
    project_id: Uuid,
    #[row(sql = "u.on_day")]
    on_day: Option<Total>,
    #[row(sql = "u.tokens")]
    tokens: Total,
    #[row(sql = "u.cost")]
    cost: Total,
    #[row(sql = "s.agent_status = 'reported_done'")]
    is_reported_done: bool,
    #[row(sql = "b.budget_id")]
    budget_id: Option<Uuid>,
    #[row(sql = "b.millicents")]
    limit_millicents: Option<i64>,
}

impl Reported {
    /// As the rules see it.
    pub(super) fn usage(&self) -> StoryUsage {
        let budget_id = self.budget_id;
        StoryUsage {
            story_id: self.story_id,
            epic_id: self.epic_id,
            project_id: self.project_id,
            on_day: self.on_day,
            tokens: self.tokens,
            cost: self.cost,
            is_reported_done: self.is_reported_done,
            limit: self.limit_millicents.map(|millicents| Limit { budget_id, millicents }),
        }
    }
}

/// What the stories of an epic have cost on a day, on average.
#[derive(Row)]
pub(super) struct EpicMean {
    pub(super) scope_id: Uuid,
    pub(super) avg_cost_per_story_millicents: Total,
}

/// What is claimed of a story of which something was measured.
#[derive(Row)]
pub(super) struct ClaimedOfStory {
    #[row(sql = "u.story_id")]
    pub(super) story_id: Uuid,
    #[row(sql = "u.project_id")]
    pub(super) project_id: Uuid,
    #[row(sql = "sum(u.input_tokens + u.output_tokens)")]
    pub(super) tokens: Total,
    #[row(sql = "sum(u.cost_millicents)")]
    pub(super) cost_millicents: Total,
}

/// An anomaly that is new, with what is told of its story.
#[derive(Row)]
pub(super) struct Inserted {
    #[row(sql = "n.id")]
    pub(super) id: Uuid,
    #[row(sql = "s.title")]
    pub(super) story_title: String,
    #[row(sql = "t.assigned_agent_id")]
    pub(super) agent_id: Option<Uuid>,
    #[row(sql = "a.name")]
    pub(super) agent_name: Option<String>,
}

statements! {
    LIST_ANOMALIES -> list of CostAnomaly = {
        within: "",
        count: "
            count(*) from cost_anomalies c
            where c.tenant_id = $1 and ($2::text is null or c.anomaly_type = $2)
              and ($3::uuid is null or c.story_id in (select id from stories where tenant_id = $1 and project_id = $3))
              and ($4::boolean is null or c.resolved = $4) and ($5 or not c.archived)",
        from: "
            cost_anomalies c
            join stories s on s.tenant_id = c.tenant_id and s.id = c.story_id
            join story_states t on t.tenant_id = c.tenant_id and t.id = c.story_id
            left join agents a on a.tenant_id = c.tenant_id and a.id = t.assigned_agent_id
            where c.tenant_id = $1 and ($2::text is null or c.anomaly_type = $2)
              and ($3::uuid is null or s.project_id = $3)
              and ($4::boolean is null or c.resolved = $4) and ($5 or not c.archived)",
        page: "order by c.inserted_at desc, c.id desc limit $6 offset $7",
    };
    PROJECT_OF_ANOMALIES -> Uuid = "select id from projects where tenant_id = $1 and id = $2";
    LOCK_ANOMALY -> Standing = "
        select {*} from cost_anomalies c where c.tenant_id = $1 and c.id = $2 for no key update of c";
    RESOLVE_ANOMALY -> Timestamp = "
        update cost_anomalies set resolved = true, updated_at = clock_timestamp()
        where tenant_id = $1 and id = $2 returning updated_at";
    /// Everything of the projects of which something was reported that day (`$2`). A limit is that of the story itself, or else of
    /// each story of its project, or else the tenant's.
    REPORTED -> Reported = "
        with active as (select distinct project_id from usage_by_day where tenant_id = $1 and day = $2)
        select {*}
        from (
            select story_id, epic_id, project_id, sum(cost_millicents) filter (where day = $2) as on_day,
                   sum(input_tokens + output_tokens) as tokens, sum(cost_millicents) as cost
            from usage_by_day
            where tenant_id = $1 and project_id in (select project_id from active) group by 1, 2, 3
        ) u
        join story_states s on s.tenant_id = $1 and s.id = u.story_id
        left join lateral (
            select budget_id, millicents from (
                select 1 as nth, id as budget_id, budget_millicents as millicents from token_budgets
                where tenant_id = $1 and scope_type = 'story' and scope_id = u.story_id
                union all
                select 2, id, budget_millicents from token_budgets
                where tenant_id = $1 and scope_type = 'per_story' and scope_id = u.project_id
                union all
                select 3, null, default_story_budget_millicents from tenants where id = $1
            ) limits order by nth limit 1
        ) b on u.on_day is not null";
    /// Stories that something was reported or measured of that day (`$2`), and what is claimed of each in all. Where nothing was
    /// measured, there is nothing to compare.
    CLAIMED -> ClaimedOfStory = "
        with touched as (
            select story_id from usage_by_day where tenant_id = $1 and day = $2
            union
            select story_id from measured_usage where tenant_id = $1 and day = $2 and story_id is not null
        )
        select {*} from usage_by_day u
        where u.tenant_id = $1 and u.story_id in (select story_id from touched)
          and exists (select from measured_usage m where m.tenant_id = $1 and m.story_id = u.story_id)
        group by u.story_id, u.project_id";
    /// The first days that were counted and not looked through since.
    DAYS_TO_LOOK_THROUGH -> NaiveDate = "
        select distinct period_start from cost_summaries
        where tenant_id = $1 and scope_type = 'project' and not looked_through and period_start < $2
        order by period_start limit 366";
    /// When the day was counted; null where it was not.
    COUNTED_AT -> Option<DateTime<Utc>> = "
        select max(updated_at) as counted_at from cost_summaries
        where tenant_id = $1 and scope_type = 'project' and period_start = $2";
    /// What was counted since (`$3`) is to be looked through once more.
    LOOKED_THROUGH = "
        update cost_summaries set looked_through = true
        where tenant_id = $1 and scope_type = 'project' and period_start = $2 and not looked_through and updated_at <= $3";
    EPIC_MEANS -> EpicMean = "
        select {*} from cost_summaries
        where tenant_id = $1 and scope_type = 'epic' and period_start = $2 and avg_cost_per_story_millicents > 0";
    /// Those that are open already: only their figures change, and the days of which they were found (`$2`).
    REFRESH_ANOMALIES = "
        with given as (
            select * from unnest($3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::jsonb[])
                as given (story_id, kind, cost, reference, factor, metadata)
        ), held as (
            select c.id, g.cost::numeric as cost, g.reference::numeric as reference, g.factor::numeric as factor,
                   greatest(c.period_end, $2::date) as period_end,
                   g.metadata || jsonb_build_object('period_start', greatest(c.period_end, $2::date)) as metadata
            from cost_anomalies c
            join given g on g.story_id = c.story_id and g.kind = c.anomaly_type
            where c.tenant_id = $1 and not c.resolved and not c.archived
            order by c.id for no key update of c
        )
        update cost_anomalies c set
            story_cost_millicents = h.cost, reference_avg_millicents = h.reference, deviation_factor = h.factor,
            metadata = h.metadata, period_start = least(c.period_start, $2), period_end = h.period_end, updated_at = clock_timestamp()
        from held h
        where c.tenant_id = $1 and c.id = h.id
          and ((c.story_cost_millicents, c.reference_avg_millicents, c.deviation_factor, c.metadata)
                 <> (h.cost, h.reference, h.factor, h.metadata)
               or c.period_start > $2)";
    /// The others of a day (`$2`), in the order of their stories, unless somebody has resolved what was found of that day.
    INSERT_ANOMALIES -> Inserted = "
        with given as (
            select * from unnest($3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::jsonb[])
                as given (id, story_id, kind, cost, reference, factor, metadata)
        ), n as (
            insert into cost_anomalies (tenant_id, id, story_id, anomaly_type, story_cost_millicents, reference_avg_millicents,
                                        deviation_factor, metadata, period_start, period_end, inserted_at, updated_at)
            select $1::uuid, g.id, g.story_id, g.kind, g.cost::numeric, g.reference::numeric, g.factor::numeric, g.metadata, $2::date,
                   $2::date, clock_timestamp(), clock_timestamp()
            from given g
            where not exists (
                select from cost_anomalies o
                where o.tenant_id = $1 and o.story_id = g.story_id and o.anomaly_type = g.kind and o.resolved
                  and $2 between o.period_start and o.period_end)
            order by g.story_id, g.kind
            on conflict (tenant_id, story_id, anomaly_type) where not resolved and not archived do nothing
            returning id, story_id
        )
        select {*} from n
        join stories s on s.tenant_id = $1 and s.id = n.story_id
        join story_states t on t.tenant_id = $1 and t.id = n.story_id
        left join agents a on a.tenant_id = $1 and a.id = t.assigned_agent_id";
}
