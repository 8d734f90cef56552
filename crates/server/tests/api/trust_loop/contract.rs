//! The contract echo: who must say title and number of criteria, and how exactly.

use serde_json::{Value, json};

use super::{Scene, refused};
use crate::support::{Reach, Tenant, echo, text};

#[tokio::test]
async fn an_agent_must_echo_title_and_count_exactly() {
    let scene = Scene::new().await;
    let before = scene.snapshot().await;
    for title in [
        json!("Wrong"),
        json!("build api"),
        json!(" Build API"),
        json!("Build API "),
        json!(""),
        json!(7),
        json!(["Build API"]),
        Value::Null,
    ] {
        let body = json!({"story_title": title, "ac_count": 2});
        let error = scene.act(&scene.a1, "contract", body).await.expect_error(422, "contract_mismatch");
        // Clients compare the sentence; advice is beside it.
        assert_eq!(error["message"], "story_title does not match");
        assert!(text(&error["hints"][0]).contains("GET /api/v1/stories/:id"), "{error:#}");
        assert!(error["context"]["expected_ac_count"].is_null());
    }
    for (count, shown) in [
        (json!(5), "5"),
        (json!(-2), "-2"),
        (json!(2.5), "2.5"),
        (json!("two"), "two"),
        (json!("2.0"), "2.0"),
        (json!(true), "true"),
        (json!([2]), "[2]"),
        (json!({}), "{}"),
        (Value::Null, "null"),
        (json!(18_446_744_073_709_551_615_u64), "18446744073709551615"),
    ] {
        let body = json!({"story_title": "Build API", "ac_count": count});
        let error = scene.act(&scene.a1, "contract", body).await.expect_error(422, "contract_mismatch");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("expected ac_count 2"), "{message}");
        assert!(message.contains("got ") && message.trim_end_matches('"').ends_with(shown), "{message}");
        assert!(text(&error["hints"][0]).contains("acceptance_criteria"), "{error:#}");
        let context = json!({"expected_ac_count": 2, "provided_ac_count": count});
        assert_eq!(error["context"], context);
    }
    // The title comes first; nothing at all is a mismatch too; the flag is not for agents.
    for body in [
        json!({"story_title": "Wrong", "ac_count": 5}),
        json!({}),
        json!({"skip_contract_check": true}),
        json!({"skip_contract_check": "true", "ac_count": 2}),
    ] {
        let error = scene.act(&scene.a1, "contract", body).await.expect(422)["error"].clone();
        assert!(error["message"].as_str().unwrap().contains("story_title"));
    }
    let path = format!("/stories/{}/contract", scene.story);
    scene.a1.post_empty(&path).await.expect(422);
    assert_eq!(scene.snapshot().await, before);
}

#[tokio::test]
async fn counts_may_be_plain_integer_strings() {
    let scene = Scene::new().await;
    let path = format!("/stories/{}/contract", scene.story);
    let form = |count: &str| {
        scene
            .a1
            .request(reqwest::Method::POST, &path)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("story_title=Build+API&ac_count={count}"))
    };
    for count in ["3", "2x", "+-2", "", "2%200"] {
        scene.a1.send(form(count)).await.expect(422);
    }
    let contracted = scene.a1.send(form("2")).await.expect(200);
    assert_eq!(contracted["story"]["agent_status"], "contracted");
}

#[tokio::test]
async fn a_story_without_criteria_is_echoed_with_zero() {
    let tenant = Tenant::new().await;
    let agent = tenant.agent().await;
    let bare = json!({"number": "1.1", "title": "Ünïcode – “quoted”"});
    let payload = json!({"epics": [{"number": 1, "title": "Epic", "stories": [bare]}]});
    let project = tenant.imported(payload).await;
    let story = tenant.story_id(&project, "1.1").await;
    let path = format!("/stories/{story}/contract");
    let title = "Ünïcode – “quoted”";
    let missing = agent.post(&path, json!({"story_title": title})).await.expect(422);
    let context = json!({"expected_ac_count": 0, "provided_ac_count": null});
    assert_eq!(missing["error"]["context"], context);
    agent.post(&path, json!({"story_title": title, "ac_count": 0})).await.expect(200);
}

#[tokio::test]
async fn an_orchestrator_is_checked_when_it_echoes_and_may_skip() {
    let mut scene = Scene::new().await;
    for body in [
        json!({"story_title": "Wrong"}),
        json!({"story_title": "Wrong", "ac_count": 2}),
        json!({"story_title": "Build API"}),
        json!({"ac_count": 2}),
        json!({"story_title": "Wrong", "ac_count": 2, "skip_contract_check": false}),
    ] {
        scene.act(&scene.o, "contract", body).await.expect_error(422, "contract_mismatch");
    }
    assert_eq!(scene.show().await["agent_status"], "pending");
    for body in [
        json!({"skip_contract_check": true}),
        json!({}),
        json!({"story_title": "Wrong", "ac_count": 9, "skip_contract_check": true}),
        echo(),
    ] {
        let contracted = scene.act(&scene.o, "contract", body).await.expect(200);
        assert_eq!(contracted["story"]["agent_status"], "contracted");
        assert_eq!(contracted["story"]["contracted_by_agent_id"], Value::Null);
        assert_eq!(contracted["story"]["assigned_agent_id"], Value::Null);
        scene = scene.next().await;
    }
    // A skip is no way around the state.
    scene.bring(&scene.story, Reach::Contracted).await;
    let body = json!({"skip_contract_check": true});
    let again = scene.act(&scene.o, "contract", body).await;
    refused(again, 409, "invalid_transition", "contract", ["contracted", "unverified"]);
}

/// Who contracted is not who must claim, in standard mode.
#[tokio::test]
async fn whoever_contracts_somebody_else_may_claim() {
    let scene = Scene::at(Reach::Contracted).await;
    let claimed = scene.act(&scene.a2, "claim", json!({})).await.expect(200);
    assert_eq!(claimed["story"]["assigned_agent_id"], scene.a2.agent());
    assert_eq!(claimed["story"]["contracted_by_agent_id"], scene.a1.agent());
}
