//! What a discovery works on: the persona, its direction or latents, and the landscape they span.

use std::sync::Arc;

use tiller_discover::evaluate::Treatment;
use tiller_discover::prompt_landscape::PromptLandscape;
use tiller_discover::setup::RunData;
use tiller_discover::{choose, direction, pairs, resga, saega};
use tiller_engine::Edit;
use tiller_engine::sae::Dictionary;
use tiller_protocol::discovery::{DiscoverySettings, Heading, Method, TargetDirection};
use tiller_protocol::evaluation::{Behaviour, Condition, ConditionKind};
use tiller_protocol::persona::{Item, Persona, Placement, PromptText};
use tiller_protocol::problem::Problem;
use tiller_protocol::steering::{ExtractMethod, Positions};

use super::{Sink, extract, measure};
use crate::library::Library;
use crate::models::Loaded;
use crate::problem;
use crate::steering::{Place, open, scaled};
use crate::workspace::{StoredVector, Workspace};

/// Contexts in which another persona is measured before it is projected out.
const CONFOUND_CONTEXTS: usize = 24;
/// Pairs of another persona that are used for that.
const CONFOUND_PAIRS: usize = 64;

/// Where a job finds what it needs.
#[derive(Clone, Copy)]
pub(crate) struct Shelf<'a> {
    /// Personas.
    pub(crate) library: &'a Library,
    /// Neutral user texts.
    pub(crate) neutral: &'a [String],
    /// The vector library, when it is to be used and added to.
    pub(crate) workspace: Option<&'a Workspace>,
    /// Most selection items used; all when absent.
    pub(crate) max_select: Option<usize>,
}

/// Everything a run is made from.
pub(crate) struct Material<'a> {
    /// The model.
    pub(crate) loaded: &'a Loaded,
    /// The persona.
    pub(crate) persona: Persona,
    /// Its vector.
    pub(crate) vector: StoredVector,
    /// Block, 0-based, where the target is read and the vector added.
    pub(crate) block: usize,
    neutral: Vec<PromptText>,
    confounds: Vec<Vec<f32>>,
    /// The opened SAE of the features that the settings name.
    chosen: Option<Dictionary>,
}

impl<'a> Material<'a> {
    /// Loads the persona and finds or extracts its vector. `settings` comes back with block and vector filled in.
    ///
    /// # Errors
    /// A persona, vector or block that cannot be used, or a stop.
    pub(crate) fn prepare(
        loaded: &'a Loaded,
        shelf: &Shelf<'_>,
        settings: &mut DiscoverySettings,
        sink: &mut dyn Sink,
    ) -> Result<Self, Problem> {
        let mut persona = shelf.library.load_any(&settings.persona)?;
        if let Some(max) = shelf.max_select {
            persona.select = spread(&persona.select, max);
        }
        for (n, what) in [
            (persona.contexts.len(), "optimisation contexts"),
            (persona.select.len(), "selection items"),
            (persona.report.len(), "held-out items"),
        ] {
            if n == 0 {
                return Err(problem::empty_persona_part(&persona.card.name, what));
            }
        }
        let neutral = extract::neutral_prompts(shelf.neutral);
        let vector = vector(loaded, shelf, &persona, &neutral, settings, sink)?;
        let chosen = chosen(loaded, shelf, settings)?;
        let block = match (settings.method, &chosen, &loaded.sae) {
            (Method::Resga, ..) => settings.block.unwrap_or(vector.info.recommended_block),
            (Method::Saega, Some(dictionary), _) => dictionary.site().block(),
            (Method::Saega, None, Some(sae)) => sae.site().block(),
            (Method::Saega, None, None) => return Err(problem::no_sae(&loaded.info.name)),
        };
        if block >= vector.directions.len() {
            let reason = format!("block {block} is not one of 0 to {}", vector.directions.len().saturating_sub(1));
            return Err(problem::unfit_vector(&vector.info.name, &reason));
        }
        settings.block = Some(block);
        settings.vector = Some(vector.info.id.clone());
        let mut confounds = Vec::new();
        for id in settings.project_out.iter().filter(|id| **id != persona.card.id) {
            sink.check()?;
            confounds.push(confound(loaded, &shelf.library.load_any(id)?, &persona.contexts, block)?);
        }
        Ok(Self { loaded, persona, vector, block, neutral, confounds, chosen })
    }

    /// The persona's direction at the block with the confounds projected out.
    ///
    /// # Errors
    /// When nothing of it is left.
    pub(crate) fn direction(&self) -> Result<Vec<f32>, Problem> {
        direction::project_out(&self.vector.directions[self.block], &self.confounds)
            .map_err(|error| problem::discover(&error))
    }

    /// What the search climbs.
    ///
    /// # Errors
    /// Settings that leave no token or no direction, or a failure of the model.
    pub(crate) fn landscape(&self, settings: &DiscoverySettings) -> Result<PromptLandscape<'a>, Problem> {
        let (model, card) = (&self.loaded.model, &self.persona.card);
        let (contexts, neutral, banned_words) = (&*self.persona.contexts, &*self.neutral, &*card.banned_words);
        let data = RunData { contexts, neutral, banned_words };
        let landscape = match (settings.method, &self.chosen, &self.loaded.sae) {
            (Method::Resga, ..) => {
                let target = (self.vector.directions[self.block].as_slice(), self.confounds.as_slice());
                resga::landscape(model, &data, settings, self.block, target)
            }
            (Method::Saega, Some(dictionary), _) => {
                let latents = settings.features.iter().map(|chosen| (chosen.feature.latent as usize, chosen.weight));
                saega::chosen(model, &data, settings, dictionary, &latents.collect::<Vec<_>>())
            }
            (Method::Saega, None, Some(sae)) => saega::latents(model, sae, &self.persona.pairs, settings.n_latents)
                .and_then(|latents| {
                    saega::landscape(model, &data, settings, &Dictionary::Memory(Arc::clone(sae)), &latents)
                }),
            (Method::Saega, None, None) => return Err(problem::no_sae(&self.loaded.info.name)),
        };
        landscape.map_err(|error| problem::discover(&error))
    }

    /// The edit that adds the persona's direction `times` over at the last prompt token (or where the persona says).
    ///
    /// # Errors
    /// A direction without length.
    pub(crate) fn edit(&self, direction: &[f32], times: f64, positions: Positions) -> Result<Edit, Problem> {
        let facts = &self.vector.info.blocks[self.block];
        let strength = times * self.vector.unit_strength(self.block);
        let place = Place { block: self.block, positions, resid_norm: facts.resid_norm };
        scaled(&self.vector.info.name, direction, strength, place, (self.loaded.info.d_model, self.loaded.device()))
    }

    /// Behaviour under a treatment.
    ///
    /// # Errors
    /// No items, a failure of the model, or a stop.
    pub(crate) fn behaviour(
        &self,
        items: &[Item],
        treatment: &Treatment<'_>,
        sink: &mut dyn Sink,
    ) -> Result<Behaviour, Problem> {
        measure::behaviour(self.loaded, &self.persona, items, treatment, sink)
    }

    /// Behaviour under a prompt.
    ///
    /// # Errors
    /// As [`Self::behaviour`].
    pub(crate) fn prompted(
        &self,
        items: &[Item],
        (prompt, placement): (Option<&str>, Placement),
        sink: &mut dyn Sink,
    ) -> Result<Behaviour, Problem> {
        self.behaviour(items, &Treatment { prompt, placement, edits: &[] }, sink)
    }
}

/// At most `n` items, spread evenly: sets are ordered by kind, and each kind is to have its share.
pub(crate) fn spread(items: &[Item], n: usize) -> Vec<Item> {
    choose::spread(items.len(), n).into_iter().map(|i| items[i].clone()).collect()
}

/// A condition about which nothing is measured yet.
pub(crate) fn condition(name: impl Into<String>, kind: ConditionKind, prompt: Option<&str>) -> Condition {
    let prompt = prompt.map(str::to_owned);
    Condition { name: name.into(), kind, prompt, xent: None, seed: None, select: None, report: None }
}

/// What sort of condition a run's prompts are.
pub(crate) fn kind(settings: &DiscoverySettings) -> ConditionKind {
    use tiller_protocol::discovery::Proposer;
    match (settings.target, settings.proposer, settings.method) {
        (TargetDirection::Random, ..) => ConditionKind::RandomDirection,
        (_, Proposer::RandomMutation, _) => ConditionKind::RandomMutation,
        (_, _, Method::Resga) => ConditionKind::Resga,
        (_, _, Method::Saega) => ConditionKind::Saega,
    }
}

/// −1 away from the persona, 1 toward it.
pub(crate) fn sign(heading: Heading) -> f64 {
    match heading {
        Heading::Away => -1.0,
        Heading::Toward => 1.0,
    }
}

/// The vector the settings name, the library's own for this persona and model, or a fresh one, which is kept.
fn vector(
    loaded: &Loaded,
    shelf: &Shelf<'_>,
    persona: &Persona,
    neutral: &[PromptText],
    settings: &DiscoverySettings,
    sink: &mut dyn Sink,
) -> Result<StoredVector, Problem> {
    if let (Some(id), Some(workspace)) = (&settings.vector, shelf.workspace) {
        let vector = workspace.vector(id)?;
        if vector.info.model_hash != loaded.info.hash {
            return Err(problem::foreign_vector(&vector.info.name, &vector.info.model_name, &loaded.info.name));
        }
        return Ok(vector);
    }
    let own = extract::vector_id(&persona.card.id, &loaded.info.hash);
    if let Some(vector) = shelf.workspace.and_then(|workspace| workspace.vector(&own).ok()) {
        return Ok(vector);
    }
    let vector = extract::extract(loaded, persona, ExtractMethod::MeanDifference, neutral, sink)?;
    if let Some(workspace) = shelf.workspace {
        workspace.save_vector(&vector)?;
    }
    Ok(vector)
}

/// The opened SAE of the features that a search is to climb, if it is to climb chosen ones.
///
/// # Errors
/// Features of several SAEs or none of its own, weights that say nothing, an SAE that is not open or does not fit.
fn chosen(loaded: &Loaded, shelf: &Shelf<'_>, settings: &DiscoverySettings) -> Result<Option<Dictionary>, Problem> {
    let features = &settings.features;
    let Some(first) = features.first().filter(|_| settings.method == Method::Saega) else { return Ok(None) };
    if features.iter().any(|other| other.feature.sae != first.feature.sae) {
        let cause = "the features to climb are those of several SAEs";
        return Err(problem::bad_input(cause, "Choose features of one SAE."));
    }
    if features.iter().any(|chosen| !chosen.weight.is_finite()) || features.iter().all(|chosen| chosen.weight == 0.0) {
        let cause = "the weights of the features to climb are no numbers, or all 0";
        return Err(problem::bad_input(
            cause,
            "Give a positive weight to what should fire more, a negative one to what should fire less.",
        ));
    }
    let Some(workspace) = shelf.workspace else { return Err(problem::unknown_sae(&first.feature.sae.0)) };
    let (info, dictionary) = open(workspace, &first.feature.sae, &loaded.info, loaded.device())?;
    for chosen in features {
        let latent = chosen.feature.latent;
        if latent as usize >= info.d_sae {
            return Err(problem::no_feature(&info, latent));
        }
        if dictionary.decoder_norm(latent as usize).is_none_or(|norm| norm <= 0.0) {
            return Err(problem::dead_feature(latent));
        }
    }
    Ok(Some(dictionary))
}

/// Another persona's direction, measured in the contexts of the run, where it would disturb.
fn confound(loaded: &Loaded, other: &Persona, contexts: &[String], block: usize) -> Result<Vec<f32>, Problem> {
    let contexts = &contexts[..contexts.len().min(CONFOUND_CONTEXTS)];
    let mut pairs = pairs::confound_pairs(other, contexts);
    pairs.truncate(CONFOUND_PAIRS);
    let mean = |side: Vec<PromptText>| -> Result<Vec<f64>, Problem> {
        let rows = pairs::states(&loaded.model, &side, block).map_err(|error| problem::discover(&error))?;
        let mut mean = vec![0.0; loaded.info.d_model];
        for row in &rows {
            mean.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x) / rows.len() as f64);
        }
        Ok(mean)
    };
    let (with, without): (Vec<_>, Vec<_>) = pairs.into_iter().map(|pair| (pair.positive, pair.negative)).unzip();
    Ok(mean(with)?.iter().zip(mean(without)?).map(|(a, b)| (a - b) as f32).collect())
}
