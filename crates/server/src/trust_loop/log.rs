//! The audit entries of a transition, and what webhooks are told of it.

use loopctl_core::json::JsonText;
use loopctl_core::lifecycle::{AgentStatus, Backfill, LoopState, VerifiedStatus};
use loopctl_core::webhooks::EventType;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::store::{ReviewRecord, VerificationResult};
use crate::app::Identity;
use crate::db::Timestamp;
use crate::events::{self, Event, Notice, OfStory};
use crate::plan::stories::Story;

/// What one transition has to tell, in the order in which things happened.
pub(super) struct Log<'a> {
    /// As it was.
    story: &'a Story,
    caller: &'a Identity,
    pub(super) events: Vec<Event>,
}

impl<'a> Log<'a> {
    pub(super) fn new(story: &'a Story, caller: &'a Identity) -> Self {
        Self { story, caller, events: Vec::new() }
    }

    fn story(&mut self, action: &'static str, old: Option<Value>, new: Value) -> &mut Event {
        let mut event = Event::new("story", self.story.id, action, new).project(self.story.project_id);
        event.old_state = old.map(Into::into);
        self.events.push(event);
        let last = self.events.len() - 1;
        &mut self.events[last]
    }

    /// What webhooks are told of the story.
    fn notice(&self, event_type: EventType, what: impl Serialize) -> Notice {
        let Story { id, project_id, epic_id, .. } = *self.story;
        Notice::new(event_type, &OfStory { story_id: id, project_id, epic_id, what })
    }

    pub(super) fn status_changed(&mut self, before: &LoopState, next: &LoopState) {
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
        if next.contracted_digest != before.contracted_digest && next.contracted_digest.is_some() {
            new["criteria_digest"] = json!(next.contracted_digest);
        }
        if let (Some(time), None) = (next.reported_done_at, before.reported_done_at) {
            new["reported_done_at"] = json!(Timestamp(time));
        }
        let notice = self.notice(
            EventType::StoryStatusChanged,
            json!({
                "old_status": before.agent_status, "new_status": next.agent_status, "agent_id": self.caller.agent_id,
            }),
        );
        self.story("status_changed", Some(old), new).notice = Some(notice);
    }

    pub(super) fn review_requested(&mut self, next: &LoopState, noted: Option<&Value>) {
        let new = json!({
            "agent_id": self.caller.agent_id,
            "review_requested_at": next.review_requested_at.map(Timestamp),
        });
        let what = json!({"agent_id": self.caller.agent_id});
        let notice = self.notice(EventType::StoryReviewRequested, what);
        let event = self.story("review_requested", None, new);
        event.notice = Some(notice);
        event.metadata.extend(noted.and_then(Value::as_object).cloned().unwrap_or_default());
    }

    pub(super) fn review_completed(&mut self, record: &ReviewRecord) {
        let new = json!({
            "review_record_id": record.id, "reviewer_agent_id": record.reviewer_agent_id,
            "review_type": record.review_type, "findings_count": record.findings_count,
            "fixes_count": record.fixes_count, "disproved_count": record.disproved_count,
            "summary": record.summary, "criteria_digest": record.criteria_digest,
        });
        let what = json!({
            "review_record_id": record.id, "reviewer_agent_id": record.reviewer_agent_id,
            "review_type": record.review_type, "findings_count": record.findings_count,
            "fixes_count": record.fixes_count, "disproved_count": record.disproved_count,
            "summary": record.summary,
        });
        let notice = self.notice(EventType::StoryReviewCompleted, what);
        self.story("review_completed", None, new).notice = Some(notice);
    }

    pub(super) fn verification_result(&mut self, result: &VerificationResult) {
        let new = json!({
            "story_id": self.story.id, "result": result.result, "review_type": result.review_type,
            "iteration": result.iteration, "criteria_digest": result.criteria_digest,
        });
        self.events.push(
            Event::new("verification_result", result.id, "created", new)
                .project(self.story.project_id)
                .meta("story_id", self.story.id.to_string()),
        );
    }

    /// What webhooks are told of a verification, be it one without the loop.
    fn verification(&self, result: &VerificationResult) -> Notice {
        let what = json!({
            "orchestrator_agent_id": self.caller.agent_id, "result": result.result,
            "review_type": result.review_type, "summary": result.summary,
        });
        self.notice(EventType::StoryVerified, what)
    }

    pub(super) fn verified(&mut self, before: &LoopState, result: &VerificationResult) {
        let old = json!({"verified_status": before.verified_status});
        let new = json!({
            "verified_status": VerifiedStatus::Verified, "orchestrator_agent_id": self.caller.agent_id,
        });
        let notice = self.verification(result);
        self.story("verified", Some(old), new).notice = Some(notice);
    }

    pub(super) fn rejected(&mut self, before: &LoopState, reason: &str, result: &VerificationResult) {
        let old = json!({"verified_status": before.verified_status});
        let new = json!({
            "verified_status": VerifiedStatus::Rejected, "orchestrator_agent_id": self.caller.agent_id,
            "rejection_reason": reason,
        });
        let orchestrator_agent_id = self.caller.agent_id;
        let notice = self.notice(
            EventType::StoryRejected,
            Rejected { orchestrator_agent_id, reason, findings: &result.findings },
        );
        self.story("rejected", Some(old), new).notice = Some(notice);
    }

    pub(super) fn auto_reset(&mut self, rejected: &LoopState, reason: &str) {
        let old = holder(rejected);
        let new = json!({"agent_status": "pending", "assigned_agent_id": null});
        let what = json!({
            "reason": "rejected", "orchestrator_agent_id": self.caller.agent_id, "rejection_reason": reason,
            "previous_agent_status": rejected.agent_status,
            "previous_assigned_agent_id": rejected.assigned_agent_id,
        });
        let notice = self.notice(EventType::StoryAutoReset, what);
        let event = self.story("auto_reset", Some(old), new);
        (event.by, event.notice) = (Some(events::Attribution::system("auto_reset")), Some(notice));
    }

    pub(super) fn force_unclaimed(&mut self, before: &LoopState) {
        let new = json!({"agent_status": "pending", "orchestrator_agent_id": self.caller.agent_id});
        let what = json!({
            "old_status": before.agent_status, "new_status": AgentStatus::Pending,
            "orchestrator_agent_id": self.caller.agent_id,
        });
        let notice = self.notice(EventType::StoryForceUnclaimed, what);
        self.story("force_unclaimed", Some(holder(before)), new).notice = Some(notice);
    }

    pub(super) fn backfilled(&mut self, before: &LoopState, next: &LoopState, backfill: &Backfill) {
        let mut new = statuses(next);
        new["source"] = json!("pre_loopctl");
        new["reason"] = json!(backfill.reason);
        new["evidence_url"] = json!(backfill.evidence_url);
        new["pr_number"] = json!(backfill.pr_number);
        let by = self.caller.attribution();
        let what = json!({
            "source": "pre_loopctl", "actor_id": by.actor_id, "actor_label": by.actor_label,
            "reason": backfill.reason, "evidence_url": backfill.evidence_url, "pr_number": backfill.pr_number,
        });
        let notice = self.notice(EventType::StoryBackfilled, what);
        self.story("backfilled", Some(statuses(before)), new).notice = Some(notice);
    }

    pub(super) fn mark_complete(
        &mut self,
        before: &LoopState,
        next: &LoopState,
        result: &VerificationResult,
    ) {
        let mut new = statuses(next);
        new["orchestrator_agent_id"] = json!(self.caller.agent_id);
        let notice = self.verification(result);
        self.story("mark_complete", Some(statuses(before)), new).notice = Some(notice);
    }
}

/// What webhooks are told of a rejection. Findings stay text.
#[derive(Serialize)]
struct Rejected<'a> {
    orchestrator_agent_id: Option<Uuid>,
    reason: &'a str,
    findings: &'a JsonText,
}

fn statuses(state: &LoopState) -> Value {
    json!({"agent_status": state.agent_status, "verified_status": state.verified_status})
}

fn holder(state: &LoopState) -> Value {
    json!({"agent_status": state.agent_status, "assigned_agent_id": state.assigned_agent_id})
}
