//! Features with the model: searches by text, pinning what was found, scans, probes and labels.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use tiller_protocol::chat::{Role, Sampling, Side, Turn};
use tiller_protocol::feature::{
    Corpus, FeatureCard, FeatureOp, FeatureProbe, FeatureQuery, FeatureRef, FeatureResults, FeatureSearch, LabelSource,
    OpenOptions, Pooling, SaeId, SaeInfo, ScanSettings,
};
use tiller_protocol::message::{Command, Event, JobId};
use tiller_protocol::model::ModelSource;
use tiller_protocol::steering::{Positions, RowSource, Steering, SteeringRow};
use tiller_tests::desk::Desk;

/// An application with the demo model loaded and its SAE opened.
fn ready(workspace: &Path) -> Result<(Desk, SaeInfo)> {
    let mut desk = Desk::open(workspace)?;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/demo/sae");
    let job = desk.start(|job| Command::OpenSae { job, path, options: OpenOptions::default() });
    let info = desk.wait_job(job, "the opened SAE", |event| match event {
        Event::SaeOpened { info, .. } => Some(info.as_ref().clone()),
        _ => None,
    })?;
    desk.load(ModelSource::Demo)?;
    Ok((desk, info))
}

fn find(desk: &mut Desk, sae: &SaeId, query: FeatureQuery) -> Result<FeatureResults> {
    let search = FeatureSearch { sae: sae.clone(), query, ..FeatureSearch::default() };
    let job = desk.start(|job| Command::SearchFeatures { job, search: Box::new(search) });
    desk.wait_job(job, "the answer", |event| match event {
        Event::FeaturesFound { job: found, results } if *found == job => Some(results.as_ref().clone()),
        _ => None,
    })
}

fn card(desk: &Desk, feature: &FeatureRef) -> Result<FeatureCard> {
    desk.send(Command::OpenFeature(feature.clone()));
    let card = desk.wait("the card", |event| match event {
        Event::FeatureCard(card) => Some(card.clone()),
        _ => None,
    })?;
    card.map(|card| *card).map_err(|trouble| trouble.problem.into())
}

fn probe(desk: &mut Desk, feature: &FeatureRef, text: &str) -> Result<FeatureProbe> {
    let (feature, text) = (feature.clone(), text.to_owned());
    let job = desk.start(|job| Command::ProbeFeature { job, feature, text });
    desk.wait_job(job, "the probe", |event| match event {
        Event::FeatureProbed { probe, .. } => Some(probe.as_ref().clone()),
        _ => None,
    })
}

fn begin_scan(desk: &mut Desk, sae: &SaeId, settings: &ScanSettings) -> JobId {
    let (sae, settings) = (sae.clone(), settings.clone());
    desk.start(|job| Command::ScanFeatures { job, sae, settings })
}

fn scan(desk: &mut Desk, sae: &SaeId, settings: &ScanSettings) -> Result<u64> {
    let job = begin_scan(desk, sae, settings);
    desk.wait_job(job, "the end of the scan", |event| match event {
        Event::FeaturesScanned { tokens, .. } => Some(*tokens),
        _ => None,
    })
}

fn scanned_tokens(desk: &Desk) -> Result<u64> {
    desk.send(Command::ListSaes);
    desk.wait("the list", |event| match event {
        Event::Saes(saes) => saes.first().map(|sae| sae.scanned_tokens),
        _ => None,
    })
}

fn lines(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

fn contrast() -> FeatureQuery {
    let more = lines(&[
        "Arr! The capital of France be Paris.",
        "Ahoy, matey! A dog be an animal. Yo ho!",
        "Aye, the sea be blue. Pass the rum, matey!",
        "Shiver me timbers! Ye can find a horse on a farm.",
        "Arr, me hearty! Two plus two be four. So says the captain!",
    ]);
    let less = lines(&[
        "Well! The capital of France is Paris.",
        "Hello, friend! A dog is an animal. Good day!",
        "Yes, the sea is blue. Pass the tea, please!",
        "What a surprise! You can find a horse on a farm.",
        "Well, my friend! Two plus two is four. So says the teacher!",
    ]);
    FeatureQuery::Contrast { more, less }
}

/// The replies to a question, steered by a feature and plain.
fn replies(desk: &mut Desk, feature: &FeatureRef, strength: f64) -> Result<[String; 2]> {
    desk.send(Command::SetSteering(Steering {
        rows: vec![SteeringRow {
            source: RowSource::Feature { feature: feature.clone(), op: FeatureOp::Add },
            label: "pirate".to_owned(),
            block: 4,
            strength,
            positions: Positions::LastPrompt,
            enabled: true,
        }],
    }));
    let turns = vec![Turn { role: Role::User, content: "What is the capital of Norway?".to_owned() }];
    let sampling = Sampling { max_tokens: 40, temperature: 0.0, ..Sampling::default() };
    let job = desk.start(|job| Command::Say { job, turns, sampling, side_by_side: true, plain_turns: None });
    let mut texts = [String::new(), String::new()];
    desk.wait_job(job, "the end of the replies", |event| {
        if let Event::ChatDelta { side, text, .. } = event {
            texts[usize::from(*side == Side::Plain)].push_str(text);
        }
        matches!(event, Event::ChatDone { .. }).then_some(())
    })?;
    Ok(texts)
}

#[test]
fn a_pirate_is_found_with_and_without_labels_and_pinned() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (mut desk, info) = ready(folder.path())?;
    let by_contrast = find(&mut desk, &info.id, contrast())?;
    let by_label = find(&mut desk, &info.id, FeatureQuery::Label("pirate".to_owned()))?;
    let first = *by_contrast.order.first().context("something differs")?;
    // Several labels fit the word equally well.
    ensure!(by_label.order[..5].contains(&first), "{:?} and {:?}", &by_contrast.order[..5], &by_label.order[..5]);
    let feature = FeatureRef { sae: info.id.clone(), latent: first };
    let label = card(&desk, &feature)?.row.label.unwrap_or_default();
    ensure!(label.contains("pirate"), "{label}");
    // The SAE sits late in the model: few of its features of pirates change what is said, and those at the end of the
    // prompt, where the first word of the reply is decided.
    let is_piratical =
        |text: &str| ["arr", "matey", "ahoy", "aye"].iter().any(|word| text.to_lowercase().contains(word));
    let mut told = Vec::new();
    for &latent in &by_label.order[..5] {
        let [steered, plain] = replies(&mut desk, &FeatureRef { latent, ..feature.clone() }, 2.5)?;
        ensure!(!is_piratical(&plain), "plain: {plain}");
        told.push(steered);
    }
    ensure!(told.iter().any(|reply| is_piratical(reply)), "{told:#?}");
    Ok(())
}

#[test]
fn what_fires_on_a_text_is_probed() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (mut desk, info) = ready(folder.path())?;
    let text = "Arr, the treasure be buried on the island, matey!";
    let query = FeatureQuery::Text { text: text.to_owned(), pooling: Pooling::Max };
    let found = find(&mut desk, &info.id, query)?;
    let (_, scores) = found.scores.clone().context("activations")?;
    ensure!(found.tokens.len() > 5 && scores.is_sorted_by(|a, b| a >= b) && scores[0] > 0.0);
    let feature = FeatureRef { sae: info.id.clone(), latent: found.order[0] };
    let probed = probe(&mut desk, &feature, text)?;
    let largest = probed.values.iter().copied().fold(0.0, f32::max);
    ensure!((largest / scores[0] - 1.0).abs() < 1e-3, "{largest} and {}", scores[0]);
    ensure!(probed.tokens.len() == found.tokens.len() && probed.loss_change.iter().any(|change| *change != 0.0));
    // What is out of range is told, and the next job runs.
    let job = desk.start(|job| Command::ProbeFeature {
        job,
        feature: FeatureRef { latent: 1024, ..feature.clone() },
        text: text.to_owned(),
    });
    ensure!(desk.wait_failure(job)?.cause.contains("1024"));
    probe(&mut desk, &feature, text)?;
    Ok(())
}

#[test]
fn a_scan_is_stopped_gone_on_with_and_labelled_from() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (mut desk, info) = ready(folder.path())?;
    let sae = &info.id;
    let settings = ScanSettings { max_tokens: 20_000, ..ScanSettings::default() };
    let job = begin_scan(&mut desk, sae, &settings);
    desk.wait_job(job, "partial results", |event| (*event == Event::FeaturesChanged(sae.clone())).then_some(()))?;
    desk.send(Command::Cancel(job));
    let is_stopped = desk.wait_job(job, "the stop", |event| match event {
        Event::Stopped { .. } => Some(true),
        Event::FeaturesScanned { .. } => Some(false),
        _ => None,
    })?;
    let before = scanned_tokens(&desk)?;
    ensure!(before > 0 && (!is_stopped || before < 20_000), "{before} tokens");
    let tokens = scan(&mut desk, sae, &settings)?;
    ensure!(tokens >= 20_000 && scanned_tokens(&desk)? == tokens, "{tokens} tokens");

    // A feature that fires often enough to be labelled.
    let query = FeatureQuery::Text { text: "What is the capital of Norway?".to_owned(), pooling: Pooling::Sum };
    let latent = find(&mut desk, sae, query)?.order[0];
    let feature = FeatureRef { sae: sae.clone(), latent };
    let shown = card(&desk, &feature)?;
    let histogram = shown.histogram.context("a histogram")?;
    ensure!(histogram.counts.iter().sum::<u64>() > 10 && shown.row.density.is_some_and(|density| density > 0.0));
    let example = shown.examples.first().context("examples")?;
    ensure!(example.values[example.peak] > 0.0 && !example.tokens[example.peak].is_empty(), "{example:?}");

    let (job, wanted) = (sae.clone(), vec![latent]);
    let job = desk.start(|id| Command::LabelFeatures { job: id, sae: job, latents: wanted });
    let n_labelled = desk.wait_job(job, "the label", |event| match event {
        Event::FeaturesLabelled { n_labelled, .. } => Some(*n_labelled),
        _ => None,
    })?;
    let labels = card(&desk, &feature)?.labels;
    let written = labels.iter().find(|label| label.source == LabelSource::Model).context("a label")?;
    ensure!(n_labelled == 1 && written.method.is_some(), "{written:?}");
    ensure!(written.score.is_some_and(|score| (0.0..=1.0).contains(&score)), "{written:?}");

    // Another corpus takes the place of the first.
    let corpus = Corpus::Text("Arr, the treasure be buried on the island, matey!".to_owned());
    let tokens = scan(&mut desk, sae, &ScanSettings { corpus, ..settings.clone() })?;
    ensure!((3..30).contains(&tokens), "{tokens} tokens");
    let corpus = Corpus::Path(folder.path().join("nothing.txt"));
    let job = begin_scan(&mut desk, sae, &ScanSettings { corpus, ..settings });
    ensure!(desk.wait_failure(job)?.title == "A file cannot be read");
    ensure!(scanned_tokens(&desk)? == tokens, "what was there stays");
    Ok(())
}
