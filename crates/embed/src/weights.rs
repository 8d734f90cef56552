//! The weights of the model, as a file has them: little-endian, sections of which each begins at a multiple of 64 bytes.
//!
//! The head (128 bytes): `LCEMBED1`, then eleven `u32` (version 1, dimension, layers, heads, inner dimension, positions, pieces, 32, and the
//! numbers of the pieces `[UNK]`, `[CLS]`, `[SEP]`), then where each section begins and where the last one ends. The sections: where each
//! piece's text begins (`u32`, one more than there are pieces); the texts, in the order of their bytes; the pieces' vectors (a matrix); the
//! positions' (`f16`); the first norm (`f32`); then each layer: `q k v o f1 f2`, each a matrix and its bias (`f32`), and two norms.
//!
//! A matrix has four bits for each weight, in groups of 32 along a row: byte `j` of a group holds the weight `j` in its lower and
//! `j + 16` in its upper half, 8 above what it means. After all of them comes a factor for each group (`f16`).

use fearless_simd::{Level, Simd, dispatch, f32x8, i8x16, prelude::*, u8x16};

/// Weights that share a factor.
pub(crate) const GROUP: usize = 32;
const MAGIC: &[u8] = b"LCEMBED1";
/// What numbers of the head mean, in their order.
const HEADS: usize = 12;

/// A matrix of four-bit weights.
pub(crate) struct Matrix {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    codes: &'static [u8],
    factors: Vec<f32>,
}

impl Matrix {
    /// A row in full.
    pub(crate) fn row(&self, row: usize, into: &mut [f32]) {
        let groups = self.columns / GROUP;
        let codes = &self.codes[row * self.columns / 2..][..self.columns / 2];
        let factors = &self.factors[row * groups..][..groups];
        unpack(codes, factors, into);
    }
}

fn unpack(codes: &[u8], factors: &[f32], into: &mut [f32]) {
    dispatch!(Level::new(), simd => unpack_in(simd, codes, factors, into));
}

#[inline(always)]
fn unpack_in<S: Simd>(simd: S, codes: &[u8], factors: &[f32], into: &mut [f32]) {
    let (codes, _) = codes.as_chunks::<{ GROUP / 2 }>();
    let (into, _) = into.as_chunks_mut::<GROUP>();
    for ((codes, factor), into) in codes.iter().zip(factors).zip(into) {
        let codes = u8x16::load_array_ref(simd, codes);
        let (lower, upper) = into.split_at_mut(GROUP / 2);
        multiply(codes & 15, *factor, lower);
        multiply(codes >> 4, *factor, upper);
    }
}

/// What some codes mean.
#[inline(always)]
fn multiply<S: Simd>(codes: u8x16<S>, factor: f32, into: &mut [f32]) {
    let (low, high) = (codes.bitcast::<i8x16<S>>() - 8).widen();
    let (low, high) = low.combine(high).widen();
    let (into_low, into_high) = into.split_at_mut(GROUP / 4);
    (low.to_float::<f32x8<S>>() * factor).store_slice(into_low);
    (high.to_float::<f32x8<S>>() * factor).store_slice(into_high);
}

/// A matrix and what is added after it.
pub(crate) struct Linear {
    pub(crate) matrix: Matrix,
    pub(crate) bias: Vec<f32>,
}

/// What a norm multiplies by and adds.
pub(crate) struct Norm {
    pub(crate) gain: Vec<f32>,
    pub(crate) bias: Vec<f32>,
}

/// A layer.
pub(crate) struct Layer {
    pub(crate) query: Linear,
    pub(crate) key: Linear,
    pub(crate) value: Linear,
    pub(crate) output: Linear,
    pub(crate) attended: Norm,
    pub(crate) wide: Linear,
    pub(crate) narrow: Linear,
    pub(crate) done: Norm,
}

/// The weights of a model.
pub(crate) struct Weights {
    pub(crate) dimension: usize,
    pub(crate) heads: usize,
    /// Tokens of a text, with the one before it and the one after it.
    pub(crate) positions: usize,
    pub(crate) unknown: usize,
    pub(crate) begin: usize,
    pub(crate) end: usize,
    pieces: Pieces,
    pub(crate) words: Matrix,
    pub(crate) places: Vec<f32>,
    pub(crate) norm: Norm,
    pub(crate) layers: Vec<Layer>,
}

/// The texts of pieces, in order.
struct Pieces {
    begins: Vec<usize>,
    texts: &'static [u8],
}

/// A file that is not one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no model of this version: {0}")]
pub struct NoModel(pub(crate) &'static str);

impl Weights {
    /// Reads a file.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn read(file: &'static [u8]) -> Result<Self, NoModel> {
        let mut head = Reader { file, at: MAGIC.len() };
        if !file.starts_with(MAGIC) {
            return Err(NoModel("it does not begin as one"));
        }
        let numbers = head.numbers(11)?;
        let [version, dimension, layers, heads, inner, positions, pieces, group, unknown, begin, end] =
            numbers[..]
        else {
            return Err(NoModel("its head is short"));
        };
        let fits = version == 1
            && group == GROUP
            && heads == HEADS
            && (1..=24).contains(&layers)
            && (64..=1024).contains(&dimension)
            && dimension % GROUP == 0
            && dimension % heads == 0
            && (GROUP..=8192).contains(&inner)
            && inner % GROUP == 0
            && (8..=512).contains(&positions)
            && [unknown, begin, end].iter().all(|piece| *piece < pieces);
        if !fits {
            return Err(NoModel("its numbers do not fit"));
        }
        let sections = head.numbers(layers + 6)?;
        let section = |nth: usize| Reader { file, at: sections[nth] };
        let begins = section(0).numbers(pieces + 1)?;
        let texts = section(1).bytes(begins.last().copied().unwrap_or_default())?;
        if !begins.is_sorted() {
            return Err(NoModel("its pieces overlap"));
        }
        let mut read = Vec::new();
        for nth in 0..layers {
            let mut at = section(nth + 5);
            let mut linear = |rows, columns| at.linear(rows, columns);
            let (query, key) = (linear(dimension, dimension)?, linear(dimension, dimension)?);
            let (value, output) = (linear(dimension, dimension)?, linear(dimension, dimension)?);
            let (wide, narrow) = (linear(inner, dimension)?, linear(dimension, inner)?);
            let (attended, done) = (at.norm(dimension)?, at.norm(dimension)?);
            read.push(Layer { query, key, value, output, attended, wide, narrow, done });
        }
        Ok(Self {
            dimension,
            heads,
            positions,
            unknown,
            begin,
            end,
            pieces: Pieces { begins, texts },
            words: section(2).matrix(pieces, dimension)?,
            places: section(3).halves(positions * dimension)?,
            norm: section(4).norm(dimension)?,
            layers: read,
        })
    }

    /// The number of a piece.
    pub(crate) fn piece(&self, text: &str) -> Option<usize> {
        let Pieces { begins, texts } = &self.pieces;
        let of = |nth: usize| &texts[begins[nth]..begins[nth + 1]];
        let (mut low, mut high) = (0, begins.len() - 1);
        while low < high {
            let middle = usize::midpoint(low, high);
            match of(middle).cmp(text.as_bytes()) {
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }
}

/// Reads one thing after the other.
struct Reader {
    file: &'static [u8],
    at: usize,
}

impl Reader {
    fn bytes(&mut self, count: usize) -> Result<&'static [u8], NoModel> {
        let end = self.at.checked_add(count).ok_or(NoModel("it is too short"))?;
        let bytes = self.file.get(self.at..end).ok_or(NoModel("it is too short"))?;
        self.at = end;
        Ok(bytes)
    }

    fn each<const SIZE: usize, T>(
        &mut self,
        count: usize,
        of: fn([u8; SIZE]) -> T,
    ) -> Result<Vec<T>, NoModel> {
        let bytes = self.bytes(count.checked_mul(SIZE).ok_or(NoModel("it is too short"))?)?;
        Ok(bytes.as_chunks::<SIZE>().0.iter().map(|bytes| of(*bytes)).collect())
    }

    fn numbers(&mut self, count: usize) -> Result<Vec<usize>, NoModel> {
        self.each(count, |bytes| u32::from_le_bytes(bytes) as usize)
    }

    fn floats(&mut self, count: usize) -> Result<Vec<f32>, NoModel> {
        self.each(count, f32::from_le_bytes)
    }

    fn halves(&mut self, count: usize) -> Result<Vec<f32>, NoModel> {
        self.each(count, |bytes| half::f16::from_le_bytes(bytes).to_f32())
    }

    fn matrix(&mut self, rows: usize, columns: usize) -> Result<Matrix, NoModel> {
        let codes = self.bytes(rows * columns / 2)?;
        let factors = self.halves(rows * columns / GROUP)?;
        Ok(Matrix { rows, columns, codes, factors })
    }

    fn linear(&mut self, rows: usize, columns: usize) -> Result<Linear, NoModel> {
        Ok(Linear { matrix: self.matrix(rows, columns)?, bias: self.floats(rows)? })
    }

    fn norm(&mut self, dimension: usize) -> Result<Norm, NoModel> {
        Ok(Norm { gain: self.floats(dimension)?, bias: self.floats(dimension)? })
    }
}
