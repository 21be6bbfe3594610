//! `tiller bench`: the project's own speed figures.
//!
//! Three measurements on random weights of the demo model's shapes and of Qwen2.5-0.5B's (24 blocks, width 896):
//! cross-entropy of 256 candidates of 24 tokens that are one-token changes of 8 parents, with shared beginnings
//! computed once; the one-hot gradient of the 8 parents with λ = 0.5; greedy generation. The larger model is measured
//! with its weights kept in f32 and in bf16, unless one number format is asked for. The token sequences are written out
//! in `tests/peers/README.md`, so that another program can measure the same.
//!
//! And the features of an SAE of made-up rows ([`sae`]): searches and encoding.

mod sae;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use tiller_discover::direction;
use tiller_engine::config::{ArchParams, BlockParams, ModelConfig, RopeParams, RopeScaling};
use tiller_engine::generate::{Reply, generate};
use tiller_engine::gradient::{Member, Problem as Ascent, token_gradients};
use tiller_engine::{Edit, Model, Node, Parent, Tensor, TokenTree, device, score};
use tiller_protocol::chat::Sampling;
use tiller_protocol::model::DtypeChoice;
use tiller_protocol::problem::Problem;

use super::options::{Global, SaeSize, Suite};
use super::results::{BenchResult, Figure};
use super::session::WatchSink;
use crate::assets::Assets;
use crate::jobs::Sink as _;
use crate::problem;

const N_PARENTS: u32 = 8;
const N_CANDIDATES: u32 = 256;
const N_TOKENS: u32 = 24;
const LAMBDA: f64 = 0.5;

/// One model and how often it is measured.
struct Bench {
    name: String,
    model: Model,
    repeats: usize,
    n_decoded: usize,
}

/// Measures the project's own speed figures.
///
/// # Errors
/// The demo model's configuration is missing, no room for the SAE, or a stop before the first figure.
pub fn bench(global: &Global, suite: Suite, size: SaeSize) -> Result<BenchResult, Problem> {
    let mut sink = WatchSink::new(global, "Measuring speed");
    let mut figures = Vec::new();
    for (model, kept) in plan(suite, global.dtype) {
        let name = match kept {
            DtypeChoice::Auto | DtypeChoice::F32 => model.to_owned(),
            DtypeChoice::Bf16 => format!("{model}-bf16"),
            DtypeChoice::F16 => format!("{model}-f16"),
        };
        sink.part(&format!("Measuring {name}"));
        let (config, repeats, n_decoded) = match model {
            QWEN => (qwen_config(), 3, 32),
            _ => (demo_config(&Assets::find()?.demo_model())?, 9, 200),
        };
        let keep = device::keep(kept, &tiller_engine::Device::Cpu);
        let model = Model::random_kept(config, 1, keep).map_err(|error| problem::engine(&error))?;
        let bench = Bench { name, model, repeats, n_decoded };
        for measure in [Bench::candidates, Bench::gradient, Bench::generate] {
            sink.check()?;
            sink.step(figures.len(), 0, "figures");
            figures.push(measure(&bench).map_err(|error| problem::engine(&error))?);
        }
    }
    if matches!(suite, Suite::All | Suite::Sae) {
        sae::measure(&mut sink, size, &mut figures)?;
    }
    Ok(BenchResult { device: device::label(&tiller_engine::Device::Cpu), figures })
}

const DEMO: &str = "demo";
const QWEN: &str = "qwen2.5-0.5b";

/// Which models are measured and how their weights are kept.
fn plan(suite: Suite, dtype: DtypeChoice) -> Vec<(&'static str, DtypeChoice)> {
    let (small, large): (&[_], &[_]) = match &dtype {
        DtypeChoice::Auto => (&[DtypeChoice::F32], &[DtypeChoice::F32, DtypeChoice::Bf16]),
        one => (std::slice::from_ref(one), std::slice::from_ref(one)),
    };
    let demo = small.iter().map(|&kept| (DEMO, kept)).filter(|_| matches!(suite, Suite::All | Suite::Demo));
    let qwen = large.iter().map(|&kept| (QWEN, kept)).filter(|_| matches!(suite, Suite::All | Suite::Qwen05));
    demo.chain(qwen).collect()
}

/// The demo model's shapes, without end tokens, so that generation runs to its length.
fn demo_config(dir: &Path) -> Result<ModelConfig, Problem> {
    let path = dir.join("config.json");
    let text = std::fs::read_to_string(&path).map_err(|error| problem::read_failed(&path, &error))?;
    let config = ModelConfig::from_json(&text).map_err(|error| problem::engine(&error))?;
    Ok(ModelConfig { eos_ids: Vec::new(), ..config })
}

fn qwen_config() -> ModelConfig {
    ModelConfig {
        architecture: "LlamaForCausalLM".to_owned(),
        d_model: 896,
        n_layers: 24,
        n_heads: 14,
        n_kv_heads: 2,
        head_dim: 64,
        d_mlp: 4864,
        vocab_size: 151_936,
        context_len: 32_768,
        tied: true,
        norm_eps: 1e-6,
        ropes: vec![RopeParams { theta: 1e6, scaling: RopeScaling::None }],
        blocks: vec![BlockParams::default(); 24],
        arch: ArchParams { qkv_bias: true, ..ArchParams::LLAMA },
        eos_ids: Vec::new(),
    }
}

/// 8 sequences of 24 tokens.
fn parents(vocab: usize) -> Vec<Vec<u32>> {
    let id = |p: u32, j: u32| (1009 * p + 7919 * j + 17) % vocab as u32;
    (0..N_PARENTS).map(|p| (0..N_TOKENS).map(|j| id(p, j)).collect()).collect()
}

/// 256 sequences, each a parent with one token changed.
fn candidates(vocab: usize) -> Vec<Vec<u32>> {
    let parents = parents(vocab);
    let change = |c: u32| {
        let mut ids = parents[(c % N_PARENTS) as usize].clone();
        let at = (c / N_PARENTS * N_TOKENS / (N_CANDIDATES / N_PARENTS)) as usize;
        ids[at] = (ids[at] + 1 + c) % vocab as u32;
        ids
    };
    (0..N_CANDIDATES).map(change).collect()
}

impl Bench {
    fn vocab(&self) -> usize {
        self.model.config().vocab_size
    }

    fn candidates(&self) -> tiller_engine::Result<Figure> {
        let candidates = candidates(self.vocab());
        self.figure("candidates", "256 candidates of 24 tokens, beginnings shared", || {
            score::cross_entropies(&self.model, &candidates).map(drop)
        })
    }

    fn gradient(&self) -> tiller_engine::Result<Figure> {
        let mut tree = TokenTree::new();
        let mut members = Vec::new();
        for ids in parents(self.vocab()) {
            let node = tree.push(Node { parent: Parent::Root, ids, ends_prompt: true, is_reply: false });
            members.push(Member { slots: vec![node], reads: vec![node], lambda: LAMBDA });
        }
        let config = self.model.config();
        let column = direction::random(config.d_model, 1.0, 1);
        let column = Tensor::from_vec(column, (config.d_model, 1), self.model.device())?;
        let block = config.n_layers / 2;
        let ascent = Ascent { tree: &tree, caches: &[], members: &members, block, edits: &[] };
        self.figure("gradient", "8 prompts of 24 tokens, projection at the middle block and cross-entropy", || {
            let project = |rows: &Tensor| -> tiller_engine::Result<Tensor> { Ok(rows.matmul(&column)?.squeeze(1)?) };
            let found = token_gradients(&self.model, &ascent, &project)?;
            (0..found.len()).try_for_each(|member| found.dense(member).map(drop))
        })
    }

    fn generate(&self) -> tiller_engine::Result<Figure> {
        let prompt = parents(self.vocab()).swap_remove(0);
        let none: Arc<Vec<Edit>> = Arc::default();
        let edits = || Arc::clone(&none);
        let sampling = Sampling { temperature: 0.0, max_tokens: self.n_decoded, ..Sampling::default() };
        let replies = [Reply { prompt, edits: &edits }];
        let figure = self.figure("generate", &format!("{} greedy tokens, one sequence", self.n_decoded), || {
            generate(&self.model, &replies, &sampling, &mut |_, _| ControlFlow::Continue(())).map(drop)
        })?;
        let value = self.n_decoded as f64 / figure.value;
        Ok(Figure { value, unit: "tokens/s".to_owned(), ..figure })
    }

    /// Median time of `work` after one warm-up.
    fn figure(
        &self,
        what: &str,
        detail: &str,
        work: impl FnMut() -> tiller_engine::Result<()>,
    ) -> tiller_engine::Result<Figure> {
        let time = timed(self.repeats, work)?;
        let name = format!("{}.{what}", self.name);
        Ok(Figure { name, value: time.median, unit: "s".to_owned(), detail: time.told(detail) })
    }
}

/// Times of something that was done several times, seconds.
struct Spread {
    repeats: usize,
    median: f64,
    least: f64,
}

impl Spread {
    /// What was timed, and how it spread.
    fn told(&self, what: &str) -> String {
        let Self { repeats, median, least } = self;
        format!("{what}; median of {repeats}: {median:.4} s, least {least:.4} s")
    }
}

/// Does some work at least once, and once before the clock runs.
fn timed<E>(repeats: usize, mut work: impl FnMut() -> Result<(), E>) -> Result<Spread, E> {
    work()?;
    let mut secs = Vec::with_capacity(repeats);
    for _ in 0..repeats.max(1) {
        let began = Instant::now();
        work()?;
        secs.push(began.elapsed().as_secs_f64());
    }
    secs.sort_by(f64::total_cmp);
    Ok(Spread { repeats: secs.len(), median: secs[secs.len() / 2], least: secs[0] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_format_decides_what_is_measured() {
        use DtypeChoice::{Auto, Bf16, F32};
        assert_eq!(plan(Suite::All, Auto), [(DEMO, F32), (QWEN, F32), (QWEN, Bf16)]);
        assert_eq!(plan(Suite::Qwen05, F32), [(QWEN, F32)]);
        assert_eq!(plan(Suite::Demo, Bf16), [(DEMO, Bf16)]);
        assert_eq!(plan(Suite::Sae, Auto), []);
    }

    #[test]
    fn a_small_sae_gives_all_figures_and_nothing_is_missed_in_it() {
        let global = Global::default();
        let found = bench(&global, Suite::Sae, SaeSize { latents: 300, width: 32 }).unwrap();
        let names: Vec<&str> =
            found.figures.iter().filter_map(|figure| figure.name.strip_prefix("sae-300x32.")).collect();
        let expected =
            ["similar", "scan", "recall-10", "recall-100", "encode-1", "encode-64", "labels-typed", "labels-rare"];
        assert!(expected.iter().all(|name| names.contains(name)), "{names:?}");
        assert!(found.figures.iter().filter(|figure| figure.unit == "%").all(|figure| figure.value == 100.0));
    }

    #[test]
    fn sequences_are_those_of_the_peer() {
        let (parents, candidates) = (parents(2562), candidates(2562));
        assert_eq!((parents.len(), parents[1][2]), (8, (1009 + 2 * 7919 + 17) % 2562));
        assert_eq!(candidates.len(), 256);
        let changed = |c: usize| (0..24).filter(|j| candidates[c][*j] != parents[c % 8][*j]).collect::<Vec<_>>();
        assert_eq!((changed(0), changed(8), changed(255)), (vec![0], vec![0], vec![23]));
    }
}
