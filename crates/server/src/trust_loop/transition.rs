//! The path of every transition: lock, decide, apply, record, answer.

use chrono::{DateTime, Utc};
use loopctl_core::lifecycle::{self, Action, Attempt, Facts, LoopState, Review, VerifiedStatus};
use serde_json::json;
use uuid::Uuid;

use super::evidence::{Evidence, NewReview, NewVerification};
use super::log::Log;
use super::store::{
    COMPLETE_EPIC, INSERT_REVIEW, INSERT_VERIFICATION, LOCK_EPIC_TO_COMPLETE, RECORD_BACKFILL, ReviewRecord,
    SAVE_STATE, SURROUNDINGS, Surroundings, UNMET_PREREQUISITES, VerificationResult, Words, save_params,
};
use crate::app::{Change, Identity};
use crate::db::{DbError, Jsonb, Params, Timestamp};
use crate::events::Event;
use crate::evidence::artifacts;
use crate::http::{ApiError, ApiResult};
use crate::plan::stories::{LOCK_STORY, STARTED, Started, Story};

/// What a transition left behind.
pub(super) struct Outcome {
    pub(super) story: Story,
    /// The story as the rules see it now.
    pub(super) facts: Facts,
    pub(super) review: Option<ReviewRecord>,
    pub(super) verification: Option<VerificationResult>,
}

/// Attempts a transition in a transaction of its own.
///
/// # Errors
/// 404, or the first guard that fails, or invalid evidence; nothing is changed then.
pub(super) async fn perform(
    caller: &Identity,
    story_id: Uuid,
    attempt: &Attempt,
    evidence: &Evidence,
) -> ApiResult<Outcome> {
    caller.admit(attempt.action())?;
    caller
        .change(async |mut change| {
            let Step { outcome, verified_at } = step(&mut change, story_id, attempt, evidence).await?;
            if let Some(now) = verified_at {
                complete_epic(&mut change, &outcome.story, now).await?;
            }
            change.commit(outcome).await
        })
        .await
}

/// What a step has done, and what its transaction has yet to do.
pub(super) struct Step {
    pub(super) outcome: Outcome,
    /// When the story became verified, if it just did: its epic may be complete. Left to the caller, because epics
    /// are locked after the last story.
    pub(super) verified_at: Option<Timestamp>,
}

/// One transition inside a transaction: everything but completing its epic. What is refused is refused before anything is
/// written, so that the transaction can go on to another story.
pub(super) async fn step(
    change: &mut Change<'_>,
    story_id: Uuid,
    attempt: &Attempt,
    evidence: &Evidence,
) -> ApiResult<Step> {
    let Locked { story, facts, now, auto_reset } = lock(change, story_id, attempt.action()).await?;
    let caller = change.caller;
    let decided = lifecycle::decide(&facts, attempt, &caller.actor(), now)
        .map_err(|refusal| caller.refused(refusal))?;
    let before = &facts.state;
    let mut next = decided.clone();
    let mut log = Log::new(&story, caller);
    let (mut review, mut verification) = (None, None);
    match (attempt, evidence) {
        // Repeated after it was done: there is nothing to tell.
        (Attempt::ForceUnclaim | Attempt::Backfill(_) | Attempt::MarkComplete, _) if next == *before => {}
        (Attempt::Report, Evidence::Report(sent)) => {
            log.status_changed(before, &next);
            if let Some(new) = &sent.valid()?.artifact {
                let (_, event) = artifacts::insert(change, story_id, story.project_id, new).await?;
                log.events.push(event);
            }
        }
        (Attempt::ReviewComplete, Evidence::Review(sent)) => {
            let new = sent.checked(|new, errors| new.check(errors, before.reported_done_at, now))?;
            let record = insert_review(change, story_id, new, Timestamp(now)).await?;
            log.review_completed(&record);
            review = Some(record);
        }
        (Attempt::Verify { .. } | Attempt::MarkComplete, Evidence::Verification(sent)) => {
            let result = insert_verification(change, story_id, sent.valid()?, Timestamp(now)).await?;
            log.verification_result(&result);
            match attempt {
                Attempt::MarkComplete => log.mark_complete(before, &next),
                _ => log.verified(before),
            }
            verification = Some(result);
        }
        (Attempt::Reject { reason }, Evidence::Rejection(sent)) => {
            let failed = sent.valid()?.failed(reason);
            let result = insert_verification(change, story_id, &failed, Timestamp(now)).await?;
            log.verification_result(&result);
            log.rejected(before, reason);
            if auto_reset {
                log.auto_reset(&decided);
                next = lifecycle::auto_reset(&decided);
            }
            verification = Some(result);
        }
        (Attempt::RequestReview, _) => log.review_requested(&next),
        (Attempt::ForceUnclaim, _) => log.force_unclaimed(before),
        (Attempt::Backfill(backfill), _) => {
            log.backfilled(before, &next, backfill);
            let recorded = backfill.metadata(now);
            change.execute(RECORD_BACKFILL, &[&story_id, &recorded]).await?;
        }
        (Attempt::Contract(_) | Attempt::Claim | Attempt::Start | Attempt::Unclaim, _) => {
            log.status_changed(before, &next);
        }
        // Who attempts it sends its evidence along.
        (
            Attempt::Report
            | Attempt::ReviewComplete
            | Attempt::Verify { .. }
            | Attempt::MarkComplete
            | Attempt::Reject { .. },
            _,
        ) => return Err(ApiError::internal()),
    }
    let events = log.events;
    let verified = |state: &LoopState| state.verified_status == VerifiedStatus::Verified;
    let verified_at = (verified(&next) && !verified(before)).then_some(Timestamp(now));
    let story = if next == *before { story } else { save(change, story_id, &next).await? };
    change.tell(events);
    // A new review is of what is there now. An earlier one counts as long as this report stands in this cycle, and so do
    // those who started it.
    let same_report = (next.report_number, next.cycle) == (before.report_number, before.cycle);
    let standing = match review {
        Some(_) => Review::Current,
        None if same_report => facts.review,
        None => Review::Missing,
    };
    let started = facts.started.iter().filter(|holding| holding.counts_in(&next)).cloned().collect();
    let facts = Facts { review: standing, started, ..story.facts() };
    Ok(Step { outcome: Outcome { story, facts, review, verification }, verified_at })
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
async fn lock(change: &mut Change<'_>, story_id: Uuid, action: Action) -> ApiResult<Locked> {
    let params = [&story_id as _];
    let (surroundings, started) = (SURROUNDINGS.with(&params), STARTED.with(&params));
    let (story, surroundings, started, unmet) = if action == Action::Claim {
        let unmet = UNMET_PREREQUISITES.with(&params);
        change.batch((LOCK_STORY.with(&params), surroundings, started, unmet)).await?
    } else {
        let (story, surroundings, started) =
            change.batch((LOCK_STORY.with(&params), surroundings, started)).await?;
        (story, surroundings, started, Vec::new())
    };
    let story = story.into_iter().next().ok_or_else(ApiError::not_found)?;
    let surroundings = surroundings.into_iter().next().ok_or_else(ApiError::internal)?;
    let Surroundings { now, review, auto_reset } = surroundings;
    let started = started.into_iter().map(Started::holding).collect();
    let unmet = unmet.into_iter().map(|row| row.prerequisite()).collect::<Result<_, _>>()?;
    let facts = Facts { unmet, started, review: review.review(), ..story.facts() };
    Ok(Locked { facts, now, auto_reset, story })
}

async fn save(change: &mut Change<'_>, story_id: Uuid, state: &LoopState) -> Result<Story, DbError> {
    change.one(SAVE_STATE, &save_params(&story_id, state, &Words::of(state))).await
}

async fn insert_review(
    change: &mut Change<'_>,
    story_id: Uuid,
    new: &NewReview,
    now: Timestamp,
) -> Result<ReviewRecord, DbError> {
    let (id, by) = (Uuid::now_v7(), change.caller.agent_id);
    let params: Params<'_> = &[
        &id,
        &story_id,
        &by,
        &new.review_type,
        &new.findings_count,
        &new.fixes_count,
        &new.disproved_count,
        &new.summary,
        &new.completed_at,
        &now,
    ];
    change.one(INSERT_REVIEW, params).await
}

async fn insert_verification(
    change: &mut Change<'_>,
    story_id: Uuid,
    new: &NewVerification,
    now: Timestamp,
) -> Result<VerificationResult, DbError> {
    let (id, by) = (Uuid::now_v7(), change.caller.agent_id);
    let findings = new.findings.clone().unwrap_or_default();
    let params: Params<'_> = &[
        &id,
        &story_id,
        &by,
        &new.result,
        &new.summary,
        &Jsonb(&findings),
        &new.review_type,
        &new.commit_sha,
        &now,
    ];
    change.one(INSERT_VERIFICATION, params).await
}

/// Tells that the story's epic is complete, if this verification made it so for the first time.
pub(super) async fn complete_epic(
    change: &mut Change<'_>,
    story: &Story,
    now: Timestamp,
) -> Result<(), DbError> {
    let id = story.epic_id;
    let (_, completed) =
        change.batch((LOCK_EPIC_TO_COMPLETE.with(&[&id]), COMPLETE_EPIC.with(&[&id, &now]))).await?;
    let events = completed.into_iter().map(|epic| {
        let new_state = json!({
            "epic_id": story.epic_id,
            "epic_number": epic.number,
            "epic_title": epic.title,
            "project_id": story.project_id,
            "story_count": epic.story_count,
        });
        Event::new("epic", story.epic_id, "completed", new_state).project(story.project_id)
    });
    change.tell(events);
    Ok(())
}
