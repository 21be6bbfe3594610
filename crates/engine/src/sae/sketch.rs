//! A small picture of a matrix of rows, from which it can be told which few rows are worth a look.
//!
//! Each row is turned by a random rotation, and of what comes out only the signs are kept: 512 bytes a row, 256 where
//! there are very many. With r a row less the mean row, s the signs of its picture r′ and q′ the picture of a vector q,
//! `⟨s, q′⟩ · ‖r‖² / Σ|r′|` is ⟨r, q⟩ up to a small error that does not depend on what the rows are (Gao and Long 2024,
//! `RaBitQ`, §3). q′ is rounded to four bits, so that the product is four counts of common bits.
//!
//! Scanning the pictures of 131,072 rows of 4,096 values reads 67 MB in place of a gigabyte. They lie in a file beside
//! the converted one.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::Mutex;

use rayon::prelude::*;
use serde_json::{Map, Value, json};

use super::convert::{Unfinished, beside};
use super::file::{Rows, SaeFile};
use super::scan::product;
use super::source::{Container, Raw};
use crate::error::{EngineError, Result};
use crate::memory::room_for_bytes;
use crate::ops::simd::kernel;
use crate::random::Noise;

/// What the header of the file calls the form.
const FORM: &str = "tiller-sketch-1";
const CENTRE: &str = "centre";
const WEIGHTS: &str = "weights";
const SIGNS: &str = "signs";
/// Rows from which on fewer signs are kept of each.
const MANY: usize = 1 << 18;
/// Bits that a value of the vector is rounded to, sign included.
const PLANES: usize = 4;
/// Rows whose mean stands for that of all.
const FOR_MEAN: usize = 4096;
/// Rows that are counted between two looks at whether to stop.
const AT_ONCE: usize = 1 << 13;
/// Rows that one thread estimates at a time.
const PER_TASK: usize = 1 << 11;

/// One at a time in this process: two would write the same file.
static MAKING: Mutex<()> = Mutex::new(());

/// Pictures of all decoder rows.
#[derive(Debug)]
pub(super) struct Sketch {
    rotation: Rotation,
    /// What was taken off every row, `[d]`.
    centre: Vec<f32>,
    /// `‖r‖² / Σ|r′|` of each row.
    weights: Vec<f32>,
    /// The same number of words for each row.
    signs: Vec<u64>,
}

/// Words of signs that are kept of each of so many rows.
fn words(d_sae: usize) -> usize {
    if d_sae > MANY { 32 } else { 64 }
}

/// What is known of a row's product with a vector before the row is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guess {
    pub(super) row: u32,
    /// It is rarely above this: three standard deviations over the estimate.
    pub(super) at_most: f32,
}

impl Sketch {
    /// That of an SAE, if it was made and belongs to it.
    ///
    /// # Errors
    /// A file that is there and cannot be read, or is damaged or another SAE's.
    pub(super) fn read(of: &SaeFile) -> Result<Option<Self>> {
        let path = beside(of.path(), "sketch");
        if !path.is_file() {
            return Ok(None);
        }
        let (d, n) = (of.description().d_model, of.description().d_sae);
        let (rotation, words) = (Rotation::new(d, 64 * words(n)), words(n));
        let container = Container::open(&path)?;
        let fact = |name: &str| container.facts.get(name).map(String::as_str).unwrap_or_default();
        if fact("format") != FORM || fact("of") != fingerprint(of)? {
            return Err(container.bad("it was not made from the converted SAE beside it"));
        }
        let is_whole = container.shape(SIGNS).is_some_and(|shape| shape == [n, words]);
        let [at] = container.table_of(&[SIGNS])[..] else { return Err(container.bad("it holds no signs")) };
        if !is_whole {
            return Err(container.bad("its sizes are not those of the SAE"));
        }
        let (centre, weights) = (container.vector(CENTRE, d)?, container.vector(WEIGHTS, n)?);
        room_for_bytes((8 * n * words) as u64)?;
        let mut signs = vec![0; n * words];
        Raw::open(&path)?.fill(at, bytemuck::cast_slice_mut(&mut signs))?;
        Ok(Some(Self { rotation, centre, weights, signs }))
    }

    /// Makes that of an SAE and puts it beside the place where that is or will be, whole or not at all;
    /// `progress(done, total)` counts rows and returns `false` to stop.
    ///
    /// # Errors
    /// A failure to read or write, no room, [`EngineError::Stopped`].
    pub(super) fn make(of: &SaeFile, place: &Path, progress: &mut dyn FnMut(usize, usize) -> bool) -> Result<Self> {
        let _alone = MAKING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Another handle of the same file may have made it meanwhile; a damaged one is replaced.
        if let Ok(Some(made)) = Self::read(of) {
            return Ok(made);
        }
        let made = Self::of_rows(of, progress)?;
        made.write(of, place)?;
        Ok(made)
    }

    fn of_rows(of: &SaeFile, progress: &mut dyn FnMut(usize, usize) -> bool) -> Result<Self> {
        let (d, n) = (of.description().d_model, of.description().d_sae);
        let words = words(n);
        room_for_bytes(((8 * words + 4) * n) as u64)?;
        let (rotation, centre) = (Rotation::new(d, 64 * words), mean(of)?);
        let (mut weights, mut signs) = (Vec::with_capacity(n), Vec::with_capacity(n * words));
        // Of each row its signs and, in a last word, its weight.
        let mut pictures = vec![0; AT_ONCE.min(n) * (words + 1)];
        for first in (0..n).step_by(AT_ONCE) {
            let pictures = &mut pictures[..AT_ONCE.min(n - first) * (words + 1)];
            of.scan(Rows::Decoder, first, (&mut *pictures, words + 1), |piece, scratch, out| {
                scratch.resize(d + rotation.scratch(), 0.0);
                let (row, scratch) = scratch.split_at_mut(d);
                for (idx, out) in out.chunks_exact_mut(words + 1).enumerate() {
                    piece.widen(idx..idx + 1, row);
                    row.iter_mut().zip(&centre).for_each(|(w, mean)| *w -= mean);
                    let sizes = signs_of(rotation.picture(row, scratch), out);
                    let weight = if sizes > 0.0 { product(row, row) / sizes } else { 0.0 };
                    out[words] = u64::from(weight.to_bits());
                }
            })?;
            for picture in pictures.chunks_exact(words + 1) {
                signs.extend_from_slice(&picture[..words]);
                weights.push(f32::from_bits(picture[words] as u32));
            }
            if !progress(weights.len(), n) {
                return Err(EngineError::Stopped);
            }
        }
        Ok(Self { rotation, centre, weights, signs })
    }

    fn write(&self, of: &SaeFile, place: &Path) -> Result<()> {
        let path = beside(place, "sketch");
        let unfinished = Unfinished { path: beside(place, "sketch.part") };
        let io = |source| EngineError::Io { path: unfinished.path.clone(), source };
        // 64-bit words first, so that they begin where such words may.
        let parts: [(&str, &str, Vec<usize>, &[u8]); 3] = [
            (SIGNS, "I64", vec![self.weights.len(), words(self.weights.len())], bytemuck::cast_slice(&self.signs)),
            (WEIGHTS, "F32", vec![self.weights.len()], bytemuck::cast_slice(&self.weights)),
            (CENTRE, "F32", vec![self.centre.len()], bytemuck::cast_slice(&self.centre)),
        ];
        let mut table = Map::new();
        table.insert("__metadata__".to_owned(), json!({"format": FORM, "of": fingerprint(of)?}));
        let mut at = 0;
        for (name, dtype, shape, bytes) in &parts {
            let end = at + bytes.len();
            table.insert((*name).to_owned(), json!({"dtype": dtype, "shape": shape, "data_offsets": [at, end]}));
            at = end;
        }
        let mut header = Value::Object(table).to_string().into_bytes();
        header.resize(header.len().next_multiple_of(8), b' ');
        let mut file = BufWriter::new(File::create(&unfinished.path).map_err(io)?);
        file.write_all(&(header.len() as u64).to_le_bytes()).map_err(io)?;
        file.write_all(&header).map_err(io)?;
        parts.iter().try_for_each(|(.., bytes)| file.write_all(bytes)).map_err(io)?;
        let file = file.into_inner().map_err(|error| io(error.into_error()))?;
        file.sync_all().map_err(io)?;
        drop(file);
        std::fs::rename(&unfinished.path, &path).map_err(|source| EngineError::Io { path, source })
    }

    /// The `n` rows whose product with `vector` `[d]` may be the largest, the most promising first.
    pub(super) fn most_promising(&self, vector: &[f32], n: usize) -> Vec<Guess> {
        let mut scratch = vec![0.0; self.rotation.scratch()];
        let query = Query::new(self.rotation.picture(vector, &mut scratch));
        let (base, length) = (product(vector, &self.centre), product(vector, vector).sqrt());
        let words = words(self.weights.len());
        let mut guesses = vec![0.0_f32; self.weights.len()];
        let rows = self.signs.par_chunks(PER_TASK * words).zip(self.weights.par_chunks(PER_TASK));
        guesses.par_chunks_mut(PER_TASK).zip(rows).for_each(|(out, (signs, weights))| {
            upper_bounds(out, signs, weights, &query, self.rotation.error * length);
        });
        let mut order: Vec<u32> = (0..guesses.len() as u32).collect();
        let rank = |a: &u32, b: &u32| guesses[*b as usize].total_cmp(&guesses[*a as usize]).then(a.cmp(b));
        let n = n.min(order.len());
        if n > 0 && n < order.len() {
            order.select_nth_unstable_by(n - 1, rank);
        }
        order.truncate(n);
        order.sort_unstable_by(rank);
        order.into_iter().map(|row| Guess { row, at_most: base + guesses[row as usize] }).collect()
    }
}

/// A vector's picture, rounded: value i is `scale · Σ_k 2^k·bit_k(i)`, the last bit counting −2^k.
#[derive(Debug)]
struct Query {
    planes: [Vec<u64>; PLANES],
    scale: f32,
    /// Sum of the rounded values without the scale.
    sum: i32,
}

impl Query {
    fn new(picture: &[f32]) -> Self {
        const TOP: f32 = ((1 << (PLANES - 1)) - 1) as f32;
        // Few values are beyond three times their spread; cutting them costs less than rounding all the others coarsely.
        let spread = (product(picture, picture) / picture.len() as f32).sqrt();
        let largest = picture.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
        let scale = (3.0 * spread).min(largest) / TOP;
        let mut planes = [(); PLANES].map(|()| vec![0; picture.len() / 64]);
        let mut sum = 0;
        for (i, value) in picture.iter().enumerate() {
            let rounded = if scale > 0.0 { (value / scale).round().clamp(-TOP, TOP) as i32 } else { 0 };
            sum += rounded;
            for (k, plane) in planes.iter_mut().enumerate() {
                plane[i / 64] |= u64::from(rounded as u32 >> k & 1) << (i % 64);
            }
        }
        Self { planes, scale, sum }
    }
}

/// Words that are counted side by side.
const SIDE_BY_SIDE: usize = 8;

kernel! {
    /// For each row what its product with the vector, less that of the centre, is rarely above: the estimate and so many
    /// of the row's weights.
    fn upper_bounds[_simd](
        out: &'k mut [f32],
        signs: &'k [u64],
        weights: &'k [f32],
        query: &'k Query,
        error: f32,
    ) {
        let planes: [&[[u64; SIDE_BY_SIDE]]; PLANES] = std::array::from_fn(|k| query.planes[k].as_chunks().0);
        let n = planes[0].len();
        let [p0, p1, p2, p3] = planes.map(|plane| &plane[..n]);
        for ((out, signs), weight) in out.iter_mut().zip(signs.as_chunks().0.chunks_exact(n)).zip(weights) {
            let mut common = [[0_u64; SIDE_BY_SIDE]; PLANES];
            for i in 0..n {
                let (signs, planes): (&[u64; SIDE_BY_SIDE], _) = (&signs[i], [&p0[i], &p1[i], &p2[i], &p3[i]]);
                for k in 0..PLANES {
                    for l in 0..SIDE_BY_SIDE {
                        common[k][l] += u64::from((signs[l] & planes[k][l]).count_ones());
                    }
                }
            }
            let [a, b, c, d] = common.map(|counts| counts.iter().sum::<u64>() as i32);
            // A set bit stands for +1 and the others for −1.
            let sum = 2 * (a + 2 * b + 4 * c - 8 * d) - query.sum;
            *out = weight * (query.scale * sum as f32 + error);
        }
    }
}

/// Rotations of rows of `d` values, one after another until there are enough values for a picture, which keeps products
/// about as they are.
///
/// A rotation changes signs at random and takes the Hadamard transform. Where the width is no power of two, it takes that
/// of the first and of the last values, as many as there is a power of two for, then sums and differences of both halves,
/// and all of it twice (the library of `RaBitQ` does much the same).
#[derive(Debug)]
struct Rotation {
    /// Width of the rows, and at least that of a Hadamard transform.
    width: usize,
    n_bits: usize,
    /// For each rotation the signs, once or twice, and which of its outcomes are taken.
    turns: Vec<(Vec<Vec<f32>>, Vec<u32>)>,
    /// Three standard deviations of an estimate for a vector of length 1, in weights of the row.
    error: f32,
}

impl Rotation {
    fn new(d: usize, n_bits: usize) -> Self {
        let width = d.max(LANES);
        let mut noise = Noise(d as u64);
        let mut turns = Vec::new();
        let mut left = n_bits;
        while left > 0 {
            let mut sign = || if noise.next() >> 63 == 0 { 1.0 } else { -1.0 };
            let n_rounds = if width.is_power_of_two() { 1 } else { 2 };
            let signs = (0..n_rounds).map(|_| (0..width).map(|_| sign()).collect()).collect();
            // The first so many of a random order.
            let n = left.min(width);
            let mut taken: Vec<u32> = (0..width as u32).collect();
            for i in 0..n {
                taken.swap(i, i + (noise.next() % (width - i) as u64) as usize);
            }
            taken.truncate(n);
            taken.sort_unstable();
            left -= n;
            turns.push((signs, taken));
        }
        // Of signs in place of values (π/2 − 1), and of values that are left out.
        let left_out = (1.0 - n_bits as f32 / width as f32).max(0.0);
        let variance = std::f32::consts::FRAC_PI_2 - 1.0 + left_out;
        Self { width, n_bits, turns, error: 3.0 * (std::f32::consts::FRAC_2_PI * variance).sqrt() }
    }

    /// Values that [`Self::picture`] needs room for.
    fn scratch(&self) -> usize {
        self.width + self.n_bits
    }

    /// The picture of a row `[d]`, at the row's length.
    fn picture<'a>(&self, row: &[f32], scratch: &'a mut [f32]) -> &'a [f32] {
        let size = (self.width as f32 / self.n_bits as f32).sqrt();
        let (turned, picture) = scratch.split_at_mut(self.width);
        let mut places = picture.iter_mut();
        for (signs, taken) in &self.turns {
            turned[..row.len()].copy_from_slice(row);
            turned[row.len()..].fill(0.0);
            for signs in signs {
                rotate(turned, signs);
            }
            places.by_ref().zip(taken).for_each(|(to, &from)| *to = size * turned[from as usize]);
        }
        picture
    }
}

/// Changes signs and mixes all values, their length kept.
fn rotate(values: &mut [f32], signs: &[f32]) {
    let n = values.len();
    let part = (n / 2 + 1).next_power_of_two();
    values.iter_mut().zip(signs).for_each(|(value, sign)| *value *= sign);
    hadamard(&mut values[..part]);
    if part < n {
        hadamard(&mut values[n - part..]);
        let (front, back) = values.split_at_mut(n / 2);
        for (a, b) in front.iter_mut().zip(back) {
            let (sum, difference) = (*a + *b, *a - *b);
            (*a, *b) = (sum * std::f32::consts::FRAC_1_SQRT_2, difference * std::f32::consts::FRAC_1_SQRT_2);
        }
    }
}

/// Values that are transformed in the registers.
const LANES: usize = 16;

kernel! {
    /// The Hadamard transform in place, which keeps lengths; the length is a power of two from [`LANES`] on.
    fn hadamard[_simd](values: &'k mut [f32]) {
        let size = (1.0 / values.len() as f32).sqrt();
        for block in values.as_chunks_mut::<LANES>().0 {
            for step in [1, 2, 4, 8] {
                let before = *block;
                for i in 0..LANES {
                    let own = if i & step == 0 { before[i] } else { -before[i] };
                    block[i] = before[i ^ step] + own;
                }
            }
            for value in block {
                *value *= size;
            }
        }
        let mut step = LANES;
        while step < values.len() {
            for pair in values.chunks_exact_mut(2 * step) {
                let (a, b) = pair.split_at_mut(step);
                for (a, b) in a.iter_mut().zip(b) {
                    (*a, *b) = (*a + *b, *a - *b);
                }
            }
            step *= 2;
        }
    }
}

/// Writes the signs of a picture, a set bit for those that are not negative, and returns the sum of the sizes.
fn signs_of(picture: &[f32], out: &mut [u64]) -> f32 {
    for (out, values) in out.iter_mut().zip(picture.as_chunks::<64>().0) {
        *out = values.iter().enumerate().fold(0, |word, (i, value)| word | u64::from(!value.is_sign_negative()) << i);
    }
    picture.iter().map(|value| value.abs()).sum()
}

/// Mean of decoder rows, evenly spread ones if there are many.
fn mean(of: &SaeFile) -> Result<Vec<f32>> {
    let (d, n) = (of.description().d_model, of.description().d_sae);
    let count = n.min(FOR_MEAN);
    let mut sum = vec![0.0; d];
    let mut row = vec![0.0; d];
    for i in 0..count {
        of.fill(Rows::Decoder, i * n / count, &mut row)?;
        sum.iter_mut().zip(&row).for_each(|(sum, value)| *sum += value);
    }
    Ok(sum.into_iter().map(|sum| sum / count as f32).collect())
}

/// A number that another SAE does not have: of all its vectors and some of its rows (FNV-1a).
fn fingerprint(of: &SaeFile) -> Result<String> {
    let (d, n) = (of.description().d_model, of.description().d_sae);
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut take = |values: &[f32]| {
        for value in values {
            hash = (hash ^ u64::from(value.to_bits())).wrapping_mul(0x0100_0000_01b3);
        }
    };
    let vectors = of.vectors();
    for values in [&vectors.b_enc, &vectors.b_dec, &vectors.dec_norms] {
        take(values);
    }
    let mut row = vec![0.0; d];
    for i in 0..n.min(16) {
        of.fill(Rows::Decoder, i * n / n.min(16), &mut row)?;
        take(&row);
    }
    Ok(format!("{n}x{d}-{hash:016x}"))
}

/// Whether an SAE of these sizes has one: smaller ones are read as a whole in a moment.
pub(super) fn pays(d_model: usize, d_sae: usize) -> bool {
    const FROM: usize = if cfg!(test) { 1 << 14 } else { 1 << 26 };
    d_model.saturating_mul(d_sae) > FROM
}

/// Bytes of its file, for estimates of room.
pub(super) fn bytes(d_model: usize, d_sae: usize) -> u64 {
    if pays(d_model, d_sae) { (d_sae as u64).saturating_mul((8 * words(d_sae) + 4) as u64) } else { 0 }
}

/// Whether a sketch lies beside the file at `path`.
pub(super) fn is_beside(path: &Path) -> bool {
    beside(path, "sketch").is_file()
}
