//! Settings and results of prompt discovery (RESGA and SAEGA by EPO).

use serde::{Deserialize, Serialize};

use crate::evaluation::{Behaviour, Condition};
use crate::feature::FeatureWeight;
use crate::persona::Placement;
use crate::steering::VectorId;

/// What the search climbs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// A direction of the residual stream.
    #[default]
    Resga,
    /// A signed set of SAE latents.
    Saega,
}

/// Toward the persona or away from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Heading {
    /// Less of the persona.
    #[default]
    Away,
    /// More of the persona.
    Toward,
}

/// How new candidates are proposed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proposer {
    /// One of the top-k tokens by gradient.
    #[default]
    Gradient,
    /// Any allowed token (control).
    RandomMutation,
}

/// What direction the target is measured along.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetDirection {
    /// The persona's own direction.
    #[default]
    Persona,
    /// A random direction (control), drawn from the run's seed.
    Random,
}

/// How the residual is turned into a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// Shift of the projection in standard deviations over neutral prompts (methods.md §2.9).
    #[default]
    ProjectionSigma,
    /// Shift of the cosine; a long residual earns nothing.
    CosineDifference,
    /// Plain dot product with the raw vector, as published (methods.md eq. 3).
    RawDot,
}

/// All settings of a run. `Default` gives the desktop preset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DiscoverySettings {
    /// Version of the document's form; 1.
    pub format: u32,
    /// Persona by id.
    pub persona: String,
    /// Vector of the library; extracted afresh when absent.
    pub vector: Option<VectorId>,
    /// Direction or SAE latents.
    pub method: Method,
    /// Block (0-based) where the target is read; the vector's recommended block when absent.
    pub block: Option<usize>,
    /// Less or more of the persona.
    pub heading: Heading,
    /// Where the prompt stands.
    pub placement: Placement,
    /// What is climbed.
    pub objective: Objective,
    /// Persona's direction or the random control.
    pub target: TargetDirection,
    /// Gradient or the random-mutation control.
    pub proposer: Proposer,
    /// Prompt length in tokens.
    pub prompt_len: usize,
    /// Members, one for each λ.
    pub population: usize,
    /// Children of each member in each iteration.
    pub children: usize,
    /// Number of iterations.
    pub iterations: usize,
    /// Tokens taken by gradient at each position.
    pub top_k: usize,
    /// Smallest weight of cross-entropy, σ per nat.
    pub lambda_min: f64,
    /// Largest weight of cross-entropy, σ per nat.
    pub lambda_max: f64,
    /// All slots restart from one member every this many iterations; 0 never.
    pub restart_every: usize,
    /// Centre of the restart weight, σ per nat.
    pub restart_xent: f64,
    /// The restart weight is drawn between centre / this and centre · this.
    pub restart_max_mult: f64,
    /// Fixed contexts the target is averaged over.
    pub n_contexts: usize,
    /// SAE latents kept (SAEGA).
    pub n_latents: usize,
    /// The latents to climb (SAEGA), all of one opened SAE, in place of those that the persona's pairs pick.
    pub features: Vec<FeatureWeight>,
    /// Personas whose directions are projected out of the target first.
    pub project_out: Vec<String>,
    /// Only ASCII tokens.
    pub ascii_only: bool,
    /// Only tokens that are whole words or punctuation.
    pub whole_words: bool,
    /// Leave out the persona's own words and answer letters.
    pub ban_persona_words: bool,
    /// The front is measured on selection items every this many iterations; 0 only at the end.
    pub check_every: usize,
    /// Selection items used for each check.
    pub check_items: usize,
    /// Text to start from instead of random tokens.
    pub warm_start: Option<String>,
    /// Seed of every random draw.
    pub seed: u64,
}

impl Default for DiscoverySettings {
    fn default() -> Self {
        Self {
            format: 1,
            persona: String::new(),
            vector: None,
            method: Method::Resga,
            block: None,
            heading: Heading::Away,
            placement: Placement::System,
            objective: Objective::ProjectionSigma,
            target: TargetDirection::Persona,
            proposer: Proposer::Gradient,
            prompt_len: 8,
            population: 8,
            children: 32,
            iterations: 80,
            top_k: 256,
            lambda_min: 0.05,
            lambda_max: 4.0,
            restart_every: 30,
            restart_xent: 1.0,
            restart_max_mult: 2.0,
            n_contexts: 8,
            n_latents: 10,
            features: Vec::new(),
            project_out: Vec::new(),
            ascii_only: true,
            whole_words: true,
            ban_persona_words: false,
            check_every: 20,
            check_items: 40,
            warm_start: None,
            seed: 0,
        }
    }
}

/// One evaluated prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Number in the run's history, from 0.
    pub id: u64,
    /// Candidate it was mutated from.
    pub parent: Option<u64>,
    /// Iteration that made it.
    pub iteration: usize,
    /// Text exactly as it is to be pasted; scores are those of this text.
    pub text: String,
    /// Token ids of the text in its place.
    pub ids: Vec<u32>,
    /// Effect in the objective's unit; larger is better.
    pub target: f64,
    /// Cross-entropy in place, nats per token.
    pub xent: f64,
}

/// A member of the front.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrontPoint {
    /// The candidate.
    pub candidate: Candidate,
    /// Range of λ for which it is the best of the history; absent off the convex hull.
    pub lambda_range: Option<(f64, f64)>,
    /// Behaviour on selection items, once measured.
    pub select: Option<Behaviour>,
}

/// State of a run between iterations, batched for the window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DiscoveryProgress {
    /// Finished iterations.
    pub iteration: usize,
    /// Iterations asked for.
    pub iterations: usize,
    /// Candidates evaluated so far.
    pub evaluations: u64,
    /// Candidates since the last report (thinned to what a plot can show).
    pub new_points: Vec<Candidate>,
    /// The front over the whole history, by rising cross-entropy.
    pub front: Vec<FrontPoint>,
    /// The present members, one for each λ slot.
    pub population: Vec<Candidate>,
    /// Hypervolume of the front.
    pub hypervolume: f64,
    /// Best target so far.
    pub best_target: f64,
}

/// A finished (or stopped) run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// Name of the run's folder.
    pub id: String,
    /// All settings, resolved.
    pub settings: DiscoverySettings,
    /// The front by rising cross-entropy.
    pub front: Vec<FrontPoint>,
    /// Candidates evaluated.
    pub evaluations: u64,
    /// Whether the user stopped it before the end.
    pub stopped: bool,
    /// The point chosen on selection items, judged on held-out items, with the baselines beside it.
    pub conditions: Vec<Condition>,
}
