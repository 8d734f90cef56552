//! Who asks for how much: sums by tenant, for whoever watches the process.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use crate::life::Life;

/// Of how many tenants the sums are told: those that kept the database busy for longest.
const TOLD: usize = 50;

/// How often the log says who has asked for most.
const EVERY: Duration = Duration::from_secs(60);

/// For how long somebody who asks for nothing is remembered.
const REMEMBERED: Duration = Duration::from_secs(60 * 60);

/// The series, what each is, and where its value comes from.
type Series = (&'static str, &'static str, fn(&Sums) -> f64);
pub(super) const SERIES: [Series; 5] = [
    (
        "loopctl_tenant_requests_total",
        "Requests, by tenant; of the 50 that kept the database busy for longest.",
        |sums| sums.requests as f64,
    ),
    ("loopctl_tenant_received_bytes_total", "Bytes of bodies that were read, by tenant.", |sums| {
        sums.received as f64
    }),
    ("loopctl_tenant_answered_bytes_total", "Bytes of answers, by tenant.", |sums| sums.answered as f64),
    ("loopctl_tenant_db_seconds_total", "How long the database was at work, by tenant.", |sums| {
        sums.in_database.as_secs_f64()
    }),
    ("loopctl_tenant_overloaded_total", "Requests that were refused for lack of room, by tenant.", |sums| {
        sums.refused as f64
    }),
];

/// What was asked for, by tenant; of superadmins by their keys, and of whoever has no key by their network, written as a UUID.
#[derive(Debug, Clone, Default)]
pub(crate) struct Usage(Arc<Mutex<HashMap<Uuid, Account>>>);

#[derive(Debug)]
struct Account {
    sums: Sums,
    /// As it was when the log last said something.
    told: Sums,
    last: Instant,
}

/// Since the process began, or since the tenant was last remembered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sums {
    requests: u64,
    received: u64,
    answered: u64,
    in_database: Duration,
    refused: u64,
}

impl Usage {
    /// A body of so many bytes was read.
    pub(crate) fn received(&self, tenant_id: Uuid, bytes: usize) {
        self.add(tenant_id, |sums| sums.received += bytes as u64);
    }

    /// A request was answered with so many bytes, as far as that is known; `is_overload`: because there was no room for it.
    pub(crate) fn answered(&self, tenant_id: Uuid, bytes: usize, is_overload: bool) {
        self.add(tenant_id, |sums| {
            sums.requests += 1;
            sums.answered += bytes as u64;
            sums.refused += u64::from(is_overload);
        });
    }

    /// The database was at work for so long.
    pub(crate) fn kept_database(&self, tenant_id: Uuid, took: Duration) {
        self.add(tenant_id, |sums| sums.in_database += took);
    }

    fn add(&self, tenant_id: Uuid, add: impl FnOnce(&mut Sums)) {
        let mut accounts = self.accounts();
        let new = || Account { sums: Sums::default(), told: Sums::default(), last: Instant::now() };
        let account = accounts.entry(tenant_id).or_insert_with(new);
        add(&mut account.sums);
        account.last = Instant::now();
    }

    /// The series in the text format of Prometheus.
    pub(crate) fn text(&self) -> String {
        let mut accounts: Vec<_> = self.accounts().iter().map(|(id, account)| (*id, account.sums)).collect();
        accounts.sort_unstable_by_key(|(id, sums)| (std::cmp::Reverse(sums.in_database), *id));
        accounts.truncate(TOLD);
        let mut text = String::new();
        for (name, about, value) in SERIES {
            // Writing to a string does not fail.
            let _ = write!(text, "\n# HELP {name} {about}\n# TYPE {name} counter\n");
            for (tenant_id, sums) in &accounts {
                let _ = writeln!(text, "{name}{{tenant_id=\"{tenant_id}\"}} {}", value(sums));
            }
        }
        text
    }

    /// Says once a minute who has asked for most, and who was refused, until the process ends.
    pub(crate) async fn keep_telling(self, life: Life) {
        let mut due = tokio::time::interval(EVERY);
        loop {
            tokio::select! {
                _ = due.tick() => self.tell(),
                () = life.ending() => return,
            }
        }
    }

    /// Of the last minute, in one line.
    fn tell(&self) {
        let recent = self.recent();
        let Some((busiest, most)) = recent.iter().max_by_key(|(_, sums)| sums.in_database) else { return };
        let mut refused: Vec<_> = recent.iter().filter(|(_, sums)| sums.refused > 0).collect();
        refused.sort_unstable_by_key(|(_, sums)| std::cmp::Reverse(sums.refused));
        let told = refused.iter().take(5).map(|(id, sums)| format!("{id}: {}", sums.refused));
        let told = told.collect::<Vec<_>>().join(", ");
        tracing::info!(
            tenants = recent.len(),
            requests = recent.iter().map(|(_, sums)| sums.requests).sum::<u64>(),
            busiest = %busiest,
            busiest_requests = most.requests,
            busiest_received_bytes = most.received,
            busiest_answered_bytes = most.answered,
            busiest_db_ms = most.in_database.as_millis() as u64,
            overloaded_tenants = refused.len(),
            overloaded = told,
            "who asked for what within the last minute"
        );
    }

    /// What was asked for since this was last asked. Who has been quiet for long is forgotten.
    fn recent(&self) -> Vec<(Uuid, Sums)> {
        let mut accounts = self.accounts();
        accounts.retain(|_, account| account.last.elapsed() < REMEMBERED);
        let recent = accounts.iter_mut().filter_map(|(id, account)| {
            let (now, before) = (account.sums, std::mem::replace(&mut account.told, account.sums));
            (now != before).then(|| (*id, now.since(before)))
        });
        recent.collect()
    }

    fn accounts(&self) -> MutexGuard<'_, HashMap<Uuid, Account>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sums {
    fn since(self, before: Self) -> Self {
        Self {
            requests: self.requests - before.requests,
            received: self.received - before.received,
            answered: self.answered - before.answered,
            in_database: self.in_database - before.in_database,
            refused: self.refused - before.refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn sums_are_told_of_those_who_ask_for_most_and_the_quiet_are_forgotten() {
        let usage = Usage::default();
        for nth in 1..=60_u128 {
            let id = Uuid::from_u128(nth);
            usage.kept_database(id, Duration::from_millis(nth as u64));
            usage.received(id, 10);
            usage.answered(id, 5, nth == 60);
        }
        let text = usage.text();
        let line = |name: &str, nth: u128, value: &str| {
            text.contains(&format!("\n{name}{{tenant_id=\"{}\"}} {value}\n", Uuid::from_u128(nth)))
        };
        assert!(line("loopctl_tenant_db_seconds_total", 60, "0.06"), "{text}");
        assert!(line("loopctl_tenant_received_bytes_total", 11, "10"), "{text}");
        assert!(line("loopctl_tenant_overloaded_total", 60, "1"), "{text}");
        assert!(!text.contains(&Uuid::from_u128(10).to_string()), "fifty are told of");
        assert_eq!(usage.recent().len(), 60);
        assert_eq!(usage.recent().len(), 0, "nothing since");
        tokio::time::advance(REMEMBERED).await;
        usage.answered(Uuid::from_u128(60), 1, false);
        assert_eq!(usage.recent().iter().map(|(_, sums)| sums.requests).collect::<Vec<_>>(), [1]);
        assert_eq!(usage.accounts().len(), 1);
    }
}
