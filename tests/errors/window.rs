//! The same faults as the window meets them: a failed job is told, and the next one works.

use std::fs;

use anyhow::{Context as _, Result};
use tiller_protocol::chat::{Role, Sampling, Turn};
use tiller_protocol::discovery::DiscoverySettings;
use tiller_protocol::message::{Command, Event, JobId};
use tiller_protocol::model::{LoadOptions, ModelSource};
use tiller_protocol::persona::Placement;
use tiller_protocol::settings::AppSettings;
use tiller_protocol::steering::{ExtractMethod, Positions, RowSource, Steering, SteeringRow, VectorId};

use super::assert_told;
use super::checkpoints::{copy, faults, fixture};
use tiller_tests::desk::{Desk, ends};

fn tiny() -> ModelSource {
    ModelSource::Folder(fixture("llama3-v4"))
}

fn say(job: JobId, content: &str) -> Command {
    Command::Say {
        job,
        turns: vec![Turn { role: Role::User, content: content.to_owned() }],
        sampling: Sampling { max_tokens: 4, ..Sampling::default() },
        side_by_side: false,
        plain_turns: None,
    }
}

/// The application still answers.
pub(crate) fn assert_alive(desk: &mut Desk) -> Result<()> {
    desk.load(tiny()).context("a sound model after a failure")?;
    let job = desk.start(|job| say(job, "Which way?"));
    desk.wait_job(job, "a reply", |event| ends(event, job).then_some(()))
}

#[test]
fn a_broken_model_leaves_the_application_alive() -> Result<()> {
    let workspace = tempfile::tempdir()?;
    let mut desk = Desk::open(workspace.path())?;
    for fault in faults() {
        let folder = tempfile::tempdir()?;
        copy(fault.checkpoint, folder.path())?;
        (fault.plant)(folder.path())?;
        let source = ModelSource::Folder(folder.path().to_path_buf());
        let job = desk.start(|job| Command::LoadModel { job, source, options: LoadOptions::default() });
        let problem = desk.wait_failure(job).with_context(|| fault.name.to_owned())?;
        assert_told(&problem, fault.facts).with_context(|| fault.name.to_owned())?;
    }
    assert_alive(&mut desk)
}

#[test]
fn jobs_without_a_model_are_told() -> Result<()> {
    let workspace = tempfile::tempdir()?;
    let mut desk = Desk::open(workspace.path())?;
    let persona = || "sycophancy".to_owned();
    let settings = || Box::new(DiscoverySettings { persona: persona(), ..DiscoverySettings::default() });
    let jobs: [fn(JobId) -> Command; 2] = [
        |job| say(job, "Which way?"),
        |job| Command::Extract { job, persona: "sycophancy".to_owned(), method: ExtractMethod::MeanDifference },
    ];
    for command in jobs {
        let job = desk.start(command);
        assert_told(&desk.wait_failure(job)?, &["model"])?;
    }
    let job = desk.start(|job| Command::StartDiscovery { job, settings: settings() });
    assert_told(&desk.wait_failure(job)?, &["model"])?;
    let (placement, prompts) = (Placement::System, Vec::new());
    let job = desk.start(|job| Command::Evaluate { job, persona: persona(), placement, prompts, steering: None });
    assert_told(&desk.wait_failure(job)?, &["model"])?;
    assert_alive(&mut desk)
}

#[test]
fn a_long_prompt_is_told_and_a_short_one_answered() -> Result<()> {
    let workspace = tempfile::tempdir()?;
    let mut desk = Desk::open(workspace.path())?;
    desk.load(tiny())?;
    let long = "a boat and a harbour ".repeat(200);
    let job = desk.start(|job| say(job, &long));
    assert_told(&desk.wait_failure(job)?, &["256"])?;
    for content in ["", "  \n "] {
        let job = desk.start(|job| say(job, content));
        assert_told(&desk.wait_failure(job)?, &[])?;
    }
    assert_alive(&mut desk)
}

#[test]
fn a_second_job_is_refused_with_the_name_of_the_first() -> Result<()> {
    let workspace = tempfile::tempdir()?;
    let mut desk = Desk::open(workspace.path())?;
    desk.load(ModelSource::Demo)?;
    let settings =
        DiscoverySettings { persona: "sycophancy".to_owned(), iterations: 100_000, ..DiscoverySettings::default() };
    let first = desk.start(|job| Command::StartDiscovery { job, settings: Box::new(settings) });
    desk.wait_job(first, "points", |event| {
        matches!(event, Event::Discovery { job, .. } if *job == first).then_some(())
    })?;
    let second = desk.start(|job| say(job, "Which way?"));
    assert_told(&desk.wait_failure(second)?, &["sycophancy"])?;
    desk.send(Command::Cancel(first));
    desk.wait_job(first, "the end of the search", |event| ends(event, first).then_some(()))?;
    assert_alive(&mut desk)
}

/// A row whose vector is gone must not cost the reply.
#[test]
fn a_missing_vector_is_told() -> Result<()> {
    let workspace = tempfile::tempdir()?;
    let mut desk = Desk::open(workspace.path())?;
    desk.load(tiny())?;
    let row = SteeringRow {
        source: RowSource::Vector(VectorId("gone-0000".to_owned())),
        label: "Gone".to_owned(),
        block: 1,
        strength: 0.5,
        positions: Positions::Generated,
        enabled: true,
    };
    desk.send(Command::SetSteering(Steering { rows: vec![row] }));
    let reply = desk.start(|job| say(job, "Which way?"));
    let problem = desk.wait("a problem", |event| match event {
        Event::Failed { problem, .. } => Some(problem.clone()),
        _ => None,
    })?;
    assert_told(&problem, &["gone"])?;
    desk.wait_job(reply, "the end of the reply", |event| ends(event, reply).then_some(()))?;
    desk.send(Command::SetSteering(Steering::default()));
    assert_alive(&mut desk)
}

#[test]
fn files_that_cannot_be_written_or_found_are_told() -> Result<()> {
    let workspace = tempfile::tempdir()?;
    let mut desk = Desk::open(workspace.path())?;
    let nowhere = workspace.path().join("settings.toml/inside");
    desk.send(Command::SaveSettings(AppSettings::default()));
    let gone = || VectorId("gone-0000".to_owned());
    let commands = [
        Command::ExportText { path: nowhere.join("prompt.txt"), text: "Be calm.".to_owned() },
        Command::ExportVector { vector: gone(), path: workspace.path().join("out.safetensors") },
        Command::DeleteVector(gone()),
        Command::RestoreVector(gone()),
        Command::OpenRun { id: "gone".to_owned() },
        Command::OpenRun { id: "../..".to_owned() },
        Command::DeleteVector(VectorId("../vectors".to_owned())),
    ];
    for command in commands {
        let what = format!("{command:?}");
        desk.send(command);
        let problem = desk
            .wait("a problem", |event| match event {
                Event::Failed { job: None, problem } => Some(problem.clone()),
                _ => None,
            })
            .with_context(|| what.clone())?;
        assert_told(&problem, &[]).context(what)?;
    }
    assert_alive(&mut desk)
}

/// Files damaged by a crash or another program cost only themselves, and are kept.
#[test]
fn damaged_workspace_files_are_set_aside() -> Result<()> {
    let workspace = tempfile::tempdir()?;
    fs::write(workspace.path().join("settings.toml"), "theme = [[[\n")?;
    for folder in ["runs/half", "vectors/half-0000", "personas"] {
        fs::create_dir_all(workspace.path().join(folder))?;
    }
    fs::write(workspace.path().join("runs/half/result.json"), "{\"id\":")?;
    fs::write(workspace.path().join("runs/half/run.toml"), "format = 99\n")?;
    fs::write(workspace.path().join("vectors/half-0000/vector.toml"), "format = ")?;
    fs::write(workspace.path().join("vectors/half-0000/vector.safetensors"), [7; 5])?;
    fs::write(workspace.path().join("personas/broken.toml"), "id = 7\n")?;
    let mut desk = Desk::open(workspace.path())?;
    desk.send(Command::Refresh);
    let (mut told, mut personas, mut settings) = (Vec::new(), None, None);
    desk.wait("personas and settings", |event| {
        match event {
            Event::Personas(found) => personas = Some(found.len()),
            Event::Settings(found) => settings = Some(found.clone()),
            Event::Failed { job: None, problem } => told.push(problem.clone()),
            _ => {}
        }
        (personas.is_some() && settings.is_some()).then_some(())
    })?;
    assert_eq!(settings, Some(AppSettings::default()));
    assert!(personas.is_some_and(|n| n >= 7), "the shipped personas are there: {personas:?}");
    assert!(told.iter().any(|problem| problem.to_string().contains("settings")), "{told:?}");
    for problem in &told {
        assert_told(problem, &[])?;
    }
    let kept = fs::read_dir(workspace.path())?
        .filter_map(Result::ok)
        .any(|entry| fs::read_to_string(entry.path()).is_ok_and(|text| text.contains("theme = [[[")));
    assert!(kept, "the unreadable settings are kept");
    assert_alive(&mut desk)
}

#[test]
fn a_second_window_on_one_workspace_is_told() -> Result<()> {
    let workspace = tempfile::tempdir()?;
    let first = Desk::open(workspace.path())?;
    let second = Desk::open(workspace.path()).err().context("the workspace is taken")?;
    let problem = second.downcast_ref::<tiller_protocol::problem::Problem>().context("a problem")?;
    assert_told(problem, &["--workspace"])?;
    drop(first);
    Desk::open(workspace.path())?;
    Ok(())
}
