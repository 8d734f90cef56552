//! Rows and SQL of the queues.

use loopctl_core::lifecycle::{AgentStatus, Facts, LoopState, Review, VerifiedStatus};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::db::{Row, Timestamp, statements};

/// A story in a queue.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(super) struct StoryBrief {
    #[row(sql = "s.id")]
    pub(super) id: Uuid,
    #[row(sql = "s.tenant_id")]
    tenant_id: Uuid,
    #[row(sql = "s.project_id")]
    project_id: Uuid,
    #[row(sql = "s.epic_id")]
    epic_id: Uuid,
    #[row(sql = "s.number")]
    number: String,
    #[row(sql = "s.title")]
    title: String,
    #[row(sql = "t.agent_status")]
    agent_status: AgentStatus,
    #[row(sql = "t.verified_status")]
    verified_status: VerifiedStatus,
    #[row(sql = "s.sort_key")]
    sort_key: i32,
    #[row(sql = "s.inserted_at")]
    inserted_at: Timestamp,
    #[row(sql = "greatest(s.updated_at, t.updated_at)")]
    updated_at: Timestamp,
    #[serde(skip)]
    #[row(sql = "jsonb_array_length(s.acceptance_criteria)")]
    ac_count: i32,
}

impl StoryBrief {
    /// The story as the lifecycle's rules see it while nobody works on it.
    pub(super) fn facts(&self) -> Facts {
        Facts {
            state: LoopState {
                agent_status: self.agent_status,
                verified_status: self.verified_status,
                ..LoopState::untouched()
            },
            title: self.title.clone(),
            ac_count: usize::try_from(self.ac_count).unwrap_or_default(),
            digest: String::new(),
            started: Vec::new(),
            unmet: Vec::new(),
            review: Review::Missing,
            backfill: None,
        }
    }
}

/// A place in a queue, with the size of the whole. An empty page has one row, without a story.
#[derive(Row)]
pub(super) struct Queued {
    #[row(sql = "counted.total")]
    pub(super) total: i64,
    #[row(flatten)]
    pub(super) story: Option<StoryBrief>,
}

/// A prerequisite that is not verified.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(super) struct Blocker {
    id: Uuid,
    number: String,
    title: String,
    agent_status: AgentStatus,
    verified_status: VerifiedStatus,
    /// `story`: a prerequisite of the story; `epic`: a story of an epic that the story's epic depends on.
    #[row(sql = "case when via_story then 'story' else 'epic' end")]
    via: String,
}

/// A blocker of a story.
#[derive(Row)]
pub(super) struct BlockerOf {
    pub(super) blocked_id: Uuid,
    #[row(flatten)]
    pub(super) blocker: Blocker,
}

/// How many blockers a story has.
#[derive(Row)]
pub(super) struct BlockerCount {
    pub(super) story_id: Uuid,
    pub(super) total: i64,
}

/// A queue, by its scope and by whether it is of what is `ready` or `blocked`. One text each, so that each gets the index that
/// fits: `$2` is the project or the epic; with an epic, `$5` may name the project that it must lie in. Archived projects take part
/// only where they are named.
///
/// The indexes hold just what is ready, or blocked, in order. How many are blocked is kept per epic; ready is what is open, not
/// blocked, and not taken by somebody, which is counted: it is as much as is being worked on.
macro_rules! queue {
    (ready in $scope:ident) => {
        queue!(@ $scope, "ready", "coalesce(sum(e.open - e.blocked), 0) - (select count(*) from story_states t where ",
               queue!(@within $scope), " and t.taken)")
    };
    (blocked in $scope:ident) => {
        queue!(@ $scope, "blocked", "coalesce(sum(e.blocked), 0)", "", "")
    };
    (@active) => { "select id from projects where tenant_id = $1 and status = 'active'" };
    (@epic_is_asked_for) => {
        concat!(
            "exists (select from epics where tenant_id = $1 and id = $2
                     and (project_id = $5 or $5::uuid is null and project_id in (", queue!(@active), ")))"
        )
    };
    (@within project) => { "t.tenant_id = $1 and t.project_id = $2" };
    (@within epic) => { concat!("t.tenant_id = $1 and t.epic_id = $2 and ", queue!(@epic_is_asked_for)) };
    (@within tenant) => { concat!("t.tenant_id = $1 and t.project_id in (", queue!(@active), ")") };
    (@ project, $kind:literal, $($count:expr),*) => {
        queue!(
            @text $kind, ::constcat::concat!($($count),*),
            "e.tenant_id = $1 and e.project_id = $2",
            concat!("story_states t where ", queue!(@within project)),
            "t.epic_position, t.queue_key"
        )
    };
    (@ epic, $kind:literal, $($count:expr),*) => {
        queue!(
            @text $kind, ::constcat::concat!($($count),*),
            concat!("e.tenant_id = $1 and e.id = $2 and ", queue!(@epic_is_asked_for)),
            concat!("story_states t where ", queue!(@within epic)),
            "t.queue_key"
        )
    };
    (@ tenant, $kind:literal, $($count:expr),*) => {
        queue!(
            @text $kind, ::constcat::concat!($($count),*),
            concat!("e.tenant_id = $1 and $2::uuid is null and e.project_id in (", queue!(@active), ")"),
            concat!(
                "(", queue!(@active), ") p cross join lateral (
                    select * from story_states t where t.tenant_id = $1 and t.project_id = p.id and t.", $kind,
                " order by t.epic_position, t.queue_key limit (select $3::bigint + least($4::bigint, 1000000000000))) t
                 where true"
            ),
            "t.epic_position, t.queue_key, t.id"
        )
    };
    (@text $kind:literal, $count:expr, $epics:expr, $from:expr, $order:literal) => {
        ::constcat::concat!(
            "select {*} from (select ", $count, " as total from epic_states e where ", $epics, ") counted
             left join (
                select t.id, t.epic_position, t.queue_key, t.agent_status, t.verified_status, t.updated_at
                from ", $from, " and t.", $kind, " order by ", $order,
            " limit (select $3::bigint) offset (select $4::bigint)) t on true
             left join lateral (
                select * from stories where stories.tenant_id = $1 and stories.id = t.id offset 0) s on true
             order by t.epic_position, t.queue_key, t.id"
        )
    };
}

statements! {
    READY_IN_PROJECT -> Queued = queue!(ready in project);
    READY_IN_EPIC -> Queued = queue!(ready in epic);
    READY_IN_TENANT -> Queued = queue!(ready in tenant);
    BLOCKED_IN_PROJECT -> Queued = queue!(blocked in project);
    BLOCKED_IN_EPIC -> Queued = queue!(blocked in epic);
    BLOCKED_IN_TENANT -> Queued = queue!(blocked in tenant);
    /// What blocks the stories of `$2`: the first `$3` for each, of prerequisite stories that are not verified, and then of stories of
    /// prerequisite epics that are not; and of all of these the first `$4`, so that each story has one before any has another. An epic may have
    /// thousands, and all stories of the epics that wait for it are blocked by each of them. What blocks many is read once.
    BLOCKERS -> BlockerOf = "
        with blocked as (
            select id, epic_id, unmet_epics from story_states where tenant_id = (select $1::uuid) and id = any($2)
        ), of_epics as (
            select e.epic_id, p.id
            from (select distinct epic_id from blocked where unmet_epics > 0) e
            cross join lateral (
                select of_one.id
                from epic_dependencies d
                cross join lateral (
                    select id, order_key, number from whole_stories
                    where tenant_id = d.tenant_id and epic_id = d.depends_on_epic_id and verified_status <> 'verified'
                    order by order_key, number, id limit $3) of_one
                where d.tenant_id = (select $1::uuid) and d.epic_id = e.epic_id
                order by of_one.order_key, of_one.number, of_one.id limit $3) p
        ), pairs as (
            select d.story_id as blocked_id, d.depends_on_story_id as blocker_id, true as of_story
            from story_dependencies d where d.tenant_id = (select $1::uuid) and d.story_id = any($2)
            union all
            select b.id, o.id, false from blocked b join of_epics o on o.epic_id = b.epic_id
        ), once as (
            select blocked_id, blocker_id, bool_or(of_story) as of_story from pairs group by blocked_id, blocker_id
        ), open as (
            select id, row_number() over (order by order_key, number, id) as place
            from (select distinct blocker_id from once) o
            join whole_stories on tenant_id = (select $1::uuid) and id = o.blocker_id
            where verified_status <> 'verified'
        ), ranked as (
            select blocked_id, blocker_id, of_story, row_number() over (partition by blocked_id order by of_story desc, place) as rank
            from once join open on open.id = once.blocker_id
        ), named as (
            select blocked_id, blocker_id, of_story from ranked where rank <= $3 order by rank, blocked_id limit $4
        )
        select {*} from (
            select blocker_id, array_agg(blocked_id) as all_blocked, array_agg(of_story) as all_of_story from named group by blocker_id
        ) b join whole_stories on tenant_id = (select $1::uuid) and id = blocker_id
        cross join lateral unnest(all_blocked, all_of_story) each (blocked_id, via_story)
        order by blocked_id, order_key, number, id";
    /// How many blockers the stories of `$2` have in all: prerequisite stories that are not in a prerequisite epic, and
    /// all stories of those.
    COUNT_BLOCKERS -> BlockerCount = "
        with blocked as (
            select id, epic_id from story_states where tenant_id = (select $1::uuid) and id = any($2)
        ), of_epics as (
            select e.epic_id, sum(p.open) as total
            from (select distinct epic_id from blocked) e
            join epic_dependencies d on d.tenant_id = (select $1::uuid) and d.epic_id = e.epic_id
            join epic_states p on p.tenant_id = d.tenant_id and p.id = d.depends_on_epic_id
            group by e.epic_id
        )
        select {*} from (select b.id as story_id,
               coalesce((select total from of_epics where epic_id = b.epic_id), 0) + (
                   select count(*) from story_dependencies d
                   join story_states p on p.tenant_id = d.tenant_id and p.id = d.depends_on_story_id
                   where d.tenant_id = (select $1::uuid) and d.story_id = b.id and p.verified_status <> 'verified'
                     and not exists (select from epic_dependencies e where e.tenant_id = d.tenant_id
                                     and e.epic_id = b.epic_id and e.depends_on_epic_id = p.epic_id)) as total
        from blocked b) counted";
}
