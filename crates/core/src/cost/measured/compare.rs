//! What is claimed beside what was measured.

use std::str::FromStr as _;

use rust_decimal::Decimal;

use super::super::{Total, quotient};
use super::MILLICENT;

/// What is claimed; 0 where nothing is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Claimed {
    /// Of input and output.
    pub tokens: Total,
    /// What it is said to have cost.
    pub cost_millicents: Total,
}

/// What was measured; 0 where nothing was.
#[derive(Debug, Clone, Copy, Default)]
pub struct Measured {
    /// Of input and output.
    pub tokens: Total,
    /// What it cost.
    pub cost_picodollars: Total,
}

/// Measured and claimed, of the same: cost, or tokens where one of both says nothing of cost. None where one says nothing of either.
fn of_the_same(measured: Measured, claimed: Claimed) -> Option<(i128, i128)> {
    let cost = (measured.cost_picodollars.0, claimed.cost_millicents.0.saturating_mul(MILLICENT));
    let tokens = (measured.tokens.0, claimed.tokens.0);
    [cost, tokens].into_iter().find(|(measured, claimed)| *measured > 0 && *claimed > 0)
}

/// How many times what is claimed was measured: a decimal with two digits, halves rounded away from zero.
pub fn ratio(measured: Measured, claimed: Claimed) -> Option<String> {
    let (measured, claimed) = of_the_same(measured, claimed)?;
    let hundredths = quotient(measured.saturating_mul(100), claimed);
    Some(format!("{}.{:02}", hundredths / 100, hundredths % 100))
}

/// How many times as much or as little may be measured as is claimed, without anybody minding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Factor(Decimal);

/// Digits behind its point that are looked at.
const DIGITS: u32 = 6;

/// The largest one that makes a difference.
const MOST: i64 = 1_000_000;

impl Default for Factor {
    /// 2.
    fn default() -> Self {
        Self(Decimal::TWO)
    }
}

impl Factor {
    /// From the text of a JSON number; None for what is no number above 1.
    pub fn parse(text: &str) -> Option<Self> {
        let number = Decimal::from_str(text).or_else(|_| Decimal::from_scientific(text)).ok()?;
        let number = number.min(MOST.into()).round_dp(DIGITS).normalize();
        (number > Decimal::ONE).then_some(Self(number))
    }

    /// Whether one of them is more than so many times the other.
    fn is_exceeded(self, one: i128, other: i128) -> bool {
        // As a fraction: neither is rounded.
        let (times, of) = (self.0.mantissa(), 10_i128.pow(self.0.scale()));
        one.saturating_mul(of) > other.saturating_mul(times)
            || other.saturating_mul(of) > one.saturating_mul(times)
    }
}

/// Whether what is claimed is off by more than the factor, in either direction. Where one says nothing, nothing is off.
pub fn is_mismatch(measured: Measured, claimed: Claimed, factor: Factor) -> bool {
    of_the_same(measured, claimed).is_some_and(|(measured, claimed)| factor.is_exceeded(measured, claimed))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn measured(tokens: i128, cost_picodollars: i128) -> Measured {
        Measured { tokens: Total(tokens), cost_picodollars: Total(cost_picodollars) }
    }

    fn claimed(tokens: i128, cost_millicents: i128) -> Claimed {
        Claimed { tokens: Total(tokens), cost_millicents: Total(cost_millicents) }
    }

    #[test]
    fn ratios_are_of_cost_or_of_tokens() {
        let of = |m, c| ratio(m, c);
        assert_eq!(of(measured(1, 25_000_000), claimed(9, 5)).as_deref(), Some("0.50"));
        assert_eq!(of(measured(3, 0), claimed(2, 5)).as_deref(), Some("1.50"));
        assert_eq!(of(measured(3, 7), claimed(2, 0)).as_deref(), Some("1.50"));
        assert_eq!(of(measured(1, 0), claimed(200, 0)).as_deref(), Some("0.01"));
        assert_eq!(of(measured(1, 0), claimed(201, 0)).as_deref(), Some("0.00"));
        for nothing in [(measured(0, 0), claimed(1, 1)), (measured(1, 1), claimed(0, 0))] {
            assert_eq!(of(nothing.0, nothing.1), None);
        }
        assert_eq!(of(measured(0, 5), claimed(5, 0)), None);
    }

    #[test]
    fn a_claim_may_be_off_by_the_factor_and_no_more() {
        let two = Factor::default();
        let off = |m, c| is_mismatch(measured(m, 0), claimed(c, 0), two);
        assert!(!off(200, 100) && !off(100, 200) && !off(100, 100));
        assert!(off(201, 100) && off(100, 201));
        assert!(!off(0, 100) && !off(100, 0));
        let factor = Factor::parse("1.25").unwrap();
        assert!(!is_mismatch(measured(125, 0), claimed(100, 0), factor));
        assert!(is_mismatch(measured(126, 0), claimed(100, 0), factor));
        // Cost decides where both have one, however tokens look.
        assert!(!is_mismatch(measured(999, 10_000_000), claimed(1, 1), two));
        assert!(is_mismatch(measured(1, 20_000_001), claimed(1, 1), two));
    }

    #[test]
    fn factors_are_numbers_above_one() {
        for (text, known) in [("2", "2"), ("1.5", "1.5"), ("1.0000001", ""), ("1e2", "100"), ("9e99", "")] {
            let expected = (!known.is_empty()).then(|| Factor(Decimal::from_str(known).unwrap()));
            assert_eq!(Factor::parse(text), expected, "{text}");
        }
        for text in ["1", "0.5", "-3", "\"2\"", "null", "true", ""] {
            assert_eq!(Factor::parse(text), None, "{text}");
        }
    }

    proptest! {
        /// Whoever measures as much as is claimed agrees, and it does not matter which of both is called which.
        #[test]
        fn both_directions_are_alike(one in 1i128..1 << 70, other in 1i128..1 << 70, hundredths in 101i64..1000) {
            let factor = Factor::parse(&Decimal::new(hundredths, 2).to_string()).unwrap();
            prop_assert!(!factor.is_exceeded(one, one));
            prop_assert_eq!(factor.is_exceeded(one, other), factor.is_exceeded(other, one));
            let (more, less) = (one.max(other), one.min(other));
            prop_assert_eq!(factor.is_exceeded(one, other), more * 100 > less * i128::from(hundredths));
        }
    }
}
