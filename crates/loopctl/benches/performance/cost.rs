//! What a request costs: processor time of the server, of PostgreSQL and of this client apart, and bytes of WAL. Rates
//! depend on who else is using the machine; processor time does much less, and WAL not at all.

use std::fs;

use tokio_postgres::Client;

use crate::service::Service;

/// The unit of times in `/proc`, whatever the kernel's own.
const TICKS_PER_SECOND: f64 = 100.0;

/// Reads the meters of one service.
pub(crate) struct Meter {
    server: u32,
    postmaster: u32,
    wal: Client,
}

/// How far the meters have come.
pub(crate) struct Reading {
    server: f64,
    postgres: f64,
    client: f64,
    wal: f64,
}

/// Per request: milliseconds of processor time, and bytes of WAL.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) server: f64,
    pub(crate) postgres: f64,
    pub(crate) client: f64,
    pub(crate) wal: f64,
}

impl Meter {
    pub(crate) async fn of(service: &Service) -> Self {
        Self { server: service.pid(), postmaster: service.postmaster(), wal: service.owner().await }
    }

    pub(crate) async fn read(&self) -> Reading {
        let sql = "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8";
        let wal = self.wal.query_one(sql, &[]).await.expect("a position in the WAL").get(0);
        Reading {
            server: seconds_of(self.server),
            postgres: postgres(self.postmaster),
            client: Times::of("self").expect("this process runs").own,
            wal,
        }
    }
}

impl Reading {
    /// What each of so many requests has cost since.
    pub(crate) fn until(&self, later: &Self, requests: usize) -> Cost {
        let each = |before: f64, after: f64| (after - before) / requests as f64;
        Cost {
            server: each(self.server, later.server) * 1000.0,
            postgres: each(self.postgres, later.postgres) * 1000.0,
            client: each(self.client, later.client) * 1000.0,
            wal: each(self.wal, later.wal),
        }
    }
}

/// Seconds of a process that runs.
pub(crate) fn seconds_of(process: u32) -> f64 {
    Times::of(&process.to_string()).expect("it runs").own
}

/// Seconds of the postmaster, of its processes, and of those that have ended.
fn postgres(postmaster: u32) -> f64 {
    let processes = fs::read_dir("/proc").expect("Linux").flatten();
    let times = processes.filter_map(|process| Times::of(process.file_name().to_str()?));
    times
        .map(|times| {
            if times.pid == postmaster {
                times.own + times.of_ended_children
            } else if times.parent == postmaster {
                times.own
            } else {
                0.0
            }
        })
        .sum()
}

/// A line of `/proc/<pid>/stat`.
struct Times {
    pid: u32,
    parent: u32,
    /// Seconds, in user and in kernel mode.
    own: f64,
    of_ended_children: f64,
}

impl Times {
    /// Nothing for what is no process, or has just ended.
    fn of(process: &str) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // The name, in parentheses, may hold anything.
        let (start, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let seconds = |field: usize| Some(fields.get(field)?.parse::<f64>().ok()? / TICKS_PER_SECOND);
        Some(Self {
            pid: start.split(' ').next()?.parse().ok()?,
            parent: fields.get(1)?.parse().ok()?,
            own: seconds(11)? + seconds(12)?,
            of_ended_children: seconds(13)? + seconds(14)?,
        })
    }
}
