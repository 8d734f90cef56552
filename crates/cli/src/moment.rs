//! Times as people write them on the command line.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use loopctl_core::moment::{Day, parse};

use crate::error::Error;

/// A time as people write it, as a timestamp: `2h` is two hours ago.
pub(crate) fn moment(option: &str, text: &str, day: Day, now: DateTime<Utc>) -> Result<String, Error> {
    let moment = ago(text).map(|ago| now.checked_sub_signed(ago)).unwrap_or_else(|| parse(text, day));
    let moment = moment.ok_or_else(|| {
        Error::Usage(format!(
            "Invalid time '{text}' for {option}. Valid: 2026-01-01T00:00:00Z, 2026-01-01, or how long ago: 30m, 2h, 7d"
        ))
    })?;
    Ok(moment.to_rfc3339_opts(SecondsFormat::Micros, true))
}

/// `30m`, `2h`, `7d`
pub(crate) fn ago(text: &str) -> Option<TimeDelta> {
    let text = text.trim();
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number = number.bytes().all(|byte| byte.is_ascii_digit()).then_some(number)?.parse().ok()?;
    match unit {
        "s" => TimeDelta::try_seconds(number),
        "m" => TimeDelta::try_minutes(number),
        "h" => TimeDelta::try_hours(number),
        "d" => TimeDelta::try_days(number),
        "w" => TimeDelta::try_weeks(number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_at_noon(text: &str, day: Day) -> Option<String> {
        moment("--since", text, day, "2026-03-08T12:00:00Z".parse().unwrap()).ok()
    }

    #[test]
    fn times_are_written_as_people_do() {
        for (text, meant) in [
            ("90s", "2026-03-08T11:58:30.000000Z"),
            ("30m", "2026-03-08T11:30:00.000000Z"),
            ("2h", "2026-03-08T10:00:00.000000Z"),
            (" 7d ", "2026-03-01T12:00:00.000000Z"),
            ("1w", "2026-03-01T12:00:00.000000Z"),
            ("2026-03-01", "2026-03-01T00:00:00.000000Z"),
            ("2026-03-01T01:00:00+02:00", "2026-02-28T23:00:00.000000Z"),
        ] {
            assert_eq!(read_at_noon(text, Day::Begins).as_deref(), Some(meant), "{text}");
        }
        assert_eq!(read_at_noon("2026-03-01", Day::Ends).as_deref(), Some("2026-03-01T23:59:59.999999Z"));
        for none in
            ["", "h", "2", "-2h", "2.5h", "2 h", "2y", "99999999999999999999d", "999999999999d", "yesterday"]
        {
            assert_eq!(read_at_noon(none, Day::Begins), None, "{none}");
        }
    }

    proptest! {
        #[test]
        fn no_time_panics(text in ".{0,30}") {
            let _ = read_at_noon(&text, Day::Ends);
        }
    }
}
