//! The path of every transition: lock, decide, apply, record, answer.

use chrono::{DateTime, Utc};
use loopctl_core::lifecycle::{self, Action, Attempt, Facts, LoopState, Review, VerifiedStatus};
use serde_json::json;
use uuid::Uuid;

use super::evidence::{Evidence, NewReview, NewVerification};
use super::log::Log;
use super::store::{
    COMPLETE_EPIC, FIND_LOCKED, INSERT_REVIEW, INSERT_VERIFICATION, LockedStory, RECORD_BACKFILL,
    ReviewRecord, SAVE_STATE, UNMET_PREREQUISITES, VerificationResult, Words, save_params,
};
use crate::app::{Change, Identity};
use crate::db::{DbError, Jsonb, Params, Timestamp};
use crate::events::Event;
use crate::evidence::artifacts;
use crate::http::{ApiError, ApiResult};
use crate::plan::stories::{
    FIND_STORY, LOCK_PROJECTS_OF_STORIES, LOCK_STORIES, LOCK_STORY, LOCK_WITH_DEPENDENTS, Story,
};

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
            if turns_verification(attempt.action()) {
                lock_all(&mut change, attempt.action(), &[story_id]).await?;
            }
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
    /// come after the last story.
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
    if next != *before {
        change
            .execute(SAVE_STATE, &save_params(&story_id, &next, &Words::of(&next), &Timestamp(now)))
            .await?;
    }
    let story = match attempt {
        // Its metadata was written as well.
        Attempt::Backfill(_) => change.one(FIND_STORY, &[&story_id]).await?,
        _ if next == *before => story,
        _ => story.moved(&next, Timestamp(now)),
    };
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

/// Whether by it a story may become verified, or be it no longer: then stories that wait for it turn as well.
fn turns_verification(action: Action) -> bool {
    matches!(action, Action::Verify | Action::Reject | Action::Backfill | Action::MarkComplete)
}

/// Locks the stories of a call, before the first is looked at, and whatever is counted anew because of them.
pub(super) async fn lock_all(change: &mut Change<'_>, action: Action, ids: &[Uuid]) -> Result<(), DbError> {
    if !turns_verification(action) {
        return change.execute(LOCK_STORIES, &[&ids]).await;
    }
    let params = [&ids as _];
    change.batch((LOCK_PROJECTS_OF_STORIES.with(&params), LOCK_WITH_DEPENDENTS.with(&params))).await.map(drop)
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
/// one sees what the lock has waited for.
async fn lock(change: &mut Change<'_>, story_id: Uuid, action: Action) -> ApiResult<Locked> {
    let params = [&story_id as _];
    let (_, found) = change.batch((LOCK_STORY.with(&params), FIND_LOCKED.with(&params))).await?;
    let LockedStory { story, now, review, started, auto_reset } =
        found.into_iter().next().ok_or_else(ApiError::not_found)?;
    let mut unmet = Vec::new();
    if action == Action::Claim && story.waits() {
        // Nobody can verify one of them meanwhile: the count in the locked row would have to change.
        let rows = change.all(UNMET_PREREQUISITES, &params).await?;
        unmet = rows.into_iter().map(|row| row.prerequisite()).collect::<Result<_, _>>()?;
        if unmet.is_empty() {
            return Err(DbError::Unexpected(format!("story {story_id} waits for nothing")).into());
        }
    }
    let facts = Facts { unmet, started: started.holdings(), review: review.review(), ..story.facts() };
    Ok(Locked { facts, now, auto_reset, story })
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
    let completed = change.all(COMPLETE_EPIC, &[&id, &now]).await?;
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
