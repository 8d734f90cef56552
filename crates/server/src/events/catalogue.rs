//! Everything that an event can be: what kind of thing, and what happened to it. Nothing else is ever recorded; a test holds that
//! each of these is.

/// Kinds of things, each with its actions.
pub const CATALOGUE: &[(&str, &[&str])] = &[
    ("agent", &["registered"]),
    ("api_key", &["created", "revoked", "rotated"]),
    (
        "article",
        &[
            "article.created",
            "article.updated",
            "article.published",
            "article.unpublished",
            "article.archived",
            "article.superseded",
            "knowledge.articles_extracted",
            "knowledge.content_ingested",
        ],
    ),
    ("article_link", &["article_link.created", "article_link.deleted"]),
    ("artifact_report", &["created"]),
    ("audit_pending_violation", &["resolved", "ignored"]),
    ("authenticator", &["enrolled", "revoked"]),
    ("cost_anomaly", &["detected", "resolved"]),
    ("epic", &["created", "updated", "deleted", "completed"]),
    ("epic_dependency", &["created", "deleted"]),
    ("orchestrator_state", &["saved"]),
    ("session", &["signed_in", "signed_out"]),
    ("skill", &["created", "updated"]),
    ("skill_import", &["bulk_imported"]),
    ("skill_result", &["created"]),
    ("skill_version", &["created"]),
    ("project", &["created", "updated", "archived", "imported", "merge_imported"]),
    (
        "story",
        &[
            "created",
            "updated",
            "deleted",
            "criteria_changed",
            "status_changed",
            "review_requested",
            "review_completed",
            "verified",
            "rejected",
            "auto_reset",
            "force_unclaimed",
            "backfilled",
            "mark_complete",
        ],
    ),
    ("story_dependency", &["created", "deleted"]),
    (
        "tenant",
        &[
            "tenant_created",
            "updated",
            "tenant_updated",
            "tenant_suspended",
            "tenant_activated",
            "halt_cleared",
        ],
    ),
    ("token_budget", &["created", "updated", "deleted", "threshold_crossed", "report_blocked"]),
    ("token_usage_report", &["created", "deleted", "corrected"]),
    ("token_data_archival", &["archival_run"]),
    ("ui_test_run", &["ui_test.started", "ui_test.finding_added", "ui_test.completed"]),
    ("verification_result", &["created"]),
    ("webhook", &["created", "updated", "deleted", "tested", "redelivered", "webhook_auto_disabled"]),
];

/// Whether there is such an event.
pub(super) fn lists(entity_type: &str, action: &str) -> bool {
    CATALOGUE.iter().any(|(kind, actions)| *kind == entity_type && actions.contains(&action))
}
