//! A tenant that does its work: reads, lists, plans, and takes stories through the first steps of the loop and back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::time::timeout;

use crate::support::http::{Connection, request};
use crate::support::service::Service;
use crate::support::tenants::{CRITERIA, TITLE, Tenant};

/// Connections of a polite tenant, kept open.
const CONNECTIONS: usize = 4;
const STORIES: usize = 100;
/// Longer than the server may make anybody wait.
const PATIENCE: Duration = Duration::from_secs(30);
/// Who asks so often is the one whose waiting is told: a stall counts once for every call that it would have made meanwhile.
const INTERVAL: Duration = Duration::from_millis(20);
/// How long an export may take that others do not want.
const PATIENCE_OF_EXPORT: Duration = Duration::from_secs(60);

pub(crate) struct Polite {
    /// One for each connection.
    rounds: Vec<Arc<Round>>,
    export: Vec<u8>,
}

/// What is asked over and over, about one story.
struct Round {
    requests: Vec<Vec<u8>>,
    /// Which of them is next: where one span of work ends, the next goes on.
    next: AtomicUsize,
}

/// How polite tenants were served.
#[derive(Default)]
pub(crate) struct Served {
    /// Milliseconds, in order.
    times: Vec<f64>,
    answered: usize,
    elapsed: Duration,
    /// Answers of 500 and above, and those that did not come.
    pub(crate) failed: usize,
    /// 429, and anything else that is no success.
    pub(crate) refused: usize,
}

impl Polite {
    pub(crate) async fn create(service: &Service, slug: &str) -> Self {
        let tenant = Tenant::create(service, slug).await;
        let project = tenant.plan("work", STORIES).await;
        let stories = tenant.user.stories(&project).await;
        let rounds = stories
            .iter()
            .take(CONNECTIONS)
            .map(|story| Arc::new(Round::of(&tenant, &project, story)))
            .collect();
        let export = request("GET", &format!("/projects/{project}/export"), &tenant.agent.key, "");
        Self { rounds, export }
    }

    /// Whether its plan can be read as a whole.
    pub(crate) async fn can_export(&self, address: &str) -> bool {
        let export = async { Connection::open(address).await?.exchange(&[&self.export]).await };
        matches!(timeout(PATIENCE_OF_EXPORT, export).await, Ok(Ok(200)))
    }
}

impl Round {
    /// Each step can be taken after the one before, and the first after the last.
    fn of(tenant: &Tenant, project: &str, story: &str) -> Self {
        let (agent, path) = (&tenant.agent.key, format!("/stories/{story}"));
        let step = |name: &str, body: &str| request("POST", &format!("{path}/{name}"), agent, body);
        let change = |text: &str| {
            let body = json!({"description": text.repeat(20)}).to_string();
            request("PATCH", &path, &tenant.user.key, &body)
        };
        let show = request("GET", &path, agent, "");
        let list = request("GET", &format!("/stories?project_id={project}&limit=20"), agent, "");
        let echo = json!({"story_title": TITLE, "ac_count": CRITERIA}).to_string();
        let requests = vec![
            show.clone(),
            change("What it is about. "),
            list.clone(),
            step("contract", &echo),
            show.clone(),
            step("claim", ""),
            list,
            step("unclaim", ""),
            show,
            change("What else it is about. "),
        ];
        Self { requests, next: AtomicUsize::new(0) }
    }
}

/// Has all these tenants work for so long.
pub(crate) async fn work(tenants: &[Polite], address: &str, span: Duration) -> Served {
    let began = Instant::now();
    let workers: Vec<_> = tenants
        .iter()
        .flat_map(|tenant| &tenant.rounds)
        .map(|round| tokio::spawn(go_on(Arc::clone(round), address.to_owned(), began + span)))
        .collect();
    let mut served = Served::default();
    for worker in workers {
        let one = worker.await.expect("a client");
        served.times.extend(one.times);
        served.answered += one.answered;
        served.failed += one.failed;
        served.refused += one.refused;
    }
    served.elapsed = began.elapsed();
    served.times.sort_by(f64::total_cmp);
    served
}

async fn go_on(round: Arc<Round>, address: String, until: Instant) -> Served {
    let mut served = Served::default();
    let mut kept = None;
    loop {
        let sent = Instant::now();
        if sent >= until {
            return served;
        }
        let request = &round.requests[round.next.fetch_add(1, Ordering::Relaxed) % round.requests.len()];
        let asked = async {
            let mut connection = match kept.take() {
                Some(connection) => connection,
                None => Connection::open(&address).await?,
            };
            let status = connection.exchange(&[request]).await?;
            kept = (!connection.is_spent()).then_some(connection);
            Ok::<_, std::io::Error>(status)
        };
        match timeout(PATIENCE, asked).await {
            Ok(Ok(200..300)) => {}
            Ok(Ok(..500)) => served.refused += 1,
            _ => served.failed += 1,
        }
        served.note(sent.elapsed());
    }
}

impl Served {
    /// An answer that took so long.
    fn note(&mut self, took: Duration) {
        self.answered += 1;
        let mut waited = Some(took);
        while let Some(time) = waited.filter(|time| !time.is_zero()) {
            self.times.push(time.as_secs_f64() * 1000.0);
            waited = time.checked_sub(INTERVAL);
        }
    }

    pub(crate) fn rate(&self) -> f64 {
        self.answered as f64 / self.elapsed.as_secs_f64()
    }

    pub(crate) fn median(&self) -> f64 {
        self.at(0.5)
    }

    /// 99 of 100 requests took at most so many milliseconds.
    pub(crate) fn tail(&self) -> f64 {
        self.at(0.99)
    }

    fn at(&self, share: f64) -> f64 {
        self.times[((self.times.len() - 1) as f64 * share) as usize]
    }
}
