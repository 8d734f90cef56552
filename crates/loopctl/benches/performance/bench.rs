//! One measurement: a load over HTTP, or scripts through pgbench, with what it cost.

use std::process::Command;
use std::time::Duration;

use tokio_postgres::Client;

use crate::cost::{Cost, Meter};
use crate::http::{self, Until};
use crate::service::Service;

/// How long pgbench measures, which counts in seconds, and a load that could go on for ever.
pub(crate) const SPAN: Duration = Duration::from_secs(2);

/// A running service with its meters.
pub(crate) struct Bench {
    pub(crate) service: Service,
    meter: Meter,
}

/// What requests over HTTP came to.
pub(crate) struct Load {
    pub(crate) requests: usize,
    /// Requests per second.
    pub(crate) rate: f64,
    /// Milliseconds.
    pub(crate) median: f64,
    /// 99 of 100 requests took at most so many milliseconds.
    pub(crate) tail: f64,
    pub(crate) cost: Cost,
}

/// What transactions through pgbench came to.
pub(crate) struct Pgbench {
    /// Transactions per second.
    pub(crate) rate: f64,
    pub(crate) cost: Cost,
}

/// What was written is known to whoever plans, and nobody tidies up beside what is measured.
pub(crate) async fn tidy(owner: &Client) {
    for sql in ["vacuum analyze", "checkpoint"] {
        owner.batch_execute(sql).await.expect(sql);
    }
}

impl Bench {
    pub(crate) async fn new(service: Service) -> Self {
        let meter = Meter::of(&service).await;
        Self { service, meter }
    }

    /// Sends these requests, all of them or for so long.
    pub(crate) async fn load(&self, requests: Vec<Vec<u8>>, connections: usize, until: Until) -> Load {
        let before = self.meter.read().await;
        let times = http::load(&self.service.address, requests, connections, until).await;
        let cost = before.until(&self.meter.read().await, times.requests);
        let rate = times.requests as f64 / times.elapsed.as_secs_f64();
        Load { requests: times.requests, rate, median: times.median, tail: times.tail, cost }
    }

    /// Runs scripts for [`SPAN`], one per transaction and chosen at random, with these variables.
    pub(crate) async fn pgbench(
        &self,
        database: &str,
        user: &str,
        define: &[String],
        scripts: &[String],
        connections: usize,
    ) -> Pgbench {
        let directory = self.service.data_dir.join("pgbench");
        std::fs::create_dir_all(&directory).expect("a directory for scripts");
        let mut command = Command::new(self.service.program("pgbench"));
        command.args(["-n", "-M", "prepared", "-U", user, "-j", if connections > 1 { "2" } else { "1" }]);
        command.args(["-c", &connections.to_string(), "-T", &SPAN.as_secs().to_string()]);
        command.args(define.iter().flat_map(|variable| ["-D", variable]));
        command.arg("-h").arg(self.service.socket_dir());
        for (number, script) in scripts.iter().enumerate() {
            let path = directory.join(format!("{number}.sql"));
            std::fs::write(&path, script).expect("a script");
            command.arg("-f").arg(path);
        }
        command.arg(database);
        let before = self.meter.read().await;
        let output = tokio::task::spawn_blocking(move || command.output())
            .await
            .expect("pgbench runs")
            .expect("pgbench runs");
        let after = self.meter.read().await;
        let text = String::from_utf8_lossy(&output.stdout);
        let number = |label: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(label));
            line.and_then(|rest| rest.split([' ', '/']).next()?.parse::<f64>().ok())
                .unwrap_or_else(|| panic!("pgbench: {text}{}", String::from_utf8_lossy(&output.stderr)))
        };
        let transactions = number("number of transactions actually processed: ") as usize;
        Pgbench { rate: number("tps = "), cost: before.until(&after, transactions) }
    }
}
