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

/// What is told of a deleted story.
#[derive(Serialize, Row)]
pub(super) struct DeletedStory {
    number: String,
    title: String,
    epic_id: Uuid,
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

/// States that the agent `$8` is assigned to, or has contracted and nobody has claimed, of those with a flag.
macro_rules! held {
    ($flag:literal) => {
        concat!(
            "select id as story_id from story_states
             where tenant_id = $1 and ",
            $flag,
            " and (assigned_agent_id = $8 or agent_status = 'contracted' and contracted_by_agent_id = $8)"
        )
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
    /// What is an agent's to do, of one project or of all: found among what is under way, which is little.
    LIST_HELD -> list of Story = {
        within: "",
        from: concat!(
            "(", held!("taken"), " union all ", held!("blocked"), ") held
            cross join lateral (select * from whole_stories where tenant_id = $1 and id = held.story_id offset 0) shown
            where ($2::uuid is null or project_id = $2) and ($3::uuid is null or epic_id = $3)
              and ($4::text is null or agent_status = $4) and ($5::text is null or verified_status = $5)
              and (not $6 or contracted_digest <> criteria_digest or verified_digest <> criteria_digest)
              and ($7::text is null or number = $7)"
        ),
        page: "order by project_id, epic_position, order_key, number, id limit $9 offset $10",
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
}
