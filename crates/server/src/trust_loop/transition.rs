//! The path of every transition: lock, decide, apply, record, answer.

use chrono::{DateTime, Utc};
use loopctl_core::lifecycle::{self, Action, Attempt, Facts, LoopState, VerifiedStatus};
use serde_json::{Map, Value, json};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::evidence::{NewReview, NewVerification};
use super::outcome::{ReviewRecord, VerificationResult};
use super::store::{
    COMPLETE_EPIC, INSERT_REVIEW, INSERT_VERIFICATION, LOCK_EPIC, LOCK_STORY, SAVE_STATE, SURROUNDINGS,
    UNMET_PREREQUISITES, read_prerequisite, save_params,
};
use crate::App;
use crate::artifacts::{self, NewArtifact};
use crate::db::{DbError, Statement, Timestamp, Tx};
use crate::events::{self, Event};
use crate::http::error::retrying;
use crate::http::{ApiError, ApiResult, Identity};
use crate::stories::Story;

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
    let (outcome, events) = step(app, &mut tx, caller, story_id, attempt, body).await?;
    events::record(tx, caller.tenant_id, &caller.attribution(), events).await?;
    Ok(outcome)
}

/// One transition inside a transaction: everything but recording its events.
async fn step(
    app: &App,
    tx: &mut Tx,
    caller: &Identity,
    story_id: Uuid,
    attempt: &Attempt,
    body: &Map<String, Value>,
) -> ApiResult<(Outcome, Vec<Event>)> {
    let Locked { story, facts, now, auto_reset } =
        lock(tx, caller.tenant_id, story_id, attempt.action()).await?;
    let actor = caller.actor();
    let decided = lifecycle::decide(&facts, attempt, &actor, now)
        .map_err(|refusal| ApiError::refused(refusal, &app.public_url))?;
    let before = &facts.state;
    let mut next = decided.clone();
    let mut log = Log { story: &story, caller, events: Vec::new() };
    let (mut review, mut verification) = (None, None);
    match attempt {
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
        Attempt::ForceUnclaim if next != *before => log.force_unclaimed(before),
        Attempt::ForceUnclaim => {}
        Attempt::Contract(_) | Attempt::Claim | Attempt::Start | Attempt::Unclaim => {
            log.status_changed(before, &next);
        }
    }
    let mut events = log.events;
    let story = if next == *before { story } else { save(tx, caller.tenant_id, story_id, &next).await? };
    if next.verified_status == VerifiedStatus::Verified && before.verified_status != VerifiedStatus::Verified
    {
        events.extend(complete_epic(tx, &story, Timestamp(now)).await?);
    }
    // A review that was let in is newer than the report; an earlier one counts as long as the report stands.
    let reviewed = review.is_some() || (facts.reviewed && next.reported_done_at.is_some());
    let facts = Facts { reviewed, ..story.facts() };
    Ok((Outcome { story, facts, review, verification }, events))
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
async fn complete_epic(tx: &mut Tx, story: &Story, now: Timestamp) -> Result<Option<Event>, DbError> {
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

/// The audit entries of a transition (file 02 §10, file 04 §1.5), in the order in which things happened.
struct Log<'a> {
    /// As it was.
    story: &'a Story,
    caller: &'a Identity,
    events: Vec<Event>,
}

impl Log<'_> {
    fn story(&mut self, action: &'static str, old: Option<Value>, new: Value) -> &mut Event {
        let mut event = Event::new("story", self.story.id, action, new).project(self.story.project_id);
        event.old_state = old;
        self.events.push(event);
        let last = self.events.len() - 1;
        &mut self.events[last]
    }

    fn status_changed(&mut self, before: &LoopState, next: &LoopState) {
        let mut old = json!({"agent_status": before.agent_status});
        let mut new = json!({"agent_status": next.agent_status, "agent_id": self.caller.agent_id});
        // Claimed or given back; a superadmin's claim has no agent, and says so.
        if next.assigned_at != before.assigned_at {
            old["assigned_agent_id"] = json!(before.assigned_agent_id);
            new["assigned_agent_id"] = json!(next.assigned_agent_id);
        }
        if next.verified_status != before.verified_status {
            old["verified_status"] = json!(before.verified_status);
            new["verified_status"] = json!(next.verified_status);
        }
        if let (Some(time), None) = (next.reported_done_at, before.reported_done_at) {
            new["reported_done_at"] = json!(Timestamp(time));
        }
        self.story("status_changed", Some(old), new);
    }

    fn review_requested(&mut self, next: &LoopState) {
        let new = json!({
            "agent_id": self.caller.agent_id,
            "review_requested_at": next.review_requested_at.map(Timestamp),
        });
        self.story("review_requested", None, new);
    }

    fn review_completed(&mut self, record: &ReviewRecord) {
        let new = json!({
            "review_record_id": record.id, "reviewer_agent_id": record.reviewer_agent_id,
            "review_type": record.review_type, "findings_count": record.findings_count,
            "fixes_count": record.fixes_count, "disproved_count": record.disproved_count,
            "summary": record.summary,
        });
        self.story("review_completed", None, new);
    }

    fn verification_result(&mut self, result: &VerificationResult) {
        let new = json!({
            "story_id": self.story.id, "result": result.result, "review_type": result.review_type,
            "iteration": result.iteration,
        });
        self.events.push(
            Event::new("verification_result", result.id, "created", new)
                .project(self.story.project_id)
                .meta("story_id", self.story.id.to_string()),
        );
    }

    fn verified(&mut self, before: &LoopState) {
        let old = json!({"verified_status": before.verified_status});
        let new = json!({
            "verified_status": VerifiedStatus::Verified, "orchestrator_agent_id": self.caller.agent_id,
        });
        self.story("verified", Some(old), new);
    }

    fn rejected(&mut self, before: &LoopState, reason: &str) {
        let old = json!({"verified_status": before.verified_status});
        let new = json!({
            "verified_status": VerifiedStatus::Rejected, "orchestrator_agent_id": self.caller.agent_id,
            "rejection_reason": reason,
        });
        self.story("rejected", Some(old), new);
    }

    fn auto_reset(&mut self, rejected: &LoopState) {
        let old = holder(rejected);
        let new = json!({"agent_status": "pending", "assigned_agent_id": null});
        self.story("auto_reset", Some(old), new).by = Some(events::Attribution::system("auto_reset"));
    }

    fn force_unclaimed(&mut self, before: &LoopState) {
        let new = json!({"agent_status": "pending", "orchestrator_agent_id": self.caller.agent_id});
        self.story("force_unclaimed", Some(holder(before)), new);
    }
}

fn holder(state: &LoopState) -> Value {
    json!({"agent_status": state.agent_status, "assigned_agent_id": state.assigned_agent_id})
}
