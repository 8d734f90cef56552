//! The path of every transition: lock, decide, apply, record, answer.

use chrono::{DateTime, Utc};
use loopctl_core::lifecycle::{self, Action, Attempt, Facts, LoopState, VerifiedStatus};
use serde_json::{Map, Value, json};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::evidence::{NewReview, NewVerification};
use super::log::Log;
use super::outcome::{ReviewRecord, VerificationResult};
use super::store::{
    COMPLETE_EPIC, INSERT_REVIEW, INSERT_VERIFICATION, LOCK_EPIC, RECORD_BACKFILL, SAVE_STATE, SURROUNDINGS,
    UNMET_PREREQUISITES, read_prerequisite, save_params,
};
use crate::App;
use crate::artifacts::{self, NewArtifact};
use crate::db::{DbError, Statement, Timestamp, Tx};
use crate::events::{self, Event};
use crate::http::error::retrying;
use crate::http::{ApiError, ApiResult, Identity};
use crate::stories::{LOCK_STORY, Story};

/// What a transition left behind.
pub(super) struct Outcome {
    pub(super) story: Story,
    /// The story as the rules see it now.
    pub(super) facts: Facts,
    pub(super) review: Option<ReviewRecord>,
    pub(super) verification: Option<VerificationResult>,
}

/// Attempts a transition in a transaction of its own. `body` carries the evidence that some actions take.
///
/// # Errors
/// 404, or the first guard that fails, or invalid evidence; nothing is changed then.
pub(super) async fn perform(
    app: &App,
    caller: &Identity,
    story_id: Uuid,
    attempt: &Attempt,
    body: &Map<String, Value>,
) -> ApiResult<Outcome> {
    lifecycle::admit(attempt.action(), &caller.actor())
        .map_err(|refusal| ApiError::refused(refusal, &app.public_url))?;
    retrying(|| perform_once(app, caller, story_id, attempt, body)).await
}

async fn perform_once(
    app: &App,
    caller: &Identity,
    story_id: Uuid,
    attempt: &Attempt,
    body: &Map<String, Value>,
) -> ApiResult<Outcome> {
    let mut tx = app.db.tenant(caller.tenant_id).await?;
    let Step { outcome, mut events, verified_at } =
        step(app, &mut tx, caller, story_id, attempt, body).await?;
    if let Some(now) = verified_at {
        events.extend(complete_epic(&mut tx, &outcome.story, now).await?);
    }
    events::record(tx, caller.tenant_id, &caller.attribution(), events).await?;
    Ok(outcome)
}

/// What a step has done, and what its transaction has yet to do.
pub(super) struct Step {
    pub(super) outcome: Outcome,
    /// To be recorded.
    pub(super) events: Vec<Event>,
    /// When the story became verified, if it just did: its epic may be complete. Left to the caller, because epics
    /// are locked after the last story.
    pub(super) verified_at: Option<Timestamp>,
}

/// One transition inside a transaction: everything but completing its epic and recording its events. What is refused
/// is refused before anything is written, so that the transaction can go on to another story.
pub(super) async fn step(
    app: &App,
    tx: &mut Tx,
    caller: &Identity,
    story_id: Uuid,
    attempt: &Attempt,
    body: &Map<String, Value>,
) -> ApiResult<Step> {
    let Locked { story, facts, now, auto_reset } =
        lock(tx, caller.tenant_id, story_id, attempt.action()).await?;
    let actor = caller.actor();
    let decided = lifecycle::decide(&facts, attempt, &actor, now)
        .map_err(|refusal| ApiError::refused(refusal, &app.public_url))?;
    let before = &facts.state;
    let mut next = decided.clone();
    let mut log = Log::new(&story, caller);
    let (mut review, mut verification) = (None, None);
    match attempt {
        // Repeated after it was done: there is nothing to tell.
        Attempt::ForceUnclaim | Attempt::Backfill(_) | Attempt::MarkComplete if next == *before => {}
        Attempt::Report => {
            log.status_changed(before, &next);
            if let Some(Value::Object(artifact)) = body.get("artifact") {
                let new = NewArtifact::read(artifact)?;
                let (_, event) = artifacts::insert(tx, caller, story_id, story.project_id, new).await?;
                log.events.push(event);
            }
        }
        Attempt::ReviewComplete => {
            let new = NewReview::read(body, before.reported_done_at, now)?;
            let record = insert_review(tx, caller, story_id, &new, Timestamp(now)).await?;
            log.review_completed(&record);
            review = Some(record);
        }
        Attempt::Verify { .. } => {
            let new = NewVerification::read(body)?;
            let result = insert_verification(tx, caller, story_id, &new, Timestamp(now)).await?;
            log.verification_result(&result);
            log.verified(before);
            verification = Some(result);
        }
        Attempt::Reject { reason } => {
            let new = NewVerification::rejection(body, reason)?;
            let result = insert_verification(tx, caller, story_id, &new, Timestamp(now)).await?;
            log.verification_result(&result);
            log.rejected(before, reason);
            if auto_reset {
                log.auto_reset(&decided);
                next = lifecycle::auto_reset(&decided);
            }
            verification = Some(result);
        }
        Attempt::RequestReview => log.review_requested(&next),
        Attempt::ForceUnclaim => log.force_unclaimed(before),
        Attempt::Backfill(backfill) => {
            log.backfilled(before, &next, backfill);
            let recorded = backfill.metadata(now);
            tx.query(RECORD_BACKFILL, &[&caller.tenant_id, &story_id, &recorded]).await?;
        }
        Attempt::MarkComplete => {
            let new = NewVerification::read(body)?;
            let result = insert_verification(tx, caller, story_id, &new, Timestamp(now)).await?;
            log.verification_result(&result);
            log.mark_complete(before, &next);
            verification = Some(result);
        }
        Attempt::Contract(_) | Attempt::Claim | Attempt::Start | Attempt::Unclaim => {
            log.status_changed(before, &next);
        }
    }
    let events = log.events;
    let verified = |state: &LoopState| state.verified_status == VerifiedStatus::Verified;
    let verified_at = (verified(&next) && !verified(before)).then_some(Timestamp(now));
    let story = if next == *before { story } else { save(tx, caller.tenant_id, story_id, &next).await? };
    // A review that was let in is newer than the report; an earlier one counts as long as the report stands.
    let reviewed = review.is_some() || (facts.reviewed && next.reported_done_at.is_some());
    let facts = Facts { reviewed, ..story.facts() };
    Ok(Step { outcome: Outcome { story, facts, review, verification }, events, verified_at })
}

/// A story under its lock, with the facts that the rules need.
struct Locked {
    story: Story,
    facts: Facts,
    now: DateTime<Utc>,
    /// The tenant's `auto_reset_on_rejection`.
    auto_reset: bool,
}

/// Locks the story and looks up what its guards need, in one round trip: statements run in order, so the later
/// ones see what the lock has waited for.
async fn lock(tx: &mut Tx, tenant_id: Uuid, story_id: Uuid, action: Action) -> ApiResult<Locked> {
    let params: &[&(dyn ToSql + Sync)] = &[&tenant_id, &story_id];
    let [story, surroundings, unmet] =
        [LOCK_STORY, SURROUNDINGS, UNMET_PREREQUISITES].map(|sql| Statement { sql, params });
    let statements = [story, surroundings, unmet];
    let needed = if action == Action::Claim { &statements[..] } else { &statements[..2] };
    let answers = tx.run(needed).await?;
    let mut firsts = answers.iter().map(|rows| rows.first());
    let story = Story::read(firsts.next().flatten().ok_or_else(ApiError::not_found)?)?;
    let surroundings = firsts.next().flatten().ok_or_else(ApiError::internal)?;
    let unmet =
        answers.get(2).into_iter().flatten().map(read_prerequisite).collect::<Result<_, DbError>>()?;
    Ok(Locked {
        facts: Facts { unmet, reviewed: surroundings.try_get("reviewed")?, ..story.facts() },
        now: surroundings.try_get("now")?,
        auto_reset: surroundings.try_get("auto_reset")?,
        story,
    })
}

async fn save(tx: &mut Tx, tenant_id: Uuid, story_id: Uuid, state: &LoopState) -> Result<Story, DbError> {
    let words = [state.agent_status.as_str(), state.verified_status.as_str()];
    let row = tx.query_one(SAVE_STATE, &save_params(&tenant_id, &story_id, state, &words)).await?;
    Story::read(&row)
}

async fn insert_review(
    tx: &mut Tx,
    caller: &Identity,
    story_id: Uuid,
    new: &NewReview,
    now: Timestamp,
) -> Result<ReviewRecord, DbError> {
    let row = tx
        .query_one(
            INSERT_REVIEW,
            &[
                &caller.tenant_id,
                &Uuid::now_v7(),
                &story_id,
                &caller.agent_id,
                &new.review_type,
                &new.findings_count,
                &new.fixes_count,
                &new.disproved_count,
                &new.summary,
                &new.completed_at,
                &now,
            ],
        )
        .await?;
    ReviewRecord::read(&row)
}

async fn insert_verification(
    tx: &mut Tx,
    caller: &Identity,
    story_id: Uuid,
    new: &NewVerification,
    now: Timestamp,
) -> Result<VerificationResult, DbError> {
    let row = tx
        .query_one(
            INSERT_VERIFICATION,
            &[
                &caller.tenant_id,
                &Uuid::now_v7(),
                &story_id,
                &caller.agent_id,
                &new.result,
                &new.summary,
                &new.findings,
                &new.review_type,
                &new.commit_sha,
                &now,
            ],
        )
        .await?;
    VerificationResult::read(&row)
}

/// Tells that the story's epic is complete, if this verification made it so for the first time
/// (file 02 §5.8).
pub(super) async fn complete_epic(
    tx: &mut Tx,
    story: &Story,
    now: Timestamp,
) -> Result<Option<Event>, DbError> {
    let answers = tx
        .run(&[
            Statement { sql: LOCK_EPIC, params: &[&story.tenant_id, &story.epic_id] },
            Statement { sql: COMPLETE_EPIC, params: &[&story.tenant_id, &story.epic_id, &now] },
        ])
        .await?;
    let Some(row) = answers.get(1).and_then(|rows| rows.first()) else {
        return Ok(None);
    };
    let new_state = json!({
        "epic_id": story.epic_id,
        "epic_number": row.try_get::<_, i32>("number")?,
        "epic_title": row.try_get::<_, String>("title")?,
        "project_id": story.project_id,
        "story_count": row.try_get::<_, i64>("story_count")?,
    });
    Ok(Some(Event::new("epic", story.epic_id, "completed", new_state).project(story.project_id)))
}
