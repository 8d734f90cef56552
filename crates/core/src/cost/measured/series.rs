//! Series of points that say how much there is in all.
//!
//! A series has a beginning, and begins anew where that is another one. What it comes to is a matter of which points are known, and of
//! nothing else: not of the order in which they came, how often, or with which others. So each point counts by what it adds to those
//! that are known already, wherever in time it belongs.

use std::collections::BTreeMap;

use super::super::Total;

/// Points of one beginning, by time.
pub type Points = BTreeMap<i64, Total>;

/// Adds a point, and says by how much the series comes to more. Nothing for one that is known: what was said first stays. Of the known
/// points the nearest before and after are enough.
pub fn add(points: &mut Points, at: i64, value: Total) -> Total {
    if points.contains_key(&at) {
        return Total::default();
    }
    let before = points.range(..at).next_back().map(|(_, value)| *value);
    let after = points.range(at..).next().map(|(_, value)| *value);
    points.insert(at, value);
    let was = after.map_or(Total::default(), |after| step(before, after));
    let is = step(before, value) + after.map_or(Total::default(), |after| step(Some(value), after));
    is - was
}

/// What a point says more than the one before. One that says less, though it has the same beginning, has begun anew without a word.
fn step(before: Option<Total>, value: Total) -> Total {
    match before {
        Some(before) if before <= value => value - before,
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    /// By the definition: what all points together come to.
    fn total(points: &Points) -> Total {
        let mut before = None;
        points.values().map(|value| step(before.replace(*value), *value)).sum()
    }

    fn added(points: &[(i64, i128)]) -> i128 {
        let mut known = Points::new();
        points.iter().map(|(at, value)| add(&mut known, *at, Total(*value)).0).sum()
    }

    #[test]
    fn points_count_by_what_they_add() {
        assert_eq!(added(&[(1, 10), (2, 15), (3, 15), (4, 40)]), 40);
        // Late, early, twice.
        assert_eq!(added(&[(4, 40), (1, 10), (4, 40), (3, 15), (1, 10)]), 40);
        // It began anew after 15, and a late point says that it had been at 30.
        assert_eq!(added(&[(1, 10), (2, 15), (4, 5)]), 20);
        assert_eq!(added(&[(1, 10), (2, 15), (4, 5), (3, 30)]), 35);
        // What was said first stays.
        assert_eq!(added(&[(1, 10), (1, 99), (2, 12)]), 12);
    }

    /// Points of several beginnings, as one process or several send them: each grows.
    fn beginnings() -> impl Strategy<Value = Vec<(u8, i64, i128)>> {
        let growing = prop::collection::vec((1i64..50, 0i128..1_000_000), 1..12);
        prop::collection::vec(growing, 1..4).prop_map(|series| {
            let mut points = Vec::new();
            for (begun, steps) in (0..).zip(series) {
                let (mut at, mut value) = (0, 0);
                for (later, more) in steps {
                    at += later;
                    value += more;
                    points.push((begun, at, value));
                }
            }
            points
        })
    }

    proptest! {
        /// In any order, with any repetitions, cut anywhere, and with no more known of what came before than the nearest points: it
        /// always comes to the same, which is what each beginning said last.
        #[test]
        fn the_order_of_points_does_not_matter(
            points in beginnings(),
            order in prop::collection::vec(any::<Index>(), 0..80),
            cuts in prop::collection::vec(any::<bool>(), 120),
        ) {
            let mut sent: Vec<_> = order.iter().map(|index| *index.get(&points)).collect();
            sent.extend(points.iter().rev());
            let mut kept: BTreeMap<u8, Points> = BTreeMap::new();
            let mut sum = Total::default();
            let mut rest = &sent[..];
            while !rest.is_empty() {
                let most = cuts.iter().cycle().skip(rest.len()).position(|cut| *cut).unwrap_or(rest.len()) + 1;
                let (request, later) = rest.split_at(most.min(rest.len()));
                rest = later;
                // What a request is told of the points that are kept.
                let mut known: BTreeMap<u8, Points> = BTreeMap::new();
                for (begun, at, _) in request {
                    let kept = kept.entry(*begun).or_default();
                    let near = kept.range(..=*at).rev().take(2).chain(kept.range(at + 1..).take(1));
                    known.entry(*begun).or_default().extend(near.map(|(at, value)| (*at, *value)));
                }
                for (begun, at, value) in request {
                    sum = sum + add(known.entry(*begun).or_default(), *at, Total(*value));
                    kept.entry(*begun).or_default().entry(*at).or_insert(Total(*value));
                }
            }
            let mut last: BTreeMap<u8, i128> = BTreeMap::new();
            last.extend(points.iter().map(|(begun, _, value)| (*begun, *value)));
            prop_assert_eq!(sum, Total(last.values().sum()));
        }

        /// Also where values fall without a new beginning: it comes to what the points say, and no point ever takes anything away.
        #[test]
        fn what_counts_is_which_points_are_known(
            points in prop::collection::btree_map(0i64..60, 0i128..100, 1..30),
            order in prop::collection::vec(any::<Index>(), 60),
        ) {
            let all: Vec<_> = points.iter().map(|(at, value)| (*at, *value)).collect();
            let mut sent: Vec<_> = order.iter().map(|index| *index.get(&all)).collect();
            sent.extend(&all);
            let (mut known, mut sum) = (Points::new(), Total::default());
            for (at, value) in sent {
                let more = add(&mut known, at, Total(value));
                prop_assert!(more >= Total::default());
                sum = sum + more;
            }
            prop_assert_eq!(sum, total(&known));
            prop_assert_eq!(known.len(), points.len());
        }
    }
}
