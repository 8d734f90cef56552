//! Story numbers: one to six parts joined by points, such as `1.1`, `26.0.1` or `26.R.1`.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

/// Parts of a number, and what they and the whole may hold.
const PARTS: usize = 6;
const PART: usize = 32;
const WHOLE: usize = 100;

const SHAPE: &str = "must be 1 to 6 parts of letters, digits, '_' or '-', joined by points";

/// A valid story number. Compared part by part: two numbers as numbers, a number before a word, words by code point, the
/// shorter of two equal beginnings first; the exact text last (`1.01` before `1.1`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StoryNumber(String);

/// A part as it is compared.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Part<'a> {
    /// Its digits without leading zeros: more of them are more.
    Number(usize, &'a str),
    Word(&'a str),
}

impl StoryNumber {
    /// Parses a story number.
    ///
    /// # Errors
    /// The contract's message.
    pub fn parse(text: &str) -> Result<Self, Cow<'static, str>> {
        if let Some(rest) = without_prefix(text) {
            return Err(match Self::parse(rest) {
                Ok(number) => format!("must not carry the prefix US-: write \"{number}\"").into(),
                Err(_) => SHAPE.into(),
            });
        }
        let parts = text.split('.').count();
        let well_formed = parts <= PARTS && text.len() <= WHOLE && text.split('.').all(is_part);
        if well_formed { Ok(Self(text.to_owned())) } else { Err(SHAPE.into()) }
    }

    /// A number that a story has already. Some are longer than one may be today.
    pub fn stored(text: String) -> Self {
        Self(text)
    }

    /// The number as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        self.0.split('.').map(|part| {
            if part.bytes().all(|byte| byte.is_ascii_digit()) {
                let digits = part.trim_start_matches('0');
                Part::Number(digits.len(), digits)
            } else {
                Part::Word(part)
            }
        })
    }
}

fn is_part(text: &str) -> bool {
    (1..=PART).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// What follows `US-` or `US_`, in any case: how people name a story, and no part of its number.
pub fn without_prefix(text: &str) -> Option<&str> {
    let (prefix, rest) = text.split_at_checked(3)?;
    (prefix.eq_ignore_ascii_case("US-") || prefix.eq_ignore_ascii_case("US_")).then_some(rest)
}

impl fmt::Display for StoryNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Ord for StoryNumber {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts().cmp(other.parts()).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for StoryNumber {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn takes_one_to_six_parts() {
        let long = |length: usize| "a".repeat(length);
        let most = [long(32), long(32), long(32)].join(".");
        for good in
            ["1", "1.1", "26.0.1", "26.R.1", "1.2.3.4.5.6", "10000.1", "-1", "a_b-c.01", &long(32), &most]
        {
            assert_eq!(StoryNumber::parse(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            ".",
            "1.",
            ".1",
            "1..2",
            "1.2.3.4.5.6.7",
            "+1.1",
            "1 .1",
            "1.1 ",
            "1.1\n",
            "١.١",
            "é",
            "1,1",
            "a/b",
        ] {
            assert_eq!(StoryNumber::parse(bad).unwrap_err(), SHAPE, "{bad}");
        }
        assert_eq!(StoryNumber::parse(&long(33)).unwrap_err(), SHAPE);
        assert_eq!(StoryNumber::parse(&format!("{most}.aa")).unwrap_err(), SHAPE, "101 characters");
    }

    #[test]
    fn says_what_to_write_instead_of_a_reference() {
        for (reference, number) in [("US-1.1", "1.1"), ("us-26.R.1", "26.R.1"), ("Us_2", "2")] {
            let advice = format!("must not carry the prefix US-: write \"{number}\"");
            assert_eq!(StoryNumber::parse(reference).unwrap_err(), advice);
        }
        for bad in ["US-", "US-1.", "US-US-1"] {
            assert!(!StoryNumber::parse(bad).unwrap_err().contains("write \"\""), "{bad}");
        }
        // Words that only begin alike.
        for good in ["US2.1", "USB-1", "U.S-1", "us"] {
            assert!(StoryNumber::parse(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn is_compared_part_by_part() {
        let order = [
            "0",
            "1",
            "1.01",
            "1.1",
            "1.2",
            "1.9",
            "1.10",
            "1.10.2",
            "1.10.a",
            "1.1000",
            "1.-",
            "1.R",
            "1.R.1",
            "1.a",
            "1.a-b",
            "2",
            "2.1",
            "10",
            "99999999999999999999",
            "100000000000000000000",
            "-1",
            "R",
            "a",
        ];
        let mut sorted: Vec<_> = order.iter().map(|text| StoryNumber::parse(text).unwrap()).collect();
        sorted.reverse();
        sorted.sort();
        let texts: Vec<_> = sorted.iter().map(StoryNumber::as_str).collect();
        assert_eq!(texts, order);
    }

    proptest! {
        #[test]
        fn keeps_the_text_and_never_panics(text in ".*") {
            if let Ok(number) = StoryNumber::parse(&text) {
                prop_assert_eq!(number.as_str(), text);
            }
        }

        #[test]
        fn is_a_total_order(texts in proptest::collection::vec("[0-9aB_-]{1,3}(\\.[0-9aB_-]{1,3}){0,3}", 3)) {
            let numbers: Vec<_> = texts.iter().filter_map(|text| StoryNumber::parse(text).ok()).collect();
            if let [a, b, c] = numbers.as_slice() {
                prop_assert_eq!(a.cmp(b), b.cmp(a).reverse());
                prop_assert_eq!(a == b, a.cmp(b) == Ordering::Equal);
                prop_assert!(!(a <= b && b <= c) || a <= c);
            }
        }
    }
}
