//! `completions`: scripts that know every command, and that their shells can read.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::parser::{commands, groups};
use crate::support::World;

fn script(shell: &str) -> String {
    let run = World::unconfigured().run(&format!("completions {shell}"));
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{shell}");
    run.stdout
}

/// Runs a program with an input; None where there is no such program.
fn run(program: &str, arguments: &[&str], input: &str) -> Option<String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().ok()?;
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{program}: {told}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{program}");
    Some(told)
}

/// As if somebody pressed the tabulator after each beginning of a line.
const PRESSED: &str = r#"
    . "$1"
    while IFS= read -r line; do
        COMP_WORDS=(loopctl $line ""); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        _loopctl loopctl "" "${COMP_WORDS[COMP_CWORD - 1]}"
        echo "$line: ${COMPREPLY[*]} "
    done
"#;

#[test]
fn bash_completes_every_command_and_option() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("loopctl.bash").display().to_string();
    std::fs::write(&file, script("bash")).unwrap();
    run("bash", &["-n", &file], "").unwrap();

    let known = groups();
    let mut asked: Vec<&str> = known.iter().map(|(group, _)| group.as_str()).collect();
    asked.dedup();
    let told = run("bash", &["-c", PRESSED, "bash", &file], &(asked.join("\n") + "\n")).unwrap();
    for (group, command) in &known {
        let line = told.lines().find(|line| line.starts_with(&format!("{group}: ")));
        assert!(line.is_some_and(|line| line.contains(&format!(" {command} "))), "{group} {command}: {told}");
    }
    let options = run("bash", &["-c", PRESSED, "bash", &file], "keys create\n").unwrap();
    for option in ["--name", "--role", "--expires-at", "--format", "--server"] {
        assert!(options.contains(&format!(" {option} ")), "{option}: {options}");
    }
}

#[test]
fn every_other_shell_knows_every_command() {
    for shell in ["zsh", "fish", "powershell", "elvish"] {
        let script = script(shell);
        for (group, command) in groups() {
            let path = format!("loopctl {group} {command}").split_whitespace().collect::<Vec<_>>().join(";");
            let entry = match shell {
                "zsh" => format!("'{command}:"),
                "fish" => format!("-a \"{command}\""),
                _ => format!("'{path}'"),
            };
            assert!(script.contains(&entry), "{shell} has no {entry}");
        }
    }
    assert!(commands().contains(&"keys create".to_owned()));
    for (shell, check) in [("zsh", "-n"), ("fish", "--no-execute")] {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), script(shell)).unwrap();
        // Not every machine has them.
        run(shell, &[check, file.path().to_str().unwrap()], "");
    }
}

#[test]
fn an_unknown_shell_is_a_mistake() {
    let run = World::unconfigured().run("completions tcsh");
    assert_eq!((run.code, run.stdout.as_str()), (2, ""));
    assert!(run.stderr.contains("bash, elvish, fish, powershell, zsh"), "{run:?}");
}
