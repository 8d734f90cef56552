//! The security model names a test beside each claim: that there is such a test is looked at here.

use std::path::Path;
use std::{fs, io};

/// The text of every source file below a directory.
fn sources(dir: &Path, text: &mut String) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            sources(&path, text)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(path)?);
        }
    }
    Ok(())
}

/// The names of tests that a document mentions: they are sentences, and nothing else in it has so many words.
fn named(document: &str) -> Vec<&str> {
    let quoted = document.split('`').skip(1).step_by(2);
    let is_name = |text: &&str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    quoted.filter(is_name).filter(|name| name.matches('_').count() >= 3).collect()
}

#[test]
fn every_test_that_the_security_model_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let document = fs::read_to_string(root.join("docs/security-model.md")).unwrap();
    let mut text = String::new();
    sources(&root.join("crates"), &mut text).unwrap();
    let names = named(&document);
    assert!(names.len() > 50, "{names:?}");
    let missing: Vec<_> = names.iter().filter(|name| !text.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn names_are_told_from_codes() {
    let document = "`a_story_is_gone` and `self_review_blocked`, `stale=true`, `crates/model`";
    assert_eq!(named(document), ["a_story_is_gone"]);
}
