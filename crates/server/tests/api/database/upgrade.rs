//! A database of an older version, with data as that version allowed it, is brought to the newest one: nothing is lost,
//! nothing is out of order, and what is there goes on.

use loopctl_server::db::migrate::migrate;
use loopctl_server::operator;
use loopctl_server::serve::{ServeError, Server};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config};
use uuid::Uuid;

use super::live_migration::Client as Caller;
use super::migrations::{drop_database, fresh_database};
use super::{lines, refused};
use crate::conventions::health::line_to;
use crate::support::connect;

mod old {
    refinery::embed_migrations!("migrations");
}

/// The version before story numbers had more than two parts, and before backfills were told from what claimed to be one.
const OLD: i32 = 7;

/// Project and epics have the same ids in every tenant: a tenant is part of each key.
const PROJECT: &str = "01900000-0000-7000-8000-000000000000";
const EPICS: [&str; 2] = ["01900000-0000-7000-8000-000000000001", "01900000-0000-7000-8000-000000000002"];

/// Brings an empty database to an old version, as its start did.
pub(super) async fn migrate_to(config: &Config, version: i32) {
    let mut owner = connect(config).await;
    let to = refinery::Target::Version(version);
    old::migrations::runner().set_target(to).run_async(&mut owner).await.unwrap();
    let besides = "grant select on refinery_schema_history to loopctl_app; select ensure_audit_partitions(3)";
    owner.batch_execute(besides).await.unwrap();
}

/// A story as the old version kept it.
struct Old {
    epic: usize,
    number: String,
    metadata: Value,
}

/// As the old version read a number.
fn parts(number: &str) -> (u32, u32) {
    let (major, minor) = number.split_once('.').unwrap_or((number, "0"));
    (major.parse().unwrap(), minor.parse().unwrap())
}

/// The id that a story of this number has here.
fn id(number: &str) -> String {
    let (major, minor) = parts(number);
    format!("01900000-0000-7000-9000-{major:04}{minor:08}")
}

impl Old {
    async fn insert(&self, owner: &Client, tenant: &str) {
        let (major, minor) = parts(&self.number);
        let (story, epic, position) = (id(&self.number), EPICS[self.epic], self.epic);
        let Self { number, metadata, .. } = self;
        let sql = format!(
            "insert into stories (tenant_id, id, project_id, epic_id, epic_position, number, major, minor, title, metadata)
             values ('{tenant}', '{story}', '{PROJECT}', '{epic}', {position}, '{number}', {major}, {minor}, 'old',
                     '{metadata}')"
        );
        owner.batch_execute(&sql).await.unwrap();
    }
}

/// A project with two epics.
async fn plan(owner: &Client, tenant: &str) {
    let [first, second] = EPICS;
    let sql = format!(
        "insert into projects (tenant_id, id, name, slug) values ('{tenant}', '{PROJECT}', 'Old', 'old');
         insert into epics (tenant_id, id, project_id, number, title, position)
         values ('{tenant}', '{first}', '{PROJECT}', 1, 'first', 0), ('{tenant}', '{second}', '{PROJECT}', 2, 'second', 1)"
    );
    owner.batch_execute(&sql).await.unwrap();
}

/// A backfill of a story, with its entry in the log.
async fn backfill(owner: &Client, tenant: &str, number: &str) {
    let id = id(number);
    let sql = format!(
        r#"update stories set verified_status = 'verified', verified_at = now(), agent_status = 'reported_done',
               metadata = metadata || '{{"backfill": {{"reason": "true"}}}}'
           where tenant_id = '{tenant}' and id = '{id}';
           with head as (
               update audit_heads set position = position + 1, last_at = clock_timestamp()
               where tenant_id = '{tenant}' returning position, last_at
           )
           insert into audit_log (id, tenant_id, position, entity_type, entity_id, action, actor_type, leaf_hash, inserted_at)
           select gen_random_uuid(), '{tenant}', position, 'story', '{id}', 'backfilled', 'system', sha256('x'), last_at
           from head"#
    );
    owner.batch_execute(&sql).await.unwrap();
}

/// What is known of stories, without what one version computes and the other does not.
async fn stories(owner: &Client, table: &str) -> Vec<Value> {
    let sql = format!(
        "select to_jsonb(s) - array['major', 'minor', 'order_key', 'criteria_digest', 'first_touched_at', 'cycle',
                                    'report_number', 'report_cycle', 'contracted_digest', 'verified_digest',
                                    'verification_source', 'unmet_stories', 'unmet_epics', 'ready', 'blocked', 'taken', 'prerequisites', 'has_evidence']
         from {table} s order by tenant_id, id"
    );
    owner.query(&sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// A tenant of the old version, with its key.
pub(super) async fn tenant(config: &Config, slug: &str) -> (String, String) {
    let (tenant, key) = (Uuid::now_v7().to_string(), format!("lc_{slug:0>40}"));
    let hash: String = Sha256::digest(&key).iter().map(|byte| format!("{byte:02x}")).collect();
    let sql = format!(
        "insert into tenants (id, name, slug) values ('{tenant}', '{slug}', '{slug}');
         insert into api_keys (id, tenant_id, name, key_hash, key_prefix, role)
         values (gen_random_uuid(), '{tenant}', 'root', '{hash}', 'lc_', 'user')"
    );
    connect(config).await.batch_execute(&sql).await.unwrap();
    (tenant, key)
}

/// Stories of a project as they are listed.
async fn listed(caller: &Caller) -> Vec<Value> {
    let list = caller.done(Method::GET, &format!("/stories?project_id={PROJECT}"), json!({})).await;
    list["data"].as_array().unwrap().clone()
}

fn numbers(stories: &[Value]) -> Vec<&str> {
    stories.iter().map(|story| story["number"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn what_an_older_version_kept_goes_on() {
    let config = fresh_database().await;
    migrate_to(&config, OLD).await;
    let ((a, key), (b, _)) = (tenant(&config, "first").await, tenant(&config, "second").await);
    let owner = connect(&config).await;
    // Leading zeros did not count, however many.
    let (long, longer) = (format!("{}1.11", "0".repeat(57)), format!("{}2.3", "0".repeat(116)));
    let (first, second) = (["1", "1.2", "1.10", long.as_str(), "2.1"], [longer.as_str(), "2.20", "10.1"]);
    let forged = json!({"backfill": {"reason": "forged"}, "note": "kept"});
    let forged_over_import =
        json!({"backfill": {"reason": "forged"}, "imported_backfill": {"reason": "imported"}});
    plan(&owner, &a).await;
    plan(&owner, &b).await;
    // Not in their order.
    for (epic, numbers) in [(1, &second[..]), (0, &first[..])] {
        for number in numbers.iter().rev() {
            let metadata = match *number {
                "1.2" => forged.clone(),
                "10.1" => forged_over_import.clone(),
                _ => json!({"n": number}),
            };
            Old { epic, number: (*number).to_owned(), metadata }.insert(&owner, &a).await;
        }
    }
    // The other tenant's log tells of a story with the id of one that was forged here.
    Old { epic: 0, number: "1.2".to_owned(), metadata: json!({}) }.insert(&owner, &b).await;
    backfill(&owner, &b, "1.2").await;
    backfill(&owner, &a, "2.1").await;
    owner
        .batch_execute(&format!(
            "insert into story_dependencies (tenant_id, id, project_id, story_id, depends_on_story_id)
             values ('{a}', gen_random_uuid(), '{PROJECT}', '{}', '{}')",
            id(&long),
            id("1.10"),
        ))
        .await
        .unwrap();
    let log =
        "select to_jsonb(a) from audit_log a where entity_type <> 'nobody' order by tenant_id, position";
    // Of no tenant: in a month's partition, and in that of all other times.
    owner
        .batch_execute(
            "insert into audit_log (id, position, entity_type, entity_id, action, actor_type, leaf_hash, inserted_at)
             select gen_random_uuid(), n, 'nobody', gen_random_uuid(), 'x', 'system', sha256('x'), at
             from (values (1, now()), (2, '2090-01-01'::timestamptz)) old (n, at)",
        )
        .await
        .unwrap();
    let (before, told) = (stories(&owner, "stories").await, lines(&owner, log).await);
    let old_order = "select number from stories order by tenant_id, epic_position, major, minor, number, id";
    let old_order = lines(&owner, old_order).await;

    // A server is of one version.
    let (_line, options) = line_to(config.get_dbname().unwrap(), 2).await;
    let too_early = Server::start(&options).await.err();
    assert!(matches!(too_early, Some(ServeError::Schema { found: OLD, .. })), "{too_early:?}");

    let applied = migrate(&config, None).await.unwrap();
    assert!(applied[0].starts_with("V8__"), "{applied:?}");
    // A trigger refuses every other number; this is about the check that is left without it.
    owner.batch_execute("set session_replication_role = replica").await.unwrap();
    for wrong in [
        "",
        "1..2",
        ".1",
        "1.",
        "1.2.3.4.5.6.7",
        "1.\u{fc}",
        &"x".repeat(33),
        "00000.10000000000000000000000000000000000",
    ] {
        let sql = format!("update stories set number = '{wrong}' where id = '{}'", id("1"));
        // Of nothing there is no place in an order.
        let code = if wrong.is_empty() { SqlState::NOT_NULL_VIOLATION } else { SqlState::CHECK_VIOLATION };
        assert_eq!(refused(&owner, &sql).await, code, "{wrong}");
    }
    owner.batch_execute("reset session_replication_role").await.unwrap();
    let after = stories(&owner, "whole_stories").await;
    // Entries of the log are forged here.
    let check = operator::check(&config, None).await.unwrap();
    let kept = check.differences.iter().filter(|difference| !difference.entity.starts_with("log_"));
    assert_eq!(kept.count(), 0, "what is kept is what is found: {:?}", check.differences);
    let moved = |number: &str| {
        after.iter().find(|story| story["tenant_id"] == a.as_str() && story["number"] == number).unwrap()
    };
    // What no backfill has said is kept as what an import has told, and takes the place of nothing.
    let imported = json!({"imported_backfill": {"reason": "forged"}, "note": "kept"});
    assert_eq!(moved("1.2")["metadata"], imported);
    assert_eq!(moved("10.1")["metadata"], json!({"imported_backfill": {"reason": "imported"}}));
    let mut expected = before.clone();
    for story in &mut expected {
        if story["metadata"]["backfill"]["reason"] == "forged" {
            story["metadata"] = moved(story["number"].as_str().unwrap())["metadata"].clone();
        }
    }
    assert_eq!(after, expected, "everything else as it was");
    assert_eq!(lines(&owner, log).await, told);
    let nobodys = "select distinct tenant_id, count(*) over () from audit_log where entity_type = 'nobody'";
    assert_eq!(lines(&owner, nobodys).await, ["00000000-0000-0000-0000-000000000000 | 2"]);

    let server = Server::start(&options).await.unwrap();
    let caller = Caller::new(format!("http://{}", server.address), key);
    let order = [&first[..], &second[..]].concat();
    let list = listed(&caller).await;
    assert_eq!(numbers(&list), order);
    let new_order = "select number from stories order by tenant_id, epic_position, order_key, number, id";
    assert_eq!(lines(&owner, new_order).await, old_order);
    for story in &list {
        let path = format!("/stories/{}", story["id"].as_str().unwrap());
        assert_eq!(caller.done(Method::GET, &path, json!({})).await["story"]["number"], story["number"]);
        let by_number = format!("/stories?project_id={PROJECT}&number={}", story["number"].as_str().unwrap());
        assert_eq!(caller.done(Method::GET, &by_number, json!({})).await["meta"]["total_count"], 1);
        // Planners change it as any other, and what a backfill has said outlasts that.
        let changed =
            caller.done(Method::PATCH, &path, json!({"title": "new", "metadata": {"new": 1}})).await;
        let backfilled = if story["number"] == "2.1" { json!({"reason": "true"}) } else { Value::Null };
        assert_eq!(changed["story"]["metadata"]["backfill"], backfilled);
        let forge = json!({"metadata": {"backfill": {"reason": "forged again"}}});
        assert_eq!(caller.call(Method::PATCH, &path, Some(&forge)).await.0, 422);
    }
    let ready = caller.done(Method::GET, &format!("/projects/{PROJECT}/stories/ready"), json!({})).await;
    let waits = |number: &&&str| **number != long && **number != "2.1";
    let expected: Vec<_> = order.iter().filter(waits).copied().collect();
    assert_eq!(numbers(ready["data"].as_array().unwrap()), expected);

    // Stories go where their epic goes.
    caller.done(Method::PATCH, &format!("/epics/{}", EPICS[0]), json!({"position": 5})).await;
    assert_eq!(numbers(&listed(&caller).await), [&second[..], &first[..]].concat());
    // New ones stand among the old.
    let new = json!({"epic_number": 1, "number": "1.2.1", "title": "new"});
    caller.done(Method::POST, &format!("/projects/{PROJECT}/stories"), new).await;
    let between = [&second[..], &first[..2], &["1.2.1"], &first[2..]].concat();
    assert_eq!(numbers(&listed(&caller).await), between);
    owner
        .batch_execute("update stories set title = 'by hand'; set role loopctl_app; select try_writing()")
        .await
        .unwrap();
    server.stop().await.unwrap();
    drop_database(&config).await;
}
