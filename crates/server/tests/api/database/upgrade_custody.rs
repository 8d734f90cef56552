//! Stories under way and done, as the version before knew them: what is known of the work on them afterwards.

use loopctl_server::db::migrate::migrate;
use loopctl_server::serve::Server;
use reqwest::Method;
use serde_json::{Value, json};
use tokio_postgres::Client;

use super::live_migration::Client as Caller;
use super::migrations::{drop_database, fresh_database};
use super::upgrade::{migrate_to, tenant};
use crate::conventions::health::line_to;
use crate::support::connect;

/// The version before cycles, numbers of reports and digests.
const OLD: i32 = 10;

const PROJECT: &str = "01900000-0000-7000-8000-000000000000";
const EPIC: &str = "01900000-0000-7000-8000-000000000001";
/// Two implementers and somebody who reviews and verifies.
const A: &str = "01900000-0000-7000-8000-00000000000a";
const B: &str = "01900000-0000-7000-8000-00000000000b";
const C: &str = "01900000-0000-7000-8000-00000000000c";

/// Seconds after the beginning.
fn at(second: u32) -> String {
    format!("timestamptz '2026-01-01 00:00:00Z' + interval '{second} s'")
}

fn id(nth: usize) -> String {
    format!("01900000-0000-7000-9000-{nth:012}")
}

/// A database of the old version with one project.
struct Before {
    owner: Client,
    tenant: String,
}

impl Before {
    async fn run(&self, sql: String) {
        self.owner.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    async fn people(&self) {
        let t = &self.tenant;
        self.run(format!(
            "insert into agents (tenant_id, id, name, agent_type)
             values ('{t}', '{A}', 'a', 'implementer'), ('{t}', '{B}', 'b', 'implementer'), ('{t}', '{C}', 'c', 'orchestrator');
             insert into projects (tenant_id, id, name, slug) values ('{t}', '{PROJECT}', 'Old', 'old');
             insert into epics (tenant_id, id, project_id, number, title) values ('{t}', '{EPIC}', '{PROJECT}', 1, 'Epic')"
        ))
        .await;
    }

    /// Story `1.nth` with these columns besides.
    async fn story(&self, nth: usize, columns: &str) {
        let (t, story) = (&self.tenant, id(nth));
        self.run(format!(
            "set session_replication_role = replica;
             insert into stories (tenant_id, id, project_id, epic_id, epic_position, number, title)
             values ('{t}', '{story}', '{PROJECT}', '{EPIC}', 0, '1.{nth}', 'Old');
             update stories set {columns} where tenant_id = '{t}' and id = '{story}';
             reset session_replication_role"
        ))
        .await;
    }

    /// An entry of the log about story `nth`.
    async fn told(&self, nth: usize, second: u32, action: &str, old: Value, new: Value, by: &str) {
        let (t, story, time) = (&self.tenant, id(nth), at(second));
        self.run(format!(
            "update audit_heads set position = position + 1, last_at = greatest({time}, last_at + interval '1 us')
             where tenant_id = '{t}';
             insert into audit_log (id, tenant_id, position, project_id, entity_type, entity_id, action, actor_type, actor_label,
                                    old_state, new_state, leaf_hash, inserted_at)
             select gen_random_uuid(), '{t}', position, '{PROJECT}', 'story', '{story}', '{action}', 'api_key', '{by}:key',
                    '{old}', '{new}', sha256('x'), {time} + position * interval '1 us'
             from audit_heads where tenant_id = '{t}'"
        ))
        .await;
    }

    async fn status(&self, nth: usize, second: u32, status: &str, agent: &str) {
        self.told(
            nth,
            second,
            "status_changed",
            json!({}),
            json!({"agent_status": status, "agent_id": agent}),
            "agent",
        )
        .await;
    }

    async fn reviewed(&self, nth: usize, second: u32, by: &str) {
        let (t, story, time) = (&self.tenant, id(nth), at(second));
        self.run(format!(
            "insert into review_records (tenant_id, id, story_id, reviewer_agent_id, review_type, completed_at, inserted_at)
             values ('{t}', gen_random_uuid(), '{story}', '{by}', 'manual', {time}, {time})"
        ))
        .await;
    }

    /// A result of story `nth` by C.
    async fn judged(&self, nth: usize, second: u32, result: &str) {
        let (t, story, time) = (&self.tenant, id(nth), at(second));
        self.run(format!(
            "insert into verification_results (tenant_id, id, story_id, orchestrator_agent_id, result, iteration, inserted_at)
             values ('{t}', gen_random_uuid(), '{story}', '{C}', '{result}', 1, {time})"
        ))
        .await;
    }

    async fn edited(&self, nth: usize, second: u32) {
        let (old, new) = (json!({"title": "Older"}), json!({"title": "Old"}));
        self.told(nth, second, "updated", old, new, "orchestrator").await;
    }
}

/// Reported by B at second 20, implemented by A.
fn reported() -> String {
    format!(
        "agent_status = 'reported_done', assigned_agent_id = '{A}', assigned_at = {}, first_claimed_at = {}, \
         reported_done_at = {}, reported_by_agent_id = '{B}'",
        at(10),
        at(10),
        at(20)
    )
}

fn verified(columns: &str) -> String {
    format!("{columns}, verified_status = 'verified', verified_at = {}", at(40))
}

#[tokio::test]
async fn what_was_under_way_goes_on_by_the_new_rules() {
    let config = fresh_database().await;
    migrate_to(&config, OLD).await;
    let (tenant, key) = tenant(&config, "first").await;
    let old = Before { owner: connect(&config).await, tenant };
    old.people().await;
    let by_hand = format!("agent_status = 'reported_done', reported_done_at = {}", at(30));

    // Verified by each way; the second was given another title since.
    for nth in [1, 2] {
        old.story(nth, &verified(&reported())).await;
        old.reviewed(nth, 30, C).await;
        old.judged(nth, 40, "pass").await;
        old.told(nth, 40, "verified", json!({}), json!({}), "orchestrator").await;
    }
    old.edited(2, 50).await;
    for (nth, action) in [(3, "backfilled"), (4, "mark_complete")] {
        old.story(nth, &verified(&by_hand)).await;
        old.told(nth, 40, action, json!({}), json!({}), "orchestrator").await;
    }
    old.story(5, &verified(&by_hand)).await;
    // Reported and reviewed; of the second the title was changed after the review.
    for nth in [6, 7] {
        old.story(nth, &reported()).await;
        old.reviewed(nth, 30, C).await;
    }
    old.edited(7, 35).await;
    // Begun by A, given back, and taken over by B.
    let held = format!(
        "agent_status = 'implementing', assigned_agent_id = '{B}', assigned_at = {}, first_claimed_at = {}",
        at(15),
        at(10)
    );
    old.story(8, &held).await;
    old.status(8, 11, "implementing", A).await;
    old.status(8, 16, "implementing", B).await;
    // Contracted by an agent, and given back; and contracted by an orchestrator.
    old.story(9, "agent_status = 'pending'").await;
    old.status(9, 10, "contracted", A).await;
    old.story(10, "agent_status = 'pending'").await;
    old.told(10, 10, "status_changed", json!({}), json!({"agent_status": "contracted"}), "orchestrator")
        .await;
    // Rejected, and to be done again: what was reviewed was the first attempt.
    old.story(
        11,
        &format!(
            "verified_status = 'rejected', rejected_at = {}, rejection_reason = 'no', first_claimed_at = {}",
            at(40),
            at(10)
        ),
    )
    .await;
    old.reviewed(11, 30, C).await;
    old.judged(11, 40, "fail").await;
    old.status(11, 11, "implementing", A).await;
    old.told(11, 40, "rejected", json!({}), json!({}), "orchestrator").await;
    // Rejected without reset: A's work still stands.
    old.story(12, &format!("{}, verified_status = 'rejected', rejected_at = {}", reported(), at(40))).await;
    old.reviewed(12, 30, C).await;
    old.judged(12, 40, "fail").await;
    old.status(12, 11, "implementing", A).await;
    old.told(12, 40, "rejected", json!({}), json!({}), "orchestrator").await;
    // Begun by A, given back, taken over by B and reported by C. A, who reviewed it, was a stranger by the rules of then. And the
    // same, rejected without reset.
    let passed_on = format!(
        "agent_status = 'reported_done', assigned_agent_id = '{B}', assigned_at = {}, first_claimed_at = {}, \
         reported_done_at = {}, reported_by_agent_id = '{C}'",
        at(15),
        at(10),
        at(20)
    );
    for nth in [15, 16] {
        let rejected = format!(", verified_status = 'rejected', rejected_at = {}", at(40));
        old.story(nth, &[passed_on.as_str(), if nth == 16 { &rejected } else { "" }].concat()).await;
        old.status(nth, 11, "implementing", A).await;
        old.status(nth, 16, "implementing", B).await;
        old.status(nth, 20, "reported_done", C).await;
        old.reviewed(nth, 30, A).await;
    }
    old.judged(16, 40, "fail").await;
    old.told(16, 40, "rejected", json!({}), json!({}), "orchestrator").await;
    // Claimed, and deleted; and deleted untouched.
    old.status(13, 10, "assigned", A).await;
    for nth in [13, 14] {
        old.told(nth, 20, "deleted", json!({"number": format!("1.{nth}")}), json!({}), "user").await;
    }

    migrate(&config, None).await.unwrap();
    let (_line, options) = line_to(config.get_dbname().unwrap(), 2).await;
    let server = Server::start(&options).await.unwrap();
    let base = format!("http://{}", server.address);
    let user = Caller::new(base.clone(), key);
    let key = async |role: &str, agent: &str| {
        let body = json!({"name": format!("{role} {agent}"), "role": role, "agent_id": agent});
        let made = user.done(Method::POST, "/api_keys", body).await;
        Caller::new(base.clone(), made["api_key"]["raw_key"].as_str().unwrap().to_owned())
    };
    let (a, c) = (key("agent", A).await, key("agent", C).await);
    let (own, o) = (key("orchestrator", A).await, key("orchestrator", C).await);
    let post = async |who: &Caller, nth: usize, action: &str| {
        let body = match action {
            "verify" => json!({"review_type": "manual", "summary": "checked"}),
            "review-complete" => json!({"review_type": "manual"}),
            "contract" => json!({"story_title": "Old", "ac_count": 0}),
            "backfill" => json!({"reason": "done before"}),
            _ => json!({}),
        };
        let (status, answer) =
            who.call(Method::POST, &format!("/stories/{}/{action}", id(nth)), Some(&body)).await;
        (status, answer["error"]["code"].as_str().unwrap_or_default().to_owned())
    };
    let refused = |status, code: &str| (status, code.to_owned());
    let (done, made) = ((200, String::new()), (201, String::new()));

    // Where a verification came from, and what was changed since.
    for (nth, source, stale) in [
        (1, "loop", false),
        (2, "loop", true),
        (3, "backfill", false),
        (4, "mark_complete", false),
        (5, "import", false),
    ] {
        let story =
            user.done(Method::GET, &format!("/stories/{}", id(nth)), json!({})).await["story"].clone();
        assert_eq!(
            [&story["verification_source"], &story["verification_stale"]],
            [&json!(source), &json!(stale)],
            "{nth}"
        );
    }
    // A review of what the story still asks for counts.
    assert_eq!(post(&own, 6, "verify").await, refused(409, "self_verify_blocked"));
    assert_eq!(post(&o, 6, "verify").await, done);
    assert_eq!(post(&o, 7, "verify").await, refused(422, "criteria_changed"));
    assert_eq!(post(&c, 7, "review-complete").await, made);
    assert_eq!(post(&o, 7, "verify").await, done);
    // Both who began it are known.
    assert_eq!(post(&a, 8, "report").await, refused(409, "self_report_blocked"));
    assert_eq!(post(&c, 8, "report").await, done);
    assert_eq!(post(&a, 8, "review-complete").await, refused(409, "self_review_blocked"));
    // What an agent touched did not exist before the loop.
    assert_eq!(post(&o, 9, "backfill").await, refused(422, "not_pre_existing"));
    assert_eq!(post(&o, 10, "backfill").await, done);
    // The next attempt needs a review of its own, and A is a stranger to it.
    for action in ["contract", "claim", "start"] {
        assert_eq!(post(&c, 11, action).await, done, "{action}");
    }
    assert_eq!(post(&a, 11, "report").await, done);
    assert_eq!(post(&own, 11, "verify").await, refused(422, "review_not_conducted"));
    assert_eq!(post(&a, 11, "review-complete").await, made);
    assert_eq!(post(&own, 11, "verify").await, done);
    // Rejected work that stands is still A's, and so is the need of a review.
    assert_eq!(post(&a, 12, "review-complete").await, refused(409, "self_review_blocked"));
    assert_eq!(post(&o, 12, "verify").await, refused(422, "review_not_conducted"));
    assert_eq!(post(&c, 12, "review-complete").await, made);
    assert_eq!(post(&o, 12, "verify").await, done);
    // So is work that A had begun, whoever held it in the end; and what A said of it does not count.
    for nth in [15, 16] {
        assert_eq!(post(&a, nth, "review-complete").await, refused(409, "self_review_blocked"), "{nth}");
        assert_eq!(post(&own, nth, "verify").await, refused(409, "self_verify_blocked"), "{nth}");
        assert_eq!(post(&o, nth, "verify").await, refused(422, "review_not_conducted"), "{nth}");
        assert_eq!(post(&c, nth, "review-complete").await, made, "{nth}");
        assert_eq!(post(&o, nth, "verify").await, done, "{nth}");
    }
    // And a number is known after its story is gone.
    let import = async |nth: usize| {
        let story =
            json!({"number": format!("1.{nth}"), "title": "Again", "initial_verified_status": "verified"});
        let body = json!({"merge": true, "epics": [{"number": 1, "title": "Epic", "stories": [story]}]});
        let (status, answer) =
            user.call(Method::POST, &format!("/projects/{PROJECT}/import"), Some(&body)).await;
        (status, answer["error"]["code"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(import(13).await, refused(422, "not_pre_existing"));
    assert_eq!(import(14).await, done);
    server.stop().await.unwrap();
    drop_database(&config).await;
}
