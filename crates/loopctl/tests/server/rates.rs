//! Rate limits with several servers on one database: what passes in a minute is the limit at least, and a tenth more at most.
//!
//! A minute may end in the middle of it. What is to be within one minute is tried again, with a tenant of its own, until it was.

use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;
use tokio_postgres::{Client, NoTls};

use crate::support::{Daemon, PATIENCE, Scratch, client, run};

const CLIENTS: usize = 32;

/// Servers on one database, of which the first one runs it.
struct Fleet {
    dir: Scratch,
    servers: Vec<Daemon>,
    owner: Client,
}

/// What came of some requests: how many passed, and when the minute of each ended.
#[derive(Debug, Default)]
struct Seen {
    passed: i64,
    resets: Vec<i64>,
}

impl Fleet {
    async fn of(count: usize) -> Self {
        let dir = Scratch::new();
        let first = Daemon::start(dir.path());
        let url = url(&dir);
        let further = (1..count).map(|_| Daemon::start_with(&[("DATABASE_URL", url.as_str())]));
        let servers = std::iter::once(first).chain(further).collect();
        let (owner, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        tokio::spawn(connection);
        let fleet = Self { dir, servers, owner };
        fleet.know_of(count).await;
        fleet
    }

    /// Waits until so many servers have noted themselves.
    async fn know_of(&self, count: usize) {
        let noted = "select count(*) from pg_locks where locktype = 'advisory' and classid = 'rate_windows'::regclass";
        let wanted = i64::try_from(count).unwrap();
        let known = async {
            while self.owner.query_one(noted, &[]).await.unwrap().get::<_, i64>(0) != wanted {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, known).await.expect("the servers note themselves");
    }

    /// The key of a new tenant with this limit.
    async fn key(&self, slug: &str, limit: i64) -> String {
        let command = format!("operator tenant create --name {slug} --slug {slug} --email {slug}@acme.test");
        let created = run(&command, &[("DATABASE_URL", &url(&self.dir))]).json();
        let set = "update tenants set settings = jsonb_build_object('rate_limit_requests_per_minute', $2::bigint) where slug = $1";
        self.owner.execute(set, &[&slug, &limit]).await.unwrap();
        created["api_key"]["raw_key"].as_str().unwrap().to_owned()
    }

    /// How many permits were issued to the key of a tenant.
    async fn issued(&self, slug: &str) -> i64 {
        let issued = "select w.issued from rate_windows w join tenants t on t.id = w.tenant_id where t.slug = $1 and w.id <> t.id";
        self.owner.query_one(issued, &[&slug]).await.unwrap().get(0)
    }

    /// So many clients, each of which asks one of these servers until it is refused, or so often.
    async fn crowd(&self, servers: &[usize], key: &str, clients: usize, most: usize) -> Seen {
        let clients: Vec<_> = (0..clients)
            .map(|nth| {
                let (url, key) = (
                    format!("{}/api/v1/tenants/me", self.servers[servers[nth % servers.len()]].base),
                    key.to_owned(),
                );
                tokio::spawn(async move {
                    let (http, mut seen) = (client(), Seen::default());
                    for _ in 0..most {
                        let answer = http.get(&url).bearer_auth(&key).send().await.unwrap();
                        let reset = answer.headers()["x-ratelimit-reset"].to_str().unwrap().parse().unwrap();
                        seen.resets.push(reset);
                        match answer.status().as_u16() {
                            200 => seen.passed += 1,
                            429 => break,
                            status => panic!("{status}: {}", answer.json::<Value>().await.unwrap()),
                        }
                    }
                    seen
                })
            })
            .collect();
        let mut seen = Vec::new();
        for client in clients {
            seen.push(client.await.unwrap());
        }
        Seen::sum(seen)
    }
}

impl Seen {
    fn sum(parts: impl IntoIterator<Item = Self>) -> Self {
        parts.into_iter().fold(Self::default(), |mut sum, part| {
            sum.passed += part.passed;
            sum.resets.extend(part.resets);
            sum
        })
    }

    /// How many passed, if all of it was within a minute.
    fn within_a_minute(mut self) -> Option<i64> {
        self.resets.dedup();
        (self.resets.len() == 1).then_some(self.passed)
    }
}

/// The database of the first server, as its owner.
fn url(dir: &Scratch) -> String {
    format!("postgres:///loopctl?host={}&user=loopctl_owner", dir.path().join("run").display())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_servers_share_a_limit() {
    const LIMIT: i64 = 200;
    let fleet = Fleet::of(2).await;
    for nth in 0.. {
        let key = fleet.key(&format!("both-{nth}"), LIMIT).await;
        if let Some(passed) = fleet.crowd(&[0, 1], &key, CLIENTS, 300).await.within_a_minute() {
            assert!((LIMIT..=LIMIT + LIMIT / 10).contains(&passed), "{passed} of {LIMIT}");
            break;
        }
    }
    // What the one has in store does not keep the other from the limit.
    for nth in 0.. {
        let key = fleet.key(&format!("one-{nth}"), LIMIT).await;
        let idle = fleet.crowd(&[0], &key, 1, 1).await;
        let busy = fleet.crowd(&[1], &key, CLIENTS, 300).await;
        if let Some(passed) = Seen::sum([idle, busy]).within_a_minute() {
            assert!((LIMIT..=LIMIT + LIMIT / 10).contains(&passed), "{passed} of {LIMIT}");
            break;
        }
    }
    // Of a limit without a tenth, not one more.
    for nth in 0.. {
        let key = fleet.key(&format!("small-{nth}"), 9).await;
        if let Some(passed) = fleet.crowd(&[0, 1], &key, CLIENTS, 300).await.within_a_minute() {
            assert_eq!(passed, 9);
            break;
        }
    }
    fleet.servers.into_iter().rev().for_each(Daemon::stop);
}

/// Killed, it takes a batch along at most; stopped in order, nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_ends_locks_nobody_out() {
    const LIMIT: i64 = 200;
    let mut fleet = Fleet::of(1).await;
    for (killed, least) in [(true, LIMIT - LIMIT / 10), (false, LIMIT)] {
        for nth in 0.. {
            let slug = format!("left-{killed}-{nth}");
            fleet.servers.push(Daemon::start_with(&[("DATABASE_URL", &url(&fleet.dir))]));
            fleet.know_of(2).await;
            let key = fleet.key(&slug, LIMIT).await;
            let of_other = fleet.crowd(&[1], &key, 3, 2).await;
            let other = fleet.servers.pop().unwrap();
            if killed {
                drop(other)
            } else {
                other.stop()
            }
            fleet.know_of(1).await;
            let left = fleet.issued(&slug).await;
            let rest = fleet.crowd(&[0], &key, CLIENTS, 300).await;
            if let Some(passed) = Seen::sum([of_other, rest]).within_a_minute() {
                assert!((least..=LIMIT).contains(&passed), "{passed} of {LIMIT}");
                assert_eq!(left > 6, killed, "{left} issued");
                break;
            }
        }
    }
    fleet.servers.into_iter().for_each(Daemon::stop);
}
