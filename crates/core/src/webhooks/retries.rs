//! When an event that could not be delivered is tried again.

use std::str::FromStr;

/// How often an event is tried in all.
pub const MAX_ATTEMPTS: i32 = 6;

/// The most that may be between two attempts: a week.
const LONGEST: u32 = 7 * 24 * 60 * 60;

/// The seconds between attempts, each with a little chance added so that those who failed together do not come back together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetrySchedule(Vec<u32>);

impl Default for RetrySchedule {
    /// A minute, 5, 25 minutes, 2, 10 hours.
    fn default() -> Self {
        Self(vec![60, 300, 1500, 7200, 36_000])
    }
}

impl RetrySchedule {
    /// Seconds to wait after the `attempt`th attempt has failed; None when it was the last. `chance` is between 0 and 1, and adds
    /// up to a tenth.
    pub fn delay(&self, attempt: i32, chance: f64) -> Option<f64> {
        if attempt >= MAX_ATTEMPTS {
            return None;
        }
        let nth = usize::try_from(attempt - 1).unwrap_or_default();
        // The last one counts for all that have none of their own.
        let seconds = self.0.get(nth).or(self.0.last()).copied().unwrap_or_default();
        Some(f64::from(seconds) * (1.0 + 0.1 * chance.clamp(0.0, 1.0)))
    }
}

/// Why a text is no schedule.
#[derive(Debug, PartialEq, Eq)]
pub struct NotASchedule(String);

impl std::fmt::Display for NotASchedule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let most = MAX_ATTEMPTS - 1;
        write!(
            f,
            "{:?} is no schedule; write 1 to {most} numbers of seconds up to {LONGEST}, as in 60,300,1500",
            self.0
        )
    }
}

impl std::error::Error for NotASchedule {}

impl FromStr for RetrySchedule {
    type Err = NotASchedule;

    fn from_str(list: &str) -> Result<Self, NotASchedule> {
        let seconds =
            list.split(',').map(|part| part.trim().parse().ok().filter(|seconds| *seconds <= LONGEST));
        let seconds: Option<Vec<u32>> = seconds.collect();
        let fits = |seconds: &Vec<u32>| seconds.len() < usize::try_from(MAX_ATTEMPTS).unwrap_or_default();
        seconds.filter(fits).map(Self).ok_or_else(|| NotASchedule(list.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn six_attempts_with_longer_and_longer_waits() {
        let schedule = RetrySchedule::default();
        let delays: Vec<_> = (1..=MAX_ATTEMPTS).map(|attempt| schedule.delay(attempt, 0.0)).collect();
        assert_eq!(delays, [Some(60.0), Some(300.0), Some(1500.0), Some(7200.0), Some(36_000.0), None]);
    }

    #[test]
    fn an_operator_may_have_another_one() {
        let schedule: RetrySchedule = "1, 2".parse().unwrap();
        let delays: Vec<_> = (1..=MAX_ATTEMPTS).map(|attempt| schedule.delay(attempt, 0.0)).collect();
        assert_eq!(delays, [Some(1.0), Some(2.0), Some(2.0), Some(2.0), Some(2.0), None]);
        for wrong in ["", "1,", "soon", "-1", "1,2,3,4,5,6", "604801", "1.5"] {
            let error = wrong.parse::<RetrySchedule>().unwrap_err().to_string();
            assert!(error.contains("60,300,1500"), "{error}");
        }
    }

    proptest! {
        /// Never sooner than it should be, and never more than a tenth later.
        #[test]
        fn chance_only_adds(attempt in 1..MAX_ATTEMPTS, chance in -1.0..2.0_f64) {
            let schedule = RetrySchedule::default();
            let (least, delay) = (schedule.delay(attempt, 0.0).unwrap(), schedule.delay(attempt, chance).unwrap());
            prop_assert!(delay >= least && delay <= least * 1.1 + 1e-6);
        }
    }
}
