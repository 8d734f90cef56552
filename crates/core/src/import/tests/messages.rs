//! The messages that need no look at the project: limits, structure, duplicates in the payload and field rules.

use super::*;

#[test]
fn epics_must_be_an_array() {
    for body in [json!({}), json!({"epics": null}), json!({"epics": {}}), json!({"epics": "x"})] {
        assert_invalid(&body, "epics must be an array");
    }
    assert_eq!(fresh(&json!({"epics": []})), Ok(Plan::default()));
    // A merge may consist of edges alone, but must not send something else than a list.
    let existing = project(&[("1.1", 1), ("1.2", 1)]);
    let body = json!({"story_dependencies": [{"story": "1.2", "depends_on": "1.1"}]});
    let plan = import(&body, Mode::Merge, &existing).unwrap();
    assert_eq!(plan.new_story_edges, [(number("1.2"), number("1.1"))]);
    assert!(import(&json!({"epics": null}), Mode::Merge, &existing).is_err());
}

#[test]
fn limits() {
    let epics = |count: usize| json!({"epics": vec![json!({"number": 0}); count]});
    assert_invalid(&epics(501), "payload exceeds maximum of 500 epics");
    assert_invalid(&epics(500), "epics[0].title: can't be blank");
    let stories = |count: usize| json!({"epics": [{"stories": vec![json!({}); count]}, {"stories": [{}]}, {"stories": 7}, null]});
    assert_invalid(&stories(5000), "payload exceeds maximum of 5000 total stories");
    assert_invalid(&stories(4999), "epics[0].number: is required");
    let edges = |count: usize| {
        let edge = json!({"story": "1.2", "depends_on": "1.1"});
        let mut body = epic_with(json!([{"number": "1.1", "title": "S"}, {"number": "1.2", "title": "S"}]));
        body["story_dependencies"] = json!(vec![edge; count]);
        body["epics"][0]["stories"][1]["depends_on_stories"] = json!(["1.1"]);
        body
    };
    assert_invalid(
        &edges(50_000),
        "payload exceeds maximum of 50000 dependencies; merge the rest in further imports",
    );
    assert!(fresh(&edges(49_999)).is_ok());
}

#[test]
fn structural_faults_name_the_record() {
    let good = json!({"number": "1.1", "title": "S"});
    let criteria = "epics[0].stories[0].acceptance_criteria must be an array of objects with 'id' and 'description' \
                    keys, e.g. [{\"id\": \"AC-1\", \"description\": \"Feature works\"}]";
    for (body, message) in [
        (json!({"epics": [7]}), "epics[0]: must be an object"),
        (json!({"epics": [{"title": "E"}]}), "epics[0].number: is required"),
        (json!({"epics": [{"number": " ", "title": "E"}]}), "epics[0].number: is required"),
        (json!({"epics": [{"number": 1}]}), "epics[0].title: can't be blank"),
        (json!({"epics": [{"number": 1, "title": " "}]}), "epics[0].title: can't be blank"),
        (epic_with(json!("x")), "epics[0].stories: must be an array"),
        (epic_with(json!([good, []])), "epics[0].stories[1]: must be an object"),
        (epic_with(json!([good, {"title": "x"}])), "epics[0].stories[1].number: is required"),
        (
            epic_with(json!([{"number": 1.1, "title": "x"}])),
            "epics[0].stories[0].number: must be a string such as \"1.10\"",
        ),
        (epic_with(json!([{"number": true, "title": "x"}])), "epics[0].stories[0].number: is invalid"),
        (epic_with(json!([good, {"number": "1.2"}])), "epics[0].stories[1].title: can't be blank"),
        (
            epic_with(json!([good, {"number": "1.2", "title": ""}])),
            "epics[0].stories[1].title: can't be blank",
        ),
        (epic_with(json!([{"number": "1.1", "title": "S", "acceptance_criteria": "x"}])), criteria),
        (epic_with(json!([{"number": "1.1", "title": "S", "acceptance_criteria": ["x"]}])), criteria),
        (
            epic_with(json!([{"number": "1.1", "title": "S", "depends_on_stories": "1.2"}])),
            "epics[0].stories[0].depends_on_stories: must be an array",
        ),
        (
            epic_with(json!([{"number": "1.1", "title": "S", "depends_on_stories": ["1.2", {}]}])),
            "epics[0].stories[0].depends_on_stories[1]: is invalid",
        ),
        (
            json!({"epics": [{"number": 1, "title": "E", "depends_on_epics": [1.5]}]}),
            "epics[0].depends_on_epics[0]: is invalid",
        ),
    ] {
        assert_invalid(&body, message);
    }
    assert!(fresh(&epic_with(Value::Null)).is_ok());
    assert!(fresh(&epic_with(json!([{"number": "1.1", "title": "S", "acceptance_criteria": null}]))).is_ok());
}

#[test]
fn faults_in_edges_name_the_edge() {
    for (edges, message) in [
        (json!("x"), "story_dependencies: must be an array"),
        (json!([{"story": "1.2", "depends_on": "1.1"}, 3]), "story_dependencies[1]: must be an object"),
        (json!([{"depends_on": "1.1"}]), "story_dependencies[0].story: is required"),
        (json!([{"story": null, "story_number": ""}]), "story_dependencies[0].story: is required"),
        (json!([{"story": "1.1"}]), "story_dependencies[0].depends_on: is required"),
        (
            json!([{"story": 1.5, "depends_on": "1.1"}]),
            "story_dependencies[0].story: must be a string such as \"1.10\"",
        ),
        (
            json!([{"story": "1.1", "depends_on_story": []}]),
            "story_dependencies[0].depends_on_story: is invalid",
        ),
    ] {
        assert_invalid(&four_stories(edges, Value::Null), message);
    }
    for (edges, message) in [
        (json!({}), "epic_dependencies: must be an array"),
        (json!([[]]), "epic_dependencies[0]: must be an object"),
        (json!([{"depends_on": 1}]), "epic_dependencies[0].epic: is required"),
        (json!([{"epic": true, "depends_on": 1}]), "epic_dependencies[0].epic: is invalid"),
    ] {
        assert_invalid(&four_stories(Value::Null, edges), message);
    }
}

#[test]
fn epic_numbers_are_positive_integers() {
    for (value, shown) in [
        (json!("abc"), "\"abc\""),
        (json!(0), "0"),
        (json!("-1"), "\"-1\""),
        (json!(1.5), "1.5"),
        (json!(2_147_483_648_u64), "2147483648"),
        (json!([1]), "[1]"),
    ] {
        let body = json!({"epics": [{"number": 5, "title": "E"}, {"number": value, "title": "E"}]});
        assert_invalid(&body, &format!("epics[1].number: must be a positive integer (got {shown})"));
    }
}

#[test]
fn duplicates_within_the_payload() {
    let twice = json!({"number": "1.1", "title": "S"});
    let body = json!({"epics": [
        {"number": 1, "title": "E", "stories": [twice]}, {"number": 2, "title": "E", "stories": [twice]}]});
    assert_invalid(&body, "Duplicate story number: 1.1");
    let body = json!({"epics": [
        {"number": 1, "title": "E", "stories": [twice, twice]}, {"number": "01", "title": "E"}]});
    assert_invalid(&body, "Duplicate epic number: 1");
    let different = epic_with(json!([{"number": "1.1", "title": "S"}, {"number": "1.01", "title": "S"}]));
    assert!(fresh(&different).is_ok(), "numbers compare as text");
}

#[test]
fn field_rules_report_the_first_failing_record_epics_first() {
    let story = |story: Value| epic_with(json!([{"number": "1.1", "title": "S"}, story]));
    let at = |rest: &str| format!("epics[0].stories[1].{rest}");
    for (fields, rest) in [
        (json!({"number": "US-1"}), "number: must not carry the prefix US-: write \"1\""),
        (
            json!({"number": "1..1"}),
            "number: must be 1 to 6 parts of letters, digits, '_' or '-', joined by points",
        ),
        (json!({"title": 7}), "title: is invalid"),
        (json!({"title": "x".repeat(501)}), "title: should be at most 500 character(s)"),
        (json!({"description": "x".repeat(50_001)}), "description: should be at most 50000 character(s)"),
        (json!({"metadata": []}), "metadata: is invalid"),
        (json!({"estimated_hours": "4h"}), "estimated_hours: is invalid"),
        (json!({"estimated_hours": -1}), "estimated_hours: must be greater than or equal to 0"),
        (json!({"initial_verified_status": "bogus"}), "initial_verified_status: is invalid"),
        (json!({"initial_agent_status": "implementing"}), "initial_agent_status: is invalid"),
        (
            json!({"acceptance_criteria": [{}, {"verification_criterion": {"type": "bogus"}}]}),
            "acceptance_criteria[1].verification_criterion: must have a valid type",
        ),
    ] {
        let mut object = json!({"number": "1.2", "title": "S"});
        object.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        assert_invalid(&story(object), &at(rest));
    }
    assert_invalid(
        &story(json!({"number": "1.é", "title": 7})),
        "epics[0].stories[1].number: must be 1 to 6 parts of letters, digits, '_' or '-', joined by points; \
         epics[0].stories[1].title: is invalid",
    );
    assert_invalid(
        &json!({"epics": [
            {"number": 1, "title": "E", "stories": [{"number": "x y", "title": "S"}]},
            {"number": 2, "title": "E", "position": -1, "phase": "p".repeat(256)},
        ]}),
        "epics[1].phase: should be at most 255 character(s); epics[1].position: must be greater than or equal to 0",
    );
}
