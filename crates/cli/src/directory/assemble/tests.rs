use serde_json::json;

use super::*;

fn file(path: &str, content: Value) -> File {
    File::new(path, content)
}

fn assemble(files: &[File]) -> Value {
    let mut problems = Vec::new();
    let assembled = payload(files, &mut problems);
    super::super::check::payload(&assembled, false, &mut problems);
    assert_eq!(problems, []);
    assembled.into_json(&Known::default())
}

#[test]
fn a_story_file_becomes_a_story() {
    let body = assemble(&[file(
        "epic_6_user_accounts/us_6.1.json",
        json!({
            "id": "US-6.1", "title": "Login", "epic": {"id": "epic_6", "name": "Accounts"}, "priority": "high", "phase": "p1",
            "story": {"as_a": "user", "i_want_to": "log in", "so_that": "I see my data."}, "rationale": "Everybody needs it.",
            "acceptance_criteria": [{"id": "AC-1", "description": "works", "status": "pending"}, "is fast"],
            "test_cases": ["t"], "technical_notes": ["n"], "dependencies": [], "estimated_hours": 4.5, "owner": "me"
        }),
    )]);
    assert_eq!(
        body,
        json!({
            "epics": [{"number": 6, "title": "Accounts", "phase": "p1", "position": 0, "stories": [{
                "number": "6.1", "title": "Login",
                "description": "As a user, I want to log in, so that I see my data.\n\nEverybody needs it.",
                "acceptance_criteria": [{"id": "AC-1", "description": "works", "status": "pending"}, {"criterion": "is fast"}],
                "estimated_hours": 4.5,
                "metadata": {"priority": "high", "phase": "p1", "test_cases": ["t"], "technical_notes": ["n"], "owner": "me",
                             "source_file": "epic_6_user_accounts/us_6.1.json"}
            }]}],
            "story_dependencies": [], "epic_dependencies": []
        })
    );
}

#[test]
fn epics_come_from_directory_then_file_then_number() {
    let body = assemble(&[
        file("deep/epic_3_late_work/x/us_1.json", json!({"id": "US-1.1", "title": "a"})),
        file("us_2.json", json!({"id": "US-2.1", "title": "b", "epic": {"id": "epic_5"}})),
        file("us_7.json", json!({"id": "US-7.1", "title": "c"})),
    ]);
    let epics: Vec<_> =
        body["epics"].as_array().unwrap().iter().map(|e| (&e["number"], &e["title"])).collect();
    assert_eq!(
        epics,
        [(&json!(3), &json!("Late work")), (&json!(5), &json!("Epic 5")), (&json!(7), &json!("Epic 7"))]
    );
}

#[test]
fn stories_come_in_natural_order_with_dependencies_across_epics() {
    let body = assemble(&[
        file(
            "epic_1_a/us_1.10.json",
            json!({"id": "US-1.10", "title": "x", "dependencies": ["US-1.9", "1.9"]}),
        ),
        file("epic_1_a/us_1.9.json", json!({"id": "US-1.9", "title": "x"})),
        file("epic_2_b/us_2.1.json", json!({"id": "US-2.1", "title": "x", "dependencies": ["US-1.10"]})),
    ]);
    let numbers: Vec<_> =
        body["epics"][0]["stories"].as_array().unwrap().iter().map(|s| &s["number"]).collect();
    assert_eq!(numbers, ["1.9", "1.10"]);
    assert_eq!(
        body["story_dependencies"],
        json!([{"story": "1.10", "depends_on": "1.9"}, {"story": "2.1", "depends_on": "1.10"}])
    );
}

#[test]
fn epic_files_describe_epics_and_their_order() {
    let body = assemble(&[
        file(
            "epic_1_a/epic.json",
            json!({"title": "First", "description": "d", "phase": "p9", "position": 4}),
        ),
        file("epic_2_b/epic.json", json!({"title": "Second", "depends_on": [1]})),
        file("epic_2_b/us_2.1.json", json!({"id": "2.1", "title": "x", "phase": "p1"})),
        file("epic_dependencies.json", json!([{"epic": 2, "depends_on": "1"}])),
    ]);
    assert_eq!(
        body["epics"][0],
        json!({"number": 1, "title": "First", "description": "d", "phase": "p9", "position": 4, "stories": []})
    );
    assert_eq!(body["epics"][1]["title"], "Second");
    assert_eq!(body["epic_dependencies"], json!([{"epic": 2, "depends_on": 1}]));
}

#[test]
fn files_in_import_form_pass_through() {
    let story =
        json!({"number": "1.1", "title": "x", "initial_verified_status": "pass", "metadata": {"a": 1}});
    let body = assemble(&[file("epic_1_a/us_1.1.json", story.clone())]);
    assert_eq!(body["epics"][0]["stories"][0], story);
}

#[test]
fn the_phase_of_most_stories_is_the_phase_of_the_epic() {
    let story = |n: &str, phase: &str| {
        file(&format!("epic_1_a/us_{n}.json"), json!({"id": n, "title": "x", "phase": phase}))
    };
    let body = assemble(&[story("1.1", "p2"), story("1.2", "p1"), story("1.3", "p1")]);
    assert_eq!(body["epics"][0]["phase"], "p1");
}

#[test]
fn every_problem_of_every_file_is_reported() {
    let mut problems = Vec::new();
    let files = [
        file("epic_1_a/us_1.1.json", json!({"title": " "})),
        file(
            "epic_1_a/us_1.2.json",
            json!({"id": "US-1. x", "title": "x", "dependencies": "1.1", "acceptance_criteria": [1], "metadata": 1,
                   "estimated_hours": "abc", "epic": {"id": "epic_1", "name": 5}}),
        ),
        file("epic_1_a/us_1.3.json", json!([])),
        file("epic_dependencies.json", json!({"epic": 1})),
    ];
    payload(&files, &mut problems);
    let lines: Vec<String> = problems.iter().map(|p| format!("{}: {}", p.file, p.message)).collect();
    assert_eq!(
        lines,
        [
            "epic_1_a/us_1.1.json: number is missing (id or number)",
            "epic_1_a/us_1.1.json: title: can't be blank",
            "epic_1_a/us_1.2.json: invalid story number 'US-1. x': expected a form such as US-2.1 or 2.1",
            "epic_1_a/us_1.2.json: dependencies must be an array",
            "epic_1_a/us_1.2.json: acceptance_criteria[0] must be an object or a text",
            "epic_1_a/us_1.2.json: metadata must be an object",
            "epic_1_a/us_1.2.json: estimated_hours: is invalid",
            "epic_1_a/us_1.2.json: epic.name must be a text",
            "epic_1_a/us_1.3.json: must be a JSON object",
            "epic_dependencies.json: must be an array of {\"epic\", \"depends_on\"}"
        ]
    );
}

/// The problems of all files, as they are printed.
fn problems(files: &[File]) -> Vec<String> {
    let mut problems = Vec::new();
    let assembled = payload(files, &mut problems);
    super::super::check::payload(&assembled, false, &mut problems);
    problems.iter().map(|p| format!("{}: {}", p.file, p.message)).collect()
}

#[test]
fn a_problem_hides_no_other() {
    let files = [
        file("us_1.1.json", json!({"id": "1.1", "title": "x", "dependencies": ["ni ne", "9.9"]})),
        file("us_1.2.json", json!({"number": "1.2", "title": 5, "depends_on_stories": ["9.8"]})),
        // That it has no title does not make it unknown to the next one.
        file("us_1.3.json", json!({"id": "1.3"})),
        file("us_1.4.json", json!({"id": "1.4", "title": "x", "dependencies": ["1.3"]})),
    ];
    assert_eq!(
        problems(&files),
        [
            "us_1.1.json: invalid dependency \"ni ne\": expected a form such as \"US-2.1\"",
            "us_1.2.json: title: is invalid",
            "us_1.3.json: title: can't be blank",
            "us_1.1.json: unknown story 9.9 in a dependency",
            "us_1.2.json: unknown story 9.8 in a dependency",
        ]
    );
}

#[test]
fn dependencies_in_import_form_are_dependencies() {
    let body = assemble(&[
        file("us_1.1.json", json!({"number": "1.1", "title": "x"})),
        file("us_1.2.json", json!({"number": "1.2", "title": "x", "depends_on_stories": ["1.1"]})),
        file("epic_1/epic.json", json!({"title": "One"})),
        file("epic_2/epic.json", json!({"title": "Two", "depends_on_epics": [1]})),
    ]);
    assert_eq!(body["story_dependencies"], json!([{"story": "1.2", "depends_on": "1.1"}]));
    assert_eq!(body["epic_dependencies"], json!([{"epic": 2, "depends_on": 1}]));
    assert_eq!(body["epics"][0]["stories"][1], json!({"number": "1.2", "title": "x"}), "said once");
}

/// What is one number to JSON may be two to whoever wrote it.
#[test]
fn numbers_are_read_as_an_import_reads_them() {
    for (written, read) in [
        (json!("1.10"), Ok("1.10")),
        (json!("US-1.10"), Ok("1.10")),
        (json!(3), Ok("3")),
        (json!(1.10), Err(())),
        (json!(3.0), Err(())),
        (json!(1e2), Err(())),
        (json!(true), Err(())),
        (json!(["1.1"]), Err(())),
    ] {
        for key in ["number", "id"] {
            let story = file("epic_1/us_1.json", json!({key: written, "title": "x"}));
            match read {
                Ok(number) => assert_eq!(assemble(&[story])["epics"][0]["stories"][0]["number"], number),
                Err(()) => assert_eq!(
                    problems(&[story]),
                    [format!("epic_1/us_1.json: {key} must be a string such as \"1.10\"")],
                    "{written}"
                ),
            }
        }
        for key in ["dependencies", "depends_on_stories"] {
            let needed = read.unwrap_or("9");
            let files = [
                file("us_0.json", json!({"id": needed, "title": "x", "epic": 1})),
                file("us_1.json", json!({"id": "1.1", "title": "x", key: [written]})),
            ];
            match read {
                Ok(number) => assert_eq!(assemble(&files)["story_dependencies"][0]["depends_on"], number),
                Err(()) => assert_eq!(
                    problems(&files),
                    [format!("us_1.json: {key}[0] must be a string such as \"1.10\"")],
                    "{written}"
                ),
            }
        }
    }
}

/// Whatever the case of letters, and with `-` or `_`.
#[test]
fn names_are_read_as_they_are_meant() {
    for name in ["us_1.1.json", "US_1.1.json", "us-1.1.json", "Us-1.1.JSON", "deep/us_x.json"] {
        assert_eq!(kind(name), Some(Kind::Story), "{name}");
    }
    for name in ["epic.json", "EPIC.json", "a/Epic.Json"] {
        assert_eq!(kind(name), Some(Kind::Epic), "{name}");
    }
    for name in ["epic_dependencies.json", "Epic-Dependencies.JSON"] {
        assert_eq!(kind(name), Some(Kind::Edges), "{name}");
    }
    for name in [
        "us_1.1.json.bak",
        "us1.1.json",
        "bus_1.json",
        "epics.json",
        "project.json",
        "us_1.1.jsonl",
        "us_1/x.json",
    ] {
        assert_eq!(kind(name), None, "{name}");
    }
    for name in ["epic_12_user_accounts", "EPIC-12-User-accounts", "Epic_12-user_accounts"] {
        let (number, title) = epic_of(name).unwrap();
        assert_eq!((number, title.unwrap().to_lowercase().as_str()), (12, "user accounts"), "{name}");
    }
    assert_eq!(epic_of("epic_3"), Some((3, None)));
    for name in ["epic", "epic_", "epic_x_1", "epics_1", "épic_1", "1"] {
        assert_eq!(epic_of(name), None, "{name}");
    }
}

#[test]
fn ends_of_epic_dependencies_have_the_names_of_the_import() {
    let body = assemble(&[
        file("epic_1/epic.json", json!({"title": "One"})),
        file("epic_2/epic.json", json!({"title": "Two"})),
        file("epic_dependencies.json", json!([{"epic_number": 2, "depends_on_epic": "1"}])),
    ]);
    assert_eq!(body["epic_dependencies"], json!([{"epic": 2, "depends_on": 1}]));
}

#[test]
fn a_rationale_stands_below_any_story() {
    let text = json!({"id": "1.1", "title": "x", "story": "Log in.", "rationale": "Everybody needs it."});
    let body = assemble(&[file("us_1.1.json", text)]);
    assert_eq!(body["epics"][0]["stories"][0]["description"], "Log in.\n\nEverybody needs it.");
}

#[test]
fn an_epic_file_that_cannot_be_followed_is_a_problem() {
    let files = [
        file("a/epic_1_x/epic.json", json!({"title": 5, "depends_on": 1})),
        file("b/epic_1_x/epic.json", json!({"title": "One", "position": -1})),
    ];
    assert_eq!(
        problems(&files),
        [
            "a/epic_1_x/epic.json: depends_on must be an array",
            "a/epic_1_x/epic.json: title: is invalid",
            "b/epic_1_x/epic.json: position: must be greater than or equal to 0",
            "b/epic_1_x/epic.json: epic 1 is already described in a/epic_1_x/epic.json",
        ]
    );
}

#[test]
fn a_role_has_one_article() {
    for (role, expected) in [
        ("user", "As a user, I want to log in."),
        ("an admin", "As an admin, I want to log in."),
        ("The owner", "As The owner, I want to log in."),
        ("anonymous user", "As a anonymous user, I want to log in."),
    ] {
        let story = json!({"id": "1.1", "title": "x", "story": {"as_a": role, "i_want_to": "log in"}});
        let body = assemble(&[file("us_1.1.json", story)]);
        assert_eq!(body["epics"][0]["stories"][0]["description"], expected);
    }
}
