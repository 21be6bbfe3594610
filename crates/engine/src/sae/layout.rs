//! Where everything lies in a converted file.

use serde_json::{Value, json};

use super::convert::Precision;
use super::description::{Architecture, Description};
use super::fold::Vectors;
use crate::error::{EngineError, Result};

/// The encoder, `[d_sae, d_model]`.
pub(super) const ENC: &str = "enc";
/// The decoder, `[d_sae, d_model]`, unit rows.
pub(super) const DEC: &str = "dec";
pub(super) const DEC_NORM: &str = "dec_norm";
pub(super) const B_ENC: &str = "b_enc";
pub(super) const B_DEC: &str = "b_dec";
pub(super) const THETA: &str = "theta";
pub(super) const RANK_SCALE: &str = "rank_scale";

/// What the header calls the form.
pub(super) const FORM: &str = "tiller-sae-1";
/// The matrices begin at a multiple of this, bytes, so that they can be mapped as they are.
const ALIGNED: usize = 64;

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
        for (_, at, _) in &mut places {
            *at += header.len() as u64;
        }
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
    pub(super) fn vectors(vectors: &Vectors) -> impl Iterator<Item = (&'static str, &[f32])> {
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
pub(super) fn gate_vector(architecture: Architecture) -> Option<&'static str> {
    match architecture {
        Architecture::Standard => None,
        Architecture::JumpRelu | Architecture::Gated => Some(THETA),
        Architecture::TopK | Architecture::AbsTopK => Some(RANK_SCALE),
    }
}
