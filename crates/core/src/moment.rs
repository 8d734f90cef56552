//! Moments as people and programs write them in a query: leniently where only one thing can be meant.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};

/// What a day without a time stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Day {
    /// Its first moment.
    Begins,
    /// Its last microsecond.
    Ends,
}

/// Reads a moment: a timestamp with an offset or `Z`, also with a blank where a `+` was sent without being escaped; one without an
/// offset, which is UTC; or a day. None for everything else.
pub fn parse(text: &str, day: Day) -> Option<DateTime<Utc>> {
    let text = text.trim();
    // chrono takes years of any length and sign, for which PostgreSQL has no room.
    let (year, rest) = text.split_at_checked(4)?;
    if !year.bytes().all(|byte| byte.is_ascii_digit()) || !rest.starts_with('-') {
        return None;
    }
    let escaped = match text.rsplit_once(' ') {
        Some((moment, offset)) if moment.len() > "YYYY-MM-DD".len() => format!("{moment}+{offset}"),
        _ => text.to_owned(),
    };
    if let Ok(moment) = DateTime::parse_from_rfc3339(&escaped) {
        return Some(moment.with_timezone(&Utc));
    }
    for form in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"] {
        if let Ok(moment) = NaiveDateTime::parse_from_str(text, form) {
            return Some(moment.and_utc());
        }
    }
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    let begins = date.and_time(NaiveTime::MIN).and_utc();
    match day {
        Day::Begins => Some(begins),
        Day::Ends => begins.checked_add_signed(TimeDelta::days(1) - TimeDelta::microseconds(1)),
    }
}

#[cfg(test)]
mod tests {
    use chrono::SecondsFormat;
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str, day: Day) -> Option<String> {
        Some(parse(text, day)?.to_rfc3339_opts(SecondsFormat::Micros, true))
    }

    #[test]
    fn what_can_mean_one_thing_only() {
        for (text, meant) in [
            ("2026-03-01T10:00:00Z", "2026-03-01T10:00:00.000000Z"),
            ("2026-03-01T10:00:00.5+02:00", "2026-03-01T08:00:00.500000Z"),
            ("2026-03-01T10:00:00 02:00", "2026-03-01T08:00:00.000000Z"),
            ("2026-03-01T10:00:00-02:00", "2026-03-01T12:00:00.000000Z"),
            ("2026-03-01T10:00:00.123456", "2026-03-01T10:00:00.123456Z"),
            ("2026-03-01 10:00:00", "2026-03-01T10:00:00.000000Z"),
            (" 2026-03-01 ", "2026-03-01T00:00:00.000000Z"),
        ] {
            assert_eq!(read(text, Day::Begins).as_deref(), Some(meant), "{text}");
        }
        assert_eq!(read("2026-02-28", Day::Ends).as_deref(), Some("2026-02-28T23:59:59.999999Z"));
        assert_eq!(read("9999-12-31", Day::Ends).as_deref(), Some("9999-12-31T23:59:59.999999Z"));
    }

    #[test]
    fn everything_else_is_none() {
        for text in [
            "",
            "not-a-date",
            "2026-13-45T99:99:99Z",
            "2026-02-30",
            "1771063200",
            "26-01-01",
            "+12026-01-01",
            "-2026-01-01",
            "2026-01-01T00:00",
            "2026-01-01T00:00:00Z Z",
            "yesterday",
            "2026",
            "20é6-01-01",
        ] {
            assert_eq!(read(text, Day::Begins), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_timestamp_is_read_as_it_was_written(micros in 0..253_402_300_799_000_000_i64) {
            let moment = DateTime::from_timestamp_micros(micros);
            let text = moment.map(|moment| moment.to_rfc3339_opts(SecondsFormat::Micros, true));
            prop_assert_eq!(parse(&text.unwrap_or_default(), Day::Ends), moment);
        }

        #[test]
        fn nothing_panics(text in ".{0,40}") {
            let _ = parse(&text, Day::Ends);
        }
    }
}
