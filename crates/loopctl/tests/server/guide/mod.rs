//! The README and the pages under `docs/` say what really happens: their shell blocks are run, each page in a shell of its own and
//! with a tenant of its own, and what they show is compared with what they have got.

mod compare;
mod page;
mod shell;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use regex::Regex;

use self::compare::{Names, same};
use self::page::{Page, Step};
use self::shell::{Shell, is_whole};
use crate::shared::TestServer;
use crate::support::PATIENCE;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The Markdown files below a directory, which is empty or ends with `/`, by their paths in the repository.
fn markdown(dir: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(repository().join(dir)).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        let theirs = name.starts_with('.') || ["target", "node_modules"].contains(&name.as_str());
        if entry.file_type().unwrap().is_dir() && !theirs {
            found.extend(markdown(&format!("{dir}{name}/")));
        } else if name.ends_with(".md") {
            found.push(format!("{dir}{name}"));
        }
    }
    found.sort();
    found
}

/// Articles of the wiki, which speak of a reader's own server, stories and keys: nothing of theirs can be run here.
const WIKI: &str = "docs/wiki/";

/// The pages that are run.
fn pages() -> Vec<String> {
    let documents = markdown("docs/").into_iter().filter(|path| !path.starts_with(WIKI));
    std::iter::once("README.md".to_owned()).chain(documents).collect()
}

fn read(path: &str) -> Result<Page, String> {
    let text =
        std::fs::read_to_string(repository().join(path)).map_err(|error| format!("{path}: {error}"))?;
    Page::read(&text, is_whole).map_err(|why| format!("{path}, {why}"))
}

/// What has to be run before a page, the first thing first.
fn before(path: &str, page: &Page) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let (mut path, mut after) = (path.to_owned(), page.after.clone());
    let mut seen = vec![path.clone()];
    while let Some((name, anchor)) = after {
        path = Path::new(&path).with_file_name(name).to_string_lossy().into_owned();
        if seen.contains(&path) {
            return Err(format!("{path} goes on from itself"));
        }
        let earlier = read(&path)?;
        let part = earlier.steps_before(anchor.as_deref()).map_err(|why| format!("{path}: {why}"))?;
        steps.splice(..0, part);
        after = earlier.after;
        seen.push(path.clone());
    }
    Ok(steps)
}

/// A shell in an empty directory that looks like a clone in which everything was built, beside a server.
fn shell_in(dir: &Path, server: &TestServer) -> Shell {
    let (clone, home) = (dir.join("clone"), dir.join("home"));
    std::fs::create_dir_all(clone.join("target/release")).unwrap();
    std::fs::create_dir(&home).unwrap();
    let link = |target: &Path, name| std::os::unix::fs::symlink(target, clone.join(name)).unwrap();
    link(Path::new(env!("CARGO_BIN_EXE_loopctl")), "target/release/loopctl");
    link(&repository().join("examples"), "examples");
    link(&repository().join("skills"), "skills");
    let environment =
        [("HOME", home.to_str().unwrap()), ("LOOPCTL_DATA_DIR", &server.data_dir), ("LC_ALL", "C.UTF-8")];
    Shell::start(&clone, &environment)
}

/// Runs a page, and tells what is not as it says.
fn run(path: &str, server: &TestServer, mark: &str) -> Result<(), String> {
    let page = read(path)?;
    if page.steps.is_empty() {
        return Ok(());
    }
    let earlier = before(path, &page)?;
    let dir = tempfile::tempdir().unwrap();
    let mut shell = shell_in(dir.path(), server);
    let mut names = Names::new(server.addresses.clone(), mark);
    // What is wrong there, that page tells.
    for step in &earlier {
        let ran = shell.run(&names.real(&step.command), PATIENCE);
        ran.map_err(|why| format!("before {path}: {}: {why}", step.command))?;
    }
    compare(path, &page.steps, &mut shell, &mut names, PATIENCE)
}

/// Runs commands and compares what they show; all that is not as it should be.
fn compare(
    path: &str,
    steps: &[Step],
    shell: &mut Shell,
    names: &mut Names,
    patience: Duration,
) -> Result<(), String> {
    let mut wrong = String::new();
    for Step { line, command, shown } in steps {
        let ran = shell.run(&names.real(command), patience);
        let (output, status) =
            ran.map_err(|why| format!("{wrong}{path}, line {line}: {why}\n$ {command}\n"))?;
        let output = names.told(&output);
        match shown {
            Some(shown) if !same(shown, &output) => {
                let output = output.trim_end();
                writeln!(wrong, "{path}, line {line}\n$ {command}\n--- says\n{shown}\n--- shows\n{output}\n")
                    .unwrap();
            }
            None if status != 0 => {
                writeln!(wrong, "{path}, line {line}: status {status}\n$ {command}\n{output}").unwrap();
            }
            _ => {}
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

#[test]
fn every_page_says_what_happens() {
    let (server, pages) = (TestServer::find(), pages());
    let wrong: Vec<_> = std::thread::scope(|scope| {
        let runs: Vec<_> = pages
            .iter()
            .enumerate()
            .map(|(number, path)| {
                let (server, mark) = (&server, format!("{}-{number}", std::process::id()));
                scope.spawn(move || run(path, server, &mark))
            })
            .collect();
        runs.into_iter().filter_map(|run| run.join().unwrap().err()).collect()
    });
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    server.stop();
}

/// What is not run is nevertheless something that could be: the command line takes it, as somebody whom the server does not know.
#[test]
fn what_is_not_run_is_written_right() {
    let server = TestServer::find();
    let dir = tempfile::tempdir().unwrap();
    let mut shell = shell_in(dir.path(), &server);
    let mut run = |command: &str| shell.run(command, PATIENCE).unwrap();
    let base = &server.addresses[0];
    run("alias loopctl=target/release/loopctl");
    run(&format!("export LOOPCTL_SERVER={base} LOOPCTL_PROJECT=my-app LOOPCTL_API_KEY=lc_of_nobody"));
    // What pages have their readers write themselves.
    let plan = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans/odd_names");
    run(&format!("ln -s {} plan; echo '[]' > criteria.json; echo '{{}}' > state.json", plan.display()));
    let variable = Regex::new(r"\$([A-Z_]+)").unwrap();
    // Files that a reader has are not here.
    let is_taken = |output: &str, status| match status {
        2 => output.starts_with("Error: there is no file "),
        status => status != 127,
    };
    // What agents are told to call is to be there as well.
    for path in pages().into_iter().chain(markdown("skills/")) {
        let not_run = read(&path).unwrap_or_else(|why| panic!("{why}")).not_run;
        // Servers go on for ever, and their operators need no key.
        let ours = |step: &&Step| {
            let subcommand = step.command.strip_prefix("loopctl ");
            subcommand.is_some_and(|rest| !rest.starts_with("serve") && !rest.starts_with("operator"))
        };
        for Step { line, command, .. } in not_run.iter().filter(ours) {
            let placeholder = "01a2071f-ccf8-70f5-80c6-a2906c180620";
            let (output, status) = run(&variable.replace_all(command, placeholder));
            assert!(is_taken(&output, status), "{path}, line {line}\n$ {command}\n{output}");
        }
    }
    // What would be noticed.
    for wrong in ["loopctl story shown 2.1", "loopctl story show --all", "loopctl story show"] {
        let (output, status) = run(wrong);
        assert!(!is_taken(&output, status), "{wrong}");
    }
    drop(shell);
    server.stop();
}

/// A page with something to run is one of those that are run, and nothing that looks like it goes without.
#[test]
fn no_page_is_left_out() {
    let run = pages();
    for path in markdown("").into_iter().filter(|path| !path.starts_with(WIKI)) {
        let page = read(&path).unwrap_or_else(|why| panic!("{why}"));
        assert!(page.steps.is_empty() || run.contains(&path), "{path} is run by nobody");
        before(&path, &page).unwrap_or_else(|why| panic!("{why}"));
    }
    let something = |path: &String| read(path).is_ok_and(|page| !page.steps.is_empty());
    assert!(run.iter().any(something), "nothing is run at all");
}

/// Runs the blocks of a text that is no page.
fn run_text(text: &str, patience: Duration) -> Result<(), String> {
    let page = Page::read(text, is_whole).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut shell = Shell::start(dir.path(), &[]);
    compare("sample.md", &page.steps, &mut shell, &mut Names::new(Vec::new(), ""), patience)
}

#[test]
fn a_page_that_says_what_happens_passes() {
    let text = "```console\n$ alias say=echo\n$ say one; echo two >&2; echo \"exit $?\"\none\ntwo\nexit 0\n\
                $ A=$(echo '01a2071f-ccf8-70f5-80c6-a2906c180620')\n$ echo $A\n00000000-0000-0000-0000-000000000000\n\
                $ cat\n$ false\n```\n```sh\ntest $A\n```\n";
    assert_eq!(run_text(text, PATIENCE), Ok(()));
}

#[test]
fn a_page_that_lies_is_found_out() {
    let wrong = |text: &str| run_text(text, PATIENCE).unwrap_err();
    assert_eq!(
        wrong("# Sample\n```console\n$ echo one\none\n$ echo two\nthree\n$ echo four\n```\n"),
        "sample.md, line 5\n$ echo two\n--- says\nthree\n--- shows\ntwo\n\n\
         sample.md, line 7\n$ echo four\n--- says\n\n--- shows\nfour\n\n"
    );
    assert_eq!(
        wrong("```sh\ntrue\necho no; (exit 3)\n```\n"),
        "sample.md, line 3: status 3\n$ echo no; (exit 3)\nno\n\n"
    );
    assert_eq!(
        wrong("```console\n$ echo one\ntwo\n$ exit\n$ echo three\n```\n"),
        "sample.md, line 2\n$ echo one\n--- says\ntwo\n--- shows\none\n\nsample.md, line 4: it has ended the shell\n$ exit\n"
    );
}

#[test]
fn a_command_without_an_end_is_named() {
    let wrong = run_text("```sh\nwhile true; do sleep 1; done\n```\n", Duration::from_millis(100));
    let told = "sample.md, line 2: no end within 100ms\n$ while true; do sleep 1; done\n";
    assert_eq!(wrong, Err(told.to_owned()));
}

/// What is marked as typed on the pages of a server, and copied from there, is what is run here.
#[test]
fn pages_show_commands_whole() {
    let escaped = |text: &str| {
        text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
    };
    let mut seen = 0;
    for page in loopctl_docs::PAGES {
        let path = format!("docs/{}.md", page.name);
        for step in read(&path).unwrap().steps.iter().filter(|step| step.shown.is_some()) {
            let typed = format!("<b>{}</b>", escaped(&step.command));
            assert!(page.html().contains(&typed), "{path}, line {}: other than {typed}", step.line);
            seen += 1;
        }
    }
    assert!(seen > 100, "{seen}");
}
