//! No JSON makes the import panic, and what it plans is what a second import finds.

use super::*;
use proptest::prelude::*;

/// What the project has after `plan` was carried out on an empty one.
fn result_of(plan: &Plan) -> Existing {
    Existing {
        epics: plan.new_epics.iter().map(|epic| epic.number).collect(),
        stories: plan.new_stories.iter().map(|story| (story.number.clone(), story.epic)).collect(),
        story_edges: plan
            .new_story_edges
            .iter()
            .map(|(from, to)| (from.as_str().to_owned(), to.as_str().to_owned()))
            .collect(),
        epic_edges: plan.new_epic_edges.clone(),
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (-1..4).prop_map(Value::from),
        "[0-9a.]{0,4}".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..4)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    prop::sample::select(
        &[
            "epics",
            "number",
            "title",
            "description",
            "phase",
            "position",
            "metadata",
            "stories",
            "estimated_hours",
            "acceptance_criteria",
            "verification_criterion",
            "type",
            "depends_on_stories",
            "depends_on_epics",
            "story",
            "epic",
            "depends_on",
            "story_dependencies",
            "epic_dependencies",
            "initial_agent_status",
            "initial_verified_status",
            "other",
        ][..],
    )
    .prop_map(str::to_owned)
}

/// A valid payload without cycles: edges point from later records to earlier ones.
fn valid_payload() -> impl Strategy<Value = Value> {
    let pairs = || prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..6);
    (prop::collection::vec(0_usize..5, 0..6), pairs(), pairs()).prop_map(
        |(sizes, story_pairs, epic_pairs)| {
            let mut stories = Vec::new();
            let epics: Vec<Value> = (1..)
                .zip(&sizes)
                .map(|(epic, size)| {
                    let own: Vec<String> = (1..=*size).map(|minor| format!("{epic}.{minor}")).collect();
                    stories.extend(own.iter().cloned());
                    let items: Vec<Value> = own
                        .iter()
                        .map(|number| {
                            json!({"number": number, "title": "S", "estimated_hours": 1.5,
                               "acceptance_criteria": [{"id": "AC-1", "description": "d"}]})
                        })
                        .collect();
                    json!({"number": epic, "title": "E", "phase": "p0", "stories": items})
                })
                .collect();
            let ordered =
                |pairs: &[(prop::sample::Index, prop::sample::Index)], count: usize| -> Vec<(usize, usize)> {
                    if count == 0 {
                        return Vec::new();
                    }
                    let both = pairs.iter().map(|(a, b)| (a.index(count), b.index(count)));
                    both.filter(|(a, b)| a != b).map(|(a, b)| (a.max(b), a.min(b))).collect()
                };
            let story_edges: Vec<Value> = ordered(&story_pairs, stories.len())
                .into_iter()
                .map(|(from, to)| json!({"story": stories[from], "depends_on": stories[to]}))
                .collect();
            let epic_edges: Vec<Value> = ordered(&epic_pairs, epics.len())
                .into_iter()
                .map(|(from, to)| json!({"epic": from + 1, "depends_on": (to + 1).to_string()}))
                .collect();
            json!({"epics": epics, "story_dependencies": story_edges, "epic_dependencies": epic_edges})
        },
    )
}

/// Replaces the `target`th value of a depth-first walk.
fn mutate(value: &mut Value, target: &mut usize, replacement: &Value) {
    if *target == 0 {
        *value = replacement.clone();
    }
    *target = target.wrapping_sub(1);
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| mutate(item, target, replacement)),
        Value::Object(fields) => fields.values_mut().for_each(|item| mutate(item, target, replacement)),
        _ => {}
    }
}

fn check_any(body: &Value, existing: &Existing) -> Result<(), TestCaseError> {
    let text = JsonText::from(body.clone());
    let Some(body) = text.object() else {
        return Ok(());
    };
    for mode in [Mode::Fresh, Mode::Merge] {
        match parse(&body, mode).and_then(|payload| payload.plan(existing)) {
            Ok(plan) => {
                let unique: std::collections::HashSet<_> = plan.new_story_edges.iter().collect();
                prop_assert_eq!(unique.len(), plan.new_story_edges.len());
                prop_assert!(plan.new_epics.iter().all(|epic| !epic.title.trim().is_empty()));
                prop_assert!(plan.new_stories.iter().all(|story| !story.title.trim().is_empty()));
            }
            Err(ImportError::Invalid(message)) => prop_assert!(!message.is_empty()),
            Err(ImportError::Conflict { epics, stories }) => {
                prop_assert!(mode == Mode::Fresh && !(epics.is_empty() && stories.is_empty()));
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_json_gives_a_plan_or_a_message(pairs in prop::collection::vec((key(), any_json()), 0..5)) {
        check_any(&Value::Object(pairs.into_iter().collect()), &Existing::default())?;
    }

    #[test]
    fn a_mutated_payload_gives_a_plan_or_a_message(
        mut body in valid_payload(),
        targets in prop::collection::vec((0_usize..60, any_json()), 1..3),
    ) {
        let original = parse(&JsonText::from(body.clone()).object().unwrap(), Mode::Fresh).unwrap().plan(&Existing::default()).unwrap();
        for (mut target, replacement) in targets {
            mutate(&mut body, &mut target, &replacement);
        }
        check_any(&body, &Existing::default())?;
        check_any(&body, &result_of(&original))?;
    }

    #[test]
    fn importing_twice_is_a_conflict_or_an_update_of_everything(body in valid_payload()) {
        let text = JsonText::from(body.clone());
        let object = &text.object().unwrap();
        let first = parse(object, Mode::Fresh).unwrap().plan(&Existing::default()).unwrap();
        let existing = result_of(&first);
        let again = parse(object, Mode::Fresh).unwrap().plan(&existing);
        if first.new_epics.is_empty() {
            prop_assert!(again.is_ok());
        } else {
            let stories = first.new_stories.iter().map(|story| story.number.to_string()).collect();
            prop_assert_eq!(again, Err(ImportError::Conflict { epics: existing.epics.clone(), stories }));
        }
        let merged = parse(object, Mode::Merge).unwrap().plan(&existing).unwrap();
        prop_assert_eq!(merged.updated_epics.len(), first.new_epics.len());
        prop_assert_eq!(merged.updated_stories.len(), first.new_stories.len());
        prop_assert_eq!(merged.existing_edges, first.new_story_edges.len() + first.new_epic_edges.len());
        let rest = Plan {
            updated_epics: Vec::new(), updated_stories: Vec::new(), existing_edges: 0, ..merged
        };
        prop_assert_eq!(rest, Plan::default());
    }
}

#[test]
fn the_largest_payload_is_planned_quickly() {
    let epics: Vec<Value> = (0..500)
        .map(|epic| {
            let stories: Vec<Value> = (0..10)
                .map(|index| {
                    let story = epic * 10 + index;
                    let before: Vec<String> =
                        (1..6).filter(|n| *n <= story).map(|n| (story - n).to_string()).collect();
                    json!({"number": story.to_string(), "title": "S", "depends_on_stories": before})
                })
                .collect();
            let before: Vec<i32> = (1..=epic).rev().take(20).collect();
            json!({"number": epic + 1, "title": "E", "stories": stories, "depends_on_epics": before})
        })
        .collect();
    let body = json!({"epics": epics});
    // Anything quadratic takes minutes.
    let plan = parse(&JsonText::from(body.clone()).object().unwrap(), Mode::Fresh)
        .unwrap()
        .plan(&Existing::default())
        .unwrap();
    assert_eq!((plan.new_epics.len(), plan.new_stories.len()), (500, 5000));
    assert!(plan.new_story_edges.len() > 24_000);
}
