//! Labels that the loaded model writes from what features fire on, with a score of how well each tells where its feature
//! fires (sae.md §B.4, §B.5).
//!
//! The model is shown some windows with the active tokens marked, and asked for a few words. What it writes is then put
//! to the test on windows that it was not shown: for each it is asked whether the label describes something in it. A
//! model that does not answer in the form asked for gets a rule in its place, which names the tokens that the feature
//! fires on most; it has a score by the same windows.

mod ask;
mod rule;
mod windows;

use tiller_engine::sae::Rows;
use tiller_index::Index;
use tiller_index::label::NewLabel;
use tiller_protocol::feature::{FeatureLabel, LabelSource, SaeId};
use tiller_protocol::problem::Problem;

use super::Coder;
use crate::features::ModelLens;
use crate::jobs::{Report, Sink};
use crate::models::Loaded;
use crate::{memory, problem};

use windows::{Material, Passage};

/// How labels are made that the model writes.
pub(crate) const METHOD: &str = "max-act-windows";
/// How labels are made that name tokens.
pub(crate) const RULE: &str = "rule";
/// Promoted tokens that the model is shown.
const PROMOTED: usize = 8;

/// What is labelled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    /// The SAE's name, for reports.
    pub(crate) sae: &'a SaeId,
    /// Which features. Of several, those that this model has labelled before are passed over.
    pub(crate) latents: &'a [u32],
    /// The model's logit lens, where it says something about this SAE.
    pub(crate) lens: Option<&'a ModelLens>,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Labelled {
    /// Labels that were written, with their features.
    pub(crate) labels: Vec<(u32, NewLabel)>,
    /// Features that have too few examples to label from.
    pub(crate) without_examples: Vec<u32>,
    /// Features that this model had labelled before.
    pub(crate) known: usize,
    /// It was stopped; what is written is kept.
    pub(crate) is_stopped: bool,
}

impl Labelled {
    /// Labels that are a rule, because the model did not answer in the form asked for.
    pub(crate) fn by_rule(&self) -> usize {
        self.labels.iter().filter(|(_, label)| label.method.as_deref() == Some(RULE)).count()
    }

    /// One line for people, where there is more to say than how many labels were written.
    pub(crate) fn note(&self) -> Option<String> {
        let mut parts = Vec::new();
        if self.by_rule() > 0 {
            let (n, of) = (self.by_rule(), self.labels.len());
            parts.push(format!("{n} of {of} labels are by rule: the model did not answer in a few words."));
        }
        if !self.without_examples.is_empty() {
            let n = self.without_examples.len();
            parts.push(format!("{n} features have too few examples; scan more texts."));
        }
        (!parts.is_empty()).then(|| parts.join(" "))
    }
}

/// Writes a label for each feature, one after the other, and keeps it in the index at once.
///
/// # Errors
/// No feature with two examples, an SAE that does not fit, a failure of the model or of the index.
pub(crate) fn label(
    loaded: &Loaded,
    coder: &Coder,
    index: &Index,
    ask: &Ask<'_>,
    sink: &mut dyn Sink,
) -> Result<Labelled, Problem> {
    coder.check(loaded)?;
    memory::check_reading(loaded)?;
    let told = |error| problem::index(&coder.name, &error);
    let mut result = Labelled::default();
    for (done, &latent) in ask.latents.iter().enumerate() {
        sink.step(done, ask.latents.len(), "features");
        let labels = index.labels(latent).map_err(told)?;
        let mine: Vec<&FeatureLabel> = labels.iter().filter(|label| is_mine(label, loaded)).collect();
        if ask.latents.len() > 1 && !mine.is_empty() {
            result.known += 1;
            continue;
        }
        let Some(material) = Material::gather(loaded, coder, index, latent)? else {
            result.without_examples.push(latent);
            continue;
        };
        let written = match one(loaded, coder, (&material, latent), ask.lens, sink) {
            Err(_) if sink.is_stopped() => break,
            written => written?,
        };
        // The newer one takes the place of the older.
        let outdated = mine.iter().filter(|label| label.text != written.text);
        for label in outdated {
            index.remove_label(label.id).map_err(told)?;
        }
        let new = (latent, written);
        index.add_labels(std::slice::from_ref(&new)).map_err(told)?;
        result.labels.push(new);
        sink.report(Report::FeaturesChanged(ask.sae.clone()));
    }
    result.is_stopped = sink.is_stopped();
    if result.labels.is_empty() && result.known == 0 && !result.is_stopped {
        return Err(problem::no_examples(&coder.name));
    }
    sink.step(ask.latents.len(), ask.latents.len(), "features");
    Ok(result)
}

/// A label that this job has written before with this model, or by rule.
fn is_mine(label: &FeatureLabel, loaded: &Loaded) -> bool {
    let by = (label.method.as_deref(), label.model.as_deref());
    label.source == LabelSource::Model && (by == (Some(METHOD), Some(&loaded.info.name)) || by == (Some(RULE), None))
}

fn one(
    loaded: &Loaded,
    coder: &Coder,
    (material, latent): (&Material, u32),
    lens: Option<&ModelLens>,
    sink: &mut dyn Sink,
) -> Result<NewLabel, Problem> {
    let promoted = promoted(coder, latent, lens)?;
    let silent = material.silent(loaded, coder, latent, sink)?;
    let test = Test { active: &material.held_out, silent: &silent };
    let new = |text: String, method: &str, model: Option<&str>, score: Option<f64>| NewLabel {
        text,
        source: LabelSource::Model,
        method: Some(method.to_owned()),
        model: model.map(str::to_owned),
        score: score.map(|score| score as f32),
    };
    if let Some(text) = ask::label(loaded, &material.shown, &promoted, sink)? {
        let score = test.score(&|passages| ask::describes(loaded, &text, passages, sink))?;
        return Ok(new(text, METHOD, Some(&loaded.info.name), score));
    }
    let rule = rule::of(&material.shown);
    let score = test.score(&|passages| Ok(passages.iter().map(|passage| rule.holds(passage)).collect()))?;
    Ok(new(rule.text(), RULE, None, score))
}

/// The tokens that the feature promotes most.
fn promoted(coder: &Coder, latent: u32, lens: Option<&ModelLens>) -> Result<Vec<String>, Problem> {
    let Some(lens) = lens else { return Ok(Vec::new()) };
    let row = coder.file.row(Rows::Decoder, latent as usize);
    let row = row.map_err(|error| problem::converted_sae(&coder.name, &error))?;
    let (promoted, _) = lens.lens.top(&row, PROMOTED).map_err(|error| problem::engine(&error))?;
    Ok(promoted.into_iter().filter_map(|(id, _)| lens.tokenizer.token_text(id)).collect())
}

/// Says of passages whether a feature fires on them.
type Judge<'a> = dyn Fn(&[Passage]) -> Result<Vec<bool>, Problem> + 'a;

/// Passages that nobody was shown.
struct Test<'a> {
    /// The feature fires on these.
    active: &'a [Passage],
    /// And not on these.
    silent: &'a [Passage],
}

impl Test<'_> {
    /// Balanced accuracy of a judge that says of passages whether the feature fires on them: the mean of the shares of
    /// right answers on either side. None with fewer than two passages on a side.
    fn score(&self, judge: &Judge<'_>) -> Result<Option<f64>, Problem> {
        if self.active.len() < 2 || self.silent.len() < 2 {
            return Ok(None);
        }
        let share = |passages: &[Passage], wanted: bool| -> Result<f64, Problem> {
            let judged = judge(passages)?;
            let n_right = judged.iter().filter(|judged| **judged == wanted).count();
            Ok(n_right as f64 / judged.len().max(1) as f64)
        };
        Ok(Some(f64::midpoint(share(self.active, true)?, share(self.silent, false)?)))
    }
}

#[cfg(test)]
mod tests;
