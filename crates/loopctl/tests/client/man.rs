//! `man`: a page for every command.

use std::collections::BTreeSet;
use std::process::Command;

use crate::parser::commands;
use crate::support::World;

#[test]
fn every_command_has_a_page_that_can_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let pages = directory.path().join("share/man1");
    let world = World::unconfigured();
    let run = world.run(&format!("man --dir {}", pages.display()));
    let written: BTreeSet<String> = std::fs::read_dir(&pages)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(
        (run.code, run.stdout.as_str()),
        (0, format!("{} pages written to {}\n", written.len(), pages.display()).as_str())
    );

    // That of loopctl, and one for each command and whatever stands before it.
    let mut expected = BTreeSet::from(["loopctl.1".to_owned()]);
    for command in commands() {
        let words: Vec<&str> = command.split(' ').collect();
        expected.extend((1..=words.len()).map(|count| format!("loopctl-{}.1", words[..count].join("-"))));
    }
    assert_eq!(written, expected);

    let paths: Vec<_> = written.iter().map(|name| pages.join(name)).collect();
    for (reader, arguments) in [("mandoc", &["-T", "utf8"][..]), ("man", &["-P", "cat", "-l"])] {
        // Not every machine has them.
        let Ok(read) = Command::new(reader).args(arguments).args(&paths).output() else { continue };
        let text = String::from_utf8_lossy(&read.stdout);
        assert!(read.status.success(), "{reader}: {}", String::from_utf8_lossy(&read.stderr));
        assert!(text.contains("loopctl-keys-create"), "{reader}: {text}");
    }
}

#[test]
fn a_page_is_of_the_command_that_is_named() {
    let world = World::unconfigured();
    let page = |words: &str| {
        let run = world.run(words);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{words}");
        run.stdout
    };
    let create = page("man keys create");
    for told in ["loopctl\\-keys\\-create", "\\-\\-expires\\-at", "When the key ends", "SEE ALSO"] {
        assert!(create.contains(told), "{told}: {create}");
    }
    assert!(!create.contains("cacert"), "options of all commands stand in one page: {create}");
    let whole = page("man");
    assert!(whole.contains("\nloopctl \\- Agent\\-native"), "{whole}");
    assert!(whole.contains("\\-\\-cacert") && whole.contains("loopctl\\-keys(1)"), "{whole}");
    assert!(page("man serve").contains("LOOPCTL_DATA_DIR"), "variables are named");
    let run = world.run("man keys brew");
    assert_eq!((run.code, run.stdout.as_str()), (2, ""));
    assert!(run.stderr.starts_with("Error: Unknown command: keys brew. "), "{run:?}");
}
