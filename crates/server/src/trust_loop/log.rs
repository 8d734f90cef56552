//! The audit entries of a transition.

use loopctl_core::lifecycle::{Backfill, LoopState, VerifiedStatus};
use serde_json::{Value, json};

use super::store::{ReviewRecord, VerificationResult};
use crate::app::Identity;
use crate::db::Timestamp;
use crate::events::{self, Event};
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
        self.story("status_changed", Some(old), new);
    }

    pub(super) fn review_requested(&mut self, next: &LoopState) {
        let new = json!({
            "agent_id": self.caller.agent_id,
            "review_requested_at": next.review_requested_at.map(Timestamp),
        });
        self.story("review_requested", None, new);
    }

    pub(super) fn review_completed(&mut self, record: &ReviewRecord) {
        let new = json!({
            "review_record_id": record.id, "reviewer_agent_id": record.reviewer_agent_id,
            "review_type": record.review_type, "findings_count": record.findings_count,
            "fixes_count": record.fixes_count, "disproved_count": record.disproved_count,
            "summary": record.summary, "criteria_digest": record.criteria_digest,
        });
        self.story("review_completed", None, new);
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

    pub(super) fn verified(&mut self, before: &LoopState) {
        let old = json!({"verified_status": before.verified_status});
        let new = json!({
            "verified_status": VerifiedStatus::Verified, "orchestrator_agent_id": self.caller.agent_id,
        });
        self.story("verified", Some(old), new);
    }

    pub(super) fn rejected(&mut self, before: &LoopState, reason: &str) {
        let old = json!({"verified_status": before.verified_status});
        let new = json!({
            "verified_status": VerifiedStatus::Rejected, "orchestrator_agent_id": self.caller.agent_id,
            "rejection_reason": reason,
        });
        self.story("rejected", Some(old), new);
    }

    pub(super) fn auto_reset(&mut self, rejected: &LoopState) {
        let old = holder(rejected);
        let new = json!({"agent_status": "pending", "assigned_agent_id": null});
        self.story("auto_reset", Some(old), new).by = Some(events::Attribution::system("auto_reset"));
    }

    pub(super) fn force_unclaimed(&mut self, before: &LoopState) {
        let new = json!({"agent_status": "pending", "orchestrator_agent_id": self.caller.agent_id});
        self.story("force_unclaimed", Some(holder(before)), new);
    }

    pub(super) fn backfilled(&mut self, before: &LoopState, next: &LoopState, backfill: &Backfill) {
        let mut new = statuses(next);
        new["source"] = json!("pre_loopctl");
        new["reason"] = json!(backfill.reason);
        new["evidence_url"] = json!(backfill.evidence_url);
        new["pr_number"] = json!(backfill.pr_number);
        self.story("backfilled", Some(statuses(before)), new);
    }

    pub(super) fn mark_complete(&mut self, before: &LoopState, next: &LoopState) {
        let mut new = statuses(next);
        new["orchestrator_agent_id"] = json!(self.caller.agent_id);
        self.story("mark_complete", Some(statuses(before)), new);
    }
}

fn statuses(state: &LoopState) -> Value {
    json!({"agent_status": state.agent_status, "verified_status": state.verified_status})
}

fn holder(state: &LoopState) -> Value {
    json!({"agent_status": state.agent_status, "assigned_agent_id": state.assigned_agent_id})
}
