//! Every operation: both bodies agree in values and gradients, and the gradient agrees with finite differences.

use std::sync::Arc;

use candle_core::{DType, Result, Tensor, Var};

use super::attention::{Attention, Heads};
use super::block::Block;
use super::linear::{Linear, Orientation};
use super::loss::Head;
use super::norm::Norm;
use super::qk_norm::QkNorm;
use super::rope::{self, Rope, Rotation};
use super::{loss, mlp};
use crate::config::Activation;
use crate::model::Model;
use crate::plan::Plan;
use crate::testing::{close, config, deviation, ids, model, noise, rich_config, rich_model};
use crate::tree::{Node, Parent, TokenTree};

type Op<'a> = &'a dyn Fn(&Tensor) -> Result<Tensor>;

/// Value, and gradient of a fixed weighted sum of it.
fn value_and_gradient(op: Op<'_>, x: &Tensor) -> (Tensor, Tensor) {
    let var = Var::from_tensor(x).unwrap();
    let y = op(var.as_tensor()).unwrap();
    let weights = noise(y.dims(), 0.3);
    let grads = (&y * weights).unwrap().sum_all().unwrap().backward().unwrap();
    (y.detach(), grads.get(var.as_tensor()).expect("the operation keeps the gradient").clone())
}

#[track_caller]
fn check(fused: Op<'_>, composite: Op<'_>, x: &Tensor) {
    let (value, grad) = value_and_gradient(fused, x);
    let (expected, expected_grad) = value_and_gradient(composite, x);
    close(&value, &expected, 5e-6);
    close(&grad, &expected_grad, 1e-5);
    // Without a tape the values are the same.
    close(&fused(x).unwrap(), &value, 1e-6);
    slope_agrees(fused, x, &grad);
}

/// Central differences along a random line, summed in f64.
#[track_caller]
pub(super) fn slope_agrees(op: Op<'_>, x: &Tensor, grad: &Tensor) {
    let line = noise(x.dims(), 5.1);
    let along = |step: f64| -> f64 {
        let y = op(&(x + (&line * step).unwrap()).unwrap()).unwrap();
        let weighted = (&y * noise(y.dims(), 0.3)).unwrap().flatten_all().unwrap();
        weighted.to_vec1::<f32>().unwrap().iter().map(|&v| f64::from(v)).sum()
    };
    let step = 2e-3;
    let slope = (along(step) - along(-step)) / (2.0 * step);
    let product = (grad * &line).unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap();
    let norm = grad.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap().sqrt();
    let error = (slope - f64::from(product)).abs() / f64::from(norm * (x.elem_count() as f32).sqrt());
    assert!(error < 1e-3, "slope {slope}, gradient {product}");
}

#[test]
fn norm_bodies_agree() {
    let norm = Norm { weight: noise(&[40], 2.0), eps: 1e-5 };
    check(&|x| norm.forward(x), &|x| norm.composite(x), &noise(&[37, 40], 0.0));
}

#[test]
fn linear_bodies_agree_in_both_orientations() {
    for (orientation, shape) in [(Orientation::InOut, [40, 24]), (Orientation::OutIn, [24, 40])] {
        for bias in [None, Some(noise(&[24], 1.0))] {
            let linear = Linear::new(noise(&shape, 3.0), bias, orientation);
            for n in [1, 2, 19] {
                check(&|x| linear.forward(x), &|x| linear.composite(x), &noise(&[n, 40], 0.5));
            }
        }
    }
}

#[test]
fn large_one_row_products_run_on_all_threads_and_agree() {
    for (orientation, shape) in [(Orientation::InOut, [512, 515]), (Orientation::OutIn, [515, 512])] {
        let linear = Linear::new(noise(&shape, 3.0), None, orientation);
        let x = noise(&[1, 512], 0.5);
        close(&linear.forward(&x).unwrap(), &linear.composite(&x).unwrap(), 1e-5);
    }
}

fn values_of(x: &Tensor) -> Vec<f32> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn rotations_agree_and_turn_back() {
    for config in [config(), rich_config()] {
        for params in config.ropes {
            let width = 120;
            let rotation = Rotation {
                table: Rope::new(12, params).table(90),
                positions: Arc::new((0..20).map(|i| (i * 13) % 90).collect()),
                head_dim: 12,
                n_rotated: 8,
            };
            let plain = noise(&[20, width], 0.2);
            let mut rows = values_of(&plain);
            rotation.apply(&mut rows, width, 1.0);
            let turned = Tensor::from_vec(rows.clone(), (20, width), plain.device()).unwrap();
            close(&turned, &rope::composite(&plain, &rotation).unwrap(), 2e-6);
            rotation.apply(&mut rows, width, -1.0);
            close(&Tensor::from_vec(rows, (20, width), plain.device()).unwrap(), &plain, 2e-6);
        }
    }
}

/// Cached parts, shared beginnings, siblings, a node longer than one task.
fn branching(model: &Model, block: usize) -> (Attention, Tensor) {
    let long = model.prefill(&ids(9, 1), None).unwrap();
    let longer = model.prefill(&ids(5, 2), Some(&long)).unwrap();
    let mut tree = TokenTree::new();
    let mut add = |parent, n| tree.push(Node { parent, ids: ids(n, 3), ends_prompt: false, is_reply: false });
    let root = add(Parent::Root, 7);
    let branch = add(Parent::Node { node: root, len: 4 }, 3);
    add(Parent::Node { node: branch, len: 2 }, 5);
    add(Parent::Node { node: root, len: 7 }, 1);
    let cached = add(Parent::Cache(1), 40);
    add(Parent::Node { node: cached, len: 33 }, 2);
    add(Parent::Cache(0), 1);
    let plan = Plan::new(&tree, &[&long, &longer], 96).unwrap();
    let heads = Heads::of(model.config());
    let parts = plan.parts.iter().map(|part| part.blocks[block].clone()).collect();
    let x = noise(&[plan.n_tokens, heads.width()], 0.1);
    (Attention { heads, plan: Arc::new(plan), parts, window: model.config().blocks[block].window }, x)
}

#[test]
fn attention_bodies_agree_over_a_branching_tree() {
    for (model, block) in [(model(), 1), (rich_model(), 0), (rich_model(), 1), (rich_model(), 2)] {
        let (attention, x) = branching(&model, block);
        let n = attention.plan.n_tokens;
        let forward = |x: &Tensor| {
            let mixed = attention.forward(&values_of(x), None)?;
            Tensor::from_vec(mixed, (n, attention.heads.q_dim()), x.device())
        };
        let (expected, expected_grad) = value_and_gradient(&|x| attention.composite(x), &x);
        close(&forward(&x).unwrap(), &expected, 5e-6);
        let grad = attention.backward(&values_of(&x), &values_of(&noise(expected.dims(), 0.3))).unwrap();
        let grad = Tensor::from_vec(grad, x.dims(), x.device()).unwrap();
        close(&grad, &expected_grad, 1e-5);
        slope_agrees(&forward, &x, &grad);
    }
}

/// By the definition: what a token sees does not change when a key outside its window does.
#[test]
fn a_window_hides_what_lies_before_it() {
    let model = rich_model();
    let (attention, _) = branching(&model, 1);
    let heads = attention.heads;
    let mut tree = TokenTree::new();
    tree.push(Node { parent: Parent::Root, ids: ids(40, 1), ends_prompt: false, is_reply: false });
    let plan = Arc::new(Plan::new(&tree, &[], 96).unwrap());
    let attention = Attention { heads, plan, parts: Vec::new(), window: Some(3) };
    let plain = values_of(&noise(&[40, heads.width()], 0.1));
    let mut moved = plain.clone();
    let (q_dim, width) = (heads.q_dim(), heads.width());
    moved[20 * width + q_dim..21 * width].fill(1.5);
    let (before, after) = (attention.forward(&plain, None).unwrap(), attention.forward(&moved, None).unwrap());
    let changed: Vec<usize> =
        (0..40).filter(|row| before[row * q_dim..][..q_dim] != after[row * q_dim..][..q_dim]).collect();
    assert_eq!(changed, [20, 21, 22]);
}

#[test]
fn gates_agree() {
    for activation in [Activation::Silu, Activation::GeluTanh] {
        let both = noise(&[21, 36], 0.0);
        let mut gated = vec![0.0; 21 * 18];
        mlp::gate_into(&mut gated, &values_of(&both), 36, activation);
        let (expected, expected_grad) = value_and_gradient(&|x| mlp::composite(x, activation), &both);
        close(&Tensor::from_vec(gated, (21, 18), both.device()).unwrap(), &expected, 2e-6);
        let grad = mlp::gate_backward(&values_of(&both), &values_of(&noise(&[21, 18], 0.3)), 36, activation);
        close(&Tensor::from_vec(grad, (21, 36), both.device()).unwrap(), &expected_grad, 5e-6);
    }
}

#[test]
fn norms_of_heads_agree() {
    let heads = Heads::of(&rich_config());
    let norm = |seed| Norm { weight: noise(&[heads.head_dim], seed), eps: 1e-5 };
    let norms = QkNorm { q: norm(2.0), k: norm(3.0) };
    let x = noise(&[37, heads.width()], 0.1);
    let mut rows = values_of(&x);
    let raw = norms.apply(&mut rows, heads, true).unwrap();
    let (expected, expected_grad) = value_and_gradient(&|x| norms.composite(x, heads), &x);
    close(&Tensor::from_vec(rows, x.dims(), x.device()).unwrap(), &expected, 2e-6);
    let mut grad = values_of(&noise(x.dims(), 0.3));
    norms.backward(&mut grad, &raw, heads).unwrap();
    close(&Tensor::from_vec(grad, x.dims(), x.device()).unwrap(), &expected_grad, 5e-6);
}

#[test]
fn block_bodies_agree_over_a_branching_tree() {
    for (model, block_idx) in [(model(), 1), (rich_model(), 0), (rich_model(), 2)] {
        let (attention, _) = branching(&model, block_idx);
        let rotation = Rotation {
            table: model.weights.ropes[model.config().blocks[block_idx].rope].table(96),
            positions: Arc::new(attention.plan.positions()),
            head_dim: attention.heads.head_dim,
            n_rotated: attention.heads.n_heads + attention.heads.n_kv_heads,
        };
        let block = &model.weights.blocks[block_idx];
        let x = noise(&[attention.plan.n_tokens, 40], 0.4);
        check(
            &|x| Ok(block.forward(x, &rotation, &attention, None)?.x),
            &|x| Ok(block.composite(x, &rotation, &attention)?.x),
            &x,
        );
        // Some rows alone: the others take no part, neither forward nor backward.
        let rows: Vec<u32> = (0..attention.plan.n_tokens as u32).filter(|row| row % 5 != 2).collect();
        let index = Tensor::new(rows.as_slice(), x.device()).unwrap();
        let needed = Some(Arc::from(rows.as_slice()));
        check(
            &|x| block.forward(x, &rotation, &attention, needed.clone())?.x.index_select(&index, 0),
            &|x| block.composite(x, &rotation, &attention)?.x.index_select(&index, 0),
            &x,
        );
        let keys = |passed: crate::ops::block::Passed| passed.keys_and_values((3, 9), &attention).unwrap();
        let fused = keys(block.forward(&x, &rotation, &attention, None).unwrap());
        close(&fused, &keys(block.composite(&x, &rotation, &attention).unwrap()), 5e-6);
    }
}

/// The bodies for accelerators in the number format that is used there: every operation takes it, and the result is as
/// far from that in f32 as eight bits allow.
#[test]
fn stock_operations_run_in_16_bits() {
    let model = rich_model();
    let (attention, _) = branching(&model, 0);
    let rotation = Rotation {
        table: model.weights.ropes[1].table(96),
        positions: Arc::new(attention.plan.positions()),
        head_dim: attention.heads.head_dim,
        n_rotated: attention.heads.n_heads + attention.heads.n_kv_heads,
    };
    let run = |dtype: DType| -> Result<(Tensor, Tensor)> {
        // The same values in both formats.
        let cast =
            |shape: &[usize], seed: f32, size: f64| (noise(shape, seed) * size)?.to_dtype(DType::BF16)?.to_dtype(dtype);
        let linear = |n_in, n_out, seed| -> Result<Linear> {
            let bias = Some(cast(&[n_out], seed + 0.5, 0.2)?);
            Ok(Linear::new(cast(&[n_in, n_out], seed, 0.2)?, bias, Orientation::InOut))
        };
        let norm = |width, seed| -> Result<Norm> { Ok(Norm { weight: (noise(&[width], seed) + 1.5)?, eps: 1e-5 }) };
        let block = Block {
            attn_norm: norm(40, 1.0)?,
            qkv: linear(40, 120, 2.0)?,
            qk_norm: Some(QkNorm { q: norm(12, 3.0)?, k: norm(12, 4.0)? }),
            o: linear(72, 40, 5.0)?,
            post_attn: Some(norm(40, 6.0)?),
            mlp_norm: norm(40, 7.0)?,
            gate_up: linear(40, 104, 8.0)?,
            activation: Activation::GeluTanh,
            down: linear(52, 40, 9.0)?,
            post_mlp: Some(norm(40, 1.5)?),
        };
        let parts =
            attention.parts.iter().map(|part| part.to_dtype(DType::BF16)?.to_dtype(dtype)).collect::<Result<_>>()?;
        let attention = Attention { parts, ..attention.clone() };
        let x = block.composite(&cast(&[attention.plan.n_tokens, 40], 0.4, 1.0)?, &rotation, &attention)?.x;
        let head =
            Head { linear: Linear::new(cast(&[300, 40], 0.7, 0.3)?, None, Orientation::OutIn), softcap: Some(5.0) };
        let losses = loss::composite(&norm(40, 2.5)?.composite(&x)?, &head, &ids(attention.plan.n_tokens, 4))?;
        Ok((x, losses))
    };
    let (exact, rounded) = (run(DType::F32).unwrap(), run(DType::BF16).unwrap());
    assert_eq!((rounded.0.dtype(), rounded.1.dtype()), (DType::BF16, DType::F32));
    for (exact, rounded) in [(exact.0, rounded.0), (exact.1, rounded.1)] {
        let found = deviation(&rounded, &exact);
        assert!((1e-4..4e-2).contains(&found), "{found:e}");
    }
}

#[test]
fn cross_entropy_bodies_agree() {
    for softcap in [None, Some(5.0)] {
        let head = Head { linear: Linear::new(noise(&[300, 40], 0.7), None, Orientation::OutIn), softcap };
        cross_entropies_agree(&head);
    }
}

#[track_caller]
fn cross_entropies_agree(head: &Head) {
    let targets = ids(33, 4);
    check(&|x| loss::cross_entropy(x, head, &targets), &|x| loss::composite(x, head, &targets), &noise(&[33, 40], 0.6));
    let hidden = noise(&[33, 40], 0.6);
    let expected = loss::log_softmax(&head.forward(&hidden).unwrap()).unwrap().neg().unwrap();
    close(&loss::negative_log_probs(&hidden, head).unwrap(), &expected, 2e-6);
    let known =
        |x: &Tensor| loss::cross_entropy_known(x, head, &targets, &loss::negative_log_probs(&x.detach(), head)?);
    check(&known, &|x| loss::composite(x, head, &targets), &hidden);
}
