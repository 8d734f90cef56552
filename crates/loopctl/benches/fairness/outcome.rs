//! What came of an attack, and what has to hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::health::Health;
use crate::hostile::Tally;
use crate::polite::Served;

/// Bytes of resident memory, at most, and when the attack is over.
const PEAK: u64 = 400 << 20;
const SETTLED: u64 = 100 << 20;
/// Milliseconds in which 99 of 100 polite requests are answered, and how much longer than alone that may be.
const TAIL: f64 = 250.0;
const TAIL_RATIO: f64 = 20.0;
/// How long a server may take to stop.
const EXIT: Duration = Duration::from_secs(10);

pub(crate) struct Outcome {
    pub(crate) name: &'static str,
    pub(crate) alone: Served,
    pub(crate) beside: Served,
    /// The share of its rate alone that polite tenants must be left, where that is asked for.
    pub(crate) least_rate: Option<f64>,
    /// Whether a polite tenant was given its export meanwhile.
    pub(crate) has_exported: bool,
    pub(crate) health: Health,
    pub(crate) tally: Arc<Tally>,
    /// Bytes of the server's process.
    pub(crate) peak: u64,
    pub(crate) settled: u64,
    /// From the signal to the end, while the attack goes on.
    pub(crate) exit: Duration,
}

impl Outcome {
    pub(crate) fn head() -> String {
        let columns = [
            "attack",
            "peak, MB",
            "polite p50 alone, ms",
            "beside",
            "ratio",
            "p99 alone, ms",
            "beside",
            "ratio",
            "req/s alone",
            "beside",
            "polite 5xx or none",
            "other refusals",
            "export",
            "health not 200",
            "hostile 2xx",
            "4xx",
            "429",
            "503",
            "other 5xx",
            "cut off",
            "unread",
            "later, MB",
            "SIGTERM to exit, s",
        ];
        format!("| {} |\n|---|{}", columns.join(" | "), "---:|".repeat(columns.len() - 1))
    }

    pub(crate) fn row(&self) -> String {
        let Self { name, alone, beside, health, tally, .. } = self;
        let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed).to_string();
        let cells = [
            (*name).to_owned(),
            megabytes(self.peak),
            format!("{:.1}", alone.median()),
            format!("{:.1}", beside.median()),
            format!("{:.1}", beside.median() / alone.median()),
            format!("{:.1}", alone.tail()),
            format!("{:.1}", beside.tail()),
            format!("{:.1}", self.tail_ratio()),
            format!("{:.0}", alone.rate()),
            format!("{:.0}", beside.rate()),
            beside.failed.to_string(),
            beside.refused.to_string(),
            if self.has_exported { "yes" } else { "no" }.to_owned(),
            format!("{} of {}", health.failed, health.asked),
            count(&tally.done),
            count(&tally.refused),
            count(&tally.limited),
            count(&tally.unavailable),
            count(&tally.failed),
            count(&tally.cut_off),
            count(&tally.unread),
            megabytes(self.settled),
            format!("{:.1}", self.exit.as_secs_f64()),
        ];
        format!("| {} |", cells.join(" | "))
    }

    /// The bounds that do not hold, in words.
    pub(crate) fn broken(&self) -> Vec<String> {
        [self.broken_anywhere(), self.broken_here()].concat()
    }

    /// Those that are to hold on any machine, however slow it is and whoever else is at work there.
    pub(crate) fn broken_anywhere(&self) -> Vec<String> {
        let Self { beside, health, .. } = self;
        self.unless([
            (
                self.peak < PEAK,
                format!("peak memory of {} MB, not under {}", megabytes(self.peak), PEAK >> 20),
            ),
            (beside.failed == 0, format!("{} polite requests failed or had no answer", beside.failed)),
            (beside.refused == 0, format!("{} polite requests were refused", beside.refused)),
            (self.has_exported, "a polite tenant had no export".to_owned()),
            (
                health.failed == 0,
                format!(
                    "/health was not 200 {} times of {}: {}",
                    health.failed,
                    health.asked,
                    health.first_failures.join(", ")
                ),
            ),
        ])
    }

    /// Those that take a machine which does nothing else.
    fn broken_here(&self) -> Vec<String> {
        let Self { alone, beside, .. } = self;
        let (tail, rate) = (beside.tail(), beside.rate() / alone.rate());
        let least = self.least_rate.unwrap_or_default();
        self.unless([
            (tail < TAIL, format!("p99 of {tail:.0} ms, not under {TAIL}")),
            (
                self.tail_ratio() < TAIL_RATIO,
                format!("p99 of {:.0} times as long as alone, not under {TAIL_RATIO}", self.tail_ratio()),
            ),
            (rate >= least, format!("{:.0} % of the rate alone, not {:.0}", 100.0 * rate, 100.0 * least)),
            (self.exit < EXIT, format!("{:.1} s from SIGTERM to the end", self.exit.as_secs_f64())),
            (
                self.settled < SETTLED,
                format!("memory of {} MB later, not under {}", megabytes(self.settled), SETTLED >> 20),
            ),
        ])
    }

    fn unless<const N: usize>(&self, bounds: [(bool, String); N]) -> Vec<String> {
        let broken = bounds.into_iter().filter(|(holds, _)| !holds);
        broken.map(|(_, words)| format!("{}: {words}", self.name)).collect()
    }

    fn tail_ratio(&self) -> f64 {
        self.beside.tail() / self.alone.tail()
    }
}

fn megabytes(bytes: u64) -> String {
    (bytes >> 20).to_string()
}
