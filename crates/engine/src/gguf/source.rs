//! The tensors of a GGUF file under the names, and in the order of rows, that a checkpoint folder has.

use std::borrow::Cow;
use std::sync::Arc;

use candle_core::Device;
use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use half::{bf16, f16};

use super::file::{GgufFile, RawTensor};
use crate::error::{EngineError, Result};
use crate::stored::Stored;
use crate::weights::Source;

/// Reads tensors one after another and tells how far it is.
pub(crate) struct GgufSource<'a> {
    pub(crate) file: GgufFile,
    pub(crate) names: Names,
    /// Width of one head.
    pub(crate) head_dim: usize,
    pub(crate) done: u64,
    /// `progress(done_bytes, total_bytes)` returns `false` to stop.
    pub(crate) progress: &'a mut dyn FnMut(u64, u64) -> bool,
}

/// What differs between architectures in the names and rows of their tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Names {
    /// Four norms a block, two of them after attention and MLP (Gemma).
    pub(crate) post_norms: bool,
    /// The rows of a head's queries and keys alternate between its halves (`llama`).
    pub(crate) alternating: bool,
}

impl Names {
    /// Those of an architecture.
    pub(crate) fn of(arch: &str) -> Self {
        Self { post_norms: arch.starts_with("gemma"), alternating: arch == "llama" }
    }

    /// The name in a GGUF file of what is called `name` in a checkpoint; `None` for what such files do not hold.
    pub(crate) fn translate(self, name: &str) -> Option<String> {
        let whole = match name {
            "model.embed_tokens.weight" => Some("token_embd.weight"),
            "model.norm.weight" => Some("output_norm.weight"),
            "lm_head.weight" => Some("output.weight"),
            _ => None,
        };
        if let Some(whole) = whole {
            return Some(whole.to_owned());
        }
        let (block, part) = name.strip_prefix("model.layers.")?.split_once('.')?;
        let (part, kind) = part.rsplit_once('.')?;
        let part = match part {
            "input_layernorm" => "attn_norm",
            "self_attn.q_proj" => "attn_q",
            "self_attn.k_proj" => "attn_k",
            "self_attn.v_proj" => "attn_v",
            "self_attn.o_proj" => "attn_output",
            "self_attn.q_norm" => "attn_q_norm",
            "self_attn.k_norm" => "attn_k_norm",
            "mlp.gate_proj" => "ffn_gate",
            "mlp.up_proj" => "ffn_up",
            "mlp.down_proj" => "ffn_down",
            "post_attention_layernorm" if self.post_norms => "post_attention_norm",
            "post_attention_layernorm" | "pre_feedforward_layernorm" => "ffn_norm",
            "post_feedforward_layernorm" => "post_ffw_norm",
            _ => return None,
        };
        Some(format!("blk.{block}.{part}.{kind}"))
    }

    /// Whether the rows of this tensor alternate between the halves of a head.
    fn alternates(self, name: &str) -> bool {
        self.alternating && (name.contains(".attn_q.") || name.contains(".attn_k."))
    }
}

impl Source for GgufSource<'_> {
    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Stored> {
        let own = self.names.translate(name);
        let own = own.ok_or_else(|| self.file.bad(format!("it cannot hold the tensor {name}")))?;
        self.file.require(&own, shape)?;
        let mut raw = self.file.read(&own)?;
        self.done += raw.bytes().len() as u64;
        if let Some(index) = first_broken_block(&raw) {
            let reason = format!("the scale of block {index} of the tensor {own} is no number");
            return Err(EngineError::BadFile { path: self.file.path_of(&own).to_owned(), reason });
        }
        if self.names.alternates(&own) {
            halves(&mut raw, self.head_dim);
        }
        let stored = stored(&raw)?;
        if let Some((index, value)) = stored.first_not_finite() {
            let (path, len) = (self.file.path_of(&own).to_owned(), stored.len());
            return Err(EngineError::NotFinite { path, name: own, value, index, len });
        }
        let total = self.file.data_bytes();
        if (self.progress)(self.done, total) { Ok(stored) } else { Err(EngineError::Stopped) }
    }
}

/// Values as they are, or quantised blocks.
///
/// # Errors
/// A failure of the tensor library.
pub(crate) fn stored(raw: &RawTensor) -> Result<Stored> {
    let bytes = raw.bytes();
    Ok(match raw.dtype {
        GgmlDType::F32 => Stored::F32(bytemuck::cast_slice::<u8, f32>(bytes).to_vec()),
        GgmlDType::F16 => Stored::F16(bytemuck::cast_slice::<u8, f16>(bytes).to_vec()),
        GgmlDType::BF16 => Stored::Bf16(bytemuck::cast_slice::<u8, bf16>(bytes).to_vec()),
        quantised => {
            let blocks = QStorage::from_data(Cow::Borrowed(bytes), &Device::Cpu, quantised)?;
            Stored::Quantised(Arc::new(QTensor::new(blocks, raw.shape.as_slice())?))
        }
    })
}

/// Puts the rows of each head from the order 0, h, 1, h + 1, … (h being half its width) into the order 0, 1, …, as the
/// rotation by halves needs them. Whole rows move, so quantised blocks stay as they are.
fn halves(raw: &mut RawTensor, head_dim: usize) {
    let n_rows = raw.shape[0];
    let width = raw.bytes().len() / n_rows;
    let half = head_dim / 2;
    let mut rows = vec![0; width * n_rows];
    for (row, to) in rows.chunks_exact_mut(width).enumerate() {
        let (head, place) = (row / head_dim, row % head_dim);
        let from = head * head_dim + 2 * (place % half) + place / half;
        to.copy_from_slice(&raw.bytes()[from * width..][..width]);
    }
    raw.bytes_mut().copy_from_slice(&rows);
}

/// The first block with a scale that is infinite or no number.
fn first_broken_block(raw: &RawTensor) -> Option<usize> {
    // Where 16-bit scales stand in a block, bytes from its beginning.
    let scales: &[usize] = match raw.dtype {
        GgmlDType::Q4_0 | GgmlDType::Q5_0 | GgmlDType::Q8_0 => &[0],
        GgmlDType::Q4_1 | GgmlDType::Q5_1 | GgmlDType::Q8_1 | GgmlDType::Q4K | GgmlDType::Q5K => &[0, 2],
        GgmlDType::Q2K => &[80, 82],
        GgmlDType::Q3K => &[108],
        GgmlDType::Q6K => &[208],
        GgmlDType::Q8K | GgmlDType::F32 | GgmlDType::F16 | GgmlDType::BF16 => return None,
    };
    let mut blocks = raw.bytes().chunks_exact(raw.dtype.type_size());
    blocks.position(|block| scales.iter().any(|at| !f16::from_le_bytes([block[*at], block[at + 1]]).is_finite()))
}
