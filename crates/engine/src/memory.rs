//! How much memory a model takes, worked out from its configuration alone.
//!
//! Counts what the code of this crate allocates: the weights as they are kept, the key/value cache, the buffers of a
//! forward pass and, for a gradient, what the tape keeps of every block. Everything is in bytes and saturates, so that
//! a nonsensical configuration gives a large number instead of a fault. Knows no device and reads no file.

use crate::config::ModelConfig;
use crate::error::{EngineError, Result};

/// Number formats that weights come in or are kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// 32-bit float.
    F32,
    /// bfloat16 or 16-bit float.
    Half,
    /// `Q8_0`: blocks of 32 values with one scale.
    Q8_0,
    /// `Q6_K`: blocks of 256 values.
    Q6K,
    /// The `Q5_K_M` mixture: `Q5_K`, with `Q6_K` where llama.cpp's quantiser spends more bits.
    Q5KM,
    /// The `Q4_K_M` mixture: `Q4_K`, with `Q6_K` where llama.cpp's quantiser spends more bits.
    Q4KM,
}

impl Format {
    /// All of them, largest first.
    pub const ALL: [Self; 6] = [Self::F32, Self::Half, Self::Q8_0, Self::Q6K, Self::Q5KM, Self::Q4KM];

    /// Its usual name.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Half => "bf16",
            Self::Q8_0 => "Q8_0",
            Self::Q6K => "Q6_K",
            Self::Q5KM => "Q5_K_M",
            Self::Q4KM => "Q4_K_M",
        }
    }

    /// Bits of a value in most matrices, and in those that a mixture keeps finer.
    fn bits(self) -> (f64, f64) {
        const Q4_K: f64 = 4.5;
        const Q5_K: f64 = 5.5;
        const Q6_K: f64 = 6.5625;
        match self {
            Self::F32 => (32.0, 32.0),
            Self::Half => (16.0, 16.0),
            Self::Q8_0 => (8.5, 8.5),
            Self::Q6K => (Q6_K, Q6_K),
            Self::Q5KM => (Q5_K, Q6_K),
            Self::Q4KM => (Q4_K, Q6_K),
        }
    }
}

/// Values of a checkpoint by where they stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Values {
    embed: u64,
    /// 0 when tied.
    head: u64,
    /// Matrices of one block, without those of `finer`.
    plain: u64,
    /// Value projection and the MLP's way down, of one block.
    finer: u64,
    /// Norms and biases of one block.
    vectors: u64,
}

fn product(factors: &[usize]) -> u64 {
    factors.iter().fold(1, |all, &factor| all.saturating_mul(factor as u64))
}

fn sum(parts: &[u64]) -> u64 {
    parts.iter().fold(0, |all, &part| all.saturating_add(part))
}

impl Values {
    fn of(config: &ModelConfig) -> Self {
        let (d, wide, arch) = (config.d_model, config.d_mlp, &config.arch);
        let q_dim = config.n_heads.saturating_mul(config.head_dim);
        let kv_dim = config.n_kv_heads.saturating_mul(config.head_dim);
        let matrix = |a: usize, b: usize| product(&[a, b]);
        let embed = matrix(config.vocab_size, d);
        let qkv_bias = if arch.qkv_bias { sum(&[q_dim as u64, kv_dim as u64, kv_dim as u64]) } else { 0 };
        let o_bias = if arch.o_bias { d as u64 } else { 0 };
        Self {
            embed,
            head: if config.tied { 0 } else { embed },
            plain: sum(&[matrix(q_dim, d), matrix(kv_dim, d), matrix(d, q_dim), product(&[2, wide, d])]),
            finer: sum(&[matrix(kv_dim, d), matrix(d, wide)]),
            vectors: sum(&[
                product(&[if arch.post_norms { 4 } else { 2 }, d]),
                if arch.qk_norm { product(&[2, config.head_dim]) } else { 0 },
                qkv_bias,
                o_bias,
            ]),
        }
    }

    fn total(&self, config: &ModelConfig) -> u64 {
        let block = sum(&[self.plain, self.finer, self.vectors]);
        sum(&[self.embed, self.head, block.saturating_mul(config.n_layers as u64), config.d_model as u64])
    }
}

/// Parameters of a model; a tied head counts once.
pub fn n_params(config: &ModelConfig) -> u64 {
    Values::of(config).total(config)
}

/// Weights whose matrices are kept in a format; norms and biases are f32.
pub fn weights_bytes(config: &ModelConfig, format: Format) -> u64 {
    let values = Values::of(config);
    let (bits, finer) = format.bits();
    let bytes = |n: u64, bits: f64| (n as f64 * bits / 8.0) as u64;
    let layers = config.n_layers as u64;
    let vectors = sum(&[values.vectors.saturating_mul(layers), config.d_model as u64]).saturating_mul(4);
    let matrices = values.plain.saturating_add(values.finer).saturating_mul(layers);
    if bits == finer {
        return sum(&[bytes(sum(&[values.embed, values.head, matrices]), bits), vectors]);
    }
    // The quantiser spends the finer bits on the first and the last eighth of the blocks and on every third between.
    let n = config.n_layers;
    let is_fine = |i: usize| i < n / 8 || i >= 7 * (n / 8) + 7 * (n % 8) / 8 || (i - n / 8) % 3 == 2;
    let fine_values = values.finer.saturating_mul((0..n).filter(|&i| is_fine(i)).count() as u64);
    // The matrix that makes the logits is kept finer; a tied one is the embedding itself.
    let (embed_bits, head_bits) = if config.tied { (finer, 0.0) } else { (bits, finer) };
    sum(&[
        bytes(values.embed, embed_bits),
        bytes(values.head, head_bits),
        bytes(matrices - fine_values, bits),
        bytes(fine_values, finer),
        vectors,
    ])
}

/// What reading a value takes for a moment beside the bytes it is kept in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// In the embedding and the head.
    pub embed: u64,
    /// In a pair of projections, whose rows are turned.
    pub pair: u64,
}

/// What reading needs beside the weights of `weights` bytes, whose matrices are kept in `kept` bytes a value. The head
/// comes last, when all else is there, and the embedding first, when nothing is.
pub fn loading_bytes(config: &ModelConfig, weights: u64, kept: u64, beside: Beside) -> u64 {
    let embed = |bytes: u64| product(&[config.vocab_size, config.d_model]).saturating_mul(bytes);
    let last = if config.tied {
        embed(beside.embed.saturating_add(kept)).saturating_sub(weights)
    } else {
        embed(beside.embed)
    };
    product(&[2, config.d_mlp, config.d_model]).saturating_mul(beside.pair).max(last)
}

/// Bytes of one value of the activations and the cache, and whether the fused processor path runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Runs {
    /// Bytes of a value.
    pub value_bytes: u64,
    /// The processor's own operations run; elsewhere stock ones do, which hold all scores and logits.
    pub is_fused: bool,
}

impl Runs {
    /// On the processor.
    pub const PROCESSOR: Self = Self { value_bytes: 4, is_fused: true };
}

/// Keys and values of `tokens` tokens in every block.
pub fn cache_bytes(config: &ModelConfig, tokens: usize, runs: Runs) -> u64 {
    product(&[config.n_layers, 2, config.n_kv_heads, config.head_dim, tokens]).saturating_mul(runs.value_bytes)
}

/// Rows that go through the wide layers at once ([`crate::ops::block`]).
const WIDE_ROWS: usize = 256;
/// Tokens of one pass when candidates are scored.
const TOKENS_PER_PASS: usize = 4096;

/// Buffers of a forward pass over `rows` rows of sequences of `keys` tokens, without a tape.
fn pass_bytes(config: &ModelConfig, rows: usize, keys: usize, runs: Runs) -> u64 {
    let (d, wide) = (config.d_model as u64, config.d_mlp as u64);
    let (q_dim, kv) = (product(&[config.n_heads, config.head_dim]), product(&[2, config.n_kv_heads, config.head_dim]));
    // Rows in and out and between, queries, keys and values, what attention mixes, and keys and values being set aside.
    let narrow = sum(&[d.saturating_mul(3), q_dim.saturating_mul(2), kv.saturating_mul(3)]).saturating_mul(rows as u64);
    if runs.is_fused {
        let at_once = rows.min(WIDE_ROWS) as u64;
        let wide = at_once.saturating_mul(sum(&[d, wide.saturating_mul(3)]));
        return sum(&[narrow, wide]).saturating_mul(runs.value_bytes);
    }
    // Stock operations: all rows are wide at once, and the scores of a sequence exist several times over in f32.
    let wide = (rows as u64).saturating_mul(wide.saturating_mul(5));
    let scores = product(&[config.n_heads, rows.min(keys), keys]).saturating_mul(4 * 4);
    sum(&[sum(&[narrow, wide]).saturating_mul(runs.value_bytes), scores])
}

/// Activations while a conversation of `context` tokens is read in one go, and the logits of its last token.
pub fn chat_bytes(config: &ModelConfig, context: usize, runs: Runs) -> u64 {
    let logits = product(&[config.vocab_size, 4]).saturating_mul(4);
    sum(&[pass_bytes(config, context, context, runs), logits])
}

/// A pass over `tokens` tokens of short prompts whose residual stream is read after every block.
pub fn reading_bytes(config: &ModelConfig, tokens: usize, runs: Runs) -> u64 {
    let captured = product(&[config.n_layers, tokens, config.d_model]).saturating_mul(runs.value_bytes);
    captured.saturating_add(chat_bytes(config, tokens, runs))
}

/// One step of a prompt search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SearchStep {
    /// Prompts that are changed.
    pub population: usize,
    /// Contexts that each is tried in.
    pub contexts: usize,
    /// Tokens of a prompt.
    pub prompt_len: usize,
    /// Tokens that follow a prompt in a context.
    pub context_len: usize,
    /// Block whose output is read.
    pub block: usize,
}

/// Caches, tape and scores of a search step: the larger of the gradient and of scoring candidates, both of which run
/// as many prompts at once as a pass has tokens for.
pub fn search_bytes(config: &ModelConfig, step: SearchStep, runs: Runs) -> u64 {
    let SearchStep { population, contexts, prompt_len, context_len, block } = step;
    let keys = prompt_len.saturating_add(context_len);
    let per_prompt = contexts.saturating_mul(keys);
    let rows = per_prompt.saturating_mul(population.min((TOKENS_PER_PASS / per_prompt.max(1)).max(1)));
    // Beyond the block that is read only the prompts' own rows go on.
    let slots = rows / keys.max(1) * prompt_len;
    let until = block.saturating_add(1).min(config.n_layers);
    let taped = sum(&[product(&[rows, until]), product(&[slots, config.n_layers - until])]);
    let scored = population.saturating_mul(prompt_len);
    let gradient = taped_bytes(config, (rows, taped), scored, runs);
    let logits =
        if runs.is_fused { 512 * 4096 * 4 } else { product(&[slots, config.vocab_size]).saturating_mul(4 * 3) };
    let candidates = sum(&[pass_bytes(config, rows.max(TOKENS_PER_PASS), keys, runs), logits]);
    sum(&[cache_bytes(config, contexts.saturating_mul(context_len), runs), gradient.max(candidates)])
}

/// A gradient pass over `rows` rows, which leave `taped` rows of single blocks on the tape, and the values for every
/// token of the vocabulary at `scored` positions.
fn taped_bytes(config: &ModelConfig, (rows, taped): (usize, u64), scored: usize, runs: Runs) -> u64 {
    let (d, wide, qkv) = (config.d_model as u64, config.d_mlp as u64, config.qkv_dim() as u64);
    // Values of a row by their widths: so many of the residual's, of queries with keys and values, of the MLP's.
    let row = |n: [u64; 3]| {
        let widths = [d, qkv, wide].into_iter().zip(n).map(|(width, n)| width.saturating_mul(n));
        widths.fold(0, u64::saturating_add).saturating_mul(runs.value_bytes)
    };
    let tape_row = if runs.is_fused { row([2, 1, 2]) } else { row([12, 3, 8]) };
    let backward = row([5, 4, 3]).saturating_mul(rows as u64);
    let scored = product(&[scored, config.vocab_size]).saturating_mul(4 * 4);
    sum(&[tape_row.saturating_mul(taped), backward, scored])
}

/// The gradient with respect to the tokens of one sequence, without what is before it, and its cross-entropy. Weights
/// and their gradients of all pairs of tokens count here, which in a search are few.
pub fn gradient_bytes(config: &ModelConfig, tokens: usize, runs: Runs) -> u64 {
    let pairs = product(&[tokens, tokens]).saturating_mul(4);
    let pairs = if runs.is_fused {
        // Made anew by each thread for one head at a time.
        pairs.saturating_mul(2 * config.n_kv_heads.min(rayon::current_num_threads()) as u64)
    } else {
        // Products, scaled, masked, shifted, raised, weights: all on the tape.
        pairs.saturating_mul(7).saturating_mul(product(&[config.n_heads, config.n_layers]))
    };
    sum(&[taped_bytes(config, (tokens, product(&[tokens, config.n_layers])), tokens, runs), pairs])
}

/// A sparse autoencoder in the internal form (encoder, decoder, biases and lengths), f32.
pub fn sae_bytes(d_model: usize, d_sae: usize) -> u64 {
    sum(&[product(&[2, d_model, d_sae]), product(&[3, d_sae]), d_model as u64]).saturating_mul(4)
}

/// Asks the system for room for `n` values and gives it back: where there is none, that is an error here and would be
/// the end of the process when the values are taken. It is a look, not a promise: most systems give more than they
/// have, which is why the estimates above are compared with what is free first.
///
/// # Errors
/// [`EngineError::OutOfMemory`] when the system refuses.
pub(crate) fn room_for<T>(n: usize) -> Result<()> {
    let mut room: Vec<T> = Vec::new();
    let refused = room.try_reserve_exact(n).is_err();
    // Without a look at it the compiler may leave the request out.
    std::hint::black_box(&mut room);
    if refused {
        let needed = product(&[n, size_of::<T>()]);
        return Err(EngineError::OutOfMemory { device: "The processor".to_owned(), needed: Some(needed), free: None });
    }
    Ok(())
}

/// Asks the system for room for so many bytes and gives it back, as a look before a job begins.
///
/// # Errors
/// [`EngineError::OutOfMemory`] when the system refuses.
pub fn room_for_bytes(needed: u64) -> Result<()> {
    room_for::<u8>(usize::try_from(needed).unwrap_or(usize::MAX))
}

/// What a forward pass is asked for, as far as its memory goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pass {
    /// Rows that go in.
    pub(crate) rows: usize,
    /// Tokens of the longest sequence, with what is cached.
    pub(crate) keys: usize,
    /// Blocks whose residual stream is kept.
    pub(crate) captured: usize,
    /// Keys and values are kept.
    pub(crate) keeps_cache: bool,
    /// Blocks that leave their rows on the tape.
    pub(crate) taped: usize,
}

/// Below this a pass asks for no room beforehand: single tokens of small models, where the asking would be felt.
const SMALL: u64 = 32 << 20;

/// Asks for the room of a pass on the processor; accelerators answer for themselves.
///
/// # Errors
/// [`EngineError::OutOfMemory`] when the system refuses.
pub(crate) fn room_for_pass(config: &ModelConfig, pass: Pass, runs: Runs) -> Result<()> {
    let cache = if pass.keeps_cache { cache_bytes(config, pass.rows, runs) } else { 0 };
    let captured = product(&[pass.captured, pass.rows, config.d_model]).saturating_mul(runs.value_bytes);
    let tape =
        if pass.taped > 0 { taped_bytes(config, (pass.rows, product(&[pass.rows, pass.taped])), 0, runs) } else { 0 };
    let needed = sum(&[pass_bytes(config, pass.rows, pass.keys, runs), cache, captured, tape]);
    if needed < SMALL { Ok(()) } else { room_for_bytes(needed) }
}

#[cfg(test)]
mod tests;
