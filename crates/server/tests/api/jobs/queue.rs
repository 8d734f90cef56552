//! Enqueuing and taking: once each, in turns, and by those alone who may.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use loopctl_core::json::JsonText;
use loopctl_server::db::{Db, DbError, Tx};
use loopctl_server::jobs::{Alone, Job, JobError, Kind, Pace};
use loopctl_server::operator::run_job;
use loopctl_server::serve::{ServeOptions, Server};
use serde_json::Value;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use super::{Probe, Sort, database};
use crate::support::{Tenant, connect, own_database, rounds, server, unique};

async fn refused(client: &Client, sql: &str) -> SqlState {
    client.batch_execute(sql).await.expect_err(sql).code().cloned().unwrap()
}

/// The application enqueues and reads, of its own tenant. It cannot say that anything was done.
#[tokio::test]
async fn the_application_only_enqueues() {
    let (tenant, other, sort) = (Tenant::new().await, Tenant::new().await, Sort::new());
    let alone = Alone::new(&database()).unwrap();
    sort.enqueue(&alone, other.id.parse().unwrap(), "succeed").await;
    let app = connect(&server().app).await;
    let set = format!("set role loopctl_app; set loopctl.tenant_id = '{}'", tenant.id);
    app.batch_execute(&set).await.unwrap();
    let seen = app.query("select from jobs where kind = $1", &[&sort.name]).await.unwrap();
    assert!(seen.is_empty(), "another tenant's job is seen");
    let insert = |columns: &str, values: &str| {
        format!(
            "insert into jobs (tenant_id, id, queue, kind, max_attempts{columns})
                 values ('{}', gen_random_uuid(), 'q', 'k', 1{values})",
            tenant.id
        )
    };
    for sql in [
        "update jobs set state = 'completed'".to_owned(),
        "delete from jobs".to_owned(),
        "truncate jobs".to_owned(),
        "update job_schedules set next_at = now()".to_owned(),
        "delete from job_schedules".to_owned(),
        insert(", state", ", 'completed'"),
        insert(", attempt", ", 1"),
        insert("", "").replace(&tenant.id, &other.id),
        insert("", "").replace(&tenant.id, &Uuid::nil().to_string()),
    ] {
        assert_eq!(refused(&app, &sql).await, SqlState::INSUFFICIENT_PRIVILEGE, "{sql}");
    }
    for sql in [
        insert(", args", ", jsonb_build_object('a', repeat('x', 65536))"),
        insert(", args", ", '[]'"),
        insert(", unique_key", ", repeat('x', 501)"),
        insert("", "").replace("'k', 1", "'k', 0"),
    ] {
        assert_eq!(refused(&app, &sql).await, SqlState::CHECK_VIOLATION, "{sql}");
    }
    alone.stop().await;
}

/// It is there when its transaction is committed, and not otherwise.
#[tokio::test]
async fn a_job_goes_with_its_transaction() {
    let (sort, probe) = (Sort::new(), Arc::new(Probe::default()));
    let worker = sort.worker(&probe);
    let (kind, args) = (sort.kind(), JsonText::empty_object());
    let taken_back = worker.db().transaction(Uuid::nil(), async |mut tx| {
        worker.queue.enqueue(&mut tx, kind.task(), &args, None).await?;
        Err::<(), _>(DbError::Unexpected("a rule refuses".to_owned()))
    });
    taken_back.await.unwrap_err();
    sort.enqueue(&worker, Uuid::nil(), "succeed").await;
    sort.all_are("completed", 1).await;
    assert_eq!(probe.begun().len(), 1);
    worker.stop().await;
}

#[tokio::test]
async fn of_a_key_one_is_unfinished() {
    let (sort, probe) = (Sort::new(), Arc::new(Probe::default()));
    let alone = Alone::new(&database()).unwrap();
    let (kind, args, tenant) = (sort.kind(), JsonText::empty_object(), Uuid::now_v7());
    let enqueue = async |tenant, key| alone.enqueue(tenant, &kind, &args, Some(key)).await.unwrap().is_some();
    assert!(enqueue(Uuid::nil(), "a").await);
    assert!(!enqueue(Uuid::nil(), "a").await);
    assert!(enqueue(Uuid::nil(), "b").await, "another key");
    assert!(enqueue(tenant, "a").await, "another tenant's");
    let worker = sort.worker(&probe);
    sort.all_are("completed", 3).await;
    assert!(enqueue(Uuid::nil(), "a").await, "it is finished");
    worker.queue.wake();
    sort.all_are("completed", 4).await;
    alone.stop().await;
    worker.stop().await;
}

/// Several workers, each job once.
#[tokio::test]
async fn a_job_is_taken_by_one() {
    let (sort, probe) = (Sort::new(), Arc::new(Probe::default()));
    let tenants = [Uuid::nil(), Uuid::now_v7(), Uuid::now_v7()];
    let count = rounds(60);
    let alone = Alone::new(&database()).unwrap();
    let mut ids = BTreeSet::new();
    for nth in 0..count {
        ids.insert(sort.enqueue(&alone, tenants[nth % 3], "succeed").await);
    }
    let workers = [sort.worker(&probe), sort.worker(&probe), sort.worker(&probe)];
    sort.all_are("completed", count).await;
    let begun = probe.begun();
    assert_eq!(begun.len(), count);
    assert_eq!(begun.iter().map(|(id, ..)| *id).collect::<BTreeSet<_>>(), ids);
    for worker in workers {
        worker.stop().await;
    }
    alone.stop().await;
}

/// How many jobs use a connection at the same time: now, and at most so far.
#[derive(Default)]
struct Used([AtomicUsize; 2]);

type Share = (Db, Arc<Used>);

fn use_a_connection((db, used): Share, job: Job) -> BoxFuture<'static, Result<Value, JobError>> {
    Box::pin(async move {
        let work = |tx: Tx| {
            let used = Arc::clone(&used);
            async move {
                let Used([now, most]) = &*used;
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(100)).await;
                now.fetch_sub(1, Ordering::SeqCst);
                drop(tx);
                Ok(Value::Null)
            }
        };
        db.transaction(job.tenant_id, work).await
    })
}

/// However many queues there are: jobs have a quarter of the ten connections.
#[tokio::test]
async fn jobs_share_a_quarter_of_the_connections() {
    let sorts = [Sort::new(), Sort::new(), Sort::new()];
    let alone = Alone::new(&database()).unwrap();
    for sort in &sorts {
        for _ in 0..4 {
            sort.enqueue(&alone, Uuid::nil(), "").await;
        }
    }
    let kinds = sorts.iter().map(|sort| {
        let Kind { name, queue, scope, schedule, at_start, args, attempts, backoff, needs_owner, .. } =
            sort.kind();
        Kind {
            name,
            queue,
            scope,
            schedule,
            at_start,
            args,
            attempts,
            backoff,
            needs_owner,
            run: use_a_connection,
        }
    });
    let used = Arc::<Used>::default();
    alone.begin(&database(), kinds.collect(), |db| (db, Arc::clone(&used)), Pace::default(), false);
    for sort in &sorts {
        sort.all_are("completed", 4).await;
    }
    assert_eq!(used.0[1].load(Ordering::SeqCst), 2);
    alone.stop().await;
}

/// Somebody has thousands waiting, and others one.
#[tokio::test]
async fn tenants_take_turns() {
    let (sort, alone) = (Sort::new(), Alone::new(&database()).unwrap());
    let mut tenants = [Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7()];
    tenants.sort();
    for _ in 0..10 {
        sort.enqueue(&alone, tenants[0], "succeed").await;
    }
    sort.enqueue(&alone, tenants[1], "succeed").await;
    sort.enqueue(&alone, tenants[2], "succeed").await;
    let owner = connect(&server().owner).await;
    let claim = async |places: i32, after: Option<Uuid>| -> Vec<Uuid> {
        let sql = "select tenant_id from claim_jobs($1, array[$1], $2, $3, 60)";
        let rows = owner.query(sql, &[&sort.name, &places, &after]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    };
    let [a, b, c] = tenants;
    assert_eq!(claim(2, None).await, [a, b]);
    assert_eq!(claim(2, Some(b)).await, [c, a]);
    assert_eq!(claim(3, Some(a)).await, [a, a, a], "nobody else has any");
    assert_eq!(claim(100, Some(c)).await, [a; 5]);
    assert!(claim(100, None).await.is_empty());
    owner.execute("delete from jobs where kind = $1", &[&sort.name]).await.unwrap();
    alone.stop().await;
}

#[tokio::test]
async fn what_is_finished_is_forgotten_after_a_week() {
    let owner = connect(&server().owner).await;
    let kind = unique("kind");
    let insert =
        "insert into jobs (tenant_id, id, queue, kind, state, max_attempts, scheduled_at, completed_at)
                  select gen_random_uuid(), gen_random_uuid(), 'q', $1, $2, 1, now() - $3::text::interval,
                         case when $2 <> 'available' then now() - $3::text::interval end
                  from generate_series(1, $4::int)";
    for (state, age, count) in [
        ("completed", "8 days", 2500),
        ("discarded", "8 days", 2),
        ("completed", "6 days", 3),
        ("available", "300 days", 4),
    ] {
        owner.execute(insert, &[&kind, &state, &age, &count]).await.unwrap();
    }
    let run = run_job(&database(), "prune_jobs", None, &serde_json::Map::new()).await.unwrap();
    assert_eq!((run.state.as_str(), run.error), ("completed", None));
    assert!(run.result.unwrap()["pruned"].as_i64() >= Some(2502));
    let left = "select state, count(*) from jobs where kind = $1 group by 1 order by 1";
    let left = owner.query(left, &[&kind]).await.unwrap();
    let left: Vec<(String, i64)> = left.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(left, [("available".to_owned(), 4), ("completed".to_owned(), 3)]);
    let stats = "select state, jobs, oldest_due > 299 * 86400 from job_queue_stats() where kind = $1";
    let stats = owner.query_one(stats, &[&kind]).await.unwrap();
    assert_eq!(
        (stats.get::<_, String>(0), stats.get::<_, i64>(1), stats.get(2)),
        ("available".to_owned(), 4, true)
    );
    owner.execute("delete from jobs where kind = $1", &[&kind]).await.unwrap();
}

#[tokio::test]
async fn operators_are_told_what_there_is() {
    for (name, tenant, told) in [
        ("prune", None, "there are audit_partitions, prune_jobs"),
        ("prune_jobs", Some("acme"), "leave out --tenant"),
        ("embed_what_lacks", Some("acme"), "only done by servers and workers"),
    ] {
        let error =
            run_job(&database(), name, tenant, &serde_json::Map::new()).await.err().unwrap().to_string();
        assert!(error.contains(told), "{error}");
    }
    let as_app = loopctl_server::config::Database { owner: server().app.clone(), ..database() };
    let error =
        run_job(&as_app, "audit_partitions", None, &serde_json::Map::new()).await.err().unwrap().to_string();
    assert!(error.contains("set ADMIN_DATABASE_URL"), "{error}");
}

/// Thousands come and go, and are cleared away as often as the table asks for it: table and indexes stay as large as what there is at
/// a time.
#[tokio::test]
async fn the_table_does_not_bloat() {
    let options = ServeOptions { jobs: false, ..ServeOptions::local(own_database()) };
    let quiet = Server::start(&options).await.unwrap();
    let owner = connect(&quiet.database.owner).await;
    let insert = "insert into jobs (tenant_id, id, queue, kind, max_attempts)
                  select '00000000-0000-0000-0000-000000000000', gen_random_uuid(), 'q', 'k', 1
                  from generate_series(1, 100)";
    let claim = "select tenant_id, id, lease from claim_jobs('q', array['k'], 100, null, 60)";
    let finish = "select finish_job($1, $2, $3, null, null, 0)";
    let sizes = "select pg_relation_size('jobs') / 8192, pg_indexes_size('jobs') / 8192, n_dead_tup
                 from pg_stat_user_tables where relname = 'jobs'";
    let mut largest = (0, 0);
    for batch in 1..=rounds(20) {
        owner.execute(insert, &[]).await.unwrap();
        let claimed = owner.query(claim, &[]).await.unwrap();
        assert_eq!(claimed.len(), 100);
        for job in claimed {
            let ids: [Uuid; 3] = [job.get(0), job.get(1), job.get(2)];
            let state = owner.query_one(finish, &[&ids[0], &ids[1], &ids[2]]).await.unwrap();
            assert_eq!(state.get::<_, String>(0), "completed");
        }
        owner.execute("update jobs set completed_at = now() - interval '8 days'", &[]).await.unwrap();
        owner.execute("select prune_jobs(1000)", &[]).await.unwrap();
        if batch % 5 == 0 {
            // More dead rows than make autovacuum come.
            owner.batch_execute("vacuum jobs").await.unwrap();
            let row = owner.query_one(sizes, &[]).await.unwrap();
            let found: (i64, i64) = (row.get(0), row.get(1));
            println!("{} jobs: {found:?} pages, {} dead", 100 * batch, row.get::<_, i64>(2));
            largest = (largest.0.max(found.0), largest.1.max(found.1));
        }
    }
    // 500 jobs come by between two, each as four versions of a row of 200 bytes.
    assert!(largest.0 < 100 && largest.1 < 250, "{largest:?} pages");
    quiet.stop().await.unwrap();
}
