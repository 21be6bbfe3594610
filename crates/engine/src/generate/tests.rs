use std::cell::Cell;
use std::ops::ControlFlow;
use std::sync::Arc;

use tiller_protocol::chat::{EndReason, Sampling};
use tiller_protocol::steering::Positions;

use super::{Generated, Reply, generate};
use crate::edit::Edit;
use crate::error::EngineError;
use crate::model::Model;
use crate::testing::{ids, logits, model, noise};
use crate::tokenizer::{StreamDecoder, Tokenizer};

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
