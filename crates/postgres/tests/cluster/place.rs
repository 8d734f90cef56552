//! Where a test has its cluster, and the processes that hold one for it.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use loopctl_postgres::{Application, EmbeddedCluster, EmbeddedError, EmbeddedOptions};
use tempfile::TempDir;

pub(crate) static APPLICATION: Application = Application {
    name: "example",
    owner: "example_owner",
    minimum_major: 15,
    data_dir: "EXAMPLE_DATA_DIR",
    pg_bin: "EXAMPLE_PG_BIN",
    pg_bundle: "EXAMPLE_PG_BUNDLE",
    database_url: "EXAMPLE_DATABASE_URL",
    carried: None,
};

pub(crate) const HOLD: &str = "CLUSTER_TEST_HOLD";
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

pub(crate) struct Place {
    _temp: TempDir,
    pub(crate) dir: PathBuf,
}

impl Place {
    pub(crate) fn new() -> Self {
        // Open to the account that PostgreSQL runs as.
        let temp = tempfile::Builder::new()
            .prefix("cluster-test-")
            .permissions(Permissions::from_mode(0o755))
            .tempdir()
            .unwrap();
        Self { dir: fs::canonicalize(temp.path()).unwrap().join("data"), _temp: temp }
    }

    pub(crate) async fn start(&self) -> Result<EmbeddedCluster, EmbeddedError> {
        EmbeddedCluster::start(&options(&self.dir)).await
    }

    pub(crate) fn pgdata(&self) -> PathBuf {
        self.dir.join("postgres")
    }

    pub(crate) fn pid_file(&self) -> PathBuf {
        self.pgdata().join("postmaster.pid")
    }

    pub(crate) fn postmaster(&self) -> i32 {
        fs::read_to_string(self.pid_file()).unwrap().lines().next().unwrap().trim().parse().unwrap()
    }

    /// Starts a process of this test binary that holds the cluster.
    pub(crate) fn hold(&self) -> Helper {
        self.hold_with(Command::new(std::env::current_exe().unwrap()))
    }

    pub(crate) fn hold_with(&self, mut command: Command) -> Helper {
        command.args(["--exact", "holder", "--ignored", "--nocapture"]);
        Helper(command.env(HOLD, &self.dir).stdout(Stdio::piped()).spawn().unwrap())
    }
}

/// With the PostgreSQL that a run of the tests names, else with this system's.
pub(crate) fn options(dir: &Path) -> EmbeddedOptions {
    let pg_bin = std::env::var_os("LOOPCTL_PG_BIN").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    EmbeddedOptions { pg_bin, ..EmbeddedOptions::new(&APPLICATION, dir) }
}

/// A child that is killed and waited for when it is dropped, also when its test fails.
pub(crate) struct Helper(pub(crate) Child);

impl Helper {
    pub(crate) fn pid(&self) -> i32 {
        self.0.id().cast_signed()
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn wait_for_line(helper: &mut Helper, wanted: &str) {
    let lines = BufReader::new(helper.0.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.contains(wanted)), "the helper ended early");
}

pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "timed out: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
