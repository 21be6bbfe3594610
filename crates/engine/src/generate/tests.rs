use std::cell::Cell;
use std::ops::ControlFlow;
use std::sync::Arc;

use tiller_protocol::chat::{EndReason, Sampling};
use tiller_protocol::steering::Positions;

use super::{Generated, Reply, Step, Watch, generate, generate_watched};
use crate::edit::Edit;
use crate::error::EngineError;
use crate::model::{Model, Request};
use crate::sae::{self, Dictionary, LatentEdit, Operator, Pinned, Ranking};
use crate::testing::{ids, logits, model, noise};
use crate::tokenizer::{StreamDecoder, Tokenizer};
use crate::tree::{Node, Parent, TokenTree};

fn greedy(max_tokens: usize) -> Sampling {
    Sampling { temperature: 0.0, top_p: 1.0, max_tokens, ..Sampling::default() }
}

fn write(model: &Model, prompts: &[Vec<u32>], sampling: &Sampling) -> Vec<Generated> {
    let none = Arc::new(Vec::new());
    let edits = || Arc::clone(&none);
    let replies: Vec<Reply<'_>> =
        prompts.iter().map(|prompt| Reply { prompt: prompt.clone(), edits: &edits }).collect();
    generate(model, &replies, sampling, &mut |_, _| ControlFlow::Continue(())).unwrap()
}

fn argmax(row: &[f32]) -> u32 {
    (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b]).then(b.cmp(&a))).unwrap() as u32
}

#[test]
fn greedy_replies_are_the_argmax_of_plain_passes() {
    let model = model();
    let prompts = [ids(5, 1), ids(9, 2), ids(2, 3)];
    for (prompt, reply) in prompts.iter().zip(write(&model, &prompts, &greedy(12))) {
        let mut all = prompt.clone();
        for _ in 0..12 {
            let rows = logits(&model, &all).to_vec2::<f32>().unwrap();
            all.push(argmax(rows.last().unwrap()));
        }
        let end = all[prompt.len()..].iter().position(|&id| id == 299).unwrap_or(12);
        assert_eq!(reply.ids, all[prompt.len()..prompt.len() + end]);
        assert_eq!(reply.reason, if end < 12 { EndReason::EndOfTurn } else { EndReason::MaxTokens });
    }
}

#[test]
fn a_seed_repeats_and_does_not_depend_on_the_company() {
    let model = model();
    let sampling = Sampling { temperature: 1.0, top_p: 0.9, max_tokens: 10, seed: 3, ..Sampling::default() };
    let alone = write(&model, &[ids(5, 1)], &sampling);
    let together = write(&model, &[ids(5, 1), ids(7, 2), ids(5, 1)], &sampling);
    assert_eq!(alone[0], together[0]);
    assert_eq!(together[0], together[2]);
    let other = write(&model, &[ids(5, 1)], &Sampling { seed: 4, ..sampling });
    assert_ne!(alone, other);
}

#[test]
fn filters_leave_the_most_likely_token() {
    let model = model();
    let best = write(&model, &[ids(5, 1)], &greedy(8));
    let warm = Sampling { temperature: 1.5, top_p: 1.0, max_tokens: 8, ..Sampling::default() };
    for sampling in [
        Sampling { top_k: 1, ..warm.clone() },
        Sampling { top_p: 1e-6, ..warm.clone() },
        Sampling { min_p: 1.0, ..warm.clone() },
        Sampling { top_k: 1, top_p: 0.5, min_p: 0.5, ..warm.clone() },
    ] {
        assert_eq!(write(&model, &[ids(5, 1)], &sampling), best, "{sampling:?}");
    }
    // A strong penalty forbids to repeat.
    let reply = &write(&model, &[ids(5, 1)], &Sampling { repetition_penalty: 1e6, ..greedy(20) })[0];
    let mut seen = reply.ids.clone();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), reply.ids.len());
}

#[test]
fn edits_act_from_the_next_token() {
    let model = model();
    let prompt = ids(6, 1);
    let plain = write(&model, std::slice::from_ref(&prompt), &greedy(10)).remove(0);
    let none = Arc::new(Vec::new());
    let edit = Edit::add(2, (noise(&[40], 1.0) * 30.0).unwrap(), Positions::Generated);
    let strong = Arc::new(vec![edit]);
    let n_written = Cell::new(0);
    let edits = || if n_written.get() < 4 { Arc::clone(&none) } else { Arc::clone(&strong) };
    let replies = [Reply { prompt, edits: &edits }];
    let steered = generate(&model, &replies, &greedy(10), &mut |_, _| {
        n_written.set(n_written.get() + 1);
        ControlFlow::Continue(())
    });
    let steered = steered.unwrap().remove(0);
    assert_eq!(steered.ids[..4], plain.ids[..4]);
    assert_ne!(steered.ids[4..], plain.ids[4..]);
}

#[test]
fn replies_end_for_every_reason() {
    let model = model();
    let full = write(&model, &[ids(90, 1)], &greedy(50)).remove(0);
    assert!(matches!(full.reason, EndReason::ContextFull | EndReason::EndOfTurn));
    assert!(full.ids.len() <= 7);
    assert_eq!(write(&model, &[ids(4, 1)], &greedy(0))[0].reason, EndReason::MaxTokens);
    let none = Arc::new(Vec::new());
    let edits = || Arc::clone(&none);
    let replies = [Reply { prompt: ids(4, 1), edits: &edits }, Reply { prompt: ids(4, 2), edits: &edits }];
    let stopped = generate(&model, &replies, &greedy(50), &mut |_, _| ControlFlow::Break(())).unwrap();
    assert!(stopped.iter().all(|reply| reply.reason == EndReason::Stopped));
    assert_eq!(stopped[0].ids.len(), 1);
    let long = [Reply { prompt: ids(96, 1), edits: &edits }];
    let error = generate(&model, &long, &greedy(5), &mut |_, _| ControlFlow::Continue(())).unwrap_err();
    assert!(matches!(error, EngineError::ContextOverflow { max: 96, .. }));
    let empty = [Reply { prompt: Vec::new(), edits: &edits }];
    assert!(generate(&model, &empty, &greedy(5), &mut |_, _| ControlFlow::Continue(())).is_err());
}

#[test]
fn text_arrives_whole_and_unbroken() {
    let model = model();
    let mut pieces = vec![String::new(); 2];
    let none = Arc::new(Vec::new());
    let edits = || Arc::clone(&none);
    let replies = [Reply { prompt: ids(4, 1), edits: &edits }, Reply { prompt: ids(6, 2), edits: &edits }];
    let sampling = Sampling { temperature: 2.0, top_p: 1.0, max_tokens: 30, ..Sampling::default() };
    let done = generate(&model, &replies, &sampling, &mut |idx, text| {
        pieces[idx] += text;
        ControlFlow::Continue(())
    });
    for (reply, pieces) in done.unwrap().iter().zip(pieces) {
        assert_eq!(reply.text, pieces);
        assert_eq!(reply.text, model.tokenizer().decode(&reply.ids).unwrap());
    }
}

#[test]
fn characters_of_several_tokens_are_shown_at_once() {
    let tokenizer = Tokenizer::bytes(256).unwrap();
    let mut decoder = StreamDecoder::default();
    let text = "aé🙂ß!";
    let mut shown = Vec::new();
    for id in tokenizer.encode(text).unwrap() {
        let piece = decoder.push(&tokenizer, id).unwrap();
        assert!(!piece.contains('\u{fffd}'));
        shown.push(piece);
    }
    assert_eq!(shown.concat() + &decoder.finish(&tokenizer).unwrap(), text);
    assert_eq!(shown.iter().filter(|piece| !piece.is_empty()).count(), 5);
}

/// What is watched is what the SAE makes of the residual stream before the edits, at every token that was run.
#[test]
fn watched_latents_are_read_on_every_token_before_the_edits() {
    let model = model();
    let (dictionary, last) = (dictionary(1), dictionary(2));
    let pinned =
        |dictionary, latents: &[usize]| Pinned::new(dictionary, latents, Ranking::Whole, model.device()).unwrap();
    let (first, second) = (pinned(&dictionary, &[3, 11]), pinned(&last, &[20]));
    // The second is read at the last block, where a reply needs but one row of its prompt.
    let watches = Arc::new(vec![Watch { block: 1, pinned: first.clone() }, Watch { block: 2, pinned: second.clone() }]);
    let edit = LatentEdit::new(&dictionary, &[(3, Operator::Set(9.0))], model.device()).unwrap();
    let edits = Arc::new(vec![Edit::latents(1, Arc::new(edit), Positions::Generated)]);
    let now = || Arc::clone(&edits);
    let prompts = [ids(5, 1), ids(9, 2)];
    let replies = prompts.clone().map(|prompt| Reply { prompt, edits: &now });
    let mut found = vec![vec![Vec::new(); 2]; 2];
    let mut tokens = [0; 2];
    let written = generate_watched(&model, &replies, &greedy(6), &|| Arc::clone(&watches), &mut |step| {
        let reading = step.reading;
        assert_eq!((reading.first, reading.values.len()), (tokens[step.reply], 2));
        tokens[step.reply] += reading.n_tokens;
        for (found, values) in found[step.reply].iter_mut().zip(&reading.values) {
            found.extend_from_slice(values);
        }
        ControlFlow::Continue(())
    });
    for (reply, (prompt, written)) in prompts.iter().zip(written.unwrap()).enumerate() {
        // The same tokens in one pass under the same edits.
        let n = tokens[reply];
        let all = [&prompt[..], &written.ids].concat()[..n].to_vec();
        let mut tree = TokenTree::new();
        let node =
            |parent, ids: &[u32], is_reply: bool| Node { parent, ids: ids.to_vec(), ends_prompt: !is_reply, is_reply };
        tree.push(node(Parent::Root, &all[..prompt.len()], false));
        if n > prompt.len() {
            tree.push(node(Parent::Node { node: 0, len: prompt.len() }, &all[prompt.len()..], true));
        }
        let out = model.forward(&Request { edits: &edits, before: &[1, 2], ..Request::new(&tree) }).unwrap();
        for (found, (pinned, (_, rows))) in found[reply].iter().zip([&first, &second].into_iter().zip(&out.before)) {
            let expected = pinned.read(rows).unwrap();
            assert_eq!(found.len(), expected.len());
            assert!(expected.iter().any(|value| *value != 0.0));
            assert!(
                found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5 * (1.0 + b.abs())),
                "{found:?} is not {expected:?}"
            );
        }
    }
    let narrow = Arc::new(vec![Watch { block: 9, pinned: first }]);
    let failed =
        generate_watched(&model, &replies, &greedy(2), &|| Arc::clone(&narrow), &mut |_| ControlFlow::Continue(()));
    assert!(failed.is_err());
}

#[test]
fn watching_changes_nothing() {
    let model = model();
    let prompts = [ids(5, 1), ids(7, 2)];
    let plain = write(&model, &prompts, &greedy(8));
    let pinned = Pinned::new(&dictionary(2), &[3], Ranking::Whole, model.device()).unwrap();
    let watches = Arc::new(vec![Watch { block: 2, pinned }]);
    let none = Arc::new(Vec::new());
    let edits = || Arc::clone(&none);
    let replies = prompts.map(|prompt| Reply { prompt, edits: &edits });
    let step = &mut |_: &Step<'_>| ControlFlow::Continue(());
    assert_eq!(generate_watched(&model, &replies, &greedy(8), &|| Arc::clone(&watches), step).unwrap(), plain);
}

/// An SAE of the small model's width, of another seed for each block.
fn dictionary(block: usize) -> Dictionary {
    let cfg = format!(r#"{{"architecture":"topk","k":9,"hook_name":"blocks.{block}.hook_resid_post"}}"#);
    let seed = block as f32;
    let tensors = [
        ("W_enc", noise(&[40, 24], seed)),
        ("b_enc", noise(&[24], 2.0)),
        ("W_dec", noise(&[24, 40], 3.0 + seed)),
        ("b_dec", noise(&[40], 4.0)),
    ];
    let tensors: std::collections::HashMap<String, candle_core::Tensor> =
        tensors.into_iter().map(|(name, tensor)| (name.to_owned(), tensor)).collect();
    Dictionary::Memory(Arc::new(sae::tests::of(&cfg, &tensors)))
}
