//! Trying an SAE on the loaded model: does it rebuild the residual stream where it says it does (sae.md §0.1)?

use std::ops::Range;

use tiller_engine::direction::median;
use tiller_engine::sae::SaeFile;
use tiller_engine::tree::{Node, Parent};
use tiller_engine::{DType, Request, Tensor, TokenTree};
use tiller_protocol::chat::{Role, Turn};
use tiller_protocol::feature::{BlockFit, SaeInfo, SelfTest, SelfTestVerdict};
use tiller_protocol::problem::Problem;

use crate::jobs::{Report, Sink};
use crate::models::Loaded;
use crate::{memory, problem};

/// Tokens that are counted, at least, while there are texts.
const TOKENS: usize = 400;
/// Tokens of one forward pass, roughly.
const TOKENS_PER_PASS: usize = 256;
/// An SAE that leaves more of the variance unexplained does not belong there.
const MOST_FVU: f64 = 0.4;
/// Rows longer than this many median lengths say nothing about ordinary ones.
const OUTLIER: f64 = 10.0;

/// Tries an SAE on the loaded model over neutral texts; returns its facts with the outcome in them.
///
/// # Errors
/// An SAE of another width or a block that the model lacks, a failure of the model or the file, or a stop.
pub(crate) fn self_test(
    loaded: &Loaded,
    (info, file): (&SaeInfo, &SaeFile),
    neutral: &[String],
    sink: &mut dyn Sink,
) -> Result<SaeInfo, Problem> {
    let (model, claimed) = (&loaded.info, info.site.block());
    if let Some(reason) = file.description().misfit(model.d_model, model.n_layers) {
        return Err(problem::sae_misfit(&info.name, &model.name, &reason));
    }
    memory::check_reading(loaded)?;
    let blocks: Vec<usize> =
        (claimed.saturating_sub(1)..=claimed + 1).filter(|block| *block < model.n_layers).collect();
    let resid = residuals(loaded, neutral, &blocks, sink)?;
    let mut fits = Vec::new();
    let mut n_tokens = 0;
    for (idx, (&block, rows)) in blocks.iter().zip(&resid).enumerate() {
        let (done, total) = (idx * info.d_sae, blocks.len() * info.d_sae);
        let fit = file.fit(rows, &mut |latents, _| {
            sink.step(done + latents, total, "features");
            !sink.is_stopped()
        });
        let fit = fit.map_err(|error| problem::engine(&error))?;
        if block == claimed {
            n_tokens = fit.n_rows;
        }
        fits.push(BlockFit { block, fvu: fit.fvu, l0: fit.l0 });
    }
    let at = blocks.iter().position(|block| *block == claimed).unwrap_or_default();
    let test = SelfTest {
        model_hash: model.hash.clone(),
        model_name: model.name.clone(),
        n_tokens,
        claimed,
        verdict: verdict(&fits, claimed),
        fits,
    };
    let norm = usual_norm(&resid[at]).map_err(|error| problem::engine(&error))?;
    Ok(SaeInfo { self_test: Some(test), resid_norm: Some(norm), ..info.clone() })
}

/// Median residual norm after a block of the loaded model over neutral texts, as the self-test measures it.
///
/// # Errors
/// No texts, or a failure of the model.
pub(crate) fn resid_norm(loaded: &Loaded, neutral: &[String], block: usize) -> Result<f64, Problem> {
    let rows = residuals(loaded, neutral, &[block], &mut Unwatched)?;
    usual_norm(&rows[0]).map_err(|error| problem::engine(&error))
}

/// For a few tokens nobody has to wait.
struct Unwatched;

impl Sink for Unwatched {
    fn report(&mut self, _report: Report) {}

    fn is_stopped(&self) -> bool {
        false
    }
}

fn verdict(fits: &[BlockFit], claimed: usize) -> SelfTestVerdict {
    let best = fits.iter().min_by(|a, b| a.fvu.total_cmp(&b.fvu));
    match best {
        Some(best) if best.fvu < MOST_FVU && best.block == claimed => SelfTestVerdict::Good,
        Some(best) if best.fvu < MOST_FVU => SelfTestVerdict::Elsewhere { block: best.block },
        _ => SelfTestVerdict::Poor,
    }
}

/// Residual rows of the texts' own tokens after each of `blocks`, `[n, d_model]`, f32. The first position of every text
/// is left out, and what a chat template puts around it.
fn residuals(loaded: &Loaded, texts: &[String], blocks: &[usize], sink: &mut dyn Sink) -> Result<Vec<Tensor>, Problem> {
    let mut found: Vec<Vec<Tensor>> = vec![Vec::new(); blocks.len()];
    let (mut rest, mut n_tokens) = (texts, 0);
    while n_tokens < TOKENS && !rest.is_empty() {
        let mut tree = TokenTree::new();
        let mut rows: Vec<u32> = Vec::new();
        while let Some((text, others)) = rest.split_first() {
            let (ids, own) = tokens(loaded, text)?;
            rest = others;
            if ids.is_empty() {
                continue;
            }
            let first = tree.n_tokens();
            rows.extend(own.filter(|at| *at > 0).map(|at| (first + at) as u32));
            tree.push(Node { parent: Parent::Root, ids, ends_prompt: true, is_reply: false });
            if tree.n_tokens() >= TOKENS_PER_PASS {
                break;
            }
        }
        if rows.is_empty() {
            continue;
        }
        n_tokens += rows.len();
        let mut run = || -> tiller_engine::Result<()> {
            let rows = Tensor::new(rows.as_slice(), loaded.device())?;
            let last_block = blocks.iter().max().copied();
            let output = loaded.model.forward(&Request { capture: blocks, last_block, ..Request::new(&tree) })?;
            for (found, (_, resid)) in found.iter_mut().zip(&output.resid_post) {
                found.push(resid.index_select(&rows, 0)?.to_dtype(DType::F32)?.to_device(&tiller_engine::Device::Cpu)?);
            }
            Ok(())
        };
        run().map_err(|error| problem::engine(&error))?;
        sink.step(n_tokens.min(TOKENS), TOKENS, "tokens");
        sink.check()?;
    }
    if n_tokens == 0 {
        return Err(problem::bad_input("there are no neutral texts", "Install Tiller again."));
    }
    let join = |parts: &Vec<Tensor>| Tensor::cat(parts, 0).map_err(|error| problem::engine(&error.into()));
    found.iter().map(join).collect()
}

/// Tokens of a text as the model reads it, and which of them are its own.
fn tokens(loaded: &Loaded, text: &str) -> Result<(Vec<u32>, Range<usize>), Problem> {
    let told = |error| problem::engine(&error);
    let tokenizer = loaded.model.tokenizer();
    if let Some(template) = loaded.model.template() {
        let turns = [Turn { role: Role::User, content: text.to_owned() }];
        let rendered = template.render_parts(&turns, true).and_then(|rendered| rendered.tokens(tokenizer));
        let rendered = rendered.map_err(told)?;
        if let Some(part) = rendered.parts.into_iter().find(|part| part.role == Role::User) {
            return Ok((rendered.ids, part.tokens));
        }
    }
    let ids = tokenizer.encode_whole(text).map_err(told)?;
    let all = 0..ids.len();
    Ok((ids, all))
}

/// Median length of the rows that are not outlying.
fn usual_norm(rows: &Tensor) -> tiller_engine::Result<f64> {
    let norms: Vec<f64> = rows.sqr()?.sum(1)?.sqrt()?.to_vec1::<f32>()?.into_iter().map(f64::from).collect();
    let limit = OUTLIER * median(&norms);
    Ok(median(&norms.into_iter().filter(|norm| *norm <= limit).collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(block: usize, fvu: f64) -> BlockFit {
        BlockFit { block, fvu, l0: 16.0 }
    }

    #[test]
    fn the_verdict_follows_the_smallest_share_of_unexplained_variance() {
        for (fvu, expected) in [
            ([0.5, 0.1, 0.3], SelfTestVerdict::Good),
            ([0.05, 0.1, 0.3], SelfTestVerdict::Elsewhere { block: 3 }),
            ([0.9, 0.8, 0.39], SelfTestVerdict::Elsewhere { block: 5 }),
            ([0.5, 0.4, 0.7], SelfTestVerdict::Poor),
            ([f64::NAN, f64::NAN, f64::NAN], SelfTestVerdict::Poor),
        ] {
            let fits: Vec<BlockFit> = (3..6).zip(fvu).map(|(block, fvu)| fit(block, fvu)).collect();
            assert_eq!(verdict(&fits, 4), expected, "{fvu:?}");
        }
    }
}
