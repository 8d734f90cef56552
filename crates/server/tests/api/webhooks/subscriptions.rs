//! Subscribing, changing, testing, and the end of it.

use loopctl_core::webhooks::EventType;
use loopctl_server::operator::create_superadmin_key;
use serde_json::{Value, json};

use super::{NOBODY, URL, queued, subscribed, types};
use crate::support::{Caller, Tenant, connect, server, text, unique};

/// The members of a webhook, wherever it is shown.
const MEMBERS: [&str; 9] = [
    "id",
    "url",
    "events",
    "project_id",
    "active",
    "consecutive_failures",
    "last_delivery_at",
    "inserted_at",
    "updated_at",
];

async fn refused(tenant: &Tenant, body: Value) -> Value {
    let error = tenant.user.post("/webhooks", body).await.expect_error(422, "validation_failed");
    error["details"].clone()
}

#[tokio::test]
async fn what_is_no_subscription_is_refused_in_the_contracts_words() {
    let (tenant, stranger) = (Tenant::new().await, Tenant::new().await);
    let none = "must contain at least one event type";
    let url = |rest: Value| {
        let mut body = json!({"url": URL, "events": ["story.verified"]});
        body.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        body
    };
    for (body, details) in [
        (json!({}), json!({"url": ["can't be blank"], "events": ["can't be blank", none]})),
        (url(json!({"url": " "})), json!({"url": ["can't be blank"]})),
        (url(json!({"url": 7})), json!({"url": ["is invalid"]})),
        (url(json!({"events": null})), json!({"events": ["can't be blank", none]})),
        (url(json!({"events": []})), json!({"events": [none]})),
        (url(json!({"events": "story.verified"})), json!({"events": ["is invalid"]})),
        (url(json!({"events": ["story.verified", 7]})), json!({"events": ["is invalid"]})),
        (
            url(json!({"events": ["invalid.event"]})),
            json!({"events": ["contains invalid event types: invalid.event"]}),
        ),
        (
            url(json!({"events": ["a", "story.verified", "b"]})),
            json!({"events": ["contains invalid event types: a, b"]}),
        ),
        (url(json!({"project_id": "mine"})), json!({"project_id": ["is invalid"]})),
        (url(json!({"project_id": NOBODY})), json!({"project_id": ["does not exist"]})),
        (url(json!({"project_id": stranger.project().await})), json!({"project_id": ["does not exist"]})),
        (
            json!({"url": "ftp://x/", "events": [], "project_id": NOBODY}),
            json!({"url": ["must use HTTPS or HTTP scheme"], "events": [none], "project_id": ["does not exist"]}),
        ),
    ] {
        assert_eq!(refused(&tenant, body.clone()).await, details, "{body}");
    }
    let empty = tenant.user.get("/webhooks").await.expect(200);
    assert_eq!((&empty["data"], &empty["meta"]["total_count"]), (&json!([]), &json!(0)));
    // And nothing of it is in the log.
    assert!(tenant.audit_log().await.iter().all(|entry| entry["entity_type"] != "webhook"));
}

#[tokio::test]
async fn a_secret_is_shown_once_and_kept_encrypted() {
    let tenant = Tenant::new().await;
    let reply = tenant.user.post("/webhooks", json!({"url": URL, "events": ["story.verified"]})).await;
    assert_eq!(reply.headers["cache-control"], "no-store");
    let body = reply.expect(201);
    let webhook = body["webhook"].as_object().unwrap();
    let secret = text(&webhook["signing_secret"]);
    assert!(secret.len() == 64 && secret.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
    let whsec = text(&webhook["signing_secret_whsec"]);
    let (active, failures) = (&webhook["active"], &webhook["consecutive_failures"]);
    assert_eq!((active, failures, &webhook["last_delivery_at"]), (&json!(true), &json!(0), &Value::Null));
    assert_eq!(webhook.len(), MEMBERS.len() + 2);
    // `whsec_` and the base64 of the very characters.
    let owner = connect(&server().owner).await;
    let sql = "select convert_from(decode(substr($1, 7), 'base64'), 'utf8')";
    assert_eq!(owner.query_one(sql, &[&whsec]).await.unwrap().get::<_, String>(0), secret);
    assert!(whsec.starts_with("whsec_"));
    let sql = "select signing_secret from webhooks where id = $1::text::uuid";
    let kept: Vec<u8> = owner.query_one(sql, &[&text(&webhook["id"])]).await.unwrap().get(0);
    let bytes = (0..32).map(|at| u8::from_str_radix(&secret[2 * at..2 * at + 2], 16).unwrap());
    for plain in [secret.as_bytes().to_vec(), bytes.collect()] {
        assert!(kept.len() >= 64 && !kept.windows(plain.len()).any(|part| part == plain));
    }
    // Nobody is told again, whatever they do.
    let path = format!("/webhooks/{}", text(&webhook["id"]));
    let told = [
        tenant.user.get("/webhooks").await.expect(200)["data"][0].clone(),
        tenant.user.get(&path).await.expect(200)["webhook"].clone(),
        tenant.user.patch(&path, json!({"active": false})).await.expect(200)["webhook"].clone(),
        tenant.user.put(&path, json!({"active": true})).await.expect(200)["webhook"].clone(),
    ];
    for told in told {
        let members: Vec<_> = told.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(members, MEMBERS);
    }
    let log = json!(tenant.audit_log().await).to_string();
    assert!(!log.contains(&secret) && !log.contains(&whsec) && log.contains(URL));
}

#[tokio::test]
async fn every_event_type_can_be_subscribed_to_and_counts_once() {
    let tenant = Tenant::new().await;
    let twice: Vec<_> = ["story.verified"].into_iter().chain(EventType::WORDS.iter().copied()).collect();
    let body = json!({"url": URL, "events": twice});
    let webhook = tenant.user.post("/webhooks", body).await.expect(201);
    let events = webhook["webhook"]["events"].as_array().unwrap().clone();
    assert!(events.len() == EventType::WORDS.len() && events[0] == "story.verified" && events.len() >= 22);
}

#[tokio::test]
async fn webhooks_are_for_users() {
    let tenant = Tenant::new().await;
    let webhook = subscribed(&tenant, &["story.verified"], None).await;
    let key = create_superadmin_key(&server().owner, &unique("root")).await.unwrap();
    let nowhere = Caller::with_key(&key.raw_key);
    let paths = [
        ("GET", "/webhooks".to_owned()),
        ("POST", "/webhooks".to_owned()),
        ("GET", format!("/webhooks/{webhook}")),
        ("PATCH", format!("/webhooks/{webhook}")),
        ("PUT", format!("/webhooks/{webhook}")),
        ("DELETE", format!("/webhooks/{webhook}")),
        ("POST", format!("/webhooks/{webhook}/test")),
        ("GET", format!("/webhooks/{webhook}/deliveries")),
        ("POST", format!("/webhooks/{webhook}/deliveries/{NOBODY}/redeliver")),
    ];
    let (agent, orchestrator) = (tenant.agent().await, tenant.orchestrator().await);
    for (method, path) in &paths {
        let send = async |who: &Caller| {
            let request = who.request(method.parse().unwrap(), path);
            who.send(request.json(&json!({"active": false}))).await
        };
        for who in [&agent, &orchestrator] {
            let error = send(who).await.expect(403);
            assert_eq!(error["error"]["message"], "Insufficient permissions. Required role: user", "{path}");
        }
        send(&Caller::nobody()).await.expect(401);
        let error = send(&nowhere).await.expect(400);
        assert_eq!(error["error"]["message"], "Superadmin must use X-Impersonate-Tenant header", "{path}");
    }
    let shown = tenant.user.get(&format!("/webhooks/{webhook}")).await.expect(200);
    assert_eq!(shown["webhook"]["active"], true);
}

#[tokio::test]
async fn the_limit_comes_before_the_fields() {
    let tenant = Tenant::new().await;
    let limit = async |limit: Value| {
        let body = json!({"settings": {"max_webhooks": limit}});
        tenant.user.patch("/tenants/me", body).await.expect(200);
    };
    limit(json!(1)).await;
    let first = subscribed(&tenant, &["story.verified"], None).await;
    for body in [json!({}), json!({"url": URL, "events": ["story.verified"]})] {
        let error = tenant.user.post("/webhooks", body).await.expect_error(422, "webhook_limit_reached");
        assert_eq!(error["message"], "Webhook limit reached for this tenant");
    }
    tenant.user.delete(&format!("/webhooks/{first}")).await.expect(204);
    for _ in 0..10 {
        limit(Value::Null).await;
        subscribed(&tenant, &["story.verified"], None).await;
    }
    let body = json!({"url": URL, "events": ["story.verified"]});
    tenant.user.post("/webhooks", body).await.expect_error(422, "webhook_limit_reached");
    let page = tenant.user.get("/webhooks?page=2&page_size=4").await.expect(200);
    assert_eq!((page["data"].as_array().unwrap().len(), &page["meta"]["total_pages"]), (4, &json!(3)));
    let all = tenant.user.get("/webhooks?limit=100").await.expect(200);
    let times: Vec<_> = all["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| [text(&row["inserted_at"]), text(&row["id"])])
        .collect();
    assert!(times.is_sorted_by(|a, b| a > b), "newest first: {times:?}");
}

#[tokio::test]
async fn a_change_says_what_it_was_and_forgets_failures() {
    let tenant = Tenant::new().await;
    let project = tenant.project().await;
    let webhook = subscribed(&tenant, &["story.verified"], Some(&project)).await;
    let path = format!("/webhooks/{webhook}");
    let owner = connect(&server().owner).await;
    let failed = async || {
        let sql = "update webhooks set consecutive_failures = 10 where id = $1::text::uuid";
        owner.execute(sql, &[&webhook]).await.unwrap();
    };
    let patch = async |body: Value| tenant.user.patch(&path, body).await.expect(200)["webhook"].clone();
    // What is not acceptable changes nothing.
    for (body, field) in [
        (json!({"url": "", "active": false}), "url"),
        (json!({"url": "ftp://x/", "active": false}), "url"),
        (json!({"events": [], "active": false}), "events"),
        (json!({"events": ["x"], "active": false}), "events"),
        (json!({"project_id": NOBODY, "active": false}), "project_id"),
        (json!({"active": "maybe"}), "active"),
    ] {
        let error = tenant.user.patch(&path, body.clone()).await.expect(422);
        assert!(error["error"]["details"][field].is_array(), "{body}: {error}");
    }
    // Nothing, nulls, other keys, and what it is already.
    let before = tenant.user.get(&path).await.expect(200)["webhook"].clone();
    let same = json!({"url": URL, "events": ["story.verified"], "active": true, "project_id": project});
    for body in [json!({}), json!({"url": null, "events": null, "active": null, "signing_secret": "x"}), same]
    {
        assert_eq!(patch(body).await, before);
    }
    let log = async || {
        let log = tenant.audit_log().await;
        log.into_iter().filter(|entry| entry["entity_type"] == "webhook").collect::<Vec<_>>()
    };
    assert_eq!(log().await.len(), 1);
    // An active one is told to be active: nothing else changes, and nothing is told.
    failed().await;
    assert_eq!(patch(json!({"url": URL})).await["consecutive_failures"], 10);
    assert_eq!(patch(json!({"active": true})).await["consecutive_failures"], 0);
    assert_eq!(log().await.len(), 1);
    // A change keeps the failures, unless it activates.
    failed().await;
    let other = "https://other.invalid/";
    let changed = patch(json!({"url": other, "events": ["epic.completed", "epic.completed"]})).await;
    assert_eq!((&changed["url"], &changed["events"]), (&json!(other), &json!(["epic.completed"])));
    assert_eq!(changed["consecutive_failures"], 10);
    assert_eq!(patch(json!({"active": false})).await["consecutive_failures"], 10);
    assert_eq!(patch(json!({"active": true})).await["consecutive_failures"], 0);
    let scope = patch(json!({"project_id": null})).await;
    assert_eq!(scope["project_id"], Value::Null);
    let entries = log().await;
    let actions: Vec<_> = entries.iter().map(|entry| text(&entry["action"])).collect();
    assert_eq!(actions, ["created", "updated", "updated", "updated", "updated"]);
    let state = |url: &str, events: Value, project_id: Value, active: bool| json!({"url": url, "events": events, "project_id": project_id, "active": active});
    let first = state(URL, json!(["story.verified"]), json!(project), true);
    let second = state(other, json!(["epic.completed"]), json!(project), true);
    assert_eq!((&entries[0]["old_state"], &entries[0]["new_state"]), (&Value::Null, &first));
    assert_eq!((&entries[1]["old_state"], &entries[1]["new_state"]), (&first, &second));
    assert_eq!(entries[2]["new_state"]["active"], false);
    assert_eq!((&entries[1]["project_id"], &entries[4]["project_id"]), (&json!(project), &Value::Null));
    assert_eq!(entries[4]["new_state"]["project_id"], Value::Null);
}

#[tokio::test]
async fn a_deleted_webhook_takes_its_events_along() {
    let tenant = Tenant::new().await;
    let webhook = subscribed(&tenant, &["agent.registered"], None).await;
    let path = format!("/webhooks/{webhook}");
    tenant.agent().await;
    tenant.user.post(&format!("{path}/test"), json!({})).await.expect(200);
    assert_eq!(types(&webhook).await, ["agent.registered", "webhook.test"]);
    let reply = tenant.user.delete(&path).await;
    assert_eq!((reply.status, reply.body), (204, Value::Null));
    assert_eq!(queued(&webhook).await, [json!(null); 0]);
    for request in ["", "/test", "/deliveries"] {
        let path = format!("{path}{request}");
        let reply = if request == "/test" {
            tenant.user.post_empty(&path).await
        } else {
            tenant.user.get(&path).await
        };
        assert_eq!(reply.expect_error(404, "not_found")["message"], "Not found");
    }
    tenant.user.delete(&path).await.expect_error(404, "not_found");
    let entry = tenant.audit_log().await.pop().unwrap();
    assert_eq!((&entry["action"], &entry["new_state"]), (&json!("deleted"), &Value::Null));
    let told = json!({"url": URL, "events": ["agent.registered"], "project_id": null, "active": true});
    assert_eq!(entry["old_state"], told);
}

#[tokio::test]
async fn a_test_goes_to_one_webhook_active_or_not() {
    let tenant = Tenant::new().await;
    let (webhook, other) =
        (subscribed(&tenant, &["story.verified"], None).await, super::told_everything(&tenant).await);
    let path = format!("/webhooks/{webhook}");
    tenant.user.patch(&path, json!({"active": false})).await.expect(200);
    let answer = tenant.user.post_empty(&format!("{path}/test")).await.expect(200);
    let id = text(&answer["webhook_event_id"]);
    let message = "Test event created and enqueued for delivery";
    assert_eq!(answer, json!({"webhook_event_id": id, "status": "pending", "message": message}));
    let events = queued(&webhook).await;
    assert_eq!((events.len(), &events[0]["id"], &events[0]["status"]), (1, &json!(id), &json!("pending")));
    let data = json!({"message": "This is a test event", "webhook_id": webhook});
    let payload = &events[0]["payload"];
    assert_eq!((&payload["event"], &payload["data"]), (&json!("webhook.test"), &data));
    assert_eq!((&payload["message"], &payload["webhook_id"]), (&data["message"], &data["webhook_id"]));
    // Who subscribes to tests is told of none but their own.
    assert_eq!(types(&other).await, [""; 0]);
    let entry = tenant.audit_log().await.pop().unwrap();
    assert_eq!((&entry["action"], &entry["new_state"]), (&json!("tested"), &json!({"webhook_event_id": id})));
}

#[tokio::test]
async fn a_superadmin_inside_the_tenant_is_named_as_such() {
    let tenant = Tenant::new().await;
    let key = create_superadmin_key(&server().owner, &unique("root")).await.unwrap();
    let mut inside = Caller::with_key(&key.raw_key);
    inside.headers.push(("x-impersonate-tenant", tenant.id.clone()));
    inside.post("/webhooks", json!({"url": URL, "events": ["story.verified"]})).await.expect(201);
    let entry = tenant.audit_log().await.pop().unwrap();
    assert_eq!(entry["actor_type"], "superadmin");
    assert_eq!(entry["actor_label"], format!("superadmin:impersonating:{}", tenant.slug));
    assert_eq!(entry["metadata"]["impersonated_by"], key.id.to_string());
}
