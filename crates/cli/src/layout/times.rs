//! When something was, as people say it.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

use super::Screen;

/// From so many days on a date says more.
const MONTH: i64 = 30;

/// `3 h ago`; with `--wide` to the second, in a form that options take. What is no time stays as it is.
pub(crate) fn told(time: &str, screen: &Screen) -> String {
    match DateTime::parse_from_rfc3339(time) {
        Ok(_) if screen.is_wide => to_the_second(time),
        Ok(time) => relative(time.to_utc(), screen.now),
        Err(_) => time.to_owned(),
    }
}

/// `2026-11-29T13:25:41Z`
pub(crate) fn to_the_second(time: &str) -> String {
    let seconds = |time: DateTime<_>| time.to_utc().to_rfc3339_opts(SecondsFormat::Secs, true);
    DateTime::parse_from_rfc3339(time).map_or_else(|_| time.to_owned(), seconds)
}

/// How long ago something was, or in how long it will be; of what is further away, the day.
pub(crate) fn relative(time: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let since = now - time;
    if since.abs() >= TimeDelta::days(MONTH) {
        return time.format("%Y-%m-%d").to_string();
    }
    // Clocks of two machines differ by a little.
    if since.abs() < TimeDelta::seconds(1) {
        return "now".to_owned();
    }
    let span = span(since.abs());
    if since > TimeDelta::zero() { format!("{span} ago") } else { format!("in {span}") }
}

/// `42 s`, `5 min`, `3 h`, `12 d`: whole ones of the largest unit of which there are at least two.
pub(crate) fn span(span: TimeDelta) -> String {
    match span.num_minutes() {
        0..=1 => format!("{} s", span.num_seconds()),
        2..=119 => format!("{} min", span.num_minutes()),
        120..=2_879 => format!("{} h", span.num_hours()),
        _ => format!("{} d", span.num_days()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_from_now() {
        let screen = Screen::of(80);
        for (time, expected) in [
            ("2026-11-30T12:00:00.400000Z", "now"),
            ("2026-11-30T11:59:18Z", "42 s ago"),
            ("2026-11-30T11:58:01Z", "119 s ago"),
            ("2026-11-30T11:55:00.123456Z", "4 min ago"),
            ("2026-11-30T09:00:00Z", "3 h ago"),
            ("2026-11-30T10:00:00+01:00", "3 h ago"),
            ("2026-11-29T11:59:59Z", "24 h ago"),
            ("2026-11-20T12:00:00Z", "10 d ago"),
            ("2026-10-01T12:00:00Z", "2026-10-01"),
            ("2026-11-30T15:30:00Z", "in 3 h"),
            ("2027-06-01T00:00:00Z", "2027-06-01"),
            ("never", "never"),
            ("", ""),
        ] {
            assert_eq!(told(time, &screen), expected, "{time}");
        }
    }

    #[test]
    fn wide_times_are_such_as_options_take() {
        let wide = Screen { is_wide: true, ..Screen::of(80) };
        assert_eq!(told("2026-11-30T10:00:00.123456+01:00", &wide), "2026-11-30T09:00:00Z");
        assert_eq!(told("soon", &wide), "soon");
    }
}
