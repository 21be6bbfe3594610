//! A trained SAE in the form of `SAELens`, version 6: `cfg.json` and `sae_weights.safetensors`.

use std::io::{Error, Result, Write};

use half::f16;
use serde_json::{Map, Value, json};
use tiller_protocol::feature::TrainKind;
use tiller_protocol::site::Site;

use super::Trainer;
use crate::sae::convert::Precision;

/// What the file says beside the weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The model it was trained on.
    pub model: String,
    /// Block (0-based) whose output it reads.
    pub block: usize,
    /// Tokens of the longest sequence it was trained on.
    pub context_len: usize,
    /// Whether sequences begin with a token that is no text.
    pub has_leading_token: bool,
    /// Number format of the weights.
    pub precision: Precision,
}

impl Trainer {
    /// The text of `cfg.json`.
    pub fn config(&self, about: &Published) -> String {
        let hook = Site::ResidPost(about.block).to_string();
        let dtype = match about.precision {
            Precision::F16 => "float16",
            Precision::F32 => "float32",
        };
        let (architecture, trained_as) = match self.options.kind {
            TrainKind::TopK => ("topk", "topk"),
            TrainKind::BatchTopK => ("jumprelu", "batchtopk"),
            TrainKind::JumpRelu => ("jumprelu", "jumprelu"),
        };
        let mut config = json!({
            "architecture": architecture,
            "d_in": self.d_model(),
            "d_sae": self.options.d_sae,
            "dtype": dtype,
            "device": "cpu",
            "apply_b_dec_to_input": true,
            "normalize_activations": "none",
            "reshape_activations": "none",
            "metadata": {
                "sae_lens_version": FORM,
                "model_name": about.model,
                "hook_name": hook,
                "hook_head_index": null,
                "hf_hook_name": format!("model.layers.{}", about.block),
                "prepend_bos": about.has_leading_token,
                "context_size": about.context_len,
                "training_architecture": trained_as,
            },
        });
        if self.options.kind == TrainKind::TopK {
            config["k"] = json!(self.options.k);
            config["rescale_acts_by_decoder_norm"] = json!(false);
        }
        format!("{config:#}\n")
    }

    /// Writes `sae_weights.safetensors`: of rows as they are, the scale folded in.
    ///
    /// # Errors
    /// A failure to write; a value beyond the range of the number format.
    pub fn write_weights(&self, precision: Precision, out: &mut dyn Write) -> Result<()> {
        let (p, d, n) = (&self.parameters, self.d_model(), self.options.d_sae);
        // All gates here commute with a positive factor, so it moves to the biases and thresholds.
        let unscaled = |values: &[f32]| values.iter().map(|value| value / self.inputs.scale).collect::<Vec<f32>>();
        let mut turned = vec![0.0; n * d];
        for (latent, row) in p.enc.chunks(d).enumerate() {
            row.iter().enumerate().for_each(|(i, value)| turned[i * n + latent] = *value);
        }
        let (b_enc, b_dec) = (unscaled(&p.b_enc), unscaled(&p.b_dec));
        let threshold = match self.options.kind {
            TrainKind::TopK => Vec::new(),
            TrainKind::BatchTopK => unscaled(&vec![self.threshold.unwrap_or_default(); n]),
            TrainKind::JumpRelu => unscaled(&p.log_theta.iter().map(|log| log.exp()).collect::<Vec<f32>>()),
        };
        let mut tensors: Vec<NamedTensor<'_>> = vec![
            ("W_dec", vec![n, d], &p.dec),
            ("W_enc", vec![d, n], &turned),
            ("b_dec", vec![d], &b_dec),
            ("b_enc", vec![n], &b_enc),
        ];
        if !threshold.is_empty() {
            tensors.push(("threshold", vec![n], &threshold));
        }
        write_tensors(&Map::new(), &tensors, precision, out)
    }
}

/// The version of the library whose form this is.
const FORM: &str = "6.0.0";

/// Name, shape and values.
pub(super) type NamedTensor<'a> = (&'a str, Vec<usize>, &'a [f32]);

/// Writes a safetensors file, one tensor after the other.
///
/// # Errors
/// A failure to write; a value beyond the range of the number format.
pub(super) fn write_tensors(
    facts: &Map<String, Value>,
    tensors: &[NamedTensor<'_>],
    precision: Precision,
    out: &mut dyn Write,
) -> Result<()> {
    let (dtype, width) = match precision {
        Precision::F16 => ("F16", 2),
        Precision::F32 => ("F32", 4),
    };
    let mut table = Map::new();
    if !facts.is_empty() {
        table.insert("__metadata__".to_owned(), Value::Object(facts.clone()));
    }
    let mut at = 0;
    for (name, shape, values) in tensors {
        let end = at + width * values.len();
        table.insert((*name).to_owned(), json!({"dtype": dtype, "shape": shape, "data_offsets": [at, end]}));
        at = end;
    }
    let mut header = Value::Object(table).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(&header)?;
    for (name, _, values) in tensors {
        if precision == Precision::F32 {
            out.write_all(bytemuck::cast_slice(values))?;
            continue;
        }
        let narrow: Vec<f16> = values.iter().map(|value| f16::from_f32(*value)).collect();
        if let Some(idx) = narrow.iter().position(|value| !value.is_finite()) {
            return Err(Error::other(format!("{} of {name} is beyond the range of f16; keep f32", values[idx])));
        }
        out.write_all(bytemuck::cast_slice(&narrow))?;
    }
    Ok(())
}
