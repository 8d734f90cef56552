//! Whatever is no enrolment of this server's, with a challenge of its own, for a tenant that may be.

use serde_json::{Value, json};
use tokio::join;

use super::device::{Device, HOME, Page, forged, stretched};
use super::{application, challenge, enrolled, leaves_nothing, refuse, signed_up, visitor};
use crate::support::{connect, server, unique};

#[tokio::test]
async fn neither_none_nor_more_than_five() {
    let (visitor, slug) = (visitor(), unique("none"));
    let reply = visitor.post("//signup", application(&slug, &[])).await;
    let error = refuse(reply, 422, "no_authenticators", &slug).await;
    assert!(error["message"].as_str().unwrap().starts_with("Enroll at least one authenticator"));
    assert!(error["details"]["authenticators"].is_array());
    // What else is wrong is told as well.
    let reply = visitor.post("//signup", json!({"slug": "-"})).await;
    let error = refuse(reply, 422, "no_authenticators", &slug).await;
    let failing: Vec<_> = error["details"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(failing, ["authenticators", "email", "name", "slug"]);
    let (_, one) = enrolled(&visitor, &HOME).await;
    let reply = visitor.post("//signup", application(&slug, &vec![one; 6])).await;
    let error = refuse(reply, 422, "too_many_authenticators", &slug).await;
    assert_eq!(error["message"], "At most 5 authenticators can be enrolled");
}

#[tokio::test]
async fn fields_are_looked_at_before_anything_is_used_up() {
    let (visitor, slug) = (visitor(), unique("fields"));
    let (_, mut one) = enrolled(&visitor, &HOME).await;
    one["friendly_name"] = json!("x".repeat(121));
    let body = json!({"name": " ", "slug": "Not A Slug", "email": "nobody", "authenticators": [one]});
    let error = refuse(visitor.post("//signup", body).await, 422, "validation_failed", &slug).await;
    let details = json!({
        "name": ["can't be blank"], "email": ["must be a valid email address"],
        "slug": ["must be lowercase alphanumeric with hyphens, starting and ending with alphanumeric"],
        "authenticators[0].friendly_name": ["should be at most 120 character(s)"],
    });
    assert_eq!(error["details"], details);
    // The same enrolment, with everything put right.
    one["friendly_name"] = json!("x".repeat(120));
    visitor.post("//signup", application(&slug, &[one])).await.expect(201);
}

/// What an authenticator signed for its own key, with another bit anywhere.
#[tokio::test]
async fn a_forged_attestation_is_none() {
    let slug = unique("forged");
    let (_, one) = enrolled(&visitor(), &HOME).await;
    let (_, other) = enrolled(&visitor(), &HOME).await;
    let mut swapped = one.clone();
    swapped["client_data_json"] = other["client_data_json"].clone();
    let mut renamed = one.clone();
    renamed["credential_id"] = other["credential_id"].clone();
    let nothing = json!({"credential_id": "AAAA", "attestation_object": "AAAA", "client_data_json": "AAAA"});
    let mut forgeries = vec![swapped, renamed, nothing];
    // Of the object, the last bytes are the data that was signed; the key is among them.
    let length = super::device::unb64(&one["attestation_object"]).len();
    for from in [1, 20, 60, length / 2, length - 8] {
        forgeries.push(forged(&one, "attestation_object", from));
    }
    forgeries.push(forged(&one, "credential_id", 1));
    forgeries.extend([json!("x"), json!({}), json!({"credential_id": "no base64!", "friendly_name": "a"})]);
    for forgery in forgeries {
        let reply = visitor().post("//signup", application(&slug, std::slice::from_ref(&forgery))).await;
        let error = refuse(reply, 422, "invalid_attestation", &slug).await;
        assert_eq!(error["reason"], "invalid_attestation", "{forgery}");
        assert!(error["message"].as_str().unwrap().starts_with("Invalid attestation"), "{error}");
    }
    // One that is longer than ids may be.
    let (_, silent) = enrolled(&visitor(), &Page { attests: false, ..HOME }).await;
    let reply = visitor().post("//signup", application(&slug, &[stretched(&silent, 1024)])).await;
    refuse(reply, 422, "invalid_attestation", &slug).await;
    // Beside a good one as well, which is not kept either.
    let reply =
        visitor().post("//signup", application(&slug, &[other, forged(&one, "attestation_object", 1)])).await;
    refuse(reply, 422, "invalid_attestation", &slug).await;
    // As it was made, it is one.
    visitor().post("//signup", application(&slug, &[one])).await.expect(201);
}

/// Made for another page, another server, or as something else.
#[tokio::test]
async fn what_was_made_for_others_is_none() {
    let slug = unique("others");
    for page in [
        Page { origin: "http://evil.test", ..HOME },
        Page { framed: true, ..HOME },
        Page { origin: "https://loopctl.test", ..HOME },
        Page { origin: "http://loopctl.test:81", ..HOME },
        Page { origin: "http://www.loopctl.test", ..HOME },
        Page { rp_id: "evil.test", ..HOME },
        Page { ceremony: Some("webauthn.get"), ..HOME },
    ] {
        for attests in [true, false] {
            let page = Page { attests, ..page.clone() };
            let (_, one) = enrolled(&visitor(), &page).await;
            let reply = visitor().post("//signup", application(&slug, &[one])).await;
            refuse(reply, 422, "invalid_attestation", &slug).await;
        }
    }
    // A page of others may not even ask.
    for origin in ["http://evil.test", "null", "http://loopctl.test:81", ""] {
        let mut foreign = visitor();
        let (_, one) = enrolled(&foreign, &HOME).await;
        foreign.headers.push(("origin", origin.to_owned()));
        foreign.post("//signup/challenge", json!({})).await.expect_error(403, "origin_mismatch");
        let reply = foreign.post("//signup", application(&slug, &[one])).await;
        reply.expect_error(403, "origin_mismatch");
        leaves_nothing(&slug).await;
    }
}

#[tokio::test]
async fn a_challenge_is_good_once_for_a_while_and_for_one() {
    let (slug, owner) = (unique("challenge"), connect(&server().owner).await);
    // Of one's own choice.
    let mut device = Device::new();
    let made_up = device.enrol(&json!("A".repeat(43)), &HOME).await;
    let reply = visitor().post("//signup", application(&slug, &[made_up])).await;
    refuse(reply, 422, "invalid_attestation", &slug).await;
    // Too late.
    let asked = challenge(&visitor()).await;
    let late = device.enrol(&asked, &HOME).await;
    let sql = "update webauthn_challenges set expires_at = clock_timestamp() where challenge = $1";
    assert_eq!(owner.execute(sql, &[&super::device::unb64(&asked)]).await.unwrap(), 1);
    let reply = visitor().post("//signup", application(&slug, &[late])).await;
    refuse(reply, 422, "invalid_attestation", &slug).await;
    // For two.
    let asked = challenge(&visitor()).await;
    let [mut first, mut second] = [Device::new(), Device::new()];
    let both = [first.enrol(&asked, &HOME).await, second.enrol(&asked, &HOME).await];
    let reply = visitor().post("//signup", application(&slug, &both)).await;
    refuse(reply, 422, "invalid_attestation", &slug).await;
    // The same authenticator twice, and with two names.
    let (_, one) = enrolled(&visitor(), &HOME).await;
    let reply = visitor().post("//signup", application(&slug, &[one.clone(), one.clone()])).await;
    refuse(reply, 422, "invalid_attestation", &slug).await;
    // Again, at once and later.
    let other = unique("challenge");
    let (here, there) = (visitor(), visitor());
    let (a, b) = join!(
        here.post("//signup", application(&slug, std::slice::from_ref(&one))),
        there.post("//signup", application(&other, std::slice::from_ref(&one))),
    );
    let mut statuses = [a.status, b.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 422], "{a:?} {b:?}");
    leaves_nothing(if a.status == 201 { &other } else { &slug }).await;
    let replayed = unique("challenge");
    let reply = visitor().post("//signup", application(&replayed, &[one])).await;
    refuse(reply, 422, "invalid_attestation", &replayed).await;
    // That of a tenant for its next authenticator is for that tenant.
    let (tenant, _) = signed_up().await;
    let path = format!("/tenants/{}/authenticators/challenge", tenant.id);
    let asked = tenant.user.post(&path, json!({})).await.expect(200)["data"]["challenge"].clone();
    let stolen = device.enrol(&asked, &HOME).await;
    let reply = visitor().post("//signup", application(&replayed, &[stolen])).await;
    refuse(reply, 422, "invalid_attestation", &replayed).await;
}

#[tokio::test]
async fn a_slug_and_an_address_have_one_tenant() {
    let (there, _) = signed_up().await;
    let visitor = visitor();
    let (_, one) = enrolled(&visitor, &HOME).await;
    let slug = unique("taken");
    let with = |slug: &str, email: String| {
        let mut body = application(slug, std::slice::from_ref(&one));
        body["email"] = json!(email);
        body
    };
    let tries: [(Value, &str, &str, &str); 2] = [
        (
            with(&there.slug.to_uppercase(), format!("{slug}@acme.example")),
            "slug_taken",
            "slug",
            "That slug is already in use",
        ),
        (
            with(&slug, format!("{}@ACME.example", there.slug)),
            "email_taken",
            "email",
            "That email is already associated with a tenant",
        ),
    ];
    for (body, code, field, message) in tries {
        let error = refuse(visitor.post("//signup", body).await, 422, code, &slug).await;
        assert_eq!((&error["message"], &error["details"][field][0]), (&json!(message), &json!(message)));
    }
    // The challenge was left: another slug is all that it takes.
    visitor.post("//signup", application(&slug, &[one])).await.expect(201);
}

/// Of two who come at once, one is told that it came second.
#[tokio::test]
async fn two_for_one_slug() {
    let slug = unique("race");
    let (here, there) = (visitor(), visitor());
    let ((_, one), (_, two)) = (enrolled(&here, &HOME).await, enrolled(&there, &HOME).await);
    let (a, b) = join!(
        here.post("//signup", application(&slug, &[one])),
        there.post("//signup", application(&slug, &[two])),
    );
    let mut statuses = [a.status, b.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 422], "{a:?} {b:?}");
    let lost = if a.status == 422 { a } else { b };
    lost.expect_error(422, "slug_taken");
}
