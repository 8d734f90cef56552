//! Plans from files of this machine.

use serde_json::json;

use crate::U;
use crate::recorder::Recorder;
use crate::session::Session;

#[test]
fn plans_are_read_and_nothing_else_is() {
    let recorder = Recorder::content();
    let dir = tempfile::tempdir().unwrap();
    let plan = dir.path().join("plan.json");
    std::fs::write(&plan, r#"{"epics": [1]}"#).unwrap();
    let mut session = Session::of(&recorder, &[]);
    let import = |path: &str| json!({"project_id": "fake", "payload_path": path});
    // What is wrong with the path comes before what is wrong with the id.
    for (path, said) in [
        ("relative.json", "must be absolute"),
        ("/proc/self/environ", "refused"),
        ("/tmp/../proc/self/environ", "refused"),
        (dir.path().to_str().unwrap(), "is not a regular file"),
    ] {
        let told = session.call("import_stories", &import(path));
        assert!(told.is_error && told.text.contains(said), "{path}: {told:?}");
    }
    let told = session.call("import_stories", &json!({"project_id": U}));
    assert!(told.is_error && told.text.contains("payload"));
    assert_eq!(recorder.requests().len(), 0);
    let told =
        session.call("import_stories", &json!({"project_id": U, "payload_path": plan.to_str().unwrap()}));
    assert!(!told.is_error, "{told:?}");
    assert_eq!(recorder.take().json(), json!({"epics": [1]}));
}
