//! How often one client without a key may try something: so many times within any hour, whenever it begins.

use chrono::{DateTime, TimeDelta, Utc};

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptLimit {
    /// What it is called where it is counted.
    pub name: &'static str,
    /// What clients are told it is.
    pub of: &'static str,
    /// How many attempts are let through within a window.
    pub most: usize,
}

/// Signing up, whatever becomes of it.
pub const SIGNUPS: AttemptLimit = AttemptLimit { name: "signup", of: "registration", most: 5 };

/// Asking for a challenge to enrol an authenticator with.
pub const CHALLENGES: AttemptLimit = AttemptLimit { name: "challenge", of: "registration", most: 60 };

/// Asking for a challenge to sign in with.
pub const SIGN_IN_CHALLENGES: AttemptLimit =
    AttemptLimit { name: "sign_in_challenge", of: "sign-in", most: 60 };

/// Signing in, whatever becomes of it.
pub const SIGN_INS: AttemptLimit = AttemptLimit { name: "sign_in", of: "sign-in", most: 60 };

/// For how long an attempt counts.
const WINDOW: TimeDelta = TimeDelta::hours(1);

impl AttemptLimit {
    /// Whether there may be another attempt now, after those of `earlier`: what to remember then, oldest first. One that is refused is
    /// not remembered, so that whoever keeps trying is let in as soon as whoever waits.
    ///
    /// # Errors
    /// After how many whole seconds there may be one, at least 1.
    pub fn admit(self, earlier: &[DateTime<Utc>], now: DateTime<Utc>) -> Result<Vec<DateTime<Utc>>, u32> {
        // A clock that was set back must not keep anybody out for longer than a window.
        let mut counted: Vec<_> =
            earlier.iter().copied().filter(|time| (now - *time).abs() < WINDOW).collect();
        counted.sort_unstable();
        // The one whose end makes room.
        if let Some(oldest) = counted.len().checked_sub(self.most).and_then(|index| counted.get(index)) {
            let left = (*oldest + WINDOW - now).min(WINDOW);
            let seconds = (left.num_milliseconds() + 999) / 1000;
            return Err(u32::try_from(seconds).unwrap_or(u32::MAX).max(1));
        }
        counted.push(now);
        Ok(counted)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    #[test]
    fn the_sixth_waits_for_the_end_of_the_first() {
        let mut known = Vec::new();
        for second in 0..5 {
            known = SIGNUPS.admit(&known, at(second * 60)).unwrap();
        }
        assert_eq!(SIGNUPS.admit(&known, at(300)), Err(3300));
        assert_eq!(SIGNUPS.admit(&known, at(3599)), Err(1));
        assert_eq!(SIGNUPS.admit(&known, at(3600)).unwrap().len(), 5);
    }

    proptest! {
        #[test]
        fn no_hour_has_more_than_the_limit(
            pauses in prop::collection::vec(0..2000_i64, 1..100), most in 1..7_usize,
        ) {
            let limit = AttemptLimit { name: "", of: "", most };
            let (mut now, mut known, mut admitted) = (0, Vec::new(), Vec::<i64>::new());
            for pause in pauses {
                now += pause;
                if let Ok(remembered) = limit.admit(&known, at(now)) {
                    known = remembered;
                    admitted.push(now);
                    prop_assert!(known.len() <= most);
                }
            }
            for from in &admitted {
                let within = admitted.iter().filter(|time| (*from..from + 3600).contains(time));
                prop_assert!(within.count() <= most);
            }
        }

        #[test]
        fn what_is_told_to_wait_is_what_it_takes(
            earlier in prop::collection::vec(-4000..4000_i64, 0..20), most in 1..7_usize,
        ) {
            let limit = AttemptLimit { name: "", of: "", most };
            let known: Vec<_> = earlier.iter().map(|second| at(*second)).collect();
            if let Err(seconds) = limit.admit(&known, at(0)) {
                prop_assert!((1..=3600).contains(&seconds));
                // Also when the clock was set back, a window later everybody is let in who kept still.
                let past: Vec<_> = known.iter().copied().filter(|time| *time <= at(0)).collect();
                if past.len() == known.len() {
                    prop_assert!(limit.admit(&known, at(i64::from(seconds))).is_ok());
                    prop_assert!(limit.admit(&known, at(i64::from(seconds) - 1)).is_err());
                }
            }
        }
    }
}
