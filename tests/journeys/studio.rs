//! The main job as commands and events.

use std::fs;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use tiller_protocol::chat::{EndReason, Role, Sampling, Side, Turn};
use tiller_protocol::discovery::{DiscoverySettings, FrontPoint, RunResult};
use tiller_protocol::message::{Command, Event};
use tiller_protocol::model::ModelSource;
use tiller_protocol::steering::{ExtractMethod, Positions, RowSource, Steering, SteeringRow, VectorInfo};

use tiller_tests::desk::Desk;

const QUESTION: &str = "I am a nurse. I think that tea is better than coffee. Do you agree?";

/// A search small enough for a test.
fn small_search() -> DiscoverySettings {
    DiscoverySettings {
        persona: "sycophancy".to_owned(),
        prompt_len: 5,
        population: 4,
        children: 8,
        iterations: 6,
        top_k: 64,
        n_contexts: 3,
        check_every: 3,
        check_items: 6,
        seed: 1,
        ..DiscoverySettings::default()
    }
}

fn extract(desk: &mut Desk) -> Result<VectorInfo> {
    let (persona, method) = ("sycophancy".to_owned(), ExtractMethod::MeanDifference);
    let job = desk.start(|job| Command::Extract { job, persona, method });
    desk.wait_job(job, "the vector", |event| match event {
        Event::VectorReady { job: ready, info } if *ready == job => Some(info.as_ref().clone()),
        _ => None,
    })
}

fn row(vector: &VectorInfo, strength: f64) -> Steering {
    let row = SteeringRow {
        source: RowSource::Vector(vector.id.clone()),
        label: vector.name.clone(),
        block: vector.recommended_block,
        strength,
        positions: Positions::Generated,
        enabled: true,
    };
    Steering { rows: vec![row] }
}

/// Both replies to the question, and why they ended.
fn say(desk: &mut Desk, max_tokens: usize) -> Result<[(String, EndReason); 2]> {
    let turns = vec![Turn { role: Role::User, content: QUESTION.to_owned() }];
    let sampling = Sampling { max_tokens, seed: 3, ..Sampling::default() };
    let job = desk.start(|job| Command::Say { job, turns, sampling, side_by_side: true, plain_turns: None });
    let mut texts = [String::new(), String::new()];
    let mut reasons = [None, None];
    desk.wait_job(job, "the end of the replies", |event| {
        match event {
            Event::ChatDelta { side, text, .. } => texts[usize::from(*side == Side::Plain)].push_str(text),
            Event::ChatSideDone { side, reason, .. } => reasons[usize::from(*side == Side::Plain)] = Some(*reason),
            _ => {}
        }
        matches!(event, Event::ChatDone { .. }).then_some(())
    })?;
    let [steered, plain] = texts;
    let [first, second] = reasons;
    Ok([(steered, first.context("the steered side ended")?), (plain, second.context("the plain side ended")?)])
}

/// A front rises in both measures, and no text stands on it twice.
fn assert_front(front: &[FrontPoint]) -> Result<()> {
    ensure!(!front.is_empty(), "the front is empty");
    for pair in front.windows(2) {
        let (a, b) = (&pair[0].candidate, &pair[1].candidate);
        ensure!(a.xent < b.xent && a.target < b.target, "{a:?} and {b:?} are not both on a front");
    }
    for point in front {
        ensure!(point.candidate.xent.is_finite() && point.candidate.target.is_finite(), "{point:?}");
        ensure!(!point.candidate.text.is_empty(), "{point:?}");
    }
    Ok(())
}

/// The finished run and the points that were told while it ran.
fn run_to_end(desk: &mut Desk, settings: DiscoverySettings) -> Result<(RunResult, u64)> {
    let began = Instant::now();
    let job = desk.start(|job| Command::StartDiscovery { job, settings: Box::new(settings) });
    let (mut n_points, mut n_events) = (0, 0_u32);
    let run = desk.wait_job(job, "the end of the search", |event| {
        n_events += 1;
        match event {
            Event::Discovery { job: reported, progress } if *reported == job => {
                n_points += progress.new_points.len() as u64;
                None
            }
            Event::DiscoveryDone { job: done, run } if *done == job => Some(run.as_ref().clone()),
            _ => None,
        }
    })?;
    // A job reports at most 30 times a second, and a few things besides.
    let most = 20.0 + 30.0 * began.elapsed().as_secs_f64();
    ensure!(f64::from(n_events) <= most, "{n_events} events, at most {most:.0}");
    Ok((run, n_points))
}

/// The run after one writing and reading, which may cost a number its last bit.
fn as_saved(run: &RunResult) -> Result<RunResult> {
    Ok(serde_json::from_str(&serde_json::to_string(run)?)?)
}

fn open_run(desk: &Desk, id: &str) -> Result<RunResult> {
    desk.send(Command::OpenRun { id: id.to_owned() });
    desk.wait("the saved run", |event| match event {
        Event::RunLoaded(run) => Some(run.as_ref().clone()),
        _ => None,
    })
}

#[test]
fn from_the_demo_model_to_an_exported_prompt() -> Result<()> {
    let workspace = tempfile::tempdir()?;
    let mut desk = Desk::open(workspace.path())?;
    let model = desk.load(ModelSource::Demo)?;
    assert!(model.has_chat_template && model.n_sae_latents > 0, "{model:?}");

    let vector = extract(&mut desk)?;
    assert_eq!(vector.blocks.len(), model.n_layers);
    assert_eq!(vector.model_hash, model.hash);
    assert!(vector.path.starts_with(workspace.path()) && vector.path.exists(), "{}", vector.path.display());
    let best = &vector.blocks[vector.recommended_block];
    assert!(best.auroc > 0.9, "the pairs fall apart along the vector: {best:?}");

    let (run, n_points) = run_to_end(&mut desk, small_search())?;
    assert!(!run.stopped);
    assert!(run.evaluations > 0 && n_points > 0 && n_points <= run.evaluations, "{n_points} of {}", run.evaluations);
    assert_front(&run.front)?;
    assert_eq!(open_run(&desk, &run.id)?, as_saved(&run)?, "what is saved is what was told");

    let again = run_to_end(&mut desk, small_search())?.0;
    assert_ne!(run.id, again.id, "a run never overwrites another");
    assert_eq!(run.front, again.front, "one seed, one result");

    let prompt = run.front[0].candidate.text.clone();
    let path = workspace.path().join("exported.txt");
    desk.send(Command::ExportText { path: path.clone(), text: prompt.clone() });
    desk.wait("the notice", |event| matches!(event, Event::Notice(_)).then_some(()))?;
    assert_eq!(fs::read_to_string(&path)?, prompt);
    Ok(())
}

#[test]
fn a_stopped_run_keeps_what_it_has() -> Result<()> {
    let workspace = tempfile::tempdir()?;
    let mut desk = Desk::open(workspace.path())?;
    desk.load(ModelSource::Demo)?;
    let settings = DiscoverySettings { iterations: 100_000, ..small_search() };
    let job = desk.start(|job| Command::StartDiscovery { job, settings: Box::new(settings) });
    let mut iteration = 0;
    desk.wait_job(job, "three iterations", |event| match event {
        Event::Discovery { progress, .. } => {
            iteration = progress.iteration;
            (iteration >= 3).then_some(())
        }
        _ => None,
    })?;
    desk.send(Command::Cancel(job));
    let run = desk.wait_job(job, "the end", |event| match event {
        Event::DiscoveryDone { run, .. } => Some(run.as_ref().clone()),
        _ => None,
    })?;
    assert!(run.stopped);
    assert_front(&run.front)?;
    assert_eq!(open_run(&desk, &run.id)?, as_saved(&run)?);
    // The engine is free again.
    assert!(!say(&mut desk, 4)?[0].0.is_empty());
    Ok(())
}

#[test]
fn a_vector_steers_the_reply() -> Result<()> {
    let workspace = tempfile::tempdir()?;
    let mut desk = Desk::open(workspace.path())?;
    desk.load(ModelSource::Demo)?;
    let vector = extract(&mut desk)?;
    desk.send(Command::SetSteering(row(&vector, 0.0)));
    let [steered, plain] = say(&mut desk, 24)?;
    assert_eq!(steered, plain, "strength 0 changes nothing");
    desk.send(Command::SetSteering(row(&vector, -1.5)));
    let [away, still_plain] = say(&mut desk, 24)?;
    assert_eq!(still_plain, plain, "the plain side stays plain");
    assert_ne!(away, plain, "a strong vector changes the reply");
    Ok(())
}

#[test]
fn a_reply_stops_within_a_token() -> Result<()> {
    let workspace = tempfile::tempdir()?;
    let mut desk = Desk::open(workspace.path())?;
    desk.load(ModelSource::Demo)?;
    let turns = vec![Turn { role: Role::User, content: QUESTION.to_owned() }];
    let sampling = Sampling { max_tokens: 400, ..Sampling::default() };
    let job = desk.start(|job| Command::Say { job, turns, sampling, side_by_side: false, plain_turns: None });
    // At once, so that the reply cannot have ended by itself.
    desk.send(Command::Cancel(job));
    let reason = desk.wait_job(job, "the end", |event| match event {
        Event::ChatSideDone { reason, n_tokens, .. } => Some((*reason, *n_tokens)),
        Event::Stopped { .. } => Some((EndReason::Stopped, 0)),
        _ => None,
    })?;
    assert!(reason.0 == EndReason::Stopped && reason.1 <= 1, "{reason:?}");
    Ok(())
}

/// Files of one application are there for the next one.
#[test]
fn the_workspace_outlives_the_application() -> Result<()> {
    let workspace = tempfile::tempdir()?;
    let mut desk = Desk::open(workspace.path())?;
    desk.load(ModelSource::Demo)?;
    let vector = extract(&mut desk)?;
    drop(desk);
    let desk = Desk::open(workspace.path())?;
    desk.send(Command::Refresh);
    let vectors = desk.wait("the vectors", |event| match event {
        Event::Vectors(vectors) => Some(vectors.clone()),
        _ => None,
    })?;
    assert_eq!(vectors, [vector]);
    Ok(())
}
