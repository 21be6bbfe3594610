//! The shipped list against what is published, and the user's own.

use tiller_hub::listing::{RemoteFile, Sum};
use tiller_hub::select;

use super::*;

fn shipped() -> Vec<CatalogueEntry> {
    let nowhere = tempfile::tempdir().unwrap();
    let (entries, troubles) = entries(nowhere.path());
    assert_eq!(troubles, []);
    entries
}

#[test]
fn counted_parameters_are_the_published_ones() {
    // As the model cards round them, in thousands of millions.
    let published = [
        ("Llama 3.2 1B", 1.24),
        ("Llama 3.1 8B", 8.03),
        ("Llama 3.3 70B", 70.55),
        ("Mistral 7B v0.3", 7.25),
        ("Qwen2.5 0.5B", 0.494),
        ("Qwen2.5 7B", 7.62),
        ("Qwen3 0.6B", 0.596),
        ("Qwen3 8B", 8.19),
        ("Gemma 2 2B", 2.61),
        ("Gemma 2 9B", 9.24),
        ("Gemma 3 1B", 1.00),
        ("Gemma 3 4B", 3.88),
    ];
    let entries = shipped();
    for (name, billions) in published {
        let entry = entries.iter().find(|entry| entry.name == name).unwrap();
        let found = entry.shape.as_ref().unwrap().n_params as f64 / 1e9;
        assert!((found / billions - 1.0).abs() < 0.005, "{name}: {found} is not {billions}");
    }
}

#[test]
fn downloads_are_as_large_as_the_published_files() {
    // Of the weight files together, GB.
    let published = [
        ("Llama 3.2 1B", 2.47),
        ("Llama 3.1 8B", 16.06),
        ("Qwen2.5 0.5B", 0.988),
        ("Qwen3 0.6B", 1.503),
        ("Qwen3 1.7B", 4.064),
        ("Qwen3 4B", 8.045),
        ("Gemma 2 2B", 5.229),
        ("Gemma 3 1B", 2.0),
        ("Gemma 3 4B", 8.6),
        ("Gemma 3 27B", 54.86),
    ];
    let entries = shipped();
    for (name, gigabytes) in published {
        let entry = entries.iter().find(|entry| entry.name == name).unwrap();
        let found = entry.download_bytes.unwrap() as f64 / 1e9;
        assert!((found / gigabytes - 1.0).abs() < 0.005, "{name}: {found} GB is not {gigabytes}");
    }
}

#[test]
fn the_best_format_is_the_largest_that_fits() {
    let entries = shipped();
    let llama = entries.iter().find(|entry| entry.name == "Llama 3.1 8B").unwrap().shape.as_ref().unwrap();
    let best = |gigabytes: u64| llama.best_fit(gigabytes * 1_000_000_000).map(|weights| weights.format.as_str());
    assert_eq!([best(40), best(20), best(12), best(4)], [Some("f32"), Some("bf16"), Some("Q8_0"), None]);
}

/// A family that Tiller does not run would be an error of its config, so it would be among the troubles.
#[test]
fn every_model_has_a_shape_and_every_sae_reads_models_of_the_list() {
    let entries = shipped();
    let of = |kind| entries.iter().filter(move |entry| entry.kind == kind);
    let ids: Vec<&str> = of(AssetKind::Model).map(|model| model.repo.id.as_str()).collect();
    assert!(ids.len() >= 20 && of(AssetKind::Model).all(|model| model.shape.is_some()));
    for entry in &entries {
        let alike = entries.iter().filter(|other| (&other.repo, &other.choice) == (&entry.repo, &entry.choice));
        assert_eq!(alike.count(), 1, "{} is listed once", entry.name);
        assert!(entry.note.ends_with('.') && entry.note.len() < 130 && !entry.is_own, "{}", entry.name);
    }
    for sae in of(AssetKind::Sae) {
        assert!(!sae.reads.is_empty() && sae.choice.is_some(), "{}", sae.name);
        for read in &sae.reads {
            assert!(ids.contains(&read.as_str()), "{} reads {read}, which is not listed", sae.name);
        }
    }
    assert!(entries.is_sorted_by_key(|entry| entry.kind), "models first");
}

#[test]
fn the_users_own_list_stands_behind_the_shipped_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(OWN);
    let own = r#"
        format = 1
        [[model]]
        name = "Ours"
        hub = "us/ours@v2"
        [[sae]]
        name = "Ours, block 3"
        hub = "us/sae"
        choice = "block3"
        reads = ["us/ours"]
        [[model]]
        name = "Unknown family"
        hub = "us/mamba"
        config = { architectures = ["MambaForCausalLM"] }
    "#;
    std::fs::write(&path, own).unwrap();
    let (with_own, troubles) = entries(dir.path());
    assert_eq!(troubles.len(), 1, "{troubles:?}");
    assert!(troubles[0].cause.contains("Unknown family"), "{troubles:?}");
    let ours: Vec<&CatalogueEntry> = with_own.iter().filter(|entry| entry.is_own).collect();
    assert_eq!(ours.len(), 2);
    assert_eq!((ours[0].repo.revision.as_deref(), ours[0].download_bytes), (Some("v2"), None));
    assert_eq!((ours[1].kind, ours[1].reads.as_slice()), (AssetKind::Sae, ["us/ours".to_owned()].as_slice()));

    for (text, word) in
        [("format = 1\n[[model]]\nnmae = \"x\"", "nmae"), ("format = 9", "format 9"), ("[[model", "catalogue.toml")]
    {
        std::fs::write(&path, text).unwrap();
        let (entries, troubles) = entries(dir.path());
        assert_eq!(entries, shipped(), "the shipped list still works");
        assert!(troubles.len() == 1 && troubles[0].cause.contains(word), "{troubles:?}");
    }
}

/// The names by which the catalogue's SAEs are ordered are those that their files are offered under.
#[test]
fn every_sae_of_the_list_is_a_choice_of_its_repository() {
    let layouts: [(&str, &[&str]); 6] = [
        ("gemma-scope-2-", &["config.json", "params.safetensors", "examples.safetensors"]),
        ("gemma-scope-", &["params.npz"]),
        ("andyrdt/", &["ae.pt", "config.json"]),
        ("fnlp/", &["hyperparams.json", "checkpoints/final.safetensors"]),
        ("chanind/", &["cfg.json", "sae_weights.safetensors"]),
        ("Juliushanhanhan/", &["cfg.json", "sae_weights.safetensors"]),
    ];
    for sae in shipped().iter().filter(|entry| entry.kind == AssetKind::Sae) {
        let choice = sae.choice.as_deref().unwrap();
        let layout = layouts.iter().find(|(name, _)| sae.repo.id.contains(name));
        let paths = match layout {
            Some((_, files)) => files.iter().map(|file| format!("{choice}/{file}")).collect(),
            None => vec![choice.to_owned()],
        };
        let file = |path: &String| RemoteFile { path: path.clone(), bytes: 1, sum: Sum::Sha256([0; 32]) };
        let files: Vec<RemoteFile> = paths.iter().map(file).collect();
        let offered = select::choices(&files).choices;
        assert!(offered.iter().any(|offered| offered.id == choice && offered.kind == AssetKind::Sae), "{choice}");
    }
}
