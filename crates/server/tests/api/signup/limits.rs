//! How often one address may try.

use futures_util::future::join_all;
use serde_json::json;

use super::visitor;
use crate::support::{Caller, connect, server};

#[tokio::test]
async fn the_sixth_within_an_hour_is_told_to_wait() {
    let visitor = visitor();
    for _ in 0..5 {
        visitor.post("//signup", json!({})).await.expect_error(422, "no_authenticators");
    }
    let reply = visitor.post("//signup", json!({})).await;
    let told = reply.headers["retry-after"].to_str().unwrap().to_owned();
    let error = reply.expect_error(429, "rate_limited");
    assert_eq!(error["message"], "Too many registration attempts. Please try again later.");
    assert_eq!(error["retry_after_seconds"].to_string(), told);
    assert!((3500..=3600).contains(&error["retry_after_seconds"].as_i64().unwrap()));
    // Whoever is a neighbour of the same network is the same; challenges are another matter, and so are other addresses.
    let mut neighbour = visitor.clone();
    let address = neighbour.headers[0].1.replace("::1", "::2");
    neighbour.headers[0].1 = address.clone();
    neighbour.post("//signup", json!({})).await.expect_error(429, "rate_limited");
    visitor.post("//signup/challenge", json!({})).await.expect(200);
    super::visitor().post("//signup", json!({})).await.expect_error(422, "no_authenticators");
    // What a client invents before its proxy does not help it.
    neighbour.headers[0].1 = format!("192.0.2.1, {address}");
    neighbour.post("//signup", json!({})).await.expect_error(429, "rate_limited");
    // An hour later.
    let sql = "update address_attempts set times = array(select t - interval '1 hour' from unnest(times) t)
               where kind = 'signup' and address = $1";
    let network = address.replace("::2", "::");
    assert_eq!(connect(&server().owner).await.execute(sql, &[&network]).await.unwrap(), 1);
    visitor.post("//signup", json!({})).await.expect_error(422, "no_authenticators");
}

#[tokio::test]
async fn challenges_are_bounded_too_and_so_is_what_is_kept() {
    let (visitor, owner) = (visitor(), connect(&server().owner).await);
    let ask = async |visitor: &Caller| visitor.post("//signup/challenge", json!({})).await;
    for _ in 0..60 {
        ask(&visitor).await.expect(200);
    }
    ask(&visitor).await.expect_error(429, "rate_limited");
    // Who has not been here for an hour is forgotten.
    owner
        .execute("insert into address_attempts (kind, address, last_at) values ('signup', 'gone', now() - interval '61 minutes')", &[])
        .await
        .unwrap();
    ask(&super::visitor()).await.expect(200);
    let left = "select count(*) from address_attempts where address = 'gone'";
    let mut gone: i64 = 1;
    while gone > 0 {
        ask(&super::visitor()).await.expect(200);
        gone = owner.query_one(left, &[]).await.unwrap().get(0);
    }
}

/// Who comes with ever more addresses does not make the table grow: beyond ten thousand the oldest are forgotten.
#[tokio::test]
async fn ten_thousand_addresses_are_kept_at_most() {
    let owner = connect(&server().owner).await;
    // So long ago that nobody else is forgotten in their place, and not so long that their time is over.
    let flood = "insert into address_attempts (kind, address, last_at)
                 select 'challenge', 'flood ' || n, now() - interval '50 minutes' from generate_series(1, 10040) n";
    owner.execute(flood, &[]).await.unwrap();
    let count = async |of: &str| -> i64 {
        let sql = format!("select count(*) from address_attempts where {of}");
        owner.query_one(&sql, &[]).await.unwrap().get(0)
    };
    let visitors: Vec<_> = (0..10).map(|_| visitor()).collect();
    while count("true").await > 10_000 {
        // Each leaves a row and takes ten away.
        join_all(visitors.iter().map(async |visitor| {
            visitor.post("//signup/challenge", json!({})).await.expect(200);
        }))
        .await;
    }
    assert!(count("address like 'flood %'").await < 10_000);
    for visitor in &visitors {
        let address = visitor.headers[0].1.replace("::1", "::");
        assert_eq!(count(&format!("kind = 'challenge' and address = '{address}'")).await, 1, "{address}");
    }
    owner.execute("delete from address_attempts where address like 'flood %'", &[]).await.unwrap();
}
