//! The internal form on disk: a safetensors file whose matrices have a row for each latent, both ways, so that one
//! latent is one short read. Everything but the matrices is in memory.
//!
//! Rows are read where they are asked for, not mapped: a row costs a system call of some microseconds, and a file that
//! is replaced or cut short meanwhile is an error and not the end of the program. What the system keeps of the file in
//! memory is its own and is given back on demand.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use candle_core::{Device, Tensor};
use half::f16;
use half::slice::HalfFloatSliceExt as _;
use rayon::prelude::*;
use serde_json::{Value, json};

use super::convert::{Precision, latents_at_once};
use super::description::{Architecture, Description, Norm};
use super::fold::Vectors;
use super::source::{Container, Raw};
use super::{Sae, checked, no_latent};
use crate::error::{EngineError, Result};
use crate::memory::{room_for, room_for_bytes};

/// The encoder, `[d_sae, d_model]`.
pub(super) const ENC: &str = "enc";
/// The decoder, `[d_sae, d_model]`, unit rows.
pub(super) const DEC: &str = "dec";
const DEC_NORM: &str = "dec_norm";
const B_ENC: &str = "b_enc";
const B_DEC: &str = "b_dec";
const THETA: &str = "theta";
const RANK_SCALE: &str = "rank_scale";

/// What the header calls the form.
const FORM: &str = "tiller-sae-1";
/// The matrices begin at a multiple of this, bytes, so that they can be mapped as they are.
const ALIGNED: usize = 64;

/// Latents that pass for one row, with their activations, by latent.
pub type Active = Vec<(u32, f32)>;

/// One of the two matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// Encoder rows, of the internal form.
    Encoder,
    /// Decoder rows, of unit length.
    Decoder,
}

/// Where everything goes in the file.
#[derive(Debug)]
pub(super) struct Layout {
    header: Vec<u8>,
    /// Name, first byte in the file, number of bytes.
    places: Vec<(&'static str, u64, u64)>,
}

impl Layout {
    /// Of an SAE of this description.
    ///
    /// # Errors
    /// Sizes beyond all bounds.
    pub(super) fn new(about: &Description, precision: Precision) -> Result<Self> {
        let (d, n) = (about.d_model, about.d_sae);
        let dtype = match precision {
            Precision::F16 => "F16",
            Precision::F32 => "F32",
        };
        let matrix = vec![n, d];
        // The matrices first: whatever their number format, together they end at a multiple of four bytes.
        let mut tensors = vec![(ENC, dtype, matrix.clone()), (DEC, dtype, matrix)];
        tensors.extend([DEC_NORM, B_ENC].map(|name| (name, "F32", vec![n])));
        tensors.extend(gate_vector(about.architecture).map(|name| (name, "F32", vec![n])));
        tensors.push((B_DEC, "F32", vec![d]));
        let told = serde_json::to_string(about).unwrap_or_default();
        let mut table = serde_json::Map::new();
        table.insert("__metadata__".to_owned(), json!({"format": FORM, "description": told}));
        let mut places = Vec::new();
        let mut at = 0_u64;
        for (name, dtype, shape) in tensors {
            let width = if dtype == "F16" { 2 } else { 4 };
            let bytes = shape.iter().try_fold(width, |bytes: u64, &n| bytes.checked_mul(n as u64));
            let end = bytes.and_then(|bytes| at.checked_add(bytes)).filter(|end| *end < 1 << 48);
            let end = end.ok_or_else(|| EngineError::BadRequest(format!("an SAE of [{n}, {d}] has no end")))?;
            table.insert(name.to_owned(), json!({"dtype": dtype, "shape": shape, "data_offsets": [at, end]}));
            places.push((name, at, end - at));
            at = end;
        }
        let mut header = Value::Object(table).to_string().into_bytes();
        header.resize((8 + header.len()).next_multiple_of(ALIGNED) - 8, b' ');
        let header = [(header.len() as u64).to_le_bytes().to_vec(), header].concat();
        places.iter_mut().for_each(|(_, at, _)| *at += header.len() as u64);
        Ok(Self { header, places })
    }

    /// The beginning of the file.
    pub(super) fn header(&self) -> &[u8] {
        &self.header
    }

    /// Its length in bytes.
    pub(super) fn len(&self) -> u64 {
        self.places.iter().map(|(.., bytes)| bytes).sum()
    }

    /// Where a tensor begins.
    pub(super) fn at(&self, name: &str) -> u64 {
        self.places.iter().find(|(other, ..)| *other == name).map_or(0, |(_, at, _)| *at)
    }

    /// The vectors that the file has, by name.
    pub(super) fn vectors<'a>(&'a self, vectors: &'a Vectors) -> impl Iterator<Item = (&'static str, &'a [f32])> {
        let all = [
            (DEC_NORM, &vectors.dec_norms),
            (B_ENC, &vectors.b_enc),
            (THETA, &vectors.theta),
            (RANK_SCALE, &vectors.rank_scale),
            (B_DEC, &vectors.b_dec),
        ];
        all.into_iter().filter(|(_, values)| !values.is_empty()).map(|(name, values)| (name, values.as_slice()))
    }
}

/// The further vector that a gate needs.
fn gate_vector(architecture: Architecture) -> Option<&'static str> {
    match architecture {
        Architecture::Standard => None,
        Architecture::JumpRelu | Architecture::Gated => Some(THETA),
        Architecture::TopK | Architecture::AbsTopK => Some(RANK_SCALE),
    }
}

/// An SAE in the internal form on disk.
#[derive(Debug)]
pub struct SaeFile {
    raw: Raw,
    about: Description,
    precision: Precision,
    enc_at: u64,
    dec_at: u64,
    vectors: Vectors,
}

impl SaeFile {
    /// Whether the file at `path` has this form.
    pub fn is_one(path: &Path) -> bool {
        path.is_file() && Container::open(path).is_ok_and(|container| form(&container.facts) == Some(FORM))
    }

    /// Opens a converted file; reads its vectors, about 12 bytes a latent.
    ///
    /// # Errors
    /// A file that is cut short, damaged, or of another form.
    pub fn open(path: &Path) -> Result<Self> {
        let container = Container::open(path)?;
        if form(&container.facts) != Some(FORM) {
            return Err(container.bad(format!("it is not of the form {FORM}; convert the SAE again")));
        }
        let about = container.facts.get("description").map(String::as_str).unwrap_or_default();
        let about: Description = serde_json::from_str(about)
            .map_err(|error| container.bad(format!("its description is malformed ({error})")))?;
        let (d, n) = (about.d_model, about.d_sae);
        for name in [ENC, DEC] {
            container.matrix(name, (n, d), false)?;
        }
        let precision = match container.entry(ENC).map(|entry| entry.number.name()) {
            Some("f16") => Precision::F16,
            _ => Precision::F32,
        };
        let layout = Layout::new(&about, precision)?;
        let places = container.table_of(&[ENC, DEC]);
        let stated: Vec<u64> = [ENC, DEC].map(|name| layout.at(name)).into();
        if places != stated {
            return Err(container.bad("its tensors are not where this form has them; convert the SAE again"));
        }
        let gate = match gate_vector(about.architecture) {
            Some(name) => container.vector(name, n)?,
            None => Vec::new(),
        };
        let (theta, rank_scale) =
            if gate_vector(about.architecture) == Some(THETA) { (gate, Vec::new()) } else { (Vec::new(), gate) };
        let vectors = Vectors {
            b_enc: container.vector(B_ENC, n)?,
            b_dec: container.vector(B_DEC, d)?,
            dec_norms: container.vector(DEC_NORM, n)?,
            theta,
            rank_scale,
        };
        Ok(Self { raw: Raw::open(path)?, about, precision, enc_at: stated[0], dec_at: stated[1], vectors })
    }

    /// What is known of it.
    pub fn description(&self) -> &Description {
        &self.about
    }

    /// Number format of its matrices.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Length of a latent's decoder row as its maker stored it; 0 marks a dead latent.
    pub fn decoder_norm(&self, latent: usize) -> Option<f32> {
        self.vectors.dec_norms.get(latent).copied()
    }

    /// The row `[d_model]` of one latent.
    ///
    /// # Errors
    /// A latent out of range, a failure to read.
    pub fn row(&self, rows: Rows, latent: usize) -> Result<Vec<f32>> {
        let mut row = vec![0.0; self.about.d_model];
        self.fill(rows, latent, &mut row)?;
        Ok(row)
    }

    /// Consecutive rows from `first` on, as many as fit into `out` (`[n, d_model]`).
    ///
    /// # Errors
    /// Latents out of range, a failure to read.
    pub fn fill(&self, rows: Rows, first: usize, out: &mut [f32]) -> Result<()> {
        let (d, width) = (self.about.d_model, self.precision.width());
        let n = out.len() / d.max(1);
        if first.checked_add(n).is_none_or(|end| end > self.about.d_sae) {
            return Err(no_latent(first.saturating_add(n).saturating_sub(1), self.about.d_sae));
        }
        let start = match rows {
            Rows::Encoder => self.enc_at,
            Rows::Decoder => self.dec_at,
        };
        let at = start + (first * d * width) as u64;
        match self.precision {
            Precision::F32 => self.raw.fill(at, bytemuck::cast_slice_mut(out)),
            Precision::F16 => {
                let mut narrow = vec![f16::ZERO; out.len()];
                self.raw.fill(at, bytemuck::cast_slice_mut(&mut narrow))?;
                narrow.convert_to_f32_slice(out);
                Ok(())
            }
        }
    }

    /// The product of every row with `vector` `[d_model]`; with decoder rows and a unit vector, the cosines. Reads the
    /// whole matrix, in parallel.
    ///
    /// # Errors
    /// A vector of another width, a failure to read.
    pub fn dots(&self, rows: Rows, vector: &[f32]) -> Result<Vec<f32>> {
        let d = self.about.d_model;
        if vector.len() != d {
            return Err(EngineError::BadRequest(format!("a vector of {} values, not {d}", vector.len())));
        }
        // Pieces that stay in the cache between being read and being used.
        let n_rows = ((1 << 16) / d.max(1)).max(1);
        let mut out = vec![0.0; self.about.d_sae];
        out.par_chunks_mut(n_rows).enumerate().try_for_each_init(
            || vec![0.0; n_rows * d],
            |piece, (idx, out)| -> Result<()> {
                let piece = &mut piece[..out.len() * d];
                self.fill(rows, idx * n_rows, piece)?;
                for (out, row) in out.iter_mut().zip(piece.chunks_exact(d)) {
                    *out = dot(row, vector);
                }
                Ok(())
            },
        )?;
        Ok(out)
    }

    /// Pre-activations `[n, latents.len()]` of `resid` `[n, d_model]`, row after row; reads only the rows of `latents`.
    ///
    /// # Errors
    /// A latent out of range, rows of another width, a failure to read.
    pub fn pre_activations(&self, resid: &Tensor, latents: &[usize]) -> Result<Vec<f32>> {
        let rows = self.about.norm.apply(&checked(resid, self.about.d_model)?)?.to_vec2::<f32>()?;
        let mut out = vec![0.0; rows.len() * latents.len()];
        for (j, &latent) in latents.iter().enumerate() {
            let enc = self.row(Rows::Encoder, latent)?;
            for (i, row) in rows.iter().enumerate() {
                out[i * latents.len() + j] = dot(&enc, row) + self.vectors.b_enc[latent];
            }
        }
        Ok(out)
    }

    /// The latents that pass for each row of `resid` `[n, d_model]`. Reads the encoder once, some latents at a time;
    /// `progress(done, total)` counts latents and returns `false` to stop.
    ///
    /// # Errors
    /// Rows of another width, a failure to read, [`EngineError::Stopped`].
    pub fn encode(&self, resid: &Tensor, progress: &mut dyn FnMut(usize, usize) -> bool) -> Result<Vec<Active>> {
        let (d, total) = (self.about.d_model, self.about.d_sae);
        let resid = self.about.norm.apply(&checked(&resid.to_device(&Device::Cpu)?, d)?)?;
        let turned = resid.t()?;
        let mut picks = vec![Pick::new(&self.about, &self.vectors); resid.dim(0)?];
        let block = latents_at_once(d).min(total.max(1));
        for first in (0..total).step_by(block) {
            let n = block.min(total - first);
            room_for::<f32>(n * d)?;
            let mut enc = vec![0.0; n * d];
            // Several readers: a single one is slower than the arithmetic.
            let some = n.div_ceil(rayon::current_num_threads()).max(1);
            enc.par_chunks_mut(some * d)
                .enumerate()
                .try_for_each(|(idx, out)| self.fill(Rows::Encoder, first + idx * some, out))?;
            let pre = Tensor::from_vec(enc, (n, d), &Device::Cpu)?.matmul(&turned)?.t()?.to_vec2::<f32>()?;
            picks.par_iter_mut().zip(&pre).for_each(|(pick, pre)| pick.take(first, pre));
            if !progress(first + n, total) {
                return Err(EngineError::Stopped);
            }
        }
        Ok(picks.into_iter().map(Pick::finish).collect())
    }

    /// What it makes of rows: their latents decoded, and the normalisation of `resid` `[n, d_model]`, from which they
    /// were encoded, undone. Reads the rows of the latents that pass.
    ///
    /// # Errors
    /// A latent out of range, rows of another width or number, a failure to read.
    pub fn decode(&self, active: &[Active], resid: &Tensor) -> Result<Tensor> {
        let d = self.about.d_model;
        let resid = checked(&resid.to_device(&Device::Cpu)?, d)?;
        if resid.dim(0)? != active.len() {
            let n = resid.dim(0)?;
            return Err(EngineError::BadRequest(format!("latents of {} rows for {n} rows", active.len())));
        }
        let mut out = Vec::with_capacity(active.len() * d);
        for active in active {
            let mut sum = self.vectors.b_dec.clone();
            for &(latent, value) in active {
                let row = self.row(Rows::Decoder, latent as usize)?;
                sum.iter_mut().zip(&row).for_each(|(sum, w)| *sum += value * w);
            }
            out.append(&mut sum);
        }
        let decoded = Tensor::from_vec(out, (active.len(), d), &Device::Cpu)?;
        if self.about.norm == Norm::None { Ok(decoded) } else { self.about.norm.undo(&decoded, &resid) }
    }

    /// Calls `each(first, rows)` with all rows in order, some at a time.
    ///
    /// # Errors
    /// A failure to read.
    pub fn each(&self, rows: Rows, each: &mut dyn FnMut(usize, &[f32]) -> ControlFlow<()>) -> Result<()> {
        let (d, total) = (self.about.d_model, self.about.d_sae);
        let block = latents_at_once(d).min(total.max(1));
        let mut some = vec![0.0; block * d];
        for first in (0..total).step_by(block) {
            let some = &mut some[..block.min(total - first) * d];
            self.fill(rows, first, some)?;
            if each(first, some).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// All of it in memory, in f32.
    ///
    /// # Errors
    /// No room for it, a failure to read.
    pub fn load(&self, device: &Device) -> Result<Sae> {
        let n_values = self.about.d_sae * self.about.d_model;
        room_for_bytes(8 * n_values as u64)?;
        let (mut enc, mut dec) = (vec![0.0; n_values], vec![0.0; n_values]);
        self.fill(Rows::Encoder, 0, &mut enc)?;
        self.fill(Rows::Decoder, 0, &mut dec)?;
        Sae::of_parts(&self.about, enc, dec, self.vectors.clone(), device)
    }
}

fn form(facts: &BTreeMap<String, String>) -> Option<&str> {
    facts.get("format").map(String::as_str)
}

/// Eight sums side by side, for the vector instructions.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a, a_rest) = a.as_chunks::<8>();
    let (b, b_rest) = b.as_chunks::<8>();
    let mut sums = [0.0_f32; 8];
    for (a, b) in a.iter().zip(b) {
        for i in 0..8 {
            sums[i] += a[i] * b[i];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

/// The latents of one row that pass, as they come.
#[derive(Clone, Debug)]
struct Pick<'a> {
    about: &'a Description,
    vectors: &'a Vectors,
    /// Rank, latent, activation.
    kept: Vec<(f32, u32, f32)>,
}

impl<'a> Pick<'a> {
    fn new(about: &'a Description, vectors: &'a Vectors) -> Self {
        Self { about, vectors, kept: Vec::new() }
    }

    /// Pre-activations without their biases, of the latents from `first` on.
    fn take(&mut self, first: usize, pre: &[f32]) {
        let Vectors { b_enc, theta, rank_scale, .. } = self.vectors;
        for (latent, pre) in (first..).zip(pre) {
            let pre = pre + b_enc[latent];
            let rank = match self.about.architecture {
                Architecture::Standard => 0.0,
                Architecture::JumpRelu | Architecture::Gated if pre > theta[latent] => 0.0,
                Architecture::JumpRelu | Architecture::Gated => continue,
                Architecture::TopK => pre * rank_scale[latent],
                Architecture::AbsTopK => (pre * rank_scale[latent]).abs(),
            };
            if pre > 0.0 || self.about.architecture == Architecture::AbsTopK && pre < 0.0 {
                self.kept.push((rank, latent as u32, pre));
            }
        }
        if self.about.k.is_some() {
            self.cut();
        }
    }

    /// Keeps the largest.
    fn cut(&mut self) {
        let k = self.about.k.unwrap_or(usize::MAX);
        if k > 0 && self.kept.len() > k {
            self.kept.select_nth_unstable_by(k - 1, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            self.kept.truncate(k);
        }
    }

    fn finish(mut self) -> Active {
        self.kept.sort_unstable_by_key(|kept| kept.1);
        self.kept.into_iter().map(|(_, latent, value)| (latent, value)).collect()
    }
}
