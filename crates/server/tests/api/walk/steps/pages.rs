//! Pages, and what is done on them without a key: signing up and in, authenticators.

use serde_json::{Value, json};

use super::{Calls, Step};
use crate::isolation::Populated;
use crate::signup::device::HOME;
use crate::signup::proofs::{add, another, proof};
use crate::signup::sessions::{asked_to_sign_in, signed_in};
use crate::signup::{application, enrolled, visitor};
use crate::support::{Caller, Tenant, connect, server, text, unique};

/// Somebody from an address of their own. What keys they have does not matter.
fn wanderer(who: &Caller) -> Caller {
    let mut wanderer = who.clone();
    wanderer.headers.extend(visitor().headers);
    wanderer
}

/// Somebody on a page of others.
fn foreign(who: &Caller) -> Caller {
    let mut foreign = wanderer(who);
    foreign.headers.push(("origin", "http://evil.test".to_owned()));
    foreign
}

/// Somebody who has tried as often as one may.
async fn insistent(who: &Caller, kind: &str) -> Caller {
    let insistent = wanderer(who);
    let (_, address) = insistent.headers.last().unwrap();
    let sql = "insert into address_attempts (kind, address, times)
               values ($1, host(network(set_masklen($2::text::inet, 64))), array(select now() from generate_series(1, 60)))";
    connect(&server().owner).await.execute(sql, &[&kind, address]).await.unwrap();
    insistent
}

/// A page of ours in a browser in which the populated tenant's owner has signed in.
async fn page_of(a: &Populated) -> Caller {
    signed_in(&mut *a.device.lock().await).await
}

/// Who has everything that does not change.
fn knowing() -> Caller {
    let mut knowing = Caller::nobody();
    knowing.headers.push(("if-none-match", "*".to_owned()));
    knowing
}

/// The calls to be made of a route, if it is one of these.
pub(super) async fn steps(calls: &Calls<'_>, method: &str) -> Option<Vec<Step>> {
    let a = &calls.world.a;
    let user = &a.tenant.user;
    let route = &calls.route;
    let steps = |path: &str, tries: &[(&Caller, u16, Value)]| calls.steps(path, tries);
    let here = |tries: &[(&Caller, u16, Value)]| calls.here(tries);
    let of = |id: &str, tries: &[(&Caller, u16, Value)]| calls.of(id, tries);
    let (nothing, empty) = (Value::Null, json!({}));
    Some(match (method, route.as_str()) {
        ("GET", "//docs/{name}") => {
            let mut tries = of(
                "agents",
                &[(&Caller::nobody(), 200, nothing.clone()), (&knowing(), 304, nothing.clone())],
            );
            tries.extend(of("nothing", &[(&Caller::nobody(), 404, nothing)]));
            tries
        }
        ("GET", "//wiki/{slug}") => {
            let mut tries = of(
                "chain-of-custody",
                &[(&Caller::nobody(), 200, nothing.clone()), (&knowing(), 304, nothing.clone())],
            );
            tries.extend(of("nothing", &[(&Caller::nobody(), 404, nothing)]));
            tries
        }
        ("GET", "/articles/system") => {
            let mut tries = calls.read(
                &Caller::nobody(),
                &[(200, "?slug=chain-of-custody"), (404, "?slug=nonexistent"), (400, "?category=bogus")],
            );
            tries.extend(here(&[(&knowing(), 304, nothing)]));
            tries
        }
        ("GET", path)
            if [
                "/openapi",
                "/lifecycle",
                "//home",
                "//docs",
                "//wiki",
                "//swaggerui",
                "//terms",
                "//privacy",
            ]
            .contains(&path)
                || path.starts_with("//.well-known/") =>
        {
            here(&[(&Caller::nobody(), 200, nothing.clone()), (&knowing(), 304, nothing)])
        }
        ("GET", "//swagger") => here(&[(&Caller::nobody(), 302, nothing)]),
        ("GET", "//signup") => here(&[(&Caller::nobody(), 200, nothing)]),
        ("GET", "//tenants/{tenant_id}/onboarding") => {
            let who = wanderer(user);
            let (_, one) = enrolled(&who, &HOME).await;
            let made = who.post("//signup", application(&unique("walk"), &[one])).await.expect(201);
            let mut tries =
                steps(&format!("/{}", text(&made["data"]["redirect_to"])), &[(&who, 200, nothing.clone())]);
            tries.extend(here(&[(&who, 302, nothing)]));
            tries
        }
        ("GET", "//sign-in") => {
            let tries = [(&Caller::nobody(), 200, nothing.clone()), (&page_of(a).await, 302, nothing)];
            here(&tries)
        }
        ("GET", "//account") => {
            let tries = [(&Caller::nobody(), 302, nothing.clone()), (&page_of(a).await, 200, nothing)];
            here(&tries)
        }
        ("POST", "//sign-in/challenge") => {
            let tries = [
                (&wanderer(user), 200, empty.clone()),
                (&wanderer(user), 422, json!({"slug": 7})),
                (&foreign(user), 403, empty.clone()),
                (&insistent(user, "sign_in_challenge").await, 429, empty),
            ];
            here(&tries)
        }
        ("POST", "//sign-in") => {
            let who = wanderer(user);
            let signed = a.device.lock().await.prove(&asked_to_sign_in(&who).await, &HOME).await;
            let body = json!({"webauthn_assertion": signed});
            let tries = [
                (&who, 401, empty.clone()),
                (&foreign(user), 403, empty.clone()),
                (&insistent(user, "sign_in").await, 429, empty),
                (&who, 200, body),
            ];
            here(&tries)
        }
        ("POST", "//sign-out") => {
            let page = page_of(a).await;
            let mut foreign = page.clone();
            foreign.headers.retain(|(name, _)| *name != "origin");
            here(&[
                (&Caller::nobody(), 401, empty.clone()),
                (&foreign, 403, empty.clone()),
                (&page, 200, empty),
            ])
        }
        ("POST", "//account/keys") => {
            let page = page_of(a).await;
            let mut foreign = page.clone();
            foreign.headers.retain(|(name, _)| *name != "origin");
            let named = json!({"name": unique("walk")});
            let signed = proof(&a.tenant, &mut *a.device.lock().await).await;
            let body = json!({"name": unique("walk"), "webauthn_assertion": signed});
            let tries = [
                (&page, 401, named.clone()),
                (&page, 422, empty),
                (&foreign, 403, named),
                (&page, 201, body),
            ];
            here(&tries)
        }
        ("POST", "//signup/challenge") => {
            let tries = [
                (&wanderer(user), 200, empty.clone()),
                (&foreign(user), 403, empty.clone()),
                (&insistent(user, "challenge").await, 429, empty),
            ];
            here(&tries)
        }
        ("POST", "//signup") => {
            let who = wanderer(user);
            let (_, one) = enrolled(&who, &HOME).await;
            let body = application(&unique("walk"), &[one]);
            let tries = [
                (&who, 422, empty.clone()),
                (&foreign(user), 403, empty.clone()),
                (&insistent(user, "signup").await, 429, empty),
                (&who, 201, body),
            ];
            here(&tries)
        }
        ("POST", "/tenants/{tenant_id}/authenticators") => {
            let (_, one) = another(&a.tenant).await;
            let signed = proof(&a.tenant, &mut *a.device.lock().await).await;
            let body = json!({"authenticator": one, "webauthn_assertion": signed});
            here(&[(user, 422, empty), (user, 401, json!({"authenticator": one})), (user, 201, body)])
        }
        ("POST", path) if path.starts_with("/tenants/") => here(&[(user, 200, empty)]),
        ("DELETE", "/tenants/{tenant_id}/authenticators/{id}") => {
            let mut device = a.device.lock().await;
            let (_, one) = another(&a.tenant).await;
            let signed = proof(&a.tenant, &mut device).await;
            let spare = text(&add(&a.tenant, &one, signed).await.expect(201)["data"]["id"]);
            let body = json!({"webauthn_assertion": proof(&a.tenant, &mut device).await});
            // Another tenant, who has but one.
            let other = Tenant::new().await;
            let (mut theirs, one) = another(&other).await;
            let last = text(&add(&other, &one, json!(null)).await.expect(201)["data"]["id"]);
            let theirs = json!({"webauthn_assertion": proof(&other, &mut theirs).await});
            let path = |tenant: &Tenant, id: &str| format!("/tenants/{}/authenticators/{id}", tenant.id);
            let mut tries = steps(&path(&other, &last), &[(&other.user, 409, theirs)]);
            tries.extend(steps(&path(&a.tenant, &spare), &[(user, 401, empty), (user, 200, body)]));
            tries
        }
        _ => return None,
    })
}
