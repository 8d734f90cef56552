//! Bulk calls, what they have in common.

use reqwest::Method;
use serde_json::{Value, json};

use super::impersonation::{inside, superadmin};
use super::{Scene, outcomes, refused_item, results, stories};
use crate::support::{Caller, Reach, text};

/// Every endpoint with the name of its list and the role that may call.
pub(super) const ENDPOINTS: [(&str, &str, &str); 4] = [
    ("claim", "story_ids", "agent"),
    ("verify", "stories", "orchestrator"),
    ("reject", "stories", "orchestrator"),
    ("mark-complete", "stories", "orchestrator"),
];

const UNKNOWN: &str = "0190f5ad-0000-7000-8000-000000000000";

/// A call on these stories with everything that an item needs.
fn body_of(endpoint: &str, ids: &[&str]) -> Value {
    if endpoint == "claim" {
        return json!({"story_ids": ids});
    }
    let items: Vec<_> = ids.iter().map(|id| json!({"story_id": id, "reason": "no tests"})).collect();
    json!({"stories": items})
}

fn path(endpoint: &str) -> String {
    format!("/stories/bulk/{endpoint}")
}

impl Scene {
    /// Who may call the endpoint, in the scene.
    fn caller(&self, endpoint: &str) -> &Caller {
        if endpoint == "claim" { &self.a1 } else { &self.o }
    }

    async fn bulk(&self, endpoint: &str, ids: &[&str]) -> Vec<Value> {
        results(self.caller(endpoint).post(&path(endpoint), body_of(endpoint, ids)).await)
    }
}

/// How far a story must have come for the endpoint to succeed.
fn ripe(endpoint: &str) -> Option<Reach> {
    match endpoint {
        "claim" => Some(Reach::Contracted),
        "verify" | "reject" => Some(Reach::Reviewed),
        _ => None,
    }
}

impl Scene {
    /// New stories in one project, all ripe for the endpoint.
    async fn ripe(&self, endpoint: &str, count: usize) -> Vec<String> {
        let ids = stories(&self.tenant, count).await;
        if let Some(reach) = ripe(endpoint) {
            for id in &ids {
                self.bring(id, reach).await;
            }
        }
        ids
    }
}

#[tokio::test]
async fn exact_roles_know_no_hierarchy() {
    let scene = Scene::at(Reach::Reviewed).await;
    let before = scene.snapshot().await;
    let root = superadmin().await;
    let callers = [
        ("agent", scene.a2.clone()),
        ("orchestrator", scene.o.clone()),
        ("user", scene.tenant.user.clone()),
        ("superadmin", inside(&root, &scene, None)),
    ];
    for (endpoint, list, allowed) in ENDPOINTS {
        for (role, caller) in &callers {
            if *role == allowed {
                continue;
            }
            // The role comes before the list.
            for body in [body_of(endpoint, &[&scene.story]), json!({}), json!({list: 7})] {
                let error = caller.post(&path(endpoint), body).await.expect_error(403, "forbidden");
                assert_eq!(error["message"], format!("This endpoint requires the {allowed} role"), "{role}");
            }
        }
        let body = body_of(endpoint, &[&scene.story]);
        Caller::nobody().post(&path(endpoint), body.clone()).await.expect_error(401, "unauthorized");
        root.post(&path(endpoint), body).await.expect_error(403, "forbidden");
        for method in [Method::GET, Method::PUT, Method::PATCH, Method::DELETE] {
            let caller = scene.caller(endpoint);
            caller.send(caller.request(method, &path(endpoint))).await.expect_error(404, "not_found");
        }
    }
    assert_eq!(scene.snapshot().await, before);
}

#[tokio::test]
async fn a_list_that_is_none_is_refused_whoever_sends_it() {
    let scene = Scene::at(Reach::Reviewed).await;
    let before = scene.snapshot().await;
    let (nobody, nameless) = (scene.tenant.key("orchestrator").await, scene.tenant.key("agent").await);
    for (endpoint, list, allowed) in ENDPOINTS {
        let without_agent = if allowed == "agent" { &nameless } else { &nobody };
        for caller in [scene.caller(endpoint), without_agent] {
            for body in [
                json!({}),
                json!({list: null}),
                json!({list: scene.story}),
                json!({list: {"story_id": scene.story}}),
                json!({list: 1}),
                json!({list: false}),
                // The name of the other list.
                json!({if list == "stories" { "story_ids" } else { "stories" }: [scene.story]}),
            ] {
                let error = caller.post(&path(endpoint), body).await.expect_error(422, "invalid_batch");
                assert_eq!(error["message"], format!("{list} is required and must be an array"));
            }
            let error = caller.post_empty(&path(endpoint)).await.expect_error(422, "invalid_batch");
            assert_eq!(error["message"], format!("{list} is required and must be an array"));
            let reply = caller.post(&path(endpoint), json!([{"story_id": scene.story}])).await;
            assert_eq!(reply.expect(422)["error"]["message"], "Request body must be a JSON object");
        }
    }
    assert_eq!(scene.snapshot().await, before);
}

/// Before the list is examined for content, but after it is seen to be a list.
#[tokio::test]
async fn a_key_without_an_agent_takes_no_part() {
    let scene = Scene::at(Reach::Reviewed).await;
    let (nobody, nameless) = (scene.tenant.key("orchestrator").await, scene.tenant.key("agent").await);
    let root = superadmin().await;
    let before = scene.snapshot().await;
    for (endpoint, list, allowed) in ENDPOINTS {
        let impersonating = inside(&root, &scene, Some("orchestrator"));
        let (callers, status, wanted) = match allowed {
            "agent" => (vec![&nameless], 422, "Agent ID required for chain-of-custody"),
            _ => (vec![&nobody, &impersonating], 400, "must be linked to a registered agent"),
        };
        for caller in callers {
            for body in [
                body_of(endpoint, &[&scene.story]),
                body_of(endpoint, &[]),
                body_of(endpoint, &[scene.story.as_str(); 51]),
                json!({list: [null, 7]}),
            ] {
                let error = caller.post(&path(endpoint), body).await.expect_error(status, "agent_required");
                let message = error["message"].as_str().unwrap();
                assert!(message.contains(wanted), "{endpoint}: {message}");
            }
        }
    }
    assert_eq!(scene.snapshot().await, before);
}

/// The exception for claims holds for bulk claims.
#[tokio::test]
async fn a_superadmin_claims_without_an_agent() {
    let scene = Scene::at(Reach::Contracted).await;
    let agent = inside(&superadmin().await, &scene, Some("agent"));
    let claimed = results(agent.post(&path("claim"), body_of("claim", &[&scene.story])).await);
    assert_eq!(outcomes(&claimed), ["success"]);
    let story = scene.show().await;
    assert_eq!(story["agent_status"], "assigned");
    assert_eq!(story.get("assigned_agent_id"), Some(&Value::Null));
    let entry = scene.history().await.pop().unwrap();
    assert_eq!(entry["actor_type"], "superadmin");
    assert_eq!(entry["metadata"]["effective_role"], "agent");
}

#[tokio::test]
async fn a_list_has_between_1_and_50_items() {
    let scene = Scene::new().await;
    for (endpoint, list, _) in ENDPOINTS {
        let ids = scene.ripe(endpoint, 2).await;
        let caller = scene.caller(endpoint);
        let before = scene.snapshot_of(&ids[0]).await;
        let error = caller.post(&path(endpoint), json!({list: []})).await.expect_error(422, "invalid_batch");
        assert_eq!(error["message"], format!("{list} must not be empty"));
        // Duplicates count too.
        for many in [vec![ids[0].as_str(); 51], [vec![ids[0].as_str()], vec![UNKNOWN; 200]].concat()] {
            let error = caller
                .post(&path(endpoint), body_of(endpoint, &many))
                .await
                .expect_error(422, "invalid_batch");
            assert_eq!(error["message"], "Maximum batch size is 50 stories");
        }
        assert_eq!(scene.snapshot_of(&ids[0]).await, before);
        let answer = scene.bulk(endpoint, &[vec![UNKNOWN; 49], vec![&ids[1]]].concat()).await;
        assert_eq!(answer.len(), 50);
        let wanted = [vec!["not_found"], vec!["duplicate"; 48], vec!["success"]].concat();
        assert_eq!(outcomes(&answer), wanted, "{endpoint}");
    }
}

#[tokio::test]
async fn fifty_stories_are_not_too_many() {
    let scene = Scene::new().await;
    let ids = scene.ripe("mark-complete", 50).await;
    let mut sent: Vec<&str> = ids.iter().map(String::as_str).collect();
    sent.reverse();
    let answer = scene.bulk("mark-complete", &sent).await;
    assert_eq!(outcomes(&answer), vec!["success"; 50]);
    let named: Vec<&str> = answer.iter().map(|result| result["story_id"].as_str().unwrap()).collect();
    assert_eq!(named, sent);
    let project = text(
        &scene.tenant.user.get(&format!("/stories/{}", ids[0])).await.expect(200)["story"]["project_id"],
    );
    let list = format!("/stories?project_id={project}&verified_status=verified");
    assert_eq!(scene.tenant.user.get(&list).await.expect(200)["meta"]["total_count"], 50);
}

/// Results come in the order of the request, one per item, each with the id as it was sent, and one item's failure
/// is nobody else's.
#[tokio::test]
async fn every_item_gets_its_result_in_its_place() {
    let scene = Scene::new().await;
    let foreign = Scene::new().await;
    for (endpoint, ..) in ENDPOINTS {
        let ids = scene.ripe(endpoint, 4).await;
        // Not ripe for claim, verify or reject; for mark-complete it is.
        let pending = scene.tenant.story().await;
        let theirs = foreign.ripe(endpoint, 1).await.remove(0);
        let before = (foreign.snapshot_of(&theirs).await, scene.snapshot_of(&ids[3]).await);
        let (upper, squeezed) = (ids[1].to_uppercase(), ids[3].replace('-', ""));
        let sent = [
            ids[2].as_str(),
            UNKNOWN,
            upper.as_str(),
            theirs.as_str(),
            "not-a-uuid",
            squeezed.as_str(),
            "",
            pending.as_str(),
            ids[0].as_str(),
        ];
        let answer = scene.bulk(endpoint, &sent).await;
        let unripe = match endpoint {
            "claim" => "must_contract_first",
            "mark-complete" => "success",
            _ => "invalid_transition",
        };
        let missing = "not_found";
        let wanted = ["success", missing, "success", missing, missing, missing, missing, unripe, "success"];
        assert_eq!(outcomes(&answer), wanted, "{endpoint}");
        for (result, sent) in answer.iter().zip(sent) {
            let echo = if sent == upper { ids[1].as_str() } else { sent };
            assert_eq!(result["story_id"], echo, "{endpoint}");
            if result["code"] == missing {
                assert_eq!(result["reason"], "Story not found");
            }
        }
        assert_eq!(
            (foreign.snapshot_of(&theirs).await, scene.snapshot_of(&ids[3]).await),
            before,
            "{endpoint}"
        );
    }
}

#[tokio::test]
async fn items_that_name_no_story_have_a_null_id() {
    let scene = Scene::new().await;
    for (endpoint, list, _) in ENDPOINTS {
        let id = scene.ripe(endpoint, 1).await.remove(0);
        let good = &body_of(endpoint, &[&id])[list][0];
        let bad = match endpoint {
            "claim" => vec![json!(null), json!(7), json!({"story_id": id}), json!([id]), json!(true)],
            _ => vec![
                json!(null),
                json!(7),
                json!(id),
                json!([id]),
                json!([]),
                json!({}),
                json!({"reason": "no tests"}),
                json!({"story_id": null, "reason": "no tests"}),
                json!({"story_id": 7, "reason": "no tests"}),
                json!({"story_id": [id], "reason": "no tests"}),
                json!({"id": id, "reason": "no tests"}),
            ],
        };
        let mut items = bad.clone();
        items.insert(2, good.clone());
        let answer = results(scene.caller(endpoint).post(&path(endpoint), json!({list: items})).await);
        assert_eq!(answer.len(), items.len());
        for (place, result) in answer.iter().enumerate() {
            if place == 2 {
                assert_eq!(*result, json!({"story_id": id, "status": "success"}), "{endpoint}");
                continue;
            }
            assert_eq!(result.get("story_id"), Some(&Value::Null), "{endpoint} {result:#}");
            let reason = refused_item(result, "invalid_item");
            assert!(reason.contains("story_id") && reason.contains("not found"), "{endpoint}: {reason}");
        }
        // And alone they are all that failed.
        results(scene.caller(endpoint).post(&path(endpoint), json!({list: bad})).await);
    }
}

#[tokio::test]
async fn of_duplicates_the_first_counts() {
    let scene = Scene::new().await;
    for (endpoint, list, _) in ENDPOINTS {
        let ids = scene.ripe(endpoint, 2).await;
        let upper = ids[0].to_uppercase();
        let answer = scene.bulk(endpoint, &[&ids[0], &ids[1], &upper, &ids[1], &ids[0]]).await;
        let wanted = ["success", "success", "duplicate", "duplicate", "duplicate"];
        assert_eq!(outcomes(&answer), wanted, "{endpoint}");
        assert_eq!(answer[2]["story_id"], ids[0].as_str());
        // One of everything.
        let history = scene.snapshot_of(&ids[0]).await[1]["data"].as_array().unwrap().len();
        assert_eq!(history, scene.snapshot_of(&ids[1]).await[1]["data"].as_array().unwrap().len());
        let single = scene.ripe(endpoint, 1).await.remove(0);
        scene.bulk(endpoint, &[&single]).await;
        assert_eq!(history, scene.snapshot_of(&single).await[1]["data"].as_array().unwrap().len());
        // The first counts also when it is the one that fails.
        if list == "stories" {
            let id = scene.ripe(endpoint, 1).await.remove(0);
            let before = scene.snapshot_of(&id).await;
            let flawed = json!({"story_id": id, "reason": " ", "review_type": "x".repeat(256)});
            let items = json!({"stories": [flawed, {"story_id": id, "reason": "no tests"}]});
            let answer = results(scene.o.post(&path(endpoint), items).await);
            assert_eq!(outcomes(&answer)[1], "duplicate", "{endpoint}");
            assert_eq!(answer[0]["status"], "error", "{endpoint}");
            assert_eq!(scene.snapshot_of(&id).await, before);
        }
    }
}

#[tokio::test]
async fn nothing_processed_is_422_with_every_reason() {
    let scene = Scene::new().await;
    for (endpoint, ..) in ENDPOINTS {
        // Claimed and in progress: not to be claimed, verified, rejected, or passed off as older.
        let held = scene.tenant.story().await;
        scene.bring(&held, Reach::Implementing).await;
        let before = scene.snapshot_of(&held).await;
        let reply = scene.caller(endpoint).post(&path(endpoint), body_of(endpoint, &[&held, UNKNOWN])).await;
        assert_eq!(reply.status, 422);
        assert_eq!(reply.body["error"]["status"], 422);
        assert!(reply.body["error"]["message"].is_string());
        let answer = results(reply);
        let code = if endpoint == "mark-complete" { "not_pre_existing" } else { "invalid_transition" };
        assert_eq!(outcomes(&answer), [code, "not_found"]);
        // What a call for one story would tell, an item tells.
        assert_eq!(answer[0]["current_state"], "implementing");
        assert_eq!(answer[0]["attempted_action"], endpoint);
        assert_eq!(answer[0]["context"]["current_verified_status"], "unverified");
        assert!(!answer[0]["hints"].as_array().unwrap().is_empty());
        assert!(text(&answer[0]["reason"]).contains("implementing"));
        assert_eq!(scene.snapshot_of(&held).await, before);
    }
}

/// What is not asked for does not matter.
#[tokio::test]
async fn unknown_members_are_ignored() {
    let scene = Scene::new().await;
    for (endpoint, list, _) in ENDPOINTS {
        let id = scene.ripe(endpoint, 1).await.remove(0);
        let mut body = body_of(endpoint, &[&id]);
        body["tenant_id"] = json!(UNKNOWN);
        body["cap_id"] = json!(7);
        if list == "stories" {
            body[list][0]["agent_status"] = json!({});
            body[list][0]["orchestrator_agent_id"] = json!(UNKNOWN);
        }
        let answer = results(scene.caller(endpoint).post(&path(endpoint), body).await);
        assert_eq!(outcomes(&answer), ["success"], "{endpoint}");
        let told = scene.snapshot_of(&id).await.to_string();
        assert!(!told.contains(UNKNOWN), "{told}");
    }
}
