//! Money and tokens: how they are counted, what a budget says to that, and what a way of working gives away.
//!
//! Money is counted in millicents, a thousandth of a US cent, and never in floats. Single reports stay below 2^53, which every client
//! reads exactly; their sums are 128 bits wide.

pub mod agents;
pub mod anomalies;
pub mod budgets;
pub mod measured;
pub mod telemetry;
pub mod versions;

use std::borrow::Cow;
use std::iter::Sum;
use std::ops::{Add, Sub};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

/// The most that one report, or one limit, may say: 2^53 - 1.
pub const MOST: i64 = 9_007_199_254_740_991;

/// Millicents of one dollar.
const DOLLAR: i128 = 100_000;

/// A sum of millicents or tokens. Negative where corrections take back what was reported elsewhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Total(pub i128);

impl Total {
    /// Dollars with two decimals, halves rounded away from zero.
    pub fn dollars(self) -> String {
        let cents = quotient(self.0, DOLLAR / 100);
        let sign = if cents < 0 { "-" } else { "" };
        let cents = cents.unsigned_abs();
        format!("{sign}{}.{:02}", cents / 100, cents % 100)
    }

    /// How many hundredths of `whole` it is, cut off towards zero; None of nothing, or of less.
    pub fn percent_of(self, whole: Self) -> Option<Self> {
        (whole.0 > 0).then(|| Self(self.0.saturating_mul(100) / whole.0))
    }

    /// How many hundredths of `whole` it is, halves rounded away from zero; None of nothing, or of less.
    pub fn rounded_percent_of(self, whole: Self) -> Option<Self> {
        (whole.0 > 0).then(|| Self(quotient(self.0.saturating_mul(100), whole.0)))
    }

    /// What each of `count` has of it, cut off towards zero; 0 where there is none.
    #[must_use]
    pub fn shared_by(self, count: i64) -> Self {
        if count > 0 { Self(self.0 / i128::from(count)) } else { Self::default() }
    }

    /// What each of `count` has of it, halves rounded away from zero; 0 where there is none.
    #[must_use]
    pub fn rounded_share(self, count: i64) -> Self {
        if count > 0 { Self(quotient(self.0, i128::from(count))) } else { Self::default() }
    }
}

/// Halves are rounded away from zero. The divisor is positive.
fn quotient(dividend: i128, divisor: i128) -> i128 {
    let (whole, rest) = (dividend / divisor, dividend % divisor);
    // Of a rest that is at least half, without doubling it.
    let is_half = rest.unsigned_abs() >= divisor.unsigned_abs() - rest.unsigned_abs();
    if is_half { whole + dividend.signum() } else { whole }
}

impl From<i64> for Total {
    fn from(value: i64) -> Self {
        Self(value.into())
    }
}

impl Add for Total {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Total {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Sum for Total {
    fn sum<I: Iterator<Item = Self>>(totals: I) -> Self {
        totals.fold(Self::default(), Add::add)
    }
}

impl Serialize for Total {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i128(self.0)
    }
}

impl JsonSchema for Total {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Total".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer"})
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dollars_are_rounded_away_from_zero() {
        let expected = [
            (0, "0.00"),
            (155, "0.00"),
            (499, "0.00"),
            (500, "0.01"),
            (2500, "0.03"),
            (5000, "0.05"),
            (250_000, "2.50"),
            (-2500, "-0.03"),
            (-499, "0.00"),
            (i128::from(MOST) * 1_000_000, "90071992547409910.00"),
        ];
        for (millicents, dollars) in expected {
            assert_eq!(Total(millicents).dollars(), dollars, "{millicents}");
        }
    }

    #[test]
    fn percentages_are_cut_off_or_rounded_as_the_contract_wants_it() {
        let of = |part, whole| {
            let (part, whole) = (Total(part), Total(whole));
            (part.percent_of(whole).map(|of| of.0), part.rounded_percent_of(whole).map(|of| of.0))
        };
        assert_eq!(of(142, 500), (Some(28), Some(28)));
        assert_eq!(of(2, 3), (Some(66), Some(67)));
        assert_eq!(of(1, 200), (Some(0), Some(1)));
        assert_eq!(of(-2, 3), (Some(-66), Some(-67)));
        assert_eq!(of(7, 0), (None, None));
        assert_eq!(of(7, -1), (None, None));
    }

    proptest! {
        /// Against the definition, in wider numbers: no float, no overflow.
        #[test]
        fn rounding_is_to_the_nearest(dividend in -(1i128 << 90)..1i128 << 90, divisor in 1i128..1i128 << 60) {
            let rounded = quotient(dividend, divisor);
            let error = (dividend - rounded * divisor).unsigned_abs();
            prop_assert!(error * 2 <= divisor.unsigned_abs());
            if error * 2 == divisor.unsigned_abs() {
                prop_assert!(rounded.unsigned_abs() > (dividend / divisor).unsigned_abs());
            }
        }

        #[test]
        fn dollars_say_what_they_round(millicents in -(1i128 << 80)..1i128 << 80) {
            let cents: i128 = Total(millicents).dollars().replace('.', "").parse().unwrap();
            prop_assert!((millicents - cents * 1000).abs() <= 500);
        }

        #[test]
        fn sums_do_not_depend_on_their_order(mut parts in prop::collection::vec(-MOST..=MOST, 0..50)) {
            let sum = |parts: &[i64]| parts.iter().map(|part| Total::from(*part)).sum::<Total>();
            let before = sum(&parts);
            parts.reverse();
            prop_assert_eq!(before, sum(&parts));
            prop_assert_eq!(before.0, parts.iter().map(|part| i128::from(*part)).sum::<i128>());
        }
    }
}
