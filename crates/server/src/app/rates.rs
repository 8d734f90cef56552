//! How often keys call. Every request of one is paid for with permits, of which each process takes some at a time from the database
//! (`loopctl_core::rate` has the rules): most requests cost no more than a look at what is in memory.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use loopctl_core::rate::{self, Ask, Given, Permits, Reached, Standing};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::App;
use crate::db::{Db, DbError, Params, Row, Share, Shares, statements};
use crate::life::Life;

statements! {
    TAKE_PERMITS -> Taken = "select {*} from take_permits($1, $2, $3, $4, $5, $6)";
    RETURN_PERMITS = "select return_permits($1, $2, $3, $4)";
}

/// What `take_permits()` answers.
#[derive(Debug, Row)]
pub(crate) struct Taken {
    moment: i64,
    servers: i64,
    key_issued: i64,
    key_granted: i64,
    tenant_issued: i64,
    tenant_granted: i64,
}

/// How often counters of earlier minutes are forgotten.
const SWEEP: Duration = Duration::from_secs(60);

/// How long an answer may have been under way, in microseconds.
const LATEST: i64 = 10_000_000;

/// Of how many keys and tenants something is known at once. Those that call within a minute are hardly ever more.
const MOST: usize = 100_000;

/// How long the database may take to take permits back, when the process ends.
const MOMENT: Duration = Duration::from_millis(500);

/// Whose request it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Payer {
    pub(super) key_id: Uuid,
    pub(super) tenant_id: Uuid,
    /// How many requests each of the tenant's keys may make.
    pub(super) limit: i64,
}

/// Whether a request passes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Judged {
    pub(super) standing: Standing,
    /// Why it does not, and in how many seconds it would.
    pub(super) refused: Option<(Reached, u32)>,
}

/// The permits in hand.
#[derive(Debug, Clone)]
pub(crate) struct Rates {
    counters: Arc<Mutex<Counters>>,
    /// Who takes permits for which tenant's keys: one at a time, and the others wait for the same.
    taking: Shares,
}

/// What is known of the counters.
#[derive(Debug, Default)]
struct Counters {
    /// By key, or by tenant for that of all its keys; with the tenant.
    permits: HashMap<Uuid, (Uuid, Permits)>,
    /// The database's time, in microseconds since 1970, and when that was.
    clock: Option<(i64, Instant)>,
    /// How many servers there were when it was last said.
    servers: i64,
    /// Tenants for whose keys permits are being taken that nobody waits for.
    ahead: HashSet<Uuid>,
}

impl Default for Rates {
    fn default() -> Self {
        Self { counters: Arc::default(), taking: Shares::turns() }
    }
}

impl Rates {
    /// Lets a request pass, or not. It waits for the database only when no permit is in hand and it is not known that there are none.
    ///
    /// # Errors
    /// When the database had to be asked, and fails.
    pub(super) async fn admit(&self, app: &App, payer: Payer) -> Result<Judged, DbError> {
        loop {
            if let Some(judged) = self.judge(app, payer) {
                return Ok(judged);
            }
            let too_long = || DbError::Pool("others of the tenant wait too long for permits".to_owned());
            let turn = app.life.wait(self.taking.turn(payer.tenant_id)).await.ok_or(DbError::Stopping)?;
            let turn = turn.ok_or_else(too_long)?;
            // Those who had their turn before may have taken enough.
            if let Some(judged) = self.judge(app, payer) {
                return Ok(judged);
            }
            self.take_apart(app, payer, turn).await?;
        }
    }

    /// As far as is known. Where what is in hand runs low, more is taken before anybody has to wait for it.
    fn judge(&self, app: &App, payer: Payer) -> Option<Judged> {
        let (judged, take_ahead) = self.counters().judge(payer, Instant::now())?;
        if take_ahead {
            let (rates, taking) = (self.clone(), app.clone());
            app.life.spawn(async move {
                if let Some(_turn) = rates.taking.turn(payer.tenant_id).await
                    && let Err(error) = rates.take(&taking, payer).await
                {
                    // Whoever needs them tries again, and is told.
                    tracing::debug!(%error, "no permits were taken ahead");
                }
                rates.counters().ahead.remove(&payer.tenant_id);
            });
        }
        Some(judged)
    }

    /// Takes permits in a task of its own: whoever waits for them may leave, and what was issued is there for the next.
    async fn take_apart(&self, app: &App, payer: Payer, turn: Share) -> Result<(), DbError> {
        let (tell, told) = oneshot::channel();
        let (rates, taking) = (self.clone(), app.clone());
        app.life.spawn(async move {
            let taken = rates.take(&taking, payer).await;
            drop(turn);
            // Nobody may be waiting any more.
            let _ = tell.send(taken);
        });
        told.await.unwrap_or_else(|_| Err(DbError::Pool("the server is ending".to_owned())))
    }

    async fn take(&self, app: &App, payer: Payer) -> Result<(), DbError> {
        let Payer { key_id, tenant_id, .. } = payer;
        // A server that does not listen has not noted itself either.
        let unnoted = i64::from(!app.identities.are_listening());
        let (servers, [key, tenant]) = self.counters().ask(payer, Instant::now());
        let [of_key, of_tenant] =
            [key, tenant].map(|ask| vec![ask.window, ask.back, ask.most, ask.cap, ask.kept]);
        let params: Params<'_> = &[&tenant_id, &key_id, &unnoted, &servers, &of_key, &of_tenant];
        match app.db.without_tenant(TAKE_PERMITS, params).await {
            Ok(Some(taken)) => self.counters().receive(payer, [key, tenant], &taken, Instant::now()),
            Ok(None) => return Err(DbError::Unexpected("take_permits answers nothing".to_owned())),
            // Who only reads is served by a database that cannot be written to: each process counts for itself until it can.
            Err(error) if error.is_storage_failure() => {
                tracing::warn!(%error, "requests are counted by this server alone");
                self.counters().help_themselves(payer, [key, tenant], Instant::now());
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Forgets counters of earlier minutes, for as long as the process lives.
    pub(crate) async fn keep_sweeping(self, life: Life) {
        let sweep = async {
            loop {
                sleep(SWEEP).await;
                self.counters().sweep(Instant::now());
            }
        };
        tokio::select! {
            () = sweep => {}
            () = life.ending() => {}
        }
    }

    /// Gives back what was not spent, if that takes moments: others may have it.
    pub(crate) async fn give_back(&self, db: &Db) {
        let held: Vec<_> = std::mem::take(&mut self.counters().permits)
            .into_iter()
            .map(|(id, (tenant_id, permits))| (tenant_id, id, permits.held()))
            .filter(|(_, _, (_, held))| *held > 0)
            .collect();
        let tenant_ids: Vec<_> = held.iter().map(|(tenant_id, _, _)| *tenant_id).collect();
        let ids: Vec<_> = held.iter().map(|(_, id, _)| *id).collect();
        let (windows, held): (Vec<i64>, Vec<i64>) = held.into_iter().map(|(_, _, held)| held).unzip();
        if ids.is_empty() {
            return;
        }
        let params: Params<'_> = &[&tenant_ids, &ids, &windows, &held];
        if !matches!(timeout(MOMENT, db.without_tenant(RETURN_PERMITS, params)).await, Ok(Ok(_))) {
            tracing::warn!("permits that were not spent are lost for the rest of this minute");
        }
    }

    fn counters(&self) -> MutexGuard<'_, Counters> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counters {
    /// The database's time, as far as is known.
    fn moment(&self, now: Instant) -> Option<i64> {
        let (then, read) = self.clock?;
        Some(then.saturating_add(micros(now.saturating_duration_since(read))))
    }

    /// What time it is, when the database says so: an answer that was long under way says what it was, and must not set the clock back. A
    /// database whose clock was set back, or another one, is believed.
    fn later(&self, said: i64, now: Instant) -> i64 {
        let known = self.moment(now).filter(|known| *known - said < LATEST);
        known.map_or(said, |known| known.max(said))
    }

    /// Pays for a request, and says whether more are to be taken ahead. None: the database has to be asked first.
    fn judge(&mut self, payer: Payer, now: Instant) -> Option<(Judged, bool)> {
        let moment = self.moment(now)?;
        let window = rate::window_of(moment);
        let ids = [payer.key_id, payer.tenant_id];
        let [Some((_, key)), Some((_, tenant))] = self.permits.get_disjoint_mut(ids.each_ref()) else {
            return None;
        };
        let (standing, reached) = rate::judge(key, tenant, window, payer.limit)?;
        let low = reached.is_none() && (key.run_low() || tenant.run_low());
        let refused = reached.map(|reached| (reached, rate::seconds_left(window, moment)));
        Some((Judged { standing, refused }, low && self.ahead.insert(payer.tenant_id)))
    }

    /// What to ask the counters of a request for, and how many servers there are as far as is known.
    fn ask(&mut self, payer: Payer, now: Instant) -> (i64, [Ask; 2]) {
        let window = self.moment(now).map_or(0, rate::window_of);
        let servers = self.servers.max(1);
        let mut ask = |id: Uuid, limit: i64| {
            let mut nothing = Permits::default();
            let permits = self.permits.get_mut(&id).map_or(&mut nothing, |(_, permits)| permits);
            permits.ask(window, limit, servers)
        };
        let key = ask(payer.key_id, payer.limit);
        (servers, [key, ask(payer.tenant_id, rate::limit_of_tenant(payer.limit))])
    }

    /// Takes what the counters have given.
    fn receive(&mut self, payer: Payer, asked: [Ask; 2], taken: &Taken, now: Instant) {
        self.clock = Some((self.later(taken.moment, now), now));
        self.servers = taken.servers;
        let window = rate::window_of(taken.moment);
        let given = |issued, granted| Given { window, processes: taken.servers, issued, granted };
        let given =
            [given(taken.key_issued, taken.key_granted), given(taken.tenant_issued, taken.tenant_granted)];
        self.change(payer, |nth, permits| permits.receive(&asked[nth], &given[nth]));
    }

    /// Takes what this process may have when the counters cannot be written.
    fn help_themselves(&mut self, payer: Payer, asked: [Ask; 2], now: Instant) {
        let here = || micros(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
        let moment = self.moment(now).unwrap_or_else(here);
        self.clock = Some((moment, now));
        let window = rate::window_of(moment);
        self.change(payer, |nth, permits| permits.help_themselves(&asked[nth], window));
    }

    fn change(&mut self, payer: Payer, change: impl Fn(usize, &mut Permits)) {
        for (nth, id) in [payer.key_id, payer.tenant_id].into_iter().enumerate() {
            self.make_room(id);
            let (_, permits) = self.permits.entry(id).or_insert((payer.tenant_id, Permits::default()));
            change(nth, permits);
        }
    }

    /// Makes room for one more. What it must forget of this minute is lost for the rest of it.
    fn make_room(&mut self, id: Uuid) {
        if self.permits.len() < MOST || self.permits.contains_key(&id) {
            return;
        }
        self.sweep(Instant::now());
        if self.permits.len() > MOST / 2 {
            self.permits.clear();
        }
    }

    fn sweep(&mut self, now: Instant) {
        let window = self.moment(now).map_or(0, rate::window_of);
        self.permits.retain(|_, (_, permits)| !permits.are_over(window));
        self.permits.shrink_to_fit();
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payer(nth: u128) -> Payer {
        Payer { key_id: Uuid::from_u128(2 * nth), tenant_id: Uuid::from_u128(2 * nth + 1), limit: 80 }
    }

    /// Asks, and is given a batch at this moment of the database's clock.
    fn take(counters: &mut Counters, payer: Payer, moment: i64, now: Instant) {
        let (_, asked) = counters.ask(payer, now);
        let [key, tenant] = asked.map(|ask| ask.most);
        let taken = Taken {
            moment,
            servers: 1,
            key_issued: key,
            key_granted: key,
            tenant_issued: tenant,
            tenant_granted: tenant,
        };
        counters.receive(payer, asked, &taken, now);
    }

    #[test]
    fn a_permit_is_good_for_the_database_s_minute() {
        let (mut counters, now) = (Counters::default(), Instant::now());
        assert!(counters.judge(payer(1), now).is_none(), "nothing is known");
        // Two seconds before a minute ends there, whatever it is here.
        take(&mut counters, payer(1), 118_000_000, now);
        let (judged, _) = counters.judge(payer(1), now).unwrap();
        assert_eq!(judged.standing, Standing { limit: 80, remaining: 79, reset: 120 });
        assert!(judged.refused.is_none() && counters.judge(payer(2), now).is_none());
        assert!(counters.judge(payer(1), now + Duration::from_millis(1_999)).is_some());
        assert!(counters.judge(payer(1), now + Duration::from_secs(2)).is_none());
    }

    #[test]
    fn more_is_taken_ahead_once() {
        let (mut counters, now) = (Counters::default(), Instant::now());
        take(&mut counters, payer(1), 0, now);
        let ahead: Vec<_> = (0..10).map(|_| counters.judge(payer(1), now).unwrap().1).collect();
        assert_eq!(ahead.iter().filter(|ahead| **ahead).count(), 1);
        assert!(ahead[4], "when half of ten is gone");
        assert!(counters.judge(payer(1), now).is_none());
    }

    #[test]
    fn there_is_room_for_so_many_and_it_is_given_back() {
        let (mut counters, now) = (Counters::default(), Instant::now());
        for nth in 0..MOST as u128 {
            take(&mut counters, payer(nth), 0, now);
            assert!(counters.permits.len() <= MOST && counters.judge(payer(nth), now).is_some());
        }
        counters.sweep(now);
        assert!(!counters.permits.is_empty(), "what counts stays");
        counters.sweep(now + SWEEP);
        assert_eq!((counters.permits.len(), counters.permits.capacity()), (0, 0));
    }
}
