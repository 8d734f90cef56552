//! Fresh imports: what they write, and when they conflict with what is there.

use serde_json::{Value, json};

use super::{Rows, audit, epic_with, good, import, of, rows, show};
use crate::support::{Caller, Tenant, server, text, unique};

async fn criteria(tenant: &Tenant, story: &str) -> Value {
    let path = format!("/stories/{story}/acceptance_criteria");
    tenant.user.get(&path).await.expect(200)["data"].clone()
}

#[tokio::test]
async fn existing_numbers_are_a_conflict_with_both_lists() {
    let tenant = Tenant::new().await;
    let payload = json!({"epics": [
        {"number": 10, "title": "Ten", "stories": [good("1.10"), good("1.2")]},
        {"number": 2, "title": "Two", "stories": [good("2.1")]}]});
    let project = tenant.imported(payload.clone()).await;
    let before = rows(&project).await;
    let refused = async |payload: Value, epics: Value, stories: Value| {
        let reply = import(&tenant.user, &project, payload).await;
        let error = reply.expect_error(409, "import_conflict");
        assert_eq!(error["message"], "Import conflicts with existing data. Use merge=true to update.");
        assert_eq!(
            error["details"],
            json!({"duplicate_epic_numbers": epics, "duplicate_story_numbers": stories})
        );
        assert_eq!(rows(&project).await, before);
    };
    refused(payload, json!([2, 10]), json!(["1.2", "1.10", "2.1"])).await;
    // A new epic with an old story, and an old epic with a new story.
    refused(
        json!({"epics": [{"number": 3, "title": "E", "stories": [good("3.1"), good("2.1")]}]}),
        json!([]),
        json!(["2.1"]),
    )
    .await;
    refused(
        json!({"epics": [{"number": "2", "title": "E", "stories": [good("2.2")]}]}),
        json!([2]),
        json!([]),
    )
    .await;
    // Step 6 comes before field rules and references.
    refused(
        json!({"epics": [{"number": 2, "title": "E", "position": -1, "stories": [good("x")]}],
               "epic_dependencies": [{"epic": 99, "depends_on": 2}]}),
        json!([2]),
        json!([]),
    )
    .await;
    // Another number is another story.
    let more = json!({"epics": [{"number": 3, "title": "E", "stories": [good("2.01")]}]});
    import(&tenant.user, &project, more).await.expect(201);
}

#[tokio::test]
async fn two_epics_four_stories_one_edge() {
    let tenant = Tenant::new().await;
    let project = tenant.project().await;
    let payload = json!({
        "epics": [
            {"number": 1, "title": "One", "description": "d", "phase": "p0", "metadata": {"a": 1},
             "stories": [good("1.1"), good("1.2")]},
            {"number": "2", "title": "Two", "stories": [good("2.1"), {"number": 3, "title": "Three"}]}],
        "story_dependencies": [{"story": "1.2", "depends_on": "1.1"}],
        "export_metadata": {"x": 1}, "project": {"name": "ignored", "slug": "ignored"},
    });
    let body = import(&tenant.user, &project, payload).await.expect(201);
    assert_eq!(
        body,
        json!({"import": {"epics_created": 2, "stories_created": 4, "dependencies_created": 1}})
    );
    let list = tenant.user.get(&format!("/stories?project_id={project}")).await.expect(200);
    let stories: Vec<_> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|story| {
            assert_eq!(story["agent_status"], "pending");
            assert_eq!(story["verified_status"], "unverified");
            assert_eq!(story["assigned_agent_id"], Value::Null);
            assert_eq!(story["metadata"], json!({}));
            text(&story["number"])
        })
        .collect();
    assert_eq!(stories, ["1.1", "1.2", "2.1", "3"]);
    let epics = tenant.user.get(&format!("/projects/{project}/epics")).await.expect(200);
    let epics: Vec<_> = epics["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|epic| json!([epic["number"], epic["position"], epic["phase"], epic["metadata"]]))
        .collect();
    assert_eq!(epics, [json!([1, 0, "p0", {"a": 1}]), json!([2, 1, null, {}])]);

    let log = audit(&project).await;
    let counts =
        [("epic/created", 2), ("story/created", 4), ("story_dependency/created", 1), ("project/imported", 1)];
    for (what, count) in counts {
        assert_eq!(of(&log, what).len(), count, "{what}");
    }
    assert_eq!(log.len(), 8);
    let summary = log.last().unwrap();
    assert_eq!((summary.what.as_str(), &summary.entity_id), ("project/imported", &project));
    let new = summary.new.as_ref().unwrap();
    assert_eq!((&new["epics_created"], &new["stories_created"]), (&json!(2), &json!(4)));
    let (one, two) = (show(&tenant, &project, "1.1").await, show(&tenant, &project, "1.2").await);
    let first = of(&log, "story/created")[0];
    assert_eq!(json!(first.entity_id), one["id"]);
    assert_eq!(
        first.new,
        Some(json!({
            "number": "1.1", "title": "Story 1.1", "epic_id": one["epic_id"], "project_id": project,
            "agent_status": "pending", "verified_status": "unverified",
        }))
    );
    assert_eq!((&first.old, &first.metadata), (&None, &json!({"source": "import"})));
    let edge = of(&log, "story_dependency/created")[0];
    assert_eq!(edge.new, Some(json!({"story_id": two["id"], "depends_on_story_id": one["id"]})));
    let epic = of(&log, "epic/created")[0];
    assert_eq!(epic.new, Some(json!({"number": 1, "title": "One", "project_id": project})));
    assert!(log.iter().all(|entry| entry.label == "user:root"));

    let path = format!("/stories/{}/history", text(&one["id"]));
    let history = tenant.user.get(&path).await.expect(200);
    assert_eq!(history["data"][0]["action"], "created");
    assert_eq!(history["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_superadmin_imports_inside_a_tenant() {
    let tenant = Tenant::new().await;
    let project = tenant.project().await;
    let key =
        loopctl_server::operator::create_superadmin_key(&server().owner, &unique("super")).await.unwrap();
    let mut caller = Caller::with_key(&key.raw_key);
    let payload = epic_with(json!([good("1.1")]));
    let error = import(&caller, &project, payload.clone()).await.expect(400);
    assert_eq!(error["error"]["message"], "Superadmin must use X-Impersonate-Tenant header");
    caller.headers.push(("x-impersonate-tenant", tenant.id.clone()));
    import(&caller, &project, payload).await.expect(201);
    for entry in audit(&project).await {
        assert_eq!(entry.label, format!("superadmin:impersonating:{}", tenant.slug));
        assert_eq!(entry.metadata["impersonated_by"], key.id.to_string());
    }
}

#[tokio::test]
async fn criteria_are_normalised_and_become_rows() {
    let tenant = Tenant::new().await;
    let test = json!({"type": "test", "path": "t.rs", "test_name": "t"});
    let project = tenant
        .imported(epic_with(json!([
            {"number": "1.1", "title": "S", "acceptance_criteria": [
                {"id": "AC-1", "description": "d"},
                {"criterion": "c", "description": "wins", "extra": [1]},
                {"id": "AC-2", "criterion": "only", "verification_criterion": test},
                {"id": "AC-1"}]},
            {"number": "1.2", "title": "S", "acceptance_criteria": null},
            {"number": "1.3", "title": "S", "acceptance_criteria": []}])))
        .await;
    let story = show(&tenant, &project, "1.1").await;
    assert_eq!(
        story["acceptance_criteria"],
        json!([
            {"id": "AC-1", "criterion": "d"},
            {"criterion": "wins", "extra": [1]},
            {"id": "AC-2", "criterion": "only", "verification_criterion": test},
            {"id": "AC-1"}])
    );
    let manual = json!({"type": "manual", "description": "legacy"});
    let rows = criteria(&tenant, &text(&story["id"])).await;
    let seen: Vec<_> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            assert_eq!(
                (&row["status"], &row["verified_at"], &row["evidence_path"]),
                (&json!("pending"), &Value::Null, &Value::Null)
            );
            assert!(row["id"].is_string());
            json!([row["ac_id"], row["description"], row["verification_criterion"]])
        })
        .collect();
    assert_eq!(
        seen,
        [
            json!(["AC-1", "d", manual]),
            json!(["AC-3", "wins", manual]),
            json!(["AC-2", "only", test]),
            json!(["AC-4", "No description", manual]),
        ]
    );
    for number in ["1.2", "1.3"] {
        let story = show(&tenant, &project, number).await;
        assert_eq!(story["acceptance_criteria"], json!([]));
        assert_eq!(criteria(&tenant, &text(&story["id"])).await, json!([]));
    }
}

#[tokio::test]
async fn initial_statuses_are_set_and_told() {
    let tenant = Tenant::new().await;
    let initial = |number: &str, agent: Value, verified: Value, after: &[&str]| {
        json!({"number": number, "title": "S", "initial_agent_status": agent, "initial_verified_status": verified,
               "depends_on_stories": after})
    };
    let project = tenant.project().await;
    let stories = json!([
        initial("1.1", json!(null), json!("pass"), &[]),
        initial("1.2", json!("pending"), json!("verified"), &[]),
        initial("1.3", json!("reported_done"), json!(null), &[]),
        initial("1.4", json!("pending"), json!("unverified"), &[]),
        initial("1.5", json!(null), json!(null), &["1.1", "1.2"]),
        initial("1.6", json!(null), json!(null), &["1.3"]),
    ]);
    let orchestrator = tenant.key("orchestrator").await;
    import(&orchestrator, &project, epic_with(stories)).await.expect(201);
    let log = audit(&project).await;
    for (index, (number, statuses, metadata)) in [
        ("1.1", ["reported_done", "verified"], json!({"initial_verified_status": "pass"})),
        (
            "1.2",
            ["reported_done", "verified"],
            json!({"initial_agent_status": "pending", "initial_verified_status": "verified"}),
        ),
        ("1.3", ["reported_done", "unverified"], json!({"initial_agent_status": "reported_done"})),
        (
            "1.4",
            ["pending", "unverified"],
            json!({"initial_agent_status": "pending", "initial_verified_status": "unverified"}),
        ),
        ("1.5", ["pending", "unverified"], json!({})),
        ("1.6", ["pending", "unverified"], json!({})),
    ]
    .into_iter()
    .enumerate()
    {
        let story = show(&tenant, &project, number).await;
        assert_eq!(
            [&story["agent_status"], &story["verified_status"]],
            [&json!(statuses[0]), &json!(statuses[1])],
            "{number}"
        );
        assert_eq!(story["reported_done_at"].is_string(), statuses[0] == "reported_done");
        assert_eq!(story["verified_at"].is_string(), statuses[1] == "verified");
        for name in ["assigned_agent_id", "reported_by_agent_id", "first_claimed_at"] {
            assert_eq!(story[name], Value::Null, "{number} {name}");
        }
        assert_eq!(story["latest_verification"], Value::Null);
        let created = of(&log, "story/created")[index];
        let new = created.new.as_ref().unwrap();
        assert_eq!(
            [&new["agent_status"], &new["verified_status"]],
            [&json!(statuses[0]), &json!(statuses[1])]
        );
        let mut expected = metadata;
        expected["source"] = json!("import");
        assert_eq!(created.metadata, expected, "{number}");
    }
    assert_eq!(log.len(), 1 + 6 + 3 + 1, "no status events of their own");
    let ready = tenant.user.get("/stories/ready").await.expect(200);
    let numbers: Vec<_> = ready["data"].as_array().unwrap().iter().map(|s| text(&s["number"])).collect();
    assert_eq!(numbers, ["1.4", "1.5"]);
}

#[tokio::test]
async fn blanks_nulls_and_text_are_taken_as_they_are() {
    let tenant = Tenant::new().await;
    let title = "Ünïcode \u{1F980} \"quoted\" \\ \u{202E}rtl";
    // What Unicode does not call white space is a title.
    let odd = ["\u{200B}", "\u{1C}", "\u{1F}", "\u{180E}", "\u{FEFF}", "\u{1}", "\u{E000}", "\u{7F}"];
    let stories: Vec<_> = odd
        .iter()
        .enumerate()
        .map(|(index, title)| json!({"number": format!("1.{index}"), "title": title}))
        .collect();
    let project = tenant
        .imported(json!({"epics": [
            {"number": 1, "title": title, "description": "  ", "phase": "", "position": null, "metadata": null,
             "stories": stories},
            {"number": 2, "title": "E", "position": "7", "stories": null}]}))
        .await;
    let epics = tenant.user.get(&format!("/projects/{project}/epics")).await.expect(200);
    let (one, two) = (&epics["data"][0], &epics["data"][1]);
    assert_eq!(one["title"], title);
    assert_eq!(
        [&one["description"], &one["phase"], &one["position"], &one["metadata"]],
        [&Value::Null, &Value::Null, &json!(0), &json!({})]
    );
    assert_eq!((&two["position"], &two["story_count"]), (&json!(7), &json!(0)));
    let after = rows(&project).await;
    assert_eq!(after, Rows { epics: 2, stories: 8, audit: 12, ..Rows::default() });
    // What Unicode calls white space is none.
    for blank in ["\u{85}", "\u{A0}", "\u{1680}", "\u{2003}", "\u{2028}", "\u{3000}"] {
        let payload = json!({"epics": [{"number": 3, "title": blank}]});
        let error = import(&tenant.user, &project, payload).await.expect(422);
        assert_eq!(error["error"]["message"], "epics[0].title: can't be blank");
    }
}
