//! Migrations: forward only, once, and in turns.

use std::collections::BTreeSet;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use loopctl_server::db::Login;
use loopctl_server::db::migrate::migrate;
use tokio_postgres::Config;

use super::lines;
use crate::support::{connect, server, unique};

/// The schema as the catalogue describes it, without object ids.
async fn schema(config: &Config) -> BTreeSet<String> {
    let client = connect(config).await;
    let mut all = BTreeSet::new();
    for sql in [
        "select 'column', attrelid::regclass, attname, format_type(atttypid, atttypmod), attnotnull, attgenerated,
                pg_get_expr(d.adbin, d.adrelid)
         from pg_attribute a join pg_class c on c.oid = attrelid left join pg_attrdef d on d.adrelid = attrelid and d.adnum = attnum
         where c.relnamespace = 'public'::regnamespace and attnum > 0",
        "select 'constraint', conrelid::regclass, conname, pg_get_constraintdef(oid) from pg_constraint
         where connamespace = 'public'::regnamespace",
        "select 'index', indexname, indexdef from pg_indexes where schemaname = 'public'",
        "select 'policy', tablename, policyname, cmd, qual, with_check from pg_policies",
        "select 'trigger', pg_get_triggerdef(oid), tgenabled from pg_trigger where not tgisinternal",
        "select 'function', oid::regprocedure, md5(prosrc), prosecdef, proacl from pg_proc
         where pronamespace = 'public'::regnamespace",
        "select 'table', relname, relkind, relrowsecurity, relforcerowsecurity, relacl from pg_class
         where relnamespace = 'public'::regnamespace",
        "select 'statistics', pg_get_statisticsobjdef(oid) from pg_statistic_ext",
    ] {
        all.extend(lines(&client, sql).await);
    }
    assert!(all.len() > 200, "{} facts", all.len());
    all
}

/// The migrations' own history, times included.
async fn history(config: &Config) -> Vec<String> {
    let sql = "select version, name, applied_on, checksum from refinery_schema_history order by version";
    lines(&connect(config).await, sql).await
}

/// An empty database on the test cluster, and how to connect to it.
pub(crate) async fn fresh_database() -> Login {
    let name = unique("migrated").replace('-', "_");
    connect(&server().owner).await.batch_execute(&format!("create database {name}")).await.unwrap();
    let mut config = server().owner.clone();
    config.dbname(&name);
    config
}

pub(crate) async fn drop_database(config: &Config) {
    let name = config.get_dbname().unwrap();
    connect(&server().owner)
        .await
        .batch_execute(&format!("drop database {name} with (force)"))
        .await
        .unwrap();
}

#[tokio::test]
async fn migrating_again_changes_nothing() {
    let (before, told) = (schema(&server().owner).await, history(&server().owner).await);
    for _ in 0..2 {
        let applied = migrate(&server().owner, Some("loopctl_app")).await.unwrap();
        assert_eq!(applied, [""; 0]);
    }
    assert_eq!(schema(&server().owner).await, before);
    assert_eq!(history(&server().owner).await, told);
}

/// In one database two at once take turns; in two databases of one cluster, which share the role, they do not
/// trip over each other either.
#[tokio::test]
async fn two_migrations_at_once_take_turns() {
    let configs = [fresh_database().await, fresh_database().await];
    let runs = configs
        .iter()
        .flat_map(|config| [migrate(config, None), migrate(config, None), migrate(config, None)]);
    let applied: Vec<_> = join_all(runs).await.into_iter().map(|run| run.unwrap()).collect();
    let known: Vec<_> = lines(
        &connect(&server().owner).await,
        "select 'V' || version || '__' || name from refinery_schema_history order by version",
    )
    .await;
    assert!(known.len() >= 4);
    for (config, applied) in configs.iter().zip(applied.chunks(3)) {
        let mut sorted = applied.to_vec();
        sorted.sort();
        assert_eq!(
            sorted,
            [Vec::new(), Vec::new(), known.clone()],
            "one did it all, the others had nothing to do"
        );
        assert_eq!(schema(config).await, schema(&server().owner).await);
    }
    for config in &configs {
        drop_database(config).await;
    }
}

/// This month and the three after it, and the default as a net; asking again is fine.
#[tokio::test]
async fn audit_partitions_are_there() {
    let owner = connect(&server().owner).await;
    owner
        .batch_execute("select ensure_audit_partitions(3); select ensure_audit_partitions(3)")
        .await
        .unwrap();
    let expected = "select 'audit_log_y' || to_char(month, 'YYYY') || 'm' || to_char(month, 'MM'),
                           format('FOR VALUES FROM (%L) TO (%L)', to_char(month, 'YYYY-MM-DD') || ' 00:00:00+00',
                                  to_char(month + interval '1 month', 'YYYY-MM-DD') || ' 00:00:00+00')
                    from generate_series(date_trunc('month', now() at time zone 'utc'),
                                         date_trunc('month', now() at time zone 'utc') + interval '3 months',
                                         interval '1 month') month";
    let found = "select relname, pg_get_expr(relpartbound, c.oid) from pg_inherits join pg_class c on c.oid = inhrelid
                 where inhparent = 'audit_log'::regclass";
    owner.batch_execute("set timezone = 'UTC'").await.unwrap();
    let found: BTreeSet<_> = lines(&owner, found).await.into_iter().collect();
    let mut expected: BTreeSet<_> = lines(&owner, expected).await.into_iter().collect();
    expected.insert("audit_log_default | DEFAULT".to_owned());
    assert!(expected.is_subset(&found), "{expected:#?} {found:#?}");
}

/// A server that was not restarted for longer than partitions reach: its rows fall into the default partition, and
/// neither they nor the next start fail for it.
#[tokio::test]
async fn a_late_start_copes_with_rows_that_had_no_partition() {
    let config = fresh_database().await;
    migrate(&config, None).await.unwrap();
    let owner = connect(&config).await;
    let row = "insert into audit_log (id, tenant_id, position, entity_type, entity_id, action, actor_type, leaf_hash, inserted_at)
               values (gen_random_uuid(), '00000000-0000-0000-0000-000000000000', 1, 'test', gen_random_uuid(), 'x', 'system', sha256('x'),
                       date_trunc('month', now()) + interval '5 months 3 days')";
    owner.batch_execute(row).await.unwrap();
    owner.batch_execute("select ensure_audit_partitions(6)").await.unwrap();
    let created = "select count(*) from pg_inherits where inhparent = 'audit_log'::regclass";
    let partitions: i64 = owner.query_one(created, &[]).await.unwrap().get(0);
    assert_eq!(partitions, 7, "this month and six more without the fifth, and the default");
    let strays: i64 =
        owner.query_one("select count(*) from only audit_log_default", &[]).await.unwrap().get(0);
    assert_eq!(strays, 1);
    drop_database(&config).await;
}

/// Partitions are made beside readers and writers: a reader that takes its time does not stop the writers, nor the start,
/// and what could not be had on its account is there after the next one.
#[tokio::test]
async fn partitions_come_while_the_log_is_in_use() {
    let config = fresh_database().await;
    migrate(&config, None).await.unwrap();
    let (owner, mut reader) = (connect(&config).await, connect(&config).await);
    let partitions =
        "select relname from pg_class where relkind = 'r' and relname like 'audit_log_y%' order by 1";
    let all = lines(&owner, partitions).await;
    assert_eq!(all.len(), 4);
    let facts = schema(&config).await;
    owner.batch_execute(&format!("drop table {}; drop table {}", all[2], all[3])).await.unwrap();

    let reading = reader.transaction().await.unwrap();
    reading.execute("select count(*) from audit_log", &[]).await.unwrap();
    let start = migrate(&config, None);
    let mut start = std::pin::pin!(start);
    let mut written = 0_i64;
    let row = "insert into audit_log (id, tenant_id, position, entity_type, entity_id, action, actor_type, leaf_hash, inserted_at)
               values (gen_random_uuid(), '00000000-0000-0000-0000-000000000000', $1, 'test', gen_random_uuid(), 'x', 'system', sha256('x'), clock_timestamp())";
    // A writer that has to wait fails instead.
    owner.batch_execute("set lock_timeout = '5s'").await.unwrap();
    let outcome = loop {
        if let Some(outcome) = start.as_mut().now_or_never() {
            break outcome;
        }
        written += 1;
        owner.execute(row, &[&written]).await.expect("nobody waits for the reader");
    };
    assert_eq!(outcome.unwrap(), [""; 0]);
    assert!(written > 0);
    assert_eq!(lines(&owner, partitions).await, all[..2], "while it is read");

    reading.rollback().await.unwrap();
    migrate(&config, None).await.unwrap();
    assert_eq!(lines(&owner, partitions).await, all);
    assert_eq!(schema(&config).await, facts, "as if they had been there all the time");
    drop_database(&config).await;
}
