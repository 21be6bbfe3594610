//! How fast the demo model writes: plain, steered by three features, and with three features watched.
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
use tiller_engine::{DType, Device, Edit, Model, Result, load};
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
    let latents = [d_sae / 4, d_sae / 2, 3 * d_sae / 4];
    let operators =
        [(latents[0], Operator::Set(2.0)), (latents[1], Operator::Multiply(2.0)), (latents[2], Operator::Ablate)];
    let edit = Arc::new(LatentEdit::new(&dictionary, &operators, &Device::Cpu)?);
    let steered = Arc::new(vec![Edit::latents(block, edit, Positions::All)]);
    let pinned = Pinned::new(&dictionary, &latents, Ranking::Whole, &Device::Cpu)?;
    let watched = Arc::new(vec![Watch { block, pinned }]);
    let (no_edits, no_watches) = (Arc::new(Vec::new()), Arc::new(Vec::new()));
    let mut least = [Duration::MAX; 3];
    for seed in 0..REPEATS as u64 {
        for (least, (edits, watches)) in
            least.iter_mut().zip([(&no_edits, &no_watches), (&steered, &no_watches), (&no_edits, &watched)])
        {
            *least = (*least).min(per_token(&model, edits, watches, seed)?);
        }
    }
    let [plain, steered, watched] = least.map(|least| least.as_secs_f64());
    println!("plain    {:6.0} tokens/s", 1.0 / plain);
    println!("steered  {:6.0} tokens/s, {:.3} of plain", 1.0 / steered, plain / steered);
    println!("watched  {:6.0} tokens/s, {:.3} of plain", 1.0 / watched, plain / watched);
    Ok(())
}

/// Time of a token of a reply, from its first to its last.
fn per_token(model: &Model, edits: &Arc<Vec<Edit>>, watches: &Arc<Vec<Watch>>, seed: u64) -> Result<Duration> {
    let vocab = model.config().vocab_size as u32;
    let prompt: Vec<u32> = (0..24).map(|j| (j * 7919 + 17) % vocab).collect();
    let now = || Arc::clone(edits);
    let replies = [Reply { prompt, edits: &now }];
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
