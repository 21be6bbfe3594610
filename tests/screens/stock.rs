//! Made-up models and SAEs: installed, recommended, offered by the hub, and on their way.

use std::path::PathBuf;

use tiller_protocol::asset::{
    Asset, AssetKind, AssetLibrary, AssetOrigin, AssetState, CatalogueEntry, Download, DownloadFile, DownloadId,
    DownloadOrder, DownloadPhase, FolderKind, Gate, HubChoice, HubFile, HubListing, RepoRef, ShapeNeed, StorageFolder,
    WeightsIn,
};
use tiller_protocol::model::MemoryNeed;
use tiller_protocol::problem::Problem;

/// When the window was opened, seconds since 1970.
pub(crate) const NOW: u64 = 1_790_000_000;
/// The hub's cache.
pub(crate) const CACHE: &str = "/home/ada/.cache/huggingface/hub";
const COMMIT: &str = "3f1c9d4e5a6b7c8d9e0f1a2b3c4d5e6f7a8b9c0d";
const DAY: u64 = 86_400;

/// A repository at its main branch.
pub(crate) fn repo(id: &str) -> RepoRef {
    RepoRef { id: id.to_owned(), revision: None }
}

/// A model from the hub, complete.
pub(crate) fn from_hub(id: &str, bytes: u64) -> Asset {
    let folder = format!("{CACHE}/models--{}", id.replace('/', "--"));
    Asset {
        path: PathBuf::from(format!("{folder}/snapshots/{COMMIT}")),
        kind: AssetKind::Model,
        name: id.rsplit('/').next().unwrap_or(id).to_owned(),
        origin: AssetOrigin::Hub { repo: repo(id), commit: COMMIT.to_owned() },
        folder: Some(PathBuf::from(CACHE)),
        state: AssetState::Ready,
        bytes,
        dtype: Some("bf16".to_owned()),
        architecture: Some("LlamaForCausalLM".to_owned()),
        n_layers: Some(32),
        d_model: Some(4096),
        d_sae: None,
        context_len: Some(131_072),
        has_chat_template: Some(true),
        reads: None,
        hash: Some("9f31c2a4d07be561".to_owned()),
        last_used: Some(NOW - 3 * DAY),
    }
}

/// A file that is linked where the user keeps it.
pub(crate) fn linked(path: &str, bytes: u64) -> Asset {
    let name = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".gguf").to_owned();
    Asset {
        path: PathBuf::from(path),
        name,
        origin: AssetOrigin::Linked,
        folder: None,
        dtype: Some("Q4_K_M".to_owned()),
        architecture: Some("Qwen2ForCausalLM".to_owned()),
        n_layers: Some(28),
        d_model: Some(3584),
        hash: None,
        last_used: None,
        ..from_hub("x/y", bytes)
    }
}

fn sae() -> Asset {
    let root = from_hub("google/gemma-scope-2b-pt-res", 302_000_000);
    Asset {
        path: root.path.join("layer_20/width_16k/average_l0_71"),
        kind: AssetKind::Sae,
        name: "gemma-scope-2b-pt-res layer_20/width_16k/average_l0_71".to_owned(),
        architecture: Some("jumprelu".to_owned()),
        dtype: Some("f32".to_owned()),
        n_layers: Some(20),
        d_model: Some(2304),
        d_sae: Some(16_384),
        context_len: None,
        has_chat_template: None,
        reads: Some("google/gemma-2-2b".to_owned()),
        hash: None,
        last_used: None,
        ..root
    }
}

fn demo() -> Asset {
    Asset {
        path: PathBuf::from("/usr/share/tiller/demo/model"),
        name: "Tiller demo".to_owned(),
        origin: AssetOrigin::Shipped,
        folder: None,
        dtype: Some("f32".to_owned()),
        n_layers: Some(6),
        d_model: Some(192),
        context_len: Some(512),
        last_used: Some(NOW - 7200),
        ..from_hub("tiller/demo", 15_400_000)
    }
}

/// The cache and an added disk.
pub(crate) fn folders() -> Vec<StorageFolder> {
    let cache = StorageFolder {
        path: PathBuf::from(CACHE),
        kind: FolderKind::HubCache,
        is_chosen: true,
        is_present: true,
        free_bytes: Some(112_400_000_000),
        used_bytes: 48_300_000_000,
    };
    let disk = StorageFolder {
        path: PathBuf::from("/media/ada/models"),
        kind: FolderKind::Added,
        is_chosen: false,
        free_bytes: Some(1_800_000_000_000),
        used_bytes: 210_000_000_000,
        ..cache.clone()
    };
    let gone = StorageFolder {
        path: PathBuf::from("/media/ada/Backup disk with a rather long name/language models/huggingface"),
        is_present: false,
        free_bytes: None,
        ..disk.clone()
    };
    vec![cache, disk, gone]
}

/// One asset in every state.
pub(crate) fn library() -> AssetLibrary {
    let broken = Problem::new(
        "A tensor of the model is cut short",
        "model-00002-of-00004.safetensors ends after 1 204 224 bytes; its header promises 4 999 802 720.",
        "Download it again, or take the file from a good copy.",
    );
    let incomplete = AssetState::Incomplete { done_bytes: 3_200_000_000, total_bytes: Some(5_228_000_000) };
    let mut assets = vec![
        from_hub("meta-llama/Llama-3.1-8B-Instruct", 16_070_000_000),
        Asset { state: AssetState::Broken(broken), ..from_hub("mistralai/Mistral-7B-Instruct-v0.3", 14_500_000_000) },
        Asset { state: incomplete, hash: None, last_used: None, ..from_hub("google/gemma-2-2b-it", 3_200_000_000) },
        linked("/home/ada/LM Studio/models/qwen/Qwen2.5-7B-Instruct-Q4_K_M.gguf", 4_680_000_000),
        Asset { state: AssetState::Missing, ..linked("/media/ada/usb/Qwen3-4B-Q8_0.gguf", 4_280_000_000) },
        Asset {
            origin: AssetOrigin::Copied,
            path: PathBuf::from("/home/ada/.local/share/tiller/imports/my-fine-tune"),
            name: "my-fine-tune-of-llama-3.2-1b-on-polite-answers-second-attempt-with-more-data".to_owned(),
            ..from_hub("x/y", 2_470_000_000)
        },
        sae(),
        demo(),
    ];
    assets.sort_by_key(|asset| asset.name.to_lowercase());
    AssetLibrary { folders: folders(), assets }
}

/// A library of so many models.
pub(crate) fn many(n: usize) -> AssetLibrary {
    let asset =
        |index: usize| from_hub(&format!("owner-{}/model-number-{index:03}", index % 7), 1_000_000 * index as u64);
    AssetLibrary { folders: folders(), assets: (0..n).map(asset).collect() }
}

/// What a model of so many parameters takes.
pub(crate) fn shape(n_params: u64, n_layers: usize, d_model: usize) -> ShapeNeed {
    let weights = [("f32", 4.0), ("bf16", 2.0), ("Q8_0", 1.07), ("Q4_K_M", 0.6)];
    let weights = weights.map(|(format, per_parameter)| WeightsIn {
        format: format.to_owned(),
        bytes: (n_params as f64 * per_parameter) as u64,
    });
    ShapeNeed {
        architecture: "LlamaForCausalLM".to_owned(),
        n_params,
        n_layers,
        d_model,
        context_len: 131_072,
        weights: weights.into(),
        work: MemoryNeed {
            context_tokens: 4096,
            cache_bytes: 536_000_000,
            chat_bytes: 300_000_000,
            ..MemoryNeed::default()
        },
    }
}

fn entry(name: &str, id: &str, licence: &str, gate: Gate, n_params: u64) -> CatalogueEntry {
    CatalogueEntry {
        name: name.to_owned(),
        kind: AssetKind::Model,
        repo: repo(id),
        choice: None,
        licence: licence.to_owned(),
        gate,
        download_bytes: Some(2 * n_params),
        shape: Some(shape(n_params, 32, 4096)),
        reads: Vec::new(),
        note: "A good all-rounder for steering experiments.".to_owned(),
        is_own: false,
    }
}

/// Models with the SAEs that read them.
pub(crate) fn catalogue() -> Vec<CatalogueEntry> {
    let scope = CatalogueEntry {
        kind: AssetKind::Sae,
        choice: Some("layer_20/width_16k/average_l0_71".to_owned()),
        shape: None,
        download_bytes: Some(302_000_000),
        reads: vec!["google/gemma-2-2b-it".to_owned()],
        ..entry("Gemma Scope, block 20, 16k latents", "google/gemma-scope-2b-pt-res", "CC BY 4.0", Gate::Open, 0)
    };
    let mine = CatalogueEntry {
        is_own: true,
        ..entry("Our lab's persona model", "lab/persona-1b", "MIT", Gate::Open, 1_240_000_000)
    };
    vec![
        entry("Qwen2.5 1.5B Instruct", "Qwen/Qwen2.5-1.5B-Instruct", "Apache 2.0", Gate::Open, 1_540_000_000),
        entry("Gemma 2 2B Instruct", "google/gemma-2-2b-it", "Gemma", Gate::Automatic, 2_610_000_000),
        scope,
        entry(
            "Llama 3.1 8B Instruct",
            "meta-llama/Llama-3.1-8B-Instruct",
            "Llama 3.1 Community",
            Gate::Manual,
            8_030_000_000,
        ),
        entry("Qwen3 32B", "Qwen/Qwen3-32B", "Apache 2.0", Gate::Open, 32_800_000_000),
        mine,
    ]
}

fn file(path: &str, bytes: u64, present_bytes: u64) -> HubFile {
    HubFile { path: path.to_owned(), bytes, present_bytes }
}

/// What a repository with safetensors and two quantisations offers.
pub(crate) fn listing(id: &str) -> HubListing {
    let small = [
        file("config.json", 889, 889),
        file("generation_config.json", 184, 0),
        file("tokenizer.json", 9_085_657, 0),
        file("tokenizer_config.json", 55_351, 0),
    ];
    let shards = (1..=4).map(|shard| file(&format!("model-0000{shard}-of-00004.safetensors"), 4_017_000_123, 0));
    let gguf = |label: &str, bytes| HubChoice {
        id: format!("model-{label}.gguf"),
        kind: AssetKind::Model,
        label: label.to_owned(),
        files: vec![file(&format!("model-{label}.gguf"), bytes, bytes / 3)],
    };
    HubListing {
        repo: repo(id),
        commit: COMMIT.to_owned(),
        page: format!("https://huggingface.co/{id}"),
        gate: Gate::Open,
        licence: Some("apache-2.0".to_owned()),
        choices: vec![
            HubChoice {
                id: "safetensors".to_owned(),
                kind: AssetKind::Model,
                label: "safetensors, bf16".to_owned(),
                files: small.into_iter().chain(shards).collect(),
            },
            gguf("Q8_0", 8_540_000_000),
            gguf("Q4_K_M", 4_920_000_000),
        ],
        left_out_files: 9,
        left_out_bytes: 16_100_000_000,
        folder: PathBuf::from(CACHE),
        free_disk_bytes: Some(112_400_000_000),
        shape: Some(shape(8_030_000_000, 32, 4096)),
        free_memory_bytes: Some(20_000_000_000),
        locked: None,
        obstacle: None,
    }
}

/// A repository of very many SAEs.
pub(crate) fn scope(n: usize) -> HubListing {
    let choice = |index: usize| {
        let id = format!("layer_{}/width_16k/average_l0_{}", index / 8, 20 + index % 8 * 13);
        let files = vec![file(&format!("{id}/params.npz"), 302_000_000, if index == 3 { 302_000_000 } else { 0 })];
        HubChoice { kind: AssetKind::Sae, label: id.clone(), id, files }
    };
    HubListing {
        choices: (0..n).map(choice).collect(),
        shape: None,
        left_out_files: 0,
        ..listing("google/gemma-scope-2b-pt-res")
    }
}

/// A download in some phase; its first file is complete.
pub(crate) fn download(id: u64, repo_id: &str, phase: DownloadPhase) -> Download {
    let is_done = matches!(phase, DownloadPhase::Done { .. });
    let total_bytes = 4_976_698_672;
    let files =
        [("model-00001-of-00002.safetensors", total_bytes), ("model-00002-of-00002.safetensors", 1_204_224_000)]
            .into_iter()
            .map(|(path, done)| DownloadFile {
                path: path.to_owned(),
                done_bytes: if is_done { total_bytes } else { done },
                total_bytes,
                is_complete: is_done || done == total_bytes,
            });
    let running = phase == DownloadPhase::Running;
    Download {
        id: DownloadId(id),
        order: DownloadOrder { repo: repo(repo_id), choice: "safetensors".to_owned(), folder: None },
        kind: AssetKind::Model,
        label: "safetensors, bf16".to_owned(),
        files: if phase == DownloadPhase::Waiting { Vec::new() } else { files.collect() },
        phase,
        bytes_per_sec: running.then_some(42_300_000.0),
        secs_left: running.then_some(89.0),
    }
}
