//! Evidence is of what is there when it is written, whatever is written.

use super::Hand;
use crate::support::{Reach, Tenant, bring};

#[tokio::test]
async fn what_evidence_is_of_is_not_for_the_writer_to_say() {
    let tenant = Tenant::new().await;
    let story = tenant.story().await;
    let (a1, a2, o) = (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
    bring(&story, Reach::Reported, &a1, &a2, &o).await;
    let names = [("s", &*story), ("t", &tenant.id), ("c", a2.agent())];
    let hand = Hand::new(&names.map(|(name, id)| (name, id.to_owned()))).await;
    let is = hand
        .read(&[], "select concat_ws(' ', report_number, cycle, encode(criteria_digest, 'hex')) from whole_stories where id = '{s}'")
        .await;
    assert!(is.starts_with("1 1 "), "{is}");
    for (table, by, more, values) in [
        ("review_records", "reviewer_agent_id", "review_type, completed_at, number", "'x', now(), 7"),
        ("verification_results", "orchestrator_agent_id", "result, iteration", "'pass', 7"),
    ] {
        let insert = format!(
            "insert into {table} (tenant_id, id, story_id, {by}, {more}, report_number, cycle, criteria_digest)
             values ('{{t}}', gen_random_uuid(), '{{s}}', '{{c}}', {values}, 9, 9, '\\x00')"
        );
        let read = format!(
            "select concat_ws(' ', report_number, cycle, encode(criteria_digest, 'hex')) from {table} where story_id = '{{s}}'"
        );
        assert_eq!(hand.read(&[&insert], &read).await, is, "{table}");
        let change = format!("update {table} set report_number = 1");
        hand.refused(&[&insert, &change], "permission denied").await;
        hand.refused(&[&insert, &format!("delete from {table}")], "permission denied").await;
    }
    hand.refused(&["update artifact_reports set reported_by = 'orchestrator'"], "permission denied").await;
}

/// An artifact of an agent is a touch, by whatever statement it comes.
#[tokio::test]
async fn an_artifact_of_an_agent_touches_its_story() {
    let tenant = Tenant::new().await;
    let story = tenant.story().await;
    let hand = Hand::new(&[("s", story), ("t", tenant.id.clone())]).await;
    let touched = "select (first_touched_at is not null)::text from story_states where id = '{s}'";
    for (role, is) in [("agent", "true"), ("orchestrator", "false")] {
        let insert = format!(
            "insert into artifact_reports (tenant_id, id, story_id, reported_by, artifact_type, path)
             values ('{{t}}', gen_random_uuid(), '{{s}}', '{role}', 'diff', 'a')"
        );
        assert_eq!(hand.read(&[&insert], touched).await, is);
    }
    let contracted = "update story_states set agent_status = 'contracted', contracted_by_agent_id = gen_random_uuid() where id = '{s}'";
    hand.refused(&[contracted], "stories_contracted_means_touched").await;
}
