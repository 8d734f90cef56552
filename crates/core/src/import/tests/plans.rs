//! Plans, and the refusals that depend on what the project has: conflicts, unresolved references and circles.

use super::*;

#[test]
fn a_plain_import_creates_everything_with_defaults() {
    let plan = fresh(&four_stories(json!([{"story": "1.2", "depends_on": "1.1"}]), Value::Null)).unwrap();
    let epics: Vec<_> = plan.new_epics.iter().map(|epic| (epic.number, epic.position)).collect();
    assert_eq!(epics, [(1, 0), (2, 1)]);
    let stories: Vec<_> = plan.new_stories.iter().map(|story| (story.number.as_str(), story.epic)).collect();
    assert_eq!(stories, [("1.1", 1), ("1.2", 1), ("1.3", 1), ("2.1", 2)]);
    assert_eq!(plan.new_story_edges, [(number("1.2"), number("1.1"))]);
    assert_eq!((plan.new_epic_edges.len(), plan.existing_edges), (0, 0));
    let story = &plan.new_stories[0];
    assert_eq!(story.initial.agent_status(), AgentStatus::Pending);
    assert_eq!(story.initial.verified_status(), VerifiedStatus::Unverified);
    assert_eq!((&story.description, &story.estimated_hours), (&None, &None));
    assert!(story.acceptance_criteria == Criteria::default() && story.metadata == JsonText::empty_object());
}

#[test]
fn all_columns_of_new_records_are_read() {
    let plan = fresh(&json!({"export_metadata": {"x": 1}, "project": 7, "epics": [{
        "number": "72", "title": "E", "description": "d", "phase": "p0", "position": "5", "metadata": {"k": 1},
        "stories": [{
            "number": 72, "title": "S", "description": " ", "estimated_hours": "4.50", "metadata": {"k": 2},
            "acceptance_criteria": [{"id": "AC-1", "description": "d"}, {"criterion": "c", "description": "d"}],
            "agent_status": "implementing", "verified_status": "verified",
        }],
    }]}))
    .unwrap();
    let epic = &plan.new_epics[0];
    assert_eq!((epic.number, epic.position, epic.phase.as_deref()), (72, 5, Some("p0")));
    assert_eq!((epic.description.as_deref(), &epic.metadata.to_value()["k"]), (Some("d"), &json!(1)));
    let story = &plan.new_stories[0];
    assert_eq!((story.number.as_str(), &story.description), ("72", &None));
    assert_eq!(story.estimated_hours.unwrap().to_string(), "4.50");
    assert_eq!(
        json!(story.acceptance_criteria),
        json!([{"id": "AC-1", "criterion": "d"}, {"criterion": "d"}])
    );
    assert_eq!(story.metadata.to_value()["k"], 2);
    assert_eq!(story.initial, InitialStatus::default());
}

#[test]
fn a_fresh_import_conflicts_with_what_exists() {
    let existing = project(&[("1.10", 1), ("1.2", 1), ("1.1", 1), ("2.1", 2), ("3.1", 3)]);
    let body = json!({"epics": [
        {"number": 2, "title": "E", "stories": [{"number": "1.10", "title": "S", "initial_verified_status": "bogus"}]},
        {"number": 1, "title": "E", "stories": [{"number": "1.2", "title": "S"}, {"number": "9.9.9", "title": "S"}]},
        {"number": 9, "title": "E"},
    ]});
    let conflict =
        ImportError::Conflict { epics: vec![1, 2], stories: vec!["1.2".to_owned(), "1.10".to_owned()] };
    assert_eq!(import(&body, Mode::Fresh, &existing), Err(conflict), "before the field rules");
    let body = json!({"epics": [{"number": 9, "title": "E", "stories": [{"number": "9.1", "title": "S"}]}]});
    let plan = import(&body, Mode::Fresh, &existing).unwrap();
    assert_eq!((plan.new_epics.len(), plan.new_stories.len()), (1, 1));
}

#[test]
fn initial_statuses() {
    use {AgentStatus::*, VerifiedStatus::*};
    for (fields, agent, verified) in [
        (json!({"initial_verified_status": "pass"}), ReportedDone, Verified),
        (
            json!({"initial_verified_status": "verified", "initial_agent_status": "pending"}),
            ReportedDone,
            Verified,
        ),
        (json!({"initial_agent_status": "reported_done"}), ReportedDone, Unverified),
        (
            json!({"initial_agent_status": "pending", "initial_verified_status": "unverified"}),
            Pending,
            Unverified,
        ),
        (json!({"initial_agent_status": null, "initial_verified_status": ""}), Pending, Unverified),
    ] {
        let mut story = json!({"number": "1.1", "title": "S"});
        story.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        for mode in [Mode::Fresh, Mode::Merge] {
            let plan = import(&epic_with(json!([story])), mode, &Existing::default()).unwrap();
            let initial = plan.new_stories[0].initial;
            assert_eq!((initial.agent_status(), initial.verified_status()), (agent, verified), "{fields}");
        }
    }
    let plan = fresh(&epic_with(json!([{"number": "1.1", "title": "S", "initial_verified_status": "pass"}])));
    assert_eq!(plan.unwrap().new_stories[0].initial.initial_verified_status, Some("pass"));
}

/// What an export writes for a status makes an import restore exactly this status, or start the story anew.
#[test]
fn statuses_that_an_import_can_set_are_restored() {
    let mut restored = Vec::new();
    for agent in AgentStatus::ALL.iter().copied() {
        for verified in VerifiedStatus::ALL.iter().copied() {
            let words = InitialStatus::restoring(agent, verified, false);
            let story = json!({"number": "1.1", "title": "S", "initial_agent_status": words.initial_agent_status,
                               "initial_verified_status": words.initial_verified_status});
            let initial = fresh(&epic_with(json!([story]))).unwrap().new_stories[0].initial;
            if (initial.agent_status(), initial.verified_status()) == (agent, verified) {
                restored.push((agent, verified));
            } else {
                assert_eq!(words, InitialStatus::default(), "{agent:?} {verified:?}");
            }
        }
    }
    use {AgentStatus::*, VerifiedStatus::*};
    assert_eq!(restored, [(Pending, Unverified), (ReportedDone, Unverified), (ReportedDone, Verified)]);
    // Work that somebody has done and nobody has verified stays with who has done it.
    assert_eq!(InitialStatus::restoring(ReportedDone, Unverified, true), InitialStatus::default());
    let verified = InitialStatus::restoring(ReportedDone, Verified, true);
    assert_eq!(verified.verified_status(), Verified);
}

#[test]
fn references_resolve_against_payload_and_project() {
    let unresolved = |what: &str| format!("Unresolved dependency reference: {what} not found in import");
    assert_invalid(
        &four_stories(json!([{"story": "1.1", "depends_on": "99.99"}]), Value::Null),
        &unresolved("story '99.99'"),
    );
    for epic in [json!(9), json!("9"), json!("09")] {
        let body = four_stories(Value::Null, json!([{"epic": 1, "depends_on": epic}]));
        assert_invalid(&body, &unresolved("epic '9'"));
    }
    assert_invalid(
        &four_stories(Value::Null, json!([{"epic": "x", "depends_on": 1}])),
        &unresolved("epic 'x'"),
    );
    // An edge to epic 2 becomes valid once epic 2 exists, in fresh mode too.
    let seed = json!({
        "epics": [{"number": 1, "title": "User Authentication", "stories": [{"number": "1.1", "title": "Login"}]}],
        "epic_dependencies": [{"epic": 1, "depends_on": 2}],
        "story_dependencies": [{"story": "1.1", "depends_on": "2.1"}],
    });
    assert!(fresh(&seed).is_err());
    let plan = import(&seed, Mode::Fresh, &project(&[("2.1", 2)])).unwrap();
    assert_eq!(plan.new_epic_edges, [(1, 2)]);
    assert_eq!(plan.new_story_edges, [(number("1.1"), number("2.1"))]);
}

#[test]
fn every_spelling_of_an_edge_counts_once() {
    let body = json!({
        "epics": [
            {"number": 1, "title": "One", "stories": [{"number": 1, "title": "a"}]},
            {"number": 2, "title": "Two", "depends_on_epics": ["1", 1], "stories": [
                {"number": "2", "title": "b", "depends_on_stories": [1, "1"]}]},
        ],
        "story_dependencies": [{"story": "2", "depends_on": 1}, {"story_number": 2, "depends_on_story": "1"}],
        "epic_dependencies": [{"epic": "2", "depends_on": "1"}, {"epic_number": 2, "depends_on_epic": 1}],
    });
    let plan = fresh(&body).unwrap();
    assert_eq!(plan.new_story_edges, [(number("2"), number("1"))]);
    assert_eq!(plan.new_epic_edges, [(2, 1)]);
}

#[test]
fn cycles_and_deadlocks() {
    let edge = |from: &str, to: &str| json!({"story": from, "depends_on": to});
    let circle = json!([edge("1.2", "1.3"), edge("1.3", "1.1"), edge("1.1", "1.2")]);
    assert_invalid(&four_stories(circle, Value::Null), "Cycle detected: 1.1 -> 1.2 -> 1.3 -> 1.1");
    assert_invalid(&four_stories(json!([edge("1.1", "1.1")]), Value::Null), "Cycle detected: 1.1 -> 1.1");
    let body = four_stories(Value::Null, json!([{"epic": 2, "depends_on": 1}, {"epic": 1, "depends_on": 2}]));
    for mode in [Mode::Fresh, Mode::Merge] {
        let error = import(&body, mode, &Existing::default()).unwrap_err();
        assert_eq!(error.to_string(), "Cycle detected: 1 -> 2 -> 1");
    }
    assert_invalid(
        &four_stories(json!([edge("2.1", "1.2")]), json!([{"epic": 1, "depends_on": 2}])),
        "Cross-level deadlock: epic 1 depends on epic 2, but story 2.1 (in epic 2) depends on story 1.2 (in epic 1)",
    );
}

#[test]
fn new_edges_may_not_close_a_cycle_with_existing_ones() {
    let mut existing = project(&[("1.1", 1), ("1.2", 1), ("2.1", 2)]);
    existing.story_edges = vec![("1.2".to_owned(), "1.1".to_owned())];
    existing.epic_edges = vec![(2, 1)];
    for (body, message) in [
        (
            json!({"story_dependencies": [{"story": "1.1", "depends_on": "1.2"}]}),
            "Cycle detected: 1.1 -> 1.2 -> 1.1",
        ),
        (json!({"epic_dependencies": [{"epic": 1, "depends_on": 2}]}), "Cycle detected: 1 -> 2 -> 1"),
        (
            // A matched story stays in its epic, wherever the payload lists it.
            json!({"epics": [{"number": 3, "title": "E", "stories": [
                {"number": "1.1", "title": "S", "depends_on_stories": ["2.1"]}]}]}),
            "Cross-level deadlock: epic 2 depends on epic 1, but story 1.1 (in epic 1) depends on story 2.1 (in epic 2)",
        ),
    ] {
        assert_eq!(import(&body, Mode::Merge, &existing).unwrap_err().to_string(), message);
    }
    let known = json!({
        "story_dependencies": [{"story": "1.2", "depends_on": "1.1"}, {"story": "2.1", "depends_on": "1.1"}],
        "epic_dependencies": [{"epic": 2, "depends_on": 1}],
    });
    let plan = import(&known, Mode::Merge, &existing).unwrap();
    assert_eq!(plan.new_story_edges, [(number("2.1"), number("1.1"))]);
    assert_eq!((plan.new_epic_edges.len(), plan.existing_edges), (0, 2));
}

#[test]
fn a_merge_updates_what_exists_and_creates_the_rest() {
    let existing = project(&[("1.10", 72), ("1.3", 72), ("1.1", 72), ("8.1", 8)]);
    let body = json!({"epics": [
        {"number": "72", "title": "New", "description": "", "phase": null, "stories": [
            {"number": "1.1", "title": "Retitled", "acceptance_criteria": [], "initial_verified_status": "pass"},
            {"number": "1.2", "title": "Created", "acceptance_criteria": [{"description": "d"}]},
            {"number": "8.1", "estimated_hours": 3}]},
        {"number": 73, "title": "Second"},
    ]});
    let plan = import(&body, Mode::Merge, &existing).unwrap();
    let epic = EpicChange { title: Some("New".to_owned()), description: Some(None), ..EpicChange::default() };
    assert_eq!(plan.updated_epics, [(72, epic)]);
    assert_eq!((plan.new_epics[0].number, plan.new_epics[0].position), (73, 1));
    let retitled = StoryChange {
        title: Some("Retitled".to_owned()),
        acceptance_criteria: Some(Criteria::default()),
        ..StoryChange::default()
    };
    let estimated = StoryChange { estimated_hours: Some(Decimal::from(3)), ..StoryChange::default() };
    assert_eq!(plan.updated_stories, [(number("1.1"), retitled), (number("8.1"), estimated)]);
    assert_eq!((plan.new_stories[0].number.as_str(), plan.new_stories[0].epic), ("1.2", 72));
    assert_eq!(json!(plan.new_stories[0].acceptance_criteria), json!([{"criterion": "d"}]));
    assert_eq!(plan.orphans, [number("1.3"), number("1.10")]);
}

#[test]
fn a_merge_refuses_blank_titles_and_new_records_without_one() {
    let existing = project(&[("1.1", 1)]);
    for (stories, message) in [
        (json!([{"number": "1.1", "title": " "}]), "epics[0].stories[0].title: can't be blank"),
        (json!([{"number": "1.1"}, {"number": "1.2"}]), "epics[0].stories[1].title: can't be blank"),
        (
            json!([{"number": "1.1", "initial_verified_status": "x"}]),
            "epics[0].stories[0].initial_verified_status: is invalid",
        ),
    ] {
        let error = import(&epic_with(stories), Mode::Merge, &existing).unwrap_err();
        assert_eq!(error, ImportError::Invalid(message.to_owned()));
    }
    let untitled = json!({"epics": [{"number": 2}]});
    let error = import(&untitled, Mode::Merge, &existing).unwrap_err();
    assert_eq!(error.to_string(), "epics[0].title: can't be blank");
}
