//! Everything a demo measures, as `results.json` holds it.
//!
//! All of it is the same for the same seed, model and machine, but for `times`.

use std::time::Duration;

use serde::Serialize;
use tiller_discover::stats::{MeanInterval, Paired};
use tiller_protocol::discovery::{DiscoverySettings, FrontPoint};
use tiller_protocol::evaluation::{Condition, ConditionKind, Rate};
use tiller_protocol::steering::BlockDiagnostics;

use super::Order;
use super::plan::Plan;
use crate::workspace::document;

/// The whole document.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Results {
    /// Version of the document's form.
    pub(crate) format: u32,
    /// Version of Tiller.
    pub(crate) tiller: String,
    /// Name of the model.
    pub(crate) model: String,
    /// Hash of its weights.
    pub(crate) model_hash: String,
    /// Number of its parameters.
    pub(crate) n_params: u64,
    /// Whether the quick plan was followed.
    pub(crate) quick: bool,
    /// First seed.
    pub(crate) seed: u64,
    /// Settings shared by all searches.
    pub(crate) settings: DiscoverySettings,
    /// One study for each persona.
    pub(crate) personas: Vec<PersonaStudy>,
    /// Steering by vectors; absent when the demo was stopped before.
    pub(crate) steering: Option<SteeringStudy>,
    /// One sentence for each finding.
    pub(crate) findings: Vec<String>,
    /// Whether the user stopped it.
    pub(crate) stopped: bool,
    /// How long it took: the only part that differs between two runs.
    pub(crate) times: Times,
}

/// What prompts do to one persona.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PersonaStudy {
    /// Persona by id.
    pub(crate) persona: String,
    /// Its name for people.
    pub(crate) name: String,
    /// Name of the pole that shows it.
    pub(crate) positive: String,
    /// Name of the other pole.
    pub(crate) negative: String,
    /// Number of contrastive pairs.
    pub(crate) n_pairs: usize,
    /// Number of selection and of held-out items.
    pub(crate) n_items: (usize, usize),
    /// The vector at its block.
    pub(crate) vector: BlockDiagnostics,
    /// Personas projected out of it.
    pub(crate) projected_out: Vec<String>,
    /// Cosine between the vector before and after.
    pub(crate) cosine_kept: f64,
    /// No prompt, manual prompts, vector steering, then what the searches found.
    pub(crate) conditions: Vec<Condition>,
    /// (cross-entropy, target) of the manual prompts along the RESGA direction, beside `conditions`.
    pub(crate) targets: Vec<Option<(f64, f64)>>,
    /// All searches, none left out.
    pub(crate) searches: Vec<Search>,
    /// Index in `conditions` of the discovered prompt that is best on selection items.
    pub(crate) chosen: Option<usize>,
    /// Index of the fluent one that is best on selection items.
    pub(crate) fluent: Option<usize>,
    /// The manual prompts, summed up.
    pub(crate) manual: Option<Manual>,
    /// The chosen prompt against no prompt, on the same held-out decisions.
    pub(crate) against_none: Option<Test>,
    /// The chosen prompt against the best manual prompt.
    pub(crate) against_manual: Option<Test>,
}

/// One search.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Search {
    /// Name for people.
    pub(crate) name: String,
    /// What sort.
    pub(crate) kind: ConditionKind,
    /// Seed.
    pub(crate) seed: u64,
    /// Candidates evaluated.
    pub(crate) evaluations: u64,
    /// Gradients taken.
    pub(crate) gradients: u64,
    /// Hypervolume of the front.
    pub(crate) hypervolume: f64,
    /// Best target found.
    pub(crate) best_target: f64,
    /// Best target after each iteration, with the evaluations by then.
    pub(crate) progress: Vec<(u64, f64)>,
    /// The front by rising cross-entropy.
    pub(crate) front: Vec<FrontPoint>,
    /// (cross-entropy, target) of everything evaluated, thinned for the figure; not written to the file.
    #[serde(skip)]
    pub(crate) candidates: Vec<(f64, f64)>,
    /// Indices in the study's `conditions` of what was chosen from the front.
    pub(crate) conditions: Vec<usize>,
}

/// Manual prompts on held-out items.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Manual {
    /// Their number.
    pub(crate) n: usize,
    /// Mean of their persona rates.
    pub(crate) mean: f64,
    /// Lower end of its 95 % interval over prompts.
    pub(crate) low: f64,
    /// Upper end.
    pub(crate) high: f64,
    /// Index in `conditions` of the one that is best on the held-out items themselves: a choice in its favour.
    pub(crate) best: usize,
}

impl Manual {
    /// From the summary over prompts.
    pub(crate) fn new(mean: &MeanInterval, best: usize) -> Self {
        Self { n: mean.n, mean: mean.mean, low: mean.low, high: mean.high, best }
    }
}

/// A paired exact test after `McNemar`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Test {
    /// Decisions that match the persona under the chosen prompt alone.
    pub(crate) only_chosen: usize,
    /// Decisions that match it under the other condition alone.
    pub(crate) only_other: usize,
    /// Two-sided p-value of no difference.
    pub(crate) p_value: f64,
}

impl From<Paired> for Test {
    fn from(paired: Paired) -> Self {
        Self { only_chosen: paired.only_first, only_other: paired.only_second, p_value: paired.p_value }
    }
}

/// Steering by vectors.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SteeringStudy {
    /// One curve for each measured quantity.
    pub(crate) curves: Vec<Curve>,
    /// Whether a row of strength 0 gives exactly the logits of no steering.
    pub(crate) zero_is_identical: bool,
}

/// A quantity over five strengths.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Curve {
    /// Name for people.
    pub(crate) name: String,
    /// Persona whose vector is added.
    pub(crate) persona: String,
    /// How it was measured.
    pub(crate) how: How,
    /// By rising strength.
    pub(crate) points: Vec<Dose>,
    /// Whether the rate never falls as the strength rises.
    pub(crate) is_monotone: bool,
    /// Largest reply perplexity of the curve over that at strength 0; absent for A/B questions.
    pub(crate) perplexity_ratio: Option<f64>,
}

/// How a curve was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum How {
    /// Which answer letter is preferred, both orders.
    Letters,
    /// Sampled replies, judged by patterns.
    Replies,
}

/// One strength.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Dose {
    /// How often the raw vector is added.
    pub(crate) times: f64,
    /// The same as a share of the median residual norm.
    pub(crate) strength: f64,
    /// Persona rate.
    pub(crate) rate: Rate,
    /// Replies that the patterns decide.
    pub(crate) n_decided: usize,
    /// Perplexity of the replies under the unsteered model after the same question.
    pub(crate) perplexity: Option<f64>,
    /// The same when that model is told to show the persona.
    pub(crate) perplexity_told: Option<f64>,
    /// A reply to look at.
    pub(crate) sample: Option<(String, String)>,
}

/// Times in seconds.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Times {
    /// Parts by name.
    pub(crate) parts_secs: Vec<(String, f64)>,
    /// Generation speed of the demo model.
    pub(crate) tokens_per_sec: Option<f64>,
}

impl Times {
    /// Adds a part.
    pub(crate) fn part(&mut self, name: &str, took: Duration) {
        self.parts_secs.push((name.to_owned(), took.as_secs_f64()));
    }
}

impl Results {
    /// A document without measurements.
    pub(crate) fn new(order: &Order<'_>, plan: &Plan) -> Self {
        let model = &order.loaded.info;
        Self {
            format: document::FORMAT,
            tiller: env!("CARGO_PKG_VERSION").to_owned(),
            model: model.name.clone(),
            model_hash: model.hash.clone(),
            n_params: model.n_params,
            quick: order.quick,
            seed: order.seed,
            settings: plan.search.clone(),
            personas: Vec::new(),
            steering: None,
            findings: Vec::new(),
            stopped: false,
            times: Times::default(),
        }
    }
}

impl PersonaStudy {
    /// What a condition does on held-out items.
    pub(crate) fn rate(&self, condition: usize) -> Option<Rate> {
        Some(self.conditions.get(condition)?.report.as_ref()?.persona)
    }

    /// The condition without any prompt.
    pub(crate) fn none(&self) -> Option<Rate> {
        self.rate(self.conditions.iter().position(|c| c.kind == ConditionKind::NoPrompt)?)
    }
}
