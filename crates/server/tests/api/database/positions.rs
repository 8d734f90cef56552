//! Positions of a tenant's entries are gap-free and their timestamps strictly increasing, in commit order, so that a
//! reader who continues from the last entry that it saw misses none.

use futures_util::future::join_all;
use loopctl_core::ledger::leaf_hash;
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::support::{Caller, Reach, Tenant, bring, connect, server, unique};

const WRITERS: usize = 16;
const CHANGES: usize = 8;

/// Asserts the order of a tenant's entries; how many there are.
async fn assert_in_order(owner: &Client, tenant_id: &str) -> i64 {
    let row = owner
        .query_one(
            "select count(*),
                    coalesce(bool_and(position = nth), true),
                    coalesce(bool_and(inserted_at > before or before is null), true),
                    coalesce(max(position), 0) = (select position from audit_heads where tenant_id = $1::text::uuid),
                    coalesce(max(inserted_at) = (select last_at from audit_heads where tenant_id = $1::text::uuid), true)
             from (select position, inserted_at, row_number() over (order by inserted_at) as nth,
                          lag(inserted_at) over (order by position) as before
                   from audit_log where tenant_id = $1::text::uuid) a",
            &[&tenant_id],
        )
        .await
        .unwrap();
    let facts = [row.get::<_, bool>(1), row.get(2), row.get(3), row.get(4)];
    assert_eq!(
        facts, [true; 4],
        "positions 1..n in the order of time, times increasing, head at the end of both"
    );
    row.get(0)
}

/// Many writers, of single entries and of several at once; a reader who looks all the while.
#[tokio::test]
async fn positions_are_in_commit_order() {
    let tenant = Tenant::new().await;
    let (agent, project) = (tenant.agent().await, tenant.project().await);
    let story = tenant.story().await;
    let before = assert_in_order(&connect(&server().owner).await, &tenant.id).await;
    let writer = async |number: usize| {
        for change in 0..CHANGES {
            if number.is_multiple_of(4) {
                // Five entries: two epics, two stories, the import.
                let (one, two) = (number * 1000 + change * 2 + 1, number * 1000 + change * 2 + 2);
                let epic = |number: usize| {
                    json!({"number": number, "title": "E", "stories": [
                    {"number": format!("{}.{}", number % 9999, number / 9999 + 1), "title": "S"}]})
                };
                let path = format!("/projects/{project}/import");
                tenant.user.post(&path, json!({"epics": [epic(one), epic(two)]})).await.expect(201);
            } else {
                let body = json!({"artifact_type": "test", "path": format!("{number}/{change}")});
                agent.post(&format!("/stories/{story}/artifacts"), body).await.expect(201);
            }
        }
    };
    // What a reader sees at any moment is a beginning of the log: whatever becomes visible later comes later.
    let (done, mut stop) = tokio::sync::oneshot::channel::<()>();
    let id = tenant.id.clone();
    let reader = tokio::spawn(async move {
        let owner = connect(&server().owner).await;
        let (mut seen, mut looks) = (0_i64, 0_u32);
        while stop.try_recv() == Err(tokio::sync::oneshot::error::TryRecvError::Empty) {
            let sql =
                "select count(*), coalesce(max(position), 0) from audit_log where tenant_id = $1::text::uuid";
            let row = owner.query_one(sql, &[&id]).await.unwrap();
            let (count, max): (i64, i64) = (row.get(0), row.get(1));
            assert_eq!(count, max, "an entry became visible before one of a lower position");
            assert!(count >= seen);
            looks += u32::from(count > seen);
            seen = count;
        }
        looks
    });
    join_all((0..WRITERS).map(writer)).await;
    done.send(()).unwrap();
    assert!(reader.await.unwrap() > 5, "the reader has seen the log grow");
    let written = (WRITERS / 4 * CHANGES * 5 + WRITERS * 3 / 4 * CHANGES) as i64;
    let after = assert_in_order(&connect(&server().owner).await, &tenant.id).await;
    assert_eq!(after - before, written);
}

/// A clock that goes backwards does not go backwards here.
#[tokio::test]
async fn time_never_goes_backwards() {
    let tenant = Tenant::new().await;
    let owner = connect(&server().owner).await;
    // The trigger that keeps the clock from being set is not what is tested here.
    owner.batch_execute("set session_replication_role = replica").await.unwrap();
    let head = "update audit_heads set last_at = clock_timestamp() + interval '1 hour'
                where tenant_id = $1::text::uuid returning last_at::text";
    let ahead: String = owner.query_one(head, &[&tenant.id]).await.unwrap().get(0);
    for _ in 0..3 {
        tenant.project_of(&["1.1", "1.2"]).await;
    }
    let later = "select count(*), count(*) filter (where inserted_at > $2::text::timestamptz),
                        max(inserted_at) - $2::text::timestamptz = count(*) filter (
                            where inserted_at > $2::text::timestamptz) * interval '1 microsecond'
                 from audit_log where tenant_id = $1::text::uuid";
    let row = owner.query_one(later, &[&tenant.id, &ahead]).await.unwrap();
    // Two of the tenant's making; per project one, and of its import an epic, two stories and the summary.
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (17, 15));
    assert!(row.get::<_, bool>(2), "consecutive microseconds after the last");
    assert_in_order(&owner, &tenant.id).await;
}

/// The head of a tenant's log, which a test has taken away.
pub(crate) async fn put_head_back(owner: &Client, tenant: &str) {
    let head = "insert into audit_heads (tenant_id, position, last_at)
                select tenant_id, max(position), max(inserted_at) from audit_log where tenant_id = $1::text::uuid group by 1";
    assert_eq!(owner.execute(head, &[&tenant]).await.unwrap(), 1);
}

/// Without its head nothing can be recorded, and then nothing happens.
#[tokio::test]
async fn without_a_head_nothing_changes() {
    let tenant = Tenant::new().await;
    let owner = connect(&server().owner).await;
    let delete = "delete from audit_heads where tenant_id = $1::text::uuid";
    assert_eq!(owner.execute(delete, &[&tenant.id]).await.unwrap(), 1);
    let slug = unique("headless");
    let error = tenant
        .user
        .post("/projects", json!({"name": "x", "slug": slug}))
        .await
        .expect_error(500, "internal_error");
    assert_eq!(error["message"], "Internal server error");
    tenant.user.patch("/tenants/me", json!({"name": "never"})).await.expect_error(500, "internal_error");
    assert_eq!(tenant.user.get("/projects").await.expect(200)["meta"]["total_count"], 0);
    assert_eq!(tenant.user.get("/tenants/me").await.expect(200)["tenant"]["name"], tenant.slug);
    put_head_back(&owner, &tenant.id).await;
}

/// An entry's hash can be computed from what the database gives back, whatever was recorded.
#[tokio::test]
async fn leaf_hashes_can_be_recomputed() {
    let tenant = Tenant::new().await;
    let (a1, a2, o) = (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
    let story = tenant.story().await;
    bring(&story, Reach::Verified, &a1, &a2, &o).await;
    // Numbers and texts that a database might give back in another form.
    let settings = json!({
        "float": 0.1, "whole": 1.0, "large": 1e21, "larger": 1.5e300, "small": 1e-7, "tiny": 5e-324, "exact": 9_007_199_254_740_993_i64,
        "unsigned": 18_446_744_073_709_551_615_u64, "negative": -0.0, "max": f64::MAX, "digits": 1.234_567_890_123_456_7,
        "texts": ["é", "e\u{301}", "\u{2028}", "\u{1f600}", "\u{7f}", "\\u0000", "\"/\u{8}\u{c}\n\r\t"],
        "order": {"b": 1, "a": {"\u{1f600}": 1, "\u{fb33}": 2, "": 3}}, "null": {"inner": null}, "nested": [[], {}, [{}]],
    });
    tenant.user.patch("/tenants/me", json!({"settings": settings})).await.expect(200);
    // And once more, so that they are the old state, too.
    tenant.user.patch("/tenants/me", json!({"settings": {"float": 0.2}})).await.expect(200);
    let key = loopctl_server::operator::create_superadmin_key(&server().owner, "hash").await.unwrap();
    let mut superadmin = Caller::with_key(&key.raw_key);
    superadmin.headers.push(("x-impersonate-tenant", tenant.id.clone()));
    superadmin.patch("/tenants/me", json!({"name": "Ünïcode\u{1f600}"})).await.expect(200);
    let rows = connect(&server().owner)
        .await
        .query(
            "select jsonb_build_object('action', action, 'actor_id', actor_id, 'actor_label', actor_label,
                        'actor_type', actor_type, 'entity_id', entity_id, 'entity_type', entity_type,
                        'metadata', metadata, 'new_state', new_state, 'old_state', old_state, 'project_id', project_id),
                    leaf_hash
             from audit_log where tenant_id = $1::text::uuid",
            &[&tenant.id],
        )
        .await
        .unwrap();
    assert!(rows.len() > 20);
    for row in rows {
        let (content, stored): (Value, Vec<u8>) = (row.get(0), row.get(1));
        assert_eq!(hex::encode(leaf_hash(&content).unwrap()), hex::encode(stored), "{content:#}");
        // Whatever is changed, shows.
        let mut forged = content.clone();
        forged["metadata"]["forged"] = json!(true);
        assert_ne!(leaf_hash(&forged).unwrap(), leaf_hash(&content).unwrap());
    }
}
