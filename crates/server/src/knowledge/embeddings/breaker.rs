//! Whoever fails again and again is left alone for a while.

use std::time::{Duration, Instant};

/// So many failures within this time are enough.
const FAILURES: usize = 3;
const WITHIN: Duration = Duration::from_secs(60);
/// How long nobody asks then.
const PAUSE: Duration = Duration::from_secs(30);

/// What is known of somebody's health.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failed: Vec<Instant>,
    closed_until: Option<Instant>,
}

impl Breaker {
    /// Whether it is worth asking.
    pub(super) fn admits(&self, now: Instant) -> bool {
        self.closed_until.is_none_or(|until| now >= until)
    }

    /// Notes how it went.
    pub(super) fn note(&mut self, went_well: bool, now: Instant) {
        if went_well {
            *self = Self::default();
            return;
        }
        self.failed.retain(|at| now.duration_since(*at) < WITHIN);
        self.failed.push(now);
        if self.failed.len() >= FAILURES {
            self.failed.clear();
            self.closed_until = Some(now + PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_failures_within_a_minute_are_enough() {
        let begin = Instant::now();
        let after = |seconds: u64| begin + Duration::from_secs(seconds);
        let mut breaker = Breaker::default();
        breaker.note(false, after(0));
        breaker.note(false, after(1));
        breaker.note(false, after(61));
        assert!(breaker.admits(after(61)), "the first one is forgotten");
        breaker.note(false, after(61));
        breaker.note(false, after(62));
        assert!(!breaker.admits(after(62)) && !breaker.admits(after(91)) && breaker.admits(after(92)));
        breaker.note(false, after(92));
        assert!(breaker.admits(after(92)));
        breaker.note(true, after(93));
        breaker.note(false, after(94));
        breaker.note(false, after(94));
        assert!(breaker.admits(after(94)), "one that went well makes good for those before");
    }
}
