//! Statements on stories that would break what the trust model promises. Each is tried under the application role, and taken back.

use super::Hand;
use crate::support::{Reach, Tenant, bring};

const VERIFIED: &str = "update story_states set verified_status = 'verified', verified_at = now(), verification_source = 'loop', \
                        verified_digest = (select criteria_digest from stories where id = '{s}') where id = '{s}'";
const RELEASED: &str = "update story_states set agent_status = 'pending', assigned_agent_id = null, assigned_at = null, \
                        reported_done_at = null, reported_by_agent_id = null, report_cycle = null where id = '{s}'";
/// By `{c}`, who has nothing to do with the story.
const REVIEW: &str = "insert into review_records (tenant_id, id, story_id, reviewer_agent_id, review_type, completed_at, number) \
                      select '{t}', gen_random_uuid(), '{s}', '{c}', 'x', now(), coalesce(max(number), 0) + 1 \
                      from review_records where story_id = '{s}'";
const RESULT: &str = "insert into verification_results (tenant_id, id, story_id, orchestrator_agent_id, result, iteration) \
                      select '{t}', gen_random_uuid(), '{s}', '{c}', 'pass', coalesce(max(iteration), 0) + 1 \
                      from verification_results where story_id = '{s}'";
const REPORT: &str = "update story_states set agent_status = 'reported_done', reported_done_at = now(), reported_by_agent_id = '{c}', \
                      report_number = report_number + 1, report_cycle = cycle where id = '{s}'";
const REJECTED: &str = "update story_states set cycle = cycle + 1, verified_status = 'rejected', rejected_at = now(), \
                        verification_source = null, verified_digest = null where id = '{s}'";
const ADOPTED: &str = "update story_states set agent_status = 'reported_done', verified_status = 'verified', verified_at = now(), \
                       verification_source = 'backfill', verified_digest = (select criteria_digest from stories where id = '{s}') where id = '{s}'";

/// A passing result that is not by `{c}`.
fn result_by(agent: &str, word: &str) -> String {
    RESULT.replace("'{c}'", agent).replace("'pass'", word)
}

fn review_by(agent: &str) -> String {
    REVIEW.replace("'{c}'", agent)
}

/// Started by `{a}`, which gave it back, and then by `{b}`; how far, is up to the test.
struct Stage {
    hand: Hand,
}

impl Stage {
    async fn new(reach: Reach) -> Self {
        let tenant = Tenant::new().await;
        let story = tenant.story().await;
        let (a, b, c, o) =
            (tenant.agent().await, tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
        bring(&story, Reach::Implementing, &a, &c, &o).await;
        a.post(&format!("/stories/{story}/unclaim"), serde_json::json!({})).await.expect(200);
        bring(&story, reach, &b, &c, &o).await;
        let names = [("s", &*story), ("t", &tenant.id), ("a", a.agent()), ("b", b.agent()), ("c", c.agent())];
        let hand = Hand::new(&names.map(|(name, id)| (name, id.to_owned()))).await;
        Self { hand }
    }

    /// The same, for whoever owns the tables, and need not be told what is theirs to write.
    async fn of_owner(self) -> Self {
        Self { hand: Hand::of_owner(&self.hand.names).await }
    }

    async fn refused(&self, rows: &[(&[&str], &str)]) {
        for (statements, refusal) in rows {
            self.hand.refused(statements, refusal).await;
        }
    }
}

#[tokio::test]
async fn nothing_is_verified_as_of_the_loop_without_its_evidence() {
    let needs = "verified_needs_evidence";
    let stage = Stage::new(Reach::Reported).await;
    // The honest way is open: or the rest proves nothing.
    stage.hand.passes(&[REVIEW, RESULT, VERIFIED]).await;
    stage.hand.passes(&[&review_by("null"), &result_by("'{c}'", "'partial'"), VERIFIED]).await;
    let edit = "update stories set title = 'Less' where id = '{s}'";
    let back = "update stories set title = 'Build API' where id = '{s}'";
    stage.hand.passes(&[REVIEW, edit, RESULT, back, RESULT, VERIFIED]).await;
    stage
        .refused(&[
            (&[VERIFIED], needs),
            (&[RESULT, VERIFIED], needs),
            (&[REVIEW, VERIFIED], needs),
            (&[&review_by("'{a}'"), RESULT, VERIFIED], needs),
            (&[&review_by("'{b}'"), RESULT, VERIFIED], needs),
            (&[REVIEW, &review_by("'{a}'"), RESULT, VERIFIED], needs),
            (&[REVIEW, &result_by("'{a}'", "'pass'"), VERIFIED], needs),
            (&[REVIEW, &result_by("'{b}'", "'pass'"), VERIFIED], needs),
            (&[REVIEW, &result_by("null", "'pass'"), VERIFIED], needs),
            (&[REVIEW, &result_by("'{c}'", "'fail'"), VERIFIED], needs),
            (&[REVIEW, RESULT, &result_by("'{c}'", "'fail'"), VERIFIED], needs),
            (&[REVIEW, edit, RESULT, VERIFIED], needs),
            (&[REVIEW, RESULT, edit, VERIFIED], needs),
            (&[REVIEW, edit, REVIEW, back, RESULT, VERIFIED], needs),
            (
                &[
                    REVIEW,
                    RESULT,
                    &VERIFIED.replace("(select criteria_digest from stories where id = '{s}')", r"'\x00'"),
                ],
                needs,
            ),
            (&[REVIEW, RESULT, &VERIFIED.replace("'loop'", "null")], "not_pre_existing"),
            (&[REVIEW, RESULT, &VERIFIED.replace("'loop'", "'import'")], "not_pre_existing"),
            (&[REVIEW, RESULT, &VERIFIED.replace("'loop'", "'backfill'")], "not_pre_existing"),
            (&[REVIEW, RESULT, &VERIFIED.replace("'loop'", "'mark_complete'")], "not_pre_existing"),
        ])
        .await;
}

/// A review is of the report that stands, and so is a verification.
#[tokio::test]
async fn evidence_of_an_earlier_report_or_cycle_counts_for_nothing() {
    let needs = "verified_needs_evidence";
    let stage = Stage::new(Reach::Reviewed).await;
    let again = "update story_states set agent_status = 'contracted' where id = '{s}';
                 update story_states set agent_status = 'assigned', assigned_agent_id = '{b}', assigned_at = now() where id = '{s}';
                 update story_states set agent_status = 'implementing' where id = '{s}'";
    stage.hand.passes(&[RESULT, VERIFIED]).await;
    let failed = result_by("'{c}'", "'fail'");
    stage.hand.passes(&[&failed, REJECTED, REVIEW, RESULT, VERIFIED]).await;
    stage
        .refused(&[
            // Given back, and worked on again: what stands now was not reviewed.
            (&[RESULT, RELEASED, VERIFIED], needs),
            (&[RESULT, RELEASED, again, VERIFIED], needs),
            (&[RELEASED, again, REPORT, RESULT, VERIFIED], needs),
            (&[RESULT, RELEASED, again, REPORT, VERIFIED], needs),
            (&[&failed, REJECTED, VERIFIED], needs),
            (&[&failed, REJECTED, RESULT, VERIFIED], needs),
            (&[&failed, REJECTED, REVIEW, VERIFIED], needs),
            (&[&failed, REJECTED, &review_by("'{a}'"), RESULT, VERIFIED], needs),
            (&[&failed, REJECTED, REVIEW, &result_by("'{a}'", "'pass'"), VERIFIED], needs),
        ])
        .await;
}

#[tokio::test]
async fn a_report_is_made_by_another_than_those_who_started_it() {
    let stage = Stage::new(Reach::Implementing).await;
    stage.hand.passes(&[REPORT]).await;
    let another = "reported_by_another";
    let counts = "report_numbers_count_reports";
    stage
        .refused(&[
            (&[&REPORT.replace("{c}", "{a}")], another),
            (&[&REPORT.replace("{c}", "{b}")], another),
            (&[&REPORT.replace("'{c}'", "null")], another),
            // Out of the way of those who hold it, in the same statement.
            (&[&REPORT.replace("'{c}'", "'{b}', assigned_agent_id = null")], "hands_change_by_release"),
            (&[&REPORT.replace("report_number + 1", "report_number")], counts),
            (&[&REPORT.replace("report_number + 1", "report_number + 2")], counts),
            (&["update story_states set report_number = report_number + 1 where id = '{s}'"], counts),
            (&[&REPORT.replace("report_cycle = cycle", "report_cycle = null")], counts),
        ])
        .await;
    stage.hand.refused(&[REPORT, "update story_states set report_number = 0 where id = '{s}'"], counts).await;
}

#[tokio::test]
async fn cycles_begin_with_a_rejection_and_with_nothing_else() {
    let (cycles, reports) = ("cycles_count_rejections", "report_numbers_count_reports");
    let failed = result_by("'{c}'", "'fail'");
    let stage = Stage::new(Reach::Reported).await;
    stage.hand.passes(&[&failed, REJECTED]).await;
    stage.hand.passes(&[&failed, REJECTED, &failed, REJECTED]).await;
    stage
        .refused(&[
            (&["update story_states set cycle = cycle + 1 where id = '{s}'"], cycles),
            (&[&failed, &REJECTED.replace("cycle + 1", "cycle + 2")], cycles),
            (&[&failed, &REJECTED.replace("cycle + 1", "cycle")], cycles),
            (&[&failed, REJECTED, "update story_states set cycle = cycle - 1 where id = '{s}'"], cycles),
            (
                &[
                    &failed,
                    REJECTED,
                    "update story_states set cycle = 1, verified_status = 'rejected' where id = '{s}'",
                ],
                cycles,
            ),
            // Without a failing result by somebody else, it is no rejection.
            (&[REJECTED], cycles),
            (&[RESULT, REJECTED], cycles),
            (&[&result_by("'{a}'", "'fail'"), REJECTED], cycles),
            (&[&failed, REJECTED, REJECTED], cycles),
            // The report is of the cycle in which it was made, as long as it stands.
            (&[&failed, REJECTED, "update story_states set report_cycle = null where id = '{s}'"], reports),
            (&[&failed, REJECTED, "update story_states set report_cycle = cycle where id = '{s}'"], reports),
        ])
        .await;
    let stage = Stage::new(Reach::Verified).await;
    stage.hand.passes(&[&failed, REJECTED]).await;
    stage
        .refused(&[
            (&["update story_states set verified_status = 'unverified', verification_source = null, verified_digest = null \
                where id = '{s}'"], cycles),
            (&[&failed, &REJECTED.replace("cycle + 1", "cycle")], cycles),
        ])
        .await;
    let stage = Stage::new(Reach::Implementing).await;
    stage.refused(&[(&[&failed, REJECTED], cycles)]).await;
}

#[tokio::test]
async fn a_verification_stays_what_it_was() {
    let stage = Stage::new(Reach::Verified).await;
    stage
        .refused(&[
            (
                &["update story_states set verification_source = 'import' where id = '{s}'"],
                "verification_is_final",
            ),
            (&["update story_states set verification_source = null where id = '{s}'"], "verification_is_final"),
            (&[r"update story_states set verified_digest = '\x00' where id = '{s}'"], "verification_is_final"),
            (
                &[
                    "update stories set title = 'Less' where id = '{s}'",
                    "update story_states set verified_digest = (select criteria_digest from stories where id = '{s}') where id = '{s}'",
                ],
                "verification_is_final",
            ),
        ])
        .await;
    // The digest of title and criteria is what they are, whoever writes.
    let forged = r"update stories set criteria_digest = '\x00' where id = '{s}'";
    stage.hand.refused(&[forged], "permission denied").await;
    let stage = stage.of_owner().await;
    let digest = "select encode(criteria_digest, 'hex') from stories where id = '{s}'";
    assert_eq!(stage.hand.read(&[forged], digest).await, stage.hand.read(&[], digest).await);
    let edit = "update stories set title = 'Less', criteria_digest = criteria_digest where id = '{s}'";
    assert_ne!(stage.hand.read(&[edit], digest).await, stage.hand.read(&[], digest).await);
}

#[tokio::test]
async fn what_was_touched_stays_known_as_touched() {
    let (first, denied) = ("first_touched_is_final", "permission denied");
    let stage = Stage::new(Reach::Assigned).await;
    stage
        .refused(&[
            (&["update story_states set first_touched_at = null where id = '{s}'"], first),
            (&["update story_states set first_touched_at = now() where id = '{s}'"], first),
            (&["update story_states set first_claimed_at = now() where id = '{s}'"], first),
            (&[RELEASED, "update story_states set first_touched_at = null, first_claimed_at = null where id = '{s}'"], first),
            (&[RELEASED, ADOPTED], "not_pre_existing"),
            (&[RELEASED, &ADOPTED.replace("backfill", "mark_complete")], "not_pre_existing"),
            (&[RELEASED, &ADOPTED.replace("backfill", "import")], "one_step_at_a_time"),
            (&["update stories set number = '1.2' where id = '{s}'"], denied),
            (&["update stories set number = '01.1' where id = '{s}'"], denied),
            (&["delete from story_states where id = '{s}'"], denied),
            (&["insert into story_starts (tenant_id, story_id, cycle, agent_id, held_from) values ('{t}', '{s}', 1, '{c}', now())"], denied),
            (&["update story_starts set cycle = 99"], denied),
            (&["update story_starts set agent_id = null"], denied),
            (&["delete from story_starts"], denied),
            (&["truncate story_starts"], denied),
            (&["insert into touched_numbers select tenant_id, project_id, number, now() from stories"], denied),
            (&["update touched_numbers set number = ''"], denied),
            (&["delete from touched_numbers"], denied),
            (&["truncate touched_numbers"], denied),
        ])
        .await;
    // Nor for whoever owns the tables.
    let stage = stage.of_owner().await;
    for change in
        ["number = '1.2'", "number = '01.1'", "project_id = gen_random_uuid()", "epic_id = gen_random_uuid()"]
    {
        let statement = format!("update stories set {change} where id = '{{s}}'");
        stage.hand.refused(&[&statement], "number_is_final").await;
    }
    let elsewhere = "update story_states set id = gen_random_uuid() where id = '{s}'";
    stage.hand.refused(&[elsewhere], "number_is_final").await;
}

/// By an import alone, and not under a number whose story was touched and deleted.
#[tokio::test]
async fn how_a_story_arrives_is_told() {
    let stage = Stage::new(Reach::Assigned).await;
    let plain = |number: &str| {
        format!(
            "insert into stories (tenant_id, project_id, epic_id, id, title, number)
             select tenant_id, project_id, id, gen_random_uuid(), 'x', '{number}' from epics where tenant_id = '{{t}}'"
        )
    };
    let insert = |number: &str, columns: &str, values: &str| {
        format!(
            "with arriving as ({} returning tenant_id, id)
             insert into story_states (tenant_id, id, {columns}) select tenant_id, id, {values} from arriving",
            plain(number)
        )
    };
    let verified = "agent_status, verified_status, verified_at, verification_source";
    let arrives = |number: &str, source: &str| {
        insert(number, verified, &format!("'reported_done', 'verified', now(), {source}"))
    };
    let reported = |number: &str| insert(number, "agent_status", "'reported_done'");
    let delete = "delete from stories where id = '{s}'";
    stage.hand.passes(&[&arrives("1.9", "'import'")]).await;
    stage.hand.passes(&[&reported("1.9")]).await;
    stage.hand.passes(&[delete, &plain("1.1")]).await;
    stage.hand.passes(&[delete, &insert("1.1", "agent_status", "'pending'")]).await;
    let needs = "verified_needs_evidence";
    let again = ADOPTED.replace("id = '{s}'", "queue_key like '%\t1.1'");
    stage
        .refused(&[
            (&[&arrives("1.9", "'loop'")], needs),
            (&[&arrives("1.9", "'backfill'")], needs),
            (&[&arrives("1.9", "'mark_complete'")], needs),
            (&[&arrives("1.9", "null")], needs),
            (&[delete, &arrives("1.1", "'import'")], "not_pre_existing"),
            (&[delete, &reported("1.1")], "not_pre_existing"),
            (&[delete, &plain("1.1"), &again], "not_pre_existing"),
            (
                &[delete, &plain("1.1"), "update story_states set first_touched_at = null"],
                "first_touched_is_final",
            ),
            // Where it is, and what it waits for, is not for the statement to say.
            (&[&insert("1.9", "unmet_stories", "0")], "permission denied"),
            (&["update story_states set unmet_stories = 0"], "permission denied"),
            (&["update story_states set epic_position = 7"], "permission denied"),
            (&["update epic_states set blocked = 0"], "permission denied"),
            (&["update stories set epic_position = 7"], "permission denied"),
            (&["update story_dependencies set depends_on_story_id = story_id"], "permission denied"),
            (&["select recount('{t}', array['{s}'::uuid])"], "permission denied"),
        ])
        .await;
    // In the middle of the loop, where those who started it would not be known.
    let stage = stage.of_owner().await;
    let middle = "stories_arrive_new_or_done";
    let held = insert(
        "1.9",
        "agent_status, assigned_agent_id, assigned_at, first_claimed_at, first_touched_at",
        "'implementing', '{c}'::uuid, now(), now(), now()",
    );
    stage
        .refused(&[
            (&[&held], middle),
            (&[&insert("1.9", "agent_status, report_number", "'reported_done', 3")], middle),
            (&[&insert("1.9", "cycle", "7")], middle),
        ])
        .await;
    let placed = insert("1.9", "epic_position, queue_key, unmet_stories, unmet_epics", "7, '', 7, 7");
    let place =
        "select concat_ws(' ', epic_position, unmet_stories, unmet_epics, ready, queue_key like '%\t1.9')
                 from story_states where tenant_id = '{t}' and queue_key like '%1.9'";
    assert_eq!(stage.hand.read(&[&placed], place).await, "0 0 0 t t");
}

/// Whoever holds a story that is under way has started it.
#[tokio::test]
async fn a_story_changes_hands_by_being_given_back() {
    let stage = Stage::new(Reach::Implementing).await;
    let hands = "hands_change_by_release";
    stage
        .refused(&[
            (&["update story_states set assigned_agent_id = '{c}' where id = '{s}'"], hands),
            (&["update story_states set assigned_agent_id = null where id = '{s}'"], hands),
            (
                &["update story_states set assigned_agent_id = '{c}', assigned_at = now() where id = '{s}'"],
                hands,
            ),
        ])
        .await;
    let stage = Stage::new(Reach::Reported).await;
    stage
        .refused(&[
            (&["update story_states set assigned_agent_id = null where id = '{s}'"], hands),
            (&["update story_states set reported_by_agent_id = null, assigned_agent_id = '{c}' where id = '{s}'"], hands),
        ])
        .await;
}

/// Otherwise it might be done without having been started by anybody.
#[tokio::test]
async fn a_story_takes_one_step_at_a_time() {
    let step = "one_step_at_a_time";
    let to = |status: &str| format!("update story_states set agent_status = '{status}' where id = '{{s}}'");
    let done = to("reported_done").replace("set ", "set reported_done_at = now(), ");
    for (reach, statuses) in [
        (Reach::Contracted, ["implementing", "reported_done"].as_slice()),
        (Reach::Assigned, &["contracted", "reported_done"]),
        (Reach::Implementing, &["assigned"]),
        (Reach::Reported, &["implementing", "assigned"]),
        (Reach::Verified, &["implementing"]),
    ] {
        let stage = Stage::new(reach).await;
        for status in statuses {
            // Contracted means not held, which is looked at as well.
            let refusal = if *status == "contracted" { "" } else { step };
            stage.hand.refused(&[&to(status)], refusal).await;
        }
    }
    let stage = Stage::new(Reach::Assigned).await;
    stage.refused(&[(&[RELEASED, &done], step), (&[RELEASED, &to("assigned")], step)]).await;
}

/// What a trigger looks up is the table of that name, and no other.
#[tokio::test]
async fn a_temporary_table_stands_in_for_nothing() {
    let stage = Stage::new(Reach::Reported).await;
    let forged_reviews = "create temporary table review_records on commit drop as
            select '{t}'::uuid as tenant_id, '{s}'::uuid as story_id, '{c}'::uuid as reviewer_agent_id, criteria_digest,
                   report_number, cycle, 1 as number from whole_stories where id = '{s}'";
    let forged_results = "create temporary table verification_results on commit drop as
            select '{t}'::uuid as tenant_id, '{s}'::uuid as story_id, '{c}'::uuid as orchestrator_agent_id, 'pass' as result,
                   criteria_digest, report_number, cycle, 1 as iteration from whole_stories where id = '{s}'";
    let nobody =
        "create temporary table story_starts on commit drop as select * from public.story_starts limit 0";
    let needs = "verified_needs_evidence";
    stage
        .refused(&[
            (&[forged_reviews, RESULT, VERIFIED], needs),
            (&[REVIEW, forged_results, VERIFIED], needs),
            (&[nobody, &review_by("'{a}'"), RESULT, VERIFIED], needs),
        ])
        .await;
    let nothing = "create temporary table touched_numbers on commit drop as select * from public.touched_numbers limit 0";
    let arrives = "with arriving as (
            insert into stories (tenant_id, project_id, epic_id, id, title, number)
            select tenant_id, project_id, id, gen_random_uuid(), 'x', '1.1' from epics returning tenant_id, id)
        insert into story_states (tenant_id, id, agent_status) select tenant_id, id, 'reported_done' from arriving";
    stage.refused(&[(&["delete from stories", nothing, arrives], "not_pre_existing")]).await;
}
