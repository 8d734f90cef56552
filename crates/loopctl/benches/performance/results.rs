//! What was measured, and the medians of it.

use crate::bench::{Load, Pgbench};
use crate::cost::Cost;
use crate::floor::Floor;

/// One kind of request, by so many tenants over so many connections.
pub(crate) struct Row {
    pub(crate) what: &'static str,
    pub(crate) tenants: usize,
    pub(crate) connections: usize,
    rounds: Vec<Round>,
}

/// Measured within seconds of each other, because the machine may be another one a minute later.
pub(crate) struct Round {
    /// Transactions per second of the floor.
    pub(crate) floor: f64,
    /// Transactions per second of the request's own statements, where they were measured.
    pub(crate) same: Option<f64>,
    pub(crate) load: Load,
}

#[derive(Default)]
pub(crate) struct Results {
    pub(crate) rows: Vec<Row>,
    floors: Vec<(Floor, usize, Pgbench)>,
}

impl Row {
    /// The median of what each round says.
    pub(crate) fn median(&self, of: impl Fn(&Round) -> f64) -> f64 {
        median(self.rounds.iter().map(of))
    }

    pub(crate) fn rate(&self) -> f64 {
        self.median(|round| round.load.rate)
    }

    pub(crate) fn of_floor(&self) -> f64 {
        self.median(|round| round.load.rate / round.floor)
    }

    pub(crate) fn of_same(&self) -> Option<f64> {
        self.rounds
            .iter()
            .all(|round| round.same.is_some())
            .then(|| self.median(|round| round.same.map_or(f64::NAN, |same| round.load.rate / same)))
    }

    pub(crate) fn cost(&self, of: impl Fn(&Cost) -> f64) -> f64 {
        self.median(|round| of(&round.load.cost))
    }
}

impl Results {
    pub(crate) fn add(&mut self, what: &'static str, tenants: usize, connections: usize, round: Round) {
        let same = |row: &&mut Row| (row.what, row.tenants, row.connections) == (what, tenants, connections);
        match self.rows.iter_mut().find(same) {
            Some(row) => row.rounds.push(round),
            None => self.rows.push(Row { what, tenants, connections, rounds: vec![round] }),
        }
    }

    /// Keeps a measurement of a floor; its rate.
    pub(crate) fn floor(&mut self, floor: Floor, connections: usize, measured: Pgbench) -> f64 {
        let rate = measured.rate;
        self.floors.push((floor, connections, measured));
        rate
    }

    pub(crate) fn row(&self, what: &str, tenants: usize, connections: usize) -> Option<&Row> {
        self.rows.iter().find(|row| (row.what, row.tenants, row.connections) == (what, tenants, connections))
    }

    /// The median of what each measurement of a floor says.
    pub(crate) fn median_floor(&self, floor: Floor, connections: usize, of: impl Fn(&Pgbench) -> f64) -> f64 {
        let measured = self.floors.iter().filter(|(kind, at, _)| (*kind, *at) == (floor, connections));
        median(measured.map(|(_, _, pgbench)| of(pgbench)))
    }
}

pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
