//! What one of a tenant's authenticators has to sign for, and what does not count as that.

use serde_json::{Value, json};
use tokio::join;

use super::device::{Device, HOME, Page, b64, forged};
use super::signed_up;
use crate::support::{Caller, Reply, Tenant, connect, server, text};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// A challenge for a proof.
pub(crate) async fn asked(tenant: &Tenant) -> Value {
    let path = format!("/tenants/{}/webauthn/challenge", tenant.id);
    tenant.user.post(&path, json!({})).await.expect(200)["data"].clone()
}

/// A fresh proof.
pub(crate) async fn proof(tenant: &Tenant, device: &mut Device) -> Value {
    device.prove(&asked(tenant).await, &HOME).await
}

/// A further authenticator that was enrolled, and not yet added.
pub(crate) async fn another(tenant: &Tenant) -> (Device, Value) {
    let path = format!("/tenants/{}/authenticators/challenge", tenant.id);
    let challenge = tenant.user.post(&path, json!({})).await.expect(200)["data"]["challenge"].clone();
    let mut device = Device::new();
    let enrolled = device.enrol(&challenge, &HOME).await;
    (device, enrolled)
}

/// Adds an authenticator with a proof.
pub(crate) async fn add(tenant: &Tenant, enrolled: &Value, proof: Value) -> Reply {
    let body = json!({"authenticator": enrolled, "webauthn_assertion": proof});
    tenant.user.post(&format!("/tenants/{}/authenticators", tenant.id), body).await
}

/// The tenant's authenticators.
pub(crate) async fn list(tenant: &Tenant) -> Vec<Value> {
    let path = format!("/tenants/{}/authenticators", tenant.id);
    tenant.user.get(&path).await.expect(200)["data"].as_array().unwrap().clone()
}

/// Tries to revoke an authenticator.
pub(crate) async fn revoke(tenant: &Tenant, id: &str, proof: Value) -> Reply {
    let path = format!("/tenants/{}/authenticators/{id}", tenant.id);
    let request = tenant.user.request(reqwest::Method::DELETE, &path);
    tenant.user.send(request.json(&json!({"webauthn_assertion": proof}))).await
}

#[tokio::test]
async fn a_touch_allows_one_change() {
    let (tenant, mut first) = signed_up().await;
    let challenge = asked(&tenant).await;
    assert_eq!(
        challenge,
        json!({
            "challenge_id": challenge["challenge_id"], "challenge": challenge["challenge"], "rp_id": "loopctl.test",
            "user_verification": "preferred", "allow_credentials": [b64(&first.credential_id)], "timeout_ms": 60_000,
            "expires_at": challenge["expires_at"],
        })
    );
    let (mut second, enrolled) = another(&tenant).await;
    let signed = first.prove(&challenge, &HOME).await;
    let added = add(&tenant, &enrolled, signed.clone()).await.expect(201)["data"].clone();
    assert_eq!(added["friendly_name"], "Backup authenticator 1");
    let known = list(&tenant).await;
    assert_eq!((known.len(), &known[1]["id"]), (2, &added["id"]));
    assert!(known[0]["last_used_at"].is_string() && known[1]["last_used_at"].is_null());
    assert_eq!(known[0]["sign_count"], 1);

    // As text, the way in which older clients send it; and by the other one.
    let signed = proof(&tenant, &mut second).await;
    let (_, enrolled) = another(&tenant).await;
    let encoded = json!(BASE64_STANDARD.encode(signed.to_string()));
    let third = add(&tenant, &enrolled, encoded).await.expect(201)["data"].clone();
    let signed = proof(&tenant, &mut first).await;
    revoke(&tenant, &text(&third["id"]), signed).await.expect(200);
    assert_eq!(list(&tenant).await.len(), 2);

    let log = tenant.audit_log().await;
    let of = |entry: &Value| text(&entry["entity_type"]) + "/" + entry["action"].as_str().unwrap();
    let told: Vec<_> = log.iter().skip(2).map(of).collect();
    assert_eq!(told, ["authenticator/enrolled", "authenticator/enrolled", "authenticator/revoked"]);
    assert_eq!(log[2]["actor_type"], "api_key");
    let signed_by = |index: usize| &log[index]["metadata"]["signed_by"];
    assert_eq!([signed_by(2), signed_by(3), signed_by(4)], [&known[0]["id"], &added["id"], &known[0]["id"]]);
}

#[tokio::test]
async fn nothing_else_is_a_proof() {
    let (tenant, mut device) = signed_up().await;
    let (stranger, mut theirs) = signed_up().await;
    let (_, enrolled) = another(&tenant).await;
    let before = list(&tenant).await;
    let refused = async |proof: Value, code: &str| {
        let reply = add(&tenant, &enrolled, proof.clone()).await;
        let error = reply.expect_error(401, code);
        assert!(
            text(&error["remediation"]["learn_more"]).ends_with(&format!("/docs/errors#{code}")),
            "{error}"
        );
        assert_eq!(list(&tenant).await, before, "{proof}");
    };
    for nothing in [json!(null), json!(""), json!("  ")] {
        refused(nothing, "webauthn_required").await;
    }
    for opaque in [json!("touched"), json!("e30="), json!({}), json!(true), json!(7), json!([1])] {
        refused(opaque, "webauthn_failed").await;
    }
    // Another tenant's authenticator, with its challenge and with ours; ours with theirs.
    refused(proof(&stranger, &mut theirs).await, "webauthn_failed").await;
    refused(theirs.prove(&asked(&tenant).await, &HOME).await, "webauthn_failed").await;
    refused(device.prove(&asked(&stranger).await, &HOME).await, "webauthn_failed").await;
    // Ours by name, and theirs by signature.
    let mut named = theirs.prove(&asked(&tenant).await, &HOME).await;
    named["credential_id"] = json!(b64(&device.credential_id));
    refused(named, "webauthn_failed").await;
    // For another page, another server, another purpose.
    for page in [
        Page { origin: "http://evil.test", ..HOME },
        Page { origin: "http://loopctl.test/x", ..HOME },
        Page { framed: true, ..HOME },
        Page { origin: "http://loopctl.test:81", ..HOME },
        Page { rp_id: "evil.test", ..HOME },
        Page { ceremony: Some("webauthn.create"), ..HOME },
    ] {
        refused(device.prove(&asked(&tenant).await, &page).await, "webauthn_failed").await;
    }
    // With another bit somewhere: of the data the flags are before the count, and the hash of the server is before those.
    let signed = proof(&tenant, &mut device).await;
    for (field, from) in [
        ("signature", 1),
        ("authenticator_data", 1),
        ("authenticator_data", 5),
        ("authenticator_data", 37),
        ("client_data_json", 2),
        ("credential_id", 1),
    ] {
        refused(forged(&signed, field, from), "webauthn_failed").await;
    }
    // By another challenge than it says.
    let mut exchanged = signed.clone();
    exchanged["challenge_id"] = asked(&tenant).await["challenge_id"].clone();
    refused(exchanged, "webauthn_failed").await;
    // Too late.
    let late = proof(&tenant, &mut device).await;
    let sql = "update webauthn_challenges set expires_at = clock_timestamp() where id = $1::text::uuid";
    let owner = connect(&server().owner).await;
    assert_eq!(owner.execute(sql, &[&text(&late["challenge_id"])]).await.unwrap(), 1);
    refused(late, "webauthn_failed").await;
    // And a challenge to enrol with is none to prove with.
    let mut misused = asked(&tenant).await;
    let path = format!("/tenants/{}/authenticators/challenge", tenant.id);
    misused["challenge"] = tenant.user.post(&path, json!({})).await.expect(200)["data"]["challenge"].clone();
    refused(device.prove(&misused, &HOME).await, "webauthn_failed").await;

    // The right one is, once: also when it is sent twice at the same moment.
    let good = proof(&tenant, &mut device).await;
    let (_, another_one) = another(&tenant).await;
    let (a, b) = join!(add(&tenant, &enrolled, good.clone()), add(&tenant, &another_one, good));
    let mut statuses = [a.status, b.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 401], "{a:?} {b:?}");
}

/// A copy that was made before counts on from there.
#[tokio::test]
async fn who_counts_backwards_is_a_copy() {
    let (tenant, mut device) = signed_up().await;
    for _ in 0..2 {
        let (_, enrolled) = another(&tenant).await;
        let signed = proof(&tenant, &mut device).await;
        add(&tenant, &enrolled, signed).await.expect(201);
    }
    let (_, enrolled) = another(&tenant).await;
    for stale in [0, 1] {
        device.count_from(stale);
        let signed = proof(&tenant, &mut device).await;
        let error = add(&tenant, &enrolled, signed).await.expect_error(401, "webauthn_failed");
        assert!(text(&error["message"]).contains("a copy of it"), "{error}");
    }
    assert_eq!(list(&tenant).await[0]["sign_count"], 2);
    device.count_from(2);
    let signed = proof(&tenant, &mut device).await;
    add(&tenant, &enrolled, signed).await.expect(201);
}

#[tokio::test]
async fn the_last_one_stays_and_there_are_five_at_most() {
    let (tenant, mut device) = signed_up().await;
    let first = text(&list(&tenant).await[0]["id"]);
    let signed = proof(&tenant, &mut device).await;
    revoke(&tenant, &first, signed.clone()).await.expect_error(409, "last_authenticator");
    assert_eq!(list(&tenant).await.len(), 1);
    // What was refused has used nothing up.
    let (mut second, enrolled) = another(&tenant).await;
    add(&tenant, &enrolled, signed).await.expect(201);
    for _ in 0..3 {
        let (_, enrolled) = another(&tenant).await;
        let signed = proof(&tenant, &mut second).await;
        add(&tenant, &enrolled, signed).await.expect(201);
    }
    let (_, enrolled) = another(&tenant).await;
    let signed = proof(&tenant, &mut device).await;
    add(&tenant, &enrolled, signed).await.expect_error(422, "too_many_authenticators");
    // One may go by its own hand, and is none from then on.
    let signed = proof(&tenant, &mut device).await;
    revoke(&tenant, &first, signed).await.expect(200);
    let signed = proof(&tenant, &mut device).await;
    let left = text(&list(&tenant).await[0]["id"]);
    revoke(&tenant, &left, signed).await.expect_error(401, "webauthn_failed");
}

/// A tenant that an operator has made has nobody to ask yet.
#[tokio::test]
async fn the_first_one_of_an_operators_tenant_needs_a_key_alone() {
    let tenant = Tenant::new().await;
    let (agent, nobody) = (tenant.agent().await, Caller::nobody());
    let (mut device, enrolled) = another(&tenant).await;
    let path = format!("/tenants/{}/authenticators", tenant.id);
    let body = json!({"authenticator": enrolled});
    agent.post(&path, body.clone()).await.expect_error(403, "forbidden");
    nobody.post(&path, body.clone()).await.expect_error(401, "unauthorized");
    tenant.user.post(&path, json!({})).await.expect_error(422, "validation_failed");
    let reply =
        tenant.user.post(&path, json!({"authenticator": forged(&enrolled, "attestation_object", 1)})).await;
    reply.expect_error(422, "invalid_attestation");
    tenant.user.post(&path, body).await.expect(201);
    let (_, enrolled) = another(&tenant).await;
    tenant.user.post(&path, json!({"authenticator": enrolled})).await.expect_error(401, "webauthn_required");
    let signed = proof(&tenant, &mut device).await;
    add(&tenant, &enrolled, signed).await.expect(201);
}
