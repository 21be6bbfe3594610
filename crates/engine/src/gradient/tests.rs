use candle_core::Tensor;

use super::{Member, Problem, token_gradients};
use crate::model::{KvCache, Model, Request};
use crate::testing::{ids, model, noise, rich_model};
use crate::tree::{Node, Parent, TokenTree};

fn node(parent: Parent, ids: &[u32]) -> Node {
    Node { parent, ids: ids.to_vec(), ends_prompt: false, is_reply: false }
}

const BLOCK: usize = 1;

fn objective(rows: &Tensor, members: usize) -> candle_core::Result<Tensor> {
    let direction = noise(&[40, 1], 2.0);
    let n = rows.dim(0)? / members;
    rows.matmul(&direction)?.reshape((members, n))?.mean(1)
}

/// Loss −t + λ·x of one soft prompt: rows `[len, vocab]` of token weights, each used as input and as label.
fn soft_loss(model: &Model, left: &[u32], soft: &[Vec<f64>], rights: &[Vec<u32>], lambda: f64) -> f64 {
    let rows: Vec<f32> = soft.iter().flatten().map(|&w| w as f32).collect();
    let vocab = model.config().vocab_size;
    let table = model.weights.embed.look_up(&(0..vocab as u32).collect::<Vec<_>>(), model.device()).unwrap();
    let soft_rows = Tensor::from_vec(rows, (soft.len(), vocab), model.device()).unwrap();
    let own = (soft_rows.matmul(&table).unwrap() * model.config().arch.embed_scale).unwrap();
    let mut target = 0.0;
    let mut xent = 0.0;
    for right in rights {
        let ids = [left, &vec![0; soft.len()], right].concat();
        let mut parts = vec![own.clone(), model.embed(right).unwrap()];
        if !left.is_empty() {
            parts.insert(0, model.embed(left).unwrap());
        }
        let embeds = Tensor::cat(&parts, 0).unwrap();
        let tree = TokenTree::sequence(&ids);
        let request = Request { embeds: Some(&embeds), capture: &[BLOCK], ..Request::new(&tree) };
        let out = model.forward(&request).unwrap();
        let read = out.resid_post[0].1.narrow(0, ids.len() - 1, 1).unwrap();
        target += f64::from(objective(&read, 1).unwrap().to_vec1::<f32>().unwrap()[0]) / rights.len() as f64;
        let losses = model.negative_log_probs(&out.last).unwrap().to_vec2::<f32>().unwrap();
        let free = usize::from(left.is_empty());
        let mean: f64 = (free..soft.len())
            .map(|j| soft[j].iter().zip(&losses[left.len() + j - 1]).map(|(w, &l)| w * f64::from(l)).sum::<f64>())
            .sum();
        xent = mean / (soft.len() - free) as f64;
    }
    -target + lambda * xent
}

fn onehot(ids: &[u32], vocab: usize) -> Vec<Vec<f64>> {
    ids.iter().map(|&id| (0..vocab as u32).map(|v| f64::from(u8::from(v == id))).collect()).collect()
}

/// methods.md §10, item 2: slopes along `(1 − ε)·e_old + ε·e_new`, both terms, embedding scale 1.7.
#[track_caller]
fn check(model: &Model, left: &[u32], prompts: &[(Vec<u32>, f64)], rights: &[Vec<u32>]) {
    let cache = (!left.is_empty()).then(|| model.prefill(left, None).unwrap());
    let caches: Vec<&KvCache> = cache.iter().collect();
    let mut tree = TokenTree::new();
    let members: Vec<Member> = prompts
        .iter()
        .map(|(ids, lambda)| {
            let parent = if left.is_empty() { Parent::Root } else { Parent::Cache(0) };
            let slot = tree.push(node(parent, ids));
            let follow = Parent::Node { node: slot, len: ids.len() };
            let reads = rights.iter().map(|right| tree.push(node(follow, right))).collect();
            Member { slots: vec![slot], reads, lambda: *lambda }
        })
        .collect();
    let problem = Problem { tree: &tree, caches: &caches, members: &members, block: BLOCK, edits: &[] };
    let grads = token_gradients(model, &problem, &|rows| Ok(objective(rows, members.len())?)).unwrap();
    let vocab = model.config().vocab_size;
    for (idx, (ids, lambda)) in prompts.iter().enumerate() {
        let loss = |soft: &[Vec<f64>]| soft_loss(model, left, soft, rights, *lambda);
        let start = onehot(ids, vocab);
        let at_start = loss(&start);
        let xent = if *lambda == 0.0 { 0.0 } else { grads.xents[idx] };
        assert!((at_start - (-grads.targets[idx] + lambda * xent)).abs() < 2e-4);
        let dense = grads.dense(idx).unwrap().to_vec2::<f32>().unwrap();
        for (j, new) in [(0, 17), (1, 201), (ids.len() - 1, 64)] {
            let old = ids[j] as usize;
            let moved = |step: f64| {
                let mut soft = start.clone();
                soft[j][old] -= step;
                soft[j][new] += step;
                loss(&soft)
            };
            let step = 2e-3;
            let slope = (moved(step) - moved(-step)) / (2.0 * step);
            let expected = f64::from(dense[j][new] - dense[j][old]);
            assert!((slope - expected).abs() < 2e-2 * (1.0 + expected.abs()), "{j} {new}: {slope} against {expected}");
        }
        let allowed: Vec<bool> = (0..vocab).map(|id| id % 3 != 0).collect();
        let best = &grads.top_k(idx, 5, &allowed).unwrap()[1];
        let mut order: Vec<u32> = (0..vocab as u32).filter(|id| id % 3 != 0).collect();
        order.sort_by(|&a, &b| dense[1][a as usize].total_cmp(&dense[1][b as usize]));
        assert_eq!(best[..], order[..5]);
    }
}

#[test]
fn both_terms_agree_with_finite_differences_behind_a_cache() {
    let prompts = [(ids(4, 1), 0.7), (ids(4, 2), 3.0), (ids(4, 3), 0.0)];
    check(&model(), &ids(6, 9), &prompts, &[ids(3, 5), ids(5, 6)]);
}

/// Windows shorter than the prompts, soft caps, norms of heads and of what is added.
#[test]
fn both_terms_agree_with_finite_differences_with_all_features() {
    check(&rich_model(), &ids(6, 9), &[(ids(4, 1), 0.7), (ids(4, 2), 0.0)], &[ids(3, 5), ids(5, 6)]);
    check(&rich_model(), &[], &[(ids(9, 1), 0.7)], &[ids(2, 5)]);
}

#[test]
fn both_terms_agree_with_finite_differences_for_a_bare_sequence() {
    check(&model(), &[], &[(ids(5, 1), 0.7)], &[ids(2, 5)]);
}

#[test]
fn a_gradient_without_cross_entropy_stops_at_the_block() {
    check(&model(), &[], &[(ids(5, 1), 0.0)], &[ids(2, 5)]);
}

/// A prompt behind two different beginnings: gradients add, cross-entropies average.
#[test]
fn several_slots_of_a_member_are_summed() {
    let model = model();
    let prompt = ids(4, 1);
    let lefts = [ids(3, 7), ids(6, 8)];
    let caches: Vec<KvCache> = lefts.iter().map(|left| model.prefill(left, None).unwrap()).collect();
    let caches: Vec<&KvCache> = caches.iter().collect();
    let run = |which: &[usize]| {
        let mut tree = TokenTree::new();
        let slots: Vec<usize> = which.iter().map(|&i| tree.push(node(Parent::Cache(i), &prompt))).collect();
        let members = [Member { reads: slots.clone(), slots, lambda: 1.5 }];
        let problem = Problem { tree: &tree, caches: &caches, members: &members, block: BLOCK, edits: &[] };
        token_gradients(&model, &problem, &|rows| Ok(objective(rows, 1)?)).unwrap()
    };
    let (both, first, second) = (run(&[0, 1]), run(&[0]), run(&[1]));
    assert!((both.xents[0] - f64::midpoint(first.xents[0], second.xents[0])).abs() < 1e-5);
    let mean = ((first.dense(0).unwrap() + second.dense(0).unwrap()).unwrap() * 0.5).unwrap();
    crate::testing::close(&both.dense(0).unwrap(), &mean, 1e-5);
}

#[test]
fn stock_operations_give_the_same_gradient() {
    let prompt = ids(4, 1);
    let run = |model: &Model| {
        let cache = model.prefill(&ids(6, 9), None).unwrap();
        let mut tree = TokenTree::new();
        let slot = tree.push(node(Parent::Cache(0), &prompt));
        let read = tree.push(node(Parent::Node { node: slot, len: 4 }, &ids(3, 5)));
        let members = [Member { slots: vec![slot], reads: vec![read], lambda: 0.7 }];
        let caches = [&cache];
        let problem = Problem { tree: &tree, caches: &caches, members: &members, block: BLOCK, edits: &[] };
        let objective = |rows: &Tensor| Ok(objective(&rows.to_dtype(candle_core::DType::F32)?, 1)?);
        token_gradients(model, &problem, &objective).unwrap().dense(0).unwrap()
    };
    crate::testing::close(&run(&model()), &run(&crate::testing::stock_model()), 1e-5);
    crate::testing::close(&run(&rich_model()), &run(&crate::testing::rich_stock_model()), 1e-5);
}
