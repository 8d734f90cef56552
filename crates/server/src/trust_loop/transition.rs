//! The path of every transition: lock, decide, apply, record, answer.

use std::collections::{BTreeMap, HashMap, HashSet};

use loopctl_core::lifecycle::{
    self, Action, Attempt, Facts, LoopState, Prerequisite, Review, VerifiedStatus,
};
use loopctl_core::webhooks::EventType;
use serde_json::json;
use uuid::Uuid;

use super::evidence::{Evidence, ReviewCompleteRequest, VerifyRequest};
use super::log::Log;
use super::spending::{self, Blocked, Spending};
use super::store::{
    COMPLETE_EPIC, FIND_LOCKED, INSERT_REVIEW, INSERT_VERIFICATION, LockedStory, NOTE_IN_METADATA,
    ReviewRecord, Saved, UNMET_PREREQUISITES, Unmet, VerificationResult, save,
};
use super::{telemetry, together};
use crate::app::{Change, Identity};
use crate::db::{AsJson, DbError, Params, Timestamp, column};
use crate::events::{Event, Notice};
use crate::evidence::artifacts::{self, Place};
use crate::http::{Answer, ApiError, ApiResult, Kept, NoContent};
use crate::knowledge::extraction;
use crate::metrics::Step;
use crate::plan::stories::{
    FIND_STORY, LOCK_FREE_STORIES, LOCK_PROJECTS_OF_STORIES, LOCK_STORIES, LOCK_WITH_DEPENDENTS, Story,
};

/// A transition that somebody attempts.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) caller: Identity,
    pub(super) story_id: Uuid,
    pub(super) attempt: Attempt,
    pub(super) evidence: Evidence,
}

impl Wanted {
    pub(super) fn of(caller: &Identity, story_id: Uuid, attempt: Attempt, evidence: Evidence) -> Self {
        Self { caller: caller.clone(), story_id, attempt, evidence }
    }
}

/// What a transition left behind.
#[derive(Debug, Clone)]
pub(super) struct Outcome {
    pub(super) story: Story,
    /// The story as the rules see it now.
    pub(super) facts: Facts,
    pub(super) review: Option<ReviewRecord>,
    pub(super) verification: Option<VerificationResult>,
    /// When the story became verified, if it just did.
    verified_at: Option<Timestamp>,
    /// Whether something was noted in its metadata, which `story` does not have yet.
    is_noted: bool,
}

/// Attempts a transition, and makes of what it left behind the `answer`.
///
/// # Errors
/// 404, or the first guard that fails, or invalid evidence; nothing is changed then.
pub(super) async fn perform<A: Answer>(wanted: Wanted, answer: impl Fn(Outcome) -> A + Sync) -> ApiResult<A> {
    let action = wanted.attempt.action();
    wanted.caller.admit(action)?;
    if turns_verification(action) || wanted.caller.may_repeat() {
        let kept = |outcomes: &[ApiResult<Outcome>]| match outcomes {
            [Ok(outcome)] => answer(outcome.clone()).kept(),
            _ => Ok(None),
        };
        by_itself(&wanted, &kept).await.map(answer)
    } else {
        together::perform(wanted).await.map(answer)
    }
}

/// Attempts a transition in a transaction of its own, whatever it has to wait for.
pub(super) async fn by_itself(wanted: &Wanted, keep: Keep<'_>) -> ApiResult<Outcome> {
    attempt(&[wanted], keep).await?.pop().unwrap_or_else(|| Err(not_waited_for()))
}

/// What is kept of what came of some steps, for whoever may ask for them again.
pub(super) type Keep<'a> = &'a (dyn Fn(&[ApiResult<Outcome>]) -> ApiResult<Option<Kept>> + Sync);

/// Nothing, of steps that nobody can ask for again.
pub(super) const NOTHING: Keep<'static> = &|_| Ok(None);

/// Attempts transitions of different stories of one tenant in one transaction. What is refused has written nothing and leaves the
/// others alone.
///
/// # Errors
/// When the database fails; then nothing is kept of any.
pub(super) async fn attempt(wanted: &[&Wanted], keep: Keep<'_>) -> ApiResult<Vec<ApiResult<Outcome>>> {
    let attempted = transact(wanted, Busy::IsAwaited, keep).await?;
    Ok(waited_for(attempted))
}

fn waited_for(attempted: Vec<Option<ApiResult<Outcome>>>) -> Vec<ApiResult<Outcome>> {
    attempted.into_iter().map(|attempted| attempted.unwrap_or_else(|| Err(not_waited_for()))).collect()
}

/// As [`attempt`], of those stories that nobody holds; None of the others.
///
/// # Errors
/// As [`attempt`].
pub(super) async fn attempt_free(wanted: &[&Wanted]) -> ApiResult<Vec<Option<ApiResult<Outcome>>>> {
    transact(wanted, Busy::IsSkipped, NOTHING).await
}

fn not_waited_for() -> ApiError {
    DbError::Unexpected("a story was not waited for".to_owned()).into()
}

/// What becomes of a story that somebody else holds.
#[derive(Clone, Copy)]
enum Busy {
    IsAwaited,
    IsSkipped,
}

/// What came of some steps, and what is kept of that.
struct Attempted<'a> {
    outcomes: Vec<Option<ApiResult<Outcome>>>,
    kept: Option<Kept>,
    /// What is recorded of steps that a budget has blocked.
    blocked: Vec<Blocked<'a>>,
}

impl Answer for Attempted<'_> {
    fn kept(&self) -> ApiResult<Option<Kept>> {
        Ok(self.kept.clone())
    }
}

async fn transact(
    wanted: &[&Wanted],
    held: Busy,
    keep: Keep<'_>,
) -> ApiResult<Vec<Option<ApiResult<Outcome>>>> {
    let Some(first) = wanted.first() else { return Ok(Vec::new()) };
    let attempted = first.caller.change(async |mut change| {
        let mut spending = Spending::default();
        let outcomes = steps(&mut change, wanted, held, &mut spending).await?;
        let blocked = spending.blocked;
        if !outcomes.iter().flatten().any(Result::is_ok) {
            return Ok(change.refused(Attempted { outcomes, kept: None, blocked }));
        }
        let kept = if first.caller.may_repeat() { keep(&waited_for(outcomes.clone()))? } else { None };
        change.commit(Attempted { outcomes, kept, blocked }).await
    });
    let Attempted { mut outcomes, blocked, .. } = attempted.await?;
    if outcomes.iter().flatten().flatten().any(|outcome| outcome.review.is_some()) {
        first.caller.app.jobs.wake();
    }
    for Blocked { caller, story_id, event } in blocked {
        // It is no part of what may be repeated, which was refused.
        let caller = caller.of_several();
        let told = caller.change(async |mut change| {
            change.tell([event.clone()]);
            change.commit(NoContent).await
        });
        if let Err(error) = told.await {
            let of_step = wanted.iter().zip(&mut outcomes).find(|(wanted, _)| wanted.story_id == story_id);
            if let Some((_, outcome)) = of_step {
                *outcome = Some(Err(error));
            }
        }
    }
    Ok(outcomes)
}

/// All stories are locked first, in the order of their ids, and all epics last: transactions that overlap never wait for each
/// other in a circle.
async fn steps<'a>(
    change: &mut Change<'a>,
    wanted: &[&'a Wanted],
    held: Busy,
    spending: &mut Spending<'a>,
) -> ApiResult<Vec<Option<ApiResult<Outcome>>>> {
    let mut locked = lock(change, wanted, held, spending).await?;
    let (mut attempted, mut saved) = (Vec::with_capacity(wanted.len()), Vec::new());
    for wanted in wanted {
        attempted.push(match locked.remove(&wanted.story_id) {
            None => Some(Err(ApiError::not_found())),
            Some(None) => None,
            Some(Some(story)) => {
                change.act_for(&wanted.caller);
                match step(change, wanted, story, &mut saved, spending).await {
                    Err(error) if error.is_failure() => return Err(error),
                    stepped => Some(stepped),
                }
            }
        });
    }
    save(change, &saved).await?;
    spending.save(change).await?;
    // By id: the order in which epics are locked.
    let mut verified = BTreeMap::new();
    for (wanted, attempted) in wanted.iter().zip(&mut attempted) {
        let Some(Ok(outcome)) = attempted else { continue };
        if outcome.is_noted {
            outcome.story = change.one(FIND_STORY, &[&wanted.story_id]).await?;
            outcome.facts.backfill = outcome.story.facts().backfill;
        }
        if let Some(at) = outcome.verified_at {
            verified.insert(outcome.story.epic_id, (outcome.story.project_id, at, &wanted.caller));
        }
    }
    for (epic_id, (project_id, at, caller)) in verified {
        change.act_for(caller);
        complete_epic(change, epic_id, project_id, at).await?;
    }
    Ok(attempted)
}

/// One transition of a locked story. Its new state, if it has one, is added to those that are yet to be saved.
async fn step<'a>(
    change: &mut Change<'a>,
    wanted: &'a Wanted,
    locked: LockedStory,
    saved: &mut Vec<Saved>,
    spending: &mut Spending<'a>,
) -> ApiResult<Outcome> {
    let Wanted { caller, story_id, attempt, evidence } = wanted;
    let story_id = *story_id;
    let LockedStory { story, now, review, started, auto_reset, auto_extract } = locked;
    let unmet = match attempt {
        Attempt::Claim if story.waits() => unmet_prerequisites(change, story_id).await?,
        _ => Vec::new(),
    };
    let facts = Facts { unmet, started: started.holdings(), review: review.review(), ..story.facts() };
    let decided = lifecycle::decide(&facts, attempt, &caller.actor(), now)
        .map_err(|refusal| caller.refused(refusal))?;
    let before = &facts.state;
    let mut next = decided.clone();
    let mut log = Log::new(&story, caller);
    let (mut review, mut verification, mut is_noted) = (None, None, false);
    match (attempt, evidence) {
        // Repeated after it was done: there is nothing to tell.
        (Attempt::MarkComplete, Evidence::Completion(sent))
            if next == *before && sent.valid()?.token_usage.is_some() =>
        {
            return Err(spending::nothing_left_to_do());
        }
        (Attempt::ForceUnclaim | Attempt::Backfill(_) | Attempt::MarkComplete, _) if next == *before => {}
        (Attempt::Report, Evidence::Report(sent)) => {
            let sent = sent.valid()?;
            spending.admit_report(change, caller, &story, sent.token_usage.as_ref()).await?;
            log.status_changed(before, &next);
            if let Some(new) = &sent.artifact {
                let Story { id, project_id, epic_id, .. } = story;
                let place = Place { id, project_id, epic_id };
                let (_, event) = artifacts::insert(change, &place, new).await?;
                log.events.push(event);
            }
            log.events.extend(spending.spend(caller, &story, sent.token_usage.as_ref()));
        }
        (Attempt::ReviewComplete, Evidence::Review(sent)) => {
            let new = sent.checked(|new, errors| new.check(errors, before.reported_done_at, now))?;
            let record = insert_review(change, story_id, new, Timestamp(now)).await?;
            if auto_extract {
                extraction::enqueue(&caller.app.jobs, change, record.id).await?;
            }
            log.review_completed(&record);
            review = Some(record);
        }
        (Attempt::Verify { .. }, Evidence::Verification(sent)) => {
            let result = insert_verification(change, story_id, sent.valid()?, Timestamp(now)).await?;
            log.verification_result(&result);
            log.verified(before, &result);
            verification = Some(result);
        }
        (Attempt::MarkComplete, Evidence::Completion(sent)) => {
            let sent = sent.valid()?;
            if let Some(usage) = &sent.token_usage {
                usage.check_skill(change).await?;
            }
            let result = insert_verification(change, story_id, &sent.verification, Timestamp(now)).await?;
            log.verification_result(&result);
            log.mark_complete(before, &next, &result);
            log.events.extend(spending.spend(caller, &story, sent.token_usage.as_ref()));
            verification = Some(result);
        }
        (Attempt::Reject { reason }, Evidence::Rejection(sent)) => {
            let failed = sent.valid()?.failed(reason);
            let result = insert_verification(change, story_id, &failed, Timestamp(now)).await?;
            log.verification_result(&result);
            log.rejected(before, reason, &result);
            if auto_reset {
                log.auto_reset(&decided, reason);
                next = lifecycle::auto_reset(&decided);
            }
            verification = Some(result);
        }
        (Attempt::RequestReview, _) => {
            let noted = telemetry::noted(change, &story).await?;
            log.review_requested(&next, noted.as_ref());
            if let Some(noted) = noted {
                change.execute(NOTE_IN_METADATA, &[&story_id, &noted]).await?;
                is_noted = true;
            }
        }
        (Attempt::ForceUnclaim, _) => log.force_unclaimed(before),
        (Attempt::Backfill(backfill), _) => {
            log.backfilled(before, &next, backfill);
            let recorded = backfill.metadata(now);
            change.execute(NOTE_IN_METADATA, &[&story_id, &recorded]).await?;
            is_noted = true;
        }
        (Attempt::Claim, _) => {
            spending.set_aside(caller, &story)?;
            log.status_changed(before, &next);
        }
        (Attempt::Contract(_) | Attempt::Start | Attempt::Unclaim, _) => log.status_changed(before, &next),
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
    let (events, at) = (log.events, Timestamp(now));
    let verified = |state: &LoopState| state.verified_status == VerifiedStatus::Verified;
    let verified_at = (verified(&next) && !verified(before)).then_some(at);
    let moves = next != *before;
    let story = if moves { story.moved(&next, at) } else { story };
    change.tell(events);
    change.steps(Step::of(before, &next));
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
    if moves {
        let is_released = before.is_held() && !next.is_held();
        saved.push(Saved { story_id, state: next, is_released, at });
    }
    Ok(Outcome { story, facts, review, verification, verified_at, is_noted })
}

/// Whether by it a story may become verified, or be it no longer: then stories that wait for it turn as well.
fn turns_verification(action: Action) -> bool {
    matches!(action, Action::Verify | Action::Reject | Action::Backfill | Action::MarkComplete)
}

/// Locks the stories, and whatever is counted anew because of them, and looks up what their guards need: statements run in order,
/// so the later one sees what the lock has waited for. None of a story that is held by somebody else and not waited for; a story
/// that does not exist is missing.
async fn lock(
    change: &mut Change<'_>,
    wanted: &[&Wanted],
    held: Busy,
    spending: &mut Spending<'_>,
) -> Result<HashMap<Uuid, Option<LockedStory>>, DbError> {
    let mut ids = column(wanted, |wanted| wanted.story_id);
    ids.sort_unstable();
    let params = [&ids as _];
    let find = FIND_LOCKED.with(&params);
    let found: Vec<_> = if wanted.iter().any(|wanted| turns_verification(wanted.attempt.action())) {
        let locks = (LOCK_PROJECTS_OF_STORIES.with(&params), LOCK_WITH_DEPENDENTS.with(&params), find);
        let (_, _, found) = change.batch(locks).await?;
        found.into_iter().map(|story| (story.story.id, Some(story))).collect()
    } else {
        let stories = match held {
            Busy::IsAwaited => LOCK_STORIES,
            Busy::IsSkipped => LOCK_FREE_STORIES,
        };
        let (locked, found) = change.batch((stories.with(&params), find)).await?;
        let locked: HashSet<Uuid> = locked.into_iter().collect();
        let is_locked = |story: &LockedStory| locked.contains(&story.story.id);
        found.into_iter().map(|story| (story.story.id, Some(story).filter(is_locked))).collect()
    };
    spending.lock(change, wanted, found.iter().filter_map(|(_, story)| story.as_ref())).await?;
    Ok(found.into_iter().collect())
}

/// What a story waits for that the caller has locked.
async fn unmet_prerequisites(change: &mut Change<'_>, story_id: Uuid) -> Result<Vec<Prerequisite>, DbError> {
    // Nobody can verify one of them meanwhile: the count in the locked row would have to change.
    let unmet = change.all(UNMET_PREREQUISITES, &[&story_id]).await?;
    if unmet.is_empty() {
        return Err(DbError::Unexpected(format!("story {story_id} waits for nothing")));
    }
    unmet.into_iter().map(Unmet::prerequisite).collect()
}

async fn insert_review(
    change: &mut Change<'_>,
    story_id: Uuid,
    new: &ReviewCompleteRequest,
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
    new: &VerifyRequest,
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
        &AsJson(&findings),
        &new.review_type,
        &new.commit_sha,
        &now,
    ];
    change.one(INSERT_VERIFICATION, params).await
}

/// Tells that the story's epic is complete, if this verification made it so for the first time.
async fn complete_epic(
    change: &mut Change<'_>,
    id: Uuid,
    project_id: Uuid,
    now: Timestamp,
) -> Result<(), DbError> {
    let completed = change.all(COMPLETE_EPIC, &[&id, &now]).await?;
    let events = completed.into_iter().map(|epic| {
        let mut told = json!({
            "epic_id": id,
            "epic_number": epic.number,
            "epic_title": epic.title,
            "project_id": project_id,
            "story_count": epic.story_count,
        });
        let event = Event::new("epic", id, "completed", told.clone()).project(project_id);
        told["duration_seconds"] = json!(epic.duration_seconds);
        event.telling(Notice::new(EventType::EpicCompleted, &told))
    });
    change.tell(events);
    Ok(())
}
