//! Streaming generation.

use std::ops::ControlFlow;
use std::sync::Arc;

use anyhow::Result;
use tiller_engine::Edit;
use tiller_engine::generate::{Generated, Reply, generate};
use tiller_protocol::chat::{EndReason, Sampling};
use tiller_protocol::steering::Positions;

use super::fixture::Golden;

fn greedy(max_tokens: usize) -> Sampling {
    Sampling { temperature: 0.0, max_tokens, ..Sampling::default() }
}

/// Replies to several prompts at once, without edits.
fn reply(golden: &Golden, prompts: &[Vec<u32>], sampling: &Sampling) -> Result<Vec<Generated>> {
    let none: Arc<Vec<Edit>> = Arc::default();
    let edits = || Arc::clone(&none);
    let replies: Vec<Reply<'_>> =
        prompts.iter().map(|prompt| Reply { prompt: prompt.clone(), edits: &edits }).collect();
    Ok(generate(&golden.model, &replies, sampling, &mut |_, _| ControlFlow::Continue(()))?)
}

#[test]
fn greedy_tokens_equal_transformers() -> Result<()> {
    for golden in Golden::all()? {
        let expected = golden.ids("greedy.ids")?;
        let found = reply(&golden, &[golden.ids("greedy.prompt")?], &greedy(expected.len()))?;
        assert_eq!(found[0].ids, expected, "{}", golden.name);
        assert_eq!(found[0].reason, EndReason::MaxTokens);
        assert_eq!(found[0].text, golden.model.tokenizer().decode(&expected)?);
    }
    Ok(())
}

/// `config.json`, that of a wrapper, `generation_config.json` and the tokenizer's settings all count.
#[test]
fn end_tokens_come_from_every_file_that_names_some() -> Result<()> {
    for (name, expected) in [("qwen2", [1, 4]), ("llama3-v5", [1, 4]), ("gemma3-wrapper-old", [1, 4])] {
        let goldens = name.split("-wrapper").next().unwrap_or(name).replace("-v5", "-v4");
        assert_eq!(Golden::load(name, &goldens)?.model.eos_ids(), expected, "{name}");
    }
    Ok(())
}

#[test]
fn replies_side_by_side_do_not_disturb_each_other() -> Result<()> {
    for golden in Golden::all()? {
        let prompts = [golden.sequence(2)?, golden.ids("greedy.prompt")?, golden.sequence(0)?];
        for sampling in [greedy(20), Sampling { max_tokens: 20, seed: 7, ..Sampling::default() }] {
            let together = reply(&golden, &prompts, &sampling)?;
            for (prompt, found) in prompts.iter().zip(&together) {
                let alone = reply(&golden, std::slice::from_ref(prompt), &sampling)?;
                assert_eq!(&alone[0], found, "{}", golden.name);
            }
        }
    }
    Ok(())
}

#[test]
fn a_seed_repeats_and_another_differs() -> Result<()> {
    let golden = Golden::load("llama3-v4", "llama3-v4")?;
    let prompt = [golden.sequence(1)?];
    let with = |seed| Sampling { temperature: 1.5, top_p: 1.0, max_tokens: 30, seed, ..Sampling::default() };
    assert_eq!(reply(&golden, &prompt, &with(1))?, reply(&golden, &prompt, &with(1))?);
    assert_ne!(reply(&golden, &prompt, &with(1))?[0].ids, reply(&golden, &prompt, &with(2))?[0].ids);
    Ok(())
}

#[test]
fn streamed_text_is_the_reply() -> Result<()> {
    let golden = Golden::load("llama3-v4", "llama3-v4")?;
    let none: Arc<Vec<Edit>> = Arc::default();
    let edits = || Arc::clone(&none);
    let replies = [Reply { prompt: golden.sequence(1)?, edits: &edits }];
    let sampling = Sampling { temperature: 1.0, top_p: 1.0, max_tokens: 60, seed: 3, ..Sampling::default() };
    let mut streamed = String::new();
    let found = generate(&golden.model, &replies, &sampling, &mut |_, text| {
        streamed.push_str(text);
        ControlFlow::Continue(())
    })?;
    assert_eq!(streamed, found[0].text);
    Ok(())
}

#[test]
fn stopping_keeps_what_is_there() -> Result<()> {
    let golden = Golden::load("llama-tied", "llama-tied")?;
    let none: Arc<Vec<Edit>> = Arc::default();
    let edits = || Arc::clone(&none);
    let replies = [Reply { prompt: golden.ids("greedy.prompt")?, edits: &edits }];
    let mut n_calls = 0;
    let found = generate(&golden.model, &replies, &greedy(20), &mut |_, _| {
        n_calls += 1;
        if n_calls == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    assert_eq!(found[0].reason, EndReason::Stopped);
    assert_eq!(n_calls, 5, "no token after the stop");
    let written = &found[0].ids;
    assert!(!written.is_empty() && written.len() < 20, "{} tokens", written.len());
    assert_eq!(written.as_slice(), &golden.ids("greedy.ids")?[..written.len()]);
    Ok(())
}

/// A slider moved in the middle of a reply acts on later tokens and leaves earlier ones alone.
#[test]
fn a_live_edit_acts_from_the_next_token() -> Result<()> {
    let golden = Golden::load("llama3-v4", "llama3-v4")?;
    let expected = golden.ids("greedy.ids")?;
    let n_before = std::cell::Cell::new(0);
    let strong = (golden.tensor("direction")? * 30.0)?;
    let edit = Edit::add(1, strong, Positions::Generated);
    let (none, some): (Arc<Vec<Edit>>, _) = (Arc::default(), Arc::new(vec![edit]));
    let edits = || if n_before.get() >= 8 { Arc::clone(&some) } else { Arc::clone(&none) };
    let replies = [Reply { prompt: golden.ids("greedy.prompt")?, edits: &edits }];
    let found = generate(&golden.model, &replies, &greedy(20), &mut |_, _| {
        n_before.set(n_before.get() + 1);
        ControlFlow::Continue(())
    })?;
    assert_eq!(found[0].ids[..8], expected[..8], "tokens written before the change stay as they were");
    assert_ne!(found[0].ids[8..], expected[8..], "later tokens are steered");
    Ok(())
}

#[test]
fn sampling_settings_narrow_the_choice() -> Result<()> {
    let golden = Golden::load("llama3-v4", "llama3-v4")?;
    let prompt = [golden.ids("greedy.prompt")?];
    let expected = golden.ids("greedy.ids")?[..20].to_vec();
    let hot = Sampling { temperature: 2.0, top_p: 1.0, max_tokens: 20, seed: 5, ..Sampling::default() };
    let narrow = [
        Sampling { top_k: 1, ..hot.clone() },
        Sampling { top_p: 1e-6, ..hot.clone() },
        Sampling { min_p: 1.0, ..hot.clone() },
    ];
    assert_ne!(reply(&golden, &prompt, &hot)?[0].ids, expected);
    for sampling in narrow {
        assert_eq!(reply(&golden, &prompt, &sampling)?[0].ids, expected, "{sampling:?}");
    }
    let varied = reply(&golden, &prompt, &Sampling { repetition_penalty: 1e6, ..greedy(20) })?;
    let distinct: std::collections::BTreeSet<u32> = varied[0].ids.iter().copied().collect();
    assert_eq!(distinct.len(), varied[0].ids.len(), "a strong penalty lets no token come twice");
    Ok(())
}
