//! `export` to standard output, a file and a directory; and the way back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::support::{Answer, DRIP, Request, Run, World, error};
use crate::{P1, body_of, one_project};

fn document() -> Value {
    let story = |number: &str, agent: &str, verified: &str| {
        json!({"number": number, "title": format!("Story {number}"), "description": "Über\n\"all\"", "acceptance_criteria":
            [{"id": "AC-1", "criterion": "works"}], "estimated_hours": 4.5, "agent_status": agent, "verified_status": verified,
            "verified_at": null, "metadata": {"phase": "p1", "owner": "me"}})
    };
    json!({"export_metadata": {"exported_at": "2026-01-01T00:00:00.000000Z", "project_id": P1},
        "project": {"name": "My App", "slug": "my-app", "status": "active"},
        "epics": [
            {"number": 1, "title": "Base", "description": "d", "phase": null, "position": 0, "metadata": {"k": 1},
             "stories": [story("1.1", "reported_done", "verified"), story("1.2", "implementing", "unverified")]},
            {"number": 2, "title": "More", "description": null, "phase": "p9", "position": 4, "metadata": {}, "stories":
             [story("2.1", "pending", "unverified")]}],
        "story_dependencies": [{"story": "1.2", "depends_on": "1.1"}, {"story": "2.1", "depends_on": "1.2"}],
        "epic_dependencies": [{"epic": 2, "depends_on": 1}]})
}

fn server(request: &Request) -> Answer {
    match request.path.as_str() {
        path if path.ends_with("/export") => document().into(),
        path if path.ends_with("/import") => (201, json!({"import": {"epics_created": 2}})).into(),
        _ => one_project(request),
    }
}

fn run(world: &World, words: &[&str]) -> Run {
    let all: Vec<&str> = words.iter().copied().chain(["--project", "my-app"]).collect();
    world.run_words(&all, &[], "")
}

#[test]
fn the_document_goes_to_standard_output_unchanged() {
    let world = World::new(server);
    let done = run(&world, &["export"]);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""));
    assert_eq!(done.stdout, format!("{}\n", document()));
    assert_eq!(world.lines().pop().unwrap(), format!("GET /api/v1/projects/{P1}/export"));
    assert_eq!(run(&world, &["export", "--out", "-"]).stdout, done.stdout);
}

#[test]
fn the_document_goes_to_a_file_whole_or_not_at_all() {
    let world = World::new(server);
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("export.json");
    let name = path.display().to_string();
    let done = run(&world, &["export", "--out", &name]);
    assert_eq!((done.code, done.stdout.as_str()), (0, ""));
    assert_eq!(done.stderr, format!("{} bytes written to {name}\n", document().to_string().len()));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), document().to_string());
    assert_eq!(run(&world, &["import", &name]).code, 0);
    assert_eq!(body_of(&world, "/import"), document());

    let broken = broken();
    let failed = run(&broken, &["export", "--out", &name]);
    assert_eq!(failed.code, 9, "{failed:?}");
    let cut = format!("Error: The answer of {} was cut off: ", broken.address());
    assert!(failed.stderr.starts_with(&cut), "{failed:?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), document().to_string());
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1);
    let nowhere = run(&world, &["export", "--out", "/does/not/exist/x.json"]);
    let message = "Error: Cannot write /does/not/exist/x.json: No such file or directory (os error 2)\n";
    assert_eq!((nowhere.code, nowhere.stderr.as_str()), (2, message));
}

/// A server whose connection ends before the body of the export does.
fn broken() -> World {
    World::new(|request| match request.path.as_str() {
        path if path.ends_with("/export") => {
            Answer(200, vec![("Content-Length", "5000000".to_owned())], json!({"epics": []}))
        }
        _ => one_project(request),
    })
}

#[test]
fn a_download_may_take_its_time_as_long_as_something_comes() {
    let dripping = |pause: &'static str| {
        World::new(move |request| match request.path.as_str() {
            path if path.ends_with("/export") => Answer(200, vec![(DRIP, pause.to_owned())], document()),
            _ => one_project(request),
        })
    };
    let done = run(&dripping("600"), &["export", "--timeout", "2"]);
    assert_eq!((done.code, done.stdout), (0, format!("{}\n", document())), "{}", done.stderr);
    let silent = dripping("8000");
    let failed = run(&silent, &["export", "--timeout", "2"]);
    let message =
        format!("Error: The answer of {} was cut off: nothing more came for 2 s\n", silent.address());
    assert!(failed.code == 9 && failed.stderr.starts_with(&message), "{failed:?}");
}

#[test]
fn the_reader_of_a_download_may_take_its_time() {
    let long = json!({"epics": "x".repeat(2_000_000)});
    let size = long.to_string().len();
    let world = World::new(move |request| match request.path.as_str() {
        path if path.ends_with("/export") => long.clone().into(),
        _ => one_project(request),
    });
    let words = ["export", "--project", "my-app", "--timeout", "2"];
    let child = world.command(&words).stdout(std::process::Stdio::piped()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_secs(4));
    let done = child.wait_with_output().unwrap();
    assert_eq!((done.status.code(), done.stdout.len()), (Some(0), size + 1));
}

#[test]
fn a_download_ends_when_nobody_reads_it() {
    // Reading on would meet the broken end.
    let world = broken();
    let mut child = world
        .command(&["export", "--project", "my-app"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn errors_are_told_as_everywhere() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().join("new").display().to_string();
    for (status, code) in [(404, 5), (403, 4), (500, 10)] {
        let world = World::new(move |request| match request.path.as_str() {
            path if path.ends_with("/export") => error(status, "no"),
            _ => one_project(request),
        });
        for words in [&["export"][..], &["export", "--dir", &root], &["export", "--out", &root]] {
            let failed = run(&world, words);
            assert_eq!((failed.code, failed.stdout.as_str()), (code, ""), "{words:?}");
            assert!(
                failed.stderr.starts_with(&format!("Error: Server returned {status}: no\n")),
                "{failed:?}"
            );
        }
    }
    let elsewhere = World::new(|request| match request.path.as_str() {
        path if path.ends_with("/export") => Answer(200, Vec::new(), json!({"data": []})),
        _ => one_project(request),
    });
    let failed = run(&elsewhere, &["export", "--dir", &root]);
    assert_eq!(failed.code, 1);
    assert!(failed.stderr.contains("not an export: epics is missing"), "{failed:?}");
    assert!(!home.path().join("new").exists());
}

/// Written, imported elsewhere and exported again, a project is the same but for its ids and times.
#[test]
fn a_directory_imports_as_the_same_project() {
    let world = World::new(server);
    let home = tempfile::tempdir().unwrap();
    let root = home.path().join("backup").display().to_string();
    let done = run(&world, &["export", "--dir", &root]);
    assert_eq!((done.code, done.stdout.as_str()), (0, ""), "{done:?}");
    assert_eq!(done.stderr, format!("7 files written to {root}\n"));
    let story = std::fs::read_to_string(home.path().join("backup/epic_1_base/us_1.2.json")).unwrap();
    assert!(story.starts_with("{\n  \"id\": \"US-1.2\",\n  \"title\": \"Story 1.2\",\n"), "{story}");

    assert_eq!(run(&world, &["import", &root]).code, 0);
    let mut expected = document();
    for epic in expected["epics"].as_array_mut().unwrap() {
        for story in epic["stories"].as_array_mut().unwrap() {
            let members = story.as_object_mut().unwrap();
            members
                .retain(|key, _| !["agent_status", "verified_status", "verified_at"].contains(&key.as_str()));
        }
        // What is null in an export is absent in an import.
        epic.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    }
    let sent = body_of(&world, "/import");
    for key in ["epics", "story_dependencies", "epic_dependencies"] {
        assert_eq!(sent[key], expected[key], "{key}");
    }
}

#[test]
fn statuses_are_imported_only_when_asked_for() {
    let world = World::new(server);
    let home = tempfile::tempdir().unwrap();
    let root = home.path().display().to_string();
    assert_eq!(
        run(&world, &["export", "--dir", &root]).code,
        0,
        "an empty directory is as good as a new one"
    );
    let plain = run(&world, &["import", &root, "--dry-run"]);
    assert!(!plain.stdout.contains("initial_"), "{plain:?}");
    let with = run(&world, &["import", &root, "--dry-run", "--with-status"]);
    assert_eq!(with.json()["epics"][0]["stories"][0]["initial_verified_status"], "verified");
    assert!(with.stderr.contains("stories that start as pending: 1"), "{with:?}");
    let file = run(&world, &["import", "-", "--with-status"]);
    assert_eq!(file.code, 2, "{file:?}");
}

#[test]
fn nothing_is_overwritten_unless_forced() {
    let world = World::new(server);
    let home = tempfile::tempdir().unwrap();
    let root = home.path().display().to_string();
    std::fs::create_dir(home.path().join("epic_3_old")).unwrap();
    std::fs::write(home.path().join("epic_3_old/us_3.1.json"), "{}").unwrap();
    let refused = run(&world, &["export", "--dir", &root]);
    assert_eq!((refused.code, world.lines().len()), (2, 0), "{refused:?}");
    assert_eq!(refused.stderr, format!("Error: {root} is not empty. Use --force to write into it\n"));
    let forced = run(&world, &["export", "--dir", &root, "--force", "--format", "human"]);
    assert_eq!((forced.code, forced.stdout), (0, format!("7 files written to {root}\n")));
    assert_eq!(
        forced.stderr,
        "Warning: epic_3_old/us_3.1.json is not part of this export, but `import` reads it\n"
    );
    for words in [&["export", "--dir", &root, "--out", "x"][..], &["export", "--force"]] {
        assert_eq!(run(&world, words).code, 2, "{words:?}");
    }
    let file = home.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert_eq!(run(&world, &["export", "--dir", &file.display().to_string()]).code, 2);
    // Something else has the name of a directory of the export.
    let blocked = home.path().join("blocked");
    std::fs::create_dir(&blocked).unwrap();
    std::fs::write(blocked.join("epic_1_base"), "").unwrap();
    let failed = run(&world, &["export", "--dir", &blocked.display().to_string(), "--force"]);
    assert_eq!(failed.code, 2, "{failed:?}");
    assert!(failed.stderr.contains("Cannot create the directory of "), "{failed:?}");
}

/// Also on a disk that holds both, so that the same export is written everywhere or nowhere.
#[test]
fn files_that_differ_in_case_alone_are_not_written() {
    let world = World::new(|request| match request.path.as_str() {
        path if path.ends_with("/export") => {
            let mut document = document();
            let stories = document["epics"][0]["stories"].as_array_mut().unwrap();
            (stories[0]["number"], stories[1]["number"]) = (json!("1.1a"), json!("1.1A"));
            document["story_dependencies"] = json!([]);
            document.into()
        }
        _ => server(request),
    });
    let home = tempfile::tempdir().unwrap();
    let root = home.path().join("plan");
    let refused = run(&world, &["export", "--dir", &root.display().to_string()]);
    assert_eq!((refused.code, refused.stdout.as_str()), (2, ""), "{refused:?}");
    for part in ["epic_1_base/us_1.1a.json and epic_1_base/us_1.1A.json", "--out FILE"] {
        assert!(refused.stderr.contains(part), "{refused:?}");
    }
    assert!(!root.exists());
    // As a file, it comes and goes.
    let file = home.path().join("plan.json").display().to_string();
    assert_eq!(run(&world, &["export", "--out", &file]).code, 0);
    assert_eq!(run(&world, &["import", &file]).code, 0);
    assert_eq!(body_of(&world, "/import")["epics"][0]["stories"][1]["number"], "1.1A");
}

#[test]
fn a_story_that_comes_twice_is_no_export() {
    let world = World::new(|request| match request.path.as_str() {
        path if path.ends_with("/export") => {
            let mut document = document();
            document["epics"][1]["stories"][0]["number"] = json!("1.1");
            document.into()
        }
        _ => server(request),
    });
    let home = tempfile::tempdir().unwrap();
    let root = home.path().join("plan");
    let refused = run(&world, &["export", "--dir", &root.display().to_string()]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("story 1.1 is there twice"), "{refused:?}");
    assert!(!root.exists());
}

#[test]
fn an_export_takes_the_place_of_an_earlier_one() {
    let renamed = Arc::new(AtomicBool::new(false));
    let now = Arc::clone(&renamed);
    let world = World::new(move |request| match request.path.as_str() {
        path if path.ends_with("/export") && now.load(Ordering::SeqCst) => {
            let mut document = document();
            document["epics"][1]["title"] = json!("Renamed");
            document.into()
        }
        _ => server(request),
    });
    let home = tempfile::tempdir().unwrap();
    let root = home.path().display().to_string();
    assert_eq!(run(&world, &["export", "--dir", &root]).code, 0);
    renamed.store(true, Ordering::SeqCst);
    let again = run(&world, &["export", "--dir", &root, "--force"]);
    assert_eq!(
        again.stderr,
        format!(
            "Removed epic_2_more/epic.json: written by an earlier export, not part of this one\n\
             Removed epic_2_more/us_2.1.json: written by an earlier export, not part of this one\n\
             7 files written to {root}\n"
        )
    );
    assert!(!home.path().join("epic_2_more").exists());
    let imported = run(&world, &["import", &root, "--dry-run"]);
    assert_eq!(imported.json()["epics"][1]["title"], "Renamed", "{imported:?}");
}
