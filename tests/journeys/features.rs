//! Features as commands and events: opening an SAE, searching, cards, marks, and what goes wrong.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use tiller_protocol::feature::{
    FeatureCard, FeatureFilter, FeatureQuery, FeatureRef, FeatureResults, FeatureRow, FeatureSearch, FeatureSort,
    OpenOptions, Pooling, SaeId, SaeInfo, ScoreKind, SelfTestVerdict,
};
use tiller_protocol::message::{Command, Event, JobId};
use tiller_protocol::model::ModelSource;
use tiller_protocol::problem::Problem;
use tiller_tests::desk::Desk;

fn demo_sae() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/demo/sae")
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

fn order(desk: &mut Desk, path: &Path) -> JobId {
    let path = path.to_owned();
    desk.start(|job| Command::OpenSae { job, path, options: OpenOptions::default() })
}

fn open(desk: &mut Desk, path: &Path) -> Result<SaeInfo> {
    let job = order(desk, path);
    desk.wait_job(job, "the opened SAE", |event| match event {
        Event::SaeOpened { job: opened, info } if *opened == job => Some(info.as_ref().clone()),
        _ => None,
    })
}

fn find(desk: &mut Desk, search: FeatureSearch) -> Result<FeatureResults> {
    let job = desk.start(|job| Command::SearchFeatures { job, search: Box::new(search) });
    desk.wait_job(job, "the answer", |event| match event {
        Event::FeaturesFound { job: found, results } if *found == job => Some(results.as_ref().clone()),
        _ => None,
    })
}

fn by(sae: &SaeId, query: FeatureQuery) -> FeatureSearch {
    FeatureSearch { sae: sae.clone(), query, ..FeatureSearch::default() }
}

fn rows(desk: &Desk, sae: &SaeId, latents: &[u32]) -> Result<Vec<FeatureRow>> {
    desk.send(Command::FeatureRows { sae: sae.clone(), latents: latents.to_vec() });
    desk.wait("the rows", |event| match event {
        Event::FeatureRows { rows, .. } => Some(rows.clone()),
        _ => None,
    })
}

fn card(desk: &Desk, sae: &SaeId, latent: u32) -> Result<FeatureCard> {
    desk.send(Command::OpenFeature(FeatureRef { sae: sae.clone(), latent }));
    desk.wait("the card", |event| match event {
        Event::FeatureCard(card) => Some(card.clone()),
        _ => None,
    })?
    .map(|card| *card)
    .map_err(|trouble| trouble.problem.into())
}

/// Facts without the room on the disk, which changes while the index is written.
fn facts(info: &SaeInfo) -> SaeInfo {
    SaeInfo { bytes: 0, ..info.clone() }
}

fn saes(desk: &Desk) -> Result<Vec<SaeInfo>> {
    desk.send(Command::ListSaes);
    desk.wait("the list", |event| match event {
        Event::Saes(saes) => Some(saes.iter().map(facts).collect()),
        _ => None,
    })
}

fn changed(desk: &Desk, sae: &SaeId) -> Result<()> {
    desk.wait("the change", |event| (*event == Event::FeaturesChanged(sae.clone())).then_some(()))
}

fn trouble(desk: &Desk) -> Result<Problem> {
    desk.wait("a problem", |event| match event {
        Event::Failed { job: None, problem } => Some(problem.clone()),
        _ => None,
    })
}

fn test_on_the_model(desk: &mut Desk, sae: &SaeId) -> Result<SaeInfo> {
    let sae = sae.clone();
    let job = desk.start(|job| Command::TestSae { job, sae });
    desk.wait_job(job, "the self-test", |event| match event {
        Event::SaeTested { job: tested, info } if *tested == job => Some(info.as_ref().clone()),
        _ => None,
    })
}

#[test]
fn the_demo_sae_is_opened_once_and_searched() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut desk = Desk::open(folder.path())?;
    let info = open(&mut desk, &demo_sae())?;
    ensure!((info.d_sae, info.d_model, info.site.block()) == (1024, 192, 4), "{info:?}");
    ensure!(info.format == "SAELens" && info.architecture == "topk" && info.k == Some(16), "{info:?}");
    ensure!(info.n_labelled > 900 && info.bytes > 700_000, "{info:?}");
    // Also by its weight file or another way to the same place.
    let again = open(&mut desk, &demo_sae().join("../sae"))?;
    ensure!(facts(&again) == facts(&info), "{again:?}");
    ensure!(saes(&desk)? == [facts(&info)]);

    let sae = &info.id;
    let all = find(&mut desk, by(sae, FeatureQuery::All))?;
    ensure!(*all.order == (0..1024).collect::<Vec<u32>>() && all.scores.is_none());
    let found = find(&mut desk, by(sae, FeatureQuery::Label("pira".to_owned())))?;
    let pirates = rows(&desk, sae, &found.order)?;
    ensure!(!pirates.is_empty());
    for row in &pirates {
        ensure!(row.label.as_ref().is_some_and(|label| label.to_lowercase().contains("pira")), "{row:?}");
    }
    let number = find(&mut desk, by(sae, FeatureQuery::Label("17".to_owned())))?;
    ensure!(number.order.first() == Some(&17));

    let similar = find(&mut desk, by(sae, FeatureQuery::Similar(17)))?;
    let (kind, cosines) = similar.scores.clone().ok_or_else(|| anyhow::anyhow!("there are cosines"))?;
    ensure!(kind == ScoreKind::Cosine && cosines.len() == similar.order.len() && !similar.order.contains(&17));
    ensure!(cosines.is_sorted_by(|a, b| a >= b) && cosines.iter().all(|cosine| (-1.001..1.001).contains(cosine)));

    let filter = FeatureFilter { max_density: Some(0.01), alive: true, ..FeatureFilter::default() };
    let search = FeatureSearch { filter, sort: FeatureSort::Density, reversed: true, ..by(sae, FeatureQuery::All) };
    let rare = find(&mut desk, search)?;
    let densities: Vec<f32> = rows(&desk, sae, &rare.order)?.iter().filter_map(|row| row.density).collect();
    ensure!(densities.len() > 100 && densities.is_sorted_by(|a, b| a >= b) && densities[0] <= 0.01);

    let card = card(&desk, sae, pirates[0].latent)?;
    ensure!(card.row == pirates[0] && !card.labels.is_empty() && card.effects.is_none(), "{card:?}");
    ensure!(card.similar.len() == 10 && card.similar.is_sorted_by(|a, b| a.1 >= b.1), "{:?}", card.similar);
    ensure!(card.decoder_norm > 0.0);
    Ok(())
}

#[test]
fn the_loaded_model_adds_tokens_and_tells_whether_the_sae_fits() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut desk = Desk::open(folder.path())?;
    let sae = open(&mut desk, &demo_sae())?.id;
    let token = || FeatureQuery::Token("the".to_owned());
    let without = find(&mut desk, by(&sae, token()))?;
    ensure!(without.scores.is_none() && without.note.is_some_and(|note| note.contains("Open the model")));

    let model = desk.load(ModelSource::Demo)?;
    let promoting = find(&mut desk, by(&sae, token()))?;
    let (kind, effects) = promoting.scores.clone().ok_or_else(|| anyhow::anyhow!("there are effects"))?;
    ensure!(kind == ScoreKind::LogitEffect && effects.is_sorted_by(|a, b| a >= b) && effects[0] > 0.0);
    ensure!(promoting.note.as_ref().is_some_and(|note| note.contains("\u{201c} the\u{201d}")), "{promoting:?}");
    let first = card(&desk, &sae, promoting.order[0])?;
    let listed = first.effects.as_ref().ok_or_else(|| anyhow::anyhow!("the card has effects"))?;
    ensure!(listed.promoted.len() == 10 && listed.suppressed.len() == 10 && !listed.low_confidence);
    // The effect on one token and the lens over all tokens are the same number.
    let same = listed.promoted.iter().find(|effect| effect.token == " the");
    ensure!(same.is_none_or(|effect| (effect.effect - effects[0]).abs() < 1e-3 * effects[0].abs()), "{listed:?}");
    // The other way round: those that suppress it most.
    let reversed = find(&mut desk, FeatureSearch { reversed: true, ..by(&sae, token()) })?;
    let against = reversed.scores.as_ref().map(|(_, scores)| scores[0]).unwrap_or_default();
    ensure!(against < 0.0, "{against}");

    let tested = test_on_the_model(&mut desk, &sae)?;
    let test = tested.self_test.clone().ok_or_else(|| anyhow::anyhow!("there is a self-test"))?;
    ensure!(test.verdict == SelfTestVerdict::Good && test.model_hash == model.hash, "{test:?}");
    ensure!(test.fits.iter().map(|fit| fit.block).collect::<Vec<_>>() == [3, 4, 5] && test.n_tokens >= 200, "{test:?}");
    ensure!(test.at_claimed().is_some_and(|fit| fit.fvu < 0.4 && (fit.l0 - 16.0).abs() < 4.0), "{test:?}");
    ensure!(tested.resid_norm.is_some_and(|norm| norm > 0.0));
    // It is kept.
    ensure!(saes(&desk)? == [facts(&tested)]);

    desk.send(Command::MoveSae { sae: sae.clone(), block: 3 });
    let moved = desk.wait("the list", |event| match event {
        Event::Saes(saes) => saes.first().cloned(),
        _ => None,
    })?;
    ensure!(moved.site.block() == 3 && moved.self_test.is_none() && moved.resid_norm.is_none(), "{moved:?}");
    let elsewhere = test_on_the_model(&mut desk, &sae)?.self_test.map(|test| test.verdict);
    ensure!(elsewhere == Some(SelfTestVerdict::Elsewhere { block: 4 }), "{elsewhere:?}");

    desk.send(Command::UnloadModel);
    desk.wait("the end of the model", |event| (*event == Event::ModelUnloaded).then_some(()))?;
    ensure!(card(&desk, &sae, 0)?.effects.is_none(), "the lens goes with the model");
    Ok(())
}

#[test]
fn marks_survive_the_end_of_the_application() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let feature = |sae: &SaeId| FeatureRef { sae: sae.clone(), latent: 9 };
    let sae = {
        let mut desk = Desk::open(folder.path())?;
        let sae = open(&mut desk, &demo_sae())?.id;
        desk.send(Command::SetBookmark { sae: sae.clone(), latents: vec![3, 9], on: true });
        changed(&desk, &sae)?;
        desk.send(Command::SetBookmark { sae: sae.clone(), latents: vec![3], on: false });
        changed(&desk, &sae)?;
        desk.send(Command::SetNote { feature: feature(&sae), text: "look again".to_owned() });
        changed(&desk, &sae)?;
        for text in ["\u{2192} mine; DROP TABLE label", "a second one"] {
            desk.send(Command::AddLabel { feature: feature(&sae), text: text.to_owned() });
            changed(&desk, &sae)?;
        }
        let newest = card(&desk, &sae, 9)?.labels[0].id;
        desk.send(Command::RemoveLabel { feature: feature(&sae), label: newest });
        changed(&desk, &sae)?;
        sae
    };
    let mut desk = Desk::open(folder.path())?;
    let again = open(&mut desk, &demo_sae())?;
    ensure!(again.id == sae && again.n_bookmarked == 1, "{again:?}");
    let card = card(&desk, &sae, 9)?;
    ensure!(card.row.bookmarked && card.row.noted && card.note == "look again", "{card:?}");
    ensure!(card.labels[0].text == "\u{2192} mine; DROP TABLE label", "{:?}", card.labels);
    let filter = FeatureFilter { bookmarked: true, ..FeatureFilter::default() };
    let marked = find(&mut desk, FeatureSearch { filter, ..by(&sae, FeatureQuery::All) })?;
    ensure!(*marked.order == [9]);
    let typed = find(&mut desk, by(&sae, FeatureQuery::Label("\u{2192} mi".to_owned())))?;
    ensure!(typed.order.first() == Some(&9), "{typed:?}");

    desk.send(Command::RemoveSae(sae.clone()));
    desk.wait("the empty list", |event| (*event == Event::Saes(vec![])).then_some(()))?;
    ensure!(demo_sae().join("sae_weights.safetensors").is_file());
    let refused = find(&mut desk, by(&sae, FeatureQuery::All));
    ensure!(refused.is_err_and(|error| error.to_string().contains("not open")));
    Ok(())
}

#[test]
fn a_feature_is_written_as_a_vector() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut desk = Desk::open(folder.path())?;
    let sae = open(&mut desk, &demo_sae())?.id;
    let path = folder.path().join("feature.safetensors");
    desk.send(Command::ExportFeature { feature: FeatureRef { sae: sae.clone(), latent: 5 }, path: path.clone() });
    desk.wait("the file", |event| matches!(event, Event::Notice(text) if text.contains("Saved")).then_some(()))?;
    let tensors = candle_core::safetensors::load(&path, &candle_core::Device::Cpu)?;
    let row: Vec<f32> = tensors["direction"].to_vec1()?;
    let length = row.iter().map(|value| value * value).sum::<f32>().sqrt();
    ensure!(row.len() == 192 && (length - 1.0).abs() < 1e-3, "{length}");
    ensure!(tensors.contains_key("direction.4"));
    desk.send(Command::ExportFeature { feature: FeatureRef { sae, latent: 1024 }, path: folder.path().join("no") });
    let problem = trouble(&desk)?;
    ensure!(problem.cause.contains("1023") && !folder.path().join("no").exists(), "{problem}");
    Ok(())
}

/// Whoever types fast gets the answer to the last key alone.
#[test]
fn of_many_searches_the_newest_is_answered() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut desk = Desk::open(folder.path())?;
    let sae = open(&mut desk, &demo_sae())?.id;
    let mut jobs = Vec::new();
    for n in 0..40_u32 {
        let search = Box::new(by(&sae, FeatureQuery::Similar(n)));
        jobs.push(desk.start(|job| Command::SearchFeatures { job, search }));
    }
    let (mut stopped, mut found) = (Vec::new(), Vec::new());
    desk.wait("an end of every search", |event| {
        match event {
            Event::Stopped { job } => stopped.push(*job),
            Event::FeaturesFound { job, .. } => found.push(*job),
            _ => {}
        }
        (stopped.len() + found.len() == jobs.len()).then_some(())
    })?;
    ensure!(found.last() == jobs.last() && !stopped.contains(&jobs[39]), "{found:?}");
    ensure!(found.len() < 40, "nothing was passed over");
    Ok(())
}

/// The same for searches that run the model: the newest waits for the older one to stop, and is not refused.
#[test]
fn of_many_searches_with_the_model_the_newest_is_answered() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut desk = Desk::open(folder.path())?;
    let sae = open(&mut desk, &demo_sae())?.id;
    desk.load(ModelSource::Demo)?;
    let mut jobs = Vec::new();
    for n in 0..12 {
        let text = format!("{} The number is {n}.", "The sea is calm and the sky is blue. ".repeat(40));
        let search = Box::new(by(&sae, FeatureQuery::Text { text, pooling: Pooling::Max }));
        jobs.push(desk.start(|job| Command::SearchFeatures { job, search }));
    }
    let mut ends = Vec::new();
    desk.wait("an end of every search", |event| {
        match event {
            Event::Stopped { job } => ends.push((*job, "stopped")),
            Event::FeaturesFound { job, .. } => ends.push((*job, "found")),
            Event::Failed { job: Some(job), .. } => ends.push((*job, "failed")),
            _ => {}
        }
        (ends.len() == jobs.len()).then_some(())
    })?;
    ensure!(ends.contains(&(jobs[11], "found")), "{ends:?}");
    ensure!(ends.iter().all(|(_, end)| *end != "failed"), "{ends:?}");
    ensure!(ends.iter().any(|(_, end)| *end == "stopped"), "{ends:?}");
    Ok(())
}

/// A file that takes long to convert, and no room on the disk: all its weights are a hole.
fn long_one(folder: &Path) -> Result<PathBuf> {
    let (d, n) = (4096_u64, 65_536_u64);
    let folder = folder.join("long");
    fs::create_dir(&folder)?;
    let config = r#"{"architecture": "standard", "d_in": 4096, "d_sae": 65536, "hook_name": "blocks.2.hook_resid_post",
        "apply_b_dec_to_input": false, "normalize_activations": "none"}"#;
    fs::write(folder.join("cfg.json"), config)?;
    let matrix = d * n * 2;
    let at = [0, matrix, 2 * matrix, 2 * matrix + 2 * n, 2 * matrix + 2 * n + 2 * d];
    let header = format!(
        r#"{{"W_enc":{{"dtype":"F16","shape":[{d},{n}],"data_offsets":[{},{}]}},"W_dec":{{"dtype":"F16","shape":[{n},{d}],"data_offsets":[{},{}]}},"b_enc":{{"dtype":"F16","shape":[{n}],"data_offsets":[{},{}]}},"b_dec":{{"dtype":"F16","shape":[{d}],"data_offsets":[{},{}]}}}}"#,
        at[0], at[1], at[1], at[2], at[2], at[3], at[3], at[4]
    );
    let header = format!("{header:<width$}", width = header.len().next_multiple_of(8));
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    let path = folder.join("sae_weights.safetensors");
    fs::write(&path, &bytes)?;
    fs::OpenOptions::new().write(true).open(&path)?.set_len(bytes.len() as u64 + at[4])?;
    Ok(folder)
}

#[test]
fn a_stopped_conversion_leaves_nothing_behind() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let long = long_one(folder.path())?;
    let workspace = folder.path().join("work");
    let mut desk = Desk::open(&workspace)?;
    let job = order(&mut desk, &long);
    let waiting = order(&mut desk, &demo_sae());
    let begun = |event: &Event| matches!(event, Event::Progress { job: of, .. } if *of == job).then_some(());
    desk.wait("progress", begun)?;
    desk.send(Command::Cancel(job));
    desk.wait_job(job, "the stop", |event| (*event == Event::Stopped { job }).then_some(()))?;
    // The next one does not mind.
    let opened = |event: &Event| matches!(event, Event::SaeOpened { job, .. } if *job == waiting).then_some(());
    desk.wait_job(waiting, "the demo SAE", opened)?;
    let names: Vec<String> = fs::read_dir(workspace.join("saes"))?
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .filter(|name| name != ".lock")
        .collect();
    ensure!(names.len() == 1 && names[0].starts_with("tiller-demo-sae-"), "{names:?}");

    // Nor does what a killed conversion left.
    let left = workspace.join("saes/.opening-killed");
    fs::create_dir(&left)?;
    fs::write(left.join("sae.safetensors.part"), "half")?;
    ensure!(saes(&desk)?.len() == 1);
    open(&mut desk, &fixture("sae-saelens/topk"))?;
    ensure!(!left.exists() && saes(&desk)?.len() == 2);
    Ok(())
}

#[test]
fn what_cannot_be_opened_says_why() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut desk = Desk::open(&folder.path().join("work"))?;
    let cut = folder.path().join("cut");
    fs::create_dir(&cut)?;
    fs::copy(demo_sae().join("cfg.json"), cut.join("cfg.json"))?;
    let weights = fs::read(demo_sae().join("sae_weights.safetensors"))?;
    fs::write(cut.join("sae_weights.safetensors"), &weights[..weights.len() / 2])?;
    let odd = folder.path().join("odd");
    fs::create_dir(&odd)?;
    fs::copy(demo_sae().join("cfg.json"), odd.join("cfg.json"))?;
    let mut poisoned = weights.clone();
    let (at, nan) = (poisoned.len() / 2, [0x00, 0x7e].repeat(64));
    poisoned[at..at + nan.len()].copy_from_slice(&nan);
    fs::write(odd.join("sae_weights.safetensors"), poisoned)?;
    let garbage = folder.path().join("ae.pt");
    fs::write(&garbage, "this is no archive")?;
    let cases = [
        (folder.path().join("nothing"), "not there"),
        (cut, "cut short"),
        (odd, "NaN"),
        (garbage, "ae.pt"),
        (Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/demo/model"), "model"),
        (fixture("sae-saelens"), "several"),
    ];
    for (path, word) in cases {
        let job = order(&mut desk, &path);
        let problem = desk.wait_failure(job)?;
        let told = format!("{problem}");
        ensure!(told.contains(word) && !problem.next_step.is_empty(), "{}: {told}", path.display());
    }
    ensure!(saes(&desk)?.is_empty());

    // One that reads another model is opened and browsed, and refused by the model.
    let other = open(&mut desk, &fixture("sae-saelens/topk"))?;
    desk.load(ModelSource::Demo)?;
    let sae = other.id.clone();
    let job = desk.start(|job| Command::TestSae { job, sae });
    let problem = desk.wait_failure(job)?;
    ensure!(problem.title.contains("does not fit") && problem.cause.contains("192"), "{problem}");
    ensure!(card(&desk, &other.id, 0)?.effects.is_none());
    Ok(())
}

/// Damage costs neither the thread nor, where it can be made good, what the user has written.
#[test]
fn damaged_files_are_told_and_made_good() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut desk = Desk::open(folder.path())?;
    let sae = open(&mut desk, &demo_sae())?.id;
    desk.send(Command::SetBookmark { sae: sae.clone(), latents: vec![7], on: true });
    changed(&desk, &sae)?;
    drop(desk);
    let own = folder.path().join("saes").join(&sae.0);
    let converted = own.join("sae.safetensors");
    let whole = fs::read(&converted)?;
    fs::write(&converted, &whole[..1000])?;
    let mut desk = Desk::open(folder.path())?;
    let refused = find(&mut desk, by(&sae, FeatureQuery::All));
    ensure!(refused.is_err_and(|error| error.to_string().contains("cannot be read")));
    let again = open(&mut desk, &demo_sae())?;
    ensure!(again.id == sae && again.n_bookmarked == 1, "{again:?}");
    ensure!(fs::read(&converted)? == whole, "the same file was made again");
    ensure!(find(&mut desk, by(&sae, FeatureQuery::Similar(1)))?.order.len() > 100);
    drop(desk);

    fs::write(own.join("features.db"), vec![0x5a; 20_000])?;
    let mut desk = Desk::open(folder.path())?;
    let problem = find(&mut desk, by(&sae, FeatureQuery::All));
    ensure!(problem.is_err_and(|error| error.to_string().contains("index")));
    let other = open(&mut desk, &fixture("sae-saelens/topk"))?;
    ensure!(rows(&desk, &other.id, &[0])?.len() == 1, "the thread lives");
    desk.send(Command::RemoveSae(sae.clone()));
    desk.wait("the removal", |event| match event {
        Event::Saes(saes) if saes.iter().all(|info| info.id != sae) => Some(()),
        _ => None,
    })?;
    open(&mut desk, &demo_sae())?;
    Ok(())
}
