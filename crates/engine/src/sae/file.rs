//! The internal form on disk: a safetensors file whose matrices have a row for each latent, both ways, so that one
//! latent is one short read. Everything but the matrices is in memory.
//!
//! Rows are read where they are asked for, not mapped: a row costs a system call of some microseconds, and a file that
//! is replaced or cut short meanwhile is an error and not the end of the program. What the system keeps of the file in
//! memory is its own and is given back on demand.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::OnceLock;

use candle_core::{Device, Tensor};
use half::f16;
use half::slice::HalfFloatSliceExt as _;
use rayon::prelude::*;
use tiller_protocol::site::Site;

use super::convert::{Precision, latents_at_once};
use super::description::{Description, Norm};
use super::fold::Vectors;
use super::layout::{B_DEC, B_ENC, DEC, DEC_NORM, ENC, FORM, Layout, THETA, gate_vector};
use super::pick::Pick;
use super::sketch::Sketch;
use super::source::{Container, Raw};
use super::{Sae, checked, no_latent, scan};
use crate::error::{EngineError, Result};
use crate::memory::room_for_bytes;

/// Pre-activations that are in memory at once while rows are encoded.
const VALUES: usize = if cfg!(test) { 40 } else { 1 << 22 };
/// Values of the encoder that are read between two looks at whether to stop.
const BLOCK: usize = if cfg!(test) { 40 } else { 1 << 25 };

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

/// An SAE in the internal form on disk.
#[derive(Debug)]
pub struct SaeFile {
    raw: Raw,
    about: Description,
    precision: Precision,
    enc_at: u64,
    dec_at: u64,
    vectors: Vectors,
    /// What similar rows are found by, once it is wanted.
    sketch: OnceLock<Sketch>,
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
        if d == 0 || n == 0 {
            return Err(container.bad(format!("it has {n} latents of {d} values")));
        }
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
        let (raw, sketch) = (Raw::open(path)?, OnceLock::new());
        Ok(Self { raw, about, precision, enc_at: stated[0], dec_at: stated[1], vectors, sketch })
    }

    /// What is known of it.
    pub fn description(&self) -> &Description {
        &self.about
    }

    /// The same SAE, reading another place than its file says.
    #[must_use]
    pub fn moved_to(mut self, site: Site) -> Self {
        self.about.site = site;
        self
    }

    /// Number format of its matrices.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Length of a latent's decoder row as its maker stored it; 0 marks a dead latent.
    pub fn decoder_norm(&self, latent: usize) -> Option<f32> {
        self.vectors.dec_norms.get(latent).copied()
    }

    /// Everything but the matrices.
    pub(super) fn vectors(&self) -> &Vectors {
        &self.vectors
    }

    /// Where it lies.
    pub(super) fn path(&self) -> &Path {
        self.raw.path()
    }

    pub(super) fn sketch_cell(&self) -> &OnceLock<Sketch> {
        &self.sketch
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
        match self.precision {
            Precision::F32 => self.stored(rows, first, bytemuck::cast_slice_mut(out)),
            Precision::F16 => {
                let mut narrow = vec![f16::ZERO; out.len()];
                self.stored(rows, first, bytemuck::cast_slice_mut(&mut narrow))?;
                narrow.convert_to_f32_slice(out);
                Ok(())
            }
        }
    }

    /// The same as they are stored.
    ///
    /// # Errors
    /// Latents out of range, a failure to read.
    pub(super) fn stored(&self, rows: Rows, first: usize, out: &mut [u8]) -> Result<()> {
        let row_bytes = self.about.d_model * self.precision.width();
        let n = out.len() / row_bytes.max(1);
        if first.checked_add(n).is_none_or(|end| end > self.about.d_sae) {
            return Err(no_latent(first.saturating_add(n).saturating_sub(1), self.about.d_sae));
        }
        let start = match rows {
            Rows::Encoder => self.enc_at,
            Rows::Decoder => self.dec_at,
        };
        self.raw.fill(start + (first * row_bytes) as u64, out)
    }

    /// The product of every row with `vector` `[d_model]`; with decoder rows and a unit vector, the cosines. Reads the
    /// whole matrix, on all threads.
    ///
    /// # Errors
    /// A vector of another width or with values that are no numbers, a failure to read.
    pub fn dots(&self, rows: Rows, vector: &[f32]) -> Result<Vec<f32>> {
        self.check_vector(vector)?;
        let mut out = vec![0.0; self.about.d_sae];
        self.products(rows, 0, &scan::Vectors::new(vector, vector.len()), &mut out)?;
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
                out[i * latents.len() + j] = scan::product(&enc, row) + self.vectors.b_enc[latent];
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
        let n_rows = resid.dim(0)?;
        let mut picks = vec![Pick::new(&self.about, &self.vectors); n_rows];
        let values = resid.flatten_all()?.to_vec1::<f32>()?;
        let vectors = scan::Vectors::new(&values, d);
        let piece = self.rows_of_piece();
        // Whole pieces for every thread, but no more than what is kept in memory at once.
        let block = (VALUES / n_rows.max(1)).min(BLOCK / d.max(1)).max(1).next_multiple_of(piece);
        let mut pre = vec![0.0; block.min(total) * n_rows];
        for first in (0..total).step_by(block) {
            let n = block.min(total - first);
            let pre = &mut pre[..n * n_rows];
            self.products(Rows::Encoder, first, &vectors, pre)?;
            picks.par_iter_mut().enumerate().for_each(|(row, pick)| {
                for (idx, products) in pre.chunks(piece * n_rows).enumerate() {
                    let n = products.len() / n_rows;
                    pick.take(first + idx * piece, &products[row * n..(row + 1) * n]);
                }
            });
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
        let mut out = vec![0.0; active.len() * d];
        out.par_chunks_mut(d).zip(active).try_for_each(|(sum, active)| -> Result<()> {
            sum.copy_from_slice(&self.vectors.b_dec);
            for &(latent, value) in active {
                let row = self.row(Rows::Decoder, latent as usize)?;
                sum.iter_mut().zip(&row).for_each(|(sum, w)| *sum += value * w);
            }
            Ok(())
        })?;
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
