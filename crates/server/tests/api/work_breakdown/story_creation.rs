//! Stories created one by one.

use serde_json::{Value, json};

use super::{column, epic_id, keys, plain, superadmin};
use crate::support::{Caller, Reply, Tenant, text};

const NONE: &str = "01900000-0000-7000-8000-000000000000";

/// A project with the epics 1 and 2, and no stories.
struct Plan {
    tenant: Tenant,
    o: Caller,
    project: String,
    epics: [String; 2],
}

impl Plan {
    async fn new() -> Self {
        let tenant = Tenant::new().await;
        let project = tenant
            .imported(
                json!({"epics": [{"number": 1, "title": "E", "position": 3}, {"number": 2, "title": "E"}]}),
            )
            .await;
        let epics = [epic_id(&tenant, &project, 1).await, epic_id(&tenant, &project, 2).await];
        Self { o: tenant.key("orchestrator").await, tenant, project, epics }
    }

    /// In the first epic.
    async fn create(&self, body: Value) -> Reply {
        self.o.post(&format!("/epics/{}/stories", self.epics[0]), body).await
    }

    async fn create_by_number(&self, body: Value) -> Reply {
        self.o.post(&format!("/projects/{}/stories", self.project), body).await
    }

    async fn numbers(&self) -> Vec<String> {
        let list = self.o.get(&format!("/stories?project_id={}", self.project)).await.expect(200);
        column(&list, "number")
    }
}

#[tokio::test]
async fn only_orchestrators_and_above_create() {
    let plan = Plan::new().await;
    let (agent, other) = (plan.tenant.agent().await, Tenant::new().await);
    for path in [format!("/epics/{}/stories", plan.epics[0]), format!("/projects/{}/stories", plan.project)] {
        // The role comes before everything else.
        for body in [json!({}), json!({"epic_number": 1, "number": "1.1", "title": "S"})] {
            let error = agent.post(&path, body.clone()).await.expect_error(403, "forbidden");
            assert_eq!(error["message"], "Insufficient permissions. Required role: orchestrator");
            let id = path.split('/').nth(2).unwrap();
            let unknown = path.replace(id, NONE);
            agent.post(&unknown, body.clone()).await.expect(403);
            // Whatever the body says: nothing is there.
            plan.o.post(&unknown, body.clone()).await.expect_error(404, "not_found");
            plan.o.post(&path.replace(id, "nope"), body.clone()).await.expect_error(404, "not_found");
            other.user.post(&path, body).await.expect_error(404, "not_found");
        }
    }
    assert_eq!(plan.numbers().await, [""; 0]);
    let root = superadmin(&plan.tenant).await;
    for (number, who) in [("1.1", &plan.o), ("1.2", &plan.tenant.user), ("1.3", &root)] {
        let path = format!("/epics/{}/stories", plan.epics[0]);
        who.post(&path, json!({"number": number, "title": "S"})).await.expect(201);
    }
    assert_eq!(plan.numbers().await, ["1.1", "1.2", "1.3"]);
}

/// Every field, the forms of a number among them.
#[tokio::test]
async fn bad_fields_are_named_and_nothing_is_created() {
    let plan = Plan::new().await;
    let long = |length: usize| "x".repeat(length);
    let too_long = |length: usize| format!("should be at most {length} character(s)");
    let (blank, invalid) = ("can't be blank".to_owned(), "is invalid".to_owned());
    let shape = "must be 1 to 6 parts of letters, digits, '_' or '-', joined by points".to_owned();
    let prefix = "must not carry the prefix US-: write \"1.1\"".to_owned();
    let kind = "must have a valid type".to_owned();
    for (name, value, message) in [
        ("number", Value::Null, blank.clone()),
        ("number", json!(" "), blank.clone()),
        ("number", json!(1), invalid.clone()),
        ("number", json!(1.1), invalid.clone()),
        ("number", json!("1.2.3.4.5.6.7"), shape.clone()),
        ("number", json!("US-1.1"), prefix.clone()),
        ("number", json!("us_1.1"), prefix),
        ("number", json!("1."), shape.clone()),
        ("number", json!(".1"), shape.clone()),
        ("number", json!("+1.1"), shape.clone()),
        ("number", json!(" 1.1"), shape.clone()),
        ("number", json!("1.1\n"), shape.clone()),
        ("number", json!("١.١"), shape.clone()),
        ("number", json!(format!("{}1.1", "0".repeat(32))), shape),
        ("number", json!("1.1\u{0}"), invalid.clone()),
        ("title", Value::Null, blank.clone()),
        ("title", json!(""), blank.clone()),
        ("title", json!(" \t\n"), blank),
        ("title", json!(7), invalid.clone()),
        ("title", json!(long(501)), too_long(500)),
        ("description", json!(long(50_001)), too_long(50_000)),
        ("description", json!({}), invalid.clone()),
        ("acceptance_criteria", json!("x"), invalid.clone()),
        ("acceptance_criteria", json!(["x"]), invalid.clone()),
        ("acceptance_criteria", json!({"id": "AC-1"}), invalid.clone()),
        ("acceptance_criteria", json!([{"verification_criterion": {"type": "bogus"}}]), kind.clone()),
        ("acceptance_criteria", json!([{}, {"verification_criterion": "manual"}]), kind),
        ("acceptance_criteria", json!([{"id": long(256)}]), too_long(255)),
        ("acceptance_criteria", json!([{"a": "\u{0}"}]), invalid.clone()),
        ("estimated_hours", json!(true), invalid.clone()),
        ("estimated_hours", json!({}), invalid.clone()),
        ("estimated_hours", json!("4h"), invalid.clone()),
        ("estimated_hours", json!("NaN"), invalid.clone()),
        ("estimated_hours", json!(-1), "must be greater than or equal to 0".to_owned()),
        ("metadata", json!([]), invalid.clone()),
        ("metadata", json!("{}"), invalid),
    ] {
        let mut body = json!({"epic_number": 1, "number": "1.1", "title": "S"});
        body[name] = value.clone();
        for reply in [plan.create(body.clone()).await, plan.create_by_number(body).await] {
            let error = reply.expect_error(422, "validation_failed");
            assert_eq!(error["details"], json!({name: [message]}), "{value}");
        }
    }
    let error = plan.create(json!({"metadata": 1})).await.expect_error(422, "validation_failed");
    assert_eq!(error["message"], "Validation failed");
    assert_eq!(keys(&error["details"]), ["metadata", "number", "title"]);
    plan.create(json!([])).await.expect_error(422, "not_an_object");
    assert_eq!(plan.numbers().await, [""; 0]);
    let log = plan.tenant.audit_log().await;
    assert!(log.iter().all(|entry| entry["entity_type"] != "story"), "{log:#?}");
}

/// In the answer and in the log, defaults included.
#[tokio::test]
async fn a_new_story_is_told_whole() {
    let plan = Plan::new().await;
    let criteria = json!([{"id": "AC-1", "description": "d", "extra": {"x": [1]}}]);
    let body = json!({
        "number": "1.1", "title": "S", "estimated_hours": 8, "acceptance_criteria": criteria, "description": "what",
        "metadata": {"m": 1},
        // Nothing of this is the caller's to say.
        "id": NONE, "tenant_id": NONE, "project_id": NONE, "epic_id": plan.epics[1], "sort_key": 1,
        "agent_status": "reported_done", "verified_status": "verified", "verified_at": "2026-01-01T00:00:00Z",
        "assigned_agent_id": NONE, "reported_by_agent_id": NONE, "implementer_dispatch_id": NONE,
        "verifier_needed": true, "first_claimed_at": "2026-01-01T00:00:00Z", "rejection_reason": "x",
        "initial_verified_status": "pass",
    });
    let story = plan.create(body).await.expect(201)["story"].clone();
    let id = text(&story["id"]);
    for (name, value) in [
        ("tenant_id", json!(plan.tenant.id)),
        ("project_id", json!(plan.project)),
        ("epic_id", json!(plan.epics[0])),
        ("number", json!("1.1")),
        ("title", json!("S")),
        ("description", json!("what")),
        ("acceptance_criteria", criteria),
        ("estimated_hours", json!("8")),
        ("agent_status", json!("pending")),
        ("verified_status", json!("unverified")),
        ("sort_key", json!(10010)),
        ("metadata", json!({"m": 1})),
        ("assigned_agent_id", Value::Null),
        ("reported_by_agent_id", Value::Null),
        ("verified_at", Value::Null),
        ("first_claimed_at", Value::Null),
        ("rejection_reason", Value::Null),
        ("implementer_dispatch_id", Value::Null),
        ("verifier_needed", json!(false)),
    ] {
        assert_eq!(story[name], value, "{name}");
    }
    assert_ne!(story["id"], NONE);
    assert_eq!(story["inserted_at"], story["updated_at"]);
    // The same object as in a list, and the same in the detail.
    let list = plan.o.get(&format!("/epics/{}/stories", plan.epics[0])).await.expect(200);
    assert_eq!(list["data"], json!([story]));
    let detail = plan.o.get(&format!("/stories/{id}")).await.expect(200);
    for (name, value) in story.as_object().unwrap() {
        assert_eq!(detail["story"][name], *value, "{name}");
    }

    let log = plan.tenant.audit_log().await;
    let entry = log.last().unwrap();
    assert_eq!((&entry["entity_type"], &entry["action"]), (&json!("story"), &json!("created")));
    assert_eq!((&entry["entity_id"], &entry["project_id"]), (&json!(id), &json!(plan.project)));
    assert_eq!(entry["actor_type"], "api_key");
    assert_eq!(entry["old_state"], Value::Null);
    assert_eq!(
        entry["new_state"],
        json!({"number": "1.1", "title": "S", "epic_id": plan.epics[0], "project_id": plan.project,
               "agent_status": "pending", "verified_status": "unverified"})
    );
    let history = plan.o.get(&format!("/stories/{id}/history")).await.expect(200);
    assert_eq!(history["data"][0]["action"], "created");
}

#[tokio::test]
async fn everything_but_number_and_title_may_be_left_out() {
    let plan = Plan::new().await;
    let empty = json!({"number": "3", "title": " S ", "description": " ", "acceptance_criteria": null,
                       "estimated_hours": null, "metadata": null});
    for (body, sort_key, hours) in [
        (json!({"number": "1.1000", "title": "S"}), 20000, Value::Null),
        (empty, 30000, Value::Null),
        (json!({"number": "1.10", "title": "S", "estimated_hours": "4.50"}), 10100, json!("4.50")),
        (json!({"number": "0", "title": "S", "estimated_hours": 0}), 0, json!("0")),
        (json!({"number": "9999.9999", "title": "S", "estimated_hours": 4.5}), 100_089_990, json!("4.5")),
        (json!({"number": "01.1", "title": "S", "estimated_hours": "1e2"}), 10010, json!("100")),
    ] {
        let story = plan.create(body.clone()).await.expect(201)["story"].clone();
        assert_eq!((&story["number"], &story["title"]), (&body["number"], &body["title"]));
        assert_eq!(story["sort_key"], sort_key);
        assert_eq!(story["estimated_hours"], hours);
        assert_eq!(story["description"], Value::Null);
        assert_eq!(story["acceptance_criteria"], json!([]));
        assert_eq!(story["metadata"], json!({}));
    }
    assert_eq!(plan.numbers().await, ["0", "01.1", "1.10", "1.1000", "3", "9999.9999"]);
}

/// Across its epics, since agents name stories by number alone.
#[tokio::test]
async fn numbers_are_unique_in_a_project() {
    let plan = Plan::new().await;
    plan.create(json!({"number": "1.1", "title": "S"})).await.expect(201);
    for epic_number in [1, 2] {
        let body = json!({"epic_number": epic_number, "number": "1.1", "title": "Other"});
        let error = plan.create_by_number(body).await.expect_error(422, "validation_failed");
        assert_eq!(
            error["message"],
            "Story 1.1 already exists in this project. Pick a different number, or use the import endpoint with \
             `merge=true` to update the existing record."
        );
        assert_eq!(error["details"], json!({"number": ["has already been taken for this project"]}));
    }
    // Numbers compare as text; another project has its own.
    plan.create(json!({"number": "1.01", "title": "S"})).await.expect(201);
    let elsewhere = plan.tenant.project_of(&[]).await;
    let body = json!({"epic_number": 1, "number": "1.1", "title": "S"});
    plan.o.post(&format!("/projects/{elsewhere}/stories"), body).await.expect(201);
    assert_eq!(plan.numbers().await, ["1.01", "1.1"]);
    let stored = plan.o.get(&format!("/stories?project_id={}&number=1.1", plan.project)).await.expect(200);
    assert_eq!(stored["data"][0]["title"], "S");
}

/// Planners know numbers, not ids; what is wrong with the number is said in words.
#[tokio::test]
async fn an_epic_is_found_by_its_number() {
    let plan = Plan::new().await;
    let story = |epic_number: Value| json!({"epic_number": epic_number, "number": "2.3", "title": "T"});
    for body in [json!({"number": "2.3", "title": "T"}), story(Value::Null), story(json!(" ")), json!({})] {
        let error = plan.create_by_number(body).await.expect_error(422, "epic_number_required");
        assert_eq!(
            error["message"],
            "`epic_number` is required. Pass it in the request body alongside the story fields."
        );
    }
    for number in [json!(999), json!("999"), json!(0), json!(-1)] {
        // The number of the epic comes first: the rest of the body may be as wrong.
        for body in [story(number.clone()), json!({"epic_number": number})] {
            let error = plan.create_by_number(body).await.expect_error(422, "epic_not_found");
            let number = number.as_str().map_or_else(|| number.to_string(), str::to_owned);
            assert_eq!(
                error["message"],
                format!(
                    "Epic number {number} not found in this project. Use import_stories or POST /projects/:id/epics to \
                     create it first."
                )
            );
        }
    }
    for bad in [json!("x"), json!(1.5), json!(2_147_483_648_u64), json!([1]), json!(true), json!("E2")] {
        let error = plan.create_by_number(story(bad)).await.expect_error(422, "validation_failed");
        assert_eq!(error["details"], json!({"epic_number": ["is invalid"]}));
    }
    assert_eq!(plan.numbers().await, [""; 0]);

    let made = plan.create_by_number(story(json!(2))).await.expect(201);
    assert_eq!(made["story"]["epic_id"], plan.epics[1]);
    let body = json!({"epic_number": "1", "number": "1.3", "title": "T"});
    let made = plan.create_by_number(body).await.expect(201);
    assert_eq!(made["story"]["epic_id"], plan.epics[0]);
    // As a query parameter it counts, too; the body wins.
    let path = format!("/projects/{}/stories?epic_number=2&number=9.9&project_id={NONE}", plan.project);
    let made = plan.o.post(&path, json!({"number": "1.4", "title": "T"})).await.expect(201);
    assert_eq!((&made["story"]["epic_id"], &made["story"]["number"]), (&json!(plan.epics[1]), &json!("1.4")));
    // A number names an epic of this project only, and a story stays in the epic of its path.
    let body = json!({"epic_number": 2, "number": "1.5", "title": "T"});
    assert_eq!(plan.create(body).await.expect(201)["story"]["epic_id"], plan.epics[0]);
    let elsewhere = plan.tenant.project().await;
    let path = format!("/projects/{elsewhere}/stories");
    plan.o.post(&path, story(json!(2))).await.expect_error(422, "epic_not_found");
    // Archiving hides a project from lists; everything below it goes on.
    plan.tenant.user.delete(&format!("/projects/{}", plan.project)).await.expect(200);
    plan.create_by_number(json!({"epic_number": 1, "number": "1.6", "title": "T"})).await.expect(201);
}

/// In the same transaction, in the order of the list, with an id for those that have none.
#[tokio::test]
async fn criteria_become_rows() {
    let plan = Plan::new().await;
    let test = json!({"type": "test", "path": "t.rs", "test_name": "t"});
    let criteria = json!([
        {"criterion": "one"},
        {"id": "AC-1", "description": "two", "criterion": "other", "verification_criterion": test},
        {"id": "AC-1"},
    ]);
    let story = plan.create(json!({"number": "1.1", "title": "S", "acceptance_criteria": criteria})).await;
    let story = story.expect(201)["story"].clone();
    assert_eq!(story["acceptance_criteria"], criteria);
    let path = format!("/stories/{}/acceptance_criteria", text(&story["id"]));
    let rows = plan.o.get(&path).await.expect(200)["data"].clone();
    let manual = json!({"type": "manual", "description": "legacy"});
    let expected = [("AC-2", "one", &manual), ("AC-1", "two", &test), ("AC-3", "No description", &manual)];
    assert_eq!(rows.as_array().unwrap().len(), 3);
    for (row, (ac_id, description, criterion)) in rows.as_array().unwrap().iter().zip(expected) {
        assert_eq!((&row["ac_id"], &row["description"]), (&json!(ac_id), &json!(description)));
        assert_eq!((&row["verification_criterion"], &row["status"]), (criterion, &json!("pending")));
        assert_eq!((&row["verified_at"], &row["evidence_path"]), (&Value::Null, &Value::Null));
    }
    Tenant::new().await.user.get(&path).await.expect_error(404, "not_found");
    // It is the length of the list that a contract must echo.
    let contract = |count: u32| json!({"story_title": "S", "ac_count": count});
    let at = format!("/stories/{}/contract", text(&story["id"]));
    let agent = plan.tenant.agent().await;
    let wrong = agent.post(&at, contract(2)).await;
    assert_eq!(wrong.status, 422, "{:#}", wrong.body);
    agent.post(&at, contract(3)).await.expect(200);
}

/// Only where the tenant sets one; there is no limit by default.
#[tokio::test]
async fn the_tenants_limit_counts_the_projects_stories() {
    let plan = Plan::new().await;
    let limit = async |value: Value| {
        let body = json!({"settings": {"max_stories_per_project": value}});
        plan.tenant.user.patch("/tenants/me", body).await.expect(200);
    };
    let story = |number: &str| json!({"epic_number": 2, "number": number, "title": "S"});
    limit(json!(2)).await;
    plan.create(json!({"number": "1.1", "title": "S"})).await.expect(201);
    plan.create_by_number(story("1.2")).await.expect(201);
    for reply in [plan.create(story("1.3")).await, plan.create_by_number(story("1.3")).await] {
        let error = reply.expect_error(422, "story_limit_reached");
        assert_eq!(error["message"], "Story limit reached for this project");
    }
    // Another project is another count; a deleted story makes room.
    let elsewhere = plan.tenant.project_of(&["1.1"]).await;
    let body = json!({"epic_number": 1, "number": "1.2", "title": "S"});
    plan.o.post(&format!("/projects/{elsewhere}/stories"), body).await.expect(201);
    let id = plan.tenant.story_id(&plan.project, "1.1").await;
    plan.tenant.user.delete(&format!("/stories/{id}")).await.expect(204);
    plan.create(story("1.3")).await.expect(201);
    plan.create(story("1.4")).await.expect_error(422, "story_limit_reached");
    limit(Value::Null).await;
    plan.create(story("1.4")).await.expect(201);
    assert_eq!(plan.numbers().await, ["1.2", "1.3", "1.4"]);
}

/// A story that is there takes part in everything at once.
#[tokio::test]
async fn a_new_story_is_in_the_queues_and_in_the_counts() {
    let plan = Plan::new().await;
    plan.create(json!({"number": "1.1", "title": "S"})).await.expect(201);
    let payload = json!({"merge": true, "epics": [{"number": 2, "title": "E", "depends_on_epics": [1],
                         "stories": [plain("2.1")]}]});
    plan.tenant.user.post(&format!("/projects/{}/import", plan.project), payload).await.expect(200);
    plan.create_by_number(json!({"epic_number": 2, "number": "2.2", "title": "S"})).await.expect(201);
    plan.create(json!({"number": "1.2", "title": "S"})).await.expect(201);
    assert_eq!(super::queues::ready(&plan.tenant, "").await, ["1.1", "1.2"]);
    assert_eq!(
        super::queues::blocked(&plan.tenant, "").await,
        ["2.1: 1.1 via epic, 1.2 via epic", "2.2: 1.1 via epic, 1.2 via epic"]
    );
    let shown = plan.o.get(&format!("/projects/{}", plan.project)).await.expect(200);
    assert_eq!(shown["project"]["story_count"], 4);
}
