//! Vectors of words alone: each word, pair of words and piece of a word has a place that a hash tells. Texts with the same words are
//! near each other; other words for the same thing are not.

use std::collections::HashMap;

use loopctl_core::knowledge::stems;

use crate::vector::unit;

/// How long its vectors are.
pub(crate) const DIMENSIONS: usize = 1536;

const STEM: f32 = 1.0;
const PAIR: f32 = 0.5;
const TRIGRAM: f32 = 0.25;
/// From this length on a stem is known by its pieces as well.
const LONG: usize = 5;

/// The vector of a text; what its title says counts twice. None: it says nothing.
pub(crate) fn vector(title: &str, body: &str) -> Option<Vec<f32>> {
    let mut features = HashMap::new();
    count(title, 2.0, &mut features);
    count(body, 1.0, &mut features);
    let mut vector = vec![0.0; DIMENSIONS];
    for (feature, (weight, times)) in features {
        let hash = fnv1a(&feature);
        let place = usize::try_from(hash % DIMENSIONS as u64).unwrap_or_default();
        let sign = if hash >> 63 == 0 { 1.0 } else { -1.0 };
        vector[place] += sign * weight * (1.0 + f32::ln(times));
    }
    unit(vector)
}

/// What a text is made of: each feature with its weight, and how often it is there.
fn count(text: &str, times: f32, features: &mut HashMap<String, (f32, f32)>) {
    let stems = stems(text);
    let mut add = |feature: String, weight: f32| {
        features.entry(feature).or_insert((weight, 0.0)).1 += times;
    };
    for stem in &stems {
        add(format!("s:{stem}"), STEM);
        let chars: Vec<char> = stem.chars().collect();
        if chars.len() >= LONG {
            for piece in chars.windows(3) {
                add(format!("t:{}", String::from_iter(piece)), TRIGRAM);
            }
        }
    }
    for pair in stems.windows(2) {
        add(format!("p:{} {}", pair[0], pair[1]), PAIR);
    }
}

/// The same everywhere and for ever, because vectors are kept.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::vector::dot;

    #[test]
    fn places_do_not_move() {
        assert_eq!(fnv1a(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a("a"), 0xaf63_dc4c_8601_ec8c);
    }

    #[test]
    fn the_same_words_are_near_and_others_are_not() {
        let of = |title: &str, body: &str| vector(title, body).unwrap();
        let first =
            of("Connection pools", "A pool keeps connections to the database open and hands them out.");
        let second = of(
            "Pooled connections",
            "Connections to a database are kept open in a pool, which hands them out.",
        );
        let other =
            of("Naming of branches", "A branch is named after the story, with the number in front of it.");
        assert!(dot(&first, &second) > 0.5 && dot(&first, &other) < 0.1);
    }

    #[test]
    fn what_says_nothing_has_no_vector() {
        for text in ["", "  ", "the of and", "…!?", "\u{1f600}"] {
            assert_eq!(vector("", text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_vector_is_as_long_as_the_next_and_the_same_again(title in ".{0,40}", body in ".{0,200}") {
            let once = vector(&title, &body);
            prop_assert_eq!(&once, &vector(&title, &body));
            if let Some(vector) = once {
                prop_assert!((dot(&vector, &vector) - 1.0).abs() < 1e-3);
            }
        }
    }
}
