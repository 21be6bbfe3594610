//! Steering by vectors over five strengths.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use tiller_discover::evaluate::Treatment;
use tiller_discover::stats;
use tiller_engine::generate::{Reply, generate};
use tiller_engine::{Edit, Request, TokenTree};
use tiller_protocol::chat::{Role, Sampling, Turn};
use tiller_protocol::discovery::{DiscoverySettings, Method};
use tiller_protocol::persona::{Item, Placement};
use tiller_protocol::problem::Problem;

use super::Order;
use super::plan::Plan;
use super::results::{Curve, Dose, How, SteeringStudy};
use crate::jobs::Sink;
use crate::jobs::material::{Material, Shelf};
use crate::jobs::measure;
use crate::models::Loaded;
use crate::problem;

/// How often a disposition's raw vector is added.
const TRAIT_TIMES: [f64; 5] = [-2.0, -1.0, 0.0, 1.0, 2.0];
/// How often a style's raw vector is added: it has one pole only.
const STYLE_TIMES: [f64; 5] = [0.0, 0.25, 0.5, 0.75, 1.0];
/// Dispositions that are measured: by letters, by sampled replies.
const TRAITS: [(&str, How); 3] =
    [("sycophancy", How::Letters), ("sycophancy", How::Replies), ("hallucination", How::Replies)];
/// Tokens of the speed measurement and how often it is repeated.
const SPEED_TOKENS: usize = 200;
const SPEED_REPEATS: usize = 5;

/// Measures all curves.
///
/// # Errors
/// A persona that cannot be loaded, a failure of the model, or a stop.
pub(super) fn run(order: &Order<'_>, plan: &Plan, sink: &mut dyn Sink) -> Result<SteeringStudy, Problem> {
    let mut curves = Vec::new();
    for (persona, how) in TRAITS {
        curves.push(curve(order, plan, persona, (how, TRAIT_TIMES), sink)?);
    }
    for persona in &plan.styles {
        curves.push(curve(order, plan, persona, (How::Replies, STYLE_TIMES), sink)?);
    }
    Ok(SteeringStudy { curves, zero_is_identical: zero_is_identical(order)? })
}

fn curve(
    order: &Order<'_>,
    plan: &Plan,
    persona: &str,
    (how, strengths): (How, [f64; 5]),
    sink: &mut dyn Sink,
) -> Result<Curve, Problem> {
    let shelf = Shelf { library: order.library, neutral: order.neutral, workspace: None, max_select: None };
    // Here the raw vector is measured, as the slider adds it.
    let mut settings =
        DiscoverySettings { project_out: Vec::new(), ..plan.settings(persona, Method::Resga, order.seed) };
    sink.part(&format!("Steering: {persona}"));
    let material = Material::prepare(order.loaded, &shelf, &mut settings, sink)?;
    let mut points = Vec::new();
    for (i, times) in strengths.into_iter().enumerate() {
        sink.step(i, strengths.len(), "strengths");
        points.push(dose(&material, how, times, plan.n_dose, sink)?);
    }
    let is_monotone = points.windows(2).all(|pair| pair[0].rate.rate <= pair[1].rate.rate);
    let at_zero = points.iter().find(|dose| dose.times == 0.0).and_then(|dose| dose.perplexity);
    let largest = points.iter().filter_map(|dose| dose.perplexity).fold(f64::NEG_INFINITY, f64::max);
    let name = &material.persona.card.name;
    Ok(Curve {
        name: match how {
            How::Letters => format!("{name}, A/B questions"),
            How::Replies => format!("{name}, sampled replies"),
        },
        persona: persona.to_owned(),
        how,
        points,
        is_monotone,
        perplexity_ratio: at_zero.map(|at_zero| largest / at_zero),
    })
}

fn dose(
    material: &Material<'_>,
    how: How,
    times: f64,
    n_questions: usize,
    sink: &mut dyn Sink,
) -> Result<Dose, Problem> {
    let (persona, loaded) = (&material.persona, material.loaded);
    let direction = &material.vector.directions[material.block];
    let edits: Vec<Edit> = if times == 0.0 {
        Vec::new()
    } else {
        vec![material.edit(direction, times, persona.card.recommended_positions)?]
    };
    let treatment = Treatment { prompt: None, placement: Placement::System, edits: &edits };
    let strength = times * material.vector.unit_strength(material.block);
    let base = Dose {
        times,
        strength,
        rate: stats::wilson(0, 0),
        n_decided: 0,
        perplexity: None,
        perplexity_told: None,
        sample: None,
    };
    if how == How::Letters {
        let items: Vec<Item> = persona
            .report
            .iter()
            .filter(|item| matches!(item, Item::Ab { .. }))
            .take(2 * n_questions)
            .cloned()
            .collect();
        let found = material.behaviour(&items, &treatment, sink)?.persona;
        return Ok(Dose { rate: found, n_decided: found.n, ..base });
    }
    let users: Vec<&str> = persona
        .report
        .iter()
        .filter(|item| !matches!(item, Item::Ab { .. }))
        .map(Item::user)
        .take(n_questions)
        .collect();
    let sampled = measure::sample(loaded, persona, &users, &treatment, sink)?;
    let decided: Vec<bool> = sampled.verdicts.iter().filter_map(|verdict| *verdict).collect();
    let told = persona
        .card
        .manual_prompts
        .first()
        .filter(|_| persona.card.kind == tiller_protocol::persona::PersonaKind::Style);
    let told = told.map(|prompt| measure::xent_under(loaded, &sampled, Some(prompt))).transpose()?;
    Ok(Dose {
        rate: stats::wilson(decided.iter().filter(|shows| **shows).count(), decided.len()),
        n_decided: decided.len(),
        perplexity: Some(measure::xent_under(loaded, &sampled, None)?.exp()),
        perplexity_told: told.map(f64::exp),
        sample: sampled.replies.into_iter().next(),
        ..base
    })
}

/// Whether a row of strength 0 gives exactly the logits of no steering, for every position of a prompt.
fn zero_is_identical(order: &Order<'_>) -> Result<bool, Problem> {
    let loaded = order.loaded;
    let question = order.neutral.first().cloned().unwrap_or_default();
    let ids = loaded.prompt(&[Turn { role: Role::User, content: question }])?;
    let logits = |edits: &[Edit]| -> tiller_engine::Result<Vec<u32>> {
        let tree = TokenTree::sequence(&ids);
        let out = loaded.model.forward(&Request { edits, ..Request::new(&tree) })?;
        let logits: Vec<f32> = loaded.model.logits(&out.last)?.flatten_all()?.to_vec1()?;
        Ok(logits.into_iter().map(f32::to_bits).collect())
    };
    let row = tiller_protocol::steering::SteeringRow {
        source: tiller_protocol::steering::RowSource::Vector(tiller_protocol::steering::VectorId(String::new())),
        label: String::new(),
        block: 0,
        strength: 0.0,
        positions: tiller_protocol::steering::Positions::All,
        enabled: true,
    };
    let rows = [row];
    // What the panel does with such a row: it makes no edit.
    let n_edits = rows.iter().filter(|row| crate::steering::acts(row)).count();
    let zero = tiller_engine::Tensor::zeros(loaded.info.d_model, tiller_engine::DType::F32, loaded.device());
    let zero = zero.map_err(|error| problem::engine(&error.into()))?;
    let edit = Edit::add(0, zero, tiller_protocol::steering::Positions::All);
    let compare = || -> tiller_engine::Result<bool> { Ok(logits(&[])? == logits(std::slice::from_ref(&edit))?) };
    Ok(n_edits == 0 && compare().map_err(|error| problem::engine(&error))?)
}

/// Generation speed: the median of several greedy replies of fixed length.
///
/// # Errors
/// A failure of the model.
pub(super) fn tokens_per_sec(loaded: &Loaded) -> Result<f64, Problem> {
    let prompt = loaded.prompt(&[Turn { role: Role::User, content: "Tell me about the fox.".to_owned() }])?;
    let none: Arc<Vec<Edit>> = Arc::default();
    let edits = || Arc::clone(&none);
    let sampling = Sampling { temperature: 1.0, top_p: 1.0, max_tokens: SPEED_TOKENS, ..Sampling::default() };
    let mut speeds = Vec::new();
    for _ in 0..SPEED_REPEATS {
        let began = Instant::now();
        let replies: Vec<Reply<'_>> = (0..1).map(|_| Reply { prompt: prompt.clone(), edits: &edits }).collect();
        let written = generate(&loaded.model, &replies, &sampling, &mut |_, _| ControlFlow::Continue(()))
            .map_err(|error| problem::engine(&error))?;
        let n: usize = written.iter().map(|reply| reply.ids.len()).sum();
        speeds.push(n as f64 / began.elapsed().as_secs_f64());
    }
    Ok(tiller_engine::direction::median(&speeds))
}
