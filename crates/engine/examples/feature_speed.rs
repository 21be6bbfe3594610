//! How fast the demo model writes: plain, steered by three features, and with three features watched. What it costs to
//! tell whether a latent of a `TopK` SAE passes depends on how active it is: so once with features that are mostly off,
//! and once with the most active ones.
//!
//! ```text
//! cargo run --release -p tiller-engine --example feature_speed
//! ```
#![expect(clippy::print_stdout, reason = "the figures are its output")]

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tiller_engine::generate::{Reply, Step, Watch, generate_watched};
use tiller_engine::sae::{Dictionary, LatentEdit, Operator, Pinned, Ranking, Sae};
use tiller_engine::{DType, Device, Edit, Model, Request, Result, TokenTree, load};
use tiller_protocol::chat::Sampling;
use tiller_protocol::steering::Positions;

/// Replies of each kind; the fastest counts, since whatever else runs only slows them.
const REPEATS: usize = 60;
/// Tokens of a reply, at most.
const TOKENS: usize = 120;

fn main() -> Result<()> {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/demo");
    let model = load::model(&demo.join("model"), &Device::Cpu, DType::F32, &mut |_, _| true)?;
    let sae = Arc::new(Sae::load(&demo.join("sae"), &Device::Cpu)?);
    let (block, d_sae) = (sae.site().block(), sae.d_sae());
    let dictionary = Dictionary::Memory(sae);
    let rest = [d_sae / 4, d_sae / 2, 3 * d_sae / 4];
    let busy = busiest(&model, &dictionary)?;
    let edits = |latents: [usize; 3]| -> Result<Arc<Vec<Edit>>> {
        let operators = [Operator::Set(2.0), Operator::Multiply(1.2), Operator::AtLeast(1.0)];
        let operators: Vec<(usize, Operator)> = latents.into_iter().zip(operators).collect();
        let edit = LatentEdit::new(&dictionary, &operators, &Device::Cpu)?;
        Ok(Arc::new(vec![Edit::latents(block, Arc::new(edit), Positions::All)]))
    };
    let watch = |latents: [usize; 3]| -> Result<Arc<Vec<Watch>>> {
        let pinned = Pinned::new(&dictionary, &latents, Ranking::Whole, &Device::Cpu)?;
        Ok(Arc::new(vec![Watch { block, pinned }]))
    };
    let (no_edits, no_watches) = (Arc::new(Vec::new()), Arc::new(Vec::new()));
    let kinds = [
        ("plain", Arc::clone(&no_edits), Arc::clone(&no_watches)),
        ("steered, quiet features", edits(rest)?, Arc::clone(&no_watches)),
        ("steered, busy features", edits(busy)?, no_watches),
        ("watched, quiet features", Arc::clone(&no_edits), watch(rest)?),
        ("watched, busy features", no_edits, watch(busy)?),
    ];
    let mut least = [Duration::MAX; 5];
    for seed in 0..REPEATS as u64 {
        for (least, (_, edits, watches)) in least.iter_mut().zip(&kinds) {
            *least = (*least).min(per_token(&model, edits, watches, seed)?);
        }
    }
    for ((name, ..), time) in kinds.iter().zip(least) {
        let (secs, plain) = (time.as_secs_f64(), least[0].as_secs_f64());
        println!("{name:<24} {:6.0} tokens/s, {:.3} of plain", 1.0 / secs, plain / secs);
    }
    Ok(())
}

fn prompt(model: &Model) -> Vec<u32> {
    let vocab = model.config().vocab_size as u32;
    (0..24).map(|j| (j * 7919 + 17) % vocab).collect()
}

/// The latents that are active on most tokens of the prompt.
fn busiest(model: &Model, dictionary: &Dictionary) -> Result<[usize; 3]> {
    let tree = TokenTree::sequence(&prompt(model));
    let block = dictionary.site().block();
    let out = model.forward(&Request { capture: &[block], last_block: Some(block), ..Request::new(&tree) })?;
    let all: Vec<usize> = (0..dictionary.d_sae()).collect();
    let pinned = Pinned::new(dictionary, &all, Ranking::Whole, &Device::Cpu)?;
    let values = pinned.read(&out.resid_post[0].1)?;
    let mut order: Vec<(usize, usize)> = all
        .into_iter()
        .map(|latent| {
            (values.iter().skip(latent).step_by(dictionary.d_sae()).filter(|value| **value > 0.0).count(), latent)
        })
        .collect();
    order.sort_unstable_by(|a, b| b.cmp(a));
    Ok([order[0].1, order[1].1, order[2].1])
}

/// Time of a token of a reply, from its first to its last.
fn per_token(model: &Model, edits: &Arc<Vec<Edit>>, watches: &Arc<Vec<Watch>>, seed: u64) -> Result<Duration> {
    let now = || Arc::clone(edits);
    let replies = [Reply { prompt: prompt(model), edits: &now }];
    let sampling = Sampling { temperature: 1.5, top_p: 1.0, max_tokens: TOKENS, seed, ..Sampling::default() };
    let (mut times, mut began) = (Vec::new(), Instant::now());
    let mut on_step = |_: &Step<'_>| {
        times.push(began.elapsed());
        began = Instant::now();
        ControlFlow::Continue(())
    };
    generate_watched(model, &replies, &sampling, &|| Arc::clone(watches), &mut on_step)?;
    // The first is that of the prompt. Of the others the middle one, so that a pause elsewhere does not count.
    let mut times = times.split_off(1.min(times.len()));
    times.sort_unstable();
    Ok(times.get(times.len() / 2).copied().unwrap_or(Duration::MAX))
}
