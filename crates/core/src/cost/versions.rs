//! What a version of a skill has cost beside the one before it.

use super::Total;

/// What was reported of a version, and what became of those stories.
#[derive(Debug, Clone, Copy)]
pub struct VersionUsage {
    /// Reports that name it, without corrections.
    pub invocations: i64,
    /// Corrections included.
    pub cost_millicents: Total,
    /// Stories of its reports that are verified.
    pub verified: i64,
    /// Stories of its reports that are rejected.
    pub rejected: i64,
}

/// How a version compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionCost {
    /// Verified stories among those that are verified or rejected, in per cent, rounded; None without any.
    pub verification_rate_pct: Option<Total>,
    /// How much more an invocation costs than by the version before, in per cent, rounded; None of the first one, and where that one
    /// has cost nothing.
    pub change_pct: Option<Total>,
    /// Whether it costs more than twice as much, after enough invocations.
    pub is_regression: bool,
}

/// From how many invocations on a version is judged.
const ENOUGH: i64 = 3;

/// Versions from the first one, each beside the one before it.
pub fn compared(versions: &[VersionUsage]) -> Vec<VersionCost> {
    let mean = |usage: &VersionUsage| usage.cost_millicents.rounded_share(usage.invocations);
    let before = std::iter::once(None).chain(versions.iter().map(mean).map(Some));
    versions.iter().zip(before).map(|(usage, before)| beside(usage, mean(usage), before)).collect()
}

fn beside(usage: &VersionUsage, mean: Total, before: Option<Total>) -> VersionCost {
    let judged = usage.verified + usage.rejected;
    let before = before.filter(|before| *before > Total::default());
    VersionCost {
        verification_rate_pct: Total::from(usage.verified).rounded_percent_of(judged.into()),
        change_pct: before.and_then(|before| (mean - before).rounded_percent_of(before)),
        is_regression: before.is_some_and(|before| mean > before + before) && usage.invocations >= ENOUGH,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(invocations: i64, cost: i64) -> VersionUsage {
        VersionUsage { invocations, cost_millicents: cost.into(), verified: 2, rejected: 1 }
    }

    /// The second of two: how much more it costs, and whether that is too much.
    fn second(first: (i64, i64), second: (i64, i64)) -> (Option<i128>, bool) {
        let told = compared(&[version(first.0, first.1), version(second.0, second.1)]);
        assert_eq!((told[0].change_pct, told[0].is_regression), (None, false));
        (told[1].change_pct.map(|change| change.0), told[1].is_regression)
    }

    #[test]
    fn a_version_is_compared_with_the_one_before() {
        assert_eq!(second((2, 60_000), (5, 400_000)), (Some(167), true));
        assert_eq!(second((2, 60_000), (2, 160_000)), (Some(167), false), "too few");
        assert_eq!(second((1, 1000), (3, 4500)), (Some(50), false));
        assert_eq!(second((1, 1000), (3, 6000)), (Some(100), false), "exactly twice");
        assert_eq!(second((3, 3000), (3, 9000)), (Some(200), true));
        assert_eq!(second((1, 1000), (3, 1500)), (Some(-50), false));
        assert_eq!(second((1, 0), (3, 9000)), (None, false));
        // Corrections alone are no invocation.
        assert_eq!(second((0, 900), (3, 9000)), (None, false));
        assert_eq!(compared(&[version(3, 10)])[0].verification_rate_pct, Some(Total(67)));
    }
}
