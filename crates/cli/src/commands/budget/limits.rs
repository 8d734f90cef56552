//! What may be spent, as it is typed.

use serde_json::Value;

use crate::error::Error;

/// What an amount is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Tokens,
    Millicents,
    Dollars,
}

impl Unit {
    /// In the order in which they are told.
    pub(super) const WORDS: &[&str] = &["tokens", "millicents", "dollars"];

    pub(super) fn of(word: &str) -> Self {
        match word {
            "millicents" => Self::Millicents,
            "dollars" => Self::Dollars,
            _ => Self::Tokens,
        }
    }

    /// The unit of amounts that are money in any case.
    pub(super) fn of_money(self) -> Self {
        if self == Self::Dollars { self } else { Self::Millicents }
    }
}

/// An amount as it is sent: tokens, or millicents. `none` is null.
pub(super) fn amount(option: &str, text: &str, unit: Unit) -> Result<Value, Error> {
    let number = match unit {
        _ if text == "none" => return Ok(Value::Null),
        Unit::Dollars => millicents(text),
        Unit::Tokens | Unit::Millicents => whole(text),
    };
    number.filter(|number| *number > 0).map(Value::from).ok_or_else(|| {
        let why = fault(text, unit);
        Error::Usage(format!("Invalid {option} '{text}': {why}"))
    })
}

/// What is wrong with it.
fn fault(text: &str, unit: Unit) -> String {
    let unsigned = text.trim_start_matches(['-', '+', '$']);
    let decimals = unsigned.split_once('.').map_or("", |(_, decimals)| decimals);
    let is_number = unsigned.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && unsigned != ".";
    let is_nothing = is_number && unsigned.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    if is_number && (is_nothing || text.starts_with('-')) {
        return "it must be more than 0; none removes it".to_owned();
    }
    match (unit, millicents(unsigned)) {
        (Unit::Dollars, _) if is_number && decimals.len() > PLACES => {
            format!("dollars have at most {PLACES} decimals")
        }
        (Unit::Dollars, _) => "dollars such as 20 or 0.05, or none".to_owned(),
        (Unit::Tokens, _) => "whole tokens, or none; money takes --unit dollars".to_owned(),
        (Unit::Millicents, Some(millicents)) => format!("whole millicents: ${unsigned} is {millicents}"),
        (Unit::Millicents, None) => "whole millicents, of which 100000 are a dollar, or none".to_owned(),
    }
}

/// Decimals of a dollar that millicents have.
const PLACES: usize = 5;

/// Dollars as millicents, exactly.
fn millicents(dollars: &str) -> Option<u64> {
    let (dollars, decimals) = match dollars.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (dollars, ""),
    };
    if decimals.len() > PLACES {
        return None;
    }
    let rest = whole(&format!("{decimals:0<PLACES$}"))?;
    whole(dollars)?.checked_mul(100_000)?.checked_add(rest)
}

/// Digits alone.
fn whole(text: &str) -> Option<u64> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use loopctl_core::cost::Total;
    use proptest::prelude::*;

    use super::*;

    fn said(text: &str, unit: Unit) -> String {
        match amount("--limit", text, unit) {
            Ok(value) => value.to_string(),
            Err(Error::Usage(text)) => text,
            Err(other) => format!("{other:?}"),
        }
    }

    #[test]
    fn amounts_are_sent_in_the_smallest_unit() {
        for (text, unit, sent) in [
            ("200000", Unit::Tokens, "200000"),
            ("5000", Unit::Millicents, "5000"),
            ("20", Unit::Dollars, "2000000"),
            ("0.05", Unit::Dollars, "5000"),
            ("1.23456", Unit::Dollars, "123456"),
            ("none", Unit::Dollars, "null"),
            ("none", Unit::Tokens, "null"),
        ] {
            assert_eq!(said(text, unit), sent, "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_says_what_would_be() {
        let nothing = "it must be more than 0; none removes it";
        for (text, unit, why) in [
            ("0", Unit::Tokens, nothing),
            ("-1", Unit::Millicents, nothing),
            ("0.00", Unit::Dollars, nothing),
            ("-0.5", Unit::Dollars, nothing),
            ("0.05", Unit::Millicents, "whole millicents: $0.05 is 5000"),
            ("$2", Unit::Millicents, "whole millicents: $2 is 200000"),
            ("lots", Unit::Millicents, "whole millicents, of which 100000 are a dollar, or none"),
            ("0.05", Unit::Tokens, "whole tokens, or none; money takes --unit dollars"),
            ("1e3", Unit::Tokens, "whole tokens, or none; money takes --unit dollars"),
            ("0.000001", Unit::Dollars, "dollars have at most 5 decimals"),
            ("1.", Unit::Dollars, "dollars such as 20 or 0.05, or none"),
            (".", Unit::Dollars, "dollars such as 20 or 0.05, or none"),
            ("+5", Unit::Dollars, "dollars such as 20 or 0.05, or none"),
            ("999999999999999999999", Unit::Dollars, "dollars such as 20 or 0.05, or none"),
        ] {
            assert_eq!(said(text, unit), format!("Invalid --limit '{text}': {why}"));
        }
    }

    proptest! {
        #[test]
        fn dollars_are_exact(amount in 0..1u64 << 53) {
            let text = format!("{}.{:05}", amount / 100_000, amount % 100_000);
            prop_assert_eq!(millicents(&text), Some(amount));
        }

        #[test]
        fn what_is_shown_can_be_typed(cents in 0..1u64 << 40) {
            let shown = Total((cents * 1_000).into()).dollars();
            prop_assert_eq!(millicents(&shown), Some(cents * 1_000));
        }

        #[test]
        fn no_text_panics(text in ".{0,12}") {
            for unit in [Unit::Tokens, Unit::Millicents, Unit::Dollars] {
                let _ = amount("--limit", &text, unit);
            }
        }
    }
}
