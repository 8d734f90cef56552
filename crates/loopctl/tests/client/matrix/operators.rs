//! Every command on the server's side, and what can be wrong with its database: the exit code, nothing on standard output, and
//! standard error that says what to do and no password.

use super::commands::{Databases, Operating, Row, TABLE};
use crate::support::{Run, World};

/// What no message repeats.
const PASSWORD: &str = "hunter2";

/// A key of secrets: what is wrong is the database alone.
const CLOAK_KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

/// Something that is wrong with a database, and what is said of it.
struct Cell {
    name: &'static str,
    environment: Vec<(&'static str, String)>,
    code: i32,
    told: &'static [&'static str],
}

impl Cell {
    fn new(
        name: &'static str,
        environment: &[(&'static str, &str)],
        code: i32,
        told: &'static [&'static str],
    ) -> Self {
        let environment = environment.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Self { name, environment, code, told }
    }
}

/// The cells of a row. `dir` is a directory that is not there.
fn cells(Operating { command, on, .. }: &Operating, dir: &str) -> Vec<Cell> {
    const DOWN: &str = "postgres://app:hunter2@127.0.0.1:1/x";
    let no_programs = Cell::new(
        "no PostgreSQL",
        &[("LOOPCTL_DATA_DIR", dir), ("LOOPCTL_PG_BIN", "/nowhere")],
        1,
        &["LOOPCTL_PG_BIN points to /nowhere"],
    );
    if *on == Databases::Own {
        let not_own = &["DATABASE_URL is set", "use deploy/backup.sh and deploy/restore.sh", "or unset it"];
        return vec![
            Cell::new("not its own", &[("DATABASE_URL", DOWN)], 2, not_own),
            match *command {
                "restore" => Cell::new(
                    "no backup",
                    &[("LOOPCTL_DATA_DIR", dir)],
                    2,
                    &["missing.tar: name one that `loopctl backup` has made"],
                ),
                _ => Cell::new(
                    "no data",
                    &[("LOOPCTL_DATA_DIR", dir)],
                    2,
                    &["name its directory with --data-dir"],
                ),
            },
        ];
    }
    let mut cells = vec![
        Cell::new(
            "bad URL",
            &[("DATABASE_URL", "mysql://app:hunter2@h/x")],
            1,
            &["DATABASE_URL cannot be used as the URL", "it is written as postgres://USER:PASSWORD@"],
        ),
        Cell::new(
            "bad port",
            &[("DATABASE_URL", "postgres://app:hunter2@h:port/x")],
            1,
            &["DATABASE_URL cannot be used as the URL", "it is written as postgres://USER:PASSWORD@"],
        ),
        Cell::new(
            "bad URL of the admin",
            &[("DATABASE_URL", DOWN), ("ADMIN_DATABASE_URL", "mysql://app:hunter2@h/x")],
            1,
            &["ADMIN_DATABASE_URL cannot be used as the URL"],
        ),
        Cell::new(
            "database down",
            &[("DATABASE_URL", DOWN)],
            1,
            &["Connection refused", "does PostgreSQL run where DATABASE_URL"],
        ),
        Cell::new(
            "not configured",
            &[("ADMIN_DATABASE_URL", DOWN)],
            2,
            &["is set without DATABASE_URL", "unset ADMIN_DATABASE_URL to use loopctl's own PostgreSQL"],
        ),
    ];
    if *on == Databases::Any {
        cells.push(no_programs);
    }
    cells
}

#[test]
fn whatever_is_wrong_with_a_database_is_said_with_what_to_do() {
    let rows = TABLE.iter().filter_map(|row| if let Row::Operates(row) = row { Some(row) } else { None });
    let world = World::unconfigured();
    let files = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for row in rows {
        let missing = files.path().join("missing");
        let words =
            format!("{} {}", row.command, row.arguments).replace("DIR", files.path().to_str().unwrap());
        for cell in cells(row, missing.to_str().unwrap()) {
            let set = cell.environment.iter().map(|(name, value)| (*name, value.as_str()));
            let environment: Vec<_> = set.chain([("CLOAK_KEY", CLOAK_KEY)]).collect();
            let run = world.run_with(&words, &environment, "");
            if let Err(what) = check(&run, &cell) {
                wrong.push(format!("{words} | {} | {what}: {run:?}", cell.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{} cells are not as they should be:\n{}", wrong.len(), wrong.join("\n"));
}

fn check(run: &Run, cell: &Cell) -> Result<(), String> {
    if run.code != cell.code {
        return Err(format!("exit code {}", cell.code));
    }
    if !run.stdout.is_empty() {
        return Err("prints nothing".to_owned());
    }
    let lines: Vec<&str> = run.stderr.lines().collect();
    if !lines.first().is_some_and(|line| line.starts_with("Error: ")) || lines.len() != 1 {
        return Err("one error".to_owned());
    }
    if format!("{run:?}").contains(PASSWORD) {
        return Err("repeats no password".to_owned());
    }
    match cell.told.iter().find(|told| !run.stderr.contains(**told)) {
        Some(told) => Err(format!("says {told}")),
        None => Ok(()),
    }
}

/// Whoever takes a database has cells here: what stands apart takes none.
#[test]
fn no_command_that_takes_a_database_stands_apart() {
    let world = World::unconfigured();
    for row in TABLE {
        if let Row::Apart(command, _) = row {
            let help = world.run(&format!("{command} --help")).stdout;
            assert!(
                !help.contains("DATABASE_URL") && !help.contains("LOOPCTL_DATA_DIR"),
                "{command}: {help}"
            );
        }
    }
}
