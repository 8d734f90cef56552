//! Rows and SQL of stories.

use loopctl_core::json::JsonText;
use loopctl_core::lifecycle::{
    AgentStatus, Backfill, Facts, LoopState, Review, VerificationSource, VerifiedStatus,
};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::StoryText;
use crate::db::{DbError, Row, Statement, Timestamp, Tx, statements};

/// A story.
#[derive(Debug, Clone, Serialize, JsonSchema, Row)]
pub(crate) struct Story {
    pub(crate) id: Uuid,
    pub(crate) tenant_id: Uuid,
    pub(crate) project_id: Uuid,
    pub(crate) epic_id: Uuid,
    pub(crate) number: String,
    title: String,
    description: Option<String>,
    #[schemars(with = "Vec<serde_json::Map<String, serde_json::Value>>")]
    acceptance_criteria: JsonText,
    /// A decimal as a string.
    estimated_hours: Option<Decimal>,
    agent_status: AgentStatus,
    verified_status: VerifiedStatus,
    assigned_agent_id: Option<Uuid>,
    reported_by_agent_id: Option<Uuid>,
    assigned_at: Option<Timestamp>,
    reported_done_at: Option<Timestamp>,
    verified_at: Option<Timestamp>,
    rejected_at: Option<Timestamp>,
    rejection_reason: Option<String>,
    /// `a * 10000 + b * 10` of a number `a.b`, both below 10000, else 0. The order of stories is another.
    sort_key: i32,
    metadata: JsonText,
    implementer_dispatch_id: Option<Uuid>,
    verifier_dispatch_id: Option<Uuid>,
    verifier_needed: bool,
    review_requested_at: Option<Timestamp>,
    contracted_by_agent_id: Option<Uuid>,
    /// When the story was claimed for the first time ever; never cleared.
    first_claimed_at: Option<Timestamp>,
    #[serde(flatten)]
    #[row(flatten)]
    asked: Asked,
    inserted_at: Timestamp,
    updated_at: Timestamp,
    #[serde(skip)]
    #[row(flatten)]
    custody: Custody,
}

/// What a story asks for, and whether that is still what was agreed to and what was verified.
#[derive(Debug, Clone, Serialize, JsonSchema, Row)]
pub(crate) struct Asked {
    /// SHA-256 of the canonical JSON of title and acceptance criteria, in hexadecimal digits.
    #[row(sql = "encode(criteria_digest, 'hex')")]
    criteria_digest: String,
    /// By which way it became verified: null unless it is.
    verification_source: Option<VerificationSource>,
    /// Whether title or criteria have changed since they were contracted.
    #[row(sql = "coalesce(contracted_digest <> criteria_digest, false)")]
    contract_stale: bool,
    /// Whether title or criteria have changed since they were verified.
    #[row(sql = "coalesce(verified_digest <> criteria_digest, false)")]
    verification_stale: bool,
}

/// What the rules know of a story besides what it shows.
#[derive(Debug, Clone, Row)]
struct Custody {
    unmet_stories: i32,
    unmet_epics: i32,
    prerequisites: i32,
    has_evidence: bool,
    first_touched_at: Option<Timestamp>,
    cycle: i32,
    report_number: i32,
    report_cycle: Option<i32>,
    #[row(sql = "encode(contracted_digest, 'hex')")]
    contracted_digest: Option<String>,
    #[row(sql = "encode(verified_digest, 'hex')")]
    verified_digest: Option<String>,
}

impl Story {
    /// How long it was estimated to take.
    pub(crate) fn estimated_hours(&self) -> Option<Decimal> {
        self.estimated_hours
    }

    /// The digest of title and criteria.
    pub(super) fn digest(&self) -> &str {
        &self.asked.criteria_digest
    }

    /// The story as the lifecycle's rules see it, before those who started it, prerequisites and reviews
    /// are looked up.
    pub(crate) fn facts(&self) -> Facts {
        let time = |timestamp: Option<Timestamp>| timestamp.map(|Timestamp(time)| time);
        Facts {
            state: LoopState {
                agent_status: self.agent_status,
                verified_status: self.verified_status,
                assigned_agent_id: self.assigned_agent_id,
                assigned_at: time(self.assigned_at),
                contracted_by_agent_id: self.contracted_by_agent_id,
                first_claimed_at: time(self.first_claimed_at),
                first_touched_at: time(self.custody.first_touched_at),
                review_requested_at: time(self.review_requested_at),
                reported_done_at: time(self.reported_done_at),
                reported_by_agent_id: self.reported_by_agent_id,
                cycle: self.custody.cycle,
                report_number: self.custody.report_number,
                report_cycle: self.custody.report_cycle,
                contracted_digest: self.custody.contracted_digest.clone(),
                verified_at: time(self.verified_at),
                verification_source: self.asked.verification_source,
                verified_digest: self.custody.verified_digest.clone(),
                rejected_at: time(self.rejected_at),
                rejection_reason: self.rejection_reason.clone(),
            },
            title: self.title.clone(),
            ac_count: self.acceptance_criteria.elements().map_or(0, |criteria| criteria.len()),
            digest: self.asked.criteria_digest.clone(),
            started: Vec::new(),
            unmet: Vec::new(),
            review: Review::Missing,
            backfill: Backfill::recorded(&self.metadata),
        }
    }

    /// Whether a prerequisite is not verified.
    pub(crate) fn waits(&self) -> bool {
        self.custody.unmet_stories > 0 || self.custody.unmet_epics > 0
    }

    /// Whether something is known of it that stands elsewhere: prerequisites, those who started it, evidence.
    pub(crate) fn has_surroundings(&self) -> bool {
        self.custody.prerequisites > 0 || self.custody.has_evidence || self.first_claimed_at.is_some()
    }

    /// The story with another state, written at this time.
    #[must_use]
    pub(crate) fn moved(self, state: &LoopState, updated_at: Timestamp) -> Self {
        let stale = |digest: &Option<String>| {
            digest.as_ref().is_some_and(|digest| *digest != self.asked.criteria_digest)
        };
        let asked = Asked {
            verification_source: state.verification_source,
            contract_stale: stale(&state.contracted_digest),
            verification_stale: stale(&state.verified_digest),
            criteria_digest: self.asked.criteria_digest.clone(),
        };
        let custody = Custody {
            first_touched_at: state.first_touched_at.map(Timestamp),
            cycle: state.cycle,
            report_number: state.report_number,
            report_cycle: state.report_cycle,
            contracted_digest: state.contracted_digest.clone(),
            verified_digest: state.verified_digest.clone(),
            ..self.custody
        };
        Self {
            agent_status: state.agent_status,
            verified_status: state.verified_status,
            assigned_agent_id: state.assigned_agent_id,
            reported_by_agent_id: state.reported_by_agent_id,
            assigned_at: state.assigned_at.map(Timestamp),
            reported_done_at: state.reported_done_at.map(Timestamp),
            verified_at: state.verified_at.map(Timestamp),
            rejected_at: state.rejected_at.map(Timestamp),
            rejection_reason: state.rejection_reason.clone(),
            review_requested_at: state.review_requested_at.map(Timestamp),
            contracted_by_agent_id: state.contracted_by_agent_id,
            first_claimed_at: state.first_claimed_at.map(Timestamp),
            updated_at,
            asked,
            custody,
            ..self
        }
    }

    /// What planners write of it.
    pub(super) fn text(&self) -> StoryText {
        StoryText {
            title: self.title.clone(),
            description: self.description.clone(),
            acceptance_criteria: self.acceptance_criteria.clone(),
            estimated_hours: self.estimated_hours,
            metadata: self.metadata.clone(),
        }
    }
}

/// Runs a statement about a story and reads the story after it, in one round trip: as the statement has written it, or waited
/// for it.
pub(super) async fn then_find(
    tx: &mut Tx,
    statement: Statement<'_, ()>,
    id: Uuid,
) -> Result<Option<Story>, DbError> {
    let (_, found) = tx.batch((statement, FIND_STORY.with(&[&id]))).await?;
    Ok(found.into_iter().next())
}

/// A criterion of a story.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(super) struct Criterion {
    id: Uuid,
    ac_id: String,
    description: String,
    verification_criterion: JsonText,
    /// `pending`, `verified`, `failed` or `unverifiable`.
    status: String,
    verified_at: Option<Timestamp>,
    evidence_path: Option<String>,
}

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

/// What is told of a deleted story.
#[derive(Serialize, Row)]
pub(super) struct DeletedStory {
    number: String,
    title: String,
    epic_id: Uuid,
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

/// States of a project, of an epic where `$3` is one, with the words `$4` and `$5` where they are.
macro_rules! states_by_status {
    () => {
        "story_states
         where tenant_id = $1 and project_id = $2 and ((select $3::uuid) is null or epic_id = (select $3::uuid))
           and ((select $4::text) is null or agent_status = (select $4::text))
           and ((select $5::text) is null or verified_status = (select $5::text))"
    };
}

statements! {
    /// Under the project's lock, which keeps the epic there.
    EPIC_OF_STORY -> Uuid = "select id from epics where tenant_id = $1 and project_id = $2 and id = $3";
    /// As `EPIC_OF_STORY`.
    EPIC_BY_NUMBER -> Uuid = "select id from epics where tenant_id = $1 and project_id = $2 and number = $3";
    COUNT_PROJECT_STORIES -> i64 = "select count(*) from stories where tenant_id = $1 and project_id = $2";
    /// Its state begins with it.
    INSERT_STORY = "
        insert into stories (tenant_id, project_id, epic_id, id, number, title, description, acceptance_criteria,
                             estimated_hours, metadata)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    FIND_STORY -> Story = "select {*} from whole_stories where tenant_id = $1 and id = $2";
    UPDATE_STORY = "
        update stories set title = $3, description = $4, acceptance_criteria = $5, estimated_hours = $6, metadata = $7,
                           updated_at = clock_timestamp()
        where tenant_id = $1 and id = $2";
    STORY_PROJECT -> Uuid = "select project_id from stories where tenant_id = $1 and id = $2";
    /// Its state, evidence, criteria and dependencies go with it.
    DELETE_STORY -> DeletedStory = "delete from stories where tenant_id = $1 and id = $2 returning {*}";
    /// All of a project. How many there are is kept. A page is found in the index alone, and `offset 0` has its stories
    /// looked up one by one: of how many they are the planner knows nothing.
    LIST_STORIES -> list of Story = {
        within: "",
        count: "coalesce(sum(stories), 0) from epic_states where tenant_id = $1 and project_id = $2",
        from: "
            (select id as found from stories where tenant_id = $1 and project_id = $2
             order by epic_position, order_key, number, id limit (select $3::bigint) offset (select $4::bigint)) page
            cross join lateral (select * from whole_stories where tenant_id = $1 and id = found offset 0) shown",
        page: "order by epic_position, order_key, number, id",
    };
    /// The one of a number, if it is as asked.
    LIST_NUMBERED -> list of Story = {
        within: "",
        from: "
            whole_stories
            where tenant_id = $1 and project_id = $2 and number = $7 and ($3::uuid is null or epic_id = $3)
              and ($4::text is null or agent_status = $4) and ($5::text is null or verified_status = $5)
              and (not $6 or contracted_digest <> criteria_digest or verified_digest <> criteria_digest)",
        page: "order by id limit $8 offset $9",
    };
    /// As `LIST_STORIES`, found among the states, which are small.
    LIST_BY_STATUS -> list of Story = {
        within: "",
        count: concat!("count(*) from ", states_by_status!()),
        from: concat!(
            "(select id as found from ", states_by_status!(), "
             order by epic_position, queue_key limit (select $6::bigint) offset (select $7::bigint)) page
            cross join lateral (select * from whole_stories where tenant_id = $1 and id = found offset 0) shown"
        ),
        page: "order by epic_position, order_key, number, id",
    };
    LIST_STALE -> list of Story = {
        within: "",
        from: "
            whole_stories
            where tenant_id = $1 and project_id = $2 and ($3::uuid is null or epic_id = $3)
              and ($4::text is null or agent_status = $4) and ($5::text is null or verified_status = $5)
              and (contracted_digest <> criteria_digest or verified_digest <> criteria_digest)",
        page: "order by epic_position, order_key, number, id limit $6 offset $7",
    };
    LIST_EPIC_STORIES -> list of Story = {
        within: "epics where tenant_id = $1 and id = $2",
        from: "
            whole_stories
            where tenant_id = $1 and epic_id = $2
              and ($3::text is null or agent_status = $3) and ($4::text is null or verified_status = $4)",
        page: "order by order_key, number, id limit $5 offset $6",
    };
    STORY_KNOWN -> Uuid = "select id from stories where tenant_id = $1 and id = $2";
    CRITERIA -> Criterion = "
        select {*} from story_acceptance_criteria where tenant_id = $1 and story_id = $2 order by position, id";

    READY_IN_PROJECT -> Queued = queue!(ready in project);
    READY_IN_EPIC -> Queued = queue!(ready in epic);
    READY_IN_TENANT -> Queued = queue!(ready in tenant);
    BLOCKED_IN_PROJECT -> Queued = queue!(blocked in project);
    BLOCKED_IN_EPIC -> Queued = queue!(blocked in epic);
    BLOCKED_IN_TENANT -> Queued = queue!(blocked in tenant);
    /// What blocks the stories of `$2`, each blocker once: every prerequisite story that is not verified, and of each
    /// prerequisite epic the first `$3` stories that are not. An epic may have thousands, and all stories of the
    /// epics that wait for it are blocked by each of them.
    BLOCKERS -> BlockerOf = "
        with blocked as (
            select id, epic_id, unmet_epics from story_states where tenant_id = (select $1::uuid) and id = any($2)
        ), of_epics as (
            select e.epic_id, p.id
            from (select distinct epic_id from blocked where unmet_epics > 0) e
            join epic_dependencies d on d.tenant_id = (select $1::uuid) and d.epic_id = e.epic_id
            cross join lateral (
                select id from whole_stories
                where tenant_id = d.tenant_id and epic_id = d.depends_on_epic_id and verified_status <> 'verified'
                order by order_key, number, id limit $3) p
        ), pairs as (
            select d.story_id as blocked_id, d.depends_on_story_id as blocker_id, true as of_story
            from story_dependencies d where d.tenant_id = (select $1::uuid) and d.story_id = any($2)
            union all
            select b.id, o.id, false from blocked b join of_epics o on o.epic_id = b.epic_id
        )
        select {*} from (
            select blocked_id, blocker_id, bool_or(of_story) as via_story from pairs group by blocked_id, blocker_id
        ) b join whole_stories on tenant_id = (select $1::uuid) and id = blocker_id
        where verified_status <> 'verified'
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
