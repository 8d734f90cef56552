//! Tenants that are suspended and activated.

use futures_util::future::join_all;
use loopctl_server::serve::Server;
use reqwest::Method;
use serde_json::json;

use crate::conventions::health::line_to;
use crate::identity::impersonation::{inside, superadmin};
use crate::support::{Events, PATIENCE, Tenant, a_moment, connect, server, unique};

/// What is suspended is locked out at once, with every key, and goes on where it was when it is activated.
#[tokio::test]
async fn a_suspended_tenant_is_locked_out_at_once() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let (superadmin, key_id) = superadmin().await;
    let keys = [tenant.user.clone(), tenant.agent().await, tenant.orchestrator().await];
    let path = format!("/admin/tenants/{}", tenant.id);
    for _ in 0..3 {
        // Each of them is remembered.
        for key in &keys {
            key.get("/tenants/me").await.expect(200);
        }
        let suspended = superadmin.post(&format!("{path}/suspend"), json!({})).await.expect(200);
        assert_eq!(suspended["tenant"]["status"], "suspended");
        for key in &keys {
            for path in ["/tenants/me", "/projects", "/stories/ready"] {
                let error = key.get(path).await.expect_error(403, "tenant_not_active");
                assert_eq!(error["message"], "Access denied");
            }
            key.post("/projects", json!({"name": "p", "slug": unique("p")})).await.expect(403);
        }
        other.user.get("/tenants/me").await.expect(200);
        // A superadmin goes in all the same.
        let me = inside(&superadmin, &tenant.id, Some("user")).get("/tenants/me").await.expect(200);
        assert_eq!(me["tenant"]["status"], "suspended");
        let error = superadmin.post_empty(&format!("{path}/suspend")).await.expect(422)["error"].clone();
        assert_eq!(error["message"], "Tenant is already suspended");
        let active = superadmin.post_empty(&format!("{path}/activate")).await.expect(200);
        assert_eq!(active["tenant"]["status"], "active");
        for key in &keys {
            key.get("/tenants/me").await.expect(200);
        }
        let error = superadmin.post_empty(&format!("{path}/activate")).await.expect(422)["error"].clone();
        assert_eq!(error["message"], "Tenant is already active");
    }
    // The tenant reads who it was.
    let log =
        tenant.user.get("/audit?entity_type=tenant&actor_type=superadmin&page_size=2").await.expect(200);
    assert_eq!(log["meta"]["total_count"], 6);
    for (row, action, [from, to]) in [
        (&log["data"][0], "tenant_activated", ["suspended", "active"]),
        (&log["data"][1], "tenant_suspended", ["active", "suspended"]),
    ] {
        assert_eq!((&row["action"], &row["actor_id"]), (&json!(action), &json!(key_id)));
        assert_eq!(
            (&row["old_state"], &row["new_state"]),
            (&json!({"status": from}), &json!({"status": to}))
        );
    }
}

/// Of those who come at once one has done it, and the others are told that it is done.
#[tokio::test]
async fn of_many_one_suspends() {
    let (tenant, (superadmin, _)) = (Tenant::new().await, superadmin().await);
    for (step, word) in [("suspend", "suspended"), ("activate", "active")] {
        let path = format!("/admin/tenants/{}/{step}", tenant.id);
        let replies = join_all((0..8).map(|_| superadmin.post(&path, json!({})))).await;
        let (done, refused): (Vec<_>, Vec<_>) = replies.into_iter().partition(|reply| reply.status == 200);
        assert_eq!((done.len(), refused.len()), (1, 7), "{step}");
        for reply in refused {
            let error = reply.expect_error(422, "tenant_status_unchanged");
            assert_eq!(error["message"], format!("Tenant is already {word}"));
        }
    }
    let told = tenant.audit_log().await;
    assert_eq!(told.iter().filter(|row| row["actor_type"] == "superadmin").count(), 2);
}

/// A tenant that has not completed its enrolment does not come in by a detour; one that was deactivated does not come back.
#[tokio::test]
async fn only_active_and_suspended_tenants_take_steps() {
    let (tenant, (superadmin, _)) = (Tenant::new().await, superadmin().await);
    let owner = connect(&server().owner).await;
    let before = tenant.audit_log().await.len();
    for status in ["pending_enrollment", "deactivated"] {
        let sql = "update tenants set status = $2 where id = $1::text::uuid";
        owner.execute(sql, &[&tenant.id, &status]).await.unwrap();
        for step in ["suspend", "activate"] {
            let path = format!("/admin/tenants/{}/{step}", tenant.id);
            let error = superadmin.post_empty(&path).await.expect_error(422, "tenant_status_final");
            assert!(error["message"].as_str().unwrap().contains(status), "{error}");
        }
        let shown = superadmin.get(&format!("/admin/tenants/{}", tenant.id)).await.expect(200);
        assert_eq!(shown["tenant"]["status"], status);
    }
    assert_eq!(tenant.audit_log().await.len(), before);
}

/// Repeated with its key, a suspension is answered again; another tenant is another request.
#[tokio::test]
async fn a_suspension_may_be_repeated() {
    let (tenant, other, (superadmin, _)) = (Tenant::new().await, Tenant::new().await, superadmin().await);
    let key = unique("key");
    let suspend = async |id: &str| {
        let path = format!("/admin/tenants/{id}/suspend");
        superadmin
            .send(superadmin.request(Method::POST, &path).header("Idempotency-Key", &key).json(&json!({})))
            .await
    };
    let first = suspend(&tenant.id).await.expect(200);
    let again = suspend(&tenant.id).await;
    assert!(again.headers.contains_key("idempotent-replayed"));
    assert_eq!(again.expect(200), first);
    suspend(super::NOBODY).await.expect_error(404, "not_found");
    assert_eq!(suspend(&other.id).await.expect(200)["tenant"]["id"], other.id);
}

/// Whoever follows what happens is cut off, and other servers know within a second.
#[tokio::test]
async fn a_suspension_is_felt_everywhere() {
    let (_line, options) = line_to("loopctl", 4).await;
    let other = Server::start(&options).await.unwrap();
    let (tenant, (superadmin, _)) = (Tenant::new().await, superadmin().await);
    let elsewhere = tenant.user.at(&format!("http://{}", other.address));
    elsewhere.get("/tenants/me").await.expect(200);
    let stream = elsewhere.request(Method::GET, "/changes/stream").send().await.unwrap();
    assert_eq!(stream.status(), 200);
    superadmin.post(&format!("/admin/tenants/{}/suspend", tenant.id), json!({})).await.expect(200);
    tenant.user.get("/tenants/me").await.expect_error(403, "tenant_not_active");
    a_moment().await;
    elsewhere.get("/tenants/me").await.expect_error(403, "tenant_not_active");
    let mut stream = Events::of(stream);
    let ended = async { while stream.next().await.unwrap().is_some() {} };
    tokio::time::timeout(PATIENCE, ended).await.expect("the stream ends");
    other.stop().await.unwrap();
}

/// The application's role changes no status by itself, and in nobody's name.
#[tokio::test]
async fn the_application_role_suspends_nobody() {
    let (tenant, (_, key_id)) = (Tenant::new().await, superadmin().await);
    let user = tenant.user.get("/tenants/me").await.expect(200)["api_key"]["id"].as_str().unwrap().to_owned();
    let app = connect(&server().app).await;
    let inside = format!("set role loopctl_app; set loopctl.tenant_id = '{}'", tenant.id);
    app.batch_execute(&inside).await.unwrap();
    let refused = async |sql: String| app.batch_execute(&sql).await.expect_err(&sql).to_string();
    refused(format!("update tenants set status = 'suspended' where id = '{}'", tenant.id)).await;
    for key in [user.as_str(), super::NOBODY] {
        refused(format!("select change_tenant_status('{key}', 'suspended')")).await;
    }
    for status in ["active", "deactivated", "pending_enrollment", "none"] {
        refused(format!("select change_tenant_status('{key_id}', '{status}')")).await;
    }
    app.batch_execute("reset loopctl.tenant_id").await.unwrap();
    refused(format!("select change_tenant_status('{key_id}', 'suspended')")).await;
    tenant.user.get("/tenants/me").await.expect(200);
}
