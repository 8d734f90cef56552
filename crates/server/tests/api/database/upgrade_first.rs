//! The first version that was handed out, with a database that it made itself (`first_version/make.py` says how): its data is
//! brought to the newest version, everything that it answered is answered still, and what was under way goes on.

use std::io::Read as _;

use flate2::read::GzDecoder;
use loopctl_server::Settings;
use loopctl_server::db::migrate::migrate;
use loopctl_server::operator;
use loopctl_server::serve::{ServeOptions, Server};
use reqwest::Method;
use serde_json::{Value, json};

use super::live_migration::Client as Caller;
use super::migrations::{drop_database, fresh_database};
use crate::conventions::health::line_to;
use crate::support::connect;

const DATABASE: &[u8] = include_bytes!("first_version/database.sql.gz");
const ANSWERS: &[u8] = include_bytes!("first_version/answers.json.gz");

/// What passes, and what later versions say in other words.
const OTHERWISE: [&str; 5] =
    [".exported_at", ".last_seen_at", ".last_used_at", ".learn_more", ".preconditions[0]"];

fn unpacked(bytes: &[u8]) -> String {
    let mut text = String::new();
    GzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    text
}

/// Where `now` does not have what was there before. More may be there.
fn lost(path: &str, before: &Value, now: &Value, faults: &mut Vec<String>) {
    match (before, now) {
        (Value::Object(before), Value::Object(now)) => {
            for (name, value) in before {
                lost(&format!("{path}.{name}"), value, now.get(name).unwrap_or(&Value::Null), faults);
            }
        }
        (Value::Array(before), Value::Array(now)) if before.len() == now.len() => {
            for (nth, (before, now)) in before.iter().zip(now).enumerate() {
                lost(&format!("{path}[{nth}]"), before, now, faults);
            }
        }
        _ if before == now || OTHERWISE.iter().any(|end| path.ends_with(end)) => {}
        _ => faults.push(format!("{path}: {before} was told, and now {now}")),
    }
}

#[tokio::test]
async fn what_the_first_version_kept_goes_on() {
    let config = fresh_database().await;
    connect(&config).await.batch_execute(&unpacked(DATABASE)).await.unwrap();
    let applied = migrate(&config, None).await.unwrap();
    assert!(applied[0].starts_with("V7__"), "{applied:?}");
    assert_eq!(operator::check(&config, None).await.unwrap().different, 0);

    // However long ago that was.
    let (_line, options) = line_to(config.get_dbname().unwrap(), 4).await;
    let settings = Settings { audit_retention_days: u16::MAX, ..options.settings };
    let server = Server::start(&ServeOptions { settings, ..options }).await.unwrap();
    let base = format!("http://{}", server.address);
    let with = |key: &Value| Caller::new(base.clone(), key.as_str().unwrap().to_owned());
    let told: Value = serde_json::from_str(&unpacked(ANSWERS)).unwrap();
    let mut faults = Vec::new();
    for read in told["reads"].as_array().unwrap() {
        let path = read["path"].as_str().unwrap();
        let (status, answer) = with(&read["key"]).call(Method::GET, path, None).await;
        assert_eq!(status, 200, "{path}: {answer:#}");
        lost(path, &read["answer"], &answer, &mut faults);
    }
    assert!(faults.is_empty(), "{} things are not as they were: {faults:#?}", faults.len());

    for tenant in told["tenants"].as_array().unwrap() {
        let keys = &tenant["keys"];
        let [alice, bob, lead, user] = ["alice", "bob", "lead", "user"].map(|name| with(&keys[name]));
        let path = |number: &str, action: &str| {
            format!("/stories/{}/{action}", tenant["stories"][number].as_str().unwrap())
        };
        let review = json!({"review_type": "code", "summary": "Looked at it all"});
        let verify = json!({"result": "pass", "review_type": "code", "summary": "All criteria met"});
        // From wherever each of them was.
        let [report, done] = ["report", "review-complete"];
        for (who, number, action, body) in [
            (&lead, "1.2", "verify", verify.clone()),
            (&bob, "1.3", done, review.clone()),
            (&lead, "1.3", "verify", verify.clone()),
            (&alice, "1.4", "request-review", json!({})),
            (&bob, "1.4", report, json!({})),
            (&bob, "1.4", done, review.clone()),
            (&lead, "1.4", "verify", verify.clone()),
            (&alice, "1.5", "start", json!({})),
            (&alice, "1.6", "claim", json!({})),
        ] {
            who.done(Method::POST, &path(number, action), body).await;
        }
        // Nobody signs off what they did.
        let (status, refused) = alice.call(Method::POST, &path("1.5", report), Some(&json!({}))).await;
        assert_eq!((status, &refused["error"]["code"]), (409, &json!("self_report_blocked")));
        let project = tenant["project"].as_str().unwrap();
        let progress = user.done(Method::GET, &format!("/projects/{project}/progress"), json!({})).await;
        assert_eq!(progress["progress"]["stories_by_verified_status"]["verified"], 4, "{progress:#}");
    }
    server.stop().await.unwrap();
    assert_eq!(operator::check(&config, None).await.unwrap().different, 0);
    drop_database(&config).await;
}
