//! `import` of directories as people write them: the small odd plans under `tests/plans`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{Run, World};
use crate::{list, one_project};

fn plan(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans").join(name)
}

/// What an import of these directories would send.
fn shown(paths: &[PathBuf], more: &[&str]) -> Run {
    let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    let paths = paths.iter().map(String::as_str);
    let words: Vec<&str> =
        ["import", "--dry-run"].into_iter().chain(paths).chain(more.iter().copied()).collect();
    World::unconfigured().run_words(&words, &[], "")
}

fn numbers(body: &Value) -> Vec<&str> {
    let epics = body["epics"].as_array().into_iter().flatten();
    let stories = epics.flat_map(|epic| epic["stories"].as_array().into_iter().flatten());
    stories.filter_map(|story| story["number"].as_str()).collect()
}

/// Lines of stderr, in any order.
fn lines(run: &Run) -> Vec<&str> {
    let mut lines: Vec<&str> = run.stderr.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn files_are_read_by_what_their_names_mean_and_others_are_named() {
    let run = shown(&[plan("odd_names")], &[]);
    let body = run.json();
    assert_eq!(numbers(&body), ["1.1", "1.2", "1.3", "2.1"], "{run:?}");
    assert_eq!(
        (&body["epics"][0]["title"], &body["epics"][1]["title"]),
        (&json!("Base"), &json!("More of it"))
    );
    assert_eq!(body["epic_dependencies"], json!([{"epic": 2, "depends_on": 1}]));
    assert_eq!(lines(&run), ["note: not read: epic_1_base/story-1.4.json", "note: not read: project.json"]);
}

#[test]
fn what_is_not_read_is_named_also_when_nothing_is() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("story.Json"), "{}").unwrap();
    std::os::unix::fs::symlink(plan("odd_names"), root.path().join("elsewhere")).unwrap();
    let run = shown(&[root.path().to_owned()], &[]);
    assert_eq!(run.code, 2, "{run:?}");
    assert!(run.stderr.starts_with("Error: No story files in "), "{run:?}");
    assert!(run.stderr.contains("\nnote: not read: story.Json\n"), "{run:?}");
    assert!(
        run.stderr.contains("note: not read: elsewhere (links to directories are not followed)"),
        "{run:?}"
    );
}

#[test]
fn what_is_not_read_is_named_in_moderation() {
    let root = tempfile::tempdir().unwrap();
    for (directory, count) in [("epic_1_base", 0), ("data", 25)] {
        std::fs::create_dir(root.path().join(directory)).unwrap();
        for n in 0..count {
            std::fs::write(root.path().join(format!("{directory}/{n:02}.json")), "{}").unwrap();
        }
    }
    let story = json!({"number": "1.1", "title": "One", "priorty": 1});
    std::fs::write(root.path().join("epic_1_base/us_1.1.json"), story.to_string()).unwrap();
    let run = shown(&[root.path().to_owned()], &[]);
    let lines: Vec<&str> = run.stderr.lines().collect();
    assert_eq!((run.code, lines.len()), (0, 22), "{run:?}");
    assert_eq!((lines[0], lines[19]), ("note: not read: data/00.json", "note: not read: data/19.json"));
    assert_eq!(lines[20], "note: not read: … and 5 more");
    // Files in their dozens do not hide what was misspelt in one that is read.
    assert_eq!(lines[21], "note: not read: epic_1_base/us_1.1.json: priorty");
}

#[test]
fn directories_of_tools_are_read_only_when_they_are_named() {
    let root = tempfile::tempdir().unwrap();
    let write = |directory: &str, number: &str| {
        let directory = root.path().join(directory);
        std::fs::create_dir_all(&directory).unwrap();
        let story = json!({"id": number, "title": "t"}).to_string();
        std::fs::write(directory.join(format!("us_{number}.json")), story).unwrap();
        std::fs::write(directory.join("package.json"), "{}").unwrap();
    };
    let tools = [(".plans", "1.1"), ("node_modules", "1.2"), ("target", "1.3")];
    for (directory, number) in tools {
        write(&format!("{directory}/deep"), number);
    }
    std::os::unix::fs::symlink(".plans", root.path().join(".linked")).unwrap();

    let nothing = shown(&[root.path().to_owned()], &[]);
    assert_eq!(nothing.code, 2, "{nothing:?}");
    let lines: Vec<&str> = nothing.stderr.lines().collect();
    let named = |name: &str| format!("note: not read: {name} (not looked into, unless it is named itself)");
    assert_eq!(lines[1..], [".linked", ".plans", "node_modules", "target"].map(named));

    write("nodes/targets/epic_1_base", "1.4");
    let run = shown(&[root.path().to_owned()], &[]);
    assert_eq!(numbers(&run.json()), ["1.4"], "{run:?}");
    assert_eq!(run.stderr, "note: not read: nodes/targets/epic_1_base/package.json\n");
    for (directory, number) in tools {
        let run = shown(&[root.path().join(directory)], &[]);
        assert_eq!(numbers(&run.json()), [number], "{run:?}");
    }
}

#[test]
fn several_directories_are_one_plan() {
    let both = ["two_directories/epic_1_first", "two_directories/epic_1_second"].map(plan);
    let (whole, several) = (shown(&[plan("two_directories")], &[]), shown(&both, &[]));
    assert_eq!(whole.json(), several.json());
    assert_eq!(numbers(&whole.json()), ["1.1", "1.2"]);
    assert_eq!(whole.json()["story_dependencies"], json!([{"story": "1.2", "depends_on": "1.1"}]));
    assert_eq!(
        lines(&whole),
        [r#"note: epic 1 has several directories, and one title, "First": epic_1_first, epic_1_second"#]
    );
    assert!(several.stderr.contains("two_directories/epic_1_first, "), "{several:?}");

    // Which of them has the problem is a part of its path.
    let again = shown(&[plan("two_directories"), plan("two_directories/epic_1_first")], &[]);
    let first = plan("two_directories/epic_1_first/us_1.1.json").display().to_string();
    assert!(again.code == 2 && again.stderr.matches(&first).count() == 2, "{again:?}");
    // A document is a plan by itself.
    for file in [plan("byte_order_mark/plan.json"), PathBuf::from("-")] {
        let mixed = shown(&[plan("odd_names"), file], &[]);
        assert!(mixed.code == 2 && mixed.stderr.contains("import it by itself"), "{mixed:?}");
    }
}

#[test]
fn dependencies_on_nothing_are_dropped_only_when_asked_for_and_by_name() {
    let refused = shown(&[plan("missing_targets")], &[]);
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("us_1.1.json: unknown story 9.9 in a dependency"), "{refused:?}");
    let run = shown(&[plan("missing_targets")], &["--drop-unknown-dependencies"]);
    let body = run.json();
    assert_eq!(body["story_dependencies"], json!([{"story": "1.1", "depends_on": "1.2"}]));
    assert_eq!(body["epic_dependencies"], json!([]));
    assert_eq!(
        lines(&run),
        [
            "note: dropped: epic_1_base/epic.json: dependency of epic 1 on 7",
            "note: dropped: epic_1_base/us_1.1.json: dependency of story 1.1 on 9.9",
        ]
    );
    // A document is not looked into.
    assert_eq!(shown(&[plan("byte_order_mark/plan.json")], &["--drop-unknown-dependencies"]).code, 2);
}

/// A merge may depend on what the project has, and on nothing else.
#[test]
fn what_the_project_has_is_not_dropped() {
    for (stories, epics, dropped) in [
        (&["9.9"][..], &[7][..], &[][..]),
        (&["9.8"], &[7], &["epic_1_base/us_1.1.json: dependency of story 1.1 on 9.9"]),
        (&["9.9"], &[], &["epic_1_base/epic.json: dependency of epic 1 on 7"]),
    ] {
        let rows =
            |numbers: Vec<Value>| list(&numbers.iter().map(|n| json!({"number": n})).collect::<Vec<_>>());
        let world = World::new(move |request| match request.path.as_str() {
            "/api/v1/stories" => rows(stories.iter().map(|number| json!(number)).collect()),
            path if path.ends_with("/epics") => rows(epics.iter().map(|number| json!(number)).collect()),
            _ => one_project(request),
        });
        let path = plan("missing_targets").display().to_string();
        let words =
            ["import", &path, "--merge", "--drop-unknown-dependencies", "--dry-run", "--project", "my-app"];
        let run = world.run_words(&words, &[], "");
        let expected: Vec<String> = dropped.iter().map(|line| format!("note: dropped: {line}")).collect();
        assert_eq!((run.code, lines(&run)), (0, expected.iter().map(String::as_str).collect()), "{run:?}");
        assert!(world.requests().iter().all(|request| request.method == "GET"), "nothing is sent");
    }
}

#[test]
fn numbers_that_json_cannot_hold_are_refused_with_file_and_member() {
    let run = shown(&[plan("json_numbers")], &[]);
    assert_eq!(run.code, 2);
    let expected = [
        r#"epic_1_base/us_1.10.json: dependencies[0] must be a string such as "1.10""#,
        r#"epic_1_base/us_1.10.json: number must be a string such as "1.10""#,
        r#"epic_1_base/us_3.json: depends_on_stories[1] must be a string such as "1.10""#,
    ];
    assert_eq!(lines(&run)[1..], expected, "{run:?}");
}

#[test]
fn misspelt_members_are_named() {
    let run = shown(&[plan("misspelt")], &[]);
    assert_eq!(
        lines(&run),
        [
            "note: epic_1_base/us_1.2.json: acceptanceCriteria is kept in the metadata only; is acceptance_criteria meant?",
            "note: epic_1_base/us_1.2.json: dependancies is kept in the metadata only; is dependencies meant?",
            "note: not read: epic_1_base/epic.json: descripton",
            "note: not read: epic_1_base/us_1.1.json: acceptanceCriteria",
            "note: not read: epic_1_base/us_1.2.json: story.i_want",
        ]
    );
    let stories = &run.json()["epics"][0]["stories"];
    assert_eq!(stories[0], json!({"number": "1.1", "title": "One"}), "what nobody reads is not sent");
    assert_eq!(stories[1]["metadata"]["owner"], "me");
}

#[test]
fn a_byte_order_mark_is_skipped_wherever_json_is_read() {
    assert_eq!(numbers(&shown(&[plan("byte_order_mark")], &[]).json()), ["1.1"]);
    let document = plan("byte_order_mark/plan.json");
    assert_eq!(shown(std::slice::from_ref(&document), &[]).json(), json!({"epics": []}));
    let text = std::fs::read_to_string(&document).unwrap();
    assert!(text.starts_with('\u{feff}'));
    let world = World::new(|request| match request.method.as_str() {
        "GET" => one_project(request),
        _ => json!({"echo": request.body}).into(),
    });
    for (words, stdin) in [
        ("api post /x -".to_owned(), text.as_str()),
        (format!("api post /x @{}", document.display()), ""),
        ("import - --project my-app".to_owned(), text.as_str()),
    ] {
        let run = world.run_with(&words, &[], stdin);
        assert_eq!(run.json()["echo"], json!({"epics": []}), "{words}: {run:?}");
    }
    std::fs::write(world.config_path(), format!("\u{feff}{}", json!({"server": "https://file"}))).unwrap();
    assert_eq!(world.run("config get server").json()["value"], "https://file");
}

#[test]
fn what_the_server_did_not_read_is_told() {
    for (ignored, count, expected) in [
        (
            json!(["epics[0].stories[1].acceptanceCriteria"]),
            json!(1),
            &["note: not read: epics[0].stories[1].acceptanceCriteria"][..],
        ),
        (
            json!(["a\u{1b}", "b"]),
            json!(7),
            &["note: not read: a\\x1b", "note: not read: b", "note: not read: … and 5 more"],
        ),
        (json!([]), json!(0), &[]),
        (Value::Null, Value::Null, &[]),
    ] {
        let world = World::new(move |request| match request.method.as_str() {
            "POST" => {
                (201, json!({"import": {"epics_created": 1, "ignored": ignored, "ignored_count": count}}))
                    .into()
            }
            _ => one_project(request),
        });
        for format in ["human", "json"] {
            let run = world.run_with(&format!("import - --project my-app --format {format}"), &[], "{}");
            assert_eq!(run.stderr.lines().collect::<Vec<_>>(), expected, "{run:?}");
            assert_eq!(run.code, 0);
        }
    }
}
