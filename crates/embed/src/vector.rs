//! Vectors of length one, and a form of them in which many fit into little memory.

use fearless_simd::{Level, Simd, dispatch, i8x32, i32x8, prelude::*};

/// The vector of length one in this direction. None: it has none.
pub(crate) fn unit(mut vector: Vec<f32>) -> Option<Vec<f32>> {
    let length = dot(&vector, &vector).sqrt();
    if !(length.is_finite() && length > f32::EPSILON) {
        return None;
    }
    for value in &mut vector {
        *value /= length;
    }
    Some(vector)
}

/// How near two vectors of length one are, from -1 to 1.
#[must_use]
pub fn dot(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

/// What the largest part of a small vector is.
const LARGEST: f32 = 127.0;

/// A vector of length one with a byte for each part, each a multiple of its largest. It is as near to others as the vector, to about a
/// hundredth.
#[derive(Debug, Clone, PartialEq)]
pub struct Small {
    parts: Vec<i8>,
    /// One over its length.
    scale: f32,
}

impl Small {
    /// Of a vector. None: it has no direction.
    #[must_use]
    pub fn of(vector: &[f32]) -> Option<Self> {
        let largest = vector.iter().fold(0.0_f32, |largest, part| largest.max(part.abs()));
        if !(largest.is_finite() && largest > 0.0) {
            return None;
        }
        Self::from_parts(vector.iter().map(|part| (part / largest * LARGEST).round() as i8).collect())
    }

    /// Of its parts. None: they are all zero.
    #[must_use]
    pub fn from_parts(parts: Vec<i8>) -> Option<Self> {
        let length = (products(&parts, &parts) as f32).sqrt();
        (length > 0.0).then(|| Self { parts, scale: 1.0 / length })
    }

    /// Its parts.
    #[must_use]
    pub fn parts(&self) -> &[i8] {
        &self.parts
    }

    /// How near it is to another one of as many parts, from -1 to 1.
    #[must_use]
    pub fn near(&self, other: &Self) -> f32 {
        products(&self.parts, &other.parts) as f32 * self.scale * other.scale
    }
}

fn products(one: &[i8], other: &[i8]) -> i32 {
    dispatch!(Level::new(), simd => products_in(simd, one, other))
}

#[inline(always)]
fn products_in<S: Simd>(simd: S, one: &[i8], other: &[i8]) -> i32 {
    const LANES: usize = 32;
    let (lanes, rest) = one.as_chunks::<LANES>();
    let (other_lanes, other_rest) = other.as_chunks::<LANES>();
    let mut sums = i32x8::splat(simd, 0);
    for (one, other) in lanes.iter().zip(other_lanes) {
        let (low, high) = i8x32::load_array_ref(simd, one).widen();
        let (other_low, other_high) = i8x32::load_array_ref(simd, other).widen();
        sums += low.pairwise_dot_product(other_low) + high.pairwise_dot_product(other_high);
    }
    let rest: i32 = rest.iter().zip(other_rest).map(|(one, other)| i32::from(*one) * i32::from(*other)).sum();
    sums.reduce_sum() + rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_has_no_direction_is_no_vector() {
        for vector in [&[][..], &[0.0, 0.0], &[f32::NAN], &[f32::INFINITY, 1.0]] {
            assert_eq!(Small::of(vector), None, "{vector:?}");
        }
        assert_eq!(Small::from_parts(vec![0; 4]), None);
    }

    proptest! {
        #[test]
        fn products_are_exact_however_many(parts in proptest::collection::vec(any::<(i8, i8)>(), 0..100)) {
            let (one, other): (Vec<i8>, Vec<i8>) = parts.iter().copied().unzip();
            let expected: i32 = parts.iter().map(|(one, other)| i32::from(*one) * i32::from(*other)).sum();
            prop_assert_eq!(products(&one, &other), expected);
        }

        #[test]
        fn small_ones_are_as_near(one in proptest::collection::vec(-1.0_f32..1.0, 384), other in proptest::collection::vec(-1.0_f32..1.0, 384)) {
            let (one, other) = (unit(one).unwrap(), unit(other).unwrap());
            let near = Small::of(&one).unwrap().near(&Small::of(&other).unwrap());
            prop_assert!((near - dot(&one, &other)).abs() < 0.01, "{near} {}", dot(&one, &other));
            let itself = Small::of(&one).unwrap();
            prop_assert!((itself.near(&itself) - 1.0).abs() < 1e-4);
        }
    }
}
