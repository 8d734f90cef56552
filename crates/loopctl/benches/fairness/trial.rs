//! One attack after the other, each on a server that has just started, and all on the same data.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::attacks::{Attack, Hostile, Size};
use crate::health::Health;
use crate::hostile::Running;
use crate::outcome::Outcome;
use crate::polite::{Polite, Served, work};
use crate::support::note;
use crate::support::service::Service;

/// How many tenants there are where everything goes on at once.
const POLITE: usize = 8;
const HOSTILE: usize = 2;
/// What polite tenants must be left there of their rate.
const LEAST_RATE: f64 = 0.6;
/// How long an attack without an end goes on there, unless somebody says otherwise.
const SOAK: Duration = Duration::from_secs(120);
/// For how long the others are measured alone before that: PostgreSQL clears away what they leave behind from time to time, which is
/// a part of their work.
const ALONE: Duration = Duration::from_secs(60);

/// How long each part of a trial takes, and who takes part.
pub(crate) struct Plan {
    pub(crate) alone: Duration,
    pub(crate) beside: Duration,
    /// Until memory is looked at again.
    pub(crate) settle: Duration,
    /// How long an attack goes on before anybody is measured, or the server is stopped.
    pub(crate) lead: Duration,
    pub(crate) polite: usize,
    pub(crate) hostile: usize,
    pub(crate) least_rate: Option<f64>,
}

impl Plan {
    pub(crate) fn of(attack: Attack, size: Size, soak: Option<Duration>) -> Self {
        let [alone, beside, settle, lead] = match size {
            Size::Small => [2, 6, 5, 1],
            Size::Full => [10, 30, 60, 2],
        }
        .map(Duration::from_secs);
        let one = Self { alone, beside, settle, lead, polite: 1, hostile: 1, least_rate: None };
        if attack != Attack::Everything {
            return one;
        }
        let span = soak.unwrap_or(if size == Size::Full { SOAK } else { beside });
        let alone = if size == Size::Full { ALONE } else { alone };
        Self { alone, beside: span, polite: POLITE, hostile: HOSTILE, least_rate: Some(LEAST_RATE), ..one }
    }
}

pub(crate) struct Trials {
    data_dir: PathBuf,
    /// Between two attacks always there.
    service: Option<Service>,
    address: String,
    polite: Vec<Polite>,
    hostile: Vec<Hostile>,
}

impl Trials {
    pub(crate) async fn begin(data_dir: &Path) -> Self {
        note("a server and its tenants");
        let service = Service::start_as_it_comes(data_dir).await;
        let (mut polite, mut hostile) = (Vec::new(), Vec::new());
        for number in 1..=POLITE {
            polite.push(Polite::create(&service, &format!("polite-{number}")).await);
        }
        for number in 1..=HOSTILE {
            hostile.push(Hostile::create(&service, &format!("hostile-{number}")).await);
        }
        let address = service.address.clone();
        Self { data_dir: data_dir.to_owned(), service: Some(service), address, polite, hostile }
    }

    pub(crate) async fn run(&mut self, attack: Attack, size: Size, plan: &Plan) -> Outcome {
        let name = attack.name();
        note(&format!("{name}: what it needs"));
        let mut clients = Vec::new();
        for hostile in &self.hostile[..plan.hostile] {
            clients.extend(attack.prepare(hostile, size).await);
        }
        let clients = Arc::new(clients);
        // What the preparation has left in memory is not the attack's.
        self.stop();
        let service = Service::start_again(&self.data_dir, &self.address).await;

        note(&format!("{name}: the others alone"));
        let polite = &self.polite[..plan.polite];
        let alone = work(polite, &self.address, plan.alone).await;

        note(&format!("{name}: the others beside {} clients of it", clients.len()));
        service.mark_memory();
        let running = Running::begin(&clients, &self.address);
        let mut health = Health::default();
        let (beside, has_exported) = tokio::select! {
            served = self.serve_beside(polite, plan) => served,
            () = health.watch(&self.address) => unreachable!("it goes on"),
            () = tell(name, &service) => unreachable!("it goes on"),
        };
        let tally = running.stop();
        let peak = service.highest_memory();

        note(&format!("{name}: afterwards"));
        sleep(plan.settle).await;
        let settled = service.resident_memory();

        note(&format!("{name}: stops while it goes on"));
        let running = Running::begin(&clients, &self.address);
        sleep(plan.lead).await;
        let exit = service.stop();
        running.stop();
        self.service = Some(Service::start_again(&self.data_dir, &self.address).await);
        Outcome {
            name,
            alone,
            beside,
            least_rate: plan.least_rate,
            has_exported,
            health,
            tally,
            peak,
            settled,
            exit,
        }
    }

    /// How polite tenants are served while an attack goes on, and whether one is given its export.
    async fn serve_beside(&self, polite: &[Polite], plan: &Plan) -> (Served, bool) {
        sleep(plan.lead).await;
        let export = async {
            sleep(plan.beside / 2).await;
            polite[0].can_export(&self.address).await
        };
        tokio::join!(work(polite, &self.address, plan.beside), export)
    }

    fn stop(&mut self) {
        if let Some(service) = self.service.take() {
            service.stop();
        }
    }
}

/// Says every minute how it goes.
async fn tell(name: &str, service: &Service) {
    loop {
        sleep(Duration::from_secs(60)).await;
        note(&format!("{name}: {} MB", service.resident_memory() >> 20));
    }
}
