//! A small transformer: the meaning of a text as a vector. It is all-MiniLM-L6-v2, taught the words of this trade and rounded to four bits
//! (`distil/` says how); what it computes is what any BERT does.

use fearless_simd::{Level, Simd, dispatch, f32x8, prelude::*};

use crate::tokens;
use crate::vector::unit;
use crate::weights::{Layer, Linear, NoModel, Norm, Weights};

/// Tokens of a body that are looked at together, and how many of them the next part has as well.
const WINDOW: usize = 180;
const OVERLAP: usize = 30;
/// As much of a title goes before each part.
const TITLE: usize = 64;
/// Parts of an article that are looked at. Prose of `MOST` characters has fewer; a text of marks, each of which is a token, would have
/// hundreds, and others wait for it.
const MOST_PARTS: usize = 64;

/// The model.
pub(crate) struct Model(Weights);

impl Model {
    /// Reads a file.
    ///
    /// # Errors
    /// When it holds no model.
    pub(crate) fn read(file: &'static [u8]) -> Result<Self, NoModel> {
        let weights = Weights::read(file)?;
        // A part that did not fit would be cut to its title.
        if weights.positions < TITLE + WINDOW + 2 {
            return Err(NoModel("it takes too few tokens at once"));
        }
        Ok(Self(weights))
    }

    pub(crate) fn dimension(&self) -> usize {
        self.0.dimension
    }

    pub(crate) fn tokens(&self, text: &str) -> Vec<usize> {
        tokens::pieces(&self.0, text)
    }

    /// The vector of a question. None: it says nothing.
    pub(crate) fn question(&self, text: &str) -> Option<Vec<f32>> {
        let pieces = self.tokens(text);
        if pieces.is_empty() { None } else { self.vector(&pieces) }
    }

    /// A vector for each part of an article, each with the title before it; none, if it says nothing.
    pub(crate) fn article(&self, title: &str, body: &str) -> Vec<Vec<f32>> {
        let mut title = self.tokens(&format!("{title}."));
        let body = self.tokens(body);
        // The full stop is ours.
        if title.len() == 1 && body.is_empty() {
            return Vec::new();
        }
        title.truncate(TITLE);
        (0..parts(body.len()))
            .filter_map(|part| {
                let from = part * (WINDOW - OVERLAP);
                let part = &body[from.min(body.len())..(from + WINDOW).min(body.len())];
                self.vector(&[&title, part].concat())
            })
            .collect()
    }

    /// The vector of some pieces: the mean of what the last layer makes of them.
    fn vector(&self, pieces: &[usize]) -> Option<Vec<f32>> {
        let Weights { dimension, positions, begin, end, words, places, norm, layers, .. } = &self.0;
        let shown = &pieces[..pieces.len().min(positions - 2)];
        let ids: Vec<usize> = [*begin].iter().chain(shown).chain([end]).copied().collect();
        let mut states = vec![0.0; ids.len() * dimension];
        for ((state, id), place) in
            states.chunks_exact_mut(*dimension).zip(&ids).zip(places.chunks_exact(*dimension))
        {
            words.row(*id, state);
            add(state, place);
            normalize(state, norm);
        }
        for layer in layers {
            self.pass(layer, &mut states);
        }
        let mut mean = vec![0.0; *dimension];
        states.chunks_exact(*dimension).for_each(|state| add(&mut mean, state));
        unit(mean)
    }

    /// One layer: each token looks at all, and then at itself.
    fn pass(&self, layer: &Layer, states: &mut [f32]) {
        let (query, key, value) =
            (apply(&layer.query, states), apply(&layer.key, states), apply(&layer.value, states));
        let seen = attend(self.0.heads, self.0.dimension, &query, &key, &value);
        let output = apply(&layer.output, &seen);
        settle(states, &output, &layer.attended, self.0.dimension);
        let mut wide = apply(&layer.wide, states);
        wide.iter_mut().for_each(|value| *value = gelu(*value));
        let narrow = apply(&layer.narrow, &wide);
        settle(states, &narrow, &layer.done, self.0.dimension);
    }
}

/// What each token sees of all.
fn attend(heads: usize, dimension: usize, query: &[f32], key: &[f32], value: &[f32]) -> Vec<f32> {
    dispatch!(Level::new(), simd => attend_in(simd, heads, dimension, query, key, value))
}

#[inline(always)]
fn attend_in<S: Simd>(
    simd: S,
    heads: usize,
    dimension: usize,
    query: &[f32],
    key: &[f32],
    value: &[f32],
) -> Vec<f32> {
    let width = dimension / heads;
    let scale = 1.0 / (width as f32).sqrt();
    let mut seen = vec![0.0; query.len()];
    let mut shares = vec![0.0; query.len() / dimension];
    for head in 0..heads {
        let of = |token: usize| token * dimension + head * width..token * dimension + (head + 1) * width;
        for token in 0..shares.len() {
            let asks = &query[of(token)];
            for (other, share) in shares.iter_mut().enumerate() {
                *share = dot(simd, asks, &key[of(other)]) * scale;
            }
            softmax(&mut shares);
            let (sees, _) = seen[of(token)].as_chunks_mut();
            for (other, share) in shares.iter().enumerate() {
                for (into, value) in sees.iter_mut().zip(lanes(&value[of(other)])) {
                    let sum = f32x8::load_array_ref(simd, into) + f32x8::load_array_ref(simd, value) * *share;
                    sum.store_array(into);
                }
            }
        }
    }
    seen
}

/// How many parts a body of so many tokens has.
fn parts(tokens: usize) -> usize {
    tokens.saturating_sub(OVERLAP).max(1).div_ceil(WINDOW - OVERLAP).min(MOST_PARTS)
}

/// A linear map of every token. Each row of weights is unpacked once, and used for all of them.
fn apply(linear: &Linear, states: &[f32]) -> Vec<f32> {
    let Linear { matrix, bias } = linear;
    let mut row = vec![0.0; matrix.columns];
    let mut mapped = vec![0.0; states.len() / matrix.columns * matrix.rows];
    for (nth, bias) in bias.iter().enumerate() {
        matrix.row(nth, &mut row);
        against(&row, states, *bias, &mut mapped[nth..], matrix.rows);
    }
    mapped
}

/// The products of a row with every token, each `step` after the one before.
fn against(row: &[f32], states: &[f32], bias: f32, into: &mut [f32], step: usize) {
    dispatch!(Level::new(), simd => against_in(simd, row, states, bias, into, step));
}

#[inline(always)]
fn against_in<S: Simd>(simd: S, row: &[f32], states: &[f32], bias: f32, into: &mut [f32], step: usize) {
    let width = row.len();
    let mut into = into.iter_mut().step_by(step);
    let mut fours = states.chunks_exact(4 * width);
    for four in &mut fours {
        for (sum, into) in dots(simd, row, four).into_iter().zip(&mut into) {
            *into = sum + bias;
        }
    }
    for (state, into) in fours.remainder().chunks_exact(width).zip(into) {
        *into = dot(simd, row, state) + bias;
    }
}

/// The products of a row with four tokens: each part of the row is loaded once, and no sum waits for another. They are written out,
/// because a loop over four need not be unrolled where code is to be small, and then its sums are in memory.
#[inline(always)]
fn dots<S: Simd>(simd: S, row: &[f32], states: &[f32]) -> [f32; 4] {
    let (first, rest) = states.split_at(row.len());
    let (second, rest) = rest.split_at(row.len());
    let (third, fourth) = rest.split_at(row.len());
    let [mut one, mut two, mut three, mut four] = [f32x8::splat(simd, 0.0); 4];
    for ((((row, first), second), third), fourth) in
        lanes(row).iter().zip(lanes(first)).zip(lanes(second)).zip(lanes(third)).zip(lanes(fourth))
    {
        let row = f32x8::load_array_ref(simd, row);
        one += row * f32x8::load_array_ref(simd, first);
        two += row * f32x8::load_array_ref(simd, second);
        three += row * f32x8::load_array_ref(simd, third);
        four += row * f32x8::load_array_ref(simd, fourth);
    }
    [one.reduce_sum(), two.reduce_sum(), three.reduce_sum(), four.reduce_sum()]
}

/// The product of two, of which each has a multiple of eight parts.
#[inline(always)]
fn dot<S: Simd>(simd: S, one: &[f32], other: &[f32]) -> f32 {
    let mut sums = f32x8::splat(simd, 0.0);
    for (one, other) in lanes(one).iter().zip(lanes(other)) {
        sums += f32x8::load_array_ref(simd, one) * f32x8::load_array_ref(simd, other);
    }
    sums.reduce_sum()
}

/// What is computed side by side.
#[inline(always)]
fn lanes(of: &[f32]) -> &[[f32; 8]] {
    of.as_chunks().0
}

fn add(into: &mut [f32], other: &[f32]) {
    into.iter_mut().zip(other).for_each(|(into, other)| *into += other);
}

/// Adds what a part of a layer has found out, and brings it back to measure.
fn settle(states: &mut [f32], found: &[f32], norm: &Norm, dimension: usize) {
    for (state, found) in states.chunks_exact_mut(dimension).zip(found.chunks_exact(dimension)) {
        add(state, found);
        normalize(state, norm);
    }
}

fn normalize(state: &mut [f32], norm: &Norm) {
    let count = state.len() as f32;
    let mean = state.iter().sum::<f32>() / count;
    let variance = state.iter().map(|value| (value - mean) * (value - mean)).sum::<f32>() / count;
    let scale = 1.0 / (variance + 1e-12).sqrt();
    for ((value, gain), bias) in state.iter_mut().zip(&norm.gain).zip(&norm.bias) {
        *value = (*value - mean) * scale * gain + bias;
    }
}

fn softmax(shares: &mut [f32]) {
    let most = shares.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for share in &mut *shares {
        *share = (*share - most).exp();
        sum += *share;
    }
    shares.iter_mut().for_each(|share| *share /= sum);
}

fn gelu(value: f32) -> f32 {
    0.5 * value * (1.0 + erf(value * std::f32::consts::FRAC_1_SQRT_2))
}

/// Abramowitz and Stegun 7.1.26: right to seven digits.
fn erf(value: f32) -> f32 {
    let size = value.abs();
    let t = 1.0 / (1.0 + 0.327_591_1 * size);
    let polynomial =
        ((((1.061_405_4 * t - 1.453_152) * t + 1.421_413_7) * t - 0.284_496_74) * t + 0.254_829_6) * t;
    (1.0 - polynomial * (-size * size).exp()).copysign(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_reach_to_the_end_of_an_article_that_is_not_endless() {
        for (tokens, expected) in [(0, 1), (1, 1), (180, 1), (181, 2), (330, 2), (331, 3), (9_630, 64)] {
            assert_eq!(parts(tokens), expected, "{tokens}");
        }
        assert_eq!(parts(crate::MOST), MOST_PARTS, "a text of marks");
    }
}
