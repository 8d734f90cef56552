//! Rows and SQL of the trust loop.

use chrono::{DateTime, Utc};
use loopctl_core::json::JsonText;
use loopctl_core::lifecycle::{LoopState, Prerequisite, Review, VerificationSource, VerifiedStatus};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::cost::budgets::FREE_RESERVATIONS;
use crate::db::{DbError, Params, Row, Timestamp, Tx, column, statements};
use crate::evidence::artifacts::ArtifactReport;
use crate::plan::stories::{Started, Story, joining_started};

/// A finished review.
#[derive(Debug, Clone, Serialize, JsonSchema, Row)]
pub(super) struct ReviewRecord {
    pub(super) id: Uuid,
    tenant_id: Uuid,
    story_id: Uuid,
    /// None for a human with a user key.
    pub(super) reviewer_agent_id: Option<Uuid>,
    pub(super) review_type: String,
    pub(super) findings_count: i32,
    pub(super) fixes_count: i32,
    pub(super) disproved_count: i32,
    pub(super) summary: Option<String>,
    /// That of the title and criteria that were reviewed; null for reviews from before it was kept.
    #[row(sql = "encode(criteria_digest, 'hex')")]
    pub(super) criteria_digest: Option<String>,
    completed_at: Timestamp,
    inserted_at: Timestamp,
    updated_at: Timestamp,
}

/// The result of a verification or rejection, of the alias `v`.
#[derive(Debug, Clone, Serialize, JsonSchema, Row)]
pub(super) struct VerificationResult {
    #[row(sql = "(v).id")]
    pub(super) id: Uuid,
    #[row(sql = "(v).tenant_id")]
    tenant_id: Uuid,
    #[row(sql = "(v).story_id")]
    story_id: Uuid,
    #[row(sql = "(v).orchestrator_agent_id")]
    orchestrator_agent_id: Option<Uuid>,
    /// `pass`, `partial` or `fail`.
    #[row(sql = "(v).result")]
    pub(super) result: String,
    #[row(sql = "(v).summary")]
    pub(super) summary: Option<String>,
    #[row(sql = "(v).findings")]
    pub(super) findings: JsonText,
    #[row(sql = "(v).review_type")]
    pub(super) review_type: Option<String>,
    #[row(sql = "(v).commit_sha")]
    commit_sha: Option<String>,
    /// That of the title and criteria that it is about; null for results from before it was kept.
    #[row(sql = "encode((v).criteria_digest, 'hex')")]
    pub(super) criteria_digest: Option<String>,
    /// 1, 2, … per story.
    #[row(sql = "(v).iteration")]
    pub(super) iteration: i32,
    #[row(sql = "(v).inserted_at")]
    inserted_at: Timestamp,
    #[row(sql = "(v).updated_at")]
    updated_at: Timestamp,
}

/// A story, with what its project is for.
#[derive(Row)]
pub(super) struct StoryInProject {
    #[row(flatten)]
    pub(super) story: Story,
    #[row(sql = "(select mission from projects p where p.tenant_id = $1 and p.id = s.project_id)")]
    pub(super) mission: Option<String>,
}

/// What is known of a story besides, once for each of its most recent artifacts, and once without any.
#[derive(Row)]
pub(super) struct Surroundings {
    #[row(sql = "array(select d.depends_on_story_id from story_dependencies d
                       where d.tenant_id = $1 and d.story_id = $2 order by d.inserted_at, d.id)")]
    pub(super) prerequisites: Vec<Uuid>,
    #[row(flatten)]
    pub(super) review: NewestReview,
    #[row(flatten)]
    pub(super) started: Started,
    /// Its iteration is how often the story was verified or rejected.
    #[row(flatten)]
    pub(super) latest: Option<VerificationResult>,
    #[row(flatten)]
    pub(super) artifact: Option<ArtifactReport>,
}

/// What the newest review of the story's report, in its cycle, is of.
#[derive(Row)]
pub(super) struct NewestReview {
    /// None without a review, and whether it is of title and criteria as they are.
    #[row(sql = "(select coalesce(r.criteria_digest = s.criteria_digest, false) from review_records r
                  where r.tenant_id = s.tenant_id and r.story_id = s.id
                    and r.report_number = s.report_number and r.cycle = s.cycle
                  order by r.number desc limit 1)")]
    is_current: Option<bool>,
}

impl NewestReview {
    /// As the rules see it.
    pub(super) fn review(&self) -> Review {
        match self.is_current {
            None => Review::Missing,
            Some(false) => Review::Outdated,
            Some(true) => Review::Current,
        }
    }
}

/// A story under its lock, with what the rules need besides.
#[derive(Row)]
pub(super) struct LockedStory {
    #[row(flatten)]
    pub(super) story: Story,
    #[row(sql = "clock_timestamp()")]
    pub(super) now: DateTime<Utc>,
    #[row(flatten)]
    pub(super) review: NewestReview,
    #[row(flatten)]
    pub(super) started: Started,
    #[row(
        sql = "(select settings -> 'auto_reset_on_rejection' from tenants where id = $1) is distinct from 'false'"
    )]
    pub(super) auto_reset: bool,
    #[row(
        sql = "(select settings -> 'knowledge_auto_extract' from tenants where id = $1) is distinct from 'false'"
    )]
    pub(super) auto_extract: bool,
}

/// A prerequisite that is not verified: a story, or an epic with open stories.
#[derive(Row)]
pub(super) struct Unmet {
    id: Uuid,
    number: String,
    verified_status: Option<VerifiedStatus>,
    open_stories: i64,
}

impl Unmet {
    /// As the rules see it.
    pub(super) fn prerequisite(self) -> Result<Prerequisite, DbError> {
        let Self { id, number, verified_status, open_stories } = self;
        if let Some(verified_status) = verified_status {
            return Ok(Prerequisite::Story { id, number, verified_status });
        }
        let number = number.parse().map_err(|_| DbError::Unexpected(format!("epic number {number:?}")))?;
        Ok(Prerequisite::Epic { id, number, open_stories })
    }
}

/// What verify-all looks at: a story, or none in an epic where nothing waits.
#[derive(Row)]
pub(super) struct ReportedStory {
    #[row(flatten)]
    pub(super) story: Option<StoryName>,
}

#[derive(Row)]
pub(super) struct StoryName {
    #[row(sql = "s.id")]
    pub(super) id: Uuid,
    #[row(sql = "s.number")]
    pub(super) number: String,
}

/// An epic that was just completed.
#[derive(Row)]
pub(super) struct CompletedEpic {
    pub(super) number: i32,
    pub(super) title: String,
    #[row(sql = "(select stories from epic_states where tenant_id = $1 and id = $2)")]
    pub(super) story_count: i32,
    /// From the first claim to the last verification; none when nothing of it was claimed.
    #[row(sql = "(select extract(epoch from max(s.verified_at) - min(s.first_claimed_at))::bigint
                  from stories t join story_states s on s.tenant_id = t.tenant_id and s.id = t.id
                  where t.tenant_id = $1 and t.epic_id = $2)")]
    pub(super) duration_seconds: Option<i64>,
}

statements! {
    /// What verify-all looks at.
    REPORTED_IN_EPIC -> ReportedStory = "
        select {*} from epics e
        left join whole_stories s on s.tenant_id = e.tenant_id and s.epic_id = e.id
            and s.agent_status = 'reported_done' and s.verified_status <> 'verified'
        where e.tenant_id = $1 and e.id = $2
        order by s.order_key, s.number, s.id";
    /// Prerequisites that are not verified.
    UNMET_PREREQUISITES -> Unmet = "
        select {*} from (
        select 'story' as kind, p.id, p.number, p.verified_status, 0::bigint as open_stories
        from story_dependencies d
        join whole_stories p on p.tenant_id = d.tenant_id and p.id = d.depends_on_story_id
        where d.tenant_id = (select $1::uuid) and d.story_id = (select $2::uuid) and p.verified_status <> 'verified'
        union all
        select 'epic', e.id, e.number::text, null, p.open::bigint
        from stories s
        join epic_dependencies d on d.tenant_id = s.tenant_id and d.epic_id = s.epic_id
        join epics e on e.tenant_id = d.tenant_id and e.id = d.depends_on_epic_id
        join epic_states p on p.tenant_id = d.tenant_id and p.id = d.depends_on_epic_id
        where s.tenant_id = (select $1::uuid) and s.id = (select $2::uuid) and p.open > 0
        ) unmet
        order by kind desc, number";
    /// A statement of its own after the lock, because it must see what the lock waited for, the time included: in the lock's
    /// own select list the clock is read before the wait. The clock is the database's, so that times of several servers
    /// compare.
    FIND_LOCKED -> LockedStory = concat!(
        "select {*} from unnest((select $2::uuid[])) asked (asked_id) cross join lateral (
             select s.*, started.* from whole_stories s", joining_started!(), "
             where s.tenant_id = $1 and s.id = asked_id offset 0) s"
    );
    /// Writes everything that the lifecycle owns, whatever the transitions. They are few, so that a place in each column costs
    /// less than a join with rows made of the columns. The range excludes nothing: it has the planner expect one row, and look it up,
    /// where it might go through all that it believes the tenant to have.
    SAVE_STATES = "
        update story_states t set
            agent_status = ($3::text[])[n.nth],
            verified_status = ($4::text[])[n.nth],
            assigned_agent_id = ($5::uuid[])[n.nth],
            assigned_at = ($6::timestamptz[])[n.nth],
            contracted_by_agent_id = ($7::uuid[])[n.nth],
            first_claimed_at = ($8::timestamptz[])[n.nth],
            review_requested_at = ($9::timestamptz[])[n.nth],
            reported_done_at = ($10::timestamptz[])[n.nth],
            reported_by_agent_id = ($11::uuid[])[n.nth],
            verified_at = ($12::timestamptz[])[n.nth],
            rejected_at = ($13::timestamptz[])[n.nth],
            rejection_reason = ($14::text[])[n.nth],
            first_touched_at = ($15::timestamptz[])[n.nth],
            cycle = ($16::integer[])[n.nth],
            report_number = ($17::integer[])[n.nth],
            report_cycle = ($18::integer[])[n.nth],
            contracted_digest = decode(($19::text[])[n.nth], 'hex'),
            verification_source = ($20::text[])[n.nth],
            verified_digest = decode(($21::text[])[n.nth], 'hex'),
            updated_at = ($22::timestamptz[])[n.nth]
        from unnest((select $2::uuid[])) with ordinality as n (id, nth)
        where t.tenant_id = $1 and t.id = n.id and n.nth between 1 and cardinality($2::uuid[])";
    /// A statement of its own: metadata may be large, and the other transitions have nothing to do with it.
    NOTE_IN_METADATA = "update stories set metadata = metadata || $3 where tenant_id = $1 and id = $2";
    /// Which report it is of, the database says, and the story's lock makes the next number race-free.
    INSERT_REVIEW -> ReviewRecord = "
        insert into review_records (tenant_id, id, story_id, reviewer_agent_id, review_type, findings_count, fixes_count,
                                    disproved_count, summary, completed_at, number, inserted_at, updated_at)
        select $1, $2, $3, $4, $5, $6, $7, $8, $9, coalesce($10::timestamptz, $11), coalesce(max(number), 0) + 1, $11, $11
        from review_records where tenant_id = $1 and story_id = $3
        returning {*}";
    /// As `INSERT_REVIEW`.
    INSERT_VERIFICATION -> VerificationResult = "
        insert into verification_results as v (tenant_id, id, story_id, orchestrator_agent_id, result, summary, findings,
                                          review_type, commit_sha, iteration, inserted_at, updated_at)
        select $1, $2, $3, $4, $5, $6, $7, $8, $9, coalesce(max(iteration), 0) + 1, $10, $10
        from verification_results where tenant_id = $1 and story_id = $3
        returning {*}";
    /// Completes an epic once for ever. The story's state has been saved: with it, the epic's count is held.
    COMPLETE_EPIC -> CompletedEpic = "
        update epics e set completed_at = $3
        where tenant_id = $1 and id = $2 and completed_at is null
          and exists (select from epic_states s where s.tenant_id = $1 and s.id = $2 and s.open = 0)
        returning {*}";
    LIST_VERIFICATIONS -> list of VerificationResult = {
        within: "stories where tenant_id = $1 and id = $2",
        from: "verification_results v where tenant_id = $1 and story_id = $2",
        page: "order by iteration desc limit $3 offset $4",
    };
    SHOW_STORY -> StoryInProject = "select {*} from whole_stories s where s.tenant_id = $1 and s.id = $2";
    /// Asked only of stories of which something is known. The 20 most recent artifacts, newest first.
    SURROUNDINGS -> Surroundings = concat!(
        "select {*} from whole_stories s", joining_started!(), "
        left join lateral (
            select newest as v from verification_results newest
            where newest.tenant_id = s.tenant_id and newest.story_id = s.id order by newest.iteration desc limit 1) newest on true
        left join lateral (
            select recent as a from artifact_reports recent
            where recent.tenant_id = s.tenant_id and recent.story_id = s.id
            order by recent.inserted_at desc, recent.id desc limit 20) recent on true
        where s.tenant_id = $1 and s.id = $2
        order by (a).inserted_at desc, (a).id desc"
    );
}

/// A story's new state.
pub(super) struct Saved {
    pub(super) story_id: Uuid,
    pub(super) state: LoopState,
    /// Whether nobody holds it any more who did before.
    pub(super) is_released: bool,
    pub(super) at: Timestamp,
}

/// Saves the new states of locked stories. What those have set aside that nobody holds any more is free again.
pub(super) async fn save(tx: &mut Tx, saved: &[Saved]) -> Result<(), DbError> {
    if saved.is_empty() {
        return Ok(());
    }
    let ids = column(saved, |new| new.story_id);
    macro_rules! column_of {
        ($field:ident) => {
            &column(saved, |new| new.state.$field)
        };
        (text $field:ident) => {
            &column(saved, |new| new.state.$field.as_deref())
        };
    }
    let params: Params<'_> = &[
        &ids,
        &column(saved, |new| new.state.agent_status.as_str()),
        &column(saved, |new| new.state.verified_status.as_str()),
        column_of!(assigned_agent_id),
        column_of!(assigned_at),
        column_of!(contracted_by_agent_id),
        column_of!(first_claimed_at),
        column_of!(review_requested_at),
        column_of!(reported_done_at),
        column_of!(reported_by_agent_id),
        column_of!(verified_at),
        column_of!(rejected_at),
        column_of!(text rejection_reason),
        column_of!(first_touched_at),
        column_of!(cycle),
        column_of!(report_number),
        column_of!(report_cycle),
        column_of!(text contracted_digest),
        &column(saved, |new| new.state.verification_source.map(VerificationSource::as_str)),
        column_of!(text verified_digest),
        &column(saved, |new| new.at),
    ];
    let released = saved.iter().filter(|new| new.is_released).map(|new| new.story_id).collect::<Vec<_>>();
    if released.is_empty() {
        return tx.execute(SAVE_STATES, params).await;
    }
    tx.batch((SAVE_STATES.with(params), FREE_RESERVATIONS.with(&[&released]))).await.map(drop)
}
