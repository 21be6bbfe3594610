//! Streaming generation: several replies together, one forward for each token.

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
    let mut writers = replies.iter().map(|reply| Writer::new(model, reply, sampling)).collect::<Result<Vec<_>>>()?;
    loop {
        for idx in 0..writers.len() {
            let Some((resid, writer)) = writers[idx].next_resid() else { continue };
            let text = writer.draw(model, &resid, sampling)?;
            let stop = on_text(idx, &text).is_break();
            if stop {
                for writer in writers.iter_mut().filter(|writer| writer.reason.is_none()) {
                    writer.end(model, EndReason::Stopped)?;
                }
                break;
            }
        }
        if writers.iter().all(|writer| writer.reason.is_some()) {
            break;
        }
        step(model, replies, &mut writers)?;
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

/// One forward over the tokens drawn last. Replies with the same edits share it.
fn step(model: &Model, replies: &[Reply<'_>], writers: &mut [Writer]) -> Result<()> {
    let mut groups: Vec<(Arc<Vec<Edit>>, Vec<usize>)> = Vec::new();
    for (idx, (reply, writer)) in replies.iter().zip(writers.iter()).enumerate() {
        if writer.reason.is_none() {
            let edits = (reply.edits)();
            match groups.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &edits)) {
                Some((_, members)) => members.push(idx),
                None => groups.push((edits, vec![idx])),
            }
        }
    }
    for (edits, members) in groups {
        let mut tree = TokenTree::new();
        for (i, &idx) in members.iter().enumerate() {
            let ids = writers[idx].ids.last().copied().into_iter().collect();
            tree.push(Node { parent: Parent::Cache(i), ids, ends_prompt: false, is_reply: true });
        }
        let caches: Vec<&KvCache> = members.iter().map(|&idx| &writers[idx].cache).collect();
        let request = Request { caches: &caches, edits: &edits, keep_kv: true, ..Request::new(&tree) };
        let out = model.forward(&request)?;
        for (&idx, cache) in members.iter().zip(out.caches) {
            writers[idx].cache = cache;
        }
    }
    Ok(())
}

/// State of one reply.
struct Writer {
    cache: KvCache,
    ids: Vec<u32>,
    text: String,
    decoder: StreamDecoder,
    processor: LogitsProcessor,
    reason: Option<EndReason>,
}

impl Writer {
    fn new(model: &Model, reply: &Reply<'_>, sampling: &Sampling) -> Result<Self> {
        let max = model.config().context_len;
        if reply.prompt.len() >= max {
            return Err(EngineError::ContextOverflow { len: reply.prompt.len() + 1, max });
        }
        let tree = TokenTree::sequence(&reply.prompt);
        let edits = (reply.edits)();
        let mut out = model.forward(&Request { edits: &edits, keep_kv: true, ..Request::new(&tree) })?;
        let Some(cache) = out.caches.pop() else {
            return Err(EngineError::BadRequest("the prompt is empty".to_owned()));
        };
        let reason = (sampling.max_tokens == 0).then_some(EndReason::MaxTokens);
        let processor = LogitsProcessor::from_sampling(sampling.seed, draw(sampling));
        Ok(Self { cache, ids: Vec::new(), text: String::new(), decoder: StreamDecoder::default(), processor, reason })
    }

    /// The residual to draw from, unless the reply has ended.
    fn next_resid(&mut self) -> Option<(Tensor, &mut Self)> {
        let resid = self.cache.last_resid().filter(|_| self.reason.is_none())?.clone();
        Some((resid, self))
    }

    /// Draws the next token and returns the text that has become certain.
    fn draw(&mut self, model: &Model, resid: &Tensor, sampling: &Sampling) -> Result<String> {
        let mut logits = model.logits(resid)?.squeeze(0)?;
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
