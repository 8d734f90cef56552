//! How stories are listed, filtered and shown.

use serde_json::{Value, json};

use super::{column, epic_id, keys, meta, plain, sql};
use crate::support::{Caller, Reach, Tenant, bring, story, text};

/// The fields of a story, the same in lists, in its detail and in the answers of transitions.
const ROW: [&str; 32] = [
    "acceptance_criteria",
    "agent_status",
    "assigned_agent_id",
    "assigned_at",
    "contract_stale",
    "contracted_by_agent_id",
    "criteria_digest",
    "description",
    "epic_id",
    "estimated_hours",
    "first_claimed_at",
    "id",
    "implementer_dispatch_id",
    "inserted_at",
    "metadata",
    "number",
    "project_id",
    "rejected_at",
    "rejection_reason",
    "reported_by_agent_id",
    "reported_done_at",
    "review_requested_at",
    "sort_key",
    "tenant_id",
    "title",
    "updated_at",
    "verification_source",
    "verification_stale",
    "verified_at",
    "verified_status",
    "verifier_dispatch_id",
    "verifier_needed",
];

#[tokio::test]
async fn the_list_needs_a_project_and_shows_no_foreign_one() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let project = tenant.project_of(&["1.1"]).await;
    for query in ["", "?project_id=", "?project_id=%20", "?agent_status=pending"] {
        let error = tenant.user.get(&format!("/stories{query}")).await.expect(400);
        assert_eq!(error["error"]["message"], "project_id query parameter is required");
    }
    tenant.user.get("/stories?project_id=nope").await.expect(404);
    let unknown = "01900000-0000-7000-8000-000000000000";
    for (caller, project) in [(&other.user, project.as_str()), (&tenant.user, unknown)] {
        let list = caller.get(&format!("/stories?project_id={project}")).await.expect(200);
        assert_eq!(list, json!({"data": [], "meta": meta(1, 100, 0, 0)}));
    }
}

#[tokio::test]
async fn filters_take_only_words_of_their_own_track() {
    let tenant = Tenant::new().await;
    let project = tenant.project_of(&["1.1"]).await;
    let epic = epic_id(&tenant, &project, 1).await;
    for path in [format!("/stories?project_id={project}"), format!("/epics/{epic}/stories?x=1")] {
        for (name, value) in [
            ("agent_status", "verified"),
            ("agent_status", "rejected"),
            ("agent_status", "bogus"),
            ("agent_status", "Pending"),
            ("verified_status", "pending"),
            ("verified_status", "reported_done"),
            ("verified_status", "pass"),
        ] {
            let error = tenant.user.get(&format!("{path}&{name}={value}")).await.expect(422);
            assert_eq!(error["error"]["message"], "Validation failed");
            assert_eq!(error["error"]["details"], json!({name: ["is invalid"]}), "{value}");
        }
        let all = tenant.user.get(&format!("{path}&agent_status=&verified_status=%20")).await;
        assert_eq!(column(&all.expect(200), "number"), ["1.1"]);
    }
    for name in ["project_id", "epic_id"] {
        let path = format!("/stories?project_id={project}&{name}=nope");
        tenant.user.get(&path).await.expect_error(404, "not_found");
    }
}

#[tokio::test]
async fn filters_narrow() {
    let tenant = Tenant::new().await;
    let project = tenant
        .imported(json!({"epics": [
            {"number": 1, "title": "E", "stories": [story("1.1"), story("1.01"), story("1.2"), story("1.3"),
                {"number": "1.4", "title": "S", "initial_agent_status": "reported_done"},
                {"number": "1.5", "title": "S", "initial_verified_status": "pass"}]},
            {"number": 2, "title": "E", "stories": [plain("2.1"), plain("2")]}]}))
        .await;
    let other = tenant.project_of(&["1.1"]).await;
    let (a1, a2, o) = (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
    let body = json!({"settings": {"auto_reset_on_rejection": false}});
    tenant.user.patch("/tenants/me", body).await.expect(200);
    for (number, reach) in [("1.2", Reach::Implementing), ("1.3", Reach::Reported)] {
        let id = tenant.story_id(&project, number).await;
        bring(&id, reach, &a1, &a2, &o).await;
    }
    let rejected = tenant.story_id(&project, "1.3").await;
    o.post(&format!("/stories/{rejected}/reject"), json!({"reason": "no"})).await.expect(200);
    let (one, two) = (epic_id(&tenant, &project, 1).await, epic_id(&tenant, &project, 2).await);
    let foreign_epic = epic_id(&tenant, &other, 1).await;
    for (query, numbers) in [
        ("", &["1.01", "1.1", "1.2", "1.3", "1.4", "1.5", "2", "2.1"][..]),
        ("agent_status=pending", &["1.01", "1.1", "2", "2.1"]),
        ("agent_status=implementing", &["1.2"]),
        ("agent_status=assigned", &[]),
        ("agent_status=reported_done", &["1.3", "1.4", "1.5"]),
        ("verified_status=verified", &["1.5"]),
        ("verified_status=rejected", &["1.3"]),
        ("agent_status=reported_done&verified_status=unverified", &["1.4"]),
        ("number=1.1", &["1.1"]),
        ("number=1.01", &["1.01"]),
        ("number=2", &["2"]),
        ("number=1", &[]),
        ("number=US-1.1", &[]),
        ("number=", &["1.01", "1.1", "1.2", "1.3", "1.4", "1.5", "2", "2.1"]),
        (&format!("epic_id={two}"), &["2", "2.1"]),
        (&format!("epic_id={two}&agent_status=implementing"), &[]),
        (&format!("epic_id={foreign_epic}"), &[]),
        ("epic_id=", &["1.01", "1.1", "1.2", "1.3", "1.4", "1.5", "2", "2.1"]),
    ] {
        let path = format!("/stories?project_id={project}&{query}");
        let list = a1.get(&path).await.expect(200);
        assert_eq!(column(&list, "number"), numbers, "{query}");
        assert_eq!(list["meta"]["total_count"], numbers.len(), "{query}");
    }
    for (query, numbers) in [
        ("", &["1.01", "1.1", "1.2", "1.3", "1.4", "1.5"][..]),
        ("agent_status=reported_done", &["1.3", "1.4", "1.5"]),
        ("agent_status=reported_done&verified_status=rejected", &["1.3"]),
    ] {
        let list = a1.get(&format!("/epics/{one}/stories?{query}")).await.expect(200);
        assert_eq!(column(&list, "number"), numbers, "{query}");
        assert_eq!(list["meta"]["total_count"], numbers.len(), "{query}");
    }
}

#[tokio::test]
async fn rows_have_every_field_in_its_wire_form() {
    let tenant = Tenant::new().await;
    let project = tenant
        .imported(json!({"epics": [{"number": 1, "title": "E", "stories": [
            {"number": "1.1", "title": "S", "estimated_hours": 8, "metadata": {"m": [1]}, "description": "d"},
            {"number": "1.2", "title": "S", "estimated_hours": "4.50"},
            {"number": "1.1000", "title": "S", "acceptance_criteria": null}]}]}))
        .await;
    let epic = epic_id(&tenant, &project, 1).await;
    for path in [format!("/stories?project_id={project}"), format!("/epics/{epic}/stories?x=1")] {
        let list = tenant.user.get(&path).await.expect(200);
        let rows = list["data"].as_array().unwrap();
        for row in rows {
            assert_eq!(keys(row), ROW);
            assert_eq!(
                (&row["epic_id"], &row["project_id"], &row["tenant_id"]),
                (&json!(epic), &json!(project), &json!(tenant.id))
            );
            assert_eq!(row["acceptance_criteria"], json!([]));
        }
        let of = |member: &str| -> Vec<Value> { rows.iter().map(|row| row[member].clone()).collect() };
        assert_eq!(of("estimated_hours"), [json!("8"), json!("4.50"), Value::Null]);
        assert_eq!(of("sort_key"), [json!(10010), json!(10020), json!(20000)]);
        assert_eq!(of("metadata"), [json!({"m": [1]}), json!({}), json!({})]);
        assert_eq!(of("description"), [json!("d"), Value::Null, Value::Null]);
        for (query, asked) in [("false", false), ("true", true), ("1", true)] {
            let list = tenant.user.get(&format!("{path}&include_token_totals={query}")).await.expect(200);
            for row in list["data"].as_array().unwrap() {
                for name in ["total_tokens", "total_cost_millicents", "token_totals"] {
                    assert_eq!(row.get(name), asked.then_some(&Value::Null), "{name} {query}");
                }
            }
        }
    }
}

#[tokio::test]
async fn the_detail_is_not_for_strangers() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let story = tenant.story().await;
    for path in [format!("/stories/{story}"), format!("/stories/{story}/acceptance_criteria")] {
        tenant.agent().await.get(&path).await.expect(200);
        other.user.get(&path).await.expect_error(404, "not_found");
        let unknown = path.replace(&story, "01900000-0000-7000-8000-000000000000");
        tenant.user.get(&unknown).await.expect_error(404, "not_found");
        // Numbers and slugs are the command line's business: a path names a story by its id alone.
        for id in ["1.1", "US-1.1", "x"] {
            tenant.user.get(&path.replace(&story, id)).await.expect(404);
        }
    }
}

#[tokio::test]
async fn the_detail_shows_prerequisites_and_what_has_happened() {
    let tenant = Tenant::new().await;
    let project = tenant
        .imported(json!({"epics": [{"number": 1, "title": "E", "stories": [
            story("1.1"), {"number": "1.2", "title": "S", "depends_on_stories": ["1.1", "1.3"]},
            plain("1.3"), {"number": "1.4", "title": "S", "depends_on_stories": ["1.2"]}]}]}))
        .await;
    let ids = |number| tenant.story_id(&project, number);
    let (first, second, third) = (ids("1.1").await, ids("1.2").await, ids("1.3").await);
    let detail = async |id: &str| {
        let shown = tenant.user.get(&format!("/stories/{id}")).await.expect(200);
        shown["story"].clone()
    };

    let fresh = detail(&second).await;
    let mut expected = ROW.to_vec();
    expected.extend(["dependencies", "artifacts", "latest_verification", "iteration_count"]);
    expected.sort_unstable();
    assert_eq!(keys(&fresh), expected);
    assert_eq!(
        (&fresh["artifacts"], &fresh["iteration_count"], &fresh["latest_verification"]),
        (&json!([]), &json!(0), &Value::Null)
    );
    let mut edges: Vec<_> = fresh["dependencies"].as_array().unwrap().clone();
    edges.sort_by_key(|edge| edge["depends_on_story_id"] != json!(first));
    assert_eq!(
        edges,
        [
            json!({"story_id": second, "depends_on_story_id": first}),
            json!({"story_id": second, "depends_on_story_id": third}),
        ]
    );
    assert_eq!(detail(&third).await["dependencies"], json!([]));

    let (a1, a2, o) = (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
    bring(&first, Reach::Reported, &a1, &a2, &o).await;
    o.post(&format!("/stories/{first}/reject"), json!({"reason": "no"})).await.expect(200);
    bring(&first, Reach::Verified, &a1, &a2, &o).await;
    let done = detail(&first).await;
    let results = o.get(&format!("/stories/{first}/verifications")).await.expect(200);
    assert_eq!(results["meta"]["total_count"], 2);
    assert_eq!(done["latest_verification"], results["data"][0]);
    assert_eq!(done["latest_verification"]["result"], "pass");
    assert_eq!(done["iteration_count"], 2);
    assert_eq!(detail(&third).await["iteration_count"], 0);
}

#[tokio::test]
async fn the_detail_shows_the_twenty_latest_artifacts() {
    let tenant = Tenant::new().await;
    let (story, agent) = (tenant.story().await, tenant.agent().await);
    for number in 1..=22 {
        let body = json!({"artifact_type": "test", "path": format!("tests/{number}.rs")});
        agent.post(&format!("/stories/{story}/artifacts"), body).await.expect(201);
    }
    let shown = agent.get(&format!("/stories/{story}")).await.expect(200);
    let artifacts = shown["story"]["artifacts"].as_array().unwrap();
    let paths: Vec<_> = artifacts.iter().map(|artifact| text(&artifact["path"])).collect();
    let expected: Vec<_> = (3..=22).rev().map(|number| format!("tests/{number}.rs")).collect();
    assert_eq!(paths, expected);
    assert_eq!(artifacts[0]["reporter_agent_id"], agent.agent());
    assert_eq!(artifacts[0]["reported_by"], "agent");
}

#[tokio::test]
async fn the_mission_is_shown_where_there_is_one() {
    let tenant = Tenant::new().await;
    let project = tenant.project_of(&["1.1"]).await;
    let path = format!("/stories/{}", tenant.story_id(&project, "1.1").await);
    let shown = tenant.user.get(&path).await.expect(200);
    assert_eq!(shown["story"].get("project_mission"), None);
    let statement = "update projects set mission = 'Ship it' where id = $1::text::uuid";
    sql(statement, &[&project]).await;
    let shown = tenant.user.get(&path).await.expect(200);
    assert_eq!(shown["story"]["project_mission"], "Ship it");
}

/// What an agent holds, wherever it is.
#[tokio::test]
async fn whoever_asks_what_an_agent_holds_is_told() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let (alice, bob, orchestrator) =
        (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
    // A key of nobody holds nothing, and is not told of everybody's.
    for key in [&tenant.user, &tenant.key("agent").await] {
        let error = key.get("/stories?held_by=me").await.expect(400);
        assert!(error["error"]["message"].as_str().unwrap().contains("keys of an agent"), "{error}");
    }
    for id in ["nobody", "ME", "me%20x"] {
        alice.get(&format!("/stories?held_by={id}")).await.expect(404);
    }
    let project = tenant.project_of(&["1.1", "1.2", "1.3", "1.4"]).await;
    let all = tenant.user.get(&format!("/stories?project_id={project}")).await.expect(200);
    let id = |at: usize| text(&all["data"][at]["id"]);
    for (at, reach) in [(0, Reach::Contracted), (1, Reach::Implementing), (2, Reach::Verified)] {
        bring(&id(at), reach, &alice, &bob, &orchestrator).await;
    }
    let elsewhere = tenant.story().await;
    bring(&elsewhere, Reach::Assigned, &alice, &bob, &orchestrator).await;
    let held = async |caller: &Caller, query: &str| {
        let list = caller.get(&format!("/stories?{query}")).await.expect(200);
        assert_eq!(list["meta"]["total_count"], json!(list["data"].as_array().unwrap().len()));
        column(&list, "id")
    };
    let mine = format!("held_by={}", alice.agent());
    assert_eq!(held(&alice, "held_by=me").await, [id(0), id(1), elsewhere.clone()]);
    assert_eq!(held(&orchestrator, &mine).await, [id(0), id(1), elsewhere]);
    assert_eq!(held(&alice, &format!("held_by=me&project_id={project}")).await, [id(0), id(1)]);
    assert_eq!(held(&alice, "held_by=me&agent_status=implementing").await, [id(1)]);
    assert_eq!(held(&alice, &format!("held_by=me&number=1.1&project_id={project}")).await, [id(0)]);
    assert_eq!(held(&alice, "held_by=me&stale=true").await, [""; 0]);
    assert_eq!(held(&bob, "held_by=me").await, [""; 0]);
    assert_eq!(held(&other.user, &mine).await, [""; 0]);
    // Blocked meanwhile, it is still theirs.
    let edge = json!({"story_id": id(1), "depends_on_story_id": id(3)});
    tenant.user.post("/story_dependencies", edge).await.expect(201);
    assert_eq!(held(&alice, "held_by=me&agent_status=implementing").await, [id(1)]);
}
