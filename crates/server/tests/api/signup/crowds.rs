//! Several at once: what is good once, and limits that hold whoever comes at the same moment.

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::join;

use super::device::{Device, HOME, Page, again};
use super::proofs::{add, another, list, proof, revoke};
use super::{application, enrolled, leaves_nothing, signed_up, visitor};
use crate::support::{Reply, Tenant, rounds, text, unique};

/// Says nothing of its key: what it makes for one challenge it could have made for any.
const SILENT: Page = Page { attests: false, ..HOME };

fn statuses<const N: usize>(replies: [&Reply; N]) -> [u16; N] {
    let mut statuses = replies.map(|reply| reply.status);
    statuses.sort_unstable();
    statuses
}

/// A tenant with so many authenticators, in the order of their list.
async fn with(count: usize) -> (Tenant, Vec<Device>) {
    let (tenant, first) = signed_up().await;
    let mut devices = vec![first];
    while devices.len() < count {
        let (device, enrolled) = another(&tenant).await;
        let signed = proof(&tenant, &mut devices[0]).await;
        add(&tenant, &enrolled, signed).await.expect(201);
        devices.push(device);
    }
    (tenant, devices)
}

async fn ids(tenant: &Tenant) -> Vec<String> {
    list(tenant).await.iter().map(|one| text(&one["id"])).collect()
}

#[tokio::test]
async fn of_a_crowd_with_one_challenge_one_signs_up() {
    for _ in 0..rounds(3) {
        let (_, one) = enrolled(&visitor(), &HOME).await;
        let slugs: Vec<_> = (0..8).map(|_| unique("crowd")).collect();
        let sign_up = async |slug: &String| {
            let body = application(slug, std::slice::from_ref(&one));
            visitor().post("//signup", body).await
        };
        let replies = join_all(slugs.iter().map(sign_up)).await;
        assert_eq!(replies.iter().filter(|reply| reply.status == 201).count(), 1);
        for (slug, lost) in slugs.iter().zip(replies).filter(|(_, reply)| reply.status != 201) {
            lost.expect_error(422, "invalid_attestation");
            leaves_nothing(slug).await;
        }
    }
}

/// The second one has a challenge and a touch of its own, and is the same authenticator all the same.
#[tokio::test]
async fn a_credential_is_added_once() {
    for _ in 0..rounds(3) {
        let (tenant, mut devices) = with(2).await;
        let path = format!("/tenants/{}/authenticators/challenge", tenant.id);
        let ask = async || tenant.user.post(&path, json!({})).await.expect(200)["data"]["challenge"].clone();
        let first = Device::new().enrol(&ask().await, &SILENT).await;
        let second = again(&first, &ask().await, &SILENT);
        let [one, two] = &mut devices[..] else { panic!("two") };
        let (here, there) = (proof(&tenant, one).await, proof(&tenant, two).await);
        let (a, b) = join!(add(&tenant, &first, here), add(&tenant, &second, there));
        assert_eq!(statuses([&a, &b]), [201, 422], "{a:?} {b:?}");
        let lost = if a.status == 422 { a } else { b };
        let error = lost.expect_error(422, "invalid_attestation");
        assert!(text(&error["message"]).ends_with("enrolled already"), "{error}");
        assert_eq!(list(&tenant).await.len(), 3);
    }
}

/// Whether each goes by its own hand or by the other's.
#[tokio::test]
async fn of_the_last_two_one_remains() {
    for round in 0..rounds(6) {
        let (tenant, mut devices) = with(2).await;
        let [first, second] = &ids(&tenant).await[..] else { panic!("two") };
        let [one, two] = &mut devices[..] else { panic!("two") };
        let (by_one, by_two) = (proof(&tenant, one).await, proof(&tenant, two).await);
        let crossed = round % 2 == 1;
        let (goes, goes_too) = if crossed { (second, first) } else { (first, second) };
        let (a, b) = join!(revoke(&tenant, goes, by_one), revoke(&tenant, goes_too, by_two));
        // By its own hand the second one is told that it is the last; by the other's there is no other any more.
        assert_eq!(statuses([&a, &b]), [200, if crossed { 401 } else { 409 }], "{a:?} {b:?}");
        let left = ids(&tenant).await;
        assert_eq!(left.len(), 1);
        // And it is as good as before.
        let remaining = if left[0] == *first { one } else { two };
        let (_, enrolled) = another(&tenant).await;
        let signed = proof(&tenant, remaining).await;
        add(&tenant, &enrolled, signed).await.expect(201);
    }
}

#[tokio::test]
async fn there_are_five_at_most_whoever_comes_at_once() {
    let (tenant, mut devices) = with(4).await;
    let mut adding = Vec::new();
    for device in &mut devices {
        let (_, enrolled) = another(&tenant).await;
        adding.push((enrolled, proof(&tenant, device).await));
    }
    let replies =
        join_all(adding.iter().map(|(enrolled, proof)| add(&tenant, enrolled, proof.clone()))).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 201).count(), 1);
    for lost in replies.into_iter().filter(|reply| reply.status != 201) {
        lost.expect_error(422, "too_many_authenticators");
    }
    assert_eq!(list(&tenant).await.len(), 5);
}

/// Only the first one of a tenant that an operator has made needs no proof, and there is one first one.
#[tokio::test]
async fn one_is_the_first() {
    for _ in 0..rounds(3) {
        let tenant = Tenant::new().await;
        let mut enrolled = Vec::new();
        for _ in 0..4 {
            enrolled.push(another(&tenant).await.1);
        }
        let replies = join_all(enrolled.iter().map(|one| add(&tenant, one, Value::Null))).await;
        assert_eq!(replies.iter().filter(|reply| reply.status == 201).count(), 1);
        for lost in replies.into_iter().filter(|reply| reply.status != 201) {
            lost.expect_error(401, "webauthn_required");
        }
        assert_eq!(list(&tenant).await.len(), 1);
    }
}
