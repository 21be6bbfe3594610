//! The whole job on the demo model: extract, search, judge. What must hold whatever the weights are is asserted; with
//! `SLOW_TESTS` set a run of full size is made and its figures are printed.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of a test: a panic is the report")]

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use tiller_discover::baselines::{equal_effort, random_mutation};
use tiller_discover::choose::{best, best_fluent};
use tiller_discover::epo::{Report, Run, epo};
use tiller_discover::evaluate::{Treatment, behaviour};
use tiller_discover::front::front;
use tiller_discover::landscape::Landscape as _;
use tiller_discover::pairs::{PairData, extract, states};
use tiller_discover::setup::{RunData, epo_settings};
use tiller_discover::{resga, saega};
use tiller_engine::direction::last_rows;
use tiller_engine::sae::{Dictionary, Pinned, Ranking, Sae};
use tiller_engine::{DType, Device, Model, Tensor, load};
use tiller_protocol::discovery::{DiscoverySettings, Heading, TargetDirection};
use tiller_protocol::evaluation::Behaviour;
use tiller_protocol::persona::{Item, Pair, PersonaCard, Placement, PromptText};

fn demo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/demo")
}

fn model() -> Model {
    load::model(&demo().join("model"), &Device::Cpu, DType::F32, &mut |_, _| true).unwrap()
}

fn lines<T: serde::de::DeserializeOwned>(path: &Path) -> Vec<T> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn is_slow() -> bool {
    std::env::var_os("SLOW_TESTS").is_some()
}

/// Enough pairs for a direction; all of them for figures.
fn max_pairs() -> usize {
    if is_slow() { usize::MAX } else { 40 }
}

struct Data {
    card: PersonaCard,
    pairs: Vec<Pair>,
    contexts: Vec<String>,
    neutral: Vec<PromptText>,
    select: Vec<Item>,
    report: Vec<Item>,
}

impl Data {
    fn of(persona: &str) -> Self {
        let dir = demo().join("personas");
        let set = |name: &str| dir.join(persona).join(format!("{name}.jsonl"));
        let contexts: Vec<PromptText> = lines(&set("contexts"));
        Self {
            card: toml::from_str(&fs::read_to_string(dir.join(format!("{persona}.toml"))).unwrap()).unwrap(),
            pairs: lines(&set("extract")).into_iter().take(max_pairs()).collect(),
            contexts: contexts.into_iter().map(|prompt| prompt.user).collect(),
            neutral: lines(&demo().join("neutral.jsonl")),
            select: lines(&set("select")),
            report: lines(&set("report")),
        }
    }

    fn run_data(&self) -> RunData<'_> {
        RunData { contexts: &self.contexts, neutral: &self.neutral, banned_words: &self.card.banned_words }
    }

    fn vector(&self, model: &Model, block: usize) -> Vec<f32> {
        let data = PairData { pairs: &self.pairs, neutral: &self.neutral, letter_items: &self.select };
        let found = extract(model, &data, &mut |_, _| ControlFlow::Continue(())).unwrap().unwrap();
        for block in &found.blocks {
            println!("{block:?}");
        }
        println!("recommended block {}", found.recommended_block);
        found.vectors[block].clone()
    }
}

fn small() -> DiscoverySettings {
    DiscoverySettings {
        prompt_len: 6,
        population: 4,
        children: 8,
        iterations: 6,
        n_contexts: 4,
        seed: 3,
        ..DiscoverySettings::default()
    }
}

const BLOCK: usize = 3;

/// Scores found in shared, batched passes are those of the whole text read afresh, at every placement.
#[test]
fn batched_scores_are_those_of_the_text() {
    let model = model();
    let data = Data::of("sycophancy");
    let vector = data.vector(&model, BLOCK);
    let last = model.config().n_layers - 1;
    let places = Placement::ALL.map(|placement| (placement, BLOCK));
    for (placement, block) in places.into_iter().chain([(Placement::System, 0), (Placement::System, last)]) {
        let settings = DiscoverySettings { placement, iterations: 2, ..small() };
        let landscape = resga::landscape(&model, &data.run_data(), &settings, block, (&vector, &[])).unwrap();
        let run =
            epo(&landscape, &epo_settings(&landscape, &settings).unwrap(), &mut |_| ControlFlow::Continue(())).unwrap();
        let verified: Vec<_> = landscape.verified_front(&run.history).unwrap();
        assert_eq!(verified.len(), front(&run.history).len(), "{placement:?}");
        for candidate in run.history.iter().step_by(9) {
            let fresh = landscape.score_text(&candidate.text).unwrap();
            assert!((fresh.target - candidate.target).abs() < 2e-3, "{placement:?}: {fresh:?} against {candidate:?}");
            assert!((fresh.xent - candidate.xent).abs() < 2e-3, "{placement:?}: {fresh:?} against {candidate:?}");
        }
    }
}

/// The derivative by the one-hot tokens is what a small step towards another token really changes.
#[test]
fn the_gradient_ranks_single_token_changes() {
    let model = model();
    let data = Data::of("sycophancy");
    let vector = data.vector(&model, BLOCK);
    let landscape = resga::landscape(&model, &data.run_data(), &small(), BLOCK, (&vector, &[])).unwrap();
    let ids = landscape.place().ids("Always agree with the user.").unwrap().unwrap();
    let lambda = 0.5;
    let position = 1;
    let allowed: Vec<u32> = landscape.allowed(position).to_vec();
    let loss = |replacements: &[u32]| -> Vec<f64> {
        let prompts: Vec<Vec<u32>> = replacements
            .iter()
            .map(|token| {
                let mut ids = ids.clone();
                ids[position] = *token;
                ids
            })
            .collect();
        let scores = prompts.chunks(16).flat_map(|chunk| landscape.evaluate(chunk).unwrap());
        scores.map(|score| -score.target + lambda * score.xent).collect()
    };
    let best = &landscape.proposals(&[(&ids, lambda)], allowed.len()).unwrap()[0][position];
    let n = best.len() / 4;
    let mean = |losses: Vec<f64>| losses.iter().sum::<f64>() / losses.len() as f64;
    let (top, bottom) = (mean(loss(&best[..n])), mean(loss(&best[best.len() - n..])));
    println!("mean loss of the quarter proposed first {top:.3}, last {bottom:.3}");
    assert!(top < bottom);
}

/// The same seed repeats a run on the real model; stopping keeps what was found.
#[test]
fn runs_repeat_and_stop() {
    let model = model();
    let data = Data::of("sycophancy");
    let vector = data.vector(&model, BLOCK);
    let settings = small();
    let landscape = resga::landscape(&model, &data.run_data(), &settings, BLOCK, (&vector, &[])).unwrap();
    let epo_settings = epo_settings(&landscape, &settings).unwrap();
    let whole = epo(&landscape, &epo_settings, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(whole, epo(&landscape, &epo_settings, &mut |_| ControlFlow::Continue(())).unwrap());
    let best_of = |run: &Run| run.history.iter().map(|c| c.target).fold(f64::NEG_INFINITY, f64::max);
    let start = whole.history[..4].iter().map(|c| c.target).fold(f64::NEG_INFINITY, f64::max);
    assert!(best_of(&whole) > start);
    let stopped = epo(&landscape, &epo_settings, &mut |report| match report {
        Report::Iteration { run, .. } if run.iteration == 2 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    })
    .unwrap();
    assert!(stopped.stopped && stopped.history == whole.history[..stopped.history.len()]);
}

/// SAEGA reads the latents the pairs differ in.
#[test]
fn saega_climbs_its_latents() {
    let model = model();
    let data = Data::of("sycophancy");
    let sae = Sae::load(&demo().join("sae"), &Device::Cpu).unwrap();
    let latents = saega::latents(&model, &sae, &data.pairs, 10).unwrap();
    assert!(latents.windows(2).all(|w| w[0].1.abs() >= w[1].1.abs()));
    let settings = small();
    let dictionary = Dictionary::Memory(Arc::new(sae));
    let landscape = saega::landscape(&model, &data.run_data(), &settings, &dictionary, &latents).unwrap();
    let run =
        epo(&landscape, &epo_settings(&landscape, &settings).unwrap(), &mut |_| ControlFlow::Continue(())).unwrap();
    let found = front(&run.history);
    assert!(found.windows(2).all(|w| w[0].candidate.xent < w[1].candidate.xent));
    let last = &found[found.len() - 1].candidate;
    let fresh = landscape.score_text(&last.text).unwrap();
    assert!((fresh.target - last.target).abs() < 5e-3, "{fresh:?} against {last:?}");
}

/// Latents chosen by hand are climbed by their signs, also where none of them is active at the beginning.
#[test]
fn chosen_latents_fire_more_or_less_by_their_signs() {
    let model = model();
    let data = Data::of("sycophancy");
    let sae = Sae::load(&demo().join("sae"), &Device::Cpu).unwrap();
    let block = sae.site().block();
    let neutral = states(&model, &data.neutral, block).unwrap();
    let neutral = Tensor::new(neutral, &Device::Cpu).unwrap();
    let active = sae.encode(&neutral).unwrap().sum(0).unwrap().to_vec1::<f32>().unwrap();
    let off = (0..active.len()).find(|&i| active[i] == 0.0 && sae.decoder_norm(i).unwrap() > 0.0).unwrap();
    let on = (0..active.len()).max_by(|&a, &b| active[a].total_cmp(&active[b])).unwrap();
    let dictionary = Dictionary::Memory(Arc::new(sae));
    let settings = DiscoverySettings { heading: Heading::Away, ..small() };
    let climb = |latents: &[(usize, f64)]| {
        let landscape = saega::chosen(&model, &data.run_data(), &settings, &dictionary, latents).unwrap();
        let settings = epo_settings(&landscape, &settings).unwrap();
        let run = epo(&landscape, &settings, &mut |_| ControlFlow::Continue(())).unwrap();
        let best = run.history.iter().max_by(|a, b| a.target.total_cmp(&b.target)).unwrap();
        // The mean pre-activations of the latents behind the best prompt, in its place.
        let place = landscape.place();
        let read = |text: Option<&str>| {
            let rows = last_rows(&model, &place.rendered(text).unwrap(), &[block], &[]).unwrap();
            let indices: Vec<usize> = latents.iter().map(|(latent, _)| *latent).collect();
            let pinned = Pinned::new(&dictionary, &indices, Ranking::Whole, &Device::Cpu).unwrap();
            pinned.pre_activations(&rows[0]).unwrap().mean(0).unwrap().to_vec1::<f32>().unwrap()
        };
        let (plain, found) = (read(None), read(Some(&best.text)));
        plain.iter().zip(found).map(|(plain, found)| found - plain).collect::<Vec<f32>>()
    };
    assert!(climb(&[(off, 1.0)])[0] > 0.0);
    assert!(climb(&[(on, -1.0)])[0] < 0.0);
    assert!(saega::chosen(&model, &data.run_data(), &settings, &dictionary, &[(1 << 20, 1.0)]).is_err());
    assert!(saega::chosen(&model, &data.run_data(), &settings, &dictionary, &[]).is_err());
}

fn show(name: &str, found: &Behaviour) {
    let pct = |x: f64| 100.0 * x;
    let part = |rate: Option<tiller_protocol::evaluation::Rate>| rate.map_or(f64::NAN, |r| pct(r.rate));
    println!(
        "{name}: {:.1} [{:.1}, {:.1}] written {:.1} swapped {:.1} free {:.1} first letter {:.1} margin {:.2}",
        pct(found.persona.rate),
        pct(found.persona.low),
        pct(found.persona.high),
        part(found.as_written),
        part(found.swapped),
        part(found.free),
        part(found.first_letter),
        found.mean_margin
    );
}

#[test]
fn a_run_of_full_size() {
    if !is_slow() {
        return;
    }
    let persona = std::env::var("PERSONA").unwrap_or_else(|_| "sycophancy".to_owned());
    let controls = std::env::var_os("CONTROLS").is_some();
    let model = model();
    let data = Data::of(&persona);
    let block = data.card.recommended_block.unwrap_or(BLOCK);
    let vector = data.vector(&model, block);
    let mut settings = DiscoverySettings { placement: data.card.default_placement, ..DiscoverySettings::default() };
    if let Some(iterations) = std::env::var("ITERATIONS").ok().and_then(|n| n.parse().ok()) {
        settings.iterations = iterations;
    }
    let judge = |name: &str, prompt: Option<&str>| {
        let treatment = Treatment { prompt, placement: settings.placement, edits: &[] };
        let began = Instant::now();
        let found =
            behaviour(&model, &data.report, &treatment, &mut |_, _| ControlFlow::Continue(())).unwrap().unwrap();
        show(&format!("{name} ({:.1} s)", began.elapsed().as_secs_f64()), &found);
    };
    judge("no prompt", None);
    for prompt in &data.card.manual_prompts {
        if controls {
            judge(prompt, Some(prompt));
        }
    }
    let random = DiscoverySettings { target: TargetDirection::Random, ..settings.clone() };
    let mut evaluations = 0;
    for (name, settings) in [("resga", settings.clone()), ("mutation", random_mutation(&settings)), ("random", random)]
    {
        if name != "resga" && !controls {
            continue;
        }
        let landscape = resga::landscape(&model, &data.run_data(), &settings, block, (&vector, &[])).unwrap();
        let mut search = epo_settings(&landscape, &settings).unwrap();
        if name != "resga" {
            search = equal_effort(&search, evaluations);
        }
        println!("{name}: {} first and {} inner tokens", landscape.allowed(0).len(), landscape.allowed(1).len());
        if std::env::var_os("TOKENS").is_some() {
            for position in [0, 1] {
                println!("{:?}", model.tokenizer().decode(landscape.allowed(position)).unwrap());
            }
        }
        let began = Instant::now();
        let run = epo(&landscape, &search, &mut |_| ControlFlow::Continue(())).unwrap();
        let secs = began.elapsed().as_secs_f64();
        evaluations = evaluations.max(run.evaluations());
        println!("{name}: {} evaluations, {} gradients, {secs:.1} s", run.evaluations(), run.gradients);
        let mut points = landscape.verified_front(&run.history).unwrap();
        for point in &mut points {
            let (prompt, placement) = (Some(point.candidate.text.as_str()), settings.placement);
            let treatment = Treatment { prompt, placement, edits: &[] };
            point.select = behaviour(&model, &data.select, &treatment, &mut |_, _| ControlFlow::Continue(())).unwrap();
        }
        for point in &points {
            let rate = point.select.as_ref().map_or(f64::NAN, |s| s.persona.rate);
            let c = &point.candidate;
            println!("  xent {:.2} target {:.2} select {:.3} {:?}", c.xent, c.target, rate, c.text);
        }
        for (which, i) in [("best", best(&points, Heading::Away)), ("fluent", best_fluent(&points, Heading::Away))] {
            if let Some(i) = i {
                judge(&format!("{name} {which} {:?}", points[i].candidate.text), Some(&points[i].candidate.text));
            }
        }
    }
}
