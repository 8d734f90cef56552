//! What is claimed beside what was measured.

use super::super::{Total, quotient};
use super::MILLICENT;
use crate::words::words;

words! {
    /// Of what both are compared.
    Metric {
        /// Cost.
        Cost = "cost",
        /// Tokens, where one of both tells no cost.
        Tokens = "tokens",
    }
}

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
pub(crate) fn of_the_same(measured: Measured, claimed: Claimed) -> Option<(Metric, i128, i128)> {
    let claimed_cost = claimed.cost_millicents.0.saturating_mul(MILLICENT);
    let cost = (Metric::Cost, measured.cost_picodollars.0, claimed_cost);
    let tokens = (Metric::Tokens, measured.tokens.0, claimed.tokens.0);
    [cost, tokens].into_iter().find(|(_, measured, claimed)| *measured > 0 && *claimed > 0)
}

/// How many times what is claimed was measured: a decimal with two digits, halves rounded away from zero.
pub fn ratio(measured: Measured, claimed: Claimed) -> Option<String> {
    let (_, measured, claimed) = of_the_same(measured, claimed)?;
    let hundredths = quotient(measured.saturating_mul(100), claimed);
    Some(format!("{}.{:02}", hundredths / 100, hundredths % 100))
}

#[cfg(test)]
mod tests {
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
}
