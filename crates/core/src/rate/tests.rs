//! Counters and processes, in any order of events: what passes is what the counters' promise says.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// A process that has heard of one limit, and takes it to be this minute.
#[derive(Debug, Clone, Copy, Default)]
struct Process {
    key: Permits,
    tenant: Permits,
    window: i64,
    limit: i64,
    processes: i64,
    asked: Option<Exchange>,
}

/// What was asked for of both counters, and what they answered.
type Exchange = ((Ask, Ask), Option<(Given, Given)>);

#[derive(Debug, Default)]
struct Database {
    key: Counter,
    tenant: Counter,
}

impl Database {
    /// Both counters in one transaction. Who gets nothing of the key needs nothing of the tenant.
    fn issue(&mut self, (key, tenant): &(Ask, Ask), window: i64, processes: i64) -> (Given, Given) {
        let of_key = self.key.issue(key, window, processes);
        let most = if of_key.granted + key.kept > 0 { tenant.most } else { 0 };
        (of_key, self.tenant.issue(&Ask { most, ..*tenant }, window, processes))
    }
}

impl Process {
    fn start(window: i64, limit: i64) -> Self {
        Self { window, limit, processes: 1, ..Self::default() }
    }

    fn judge(&mut self) -> Option<(Standing, Option<Reached>)> {
        judge(&mut self.key, &mut self.tenant, self.window, self.limit)
    }

    fn ask(&mut self) -> (Ask, Ask) {
        let key = self.key.ask(self.window, self.limit, self.processes);
        (key, self.tenant.ask(self.window, limit_of_tenant(self.limit), self.processes))
    }

    fn receive(&mut self, (key, tenant): &(Ask, Ask), given: &(Given, Given)) {
        self.key.receive(key, &given.0);
        self.tenant.receive(tenant, &given.1);
        (self.window, self.processes) = (given.0.window, given.0.processes);
    }

    /// A request from its beginning to its end, while nothing else happens.
    fn request(
        &mut self,
        database: &mut Database,
        window: i64,
        processes: i64,
    ) -> (Standing, Option<Reached>) {
        for _ in 0..4 {
            if let Some(judged) = self.judge() {
                if self.key.run_low() || self.tenant.run_low() {
                    self.take(database, window, processes);
                }
                return judged;
            }
            self.take(database, window, processes);
        }
        panic!("no judgement: {self:?} {database:?}");
    }

    fn take(&mut self, database: &mut Database, window: i64, processes: i64) {
        let asked = self.ask();
        self.receive(&asked, &database.issue(&asked, window, processes));
    }
}

#[test]
fn a_limit_is_a_whole_number_from_one() {
    assert_eq!([Some("1"), Some("500"), Some("9223372036854775807")].map(limit), [1, 500, i64::MAX]);
    for bad in
        [None, Some("0"), Some("-1"), Some("\"5\""), Some("1.5"), Some("null"), Some("true"), Some("[1]")]
    {
        assert_eq!(limit(bad), DEFAULT, "{bad:?}");
    }
    assert_eq!(limit_of_tenant(i64::MAX), i64::MAX);
}

#[test]
fn windows_are_minutes_of_the_clock() {
    let moment = 1_800_000_015 * MICROSECONDS;
    let window = window_of(moment);
    assert_eq!((window, end_of(window)), (30_000_000, 1_800_000_060));
    assert_eq!(seconds_left(window, moment), 45);
    assert_eq!(seconds_left(window, moment + 1), 45);
    // Whoever comes in the last moment, or after it by another clock, waits for a second.
    assert_eq!(seconds_left(window, 1_800_000_060 * MICROSECONDS - 1), 1);
    assert_eq!(seconds_left(window, 1_800_000_070 * MICROSECONDS), 1);
    assert_eq!(seconds_left(window, 0), 60);
}

#[test]
fn three_pass_and_the_fourth_does_not() {
    let (mut process, mut database) = (Process::start(7, 3), Database::default());
    for left in [2, 1, 0] {
        let standing = Standing { limit: 3, remaining: left, reset: 480 };
        assert_eq!(process.request(&mut database, 7, 1), (standing, None));
    }
    let refused = (Standing { limit: 3, remaining: 0, reset: 480 }, Some(Reached::Key));
    assert_eq!(process.request(&mut database, 7, 1), refused);
    // Refused, it does not count against the tenant.
    assert_eq!(database.tenant.issued, 3);
}

#[test]
fn a_process_that_counts_for_itself_has_its_limit() {
    let mut process = Process::start(7, 20);
    let mut passed = 0;
    for _ in 0..100 {
        match process.judge() {
            Some((_, None)) => passed += 1,
            Some((_, Some(reached))) => assert_eq!(reached, Reached::Key),
            None => {
                let (key, tenant) = process.ask();
                process.key.help_themselves(&key, 7);
                process.tenant.help_themselves(&tenant, 7);
            }
        }
    }
    assert_eq!(passed, 20);
}

/// What may happen, to one of three processes.
#[derive(Debug, Clone, Copy)]
enum Step {
    Request(usize),
    /// It asks the counters, they answer, and the answer arrives.
    Ask(usize),
    Answer(usize),
    Arrive(usize),
    Die(usize),
    /// The limit becomes this one, of which each hears when it does.
    Limit(i64),
    Hear(usize),
    /// The next minute begins, of which each takes note when it does.
    Minute,
    Note(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let process = 0..3_usize;
    let step = prop_oneof![
        20 => process.clone().prop_map(Step::Request),
        8 => process.clone().prop_map(Step::Ask),
        8 => process.clone().prop_map(Step::Answer),
        8 => process.clone().prop_map(Step::Arrive),
        1 => process.clone().prop_map(Step::Die),
        1 => (1..60_i64).prop_map(Step::Limit),
        1 => process.clone().prop_map(Step::Hear),
        1 => Just(Step::Minute),
        1 => process.prop_map(Step::Note),
    ];
    prop::collection::vec(step, 1..600)
}

proptest! {
    /// Whatever is under way, dies, is heard late: no minute has more than a tenth above the largest limit that was in force.
    #[test]
    fn never_more_pass_than_the_cap(steps in steps(), mut limit in 1..60_i64, several in any::<bool>()) {
        let processes = if several { 3 } else { 1 };
        let (mut window, mut database) = (7, Database::default());
        let mut all = [Process::start(window, limit); 3];
        // By the end of the window: what has passed of key and tenant.
        let mut passed: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
        let mut largest = limit;
        for step in steps {
            let of = |nth: usize| if several { nth } else { 0 };
            match step {
                Step::Request(nth) => {
                    if let Some((standing, reached)) = all[of(nth)].judge() {
                        let (key, tenant) = passed.entry(standing.reset).or_default();
                        *key += i64::from(reached != Some(Reached::Key));
                        *tenant += i64::from(reached.is_none());
                    }
                }
                Step::Ask(nth) => {
                    let process = &mut all[of(nth)];
                    if process.asked.is_none() {
                        process.asked = Some((process.ask(), None));
                    }
                }
                Step::Answer(nth) => {
                    if let Some((asked, answer @ None)) = &mut all[of(nth)].asked {
                        *answer = Some(database.issue(asked, window, processes));
                    }
                }
                Step::Arrive(nth) => {
                    let process = &mut all[of(nth)];
                    if let Some((asked, Some(given))) = process.asked {
                        process.asked = None;
                        process.receive(&asked, &given);
                    }
                }
                Step::Die(nth) => all[of(nth)] = Process::start(window, limit),
                Step::Limit(new) => {
                    limit = new;
                    largest = largest.max(new);
                }
                Step::Hear(nth) => all[of(nth)].limit = limit,
                Step::Minute => window += 1,
                Step::Note(nth) => all[of(nth)].window = window,
            }
            let above = |limit: i64| limit + if several { limit / 10 } else { 0 };
            for (key, tenant) in passed.values() {
                prop_assert!(*key <= above(largest), "{key} of {largest} after {step:?}");
                prop_assert!(*tenant <= above(3 * largest), "{tenant} of 3 times {largest} after {step:?}");
            }
        }
    }

    /// With one process just as many pass as are asked for, up to the limit: also when that changes within the minute.
    #[test]
    fn one_process_is_exact(requests in prop::collection::vec((0..2_usize, prop::option::weighted(0.05, 1..40_i64)), 1..400)) {
        let (mut database, mut process) = (Database::default(), Process::start(7, 20));
        // The other key of the tenant.
        let (mut counter, mut other) = (Counter::default(), Permits::default());
        let (mut of_keys, mut of_tenant) = ([0, 0], 0);
        for (nth, change) in requests {
            process.limit = change.unwrap_or(process.limit);
            let limit = process.limit;
            if nth == 1 {
                std::mem::swap(&mut counter, &mut database.key);
                std::mem::swap(&mut other, &mut process.key);
            }
            let (standing, reached) = process.request(&mut database, 7, 1);
            if nth == 1 {
                std::mem::swap(&mut counter, &mut database.key);
                std::mem::swap(&mut other, &mut process.key);
            }
            let expected = if of_keys[nth] >= limit {
                Some(Reached::Key)
            } else if of_tenant >= 3 * limit {
                Some(Reached::Tenant)
            } else {
                None
            };
            prop_assert_eq!(reached, expected, "{} {} of {}", of_keys[nth], of_tenant, limit);
            of_keys[nth] += i64::from(reached != Some(Reached::Key));
            of_tenant += i64::from(reached.is_none());
            let left = if reached.is_none() { limit - of_keys[nth] } else { 0 };
            prop_assert_eq!(standing, Standing { limit, remaining: left, reset: 480 });
        }
    }

    /// With several, whatever the others hold, at least the limit passes when it is asked for.
    #[test]
    fn several_do_not_fall_short(
        processes in 2..12_usize,
        limit in 1..2000_i64,
        requests in prop::collection::vec(any::<prop::sample::Index>(), 0..200),
        last in any::<prop::sample::Index>(),
    ) {
        let (mut database, mut all) = (Database::default(), vec![Process::start(7, limit); processes]);
        let count = i64::try_from(processes).unwrap();
        let mut passed = 0;
        for nth in requests {
            let (_, reached) = nth.get_mut(&mut all).request(&mut database, 7, count);
            passed += i64::from(reached.is_none());
        }
        while last.get_mut(&mut all).request(&mut database, 7, count).1.is_none() {
            passed += 1;
        }
        prop_assert!((limit..=limit + limit / 10).contains(&passed), "{} of {}", passed, limit);
        // What each holds is a batch at most.
        let batch = Share::of(limit, count).batch;
        prop_assert!(all.iter().all(|process| process.key.held <= batch));
    }
}
