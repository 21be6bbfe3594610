//! Residuals and logits.

use anyhow::{Context as _, Result};
use tiller_engine::{DType, Device, Edit, KvCache, Parent, Request, Tensor, TokenTree, load};
use tiller_protocol::steering::Positions;
use tiller_tests::CHECKPOINTS;

use super::FORWARD_BOUND;
use super::fixture::{Golden, N_SEQUENCES, assert_near, folder, node};

#[test]
fn residuals_and_logits_equal_transformers() -> Result<()> {
    for golden in Golden::all()? {
        for index in 0..N_SEQUENCES {
            let ids = golden.sequence(index)?;
            let output = golden.run(&TokenTree::sequence(&ids))?;
            assert_eq!(output.resid_post.len(), golden.blocks().len());
            for (block, resid) in &output.resid_post {
                golden.assert_rows(resid, &format!("{index}.resid_post.{block}"), 0..ids.len(), FORWARD_BOUND)?;
            }
            let logits = golden.model.logits(&output.last)?;
            golden.assert_rows(&logits, &format!("{index}.logits"), 0..ids.len(), FORWARD_BOUND)?;
        }
    }
    Ok(())
}

#[test]
fn a_cache_may_be_split_anywhere() -> Result<()> {
    for golden in Golden::all()? {
        let ids = golden.sequence(1)?;
        for at in 1..ids.len() {
            let cache = golden.model.prefill(&ids[..at], None)?;
            assert_eq!(cache.len(), at);
            let mut tree = TokenTree::new();
            tree.push(node(Parent::Cache(0), &ids[at..]));
            let output = golden.model.forward(&Request { caches: &[&cache], ..Request::new(&tree) })?;
            let logits = golden.model.logits(&output.last)?;
            golden.assert_rows(&logits, "1.logits", at..ids.len(), FORWARD_BOUND)?;
        }
    }
    Ok(())
}

#[test]
fn a_cache_grows_token_by_token() -> Result<()> {
    for golden in Golden::all()? {
        let ids = golden.sequence(2)?;
        let mut cache = golden.model.prefill(&ids[..1], None)?;
        for at in 1..ids.len() {
            let mut tree = TokenTree::new();
            tree.push(node(Parent::Cache(0), &ids[at..=at]));
            let mut output =
                golden.model.forward(&Request { caches: &[&cache], keep_kv: true, ..Request::new(&tree) })?;
            let logits = golden.model.logits(&output.last)?;
            golden.assert_rows(&logits, "2.logits", at..at + 1, FORWARD_BOUND)?;
            cache = output.caches.remove(0);
            assert_eq!(cache.len(), at + 1);
        }
    }
    Ok(())
}

/// Runs of a few tokens each, shorter and longer than the windows, every run behind the cache of those before.
#[test]
fn runs_through_the_cache_equal_one_pass() -> Result<()> {
    for golden in Golden::all()? {
        let ids = golden.sequence(2)?;
        for len in [3, 5, 17] {
            let mut cache = KvCache::default();
            for at in (0..ids.len()).step_by(len) {
                let end = ids.len().min(at + len);
                let mut tree = TokenTree::new();
                tree.push(node(Parent::Cache(0), &ids[at..end]));
                let request = Request { caches: &[&cache], keep_kv: true, ..Request::new(&tree) };
                let mut output = golden.model.forward(&request)?;
                let logits = golden.model.logits(&output.last)?;
                golden.assert_rows(&logits, "2.logits", at..end, FORWARD_BOUND)?;
                cache = output.caches.remove(0);
            }
        }
    }
    Ok(())
}

/// Far along, where a frequency that is off by its last bit has turned by a visible angle, and many windows long.
#[test]
fn a_long_sequence_equals_transformers() -> Result<()> {
    let mut n_families = 0;
    for golden in Golden::all()?.iter().filter(|golden| golden.model.config().context_len >= 1500) {
        let n_ids = golden.model.tokenizer().len() as u64;
        let ids: Vec<u32> = (0..1500_u64).map(|i| (8 + (37 * i + 5 * i * i) % (n_ids - 8)) as u32).collect();
        let output = golden.run(&TokenTree::sequence(&ids))?;
        for (block, resid) in &output.resid_post {
            golden.assert_rows(&resid.narrow(0, 1499, 1)?, &format!("long.resid_post.{block}"), 0..1, FORWARD_BOUND)?;
        }
        let logits = golden.model.logits(&output.last.narrow(0, 1499, 1)?)?;
        golden.assert_rows(&logits, "long.logits", 0..1, FORWARD_BOUND)?;
        n_families += 1;
    }
    assert_eq!(n_families, 7);
    Ok(())
}

/// Weights in bf16 stay within what a run in bf16 costs transformers, and those of these files, which are bf16 values
/// all, lose nothing.
#[test]
fn weights_in_bf16_stay_within_what_bf16_costs_transformers() -> Result<()> {
    for (checkpoint, goldens) in CHECKPOINTS {
        let golden = Golden::load_in(DType::BF16, checkpoint, goldens)?;
        let costs = golden.facts["bf16"].as_object().context("golden.json lists what bf16 costs")?;
        assert_eq!(costs.len(), N_SEQUENCES * (golden.blocks().len() + 1), "{checkpoint}");
        for (name, cost) in costs {
            let (sequence, part) = name.split_once('.').context("a sequence and a part")?;
            let ids = golden.ids(&format!("{sequence}.input_ids"))?;
            let output = golden.run(&TokenTree::sequence(&ids))?;
            let found = match part.strip_prefix("resid_post.") {
                Some(block) => output.resid_post[block.parse::<usize>()?].1.clone(),
                None => golden.model.logits(&output.last)?,
            };
            let cost = cost.as_f64().context("a cost")?;
            assert!(cost > 1e-3, "{checkpoint}: {name} costs {cost:e}");
            golden.assert_rows(&found, name, 0..ids.len(), cost.min(FORWARD_BOUND))?;
        }
    }
    Ok(())
}

/// All golden sequences in one tree, the longest in three runs, with a branch that goes elsewhere.
#[test]
fn a_batched_tree_equals_single_sequences() -> Result<()> {
    for golden in Golden::all()? {
        let (short, middle, long) = (golden.sequence(0)?, golden.sequence(1)?, golden.sequence(2)?);
        let mut tree = TokenTree::new();
        tree.push(node(Parent::Root, &long[..20]));
        tree.push(node(Parent::Root, &short));
        // Continues only the first 12 of the 20 tokens above it.
        tree.push(node(Parent::Node { node: 0, len: 12 }, &long[12..30]));
        tree.push(node(Parent::Root, &middle));
        tree.push(node(Parent::Node { node: 2, len: 18 }, &long[30..]));
        let branch = tree.push(node(Parent::Node { node: 2, len: 5 }, &middle));
        let output = golden.run(&tree)?;
        let places = [(0, 2, 0..20), (1, 0, 0..1), (2, 2, 12..30), (3, 1, 0..middle.len()), (4, 2, 30..long.len())];
        let logits = golden.model.logits(&output.last)?;
        for (index, sequence, rows) in places {
            let found = logits.narrow(0, tree.offset(index), rows.len())?;
            golden.assert_rows(&found, &format!("{sequence}.logits"), rows.clone(), FORWARD_BOUND)?;
            for (block, resid) in &output.resid_post {
                let found = resid.narrow(0, tree.offset(index), rows.len())?;
                golden.assert_rows(&found, &format!("{sequence}.resid_post.{block}"), rows.clone(), FORWARD_BOUND)?;
            }
        }
        let alone = [&long[..17], &middle].concat();
        let expected = golden.run(&TokenTree::sequence(&alone))?.last.narrow(0, 17, middle.len())?;
        let found = output.last.narrow(0, tree.offset(branch), middle.len())?;
        assert_near(&found, &expected, FORWARD_BOUND, &format!("{}: branch", golden.name))?;
    }
    Ok(())
}

#[test]
fn several_caches_serve_one_batch() -> Result<()> {
    for golden in Golden::all()? {
        let (middle, long) = (golden.sequence(1)?, golden.sequence(2)?);
        let (first, second) = (golden.model.prefill(&middle[..3], None)?, golden.model.prefill(&long[..33], None)?);
        let second = golden.model.prefill(&long[33..36], Some(&second))?;
        assert_eq!(second.len(), 36);
        let mut tree = TokenTree::new();
        tree.push(node(Parent::Cache(1), &long[36..]));
        tree.push(node(Parent::Cache(0), &middle[3..]));
        let output = golden.model.forward(&Request { caches: &[&first, &second], ..Request::new(&tree) })?;
        let logits = golden.model.logits(&output.last)?;
        golden.assert_rows(&logits.narrow(0, 0, 4)?, "2.logits", 36..40, FORWARD_BOUND)?;
        golden.assert_rows(&logits.narrow(0, 4, middle.len() - 3)?, "1.logits", 3..middle.len(), FORWARD_BOUND)?;
    }
    Ok(())
}

#[test]
fn stopping_early_gives_the_same_residual() -> Result<()> {
    for golden in Golden::all()? {
        let ids = golden.sequence(2)?;
        for block in golden.blocks() {
            let tree = TokenTree::sequence(&ids);
            let output = golden.model.forward(&Request { last_block: Some(block), ..Request::new(&tree) })?;
            golden.assert_rows(&output.last, &format!("2.resid_post.{block}"), 0..ids.len(), FORWARD_BOUND)?;
        }
    }
    Ok(())
}

#[test]
fn cross_entropy_equals_the_logits() -> Result<()> {
    for golden in Golden::all()? {
        let ids = golden.sequence(2)?;
        let resid = golden.run(&TokenTree::sequence(&ids))?.last.narrow(0, 0, ids.len() - 1)?;
        let found = golden.model.cross_entropy(&resid, &ids[1..])?;
        let logits: Vec<Vec<f32>> = golden.tensor("2.logits")?.to_vec2()?;
        let expected: Vec<f64> = logits.iter().zip(&ids[1..]).map(|(row, id)| minus_log_prob(row, *id)).collect();
        let expected = Tensor::new(expected, golden.model.device())?;
        assert_near(&found, &expected, FORWARD_BOUND, &format!("{}: cross-entropy", golden.name))?;
    }
    Ok(())
}

fn minus_log_prob(logits: &[f32], id: u32) -> f64 {
    let most = logits.iter().fold(f64::MIN, |most, x| most.max(f64::from(*x)));
    let sum: f64 = logits.iter().map(|x| (f64::from(*x) - most).exp()).sum();
    most + sum.ln() - f64::from(logits[id as usize])
}

#[test]
fn strength_zero_changes_no_bit() -> Result<()> {
    for golden in Golden::all()? {
        let tree = TokenTree::sequence(&golden.sequence(2)?);
        let bits = |edits: &[Edit]| -> Result<Vec<u32>> {
            let output = golden.model.forward(&Request { edits, ..Request::new(&tree) })?;
            let logits: Vec<f32> = golden.model.logits(&output.last)?.flatten_all()?.to_vec1()?;
            Ok(logits.iter().map(|x| x.to_bits()).collect())
        };
        let delta = golden.tensor("direction")?.zeros_like()?;
        let edit = Edit::add(1, delta, Positions::All);
        assert_eq!(bits(&[])?, bits(&[edit])?, "{}", golden.name);
    }
    Ok(())
}

/// The edited block's own residual moves by exactly the edit, where it should, and nowhere before.
#[test]
fn an_edit_lands_where_it_is_told() -> Result<()> {
    let golden = Golden::load("llama3-v4", "llama3-v4")?;
    let ids = golden.sequence(1)?;
    let tree = TokenTree::sequence(&ids);
    let delta = golden.tensor("direction")?.clone();
    let n = ids.len();
    // The first position is never edited.
    let cases = [
        (Positions::All, 1..n),
        (Positions::Prompt, 1..n),
        (Positions::LastPrompt, n - 1..n),
        (Positions::Generated, n - 1..n),
    ];
    for (positions, touched) in cases {
        let edits = [Edit::add(0, delta.clone(), positions)];
        let output = golden.model.forward(&Request { edits: &edits, capture: &[0], ..Request::new(&tree) })?;
        let moved = (&output.resid_post[0].1 - golden.tensor("1.resid_post.0")?)?;
        for row in 0..n {
            let expected = if touched.contains(&row) { delta.clone() } else { delta.zeros_like()? };
            let error = (moved.get(row)? - expected)?.abs()?.max_all()?.to_scalar::<f32>()?;
            assert!(error < 1e-4, "{positions:?}, position {row}: {error}");
        }
        let later = golden.model.logits(&output.last)?.get(n - 1)?;
        let plain_row = golden.tensor("1.logits")?.get(n - 1)?;
        let change = (later - plain_row)?.abs()?.max_all()?.to_scalar::<f32>()?;
        assert!(change > 1e-2, "{positions:?} changes nothing later on");
    }
    Ok(())
}

/// As in the reference: a head that the file holds, and that is not the embedding, is used, whatever the config says.
#[test]
fn a_head_of_its_own_is_not_tied() -> Result<()> {
    let untied = Golden::load("llama3-v4", "llama3-v4")?;
    let copy = tempfile::tempdir()?;
    for file in ["model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(folder("llama3-v4").join(file), copy.path().join(file))?;
    }
    let text = std::fs::read_to_string(folder("llama3-v4").join("config.json"))?;
    let mut config: serde_json::Value = serde_json::from_str(&text)?;
    config["tie_word_embeddings"] = true.into();
    std::fs::write(copy.path().join("config.json"), config.to_string())?;
    let model = load::model(copy.path(), &Device::Cpu, DType::F32, &mut |_, _| true)?;
    let ids = untied.sequence(1)?;
    let tree = TokenTree::sequence(&ids);
    let logits = model.logits(&model.forward(&Request::new(&tree))?.last)?;
    untied.assert_rows(&logits, "1.logits", 0..ids.len(), FORWARD_BOUND)
}

#[test]
fn weights_too_large_for_f16_are_refused() -> Result<()> {
    let copy = tempfile::tempdir()?;
    for file in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(folder("llama3-v4").join(file), copy.path().join(file))?;
    }
    let mut tensors = candle_core::safetensors::load(folder("llama3-v4").join("model.safetensors"), &Device::Cpu)?;
    let embed = tensors.get_mut("model.embed_tokens.weight").context("there is an embedding")?;
    *embed = (&*embed * 1e6)?;
    candle_core::safetensors::save(&tensors, copy.path().join("model.safetensors"))?;
    let load = |dtype| load::model(copy.path(), &Device::Cpu, dtype, &mut |_, _| true);
    let error = load(DType::F16).err().context("it was accepted")?.to_string();
    assert!(error.contains("f16") && error.contains("bf16"), "{error}");
    load(DType::BF16)?;
    Ok(())
}
