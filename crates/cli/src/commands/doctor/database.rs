//! The PostgreSQL that a server on this machine runs for itself.

use std::path::PathBuf;

use super::finding::Finding;

/// What can be seen without starting anything.
#[derive(Debug)]
pub(super) enum Postgres {
    /// The server is on another machine, or none is configured.
    Elsewhere,
    /// `DATABASE_URL` names one.
    External,
    /// There is no data directory, or no cluster in it.
    Absent(PathBuf),
    /// This account may not look.
    Closed(PathBuf, String),
    Present {
        dir: PathBuf,
        version: String,
        state: State,
    },
}

/// Whether a cluster is at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Running,
    Stopped,
    /// It says that it runs, and nobody answers.
    Dead,
    /// Only its own account may ask it.
    Unknown,
}

/// Judges it; `answers` says whether the server does.
pub(super) fn postgres(postgres: &Postgres, answers: bool) -> Option<Finding> {
    const CHECK: &str = "postgres";
    Some(match postgres {
        Postgres::Elsewhere => return None,
        Postgres::External => {
            Finding::note(CHECK, "DATABASE_URL is set: the server here has no PostgreSQL of its own")
        }
        Postgres::Absent(dir) if answers => {
            let what = format!("no data in {}: the server keeps it elsewhere", dir.display());
            Finding::note(CHECK, what).mend("set LOOPCTL_DATA_DIR as for the server")
        }
        Postgres::Absent(dir) => {
            Finding::note(CHECK, format!("no data in {} yet", dir.display())).mend("loopctl serve")
        }
        Postgres::Closed(dir, why) => {
            Finding::note(CHECK, format!("cannot look into {}: {why}", dir.display()))
        }
        Postgres::Present { dir, version, state } => {
            let of = format!("PostgreSQL {version} in {}", dir.display());
            match (state, answers) {
                (State::Running, true) => Finding::ok(CHECK, format!("{of} is running")),
                (State::Running, false) => {
                    let what = format!(
                        "{of} is running, but no server answers: it may still be starting or stopping"
                    );
                    Finding::warning(CHECK, what).mend("loopctl serve, which ends what was left over first")
                }
                (State::Stopped | State::Dead, true) => {
                    let what =
                        format!("{of} is not running: the server that answers keeps its data elsewhere");
                    Finding::note(CHECK, what).mend("set LOOPCTL_DATA_DIR as for the server")
                }
                (State::Stopped, false) => {
                    Finding::note(CHECK, format!("{of} is stopped")).mend("loopctl serve")
                }
                (State::Dead, false) => {
                    let what = format!("{of} was not stopped in order; the next start recovers it");
                    Finding::warning(CHECK, what).mend("loopctl serve")
                }
                (State::Unknown, _) => Finding::note(
                    CHECK,
                    format!("{of}: only the server's own account sees whether it is running"),
                ),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn a_cluster_is_judged_together_with_its_server() {
        let of = |state: State, answers: bool| {
            let present = Postgres::Present { dir: PathBuf::from("/d"), version: "18".to_owned(), state };
            postgres(&present, answers).unwrap()
        };
        assert_eq!(of(State::Running, true).what, "PostgreSQL 18 in /d is running");
        assert_eq!(of(State::Running, true).level, Level::Ok);
        assert_eq!(of(State::Running, false).level, Level::Warning);
        assert_eq!(of(State::Stopped, false).mend.as_deref(), Some("loopctl serve"));
        assert_eq!(of(State::Dead, false).level, Level::Warning);
        for other in [State::Stopped, State::Dead] {
            assert!(of(other, true).what.contains("elsewhere"), "{other:?}");
        }
        assert_eq!(postgres(&Postgres::Elsewhere, true), None);
        assert!(postgres(&Postgres::Absent(PathBuf::from("/d")), true).unwrap().what.contains("elsewhere"));
        assert!(postgres(&Postgres::Absent(PathBuf::from("/d")), false).unwrap().what.ends_with("yet"));
        assert_eq!(postgres(&Postgres::External, false).unwrap().level, Level::Note);
    }
}
