//! Stories whose claim is not what was measured.

use rust_decimal::Decimal;
use uuid::Uuid;

use super::{Anomaly, Kind, Reason, compare};
use crate::cost::measured::compare::{Claimed, Measured, of_the_same};
use crate::cost::measured::millicents;
use crate::cost::{Total, quotient};

/// What is claimed of a story, and what was measured of it.
#[derive(Debug, Clone, Copy)]
pub struct Claim {
    /// Which.
    pub story_id: Uuid,
    /// Its project.
    pub project_id: Uuid,
    /// All that was reported.
    pub claimed: Claimed,
    /// All that was measured.
    pub measured: Measured,
}

/// Whether what is claimed is off by more than the factor, in either direction. Where one says nothing, nothing is off.
pub fn beside_what_was_measured(claim: &Claim, factor: Decimal) -> Option<Anomaly> {
    let Claim { story_id, project_id, claimed, measured } = *claim;
    let (metric, measured_amount, claimed_amount) = of_the_same(measured, claimed)?;
    let (more, less) = (measured_amount.max(claimed_amount), measured_amount.min(claimed_amount));
    compare(Total(more), Total(less), factor).is_gt().then(|| Anomaly {
        story_id,
        project_id,
        kind: Kind::ClaimMismatch,
        cost: claimed.cost_millicents.max(Total::default()),
        reference: millicents(measured.cost_picodollars),
        hundredths: Total(quotient(more.saturating_mul(100), less)),
        reason: Reason::Measured {
            metric,
            multiplier: factor,
            tokens: claimed.tokens,
            reference_tokens: measured.tokens,
        },
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cost::measured::compare::Metric;

    /// Tokens and picodollars that were measured, tokens and millicents that are claimed.
    fn found(measured: (i128, i128), claimed: (i128, i128), factor: Decimal) -> Option<Anomaly> {
        let claim = Claim {
            story_id: Uuid::nil(),
            project_id: Uuid::nil(),
            claimed: Claimed { tokens: Total(claimed.0), cost_millicents: Total(claimed.1) },
            measured: Measured { tokens: Total(measured.0), cost_picodollars: Total(measured.1) },
        };
        beside_what_was_measured(&claim, factor)
    }

    #[test]
    fn a_claim_may_be_off_by_the_factor_and_no_more() {
        let off = |m, c| found((m, 0), (c, 0), Decimal::TWO).is_some();
        assert!(!off(200, 100) && !off(100, 200) && !off(100, 100));
        assert!(off(201, 100) && off(100, 201));
        assert!(!off(0, 100) && !off(100, 0) && !off(100, -300));
        let factor = Decimal::new(125, 2);
        assert!(found((125, 0), (100, 0), factor).is_none());
        assert!(found((126, 0), (100, 0), factor).is_some());
        // Cost decides where both have one, however tokens look.
        assert!(found((999, 10_000_000), (1, 1), Decimal::TWO).is_none());
        assert!(found((1, 20_000_001), (1, 1), Decimal::TWO).is_some());
    }

    #[test]
    fn what_is_told_of_it() {
        let told = |measured, claimed| {
            let found = found(measured, claimed, Decimal::TWO).unwrap();
            let Reason::Measured { metric, .. } = found.reason else { panic!("{found:?}") };
            (metric, found.cost.0, found.reference.0, found.factor())
        };
        let of = |metric, cost, reference, factor: &str| (metric, cost, reference, factor.to_owned());
        assert_eq!(told((1, 2_505_000_000), (1, 100)), of(Metric::Cost, 100, 251, "2.51"));
        assert_eq!(told((1, 2_504_999_999), (1, 100)), of(Metric::Cost, 100, 250, "2.50"));
        assert_eq!(told((1, 1_000_000_000), (1, 305)), of(Metric::Cost, 305, 100, "3.05"));
        assert_eq!(told((10, 0), (33, 7)), of(Metric::Tokens, 7, 0, "3.30"));
    }

    proptest! {
        /// Whoever measures as much as is claimed agrees, and it does not matter which of both is called which.
        #[test]
        fn both_directions_are_alike(one in 1i128..1 << 70, other in 1i128..1 << 70, hundredths in 101i64..1000) {
            let factor = Decimal::new(hundredths, 2);
            prop_assert!(found((one, 0), (one, 0), factor).is_none());
            let (there, back) = (found((one, 0), (other, 0), factor), found((other, 0), (one, 0), factor));
            prop_assert_eq!(there.as_ref().map(|found| found.hundredths), back.map(|found| found.hundredths));
            let (more, less) = (one.max(other), one.min(other));
            prop_assert_eq!(there.is_some(), more * 100 > less * i128::from(hundredths));
        }
    }
}
