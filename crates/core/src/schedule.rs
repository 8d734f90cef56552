//! When what is done regularly is done next, and how long after a failure something is tried again.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc, Weekday};

const HOUR: i64 = 60;
const DAY: i64 = 24 * HOUR;
const WEEK: i64 = 7 * DAY;

/// The first day of our era of minutes was a Thursday; this is the Monday before it.
const MONDAY: i64 = -3 * DAY;

/// When something is done, in UTC, to the minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schedule {
    /// Every so many minutes, at least one, counted from a common beginning: all servers mean the same minutes.
    Every {
        /// How many.
        minutes: u16,
    },
    /// At this minute of each hour.
    Hourly {
        /// 0 to 59.
        minute: u8,
    },
    /// At this time of each day.
    Daily {
        /// 0 to 23.
        hour: u8,
        /// 0 to 59.
        minute: u8,
    },
    /// At this time of this day of each week.
    Weekly {
        /// Which.
        day: Weekday,
        /// 0 to 23.
        hour: u8,
        /// 0 to 59.
        minute: u8,
    },
}

impl Schedule {
    /// The first time after this moment. What is at the moment itself is past.
    pub fn next_after(self, moment: DateTime<Utc>) -> DateTime<Utc> {
        let (period, offset) = self.in_minutes();
        let minute = moment.timestamp().div_euclid(60);
        let next = minute + period - (minute - offset).rem_euclid(period);
        DateTime::from_timestamp(60 * next, 0).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// How many minutes are between two times, and which minute of ours was one.
    fn in_minutes(self) -> (i64, i64) {
        match self {
            Self::Every { minutes } => (i64::from(minutes.max(1)), 0),
            Self::Hourly { minute } => (HOUR, i64::from(minute)),
            Self::Daily { hour, minute } => (DAY, HOUR * i64::from(hour) + i64::from(minute)),
            Self::Weekly { day, hour, minute } => {
                let days = i64::from(day.num_days_from_monday());
                (WEEK, MONDAY + DAY * days + HOUR * i64::from(hour) + i64::from(minute))
            }
        }
    }
}

/// As people read it.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every { minutes: 0 | 1 } => f.write_str("every minute"),
            Self::Every { minutes } => write!(f, "every {minutes} minutes"),
            Self::Hourly { minute } => write!(f, "hourly at :{minute:02}"),
            Self::Daily { hour, minute } => write!(f, "daily at {hour:02}:{minute:02} UTC"),
            Self::Weekly { day, hour, minute } => write!(f, "{day} at {hour:02}:{minute:02} UTC"),
        }
    }
}

/// How long after a failure something is tried again. Not everything at the same moment, which `luck` sees to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backoff {
    /// Twice as long each time: between half of that and all of it.
    Doubling {
        /// After the first attempt.
        first: Duration,
        /// At most.
        most: Duration,
    },
    /// `n⁴ + 15` seconds after the nth attempt, and up to `30 n` more: soon at first, and then much later.
    Quartic,
}

impl Backoff {
    /// The pause after this attempt, counted from 1. `luck` is between 0 and 1.
    pub fn after(self, attempt: u32, luck: f64) -> Duration {
        let luck = luck.clamp(0.0, 1.0);
        match self {
            Self::Doubling { first, most } => {
                let doubled = 2_u32.saturating_pow(attempt.saturating_sub(1));
                let whole = first.saturating_mul(doubled).min(most);
                whole / 2 + (whole / 2).mul_f64(luck)
            }
            Self::Quartic => {
                let attempt = u64::from(attempt);
                let further = 1 + ((luck * 30.0) as u64).min(29);
                Duration::from_secs(attempt.saturating_pow(4).saturating_add(15 + further * attempt))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{Datelike, TimeDelta, Timelike};
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn times_that_can_be_looked_up() {
        let every = |minutes| Schedule::Every { minutes };
        let sunday = Schedule::Weekly { day: Weekday::Sun, hour: 3, minute: 0 };
        for (schedule, moment, next) in [
            (every(1), "2026-11-28T22:41:32Z", "2026-11-28T22:42:00Z"),
            (every(5), "2026-11-28T22:41:32Z", "2026-11-28T22:45:00Z"),
            (every(5), "2026-11-28T22:45:00Z", "2026-11-28T22:50:00Z"),
            (Schedule::Hourly { minute: 20 }, "2026-11-28T22:19:59.999Z", "2026-11-28T22:20:00Z"),
            (Schedule::Hourly { minute: 20 }, "2026-12-31T23:20:00Z", "2027-01-01T00:20:00Z"),
            (Schedule::Daily { hour: 2, minute: 0 }, "2026-11-28T22:41:32Z", "2026-11-29T02:00:00Z"),
            (Schedule::Daily { hour: 2, minute: 0 }, "2028-02-28T02:00:00Z", "2028-02-29T02:00:00Z"),
            // The 29th of November 2026 is a Sunday.
            (sunday, "2026-11-28T22:41:32Z", "2026-11-29T03:00:00Z"),
            (sunday, "2026-11-29T03:00:00.000001Z", "2026-12-06T03:00:00Z"),
            // Before the era began.
            (sunday, "1969-12-27T12:00:00Z", "1969-12-28T03:00:00Z"),
        ] {
            assert_eq!(schedule.next_after(at(moment)), at(next), "{schedule} after {moment}");
        }
    }

    #[test]
    fn people_read_them() {
        let weekly = Schedule::Weekly { day: Weekday::Sun, hour: 3, minute: 0 };
        for (schedule, text) in [
            (Schedule::Every { minutes: 5 }, "every 5 minutes"),
            (Schedule::Hourly { minute: 7 }, "hourly at :07"),
            (Schedule::Daily { hour: 2, minute: 0 }, "daily at 02:00 UTC"),
            (weekly, "Sun at 03:00 UTC"),
        ] {
            assert_eq!(schedule.to_string(), text);
        }
    }

    fn schedules() -> impl Strategy<Value = Schedule> {
        prop_oneof![
            (1..2000_u16).prop_map(|minutes| Schedule::Every { minutes }),
            (0..60_u8).prop_map(|minute| Schedule::Hourly { minute }),
            (0..24_u8, 0..60_u8).prop_map(|(hour, minute)| Schedule::Daily { hour, minute }),
            (0..7_u8, 0..24_u8, 0..60_u8).prop_map(|(day, hour, minute)| Schedule::Weekly {
                day: Weekday::try_from(day).unwrap(),
                hour,
                minute
            }),
        ]
    }

    /// Whether it is one of the schedule's times, by the calendar.
    fn fits(schedule: Schedule, moment: DateTime<Utc>) -> bool {
        let is = |hour: u8, minute: u8| (moment.hour(), moment.minute()) == (hour.into(), minute.into());
        moment.second() == 0
            && moment.nanosecond() == 0
            && match schedule {
                Schedule::Every { minutes } => (moment.timestamp() / 60) % i64::from(minutes) == 0,
                Schedule::Hourly { minute } => moment.minute() == u32::from(minute),
                Schedule::Daily { hour, minute } => is(hour, minute),
                Schedule::Weekly { day, hour, minute } => moment.weekday() == day && is(hour, minute),
            }
    }

    proptest! {
        /// It is later, it is one of the times, and no earlier one is.
        #[test]
        fn the_next_time_is_the_first_one(schedule in schedules(), micros in -4_102_444_800_000_000..4_102_444_800_000_000_i64) {
            let moment = DateTime::from_timestamp_micros(micros).unwrap();
            let next = schedule.next_after(moment);
            prop_assert!(next > moment);
            prop_assert!(fits(schedule, next), "{} is no time of {}", next, schedule);
            let mut minute = moment.with_second(0).unwrap().with_nanosecond(0).unwrap() + TimeDelta::minutes(1);
            while minute < next {
                prop_assert!(!fits(schedule, minute), "{} was left out of {}", minute, schedule);
                minute += TimeDelta::minutes(1);
            }
        }

        #[test]
        fn nothing_panics(schedule in schedules(), seconds in any::<i64>()) {
            if let Some(moment) = DateTime::from_timestamp(seconds, 0) {
                prop_assert!(schedule.next_after(moment) >= moment);
            }
            prop_assert!(schedule.next_after(DateTime::<Utc>::MAX_UTC) == DateTime::<Utc>::MAX_UTC);
        }

        /// Pauses grow up to their bound, and luck takes at most half of them.
        #[test]
        fn pauses_double(first in 1..100_u64, attempt in 1..100_u32, luck in 0.0..=1.0_f64) {
            let backoff = Backoff::Doubling { first: Duration::from_secs(first), most: Duration::from_secs(3600) };
            let whole = backoff.after(attempt, 1.0);
            let expected = (first as f64 * 2_f64.powi(attempt as i32 - 1)).min(3600.0);
            prop_assert!((whole.as_secs_f64() - expected).abs() < 1e-6);
            let pause = backoff.after(attempt, luck);
            prop_assert!(pause >= whole / 2 && pause <= whole);
        }

        #[test]
        fn pauses_grow_with_the_fourth_power(attempt in any::<u32>(), luck in -1.0..2.0_f64) {
            let seconds = Backoff::Quartic.after(attempt, luck).as_secs();
            let (n, fourth) = (u64::from(attempt), u64::from(attempt).saturating_pow(4));
            prop_assert!(seconds >= fourth.saturating_add(15).saturating_add(n) || seconds == u64::MAX);
            prop_assert!(seconds <= fourth.saturating_add(15 + 30 * n));
        }
    }
}
