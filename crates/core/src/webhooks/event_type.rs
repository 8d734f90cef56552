//! What a webhook may be told of.

use crate::words::words;

words! {
    /// A kind of event that webhooks subscribe to.
    EventType {
        /// The agent status of a story changed by an agent's call.
        StoryStatusChanged = "story.status_changed",
        /// A review is asked for; the status stays.
        StoryReviewRequested = "story.review_requested",
        /// A review is done.
        StoryReviewCompleted = "story.review_completed",
        /// A story was verified, or marked complete.
        StoryVerified = "story.verified",
        /// A story was rejected.
        StoryRejected = "story.rejected",
        /// A rejected story was given back.
        StoryAutoReset = "story.auto_reset",
        /// A story was taken from its agent.
        StoryForceUnclaimed = "story.force_unclaimed",
        /// Work from before the loop was noted as done.
        StoryBackfilled = "story.backfilled",
        /// Title or criteria of a story under way were changed.
        StoryCriteriaChanged = "story.criteria_changed",
        /// Nobody may verify a story.
        StoryVerifierNeeded = "story.verifier_needed",
        /// The last story of an epic was verified; once per epic.
        EpicCompleted = "epic.completed",
        /// An artifact was reported.
        ArtifactReported = "artifact.reported",
        /// An agent registered.
        AgentRegistered = "agent.registered",
        /// A plan was imported or merged.
        ProjectImported = "project.imported",
        /// A test; sent to the webhook that is tested, whatever it subscribes to.
        WebhookTest = "webhook.test",
        /// Spending reached the threshold of a budget.
        TokenBudgetWarning = "token.budget_warning",
        /// Spending reached a budget.
        TokenBudgetExceeded = "token.budget_exceeded",
        /// A story costs far more, or less, than others.
        TokenAnomalyDetected = "token.anomaly_detected",
        /// An article was written.
        ArticleCreated = "article.created",
        /// An article was changed.
        ArticleUpdated = "article.updated",
        /// An article was laid aside.
        ArticleArchived = "article.archived",
        /// Another article takes its place.
        ArticleSuperseded = "article.superseded",
        /// An article was published.
        ArticlePublished = "article.published",
        /// An article was withdrawn.
        ArticleUnpublished = "article.unpublished",
        /// Two articles were linked.
        ArticleLinkCreated = "article_link.created",
        /// A link was taken away.
        ArticleLinkDeleted = "article_link.deleted",
        /// A tenant's custody was halted.
        TenantCustodyHalted = "tenant.custody_halted",
    }
}

/// How many unknown types a refusal names.
const NAMED: usize = 20;

impl EventType {
    /// The types with these names, each once, in the order of their first place.
    ///
    /// # Errors
    /// The contract's sentence about types that are none, or about a list without any.
    pub fn parse_all<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Vec<Self>, String> {
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for name in names {
            match Self::parse(name) {
                Some(event_type) if known.contains(&event_type) => {}
                Some(event_type) => known.push(event_type),
                None => unknown.push(name),
            }
        }
        if !unknown.is_empty() {
            let named = unknown.iter().take(NAMED).map(|name| shortened(name)).collect::<Vec<_>>();
            return Err(format!("contains invalid event types: {}", named.join(", ")));
        }
        if known.is_empty() { Err(NO_EVENTS.to_owned()) } else { Ok(known) }
    }
}

/// What is told of a list without event types.
pub const NO_EVENTS: &str = "must contain at least one event type";

/// As much of a name as is repeated.
fn shortened(name: &str) -> String {
    name.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn types_keep_their_order_and_come_once() {
        let names = ["story.verified", "epic.completed", "story.verified"];
        assert_eq!(EventType::parse_all(names), Ok(vec![EventType::StoryVerified, EventType::EpicCompleted]));
        assert_eq!(EventType::parse_all([]), Err(NO_EVENTS.to_owned()));
    }

    #[test]
    fn what_is_no_type_is_named_within_bounds() {
        let refusal = EventType::parse_all(["invalid.event", "story.verified", "other"]);
        assert_eq!(refusal, Err("contains invalid event types: invalid.event, other".to_owned()));
        let long = "x".repeat(100_000);
        let refusal = EventType::parse_all(std::iter::repeat_n(long.as_str(), 1000)).unwrap_err();
        assert!(refusal.len() < 2200, "{}", refusal.len());
    }

    proptest! {
        #[test]
        fn every_choice_of_types_is_accepted(chosen in proptest::sample::subsequence(EventType::WORDS, 1..20)) {
            let parsed = EventType::parse_all(chosen.iter().copied().chain(chosen.iter().copied())).unwrap();
            prop_assert_eq!(parsed.iter().map(|event| event.as_str()).collect::<Vec<_>>(), chosen);
        }
    }
}
