//! Merges: what they update, what they leave alone, and what they report as missing.

use serde_json::{Value, json};

use super::{audit, epic_with, good, import, merge, of, rows, show};
use crate::support::{Reach, Tenant, bring, connect, server, story, text};

#[tokio::test]
async fn a_merge_that_fails_changes_nothing() {
    let tenant = Tenant::new().await;
    let project = tenant
        .imported(json!({
            "epics": [{"number": 1, "title": "E", "stories": [good("1.1"), good("1.2")]},
                      {"number": 2, "title": "E", "stories": [good("2.1")]}],
            "story_dependencies": [{"story": "1.2", "depends_on": "1.1"}],
            "epic_dependencies": [{"epic": 2, "depends_on": 1}]}))
        .await;
    let before = rows(&project).await;
    let retitled = |more: Value| epic_with(json!([{"number": "1.1", "title": "Retitled"}, more]));
    for (payload, message) in [
        (retitled(json!({"number": "1.2", "title": ""})), "epics[0].stories[1].title: can't be blank"),
        (retitled(json!({"number": "1.3"})), "epics[0].stories[1].title: can't be blank"),
        (json!({"epics": [{"number": 3}]}), "epics[0].title: can't be blank"),
        (
            retitled(json!({"number": "1.2", "estimated_hours": "x"})),
            "epics[0].stories[1].estimated_hours: is invalid",
        ),
        (
            retitled(json!({"number": "1.2", "initial_verified_status": "bogus"})),
            "epics[0].stories[1].initial_verified_status: is invalid",
        ),
        (retitled(json!({"number": "1.1", "depends_on_stories": ["1.2"]})), "Duplicate story number: 1.1"),
        (
            json!({"story_dependencies": [{"story": "1.1", "depends_on": "1.2"}]}),
            "Cycle detected: 1.1 -> 1.2 -> 1.1",
        ),
        (json!({"epic_dependencies": [{"epic": 1, "depends_on": 2}]}), "Cycle detected: 1 -> 2 -> 1"),
        (
            // Listed under a new epic, it stays where it is.
            json!({"epics": [{"number": 3, "title": "E", "stories": [
                {"number": "1.1", "title": "Retitled", "depends_on_stories": ["2.1"]}]}]}),
            "Cross-level deadlock: epic 2 depends on epic 1, but story 1.1 (in epic 1) depends on \
             story 2.1 (in epic 2)",
        ),
        (
            json!({"epics": [{"number": 1, "title": "Retitled"}],
                   "story_dependencies": [{"story": "1.1", "depends_on": "7.7"}]}),
            "Unresolved dependency reference: story '7.7' not found in import",
        ),
    ] {
        let error = merge(&tenant.user, &project, payload).await.expect_error(422, "invalid_import");
        assert_eq!(error["message"], message);
        assert_eq!(rows(&project).await, before, "{message}");
        assert_eq!(show(&tenant, &project, "1.1").await["title"], "Story 1.1");
    }
}

#[tokio::test]
async fn a_merge_is_asked_for_in_query_or_body() {
    let tenant = Tenant::new().await;
    let project = tenant.imported(epic_with(json!([good("1.1")]))).await;
    let path = format!("/projects/{project}/import");
    let payload = |flag: Value| json!({"epics": [{"number": 1}], "merge": flag});
    for (query, body, status) in [
        ("?merge=true", json!(null), 422), // null is sent, and wins over the query
        ("?merge=1", json!(true), 200),
        ("", json!(true), 200),
        ("", json!("true"), 200),
        ("", json!("1"), 200),
        ("", json!(false), 422),
        ("", json!("yes"), 422),
        ("", json!(1), 422),
        ("?merge=true", json!(false), 422),
        ("?merge=false", json!(true), 200),
    ] {
        let reply = tenant.user.post(&format!("{path}{query}"), payload(body.clone())).await;
        assert_eq!(reply.status, status, "{query} {body}: {:#}", reply.body);
    }
    let plain = json!({"epics": [{"number": 1}]});
    for (query, status) in [("?merge=true", 200), ("?merge=1", 200), ("?merge=TRUE", 422), ("?merge=", 422)] {
        let reply = tenant.user.post(&format!("{path}{query}"), plain.clone()).await;
        assert_eq!(reply.status, status, "{query}: {:#}", reply.body);
    }
}

#[tokio::test]
async fn what_the_loop_owns_is_kept() {
    let tenant = Tenant::new().await;
    let project = tenant
        .imported(json!({"epics": [{"number": 72, "title": "Old", "stories": [
            {"number": "1.1", "title": "Build API", "estimated_hours": 4, "description": "d", "metadata": {"k": 1},
             "acceptance_criteria": [{"id": "AC-1", "criterion": "It works"}, {"id": "AC-2", "criterion": "It is tested"}]}]}]}))
        .await;
    let (a1, a2, o) = (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
    let id = tenant.story_id(&project, "1.1").await;
    bring(&id, Reach::Implementing, &a1, &a2, &o).await;
    let before = show(&tenant, &project, "1.1").await;
    let payload = json!({"epics": [{"number": "72", "title": "New", "stories": [
        {"number": "1.1", "title": "Retitled", "description": null, "initial_verified_status": "pass",
         "agent_status": "pending", "verified_status": "verified"},
        {"number": "1.2", "title": "Created", "initial_verified_status": "pass"}]}]});
    let body = merge(&o, &project, payload).await.expect(200);
    assert_eq!(
        body,
        json!({"import": {
            "epics_created": 0, "epics_updated": 1, "stories_created": 1, "stories_updated": 1,
            "stories_orphaned": [], "dependencies_created": 0, "dependencies_existing": 0}})
    );
    let mut after = show(&tenant, &project, "1.1").await;
    assert_eq!(after["title"], "Retitled");
    assert_ne!(after["updated_at"], before["updated_at"]);
    // It was contracted under another title.
    assert_eq!([&before["contract_stale"], &after["contract_stale"]], [false, true]);
    for name in ["title", "updated_at", "criteria_digest", "contract_stale"] {
        after[name] = before[name].clone();
    }
    assert_eq!(after, before, "everything else");
    assert_eq!(show(&tenant, &project, "1.2").await["verified_status"], "verified");

    // Also what is done stays done.
    bring_on(&tenant, &id, &a1, &a2, &o).await;
    let done = show(&tenant, &project, "1.1").await;
    merge(
        &tenant.user,
        &project,
        json!({"epics": [{"number": 72, "stories": [{"number": "1.1", "title": "Again"}]}]}),
    )
    .await
    .expect(200);
    let again = show(&tenant, &project, "1.1").await;
    for name in ["agent_status", "verified_status", "verified_at", "reported_done_at", "latest_verification"]
    {
        assert_eq!(again[name], done[name], "{name}");
    }
    assert_eq!(again["verified_status"], "verified");
}

/// From implementing to verified.
async fn bring_on(
    tenant: &Tenant,
    id: &str,
    a1: &crate::support::Caller,
    a2: &crate::support::Caller,
    o: &crate::support::Caller,
) {
    assert_ne!(a1.agent(), a2.agent());
    let at = |action: &str| format!("/stories/{id}/{action}");
    a2.post_empty(&at("report")).await.expect(200);
    let review = json!({"review_type": "enhanced"});
    tenant.user.post(&at("review-complete"), review).await.expect(201);
    let verify = json!({"review_type": "enhanced", "summary": "checked"});
    o.post(&at("verify"), verify).await.expect(200);
}

#[tokio::test]
async fn only_what_is_sent_changes() {
    let tenant = Tenant::new().await;
    let project = tenant
        .imported(json!({"epics": [
            {"number": 1, "title": "E", "description": "d", "phase": "p", "position": 5, "metadata": {"a": 1},
             "stories": [{"number": "1.1", "title": "S", "description": "d", "estimated_hours": "4.5",
                          "metadata": {"a": 1}, "acceptance_criteria": [{"id": "AC-1", "criterion": "c"}]}]},
            {"number": 2, "title": "Other"}]}))
        .await;
    let epic = async || {
        let path = format!("/projects/{project}/epics?phase=");
        let list = tenant.user.get(&path).await.expect(200);
        let epics = list["data"].as_array().unwrap().clone();
        epics.into_iter().find(|epic| epic["number"] == 1).unwrap()
    };
    let send = async |fields: Value, story: Value| {
        let (mut item, mut inner) = (json!({"number": 1}), json!({"number": "1.1"}));
        for (object, more) in [(&mut inner, &story), (&mut item, &fields)] {
            for (name, value) in more.as_object().unwrap() {
                object[name] = value.clone();
            }
        }
        item["stories"] = json!([inner]);
        merge(&tenant.user, &project, json!({"epics": [item]})).await.expect(200)["import"].clone()
    };
    let (old_epic, old_story) = (epic().await, show(&tenant, &project, "1.1").await);
    let log = audit(&project).await.len();

    // Nothing, or nulls: counted, but neither touched nor told.
    for fields in [
        json!({}),
        json!({"title": null, "description": null, "metadata": null}),
        json!({"title": old_story["title"]}),
    ] {
        let mut of_epic = fields.clone();
        if fields.get("title").is_some_and(Value::is_string) {
            of_epic["title"] = json!("E");
        }
        let counts = send(of_epic, fields).await;
        assert_eq!((&counts["epics_updated"], &counts["stories_updated"]), (&json!(1), &json!(1)));
        assert_eq!(epic().await, old_epic);
        assert_eq!(show(&tenant, &project, "1.1").await, old_story);
    }
    let entries = audit(&project).await;
    assert_eq!(entries.len(), log + 3, "the three summaries");
    assert_eq!(of(&entries, "project/merge_imported").len(), 3);

    // One field each.
    send(json!({"position": 1}), json!({"estimated_hours": 2})).await;
    let entries = audit(&project).await;
    let change = |what: &str| {
        let entry = of(&entries, what)[0];
        (entry.old.clone().unwrap(), entry.new.clone().unwrap(), entry.metadata.clone())
    };
    let source = json!({"source": "import"});
    // With what these entries always tell, changed or not.
    let epic_entry = |position: u32| json!({"title": "E", "phase": "p", "position": position});
    assert_eq!(change("epic/updated"), (epic_entry(5), epic_entry(1), source.clone()));
    let story_entry = |hours: &str| json!({"title": old_story["title"], "description": old_story["description"], "estimated_hours": hours});
    assert_eq!(change("story/updated"), (story_entry("4.5"), story_entry("2"), source));

    // Blank clears what may be empty, an empty list clears criteria, metadata is replaced whole.
    send(
        json!({"description": "", "phase": " ", "metadata": {"b": 2}}),
        json!({"description": "", "acceptance_criteria": [], "metadata": {}}),
    )
    .await;
    let (new_epic, new_story) = (epic().await, show(&tenant, &project, "1.1").await);
    assert_eq!(
        [&new_epic["description"], &new_epic["phase"], &new_epic["metadata"], &new_epic["title"]],
        [&Value::Null, &Value::Null, &json!({"b": 2}), &json!("E")]
    );
    assert_eq!(
        [&new_story["description"], &new_story["acceptance_criteria"], &new_story["metadata"]],
        [&Value::Null, &json!([]), &json!({})]
    );
    assert_eq!(new_story["estimated_hours"], "2");
    assert_eq!(rows(&project).await.criteria, 0);
}

#[tokio::test]
async fn stories_match_across_epics_and_are_not_moved() {
    let tenant = Tenant::new().await;
    let project = tenant
        .imported(json!({"epics": [
            {"number": 1, "title": "E", "stories": [good("1.10"), good("1.3"), good("1.1")]},
            {"number": 2, "title": "E", "stories": [good("2.1")]}],
            "story_dependencies": [{"story": "1.3", "depends_on": "1.1"}],
            "epic_dependencies": [{"epic": 2, "depends_on": 1}]}))
        .await;
    let before = show(&tenant, &project, "1.1").await;
    let payload = json!({"epics": [{"number": 3, "title": "New", "stories": [
            {"number": "1.1", "title": "Updated"}, {"number": "3.1", "title": "Created"}]}],
        "story_dependencies": [
            {"story": "1.3", "depends_on": "1.1"}, {"story": "1.10", "depends_on": "1.3"},
            {"story": "3.1", "depends_on": "1.1"}],
        "epic_dependencies": [{"epic": 2, "depends_on": 1}, {"epic": 3, "depends_on": 2}]});
    let body = merge(&tenant.user, &project, payload).await.expect(200);
    assert_eq!(
        body["import"],
        json!({
            "epics_created": 1, "epics_updated": 0, "stories_created": 1, "stories_updated": 1,
            "stories_orphaned": [{"number": "1.3", "title": "Story 1.3"}, {"number": "1.10", "title": "Story 1.10"},
                                 {"number": "2.1", "title": "Story 2.1"}],
            "dependencies_created": 3, "dependencies_existing": 2})
    );
    let after = show(&tenant, &project, "1.1").await;
    assert_eq!(after["title"], "Updated");
    assert_eq!(after["epic_id"], before["epic_id"]);
    assert_ne!(show(&tenant, &project, "3.1").await["epic_id"], before["epic_id"]);
    let counts = rows(&project).await;
    assert_eq!((counts.stories, counts.story_edges, counts.epic_edges), (5, 3, 2));
    let log = audit(&project).await;
    let summary = log.last().unwrap();
    assert_eq!(summary.what, "project/merge_imported");
    let new = summary.new.as_ref().unwrap();
    assert_eq!((&new["stories_created"], &new["stories_updated"]), (&json!(1), &json!(1)));
    let summaries = ["project/imported", "project/merge_imported"].map(|what| of(&log, what).len());
    assert_eq!(summaries, [1, 1]);
    // 5 + 1 epics and stories of the fresh import with 2 edges, 1 epic, 1 story, 1 update and 3 edges of the merge.
    assert_eq!(of(&log, "story/updated").len(), 1);
    assert_eq!(log.len(), (2 + 4 + 2 + 1) + (1 + 1 + 1 + 3 + 1));
    // Repeating a fresh import is still a conflict, repeating a merge is harmless.
    let payload = json!({"epics": [{"number": 3, "title": "New"}]});
    import(&tenant.user, &project, payload.clone()).await.expect(409);
    let again = merge(&tenant.user, &project, payload).await.expect(200);
    assert_eq!(again["import"]["dependencies_existing"], 5);
    assert_eq!(again["import"]["epics_updated"], 1);
}

#[tokio::test]
async fn a_merge_of_edges_alone() {
    let tenant = Tenant::new().await;
    let project = tenant.imported(epic_with(json!([good("1.1"), good("1.2")]))).await;
    let edges = json!({"story_dependencies": [{"story": "1.2", "depends_on": "1.1"}]});
    for (created, existing) in [(1, 0), (0, 1)] {
        let body = merge(&tenant.user, &project, edges.clone()).await.expect(200);
        assert_eq!(
            (&body["import"]["dependencies_created"], &body["import"]["dependencies_existing"]),
            (&json!(created), &json!(existing))
        );
    }
    assert_eq!(rows(&project).await.story_edges, 1);
}

#[tokio::test]
async fn only_changed_criteria_are_pending_again() {
    let tenant = Tenant::new().await;
    let test = json!({"type": "test", "path": "t.rs"});
    let criteria = |second: &str, third: Value| {
        json!([{"id": "AC-1", "criterion": "same"}, {"id": "AC-2", "criterion": second},
               {"id": "AC-3", "criterion": "c", "verification_criterion": third}, {"id": "AC-4", "criterion": "gone"}])
    };
    let mut first = story("1.1");
    first["acceptance_criteria"] = criteria("old", test);
    let mut other = story("1.2");
    other["acceptance_criteria"] = criteria("old", json!(null));
    let project = tenant.imported(epic_with(json!([first, other]))).await;
    let changed = connect(&server().owner)
        .await
        .execute(
            "update story_acceptance_criteria c set status = 'verified', verified_at = now(), evidence_path = 'e'
             from stories s where s.id = c.story_id and s.project_id = $1::text::uuid",
            &[&project],
        )
        .await
        .unwrap();
    assert_eq!(changed, 8);
    let read = async |number: &str| {
        let id = tenant.story_id(&project, number).await;
        let path = format!("/stories/{id}/acceptance_criteria");
        let list = tenant.user.get(&path).await.expect(200);
        list["data"].as_array().unwrap().to_vec()
    };
    let before = read("1.1").await;
    // Reordered, AC-2 and AC-3 changed, AC-4 gone, one new; `description` says the same as `criterion`.
    let payload = epic_with(json!([{"number": "1.1", "acceptance_criteria": [
        {"criterion": "new"}, {"id": "AC-3", "criterion": "c", "verification_criterion": {"type": "test", "path": "u.rs"}},
        {"id": "AC-2", "criterion": "changed"}, {"id": "AC-1", "description": "same"}]}]));
    merge(&tenant.user, &project, payload).await.expect(200);
    let after = read("1.1").await;
    let seen: Vec<_> = after
        .iter()
        .map(|row| json!([row["ac_id"], row["description"], row["status"], row["evidence_path"]]))
        .collect();
    assert_eq!(
        seen,
        [
            json!(["AC-4", "new", "pending", null]),
            json!(["AC-3", "c", "pending", null]),
            json!(["AC-2", "changed", "pending", null]),
            json!(["AC-1", "same", "verified", "e"]),
        ]
    );
    assert_eq!(after[3], before[0], "the same row");
    assert!(after[..3].iter().all(|row| row["verified_at"].is_null()));
    let statuses: Vec<_> = read("1.2").await.iter().map(|row| text(&row["status"])).collect();
    assert_eq!(statuses, ["verified"; 4], "the other story's");
    // Sent again as they are, nothing changes; left out, neither.
    let kept = read("1.1").await;
    let same = show(&tenant, &project, "1.1").await["acceptance_criteria"].clone();
    for story in
        [json!({"number": "1.1", "acceptance_criteria": same}), json!({"number": "1.1", "title": "T"})]
    {
        merge(&tenant.user, &project, epic_with(json!([story]))).await.expect(200);
        assert_eq!(read("1.1").await, kept);
    }
}
