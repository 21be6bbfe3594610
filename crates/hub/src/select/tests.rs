use super::*;
use crate::listing::Sum;

fn files(paths: &[(&str, u64)]) -> Vec<RemoteFile> {
    let file = |(path, bytes): &(&str, u64)| RemoteFile {
        path: (*path).to_owned(),
        bytes: *bytes,
        sum: Sum::GitBlob([0; 20]),
    };
    paths.iter().map(file).collect()
}

/// Id, label and paths of all choices.
fn told(selection: &Selection) -> Vec<(&str, &str, Vec<&str>)> {
    fn tell(choice: &Choice) -> (&str, &str, Vec<&str>) {
        (&choice.id, &choice.label, choice.files.iter().map(|file| file.path.as_str()).collect())
    }
    selection.choices.iter().map(tell).collect()
}

#[test]
fn a_checkpoint_comes_without_what_holds_the_same_again() {
    let selection = choices(&files(&[
        (".gitattributes", 1),
        ("README.md", 2),
        ("added_tokens.json", 1),
        ("additional_chat_templates/tool_use.jinja", 1),
        ("chat_template.jinja", 1),
        ("config.json", 1),
        ("consolidated.safetensors", 500),
        ("flax_model.msgpack", 500),
        ("generation_config.json", 1),
        ("model-00001-of-00002.safetensors", 300),
        ("model-00002-of-00002.safetensors", 200),
        ("model.fp16.safetensors", 250),
        ("model.safetensors.index.json", 1),
        ("onnx/config.json", 1),
        ("onnx/model.onnx", 500),
        ("original/consolidated.00.pth", 500),
        ("pytorch_model.bin", 500),
        ("tf_model.h5", 500),
        ("tokenizer.json", 1),
        ("tokenizer.model", 1),
        ("tokenizer_config.json", 1),
    ]));
    let expected = vec![
        "added_tokens.json",
        "additional_chat_templates/tool_use.jinja",
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
        "tokenizer.json",
        "tokenizer.model",
        "tokenizer_config.json",
    ];
    assert_eq!(told(&selection), [("safetensors", "safetensors", expected)]);
    assert_eq!(selection.left_out_files, 10);
    assert_eq!(selection.left_out_bytes, 1 + 2 + 500 * 6 + 250 + 1);
    assert!(!selection.is_pickle_only);
}

#[test]
fn one_file_is_taken_before_shards_and_shards_only_when_none_is_missing() {
    let whole =
        choices(&files(&[("config.json", 1), ("model.safetensors", 9), ("model-00001-of-00002.safetensors", 5)]));
    assert_eq!(told(&whole)[0].2, ["config.json", "model.safetensors"]);
    for missing in [
        &[("config.json", 1), ("model-00001-of-00002.safetensors", 5), ("model.safetensors.index.json", 1)][..],
        &[("config.json", 1), ("model-00001-of-00001.safetensors", 5)],
        &[("model.safetensors", 5)],
        &[("sub/config.json", 1), ("sub/model.safetensors", 5)],
    ] {
        assert_eq!(choices(&files(missing)).choices, [], "{missing:?}");
    }
}

#[test]
fn a_model_of_pickled_objects_is_named_as_what_it_is() {
    let selection =
        choices(&files(&[("config.json", 1), ("pytorch_model-00001-of-00002.bin", 5), ("tokenizer.json", 1)]));
    assert!(selection.choices.is_empty() && selection.is_pickle_only);
    assert!(!choices(&files(&[("data.csv", 1)])).is_pickle_only);
}

#[test]
fn each_gguf_file_is_a_choice_with_all_its_parts() {
    let selection = choices(&files(&[
        ("README.md", 1),
        ("big-Q8_0-00001-of-00002.gguf", 400),
        ("big-Q8_0-00002-of-00002.gguf", 400),
        ("mmproj-big-f16.gguf", 100),
        ("small-Q4_K_M.gguf", 300),
        ("torn-Q6_K-00001-of-00002.gguf", 300),
        ("other-Q4_K_M.gguf", 200),
    ]));
    assert_eq!(
        told(&selection),
        [
            (
                "big-Q8_0-00001-of-00002.gguf",
                "Q8_0",
                vec!["big-Q8_0-00001-of-00002.gguf", "big-Q8_0-00002-of-00002.gguf"]
            ),
            ("small-Q4_K_M.gguf", "Q4_K_M (small-Q4_K_M.gguf)", vec!["small-Q4_K_M.gguf"]),
            ("other-Q4_K_M.gguf", "Q4_K_M (other-Q4_K_M.gguf)", vec!["other-Q4_K_M.gguf"]),
        ]
    );
    assert_eq!((selection.left_out_files, selection.left_out_bytes), (3, 401));
}

#[test]
fn autoencoders_of_every_suite_are_found_by_folder() {
    for (paths, id, n_files) in [
        (&["s/cfg.json", "s/sae_weights.safetensors", "s/sparsity.safetensors", "s/runner_cfg.json"][..], "s", 3),
        (&["cfg.json", "sae_weights.safetensors"], ".", 2),
        (&["layer_20/width_16k/average_l0_71/params.npz"], "layer_20/width_16k/average_l0_71", 1),
        (
            &["resid_post/l/config.json", "resid_post/l/params.safetensors", "resid_post/l/examples.safetensors"],
            "resid_post/l",
            2,
        ),
        (&["L15R-8x/hyperparams.json", "L15R-8x/checkpoints/final.safetensors"], "L15R-8x", 2),
        (&["mix/L3R/config.json", "mix/L3R/sae_weights.safetensors"], "mix/L3R", 2),
        (&["l/trainer_1/ae.pt", "l/trainer_1/config.json", "l/trainer_1/eval_results.json"], "l/trainer_1", 3),
        (&["layers.3.mlp/cfg.json", "layers.3.mlp/sae.safetensors"], "layers.3.mlp", 2),
        (&["layer3.sae.pt"], "layer3.sae.pt", 1),
        (&["Llama-3.1-8B-Instruct-SAE-l19.pth", "config.yaml"], "Llama-3.1-8B-Instruct-SAE-l19.pth", 1),
    ] {
        let paths = paths.iter().map(|path| (*path, 1)).collect::<Vec<_>>();
        let selection = choices(&files(&paths));
        let found = selection.choices.iter().map(|choice| (choice.kind, choice.id.as_str(), choice.files.len()));
        assert_eq!(found.collect::<Vec<_>>(), [(AssetKind::Sae, id, n_files)], "{paths:?}");
        assert!(!selection.is_pickle_only);
    }
    let half = choices(&files(&[("a/cfg.json", 1), ("b/sae_weights.safetensors", 1), ("c/config.json", 1)]));
    assert_eq!((half.choices.len(), half.left_out_files), (0, 3));
}

#[test]
fn layers_are_listed_by_number() {
    let paths =
        ["layer_10/w/params.npz", "layer_2/w/params.npz", "layer_2/w_1m/params.npz", "layer_2/w_16k/params.npz"];
    let selection = choices(&files(&paths.map(|path| (path, 1))));
    let ids = selection.choices.iter().map(|choice| choice.id.as_str()).collect::<Vec<_>>();
    assert_eq!(ids, ["layer_2/w", "layer_2/w_1m", "layer_2/w_16k", "layer_10/w"]);
}
