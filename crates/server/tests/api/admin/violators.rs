//! What ought not to be there: found by a scan, and seen to by superadmins.

use futures_util::future::join_all;
use loopctl_server::operator::scan_violators;
use serde_json::{Value, json};

use super::NOBODY;
use crate::identity::impersonation::superadmin;
use crate::isolation::violation;
use crate::support::{Caller, Reach, Tenant, bring, connect, server, text};

/// Those of a tenant, newest first.
async fn listed(superadmin: &Caller, tenant: &Tenant, rest: &str) -> Vec<Value> {
    let list = superadmin.get(&format!("/admin/violators?tenant_id={}{rest}", tenant.id)).await.expect(200);
    list["data"].as_array().unwrap().clone()
}

/// How many a scan finds of this tenant that were not known, and how many are pending.
async fn scan(tenant: &Tenant) -> (u64, i64) {
    let scan = scan_violators(&server().owner, Some(tenant.id.parse().unwrap())).await.unwrap();
    assert_eq!(scan.violations.len() as i64, scan.pending);
    (scan.new, scan.pending)
}

/// Past all triggers, as somebody might who restores a part of a backup.
async fn forge(sql: &str, params: &[&(dyn tokio_postgres::types::ToSql + Sync)]) {
    let owner = connect(&server().owner).await;
    owner.batch_execute("set session_replication_role = replica").await.unwrap();
    assert_eq!(owner.execute(sql, params).await.unwrap(), 1, "{sql}");
}

/// A tenant in which everything went as it should has none: an agent with two keys, a key that is new, work of others.
#[tokio::test]
async fn an_honest_tenant_has_none() {
    let tenant = Tenant::new().await;
    let (a, b) = (tenant.agent().await, tenant.agent().await);
    let orchestrator = tenant.orchestrator_of(b.agent()).await;
    tenant.key("agent").await;
    tenant.key("orchestrator").await;
    let (story, adopted) = (tenant.story().await, tenant.story().await);
    bring(&story, Reach::Verified, &a, &b, &orchestrator).await;
    let reason = json!({"reason": "was there before"});
    orchestrator.post(&format!("/stories/{adopted}/backfill"), reason).await.expect(200);
    let reported = tenant.story().await;
    bring(&reported, Reach::Reported, &a, &b, &orchestrator).await;
    assert_eq!(scan(&tenant).await, (0, 0));
}

#[tokio::test]
async fn what_ought_not_to_be_there_is_found_once() {
    let (tenant, (superadmin, key_id)) = (Tenant::new().await, superadmin().await);
    let (a, b, orchestrator) = (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
    let story = tenant.story().await;
    bring(&story, Reach::Verified, &a, &b, &orchestrator).await;
    let [idle, orphan] = [tenant.key("orchestrator").await, tenant.key("agent").await];
    let id = async |key: &Caller| text(&key.get("/tenants/me").await.expect(200)["api_key"]["id"]);
    let [idle, orphan] = [id(&idle).await, id(&orphan).await];
    assert_eq!(scan(&tenant).await, (0, 0));

    forge("update api_keys set inserted_at = now() - interval '2 days' where id = $1::text::uuid", &[&idle])
        .await;
    forge("update api_keys set agent_id = $2::text::uuid where id = $1::text::uuid", &[&orphan, &NOBODY])
        .await;
    forge("delete from review_records where story_id = $1::text::uuid", &[&story]).await;
    assert_eq!(scan(&tenant).await, (3, 3));
    assert_eq!(scan(&tenant).await, (0, 3));
    // Nor by many at once.
    let again = join_all((0..4).map(|_| scan(&tenant))).await;
    assert_eq!(again, [(0, 3); 4]);
    let found = listed(&superadmin, &tenant, "").await;
    let mut kinds: Vec<_> = found
        .iter()
        .map(|row| ["violation_type", "entity_type", "entity_id", "status"].map(|name| text(&row[name])))
        .collect();
    kinds.sort();
    let pending = |kind: &str, entity: &str, id: &str| [kind, entity, id, "pending"].map(str::to_owned);
    let expected = [
        pending("nil_agent_non_user_key", "api_key", &idle),
        pending("orphaned_agent_ref", "api_key", &orphan),
        pending("unreviewed_reported_done", "story", &story),
    ];
    assert_eq!(kinds, expected);
    let of = |kind: &str| text(&found.iter().find(|row| row["violation_type"] == kind).unwrap()["id"]);
    for (kind, name, value) in [
        ("orphaned_agent_ref", "agent_id", json!(NOBODY)),
        ("nil_agent_non_user_key", "role", json!("orchestrator")),
        ("unreviewed_reported_done", "number", json!("1.1")),
    ] {
        let narrowed = listed(&superadmin, &tenant, &format!("&violation_type={kind}")).await;
        assert_eq!((narrowed.len(), &narrowed[0]["detail"][name]), (1, &value), "{kind}");
    }

    // What is ignored is not found again, what was resolved is, if it is still there.
    let path = |kind: &str, step: &str| format!("/admin/violators/{}/{step}", of(kind));
    let body = json!({"note": "a planner"});
    let ignored =
        superadmin.post(&path("nil_agent_non_user_key", "ignore"), body).await.expect(200)["data"].clone();
    assert_eq!(
        [&ignored["status"], &ignored["resolution_note"], &ignored["resolved_by_api_key_id"]],
        [&json!("ignored"), &json!("a planner"), &json!(key_id)]
    );
    assert!(ignored["resolved_at"].is_string());
    let resolved =
        superadmin.post_empty(&path("orphaned_agent_ref", "resolve")).await.expect(200)["data"].clone();
    assert_eq!([&resolved["status"], &resolved["resolution_note"]], [&json!("resolved"), &json!("")]);
    assert_eq!(scan(&tenant).await, (1, 2));
    forge("update api_keys set revoked_at = now() where id = $1::text::uuid", &[&orphan]).await;
    let second = listed(&superadmin, &tenant, "&violation_type=orphaned_agent_ref").await;
    assert_eq!(second.len(), 1);
    superadmin.post_empty(&format!("/admin/violators/{}/resolve", text(&second[0]["id"]))).await.expect(200);
    assert_eq!(scan(&tenant).await, (0, 1));
    assert_eq!(listed(&superadmin, &tenant, "&status=all").await.len(), 4);
    assert_eq!(listed(&superadmin, &tenant, "&status=resolved").await.len(), 2);
    assert_eq!(listed(&superadmin, &tenant, "&status=ignored").await.len(), 1);
    assert_eq!(listed(&superadmin, &tenant, "&violation_type=none&status=all").await, [json!(null); 0]);
    // The tenant reads what became of it.
    let log = tenant.user.get("/audit?entity_type=audit_pending_violation").await.expect(200);
    let told: Vec<_> = log["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            assert_eq!((&row["actor_type"], &row["actor_id"]), (&json!("superadmin"), &json!(key_id)));
            assert_eq!(row["old_state"], json!({"status": "pending"}));
            (text(&row["action"]), text(&row["new_state"]["resolution_note"]))
        })
        .collect();
    let entry = |action: &str, note: &str| (action.to_owned(), note.to_owned());
    assert_eq!(told, [entry("resolved", ""), entry("resolved", ""), entry("ignored", "a planner")]);
}

#[tokio::test]
async fn a_violation_is_seen_to_once() {
    let (tenant, (superadmin, _)) = (Tenant::new().await, superadmin().await);
    let id = violation(&tenant.id, "once").await;
    let list = superadmin.get("/admin/violators").await.expect(200);
    assert_eq!((&list["merge_ready"], &list["meta"]["limit"]), (&json!(false), &json!(50)));
    let path = |step: &str| format!("/admin/violators/{id}/{step}");
    for step in ["resolve", "ignore"] {
        for note in [json!(7), json!(true), json!(["a"]), json!({}), json!("x".repeat(50_001))] {
            let error = superadmin
                .post(&path(step), json!({"note": note}))
                .await
                .expect_error(422, "validation_failed");
            assert!(error["details"]["note"].is_array());
        }
        for id in [NOBODY, "none", tenant.id.as_str()] {
            let path = format!("/admin/violators/{id}/{step}");
            superadmin.post(&path, json!({"note": 7})).await.expect_error(404, "not_found");
        }
    }
    let before = tenant.audit_log().await.len();
    let paths = [path("resolve"), path("ignore")];
    let replies = join_all((0..8).map(|nth| superadmin.post(&paths[nth % 2], json!({})))).await;
    let (done, refused): (Vec<_>, Vec<_>) = replies.into_iter().partition(|reply| reply.status == 200);
    assert_eq!((done.len(), refused.len()), (1, 7));
    for reply in refused {
        reply.expect_error(422, "violation_not_pending");
    }
    assert_eq!(tenant.audit_log().await.len(), before + 1);
    // Pages of what there is.
    for _ in 0..3 {
        violation(&tenant.id, "page").await;
    }
    let mut ids: Vec<_> =
        listed(&superadmin, &tenant, "&status=all").await.iter().map(|row| text(&row["id"])).collect();
    let mut paged = Vec::new();
    for offset in 0..4 {
        let page = listed(&superadmin, &tenant, &format!("&status=all&limit=1&offset={offset}")).await;
        paged.extend(page.iter().map(|row| text(&row["id"])));
    }
    assert_eq!(paged, ids);
    ids.dedup();
    assert_eq!(ids.len(), 4);
    superadmin.get("/admin/violators?status=none").await.expect_error(422, "validation_failed");
    superadmin.get("/admin/violators?tenant_id=none").await.expect_error(404, "not_found");
    assert_eq!(superadmin.get("/admin/violators?limit=500").await.expect(200)["meta"]["limit"], 100);
}
