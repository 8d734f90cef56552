//! Halts that superadmins end, when the tenant's owner has touched an authenticator for it.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::identity::impersonation::superadmin;
use crate::signup::device::{Device, HOME, Page, forged};
use crate::signup::proofs::{add, another};
use crate::signup::signed_up;
use crate::support::{Caller, Reply, Tenant, connect, server, text};

/// Halts a tenant, as what stands guard over custody would.
pub(crate) async fn halt(tenant_id: &str) {
    let sql = "update tenants set custody_halted_at = clock_timestamp() where id = $1::text::uuid";
    assert_eq!(connect(&server().owner).await.execute(sql, &[&tenant_id]).await.unwrap(), 1);
}

async fn is_halted(tenant: &Tenant) -> bool {
    tenant.user.get("/tenants/me").await.expect(200)["tenant"]["custody_halted_at"].is_string()
}

/// A superadmin's challenge for the tenant's owner, of whom they are not inside.
async fn asked(superadmin: &Caller, tenant: &Tenant) -> Value {
    let path = format!("/tenants/{}/webauthn/challenge", tenant.id);
    superadmin.post(&path, json!({})).await.expect(200)["data"].clone()
}

async fn clear(superadmin: &Caller, tenant: &Tenant, body: Value) -> Reply {
    superadmin.post(&format!("/admin/tenants/{}/clear-halt", tenant.id), body).await
}

async fn clear_with(superadmin: &Caller, tenant: &Tenant, proof: Value) -> Reply {
    clear(superadmin, tenant, json!({"webauthn_assertion": proof})).await
}

/// What the log tells of halts that are over.
async fn told(tenant: &Tenant) -> Vec<Value> {
    let log = tenant.audit_log().await;
    log.into_iter().filter(|entry| entry["action"] == "halt_cleared").collect()
}

#[tokio::test]
async fn a_touch_of_the_owner_ends_a_halt() {
    let ((tenant, mut device), (superadmin, key_id)) = (signed_up().await, superadmin().await);
    let cleared = json!({"data": {"id": tenant.id, "custody_halted_at": null, "status": "halt_cleared"}});
    let path = format!("/tenants/{}/authenticators", tenant.id);
    let signed_by = tenant.user.get(&path).await.expect(200)["data"][0]["id"].clone();
    for (round, as_text) in [false, true].into_iter().enumerate() {
        halt(&tenant.id).await;
        assert!(is_halted(&tenant).await);
        let challenge = asked(&superadmin, &tenant).await;
        let mut proof = device.prove(&challenge, &HOME).await;
        if as_text {
            proof = json!(BASE64_STANDARD.encode(proof.to_string()));
        }
        assert_eq!(clear_with(&superadmin, &tenant, proof.clone()).await.expect(200), cleared);
        assert!(!is_halted(&tenant).await);
        let log = told(&tenant).await;
        assert_eq!(log.len(), round + 1);
        let entry = &log[round];
        assert_eq!((&entry["entity_type"], &entry["entity_id"]), (&json!("tenant"), &json!(tenant.id)));
        assert_eq!((&entry["actor_type"], &entry["actor_id"]), (&json!("superadmin"), &json!(key_id)));
        assert_eq!(entry["new_state"], json!({"cleared_by": key_id}));
        assert!(entry["old_state"]["custody_halted_at"].is_string(), "{entry}");
        assert_eq!(entry["metadata"], json!({"signed_by": signed_by}));
        // The same once more is none.
        halt(&tenant.id).await;
        clear_with(&superadmin, &tenant, proof).await.expect_error(401, "webauthn_failed");
        assert!(is_halted(&tenant).await);
    }
    // Of a tenant that is not halted it is the same, and nothing happens; what was signed is used up.
    for expected in [3, 3] {
        let proof = device.prove(&asked(&superadmin, &tenant).await, &HOME).await;
        assert_eq!(clear_with(&superadmin, &tenant, proof.clone()).await.expect(200), cleared);
        assert_eq!(told(&tenant).await.len(), expected);
        clear_with(&superadmin, &tenant, proof).await.expect_error(401, "webauthn_failed");
    }
    // Also of one that is suspended.
    halt(&tenant.id).await;
    superadmin.post(&format!("/admin/tenants/{}/suspend", tenant.id), json!({})).await.expect(200);
    let proof = device.prove(&asked(&superadmin, &tenant).await, &HOME).await;
    assert_eq!(clear_with(&superadmin, &tenant, proof).await.expect(200), cleared);
}

#[tokio::test]
async fn whatever_is_no_touch_of_the_owner_leaves_it_halted() {
    let ((tenant, mut device), (stranger, mut theirs)) = (signed_up().await, signed_up().await);
    let (superadmin, _) = superadmin().await;
    halt(&tenant.id).await;
    let refused = async |body: Value, code: &str| {
        let error = clear(&superadmin, &tenant, body.clone()).await.expect_error(401, code);
        let learn_more = text(&error["remediation"]["learn_more"]);
        assert!(learn_more.ends_with(&format!("/docs/errors#{code}")), "{learn_more}");
        assert!(error["hints"].is_null(), "{error}");
        assert!(is_halted(&tenant).await && told(&tenant).await.is_empty(), "{body}");
    };
    for nothing in [
        json!({}),
        json!({"webauthn_assertion": null}),
        json!({"webauthn_assertion": " "}),
        // There is an owner who can be asked.
        json!({"override_reason": "nobody is there"}),
    ] {
        refused(nothing, "webauthn_required").await;
    }
    let here = asked(&superadmin, &tenant).await;
    let mut other_challenge = device.prove(&here, &HOME).await;
    other_challenge["challenge_id"] = asked(&superadmin, &tenant).await["challenge_id"].clone();
    for proof in [
        json!("touched"),
        json!({}),
        json!(true),
        other_challenge,
        // Another tenant's authenticator, and another tenant's challenge.
        theirs.prove(&asked(&superadmin, &tenant).await, &HOME).await,
        theirs.prove(&asked(&superadmin, &stranger).await, &HOME).await,
        device.prove(&asked(&superadmin, &stranger).await, &HOME).await,
        // On another page, for another server, as something else.
        device.prove(&here, &Page { origin: "http://evil.test", ..HOME }).await,
        device.prove(&here, &Page { ceremony: Some("webauthn.create"), ..HOME }).await,
        forged(&device.prove(&here, &HOME).await, "signature", 1),
    ] {
        let with_reason = json!({"webauthn_assertion": proof, "override_reason": "nobody is there"});
        refused(json!({"webauthn_assertion": proof}), "webauthn_failed").await;
        refused(with_reason, "webauthn_failed").await;
    }
    // The owner has no say in whether: the key is a superadmin's.
    let proof = device.prove(&asked(&superadmin, &tenant).await, &HOME).await;
    clear_with(&tenant.user, &tenant, proof.clone()).await.expect_error(403, "forbidden");
    clear_with(&superadmin, &tenant, proof).await.expect(200);
}

/// Who has no authenticator cannot be asked for it; from the first one on nothing else will do.
#[tokio::test]
async fn without_an_authenticator_there_is_a_reason() {
    let (tenant, (superadmin, key_id)) = (Tenant::new().await, superadmin().await);
    halt(&tenant.id).await;
    let opaque = json!({"webauthn_assertion": "touched", "override_reason": "the owner was called"});
    for (body, code) in [
        (json!({}), "webauthn_required"),
        (json!({"override_reason": " "}), "webauthn_required"),
        (opaque, "webauthn_failed"),
    ] {
        let error = clear(&superadmin, &tenant, body).await.expect_error(401, code);
        assert!(text(&error["hints"][0]).contains("override_reason"), "{error}");
    }
    clear(&superadmin, &tenant, json!({"override_reason": 7})).await.expect_error(422, "validation_failed");
    let reason = json!({"override_reason": " the owner was called "});
    clear(&superadmin, &tenant, reason.clone()).await.expect(200);
    let log = told(&tenant).await;
    assert_eq!(log[0]["new_state"], json!({"cleared_by": key_id, "override_reason": "the owner was called"}));
    assert_eq!(log[0]["metadata"], json!({"signed_by": null}));
    halt(&tenant.id).await;
    let (_, enrolled) = another(&tenant).await;
    add(&tenant, &enrolled, Value::Null).await.expect(201);
    clear(&superadmin, &tenant, reason).await.expect_error(401, "webauthn_required");
    assert!(is_halted(&tenant).await && told(&tenant).await.len() == 1);
}

/// Of many with one proof one is let in, and of many with proofs of their own one has something to tell.
#[tokio::test]
async fn a_halt_ends_once() {
    let ((tenant, mut first), (superadmin, _)) = (signed_up().await, superadmin().await);
    halt(&tenant.id).await;
    let proof = first.prove(&asked(&superadmin, &tenant).await, &HOME).await;
    let replies = join_all((0..8).map(|_| clear_with(&superadmin, &tenant, proof.clone()))).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 1);
    for lost in replies.into_iter().filter(|reply| reply.status != 200) {
        lost.expect_error(401, "webauthn_failed");
    }
    let mut devices: Vec<Device> = vec![first];
    for _ in 0..3 {
        let (device, enrolled) = another(&tenant).await;
        let proof = devices[0].prove(&asked(&superadmin, &tenant).await, &HOME).await;
        add(&tenant, &enrolled, proof).await.expect(201);
        devices.push(device);
    }
    halt(&tenant.id).await;
    let mut proofs = Vec::new();
    for device in &mut devices {
        proofs.push(device.prove(&asked(&superadmin, &tenant).await, &HOME).await);
    }
    for reply in join_all(proofs.into_iter().map(|proof| clear_with(&superadmin, &tenant, proof))).await {
        reply.expect(200);
    }
    assert_eq!(told(&tenant).await.len(), 2);
}

/// The application's role ends none by itself, and in nobody's name but a superadmin's.
#[tokio::test]
async fn the_application_role_ends_no_halt() {
    let (tenant, other, (_, key_id)) = (Tenant::new().await, Tenant::new().await, superadmin().await);
    halt(&tenant.id).await;
    halt(&other.id).await;
    let user = text(&tenant.user.get("/tenants/me").await.expect(200)["api_key"]["id"]);
    let app = connect(&server().app).await;
    let inside = format!("set role loopctl_app; set loopctl.tenant_id = '{}'", tenant.id);
    app.batch_execute(&inside).await.unwrap();
    let refused = async |sql: String| app.batch_execute(&sql).await.expect_err(&sql);
    refused(format!("update tenants set custody_halted_at = null where id = '{}'", tenant.id)).await;
    for key in [user.as_str(), super::NOBODY] {
        refused(format!("select clear_custody_halt('{key}')")).await;
    }
    assert!(is_halted(&tenant).await);
    app.batch_execute(&format!("select clear_custody_halt('{key_id}')")).await.unwrap();
    assert!(!is_halted(&tenant).await && is_halted(&other).await);
}
