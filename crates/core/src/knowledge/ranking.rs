//! How articles that were found are put in order, by how near they are to a question and by how new they are.

/// Days in which what is known loses two thirds of its freshness.
const FADES: f64 = 30.0;

/// How near an article is to a question: by its `meaning` (-1 to 1), and by the share of the question's rare `words` that it has (0 to 1).
/// The words count by their fourth power, because a stray one says nothing and all of them say much (measured: `docs/knowledge.md`).
pub fn nearness(meaning: f32, words: f32) -> f32 {
    f32::midpoint(meaning.max(0.0), words.powi(4))
}

/// How rare a word is that so many of all articles have.
pub fn rarity(with: usize, all: usize) -> f32 {
    let (with, all) = (with as f32, all as f32);
    ((all - with + 0.5) / (with + 0.5)).max(0.0).ln_1p()
}

/// How fresh an article is, from 0 to 1, so many days after it was changed last.
pub fn recency(age_days: f64) -> f64 {
    (-age_days.max(0.0) / FADES).exp()
}

/// How well an article serves a task: what it is about and how fresh it is, of which the latter counts by `weight`.
pub fn usefulness(relevance: f64, recency: f64, weight: f64) -> f64 {
    (1.0 - weight) * relevance + weight * recency
}

/// A score as it is shown: four places.
pub fn shown(score: f64) -> f64 {
    (score * 10_000.0).round() / 10_000.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_known_fades() {
        assert_eq!(recency(0.0), 1.0);
        assert!((recency(30.0) - 0.3679).abs() < 1e-4 && recency(90.0) < 0.05);
        // Of the clock of another machine.
        assert_eq!(recency(-3.0), 1.0);
    }

    #[test]
    fn a_stray_word_says_little_and_all_of_them_much() {
        let stray = nearness(0.3, 0.2) - nearness(0.3, 0.0);
        assert!(stray < 0.02 && nearness(0.3, 1.0) > nearness(0.6, 0.0));
        assert!(rarity(1, 1000) > 2.0 * rarity(100, 1000) && rarity(1000, 1000) < 0.01);
    }

    proptest! {
        #[test]
        fn scores_stay_within_bounds(meaning in -1.0_f32..=1.0, words in 0.0_f32..=1.0, age in -10.0..1e6, weight in 0.0..=1.0) {
            let near = nearness(meaning, words);
            prop_assert!((0.0..=1.0).contains(&near));
            prop_assert!(nearness(meaning, 1.0) >= near && nearness(1.0, words) >= near);
            let use_ = usefulness(f64::from(near), recency(age), weight);
            prop_assert!((0.0..=1.0).contains(&use_));
        }

        #[test]
        fn the_rarer_a_word_the_more_it_says(all in 1_usize..100_000, with in 0_usize..100_000) {
            let with = with.min(all);
            prop_assert!(rarity(with, all) >= 0.0 && rarity(with, all) >= rarity(with + 1, all));
        }
    }
}
