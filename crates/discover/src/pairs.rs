//! From contrastive pairs to a direction for every block, with its diagnostics (methods.md §1.1).
//!
//! Each side is rendered in the chat template and read at its last token, where the reply is decided; the direction
//! is the mean difference, positive less negative. The letter direction, against which it is checked, is the
//! covariance of the same read-out with the probability of the first letter over A/B questions in both orders.

use std::ops::ControlFlow;

use tiller_engine::direction::{Contrast, last_rows, mean_and_sd, median, project};
use tiller_engine::{DType, Model, Node, Parent, Request, TokenTree};
use tiller_protocol::persona::{Item, Pair, Persona, Placement, PromptText};
use tiller_protocol::steering::BlockDiagnostics;

use crate::direction::{cosine, norm, unit};
use crate::error::{DiscoverError, Result};
use crate::evaluate::{Treatment, letter_log_odds};
use crate::place::prompt_ids;

/// Prompts run between two calls of the observer.
const CHUNK: usize = 16;
/// Blocks within this of the best AUROC count as equally good.
const AUROC_SLACK: f64 = 0.01;

/// What extraction reads.
#[derive(Clone, Copy, Debug)]
pub struct PairData<'a> {
    /// Contrastive pairs; at least two.
    pub pairs: &'a [Pair],
    /// Prompts that have nothing to do with the persona, for σ and the median norm; at least two.
    pub neutral: &'a [PromptText],
    /// Items whose A/B questions give the letter direction; those of other kinds are passed over.
    pub letter_items: &'a [Item],
}

/// A direction for every block.
#[derive(Clone, Debug, PartialEq)]
pub struct Extraction {
    /// For each block the mean difference, `[d_model]`, not normalised.
    pub vectors: Vec<Vec<f32>>,
    /// Facts about each.
    pub blocks: Vec<BlockDiagnostics>,
    /// Number of pairs.
    pub n_pairs: usize,
    /// The block where the vector is longest beside the residual among those that separate the sides best.
    pub recommended_block: usize,
}

/// Told how many prompts of how many are done; `Break` stops.
pub type Progress<'a> = dyn FnMut(usize, usize) -> ControlFlow<()> + 'a;

/// Extracts the mean difference for all blocks; `None` when the observer stopped it.
///
/// # Errors
/// Too few pairs or neutral prompts, a prompt that does not fit the context, or a failure of the model.
pub fn extract(model: &Model, data: &PairData<'_>, progress: &mut Progress<'_>) -> Result<Option<Extraction>> {
    for (what, found) in [("contrastive pairs", data.pairs.len()), ("neutral prompts", data.neutral.len())] {
        if found < 2 {
            return Err(DiscoverError::TooFew { what, found, needed: 2 });
        }
    }
    let total = 2 * data.pairs.len() + data.neutral.len();
    let mut report = |done: usize| progress(done, total);
    let Some(contrasts) = contrasts(model, data.pairs, &mut report)? else { return Ok(None) };
    let mut report = |done: usize| progress(2 * data.pairs.len() + done, total);
    let Some(neutral) = Neutral::read(model, data.neutral, &mut report)? else { return Ok(None) };
    let letters = letter_directions(model, data.letter_items)?;
    let vectors: Vec<Vec<f32>> = contrasts.iter().map(Contrast::mean_difference).collect();
    let mut blocks = Vec::with_capacity(vectors.len());
    for (block, (vector, contrast)) in vectors.iter().zip(&contrasts).enumerate() {
        blocks.push(BlockDiagnostics {
            block,
            norm: norm(vector),
            resid_norm: median(&neutral.norms[block]),
            split_half_cos: contrast.split_half_cos(),
            agreement: contrast.agreement(vector),
            auroc: contrast.two_fold_auroc(),
            neutral_sigma: spread_along(&neutral.last[block], vector)?,
            letter_cos: letters.get(block).map_or(0.0, |letter| cosine(letter, vector)),
        });
    }
    let recommended_block = recommended(&blocks);
    Ok(Some(Extraction { vectors, blocks, n_pairs: data.pairs.len(), recommended_block }))
}

/// Standard deviation of the projection on the unit direction over neutral prompts, in residual units.
///
/// # Errors
/// A direction without length, or a failure of the model.
pub fn neutral_sigma(model: &Model, neutral: &[PromptText], block: usize, direction: &[f32]) -> Result<f64> {
    spread_along(&states(model, neutral, block)?, direction)
}

/// `resid_post[block]` at the last token of each prompt in its chat template, `[d_model]` each.
///
/// # Errors
/// A prompt that does not fit the context, or a failure of the model.
pub fn states(model: &Model, prompts: &[PromptText], block: usize) -> Result<Vec<Vec<f32>>> {
    let ids = prompts.iter().map(|prompt| prompt_ids(model, prompt)).collect::<Result<Vec<_>>>()?;
    Ok(last_rows(model, &ids, &[block], &[])?.first().map(|rows| rows.to_vec2()).transpose()?.unwrap_or_default())
}

/// Pairs that show what another persona's system texts do in these contexts: with the text against without. A
/// direction to be projected out is best measured where it disturbs.
pub fn confound_pairs(confound: &Persona, contexts: &[String]) -> Vec<Pair> {
    let texts = confound.pairs.iter().filter_map(|pair| pair.positive.system.as_ref());
    contexts
        .iter()
        .cycle()
        .zip(texts)
        .map(|(user, system)| Pair {
            positive: PromptText { system: Some(system.clone()), user: user.clone() },
            negative: PromptText { system: None, user: user.clone() },
        })
        .collect()
}

fn contrasts(
    model: &Model,
    pairs: &[Pair],
    report: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Result<Option<Vec<Contrast>>> {
    let config = model.config();
    let all_blocks: Vec<usize> = (0..config.n_layers).collect();
    let mut contrasts = vec![Contrast::new(config.d_model); config.n_layers];
    for (i, chunk) in pairs.chunks(CHUNK / 2).enumerate() {
        let side = |prompts: &mut dyn Iterator<Item = &PromptText>| -> Result<Vec<tiller_engine::Tensor>> {
            let ids = prompts.map(|prompt| prompt_ids(model, prompt)).collect::<Result<Vec<_>>>()?;
            Ok(last_rows(model, &ids, &all_blocks, &[])?)
        };
        let positive = side(&mut chunk.iter().map(|pair| &pair.positive))?;
        let negative = side(&mut chunk.iter().map(|pair| &pair.negative))?;
        for (contrast, (positive, negative)) in contrasts.iter_mut().zip(positive.iter().zip(&negative)) {
            contrast.extend(positive, negative)?;
        }
        if report(i * CHUNK + 2 * chunk.len()).is_break() {
            return Ok(None);
        }
    }
    Ok(Some(contrasts))
}

/// Neutral prompts, block by block.
struct Neutral {
    /// Residuals at the last token of each prompt.
    last: Vec<Vec<Vec<f32>>>,
    /// Residual norms at every position but the first.
    norms: Vec<Vec<f64>>,
}

impl Neutral {
    fn read(
        model: &Model,
        prompts: &[PromptText],
        report: &mut dyn FnMut(usize) -> ControlFlow<()>,
    ) -> Result<Option<Self>> {
        let n = model.config().n_layers;
        let all_blocks: Vec<usize> = (0..n).collect();
        let mut neutral = Self { last: vec![Vec::new(); n], norms: vec![Vec::new(); n] };
        for (i, chunk) in prompts.chunks(CHUNK).enumerate() {
            let mut tree = TokenTree::new();
            for prompt in chunk {
                let ids = prompt_ids(model, prompt)?;
                tree.push(Node { parent: Parent::Root, ids, ends_prompt: true, is_reply: false });
            }
            let out = model.forward(&Request { capture: &all_blocks, ..Request::new(&tree) })?;
            for (block, resid) in &out.resid_post {
                let rows = resid.to_dtype(DType::F32)?.to_vec2::<f32>()?;
                for node in 0..tree.nodes().len() {
                    let (first, last) = (tree.offset(node), tree.last_row(node));
                    neutral.norms[*block].extend(rows[first + 1..=last].iter().map(|row| norm(row)));
                    neutral.last[*block].push(rows[last].clone());
                }
            }
            if report(i * CHUNK + chunk.len()).is_break() {
                return Ok(None);
            }
        }
        Ok(Some(neutral))
    }
}

fn spread_along(rows: &[Vec<f32>], direction: &[f32]) -> Result<f64> {
    if norm(direction) == 0.0 {
        return Ok(0.0);
    }
    let unit = unit(direction)?;
    let projections: Vec<f64> = rows.iter().map(|row| project(row, &unit)).collect();
    Ok(mean_and_sd(&projections).1)
}

/// For each block the covariance of the residual with the probability of the first letter; empty without A/B items.
fn letter_directions(model: &Model, items: &[Item]) -> Result<Vec<Vec<f32>>> {
    let plain = Treatment { prompt: None, placement: Placement::System, edits: &[] };
    let odds = letter_log_odds(model, items, &plain)?;
    if odds.is_empty() {
        return Ok(Vec::new());
    }
    let (prompts, first): (Vec<Vec<u32>>, Vec<f64>) =
        odds.into_iter().map(|(prompt, log_odds)| (prompt, 1.0 / (1.0 + (-log_odds).exp()))).unzip();
    let (mean, _) = mean_and_sd(&first);
    let all_blocks: Vec<usize> = (0..model.config().n_layers).collect();
    let mut directions = Vec::with_capacity(all_blocks.len());
    for rows in last_rows(model, &prompts, &all_blocks, &[])? {
        let mut sum = vec![0.0_f64; model.config().d_model];
        for (row, p) in rows.to_vec2::<f32>()?.iter().zip(&first) {
            sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += (p - mean) * f64::from(*x));
        }
        directions.push(sum.into_iter().map(|x| x as f32).collect());
    }
    Ok(directions)
}

fn recommended(blocks: &[BlockDiagnostics]) -> usize {
    let best = blocks.iter().map(|b| b.auroc).fold(0.0, f64::max);
    let share = |b: &BlockDiagnostics| b.norm / b.resid_norm.max(f64::MIN_POSITIVE);
    blocks
        .iter()
        .filter(|b| b.auroc >= best - AUROC_SLACK)
        .max_by(|a, b| share(a).total_cmp(&share(b)))
        .map_or(0, |b| b.block)
}
