use super::*;

const LLAMA: &str = r#"{"architectures":["LlamaForCausalLM"],"hidden_size":64,"num_hidden_layers":2,
    "num_attention_heads":4,"num_key_value_heads":2,"intermediate_size":96,"vocab_size":100,
    "max_position_embeddings":128,"rms_norm_eps":1e-5,"eos_token_id":[2,7],"tie_word_embeddings":true"#;

/// The least that a file of any family holds.
const SIZES: &str = r#""hidden_size":64,"num_hidden_layers":8,"num_attention_heads":4,"num_key_value_heads":2,
    "intermediate_size":96,"vocab_size":100"#;

fn llama(more: &str) -> Result<ModelConfig> {
    ModelConfig::from_json(&format!("{LLAMA}{more}}}"))
}

fn family(architecture: &str, more: &str) -> Result<ModelConfig> {
    ModelConfig::from_json(&format!(r#"{{"architectures":["{architecture}"],{SIZES}{more}}}"#))
}

#[track_caller]
fn named(found: Result<ModelConfig>, word: &str) {
    let message = found.unwrap_err().to_string();
    assert!(message.contains(word), "{message} does not name {word}");
}

fn windows(config: &ModelConfig) -> Vec<usize> {
    config.blocks.iter().map(|block| block.window.unwrap_or(0)).collect()
}

#[test]
fn both_spellings_of_the_rotary_settings_agree() {
    let scaling = r#""rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,
        "original_max_position_embeddings":64"#;
    let older = llama(&format!(r#","rope_theta":500000.0,"rope_scaling":{{{scaling}}}"#)).unwrap();
    let newer = llama(&format!(r#","rope_parameters":{{"rope_theta":500000.0,{scaling}}}"#)).unwrap();
    assert_eq!(older, newer);
    assert_eq!((older.ropes[0].theta, older.head_dim, older.eos_ids), (500_000.0, 16, vec![2, 7]));
    let short = r#"{"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0}"#;
    let longest = llama(&format!(r#","rope_scaling":{short}"#)).unwrap().ropes[0].scaling;
    assert!(matches!(longest, RopeScaling::Llama3 { original_context: 128.0, .. }), "{longest:?}");
}

#[test]
fn both_spellings_of_two_bases_agree() {
    let older = family(
        "Gemma3ForCausalLM",
        r#","rope_theta":2e6,"rope_local_base_freq":3e4,"rope_scaling":{"rope_type":"linear","factor":8.0}"#,
    );
    let newer = family(
        "Gemma3ForCausalLM",
        r#","rope_parameters":{"full_attention":{"rope_type":"linear","factor":8.0,"rope_theta":2e6},
            "sliding_attention":{"rope_type":"default","rope_theta":3e4}}"#,
    );
    let older = older.unwrap();
    assert_eq!(older, newer.unwrap());
    let params = |theta, scaling| RopeParams { theta, scaling };
    assert_eq!(older.ropes, [params(2e6, RopeScaling::Linear { factor: 8.0 }), params(3e4, RopeScaling::None)]);
    // Settings by kind serve a family with one base, too; equal ones are one.
    let keyed = |local: &str| {
        let text = format!(
            r#","rope_parameters":{{"full_attention":{{"rope_theta":5e5}},"sliding_attention":{{"rope_theta":{local}}}}}"#
        );
        family("Gemma2ForCausalLM", &text).unwrap().ropes.len()
    };
    assert_eq!((keyed("5e5"), keyed("1e4")), (1, 2));
}

#[test]
fn two_rotary_settings_that_differ_are_refused() {
    let both = |older: &str| {
        let newer = r#""rope_parameters":{"rope_type":"linear","factor":2.0}"#;
        llama(&format!(r#",{newer},"rope_scaling":{older}"#))
    };
    let error = both(r#"{"rope_type":"linear","factor":4.0}"#).unwrap_err().to_string();
    assert!(error.contains("rope_parameters") && error.contains("rope_scaling"), "{error}");
    for same in ["null", "{}", r#"{"rope_type":"linear","factor":2.0}"#] {
        assert_eq!(both(same).unwrap().ropes[0].scaling, RopeScaling::Linear { factor: 2.0 }, "{same}");
    }
}

#[test]
fn rotary_settings_for_other_kinds_of_block_are_refused() {
    let keyed = r#","rope_parameters":{"full_attention":{"rope_type":"linear","factor":8.0}}"#;
    assert!(llama(keyed).unwrap_err().to_string().contains("keyed"));
    let flat = r#","rope_parameters":{"rope_type":"linear","factor":8.0}"#;
    assert!(family("Gemma3ForCausalLM", flat).unwrap_err().to_string().contains("full_attention"));
    assert!(family("Gemma3ForCausalLM", keyed).is_ok());
}

#[test]
fn windows_follow_the_family() {
    let mistral = |more: &str| windows(&family("MistralForCausalLM", more).unwrap());
    assert_eq!(mistral(""), [4096; 8]);
    assert_eq!(mistral(r#","sliding_window":null"#), [0; 8]);
    for name in ["Qwen2ForCausalLM", "Qwen3ForCausalLM"] {
        let qwen = |more: &str| windows(&family(name, &format!(r#","sliding_window":16{more}"#)).unwrap());
        assert_eq!(qwen(r#","max_window_layers":0"#), [0; 8], "{name}: off by default");
        let on = r#","use_sliding_window":true,"max_window_layers":6"#;
        assert_eq!(qwen(on), [0, 0, 0, 0, 0, 0, 16, 16], "{name}");
        let kinds = r#","use_sliding_window":true,"layer_types":["sliding_attention","full_attention",
            "full_attention","full_attention","full_attention","full_attention","full_attention","full_attention"]"#;
        assert_eq!(qwen(kinds), [16, 0, 0, 0, 0, 0, 0, 0], "{name}");
    }
    assert_eq!(windows(&family("Gemma2ForCausalLM", "").unwrap()), [4096, 0, 4096, 0, 4096, 0, 4096, 0]);
    let gemma = family("Gemma3ForCausalLM", r#","sliding_window":512"#).unwrap();
    assert_eq!(windows(&gemma), [512, 512, 512, 512, 512, 0, 512, 512]);
    assert_eq!(gemma.blocks.iter().map(|block| block.rope).collect::<Vec<_>>(), [1, 1, 1, 1, 1, 0, 1, 1]);
    let gemma = family("Gemma3ForCausalLM", r#","sliding_window":512,"sliding_window_pattern":3"#).unwrap();
    assert_eq!(windows(&gemma), [512, 512, 0, 512, 512, 0, 512, 512]);
    assert_eq!(windows(&llama(r#","sliding_window":512"#).unwrap()), [0, 0], "a leftover key, as in the reference");
}

#[test]
fn what_a_file_leaves_out_is_the_family_s() {
    let of = |name| family(name, "").unwrap();
    let facts = |config: &ModelConfig| (config.tied, config.head_dim, config.context_len, config.arch.qkv_bias);
    assert_eq!(facts(&of("MistralForCausalLM")), (false, 16, 131_072, false));
    assert_eq!(facts(&of("Qwen2ForCausalLM")), (false, 16, 32_768, true));
    assert_eq!(facts(&of("Qwen3ForCausalLM")), (false, 128, 32_768, false));
    assert_eq!(facts(&of("Gemma2ForCausalLM")), (true, 256, 8192, false));
    assert_eq!(facts(&of("Gemma3ForCausalLM")), (true, 256, 131_072, false));
    let gemma = of("Gemma2ForCausalLM").arch;
    assert_eq!((gemma.attn_softcap, gemma.final_softcap, gemma.attn_scalar), (Some(50.0), Some(30.0), Some(256.0)));
    assert_eq!((gemma.embed_scale, gemma.norm_offset, gemma.activation), (8.0, 1.0, Activation::GeluTanh));
    assert!(of("Gemma3ForCausalLM").arch.qk_norm && of("Qwen3ForCausalLM").arch.qk_norm && !gemma.qk_norm);
}

/// The least that a published wrapper says of its language model.
#[test]
fn a_wrapper_holds_a_language_model() {
    let text = r#"{"architectures":["Gemma3ForConditionalGeneration"],"eos_token_id":[1,106],"vision_config":{},
        "text_config":{"hidden_size":2560,"intermediate_size":10240,"num_hidden_layers":7,"sliding_window":1024,
        "rope_scaling":{"factor":8.0,"rope_type":"linear"},"eos_token_id":1}}"#;
    let config = ModelConfig::from_json(text).unwrap();
    assert_eq!((config.n_heads, config.n_kv_heads, config.head_dim, config.vocab_size), (8, 4, 256, 262_208));
    assert_eq!((config.eos_ids.as_slice(), config.tied), (&[1_u32, 106][..], true));
    assert_eq!(config.ropes[0], RopeParams { theta: 1e6, scaling: RopeScaling::Linear { factor: 8.0 } });
    assert_eq!(windows(&config), [1024, 1024, 1024, 1024, 1024, 0, 1024]);
    named(ModelConfig::from_json(r#"{"architectures":["Gemma3ForConditionalGeneration"]}"#), "text_config");
}

#[test]
fn mistakes_and_unsupported_settings_are_named() {
    for (more, word) in [
        (r#","rope_scaling":{"rope_type":"yarn","factor":4.0}"#, "yarn"),
        (r#","rope_scaling":{"type":"dynamic","factor":4.0}"#, "dynamic"),
        (r#","rope_scaling":{"rope_type":"linear"}"#, "factor"),
        (r#","rope_parameters":{"partial_rotary_factor":0.5}"#, "partial_rotary_factor"),
        (r#","partial_rotary_factor":0.5"#, "partial_rotary_factor"),
        (r#","head_dim":0"#, "head_dim"),
        (r#","head_dim":-2"#, "head_dim"),
        (r#","hidden_act":"gelu""#, "gelu"),
        (r#","rms_norm_eps":"x""#, "rms_norm_eps"),
        (r#","mlp_bias":true"#, "mlp_bias"),
        (r#","num_experts":8"#, "num_experts"),
        (r#","num_local_experts":8"#, "num_local_experts"),
        (r#","quantization_config":{"quant_method":"gptq"}"#, "quantization_config"),
        (r#","attn_logit_softcapping":50.0"#, "attn_logit_softcapping"),
        (r#","use_sliding_window":true"#, "use_sliding_window"),
        (r#","layer_types":["sliding_attention","full_attention"]"#, "layer_types"),
    ] {
        named(llama(more), word);
    }
    let huge = LLAMA.replace("\"hidden_size\":64", "\"hidden_size\":1000000000000");
    named(ModelConfig::from_json(&format!("{huge}}}")), "hidden_size");
    let odd = LLAMA.replace("\"num_attention_heads\":4", "\"num_attention_heads\":6");
    named(ModelConfig::from_json(&format!("{odd}}}")), "hidden_size");
    named(family("Gemma3ForCausalLM", r#","use_bidirectional_attention":true"#), "use_bidirectional_attention");
    named(family("Gemma3ForCausalLM", r#","attn_logit_softcapping":50.0"#), "attn_logit_softcapping");
    named(family("Gemma2ForCausalLM", r#","layer_types":["full_attention"]"#), "layer_types");
    named(family("Gemma2ForCausalLM", r#","final_logit_softcapping":-3.0"#), "soft caps");
    named(family("Gemma2ForCausalLM", r#","hidden_activation":"relu""#), "hidden_activation");
    let chunked = r#","use_sliding_window":true,"layer_types":["chunked_attention","full_attention","full_attention",
        "full_attention","full_attention","full_attention","full_attention","full_attention"]"#;
    named(family("Qwen3ForCausalLM", chunked), "chunked_attention");
    assert!(matches!(
        ModelConfig::from_json(r#"{"architectures":["OtherForCausalLM"]}"#),
        Err(EngineError::UnknownArchitecture { .. })
    ));
}
