//! Stories whose cost stands out: among those of their epic on a day, among all of their project, against what they may cost, or
//! against what was measured.

mod claims;

use rust_decimal::Decimal;
use uuid::Uuid;

pub use claims::{Claim, beside_what_was_measured};

use super::Total;
use super::measured::compare::Metric;
use crate::words::words;

words! {
    /// In which way a story stands out.
    Kind {
        /// It costs far more than others.
        HighCost = "high_cost",
        /// It costs far less than others.
        SuspiciouslyLow = "suspiciously_low",
        /// It has cost more than it may.
        BudgetExceeded = "budget_exceeded",
        /// What was reported of it is not what was measured.
        ClaimMismatch = "claim_mismatch",
    }
}

/// From where on a story stands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Multipliers {
    /// More than so many times what others have.
    pub high: Decimal,
    /// Less than so many times that.
    pub low: Decimal,
    /// So many stories of a project must have usage until they are compared.
    pub min_stories: usize,
    /// What is claimed is more than so many times what was measured, or less.
    pub claim: Decimal,
}

/// A story that something was reported of.
#[derive(Debug, Clone, Copy)]
pub struct StoryUsage {
    /// Which.
    pub story_id: Uuid,
    /// Its epic.
    pub epic_id: Uuid,
    /// Its project.
    pub project_id: Uuid,
    /// What it has cost on the day that is looked at; None without a report that day.
    pub on_day: Option<Total>,
    /// All of its tokens.
    pub tokens: Total,
    /// All of its cost.
    pub cost: Total,
    /// Whether it is said to be done.
    pub is_reported_done: bool,
    /// What it may cost.
    pub limit: Option<Limit>,
}

/// What a story may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// The budget; None: the tenant's default.
    pub budget_id: Option<Uuid>,
    /// How much.
    pub millicents: i64,
}

/// A story that stands out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anomaly {
    /// Which.
    pub story_id: Uuid,
    /// Its project.
    pub project_id: Uuid,
    /// In which way.
    pub kind: Kind,
    /// What it has cost.
    pub cost: Total,
    /// What others have cost, what it may, or what was measured.
    pub reference: Total,
    /// How many times the reference, in hundredths, halves rounded up; of what was measured the other way round, where that is more.
    pub hundredths: Total,
    /// Why.
    pub reason: Reason,
}

/// What a story was compared with, and how that came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// With the mean of its epic.
    Epic {
        /// The factor that was passed.
        multiplier: Decimal,
    },
    /// With the median of its project.
    Project {
        /// The factor that was passed.
        multiplier: Decimal,
        /// The story's.
        tokens: Total,
        /// The median.
        reference_tokens: Total,
    },
    /// With its limit.
    Budget {
        /// The budget; None: the tenant's default.
        budget_id: Option<Uuid>,
    },
    /// With what was measured.
    Measured {
        /// Of what that is.
        metric: Metric,
        /// The factor that was passed.
        multiplier: Decimal,
        /// Those that are claimed.
        tokens: Total,
        /// Those that were measured.
        reference_tokens: Total,
    },
}

impl Anomaly {
    /// The factor as a decimal with two digits.
    pub fn factor(&self) -> String {
        format!("{}.{:02}", self.hundredths.0 / 100, self.hundredths.0 % 100)
    }
}

/// The middle one; of an even number the mean of the two in the middle, cut off. 0 of none.
pub fn median(figures: &mut [Total]) -> Total {
    figures.sort_unstable();
    let (half, is_even) = (figures.len() / 2, figures.len().is_multiple_of(2));
    let at = |place: usize| figures.get(place).copied().unwrap_or_default();
    if is_even { (at(half.saturating_sub(1)) + at(half)).shared_by(2) } else { at(half) }
}

/// How a part of a whole, both of them not negative, compares with a factor, to the last digit.
fn compare(part: Total, whole: Total, factor: Decimal) -> std::cmp::Ordering {
    let (mut rest, whole) = (part.0, whole.0);
    let (mut digits, mut unit) = (factor.mantissa(), 10_i128.saturating_pow(factor.scale()));
    // As in a division by hand: the whole number first, then one decimal after the other.
    loop {
        let (quotient, digit) = (rest / whole, digits / unit);
        if quotient != digit {
            return quotient.cmp(&digit);
        }
        (rest, digits) = (rest % whole, digits % unit);
        if unit == 1 {
            return rest.cmp(&0);
        }
        // A rest is smaller than the whole, which is far from the end of 128 bits.
        (rest, unit) = (rest.saturating_mul(10), unit / 10);
    }
}

/// In which way a part stands out of a whole, and the factor that says so.
fn deviation(part: Total, whole: Total, multipliers: &Multipliers) -> Option<(Kind, Decimal)> {
    if part < Total::default() || whole <= Total::default() {
        return None;
    }
    if compare(part, whole, multipliers.high).is_gt() {
        return Some((Kind::HighCost, multipliers.high));
    }
    compare(part, whole, multipliers.low).is_lt().then_some((Kind::SuspiciouslyLow, multipliers.low))
}

fn found(
    story: &StoryUsage,
    kind: Kind,
    cost: Total,
    reference: Total,
    factor: [Total; 2],
    reason: Reason,
) -> Anomaly {
    let [part, whole] = factor;
    Anomaly {
        story_id: story.story_id,
        project_id: story.project_id,
        kind,
        cost: cost.max(Total::default()),
        reference: reference.max(Total::default()),
        hundredths: part.rounded_percent_of(whole).unwrap_or_default(),
        reason,
    }
}

/// Compares what a story has cost on a day with the mean of its epic's stories on that day.
pub fn beside_its_epic(story: &StoryUsage, mean: Total, multipliers: &Multipliers) -> Option<Anomaly> {
    let cost = story.on_day?;
    let (kind, multiplier) = deviation(cost, mean, multipliers)?;
    Some(found(story, kind, cost, mean, [cost, mean], Reason::Epic { multiplier }))
}

/// What is usual among the stories of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usual {
    tokens: Total,
    cost: Total,
}

impl Usual {
    /// Of the stories of one project; None of too few.
    pub fn among(stories: &[&StoryUsage], multipliers: &Multipliers) -> Option<Self> {
        let of = |figure: fn(&StoryUsage) -> Total| {
            median(&mut stories.iter().map(|story| figure(story)).collect::<Vec<_>>())
        };
        let enough = stories.len() >= multipliers.min_stories;
        enough.then(|| Self { tokens: of(|story| story.tokens), cost: of(|story| story.cost) })
    }

    /// Compares a story that has something reported that day. Little is no wonder as long as it is not said to be done.
    pub fn beside(self, story: &StoryUsage, multipliers: &Multipliers) -> Option<Anomaly> {
        story.on_day?;
        let (kind, multiplier) = deviation(story.tokens, self.tokens, multipliers)?;
        if kind == Kind::SuspiciouslyLow && !story.is_reported_done {
            return None;
        }
        let (tokens, reference_tokens) = (story.tokens, self.tokens);
        let reason = Reason::Project { multiplier, tokens, reference_tokens };
        Some(found(story, kind, story.cost, self.cost, [tokens, reference_tokens], reason))
    }
}

/// Compares all that a story has cost with what it may cost.
pub fn beyond_its_limit(story: &StoryUsage) -> Option<Anomaly> {
    story.on_day?;
    let Limit { budget_id, millicents } = story.limit?;
    let limit = Total::from(millicents);
    let reason = Reason::Budget { budget_id };
    (story.cost > limit)
        .then(|| found(story, Kind::BudgetExceeded, story.cost, limit, [story.cost, limit], reason))
}

/// Everything that stands out of a day. `mean_of_epic` is the mean cost of an epic's stories that day. Where a story stands out of its
/// project, that is what counts, whatever its epic says.
pub fn detect(
    stories: &[StoryUsage],
    mean_of_epic: impl Fn(Uuid) -> Option<Total>,
    multipliers: &Multipliers,
) -> Vec<Anomaly> {
    let mut in_order: Vec<_> = stories.iter().collect();
    in_order.sort_unstable_by_key(|story| (story.project_id, story.story_id));
    let mut anomalies = Vec::new();
    for project in in_order.chunk_by(|one, next| one.project_id == next.project_id) {
        let usual = Usual::among(project, multipliers);
        for story in project {
            let in_project = usual.and_then(|usual| usual.beside(story, multipliers));
            let in_epic = || beside_its_epic(story, mean_of_epic(story.epic_id)?, multipliers);
            anomalies.extend(in_project.or_else(in_epic));
            anomalies.extend(beyond_its_limit(story));
        }
    }
    anomalies
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MULTIPLIERS: Multipliers = Multipliers {
        high: Decimal::from_parts(30, 0, 0, false, 1),
        low: Decimal::from_parts(1, 0, 0, false, 1),
        min_stories: 3,
        claim: Decimal::TWO,
    };

    /// Stories of one epic: their tokens, and what they have cost, all of it that day.
    fn stories(usage: &[(i64, i64)]) -> Vec<StoryUsage> {
        let story = |(nth, (tokens, cost)): (usize, &(i64, i64))| StoryUsage {
            story_id: Uuid::from_u128(nth as u128),
            epic_id: Uuid::nil(),
            project_id: Uuid::nil(),
            on_day: Some((*cost).into()),
            tokens: (*tokens).into(),
            cost: (*cost).into(),
            is_reported_done: true,
            limit: None,
        };
        usage.iter().enumerate().map(story).collect()
    }

    fn told(stories: &[StoryUsage], multipliers: &Multipliers) -> Vec<(Kind, i128, String)> {
        let sum: Total = stories.iter().filter_map(|story| story.on_day).sum();
        let mean = sum.shared_by(stories.len() as i64);
        let found = detect(stories, |_| Some(mean).filter(|mean| *mean > Total(0)), multipliers);
        found.into_iter().map(|found| (found.kind, found.reference.0, found.factor())).collect()
    }

    #[test]
    fn a_story_stands_out_of_its_epic() {
        let costs = |costs: &[i64]| {
            told(&stories(&costs.iter().map(|cost| (1000, *cost)).collect::<Vec<_>>()), &MULTIPLIERS)
        };
        assert_eq!(costs(&[10_000, 10_000, 10_000, 100_000]), [(Kind::HighCost, 32_500, "3.08".to_owned())]);
        assert_eq!(
            costs(&[50_000, 50_000, 50_000, 100]),
            [(Kind::SuspiciouslyLow, 37_525, "0.00".to_owned())]
        );
        assert_eq!(costs(&[8000, 10_000, 12_000]), []);
        assert_eq!(costs(&[-100, 0, 0, 0]), [], "a day of corrections");
        // Exactly three times is not more.
        let story = &stories(&[(1, 97_500)])[0];
        assert_eq!(beside_its_epic(story, Total(32_500), &MULTIPLIERS), None);
        assert!(beside_its_epic(story, Total(32_499), &MULTIPLIERS).is_some());
        let quiet = StoryUsage { on_day: None, ..*story };
        assert_eq!(beside_its_epic(&quiet, Total(1), &MULTIPLIERS), None);
    }

    #[test]
    fn a_story_stands_out_of_its_project() {
        let tokens =
            |tokens: &[i64]| stories(&tokens.iter().map(|tokens| (*tokens, 100)).collect::<Vec<_>>());
        let usage = tokens(&[40_000, 50_000, 60_000, 200_000]);
        assert_eq!(told(&usage, &MULTIPLIERS), [(Kind::HighCost, 100, "3.64".to_owned())]);
        let four = Multipliers { high: Decimal::from(4), ..MULTIPLIERS };
        assert_eq!(told(&usage, &four), []);
        assert_eq!(told(&tokens(&[1, 1_000_000]), &MULTIPLIERS), [], "two stories are too few");
        assert_eq!(told(&tokens(&[0, 0, 0, 1_000_000]), &MULTIPLIERS), [], "there is no median");
        let mut low = tokens(&[50_000, 50_000, 50_000, 100]);
        assert_eq!(told(&low, &MULTIPLIERS), [(Kind::SuspiciouslyLow, 100, "0.00".to_owned())]);
        low[3].is_reported_done = false;
        assert_eq!(told(&low, &MULTIPLIERS), [], "it is not done yet");
        low[3].on_day = None;
        assert_eq!(told(&low, &MULTIPLIERS), []);
    }

    /// What the project says counts, also where the epic says the opposite.
    #[test]
    fn a_story_is_told_of_once() {
        let usage = stories(&[(10, 10), (10, 10), (10, 10), (1000, 1000)]);
        let found = detect(&usage, |_| Some(Total(100)), &MULTIPLIERS);
        assert_eq!(found.len(), 1);
        assert!(matches!(found[0].reason, Reason::Project { .. }));
        let found = detect(&usage, |_| Some(Total(1_000_000)), &MULTIPLIERS);
        let kinds: Vec<_> = found.iter().map(|found| (found.story_id.as_u128(), found.kind)).collect();
        let low = |nth| (nth, Kind::SuspiciouslyLow);
        assert_eq!(kinds, [low(0), low(1), low(2), (3, Kind::HighCost)]);
    }

    #[test]
    fn a_story_may_cost_so_much() {
        let mut story = stories(&[(1, 5001)])[0];
        assert_eq!(beyond_its_limit(&story), None);
        story.limit = Some(Limit { budget_id: None, millicents: 5000 });
        let found = beyond_its_limit(&story).unwrap();
        assert_eq!(
            (found.kind, found.reference, found.factor().as_str()),
            (Kind::BudgetExceeded, Total(5000), "1.00")
        );
        story.cost = Total(5000);
        assert_eq!(beyond_its_limit(&story), None);
    }

    fn decimals() -> impl Strategy<Value = Decimal> {
        (1..10_000_000_i64, 0..12_u32).prop_map(|(digits, scale)| Decimal::new(digits, scale))
    }

    proptest! {
        /// Against the cross product, where that fits.
        #[test]
        fn factors_are_compared_exactly(part in 0..1_000_000_000_000_i128, whole in 1..1_000_000_000_000_i128, factor in decimals()) {
            let left = part * 10_i128.pow(factor.scale());
            prop_assert_eq!(compare(Total(part), Total(whole), factor), left.cmp(&(factor.mantissa() * whole)));
        }

        #[test]
        fn no_size_is_too_large(part in 0..i128::MAX, whole in 1..i128::MAX / 20, factor in decimals()) {
            let _ = compare(Total(part), Total(whole), factor);
        }

        #[test]
        fn half_are_below_the_median(mut figures in prop::collection::vec(-1_000_000..1_000_000_i128, 1..60)) {
            let mut totals: Vec<_> = figures.iter().copied().map(Total).collect();
            let middle = median(&mut totals).0;
            figures.sort_unstable();
            let half = figures.len() / 2;
            let expected = if figures.len() % 2 == 1 { figures[half] } else { (figures[half - 1] + figures[half]) / 2 };
            prop_assert_eq!(middle, expected);
        }

        /// Whatever the order, nobody is told of twice in one way, and what is high is more than usual.
        #[test]
        fn what_is_found_stands_out(mut usage in prop::collection::vec((0..100_000_i64, 0..100_000_i64), 0..40)) {
            let found = told(&stories(&usage), &MULTIPLIERS);
            for (kind, _, factor) in &found {
                let factor: Decimal = factor.parse().unwrap();
                match kind {
                    Kind::HighCost => prop_assert!(factor >= MULTIPLIERS.high),
                    Kind::SuspiciouslyLow => prop_assert!(factor <= MULTIPLIERS.low),
                    _ => prop_assert!(false, "{}", kind),
                }
            }
            prop_assert!(found.len() <= usage.len());
            usage.reverse();
            prop_assert_eq!(told(&stories(&usage), &MULTIPLIERS).len(), found.len());
        }
    }
}
