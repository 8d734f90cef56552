//! How long a budget lasts, if it goes on as in the last days.

use chrono::{Days, NaiveDate};
use loopctl_core::cost::Total;

/// So many of the last days on which something was spent say how it goes on.
const LAST_DAYS: usize = 7;
/// What lasts longer than this is no matter of this rate.
const HORIZON: i128 = 36_525;

/// What becomes of a budget.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outlook {
    /// There is nothing left.
    Exhausted,
    /// It is used up on this day; so much is spent a day.
    On(NaiveDate, Total),
    /// It lasts.
    Lasts,
}

/// The outlook of a budget of which `spent` is gone, from what was spent on which day (oldest first).
///
/// The rate is what was spent on the last days with spending, by all days since the first of them: those without count too,
/// because there will be such days again.
pub(super) fn outlook(limit: Total, spent: Total, trend: &[(NaiveDate, Total)], today: NaiveDate) -> Outlook {
    let left = limit - spent;
    if left.0 <= 0 {
        return Outlook::Exhausted;
    }
    let days = trend.iter().rev().filter(|(_, spent)| spent.0 != 0).take(LAST_DAYS);
    let (Some((first, _)), recent) = (days.clone().last(), days.map(|(_, spent)| *spent).sum::<Total>())
    else {
        return Outlook::Lasts;
    };
    let elapsed = i128::from((today - *first).num_days().max(0)) + 1;
    if recent.0 <= 0 {
        return Outlook::Lasts;
    }
    // The first day on which all that is left is gone.
    let more = (left.0.saturating_mul(elapsed) - 1) / recent.0 + 1;
    let day = u64::try_from(more).ok().filter(|_| more <= HORIZON);
    match day.and_then(|days| today.checked_add_days(Days::new(days))) {
        Some(day) => Outlook::On(day, Total(recent.0 / elapsed)),
        None => Outlook::Lasts,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn day(day: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 11, day).unwrap()
    }

    #[test]
    fn without_spending_a_budget_lasts() {
        let of = |trend: &[(NaiveDate, Total)]| outlook(Total(100), Total(10), trend, day(20));
        assert_eq!(of(&[]), Outlook::Lasts);
        assert_eq!(of(&[(day(19), Total(0))]), Outlook::Lasts);
        assert_eq!(of(&[(day(18), Total(10)), (day(19), Total(-10))]), Outlook::Lasts, "taken back");
        assert_eq!(of(&[(day(1), Total(1)), (day(2), Total(-5))]), Outlook::Lasts);
        let tiny = outlook(Total(i128::MAX), Total(0), &[(day(1), Total(1))], day(20));
        assert_eq!(tiny, Outlook::Lasts, "not within a lifetime");
    }

    #[test]
    fn what_is_gone_is_gone() {
        let trend = [(day(19), Total(10))];
        for spent in [100, 101] {
            assert_eq!(outlook(Total(100), Total(spent), &trend, day(20)), Outlook::Exhausted);
        }
    }

    #[test]
    fn it_goes_on_as_in_the_last_days() {
        let of = |trend: &[(NaiveDate, Total)], today| outlook(Total(100), Total(60), trend, today);
        // 20 on each of two days.
        assert_eq!(
            of(&[(day(19), Total(20)), (day(20), Total(20))], day(20)),
            Outlook::On(day(22), Total(20))
        );
        // A day without spending is one of the days.
        assert_eq!(
            of(&[(day(18), Total(20)), (day(20), Total(40))], day(20)),
            Outlook::On(day(22), Total(20))
        );
        // Whoever stopped ten days ago has spent 40 in ten days.
        assert_eq!(of(&[(day(11), Total(40))], day(20)), Outlook::On(day(30), Total(4)));
        // Before the last seven days of spending nothing counts.
        let week: Vec<_> = [(1, 9_000), (14, 1), (15, 1), (16, 1), (17, 1), (18, 1), (19, 1), (20, 1)]
            .map(|(d, n)| (day(d), Total(n)))
            .into();
        assert_eq!(of(&week, day(20)), Outlook::On(day(20) + Days::new(40), Total(1)));
        // A server whose day has begun earlier.
        assert_eq!(of(&[(day(21), Total(20))], day(20)), Outlook::On(day(22), Total(20)));
    }

    proptest! {
        /// On the day that is named it is gone at that rate, and on the day before it was not.
        #[test]
        fn the_day_is_the_first_one(
            limit in 1i128..1 << 60,
            spent in 0i128..1 << 60,
            amounts in prop::collection::vec(-1000i128..1 << 50, 0..12),
        ) {
            let trend: Vec<_> = (1..).zip(&amounts).map(|(number, amount)| (day(number), Total(*amount))).collect();
            let today = day(12);
            if let Outlook::On(end, _) = outlook(Total(limit), Total(spent), &trend, today) {
                let last: Vec<_> = trend.iter().rev().filter(|(_, spent)| spent.0 != 0).take(7).collect();
                let elapsed = i128::from((today - last.last().unwrap().0).num_days()) + 1;
                let recent: i128 = last.iter().map(|(_, spent)| spent.0).sum();
                let days = i128::from((end - today).num_days());
                prop_assert!(days > 0 && recent * days >= (limit - spent) * elapsed);
                prop_assert!(recent * (days - 1) < (limit - spent) * elapsed);
            }
        }
    }
}
