//! GGUF files: llama.cpp's single-file models, quantised or not.
//!
//! Knows the container ([`header`], [`file`]) and how llama.cpp's converter turns a checkpoint into one: its names and
//! order of rows ([`source`]), its metadata ([`config`]), its vocabulary ([`tokenizer`]). All of it is turned back into
//! what a checkpoint folder holds, so that the rest of the engine knows one layout. Sources: ggml's `docs/gguf.md` and
//! llama.cpp's `convert_hf_to_gguf.py`.

mod config;
mod file;
mod header;
mod kind;
mod source;
mod tokenizer;
mod value;

use std::path::Path;

use candle_core::DType;
use candle_core::quantized::GgmlDType;

use crate::config::ModelConfig;
use crate::error::{EngineError, Result};
use crate::layout;

use config::Tensors;
use file::GgufFile;
pub(crate) use file::parts;
pub(crate) use source::GgufSource;
use source::Names;
pub(crate) use tokenizer::TokenizerFiles;

/// A GGUF file with its configuration, before any tensor is read.
#[derive(Debug)]
pub(crate) struct Gguf {
    /// Architecture; its norms are as the file has them, with nothing to add.
    pub(crate) config: ModelConfig,
    file: GgufFile,
    names: Names,
}

/// Whether a path names a GGUF file.
pub(crate) fn is_gguf(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
}

impl Gguf {
    /// Reads the head of a file, or with any part of a split model those of all parts.
    ///
    /// # Errors
    /// A file that cannot be read, is cut short or malformed, or holds an architecture or setting that is not supported.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = GgufFile::open(path)?;
        let mut config = Self::config(&file).map_err(|error| named(&file, error))?;
        // The converter has added it.
        config.arch.norm_offset = 0.0;
        let names = Names::of(file.metadata().need_text("general.architecture").unwrap_or_default());
        for expected in layout::expected(&config) {
            let name = if expected.is_head { expected.name } else { format!("model.{}", expected.name) };
            let own = names.translate(&name).ok_or_else(|| file.bad(format!("it cannot hold the tensor {name}")))?;
            file.require(&own, &expected.shape)?;
        }
        Ok(Self { config, file, names })
    }

    fn config(file: &GgufFile) -> Result<ModelConfig> {
        let embedding = file.shape("token_embd.weight");
        let vocab_size = embedding.and_then(|shape| shape.first()).copied();
        let lacks = || EngineError::BadRequest("it lacks the tensor token_embd.weight".to_owned());
        let tensors = Tensors {
            vocab_size: vocab_size.ok_or_else(lacks)?,
            tied: file.shape("output.weight").is_none(),
            qkv_bias: file.shape("blk.0.attn_q.bias").is_some(),
        };
        ModelConfig::from_json(&config::config_json(file.metadata(), tensors)?.to_string())
    }

    /// The vocabulary.
    ///
    /// # Errors
    /// A kind that is not supported, or malformed metadata.
    pub(crate) fn tokenizer(&self) -> Result<TokenizerFiles> {
        tokenizer::files(self.file.metadata()).map_err(|error| named(&self.file, error))
    }

    /// Whether a tokenizer is this model's: it has (nearly all) ordinary tokens under the ids that the file gives them.
    pub(crate) fn agrees(&self, id_of: impl Fn(&str) -> Option<u32>) -> bool {
        let Ok(tokens) = self.file.metadata().need_texts("tokenizer.ggml.tokens") else { return true };
        let kinds = self.file.metadata().ints("tokenizer.ggml.token_type").ok().flatten().unwrap_or_default();
        let ordinary = (0_u32..).zip(tokens).filter(|(id, _)| kinds.get(*id as usize).is_none_or(|kind| *kind == 1));
        let (mut n, mut n_same) = (0_usize, 0_usize);
        for (id, token) in ordinary {
            n += 1;
            n_same += usize::from(id_of(token) == Some(id));
        }
        10 * n_same >= 9 * n
    }

    /// Bytes of all tensors that can be read.
    pub(crate) fn data_bytes(&self) -> u64 {
        self.file.data_bytes()
    }

    /// Number format and bytes of each tensor that can be read; no format for quantised blocks.
    pub(crate) fn formats(&self) -> impl Iterator<Item = (Option<DType>, u64)> {
        self.file.tensors().filter_map(|(_, entry)| {
            let stored = match entry.kind.readable()? {
                GgmlDType::F32 => Some(DType::F32),
                GgmlDType::F16 => Some(DType::F16),
                GgmlDType::BF16 => Some(DType::BF16),
                _ => None,
            };
            Some((stored, file::n_bytes(entry)?))
        })
    }

    /// The quantiser's name for the mixture of formats, else the format that most bytes are stored in.
    pub(crate) fn format(&self) -> String {
        let mixture = self.file.metadata().size("general.file_type").ok().flatten().and_then(kind::mixture);
        mixture.map(str::to_owned).or_else(|| self.file.main_kind()).unwrap_or_else(|| "unknown".to_owned())
    }

    /// Whether the file itself holds a chat template.
    pub(crate) fn has_chat_template(&self) -> bool {
        matches!(self.file.metadata().text("tokenizer.chat_template"), Ok(Some(_)))
    }

    /// What the rotary frequencies are divided by, `[head_dim / 2]`, when the file says so.
    ///
    /// # Errors
    /// A tensor of another shape, or a factor that is not above 0.
    pub(crate) fn rope_factors(&mut self) -> Result<Option<Vec<f32>>> {
        const NAME: &str = "rope_freqs.weight";
        let Some(shape) = self.file.shape(NAME) else { return Ok(None) };
        let expected = [self.config.head_dim / 2];
        if shape != expected {
            let (expected, found) = (format!("shape {expected:?}"), format!("{shape:?}"));
            let (path, name) = (self.file.path().to_owned(), NAME.to_owned());
            return Err(EngineError::BadTensor { path, name, expected, found });
        }
        let factors = source::stored(&self.file.read(NAME)?)?.widened()?;
        if factors.iter().any(|factor| !(*factor > 0.0 && factor.is_finite())) {
            return Err(self.file.bad(format!("the tensor {NAME} holds a factor that is not above 0")));
        }
        Ok(Some(factors))
    }

    /// Ready to read tensors; `progress(done_bytes, total_bytes)` returns `false` to stop.
    pub(crate) fn source(self, progress: &mut dyn FnMut(u64, u64) -> bool) -> GgufSource<'_> {
        let Self { config, file, names } = self;
        GgufSource { file, names, head_dim: config.head_dim, done: 0, progress }
    }
}

/// Says which file a complaint about metadata is about.
fn named(file: &GgufFile, error: EngineError) -> EngineError {
    match error {
        EngineError::BadRequest(reason) | EngineError::Tokenizer(reason) => file.bad(reason),
        EngineError::UnknownArchitecture { name, .. } => {
            EngineError::UnknownArchitecture { name, path: Some(file.path().to_owned()) }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests;
