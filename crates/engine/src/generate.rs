//! Streaming generation: several replies together, one forward for each token.

mod watch;

use std::ops::ControlFlow;
use std::sync::Arc;

use candle_core::Tensor;
use candle_transformers::generation::{LogitsProcessor, Sampling as Draw};
use candle_transformers::utils::apply_repeat_penalty;
use tiller_protocol::chat::{EndReason, Sampling};

use crate::cache::KvCache;
use crate::edit::Edit;
use crate::error::{EngineError, Result};
use crate::model::{Model, Request};
use crate::tokenizer::StreamDecoder;
use crate::tree::{Node, Parent, TokenTree};

pub use watch::{LiveWatches, Reading, Step, Watch};

/// Edits to use now; read before every token.
pub type LiveEdits<'a> = &'a dyn Fn() -> Arc<Vec<Edit>>;

/// One reply to be written.
pub struct Reply<'a> {
    /// Rendered prompt, reply header included.
    pub prompt: Vec<u32>,
    /// Edits, read before every token.
    pub edits: LiveEdits<'a>,
}

/// A finished reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// Token ids, without the end token.
    pub ids: Vec<u32>,
    /// Their text.
    pub text: String,
    /// Why it ended.
    pub reason: EndReason,
}

/// Writes several replies at once with the same seed each; `on_text(reply index, new text)` after every token (the text
/// may be empty while a character is unfinished). Break stops all.
///
/// Keys and values keep the edits they were made with.
///
/// # Errors
/// An empty prompt or one that does not fit the context, or a failure in the tensor library.
pub fn generate(
    model: &Model,
    replies: &[Reply<'_>],
    sampling: &Sampling,
    on_text: &mut dyn FnMut(usize, &str) -> ControlFlow<()>,
) -> Result<Vec<Generated>> {
    let none = Arc::default();
    generate_watched(model, replies, sampling, &|| Arc::clone(&none), &mut |step| on_text(step.reply, step.text))
}

/// [`generate`], with latents of SAEs read on every token. Without watches it costs nothing more.
///
/// # Errors
/// As [`generate`], a watch whose block or width is not the model's, or a failure to read its SAE.
pub fn generate_watched(
    model: &Model,
    replies: &[Reply<'_>],
    sampling: &Sampling,
    watches: LiveWatches<'_>,
    on_step: &mut dyn FnMut(&Step<'_>) -> ControlFlow<()>,
) -> Result<Vec<Generated>> {
    let mut writers = replies.iter().map(|reply| Writer::new(model, reply, sampling)).collect::<Result<Vec<_>>>()?;
    loop {
        step(model, replies, &mut writers, &watches())?;
        let writing: Vec<usize> = (0..writers.len()).filter(|&idx| writers[idx].reason.is_none()).collect();
        if writing.is_empty() {
            break;
        }
        let resids: Vec<&Tensor> = writing.iter().filter_map(|&idx| writers[idx].cache.last_resid()).collect();
        let logits = model.logits(&Tensor::cat(&resids, 0)?)?;
        for (row, &idx) in writing.iter().enumerate() {
            let text = writers[idx].draw(model, logits.get(row)?, sampling)?;
            let step = Step { reply: idx, text: &text, reading: &writers[idx].reading };
            if on_step(&step).is_break() {
                for writer in writers.iter_mut().filter(|writer| writer.reason.is_none()) {
                    writer.end(model, EndReason::Stopped)?;
                }
                break;
            }
        }
    }
    Ok(writers
        .into_iter()
        .map(|writer| Generated {
            ids: writer.ids,
            text: writer.text,
            reason: writer.reason.unwrap_or(EndReason::Stopped),
        })
        .collect())
}

/// Tokens run at once while prompts are read.
const TOKENS_PER_PASS: usize = 4096;

/// Runs what each reply has not run yet: its prompt, or the token drawn last. Replies with the same edits share a pass.
fn step(model: &Model, replies: &[Reply<'_>], writers: &mut [Writer], watches: &Arc<Vec<Watch>>) -> Result<()> {
    let watched = watch::blocks(watches);
    let mut groups: Vec<(Arc<Vec<Edit>>, Vec<usize>, usize)> = Vec::new();
    for (idx, (reply, writer)) in replies.iter().zip(writers.iter()).enumerate() {
        if writer.reason.is_none() {
            let (edits, n) = ((reply.edits)(), writer.pending.len());
            let fits =
                |known: &Arc<Vec<Edit>>, tokens: usize| Arc::ptr_eq(known, &edits) && tokens + n <= TOKENS_PER_PASS;
            match groups.iter_mut().find(|(known, _, tokens)| fits(known, *tokens)) {
                Some((_, members, tokens)) => {
                    members.push(idx);
                    *tokens += n;
                }
                None => groups.push((edits, vec![idx], n)),
            }
        }
    }
    for (edits, members, _) in groups {
        let mut tree = TokenTree::new();
        let (mut last_rows, mut first) = (Vec::with_capacity(members.len()), Vec::with_capacity(members.len()));
        for (i, &idx) in members.iter().enumerate() {
            let is_reply = !writers[idx].cache.is_empty();
            let ids = std::mem::take(&mut writers[idx].pending);
            let node = tree.push(Node { parent: Parent::Cache(i), ids, ends_prompt: !is_reply, is_reply });
            last_rows.push(tree.last_row(node) as u32);
            first.push(writers[idx].cache.len());
        }
        let caches: Vec<&KvCache> = members.iter().map(|&idx| &writers[idx].cache).collect();
        // What is watched at the last block must be there for every token.
        let rows = (!watched.contains(&(model.config().n_layers - 1))).then_some(last_rows.as_slice());
        let before = watched.as_slice();
        let request = Request { caches: &caches, edits: &edits, before, keep_kv: true, rows, ..Request::new(&tree) };
        let out = model.forward(&request)?;
        let readings = watch::readings(watches, &out.before, &tree, &first)?;
        for ((&idx, cache), reading) in members.iter().zip(out.caches).zip(readings) {
            writers[idx].cache = cache;
            writers[idx].reading = reading;
        }
    }
    Ok(())
}

/// State of one reply.
struct Writer {
    cache: KvCache,
    /// Tokens that are not in the cache yet.
    pending: Vec<u32>,
    ids: Vec<u32>,
    text: String,
    decoder: StreamDecoder,
    processor: LogitsProcessor,
    reason: Option<EndReason>,
    /// What was read on the tokens run last.
    reading: Reading,
}

impl Writer {
    fn new(model: &Model, reply: &Reply<'_>, sampling: &Sampling) -> Result<Self> {
        let max = model.config().context_len;
        if reply.prompt.is_empty() {
            return Err(EngineError::BadRequest("the prompt is empty".to_owned()));
        }
        if reply.prompt.len() >= max {
            return Err(EngineError::ContextOverflow { len: reply.prompt.len() + 1, max });
        }
        Ok(Self {
            cache: KvCache::default(),
            pending: reply.prompt.clone(),
            ids: Vec::new(),
            text: String::new(),
            decoder: StreamDecoder::default(),
            processor: LogitsProcessor::from_sampling(sampling.seed, draw(sampling)),
            reason: (sampling.max_tokens == 0).then_some(EndReason::MaxTokens),
            reading: Reading::default(),
        })
    }

    /// Draws the next token from `[vocab]` logits and returns the text that has become certain.
    fn draw(&mut self, model: &Model, mut logits: Tensor, sampling: &Sampling) -> Result<String> {
        if sampling.repetition_penalty != 1.0 {
            logits = apply_repeat_penalty(&logits, sampling.repetition_penalty as f32, &self.ids)?;
        }
        if sampling.min_p > 0.0 && sampling.temperature > 0.0 {
            logits = drop_unlikely(&logits, sampling.min_p, sampling.temperature)?;
        }
        let id = self.processor.sample(&logits)?;
        if model.eos_ids().contains(&id) {
            return self.end(model, EndReason::EndOfTurn);
        }
        self.ids.push(id);
        self.pending.push(id);
        let mut text = self.decoder.push(model.tokenizer(), id)?;
        self.text += &text;
        if self.ids.len() >= sampling.max_tokens {
            text += &self.end(model, EndReason::MaxTokens)?;
        } else if self.cache.len() + 1 >= model.config().context_len {
            text += &self.end(model, EndReason::ContextFull)?;
        }
        Ok(text)
    }

    /// Ends the reply; returns the text of an unfinished character.
    fn end(&mut self, model: &Model, reason: EndReason) -> Result<String> {
        self.reason = Some(reason);
        let text = self.decoder.finish(model.tokenizer())?;
        self.text += &text;
        Ok(text)
    }
}

/// candle's sampling for the settings; `min_p` and the repetition penalty come before it.
fn draw(sampling: &Sampling) -> Draw {
    let (temperature, p, k) = (sampling.temperature, sampling.top_p, sampling.top_k);
    match (k, p) {
        _ if temperature < 1e-7 => Draw::ArgMax,
        (0, p) if p >= 1.0 => Draw::All { temperature },
        (0, p) => Draw::TopP { p, temperature },
        (k, p) if p >= 1.0 => Draw::TopK { k, temperature },
        (k, p) => Draw::TopKThenTopP { k, p, temperature },
    }
}

/// Rules out tokens whose probability is below `min_p` times the largest: `l < l_max + T·ln(min_p)`.
fn drop_unlikely(logits: &Tensor, min_p: f64, temperature: f64) -> Result<Tensor> {
    let mut values = logits.to_dtype(candle_core::DType::F32)?.to_vec1::<f32>()?;
    let top = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let floor = top + (temperature * min_p.min(1.0).ln()) as f32;
    values.iter_mut().filter(|value| **value < floor).for_each(|value| *value = f32::NEG_INFINITY);
    let n = values.len();
    Ok(Tensor::from_vec(values, n, logits.device())?)
}

#[cfg(test)]
mod tests;
