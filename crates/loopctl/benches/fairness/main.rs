//! `cargo bench --bench fairness`: what one tenant that means no good can do to the others. One server as it comes, on a private cluster;
//! a polite tenant is measured alone, and then beside each attack. Attacks may be named; `--small` makes them small and short, and
//! `--soak MINUTES` has several tenants do everything at once for so long.
//!
//! Prints a table on stdout and progress on stderr, and ends with 1 where a bound does not hold.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a benchmark stops where it fails"
)]

mod attacks;
mod bodies;
mod health;
mod hostile;
mod outcome;
mod polite;
#[path = "../support/mod.rs"]
mod support;
mod trial;

use std::process::ExitCode;
use std::time::Duration;

use attacks::{Attack, Size};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use outcome::Outcome;
use support::{note, service};
use trial::{Plan, Trials};

/// What the command line asks for.
struct Asked {
    attacks: Vec<Attack>,
    size: Size,
    soak: Option<Duration>,
}

impl Asked {
    fn read() -> Self {
        let mut asked = Self { attacks: Vec::new(), size: Size::Full, soak: None };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                // Cargo's own.
                "--bench" => {}
                "--small" => asked.size = Size::Small,
                "--soak" => {
                    let minutes = arguments.next().and_then(|text| text.parse::<f64>().ok());
                    asked.soak = Some(Duration::from_secs_f64(60.0 * minutes.expect("--soak MINUTES")));
                    asked.attacks.push(Attack::Everything);
                }
                name => {
                    let attack = Attack::ALL.into_iter().find(|attack| attack.name() == name);
                    let names = Attack::ALL.map(Attack::name).join(", ");
                    asked
                        .attacks
                        .push(attack.unwrap_or_else(|| panic!("there is no {name}; there are {names}")));
                }
            }
        }
        if asked.attacks.is_empty() {
            asked.attacks = Attack::ALL.to_vec();
        }
        asked
    }
}

fn main() -> ExitCode {
    // `cargo test --benches` runs this with arguments of the test harness; there is nothing to test here.
    if std::env::args().any(|argument| argument == "--test") {
        return ExitCode::SUCCESS;
    }
    let asked = Asked::read();
    // For more connections than a shell has files.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, most, most).expect("a limit");
    // Who is measured, and who watches, share one thread; attacks have their own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let scratch = service::scratch_dir();
    let outcomes = runtime.block_on(async {
        let mut trials = Trials::begin(&scratch).await;
        let mut outcomes = Vec::new();
        for attack in asked.attacks {
            let plan = Plan::of(attack, asked.size, asked.soak);
            let outcome = trials.run(attack, asked.size, &plan).await;
            note(&outcome.row());
            outcomes.push(outcome);
        }
        outcomes
    });
    std::fs::remove_dir_all(&scratch).expect("the scratch directory goes away");
    if report(&outcomes) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints the table, and what does not hold; whether everything does.
#[allow(clippy::print_stdout, reason = "the table is this program's result")]
fn report(outcomes: &[Outcome]) -> bool {
    println!("{}", Outcome::head());
    for outcome in outcomes {
        println!("{}", outcome.row());
    }
    let broken: Vec<_> = outcomes.iter().flat_map(Outcome::broken).collect();
    println!();
    for bound in &broken {
        println!("does not hold: {bound}");
    }
    if broken.is_empty() {
        println!("All bounds hold.");
    }
    broken.is_empty()
}
