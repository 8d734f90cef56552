//! Every command that asks a server, and whatever can become of the question: the exit code, standard output that is JSON or
//! empty, and standard error that says what to do.

mod answers;
mod commands;
mod operators;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use self::answers::{ID, OTHER, Script, Stage, line_of};
use self::commands::{Asking, But, Row, TABLE};
use crate::parser;
use crate::support::{Request, Run, World};

/// Command lines that are tried at once: most of them wait.
const TOGETHER: usize = 64;

#[test]
fn every_command_is_in_the_table() {
    let known: BTreeSet<String> = parser::commands().into_iter().collect();
    let table = TABLE.iter().map(|row| match row {
        Row::Asks(asking) => asking.command.to_owned(),
        Row::Operates(operating) => operating.command.to_owned(),
        Row::Apart(command, why) => {
            assert!(!why.is_empty(), "{command}");
            (*command).to_owned()
        }
    });
    let table: BTreeSet<String> = table.collect();
    let missing: Vec<_> = known.difference(&table).collect();
    assert!(missing.is_empty(), "give them arguments in matrix/commands.rs: {missing:?}");
    let gone: Vec<_> = table.difference(&known).collect();
    assert!(gone.is_empty(), "these are no commands: {gone:?}");
}

#[test]
fn whatever_becomes_of_a_question_the_command_ends_as_it_should() {
    let asking: Vec<&Asking> = TABLE
        .iter()
        .filter_map(|row| if let Row::Asks(asking) = row { Some(asking) } else { None })
        .collect();
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..TOGETHER {
            scope.spawn(|| {
                while let Some(asking) = asking.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = Trial::new(asking).run();
                    wrong.lock().unwrap().extend(found);
                }
            });
        }
    });
    let mut wrong = wrong.into_inner().unwrap();
    wrong.sort();
    assert!(wrong.is_empty(), "{} cells are not as they should be:\n{}", wrong.len(), wrong.join("\n"));
}

/// A command line with a server of its own.
struct Trial<'a> {
    asking: &'a Asking,
    stage: Stage,
    world: World,
    files: tempfile::TempDir,
    wrong: Vec<String>,
}

impl<'a> Trial<'a> {
    fn new(asking: &'a Asking) -> Self {
        let stage = Stage::new();
        let server = stage.clone();
        let world = World::new(move |request| server.answer(request));
        let files = tempfile::tempdir().unwrap();
        write_files(files.path());
        Self { asking, stage, world, files, wrong: Vec::new() }
    }

    /// All cells of the row; what is wrong.
    fn run(mut self) -> Vec<String> {
        let asked = self.answered();
        let Some(last) = asked.last().map(line_of) else { return self.wrong };
        for (status, code) in [(401, 3), (403, 4), (404, 5), (409, 6), (422, 7), (429, 8)] {
            self.refused(Script::RefusesAll(status), status, code);
            // What was looked up before is there.
            if asked.len() > 1 {
                self.refused(Script::Refuses(last.clone(), status), status, code);
            }
        }
        self.lost(&last);
        self.down();
        self.not_configured();
        self.wrong
    }

    fn is(&self, but: But) -> bool {
        self.asking.but.contains(&but)
    }

    /// Runs it: what was printed, and what was asked.
    fn play(&self, script: Script, globals: &str) -> (Run, Vec<Request>) {
        self.stage.play(script);
        let before = self.world.requests().len();
        let words = format!("{globals} {} {}", self.asking.command, self.asking.arguments)
            .replace("DIR", self.files.path().to_str().unwrap())
            .replace("SERVER", self.world.address());
        let named = |word: &str| match word {
            "ID" => ID.to_owned(),
            "OTHER" => OTHER.to_owned(),
            word => word.replace('+', " "),
        };
        let words: Vec<String> = words.split(' ').filter(|word| !word.is_empty()).map(named).collect();
        let run = self.world.run_words(&words, &[], "");
        (run, self.world.requests().split_off(before))
    }

    fn check(&mut self, cell: &str, run: &Run, expected: &[(&str, bool)]) {
        let asking = self.asking;
        for (what, holds) in expected {
            if !holds {
                let line = format!("{} {} | {cell} | {what}: {run:?}", asking.command, asking.arguments);
                self.wrong.push(line);
            }
        }
    }

    /// What it asks when all is well; people and spreadsheets are shown something as well.
    fn answered(&mut self) -> Vec<Request> {
        self.world.configure(&self.settings());
        let (run, asked) = self.play(Script::Answers, "");
        let is_json = serde_json::from_str::<Value>(&run.stdout).is_ok();
        self.check(
            "ok",
            &run,
            &[
                ("exit code 0", run.code == 0),
                ("prints JSON", is_json || self.is(But::PrintsText)),
                ("asks", !asked.is_empty()),
                ("says of no error", !run.stderr.contains("Error")),
            ],
        );
        for format in ["human", "csv"] {
            let (run, _) = self.play(Script::Answers, &format!("--format {format}"));
            self.check(format, &run, &[("exit code 0", run.code == 0)]);
        }
        asked
    }

    fn refused(&mut self, script: Script, status: u16, code: i32) {
        let cell = format!("{script:?}");
        let (run, asked) = self.play(script, "");
        // What is told before, such as the title that a contract acknowledges.
        let lines: Vec<&str> = run.stderr.lines().skip_while(|line| !line.starts_with("Error: ")).collect();
        if status == 404 && self.is(But::WordsNotFound) {
            let in_words = lines.len() == 1 && lines[0].contains(". `loopctl ");
            return self.check(
                &cell,
                &run,
                &[("exit code", run.code == code), ("says what to do", in_words)],
            );
        }
        let body = |line: &&str| {
            serde_json::from_str::<Value>(line).is_ok_and(|body| body["error"]["status"] == status)
        };
        // The last line is asked four times where waiting helps.
        let last = asked.last().map(line_of);
        let times = asked.iter().rev().take_while(|request| Some(line_of(request)) == last).count();
        let expected_times = if status == 429 && !self.is(But::AsksOnce) { 4 } else { 1 };
        self.check(
            &cell,
            &run,
            &[
                ("exit code", run.code == code),
                ("prints nothing or JSON", is_empty_or_json(&run.stdout)),
                (
                    "begins with an error",
                    lines.first().is_some_and(|line| {
                        line.starts_with("Error: ") && line.contains(&status.to_string())
                    }),
                ),
                ("shows the body to scripts", lines.get(1).is_some_and(body)),
                ("says what to do", says_what_to_do(&lines)),
                ("is asked as often as it helps", times == expected_times),
            ],
        );
    }

    /// The answer to the last question is lost: a question is repeated, and so is a write, which is known by its key.
    fn lost(&mut self, last: &str) {
        let (run, asked) = self.play(Script::HangsUp(last.to_owned()), "");
        let sent: Vec<&Request> = asked.iter().filter(|request| line_of(request) == last).collect();
        let keys: BTreeSet<Option<&str>> =
            sent.iter().map(|request| request.header("idempotency-key")).collect();
        let reads = last.starts_with("GET ");
        let lines: Vec<&str> = run.stderr.lines().collect();
        let unknown = "Sent, outcome unknown: look before repeating";
        let expected_times = if self.is(But::AsksOnce) { 1 } else { 4 };
        self.check(
            "answer lost",
            &run,
            &[
                ("exit code 9", run.code == 9),
                ("prints nothing or JSON", is_empty_or_json(&run.stdout)),
                ("is sent again", sent.len() == expected_times),
                ("is known by one key", keys.len() == 1 && keys.contains(&None) == reads),
                ("says whether it may have been done", run.stderr.contains(unknown) != reads),
                ("says what to do", says_what_to_do(&lines)),
            ],
        );
    }

    fn down(&mut self) {
        if self.is(But::BringsServer) {
            return;
        }
        let (run, asked) = self.play(Script::Answers, "--server http://127.0.0.1:1 --timeout 1");
        let lines: Vec<&str> = run.stderr.lines().collect();
        self.check(
            "server down",
            &run,
            &[
                ("exit code 9", run.code == 9),
                ("prints nothing", run.stdout.is_empty()),
                ("asks nobody", asked.is_empty()),
                ("names the server", run.stderr.starts_with("Error: Cannot reach http://127.0.0.1:1: ")),
                ("says what to do", says_what_to_do(&lines)),
            ],
        );
    }

    /// Neither a server nor a key; then a server alone.
    fn not_configured(&mut self) {
        if self.is(But::BringsServer) {
            return;
        }
        let mut settings = vec![json!({"project": ID})];
        if !self.is(But::NeedsNoKey) {
            settings.push(json!({"project": ID, "server": self.world.address()}));
        }
        for settings in settings {
            self.world.configure(&settings);
            let (run, asked) = self.play(Script::Answers, "");
            self.check(
                "not configured",
                &run,
                &[
                    ("exit code 3", run.code == 3),
                    ("prints nothing", run.stdout.is_empty()),
                    ("asks nobody", asked.is_empty()),
                    (
                        "says what to do",
                        run.stderr.contains("configured. Run: loopctl auth login --server <url> --key <key>"),
                    ),
                ],
            );
        }
    }

    fn settings(&self) -> Value {
        json!({"server": self.world.address(), "api_key": "lc_secret_of_the_test", "project": ID})
    }
}

fn is_empty_or_json(text: &str) -> bool {
    text.is_empty() || serde_json::from_str::<Value>(text).is_ok()
}

/// A hint, advice, or which field is wrong with what.
fn says_what_to_do(lines: &[&str]) -> bool {
    let advice =
        ["  hint: ", "  title: can't be blank", "Check your server URL and API key.", "Use --merge "];
    lines.iter().any(|line| advice.iter().any(|advice| line.contains(advice)))
}

/// What commands read.
fn write_files(directory: &Path) {
    let write = |name: &str, text: &str| {
        let path = directory.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("plan.json", r#"{"epics": []}"#);
    write("plan/epic_1_base/us_1.1.json", r#"{"id": "US-1.1", "title": "First"}"#);
    write("skill.md", "---\nname: review\n---\nReview.\n");
    write("skills/review.md", "Review.\n");
    write("article.md", "Text.\n");
}
