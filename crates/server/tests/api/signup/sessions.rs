//! Signing in without a browser: what opens a session, what a session opens, and what ends it.

use serde_json::{Value, json};
use tokio::join;

use super::device::{Device, HOME, Page, again, b64, forged};
use super::proofs::{add, another, asked, proof, revoke};
use super::{signed_up, visitor};
use crate::support::{Caller, Reply, Tenant, connect, server, text, unique};

/// What a browser is asked to sign to sign in.
pub(crate) async fn asked_to_sign_in(who: &Caller) -> Value {
    who.post("//sign-in/challenge", json!({})).await.expect(200)["data"].clone()
}

async fn sign_in_with(proof: Value) -> Reply {
    visitor().post("//sign-in", json!({"webauthn_assertion": proof})).await
}

/// What a browser shows from then on, as it is told.
fn cookie_of(reply: &Reply) -> String {
    let told = reply.headers["set-cookie"].to_str().unwrap();
    told.split(';').next().unwrap().to_owned()
}

/// A page of ours in a browser in which somebody has signed in.
pub(crate) async fn signed_in(device: &mut Device) -> Caller {
    let asked = asked_to_sign_in(&visitor()).await;
    let reply = sign_in_with(device.prove(&asked, &HOME).await).await;
    let mut page = visitor();
    page.headers.push(("cookie", cookie_of(&reply)));
    page.headers.push(("origin", HOME.origin.to_owned()));
    reply.expect(200);
    page
}

/// The same browser, on a page of somebody else, or where it does not say.
fn on_another_page(who: &Caller, origin: Option<&str>) -> Caller {
    let mut other = who.clone();
    other.headers.retain(|(name, _)| *name != "origin");
    other.headers.extend(origin.map(|origin| ("origin", origin.to_owned())));
    other
}

async fn is_in(page: &Caller) -> bool {
    let reply = page.get("//account").await;
    match reply.status {
        200 => true,
        302 => {
            assert_eq!(reply.headers["location"], "/sign-in");
            false
        }
        status => panic!("/account answers {status}"),
    }
}

async fn sessions_of(tenant: &Tenant) -> i64 {
    let sql = "select count(*) from sessions where tenant_id = $1::text::uuid";
    connect(&server().owner).await.query_one(sql, &[&tenant.id]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_touch_opens_a_session_for_pages_of_ours() {
    let (tenant, mut device) = signed_up().await;
    let challenge = asked_to_sign_in(&visitor()).await;
    assert_eq!(challenge["allow_credentials"], json!([]), "it names nobody who was not asked for");
    let body = json!({"slug": format!(" {} ", tenant.slug.to_uppercase())});
    let named = visitor().post("//sign-in/challenge", body).await.expect(200);
    assert_eq!(named["data"]["allow_credentials"], json!([b64(&device.credential_id)]));
    let nobody = visitor().post("//sign-in/challenge", json!({"slug": "nobody-at-all"})).await.expect(200);
    assert_eq!(nobody["data"]["allow_credentials"], json!([]));

    let reply = sign_in_with(device.prove(&named["data"], &HOME).await).await;
    let cookie = reply.headers["set-cookie"].to_str().unwrap();
    let (_, attributes) = cookie.split_once("; ").unwrap();
    assert_eq!(attributes, "HttpOnly; SameSite=Strict; Path=/; Max-Age=43200");
    assert_eq!(reply.headers["cache-control"], "no-store");
    let token = cookie_of(&reply).split_once('=').unwrap().1.to_owned();
    let body = reply.expect(200);
    assert!(!body.to_string().contains(&token));
    assert_eq!(
        (&body["data"]["tenant"]["slug"], &body["data"]["redirect_to"]),
        (&json!(tenant.slug), &json!("/account"))
    );

    // What is kept of it shows nobody in.
    let page = signed_in(&mut device).await;
    assert!(is_in(&page).await);
    let sql = "select string_agg(to_jsonb(s)::text, ' ') from sessions s where tenant_id = $1::text::uuid";
    let kept: String = connect(&server().owner).await.query_one(sql, &[&tenant.id]).await.unwrap().get(0);
    assert!(!kept.contains(&token) && !kept.contains(&token[4..]));
    let log = tenant.audit_log().await;
    let last = log.last().unwrap();
    let of = [&last["entity_type"], &last["action"], &last["actor_type"], &last["actor_label"]];
    assert_eq!(of.map(text), ["session", "signed_in", "human", "human:webauthn"]);
    assert!(!json!(log).to_string().contains(&token));

    // Out again: for this browser alone.
    let other = signed_in(&mut device).await;
    let reply = page.post("//sign-out", json!({})).await;
    assert!(reply.headers["set-cookie"].to_str().unwrap().contains("=; ") && reply.status == 200);
    assert!(!is_in(&page).await && is_in(&other).await);
    page.post("//sign-out", json!({})).await.expect_error(401, "not_signed_in");
}

#[tokio::test]
async fn nothing_else_opens_a_session() {
    let (tenant, mut device) = signed_up().await;
    let (stranger, mut theirs) = signed_up().await;
    let refused = async |proof: Value, code: &str| {
        let reply = sign_in_with(proof.clone()).await;
        assert!(reply.headers.get("set-cookie").is_none());
        reply.expect_error(401, code);
        assert_eq!(sessions_of(&tenant).await, 0, "{proof}");
    };
    for nothing in [json!(null), json!("")] {
        refused(nothing, "webauthn_required").await;
    }
    for opaque in [json!("touched"), json!({}), json!(7), json!([1])] {
        refused(opaque, "webauthn_failed").await;
    }
    let fresh = async || asked_to_sign_in(&visitor()).await;
    // An authenticator that is enrolled nowhere; ours by name, and theirs by signature, and the other way round.
    let mut unknown = Device::new();
    unknown.enrol(&json!(b64(&[7; 32])), &HOME).await;
    refused(unknown.prove(&fresh().await, &HOME).await, "webauthn_failed").await;
    let mut named = theirs.prove(&fresh().await, &HOME).await;
    named["credential_id"] = json!(b64(&device.credential_id));
    refused(named, "webauthn_failed").await;
    // What was asked for in a tenant is no sign-in, and a sign-in is no proof in a tenant.
    refused(device.prove(&asked(&tenant).await, &HOME).await, "webauthn_failed").await;
    let (_, enrolled) = another(&tenant).await;
    let signed = device.prove(&fresh().await, &HOME).await;
    add(&tenant, &enrolled, signed).await.expect_error(401, "webauthn_failed");
    // Nor is what was asked for to sign up.
    let mut enrolment = fresh().await;
    enrolment["challenge"] = super::challenge(&visitor()).await;
    refused(device.prove(&enrolment, &HOME).await, "webauthn_failed").await;
    for page in [
        Page { origin: "http://evil.test", ..HOME },
        Page { origin: "http://loopctl.test/x", ..HOME },
        Page { framed: true, ..HOME },
        Page { rp_id: "evil.test", ..HOME },
        Page { ceremony: Some("webauthn.create"), ..HOME },
    ] {
        refused(device.prove(&fresh().await, &page).await, "webauthn_failed").await;
    }
    let signed = device.prove(&fresh().await, &HOME).await;
    for (field, from) in
        [("signature", 1), ("authenticator_data", 5), ("authenticator_data", 37), ("client_data_json", 2)]
    {
        refused(forged(&signed, field, from), "webauthn_failed").await;
    }
    let mut exchanged = signed.clone();
    exchanged["challenge_id"] = fresh().await["challenge_id"].clone();
    refused(exchanged, "webauthn_failed").await;
    // Too late.
    let late = fresh().await;
    let sql = "update webauthn_challenges set expires_at = now() where id = $1::text::uuid";
    let owner = connect(&server().owner).await;
    assert_eq!(owner.execute(sql, &[&text(&late["challenge_id"])]).await.unwrap(), 1);
    refused(device.prove(&late, &HOME).await, "webauthn_failed").await;
    // From a page of others; and then from ours, twice at once, which opens one session.
    let signed = device.prove(&fresh().await, &HOME).await;
    let body = json!({"webauthn_assertion": signed});
    let foreign = on_another_page(&visitor(), Some("http://evil.test"));
    foreign.post("//sign-in", body).await.expect_error(403, "origin_mismatch");
    let (one, two) = join!(sign_in_with(signed.clone()), sign_in_with(signed.clone()));
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!((statuses, sessions_of(&tenant).await), ([200, 401], 1));
    sign_in_with(signed).await.expect_error(401, "webauthn_failed");
    assert_eq!(sessions_of(&stranger).await, 0);
}

/// Pages of others can make a browser call, with its cookie or without; it does not help them. Nor is a session a key.
#[tokio::test]
async fn a_session_serves_our_own_pages_and_nobody_else() {
    let (tenant, mut device) = signed_up().await;
    let page = signed_in(&mut device).await;
    let challenge = format!("/tenants/{}/webauthn/challenge", tenant.id);
    for origin in [
        None,
        Some("http://evil.test"),
        Some("null"),
        Some("http://loopctl.test:81"),
        Some("https://loopctl.test"),
    ] {
        let foreign = on_another_page(&page, origin);
        foreign.post(&challenge, json!({})).await.expect_error(403, "origin_mismatch");
        foreign.post("//sign-out", json!({})).await.expect_error(403, "origin_mismatch");
        foreign.post("//account/keys", json!({"name": "k"})).await.expect_error(403, "origin_mismatch");
    }
    assert!(is_in(&page).await);
    page.post(&challenge, json!({})).await.expect(200);
    // What is done there is the doing of who has touched.
    let path = format!("/tenants/{}/authenticators", tenant.id);
    let (_, enrolled) = another(&tenant).await;
    let signed = proof(&tenant, &mut device).await;
    let body = json!({"authenticator": enrolled, "webauthn_assertion": signed});
    let added = page.post(&path, body).await.expect(201);
    let log = tenant.audit_log().await;
    let last = log.last().unwrap();
    assert_eq!((text(&last["action"]).as_str(), text(&last["actor_type"]).as_str()), ("enrolled", "human"));
    let list = page.get(&path).await.expect(200);
    let by = &last["metadata"]["authenticator_id"];
    assert_eq!((by, &last["actor_id"]), (&list["data"][0]["id"], &Value::Null));
    assert_eq!(list["data"][1]["id"], added["data"]["id"]);
    // Of another tenant it knows nothing.
    let (other, _) = signed_up().await;
    page.get(&format!("/tenants/{}/authenticators", other.id)).await.expect_error(404, "not_found");
    // It is not let in where keys are.
    for path in ["/tenants/me", "/api_keys", "/projects", "/audit"] {
        page.get(path).await.expect_error(401, "unauthorized");
    }
    page.post("/api_keys", json!({"name": "k", "role": "user"})).await.expect_error(401, "unauthorized");
    // And what is shown as a key has to be one, whoever has signed in.
    let token = page.headers.iter().find(|(name, _)| *name == "cookie").unwrap().1.split_once('=').unwrap().1;
    let mut as_key = page.clone();
    as_key.key = Some(token.to_owned());
    as_key.get(&path).await.expect_error(401, "invalid_api_key");
    // A key of its own takes another touch.
    page.post("//account/keys", json!({"name": "k"})).await.expect_error(401, "webauthn_required");
    let signed = proof(&tenant, &mut device).await;
    let body = json!({"name": "k", "webauthn_assertion": signed});
    let reply = page.post("//account/keys", body.clone()).await;
    assert_eq!(reply.headers["cache-control"], "no-store");
    let key = Caller::with_key(&text(&reply.expect(201)["api_key"]["raw_key"]));
    assert_eq!(key.get("/tenants/me").await.expect(200)["tenant"]["id"], json!(tenant.id));
    page.post("//account/keys", body).await.expect_error(401, "webauthn_failed");
}

#[tokio::test]
async fn sessions_end() {
    let (tenant, mut first) = signed_up().await;
    let owner = connect(&server().owner).await;
    let (mut second, enrolled) = another(&tenant).await;
    let signed = proof(&tenant, &mut first).await;
    add(&tenant, &enrolled, signed).await.expect(201);
    // With the authenticator that they began with, and no other ones.
    let (one, other) = (signed_in(&mut first).await, signed_in(&mut second).await);
    let path = format!("/tenants/{}/authenticators", tenant.id);
    let id = text(&tenant.user.get(&path).await.expect(200)["data"][0]["id"]);
    let signed = proof(&tenant, &mut second).await;
    revoke(&tenant, &id, signed).await.expect(200);
    assert!(!is_in(&one).await && is_in(&other).await);
    one.post(&format!("/tenants/{}/webauthn/challenge", tenant.id), json!({}))
        .await
        .expect_error(401, "unauthorized");
    // When their time is over.
    let sql = "update sessions set expires_at = now() where tenant_id = $1::text::uuid";
    owner.execute(sql, &[&tenant.id]).await.unwrap();
    assert!(!is_in(&other).await);
    owner.query_one("select prune_sessions(1000000)", &[]).await.unwrap();
    assert_eq!(sessions_of(&tenant).await, 0);
    // When there are more than anybody has browsers: the oldest.
    let oldest = signed_in(&mut second).await;
    let mut newest = oldest.clone();
    for _ in 0..20 {
        newest = signed_in(&mut second).await;
    }
    assert!(!is_in(&oldest).await && is_in(&newest).await);
    assert_eq!(sessions_of(&tenant).await, 20);
    // As long as the tenant is suspended nobody is in, nor gets in.
    let sql = "update tenants set status = $2 where id = $1::text::uuid";
    owner.execute(sql, &[&tenant.id, &"suspended"]).await.unwrap();
    assert!(!is_in(&newest).await);
    newest.post("//sign-out", json!({})).await.expect_error(401, "not_signed_in");
    let signed = second.prove(&asked_to_sign_in(&visitor()).await, &HOME).await;
    sign_in_with(signed).await.expect_error(403, "tenant_not_active");
    owner.execute(sql, &[&tenant.id, &"active"]).await.unwrap();
    assert!(is_in(&newest).await);
}

/// A credential is one tenant's: by it is known who signs in. Somebody who knows of another's, and gives it out for theirs, is refused.
#[tokio::test]
async fn a_credential_is_enrolled_in_one_tenant() {
    let silent = Page { attests: false, ..HOME };
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let ask = async |tenant: &Tenant| {
        let path = format!("/tenants/{}/authenticators/challenge", tenant.id);
        tenant.user.post(&path, json!({})).await.expect(200)["data"]["challenge"].clone()
    };
    let mut device = Device::new();
    let enrolled = device.enrol(&ask(&tenant).await, &silent).await;
    add(&tenant, &enrolled, Value::Null).await.expect(201);
    let theirs = again(&enrolled, &ask(&other).await, &silent);
    let error = add(&other, &theirs, Value::Null).await.expect_error(422, "invalid_attestation");
    assert_eq!(error["reason"], "invalid_attestation");
    let theirs = again(&enrolled, &super::challenge(&visitor()).await, &silent);
    let body = super::application(&unique("signup"), &[theirs]);
    visitor().post("//signup", body).await.expect_error(422, "invalid_attestation");
    assert!(is_in(&signed_in(&mut device).await).await);
    assert_eq!((sessions_of(&tenant).await, sessions_of(&other).await), (1, 0));
}
