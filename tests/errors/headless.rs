//! The same faults and wrong requests, as the commands without a window tell them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use tiller_protocol::chat::{Role, Sampling, Turn};
use tiller_protocol::model::{DeviceChoice, DtypeChoice, ModelSource};
use tiller_protocol::persona::Placement;
use tiller_protocol::steering::{ExtractMethod, Positions};
use tiller_studio::headless::{
    self, DiscoverOptions, EvaluateOptions, ExtractOptions, GenerateOptions, Global, GradOptions, TraceInput,
    VectorOption,
};

use super::assert_told;
use super::checkpoints::{copy, faults, fixture};

fn global(workspace: &Path) -> Global {
    Global {
        workspace: Some(workspace.join("workspace")),
        device: DeviceChoice::Cpu,
        dtype: DtypeChoice::F32,
        ..Global::default()
    }
}

fn tiny() -> ModelSource {
    ModelSource::Folder(fixture("llama3-v4"))
}

#[test]
fn broken_checkpoints_are_told() -> Result<()> {
    for fault in faults() {
        let folder = tempfile::tempdir()?;
        let model = folder.path().join("model");
        copy(fault.checkpoint, &model)?;
        (fault.plant)(&model)?;
        let out = folder.path().join("out.safetensors");
        let told =
            headless::trace(&global(folder.path()), &ModelSource::Folder(model), &TraceInput::Ids(vec![9]), &out);
        let problem = told.err().with_context(|| format!("{} was accepted", fault.name))?;
        assert_told(&problem, fault.facts).with_context(|| fault.name.to_owned())?;
        assert!(!out.exists(), "{}: a file was written", fault.name);
    }
    Ok(())
}

#[test]
fn models_that_are_not_there_are_told() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("file");
    fs::write(&file, "not a folder")?;
    let cases = [
        (ModelSource::Folder(folder.path().join("nowhere")), "nowhere"),
        (ModelSource::Folder(folder.path().to_path_buf()), "config.json"),
        (ModelSource::Folder(file), "file"),
        (ModelSource::Hub("nobody/has-this-one".to_owned()), "nobody/has-this-one"),
        (ModelSource::Hub("no slash and spaces".to_owned()), "no slash and spaces"),
    ];
    for (source, fact) in cases {
        let out = folder.path().join("out.safetensors");
        let told = headless::trace(&global(folder.path()), &source, &TraceInput::Ids(vec![9]), &out);
        assert_told(&told.err().with_context(|| format!("{source:?} was accepted"))?, &[fact])?;
    }
    Ok(())
}

#[test]
fn token_sequences_that_make_no_sense_are_told() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("out.safetensors");
    let long = || "a boat and a harbour ".repeat(200);
    let turns = |content: String| TraceInput::Chat(vec![Turn { role: Role::User, content }]);
    let cases = [
        (TraceInput::Ids(vec![]), ""),
        (TraceInput::Text(String::new()), ""),
        (TraceInput::Ids(vec![9; 257]), "256"),
        (TraceInput::Text(long()), "256"),
        (turns(long()), "256"),
        (TraceInput::Ids(vec![9, 336]), "336"),
        (TraceInput::Ids(vec![u32::MAX]), "4294967295"),
    ];
    for (input, fact) in cases {
        let what = format!("{input:?}").chars().take(60).collect::<String>();
        let told = headless::trace(&global(folder.path()), &tiny(), &input, &out);
        let problem = told.err().with_context(|| format!("{what} was accepted"))?;
        assert_told(&problem, &[fact]).context(what)?;
    }
    Ok(())
}

fn write_vector(path: &Path, values: &[f32]) -> Result<()> {
    let tensor = candle_core::Tensor::new(values, &candle_core::Device::Cpu)?;
    Ok(candle_core::safetensors::save(&[("direction".to_owned(), tensor)].into(), path)?)
}

#[test]
fn vectors_that_do_not_fit_are_told() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = |name: &str| folder.path().join(name);
    write_vector(&file("narrow"), &[1.0; 31])?;
    write_vector(&file("sound"), &[1.0; 32])?;
    write_vector(&file("infinite"), &[f32::INFINITY; 32])?;
    fs::write(file("text"), "direction")?;
    let cases: [(PathBuf, usize, &str); 5] = [
        (file("narrow"), 0, "31"),
        (file("sound"), 3, "3"),
        (file("infinite"), 0, "infinite"),
        (file("text"), 0, "text"),
        (file("nowhere"), 0, "nowhere"),
    ];
    for (vector, block, fact) in cases {
        let options = GradOptions {
            model: tiny(),
            ids: vec![9, 10, 11],
            vector: vector.clone(),
            block,
            lambda: 1.0,
            out: file("out.safetensors"),
        };
        let told = headless::grad(&global(folder.path()), &options);
        let problem = told.err().with_context(|| format!("{} was accepted", vector.display()))?;
        assert_told(&problem, &[fact])?;
        let options = GenerateOptions {
            model: tiny(),
            system: None,
            user: "Which way?".to_owned(),
            vectors: vec![VectorOption { path: vector, block: Some(block), strength: 1.0, positions: Positions::All }],
            sampling: Sampling { max_tokens: 3, ..Sampling::default() },
        };
        let told = headless::generate(&global(folder.path()), &options, &mut |_| ());
        assert_told(&told.err().context("the vector was accepted in a reply")?, &[fact])?;
    }
    Ok(())
}

#[test]
fn a_prompt_longer_than_the_context_is_told() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let options = GenerateOptions {
        model: tiny(),
        system: None,
        user: "a boat and a harbour ".repeat(200),
        vectors: Vec::new(),
        sampling: Sampling::default(),
    };
    let told = headless::generate(&global(folder.path()), &options, &mut |_| ());
    assert_told(&told.err().context("it was accepted")?, &["256"])
}

/// A persona whose files hold `pairs` and `items` and nothing else.
fn write_persona(folder: &Path, pairs: &str, items: &str) -> Result<PathBuf> {
    let card = folder.join("calm.toml");
    fs::write(
        &card,
        "format = 1\nid = \"calm\"\nname = \"Calm\"\nkind = \"trait\"\nsummary = \"Keeps calm.\"\n\
         positive = \"calm\"\nnegative = \"nervous\"\nmanual_prompts = []\n",
    )?;
    fs::create_dir_all(folder.join("calm"))?;
    for (name, text) in [("extract", pairs), ("contexts", ""), ("select", items), ("report", items)] {
        fs::write(folder.join(format!("calm/{name}.jsonl")), text)?;
    }
    Ok(card)
}

#[test]
fn persona_sets_without_pairs_are_told() -> Result<()> {
    let pair = r#"{"positive": {"system": "Be calm.", "user": "Hm?"}, "negative": {"system": null, "user": "Hm?"}}"#;
    let broken = format!("{pair}\n{{\"positive\": \n");
    let cases = [("", "calm"), ("\n\n", "calm"), (broken.as_str(), "2")];
    for (pairs, fact) in cases {
        let folder = tempfile::tempdir()?;
        let card = write_persona(folder.path(), pairs, "")?;
        let options = ExtractOptions {
            model: tiny(),
            persona: card.to_string_lossy().into_owned(),
            method: ExtractMethod::MeanDifference,
            out: folder.path().join("out.safetensors"),
        };
        let told = headless::extract(&global(folder.path()), &options);
        let problem = told.err().with_context(|| format!("pairs {pairs:?} were accepted"))?;
        assert_told(&problem, &[fact])?;
        assert!(!options.out.exists());
    }
    Ok(())
}

#[test]
fn personas_that_are_not_there_are_told() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let unknown_format = folder.path().join("later.toml");
    fs::write(&unknown_format, "format = 99\nid = \"later\"\n")?;
    let cases = ["nobody".to_owned(), unknown_format.to_string_lossy().into_owned()];
    for (persona, fact) in cases.into_iter().zip(["nobody", "99"]) {
        let out = folder.path().join("out.safetensors");
        let options = ExtractOptions { model: tiny(), persona, method: ExtractMethod::MeanDifference, out };
        let told = headless::extract(&global(folder.path()), &options);
        assert_told(&told.err().context("the persona was accepted")?, &[fact])?;
    }
    Ok(())
}

#[test]
fn items_without_content_are_told() -> Result<()> {
    let ab = r#"{"id": "1", "kind": "ab", "user": "(A) x (B) y?", "persona": "(A)", "other": "(B)"}"#;
    let empty_answer = r#"{"id": "1", "kind": "ab", "user": "(A) x (B) y?", "persona": "", "other": "(B)"}"#;
    let broken = format!("{ab}\n{{\"id\": 2\n");
    let cases = [("", "items"), ("\n", "items"), (broken.as_str(), "2"), (empty_answer, "1")];
    for (items, fact) in cases {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("items.jsonl");
        fs::write(&path, items)?;
        let options = EvaluateOptions {
            model: tiny(),
            items: path,
            prompts: Vec::new(),
            placement: Placement::System,
            vectors: Vec::new(),
        };
        let told = headless::evaluate(&global(folder.path()), &options);
        let problem = told.err().with_context(|| format!("items {items:?} were accepted"))?;
        assert_told(&problem, &[fact])?;
    }
    Ok(())
}

#[test]
fn run_settings_that_make_no_sense_are_told() -> Result<()> {
    let cases = [
        ("persona = ", "run.toml"),
        ("persona = \"sycophancy\"\nformat = 99", "99"),
        ("persona = \"nobody\"", "nobody"),
        ("persona = \"sycophancy\"\npopulation = 0", "population"),
        ("persona = \"sycophancy\"\nprompt_len = 0", "prompt"),
        ("persona = \"sycophancy\"\nprompt_len = 5000", "512"),
        ("persona = \"sycophancy\"\nchildren = 0", "child"),
        ("persona = \"sycophancy\"\nblock = 60", "60"),
        ("persona = \"sycophancy\"\nlambda_min = -1.0", "lambda"),
        ("persona = \"sycophancy\"\npopulaton = 4", "populaton"),
    ];
    for (text, fact) in cases {
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("run.toml");
        fs::write(&config, text)?;
        let options =
            DiscoverOptions { model: ModelSource::Demo, config, out: folder.path().join("run"), resume: false };
        let told = headless::discover(&global(folder.path()), &options);
        let problem = told.err().with_context(|| format!("{text:?} was accepted"))?;
        assert_told(&problem, &[fact]).with_context(|| text.to_owned())?;
    }
    Ok(())
}
