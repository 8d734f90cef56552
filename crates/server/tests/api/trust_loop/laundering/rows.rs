//! What the database says of stories, and what must hold of it.

use std::collections::BTreeMap;

use serde_json::Value;
use tokio_postgres::Client;

use super::super::{Scene, review};
use crate::support::{Reach, connect, server};

/// A story's lifecycle columns, and the evidence of its present report, in its present cycle.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    /// All columns that the lifecycle owns.
    pub(super) columns: Value,
    /// A review of this report, in this cycle and of these criteria, by an agent that is no implementer, or by a human.
    pub(super) reviewed: bool,
    /// A result of them that is no failure, by an agent that is no implementer.
    pub(super) passed: bool,
}

impl Row {
    pub(super) fn column(&self, name: &str) -> &str {
        self.columns[name].as_str().unwrap_or_default()
    }

    pub(super) fn was_claimed(&self) -> bool {
        self.columns["first_claimed_at"].is_string()
    }

    pub(super) fn is_verified(&self) -> bool {
        self.column("verified_status") == "verified"
    }
}

/// Every story of the tenant, by id.
pub(super) async fn rows(owner: &Client, tenant: &str) -> BTreeMap<String, Row> {
    let rows = owner
        .query(
            "select s.id::text,
                    to_jsonb(s) - array['title', 'description', 'acceptance_criteria', 'estimated_hours', 'metadata',
                                        'updated_at', 'epic_position'],
                    exists (select from review_records r where r.story_id = s.id
                            and (r.report_number, r.cycle, r.criteria_digest)
                              = (s.report_number, s.cycle, s.criteria_digest)
                            and not exists (select from story_starts b where b.story_id = s.id
                                            and b.cycle in (s.cycle, s.report_cycle) and b.agent_id = r.reviewer_agent_id)
                            and (r.reviewer_agent_id <> s.assigned_agent_id or s.assigned_agent_id is null
                                 or r.reviewer_agent_id is null and exists (
                                    select from audit_log a where a.entity_id = s.id and a.action = 'review_completed'
                                    and a.new_state ->> 'review_record_id' = r.id::text
                                    and (a.actor_label like 'user:%' or a.metadata ->> 'effective_role' = 'user')))),
                    exists (select from verification_results v where v.story_id = s.id
                            and (v.report_number, v.cycle, v.criteria_digest)
                              = (s.report_number, s.cycle, s.criteria_digest)
                            and v.result in ('pass', 'partial')
                            and not exists (select from story_starts b where b.story_id = s.id
                                            and b.cycle in (s.cycle, s.report_cycle) and b.agent_id = v.orchestrator_agent_id)
                            and v.orchestrator_agent_id is not null
                            and v.orchestrator_agent_id is distinct from s.assigned_agent_id)
             from whole_stories s where s.tenant_id = $1::text::uuid",
            &[&tenant],
        )
        .await
        .unwrap();
    rows.iter()
        .map(|row| (row.get(0), Row { columns: row.get(1), reviewed: row.get(2), passed: row.get(3) }))
        .collect()
}

/// What must hold of a story between two looks at it; the fault otherwise.
pub(super) fn fault(before: Option<&Row>, now: &Row, reviewers: Reviewers) -> Option<String> {
    let fault = |what: &str| Some(format!("{what}: {before:#?} {now:#?}"));
    if let Some(before) = before.filter(|before| before.was_claimed())
        && before.columns["first_claimed_at"] != now.columns["first_claimed_at"]
    {
        return fault("first_claimed_at was lost");
    }
    let turned_verified = now.is_verified() && !before.is_some_and(Row::is_verified);
    if !turned_verified || !now.was_claimed() {
        return None;
    }
    if reviewers == Reviewers::ImplementerOnly {
        return fault("verified although nobody else reviewed");
    }
    if !now.reviewed {
        return fault("verified without a review by another");
    }
    if !now.passed {
        return fault("verified without a result by another");
    }
    let reporter = &now.columns["reported_by_agent_id"];
    (!reporter.is_string() || *reporter == now.columns["assigned_agent_id"])
        .then(|| format!("verified without a report by another: {now:#?}"))
}

/// Who calls review-complete. When it is the implementer only, nobody else claims either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reviewers {
    Anyone,
    ImplementerOnly,
}

const VERIFIED: &str = "verified_status = 'verified', verified_at = now(), verification_source = 'loop', \
                        verified_digest = (select criteria_digest from stories s where s.id = story_states.id)";

/// The walk sees what it is there to see.
#[tokio::test]
async fn a_laundered_story_is_seen() {
    let scene = Scene::new().await;
    let owner = connect(&server().owner).await;
    let tenant = &scene.tenant.id;
    let look = async || rows(&owner, tenant).await.remove(&scene.story).unwrap();
    // The database's own guard is out of the way; it is tested elsewhere.
    let force_in = async |table: &str, columns: &str| {
        let sql = format!(
            "begin; set local session_replication_role = replica; update {table} set {columns} where id = '{}'; commit",
            scene.story
        );
        owner.batch_execute(&sql).await.unwrap();
    };
    let force = async |columns: &str| force_in("story_states", columns).await;
    scene.bring(&scene.story, Reach::Reported).await;
    let digest = format!(r"\x{}", scene.show().await["criteria_digest"].as_str().unwrap());
    let reported = look().await;
    assert!(!reported.reviewed && !reported.passed);
    let told = async |reviewers| fault(Some(&reported), &look().await, reviewers).unwrap_or_default();
    assert_eq!(told(Reviewers::Anyone).await, "");

    force(VERIFIED).await;
    assert!(told(Reviewers::Anyone).await.starts_with("verified without a review by another"));
    assert!(told(Reviewers::ImplementerOnly).await.starts_with("verified although nobody else reviewed"));
    force("first_claimed_at = null").await;
    assert!(told(Reviewers::Anyone).await.starts_with("first_claimed_at was lost"));

    let columns = "verified_status = 'unverified', verified_at = null, verification_source = null, verified_digest = null";
    force(&format!("first_claimed_at = '{}', {columns}", reported.column("first_claimed_at"))).await;
    scene.a2.post(&format!("/stories/{}/review-complete", scene.story), review()).await.expect(201);
    assert!(look().await.reviewed);
    force(VERIFIED).await;
    assert!(told(Reviewers::Anyone).await.starts_with("verified without a result by another"));
    // A later report than the review's, a later cycle, other criteria.
    for (table, columns) in [
        ("story_states", "report_number = 2"),
        ("story_states", "report_number = 1, cycle = 2"),
        ("stories", "criteria_digest = 'another'"),
    ] {
        force_in(table, columns).await;
        force_in("story_states", if table == "stories" { "cycle = 1" } else { columns }).await;
        assert!(
            told(Reviewers::Anyone).await.starts_with("verified without a review by another"),
            "{columns}"
        );
    }
    force("report_number = 2").await;
    assert!(told(Reviewers::Anyone).await.starts_with("verified without a review by another"));
    // A review by the implementer.
    force("report_number = 1").await;
    force_in("stories", &format!("criteria_digest = '{digest}'")).await;
    force(&format!("assigned_agent_id = '{}', reported_by_agent_id = null", scene.a2.agent())).await;
    assert!(told(Reviewers::Anyone).await.starts_with("verified without a review by another"));
    // What stays behind is counted like everything else.
    force(columns).await;
    scene.tenant.keeps_count().await;
}
