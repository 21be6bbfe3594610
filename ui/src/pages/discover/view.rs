//! A run as the window holds it: live, ended, or opened from the workspace.

use tiller_protocol::discovery::{
    Candidate, DiscoveryProgress, DiscoverySettings, FrontPoint, Heading, Objective, RunResult,
};
use tiller_protocol::evaluation::{Condition, ConditionKind};

use super::points::{Course, PointStore};
use crate::number::percent;

/// Which table is under the plot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tab {
    /// The front.
    #[default]
    Front,
    /// The present members.
    Population,
    /// Held-out behaviour.
    Results,
}

/// A baseline measured before the search.
#[derive(Clone, Debug)]
pub(crate) struct Baseline {
    /// The condition with its behaviour on selection items.
    pub(crate) condition: Condition,
    /// Cross-entropy and effect, for prompts.
    pub(crate) position: Option<(f64, f64)>,
}

/// A run in sight.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "four unrelated facts of one view, each with a name")]
pub(crate) struct RunView {
    /// Its settings.
    pub(crate) settings: DiscoverySettings,
    /// Names of the poles: the one the persona shows, the other.
    pub(crate) poles: (String, String),
    /// The persona's name for people.
    pub(crate) persona: String,
    /// Whether the persona's manual prompts pull the same way as this run: they are written against a trait and for
    /// a style.
    pub(crate) manual_pulls_along: bool,
    /// What was tried.
    pub(crate) points: PointStore,
    /// Finished iterations, evaluations.
    pub(crate) iteration: usize,
    /// Candidates evaluated.
    pub(crate) evaluations: u64,
    /// The front, by rising cross-entropy.
    pub(crate) front: Vec<FrontPoint>,
    /// The present members.
    pub(crate) population: Vec<Candidate>,
    /// Course of the front's hypervolume.
    pub(crate) hypervolume: Course,
    /// Reference points.
    pub(crate) baselines: Vec<Baseline>,
    /// The whole result, once it is there.
    pub(crate) result: Option<RunResult>,
    /// The prompt in the card beside the plot.
    pub(crate) selected: Option<Candidate>,
    /// Table under the plot.
    pub(crate) tab: Tab,
    /// The view is chosen by the front and the baselines alone.
    pub(crate) fit_front: bool,
    /// The results list each manual prompt instead of their mean.
    pub(crate) each_manual: bool,
    /// The run ended without a result.
    pub(crate) interrupted: bool,
}

impl RunView {
    /// A run that is about to begin.
    pub(crate) fn new(settings: DiscoverySettings, persona: String, poles: (String, String)) -> Self {
        Self { settings, poles, persona, ..Self::default() }
    }

    /// Takes in a batch.
    pub(crate) fn progress(&mut self, progress: DiscoveryProgress) {
        self.iteration = progress.iteration;
        self.evaluations = progress.evaluations;
        self.front = progress.front;
        self.population = progress.population;
        self.hypervolume.push(progress.hypervolume);
        self.points.extend(progress.new_points);
    }

    /// Takes in the whole result.
    pub(crate) fn finish(&mut self, run: RunResult) {
        self.settings = run.settings.clone();
        self.evaluations = run.evaluations;
        self.front = run.front.clone();
        if self.selected.is_none() {
            self.selected = chosen(&run).or_else(|| run.front.first().map(|point| point.candidate.clone()));
        }
        if run.conditions.iter().any(|condition| condition.report.is_some()) {
            self.tab = Tab::Results;
        }
        self.result = Some(run);
    }

    /// The front's entry of a candidate.
    pub(crate) fn on_front(&self, id: u64) -> Option<&FrontPoint> {
        self.front.iter().find(|point| point.candidate.id == id)
    }

    /// What no prompt and the manual prompts do on the same selection questions, in words.
    pub(crate) fn reference_rates(&self) -> Option<String> {
        let of = |condition: &Condition| condition.select.as_ref().map(|behaviour| behaviour.persona.rate);
        let conditions = || self.baselines.iter().map(|baseline| &baseline.condition);
        let plain = conditions().find(|condition| condition.kind == ConditionKind::NoPrompt).and_then(of)?;
        let manual: Vec<f64> =
            conditions().filter(|condition| condition.kind == ConditionKind::Manual).filter_map(of).collect();
        let plain = format!("Without a prompt {}", percent(plain));
        if manual.is_empty() {
            return Some(plain);
        }
        let mean = manual.iter().sum::<f64>() / manual.len() as f64;
        Some(format!("{plain}; {} manual prompts {} on average", manual.len(), percent(mean)))
    }

    /// What a rising effect means, in words: `less sycophantic`.
    pub(crate) fn effect_words(&self) -> String {
        let (positive, _) = &self.poles;
        match self.settings.heading {
            Heading::Away => format!("less {positive}"),
            Heading::Toward => format!("more {positive}"),
        }
    }

    /// What the effect counts.
    pub(crate) fn effect_meaning(&self) -> &'static str {
        match self.settings.objective {
            Objective::ProjectionSigma => {
                "Shift of the projection on the direction, in standard deviations over neutral prompts. It is measured \
                 inside the model; the persona rate says what the model does."
            }
            Objective::CosineDifference => "Shift of the cosine with the direction.",
            Objective::RawDot => "Dot product with the raw vector, as published; long residuals score high.",
        }
    }

    /// Unit of the effect, in short; σ is the spread of the projection over neutral prompts.
    pub(crate) fn effect_unit(&self) -> &'static str {
        match self.settings.objective {
            Objective::ProjectionSigma => "\u{03c3}",
            Objective::CosineDifference => "cosine",
            Objective::RawDot => "raw",
        }
    }
}

/// From this cross-entropy on, nats per token, a prompt does not read as language.
pub(crate) const GARBLED: f64 = 5.0;

/// How readable a prompt of this cross-entropy is.
pub(crate) fn fluency_words(xent: f64) -> &'static str {
    if xent < 3.0 {
        "fluent"
    } else if xent < GARBLED {
        "rough"
    } else {
        "garbled"
    }
}

/// The front's prompt that the run judged on held-out questions.
fn chosen(run: &RunResult) -> Option<Candidate> {
    let is_found = |condition: &&Condition| {
        condition.prompt.is_some() && !matches!(condition.kind, ConditionKind::NoPrompt | ConditionKind::Manual)
    };
    let text = run.conditions.iter().find(is_found)?.prompt.as_ref()?;
    run.front.iter().map(|point| &point.candidate).find(|candidate| candidate.text == *text).cloned()
}
