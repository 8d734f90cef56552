//! Vectors of length one.

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
pub fn dot(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}
