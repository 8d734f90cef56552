//! Story numbers: `major` or `major.minor`.

use std::cmp::Ordering;
use std::fmt;

/// A valid story number. Compared as numbers, with the exact text as tie-breaker (`1.1` before `1.01`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StoryNumber {
    text: String,
    major: i32,
    minor: i32,
}

impl StoryNumber {
    /// Parses a story number.
    ///
    /// # Errors
    /// The contract's message for a wrong shape or a bad part.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (major, minor) = match text.split_once('.') {
            Some((_, rest)) if rest.contains('.') => {
                return Err("must be in format 'major.minor' or 'major'");
            }
            Some((major, minor)) => (part(major)?, part(minor)?),
            None => (part(text)?, 0),
        };
        // Leading zeros could go on for ever, and an index has to hold the text.
        if text.len() > 255 {
            return Err("should be at most 255 character(s)");
        }
        Ok(Self { text: text.to_owned(), major, minor })
    }

    /// The number as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The part before the point.
    pub fn major(&self) -> i32 {
        self.major
    }

    /// The part after the point, 0 without one.
    pub fn minor(&self) -> i32 {
        self.minor
    }
}

impl fmt::Display for StoryNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Ord for StoryNumber {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.major, self.minor, &self.text).cmp(&(other.major, other.minor, &other.text))
    }
}

impl PartialOrd for StoryNumber {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// One part: ASCII digits only (no sign), below 10000.
fn part(text: &str) -> Result<i32, &'static str> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits
        .then(|| text.parse::<i32>().ok())
        .flatten()
        .filter(|number| *number < 10_000)
        .ok_or("each part must be a non-negative integer less than 10000")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn refuses_what_the_contract_refuses() {
        for bad in ["US-1.1", "1.", "1.a", "10000.1", "+1.1", "-0.1", "", ".", "1 .1", "١.١"] {
            assert!(StoryNumber::parse(bad).unwrap_err().starts_with("each part"), "{bad}");
        }
        assert!(StoryNumber::parse("1.1.1").unwrap_err().contains("'major.minor' or 'major'"));
        let zeros = |count| StoryNumber::parse(&format!("{}1", "0".repeat(count)));
        assert!(zeros(254).is_ok());
        assert_eq!(zeros(255), Err("should be at most 255 character(s)"));
    }

    #[test]
    fn orders_as_numbers() {
        let mut numbers: Vec<_> = ["2.1", "1.10", "1.9", "2", "1.1000", "1.2", "1.1", "1.01"]
            .map(|text| StoryNumber::parse(text).unwrap())
            .to_vec();
        numbers.sort();
        let order: Vec<_> = numbers.iter().map(StoryNumber::as_str).collect();
        assert_eq!(order, ["1.01", "1.1", "1.2", "1.9", "1.10", "1.1000", "2", "2.1"]);
    }

    proptest! {
        #[test]
        fn never_panics_and_keeps_the_text(text in ".*") {
            if let Ok(number) = StoryNumber::parse(&text) {
                prop_assert_eq!(number.as_str(), text);
                prop_assert!((0..10_000).contains(&number.major()) && (0..10_000).contains(&number.minor()));
            }
        }
    }
}
