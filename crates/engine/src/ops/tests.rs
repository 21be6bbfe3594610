//! Every operation: both bodies agree in values and gradients, and the gradient agrees with finite differences.

use std::sync::Arc;

use candle_core::{Result, Tensor, Var};

use super::attention::{Attention, Heads};
use super::linear::{Linear, Orientation};
use super::mlp::{self, Mlp};
use super::rope::{self, Rope, Rotation};
use super::{loss, norm};
use crate::plan::Plan;
use crate::testing::{close, config, deviation, ids, noise};
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
    close(&value, &expected, 2e-6);
    close(&grad, &expected_grad, 5e-6);
    // Along a random line, in f64 sums of f32 values: central differences.
    let line = noise(x.dims(), 5.1);
    let along = |step: f64| -> f64 {
        let y = fused(&(x + (&line * step).unwrap()).unwrap()).unwrap();
        let weighted = (&y * noise(y.dims(), 0.3)).unwrap().flatten_all().unwrap();
        weighted.to_vec1::<f32>().unwrap().iter().map(|&v| f64::from(v)).sum()
    };
    let step = 4e-3;
    let slope = (along(step) - along(-step)) / (2.0 * step);
    let product = (&grad * &line).unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap();
    let size =
        grad.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap().sqrt() * (x.elem_count() as f32).sqrt();
    let error = (slope - f64::from(product)).abs() / f64::from(size);
    assert!(error < 1e-3, "slope {slope}, gradient {product}");
}

#[test]
fn norm_bodies_agree() {
    let weight = noise(&[40], 2.0);
    let x = noise(&[37, 40], 0.0);
    check(&|x| norm::rms_norm(x, &weight, 1e-5), &|x| norm::composite(x, &weight, 1e-5), &x);
}

#[test]
fn linear_bodies_agree_in_both_orientations() {
    for (orientation, shape) in [(Orientation::InOut, [40, 24]), (Orientation::OutIn, [24, 40])] {
        for bias in [None, Some(noise(&[24], 1.0))] {
            let linear = Linear::new(noise(&shape, 3.0), bias, orientation);
            for n in [1, 2, 19] {
                check(&|x| linear.forward(x), &|x| linear.composite(x), &noise(&[n, 40], 0.5));
                let residual = noise(&[n, 24], 0.9);
                check(
                    &|x| linear.forward_add(x, &residual),
                    &|x| &residual + linear.composite(x)?,
                    &noise(&[n, 40], 0.5),
                );
            }
        }
    }
}

#[test]
fn the_residual_keeps_its_gradient() {
    let linear = Linear::new(noise(&[40, 40], 3.0), None, Orientation::InOut);
    check(&|x| linear.forward_add(x, x), &|x| x + linear.composite(x)?, &noise(&[5, 40], 0.5));
}

#[test]
fn large_one_row_products_run_on_all_threads_and_agree() {
    for (orientation, shape) in [(Orientation::InOut, [512, 515]), (Orientation::OutIn, [515, 512])] {
        let linear = Linear::new(noise(&shape, 3.0), None, orientation);
        let x = noise(&[1, 512], 0.5);
        close(&linear.forward(&x).unwrap(), &linear.composite(&x).unwrap(), 1e-5);
    }
}

#[test]
fn projection_bodies_agree() {
    let config = config();
    let linear =
        Linear::new(noise(&[40, config.qkv_dim()], 3.0), Some(noise(&[config.qkv_dim()], 1.0)), Orientation::InOut);
    let positions: Vec<usize> = (0..20).map(|i| (i * 13) % 90).collect();
    let rotation = Rotation {
        table: Rope::new(&config).table(90),
        positions: Arc::new(positions),
        head_dim: config.head_dim,
        n_rotated: config.n_heads + config.n_kv_heads,
    };
    check(
        &|x| rope::project(x, &linear, &rotation),
        &|x| rope::composite(x, &linear, &rotation),
        &noise(&[20, 40], 0.2),
    );
}

/// Cached parts, shared beginnings, siblings, a node longer than one task.
fn branching() -> (Attention, Tensor) {
    let model = crate::testing::model();
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
    let parts = plan.parts.iter().map(|part| part.blocks[1].clone()).collect();
    let x = noise(&[plan.n_tokens, heads.width()], 0.1);
    (Attention { heads, plan: Arc::new(plan), parts }, x)
}

#[test]
fn attention_bodies_agree_over_a_branching_tree() {
    let (attention, x) = branching();
    check(&|x| attention.forward(x), &|x| attention.composite(x), &x);
}

#[test]
fn mlp_bodies_agree() {
    check(&|x| mlp::swiglu(x), &|x| mlp::composite(x), &noise(&[21, 36], 0.0));
    let mlp = Mlp {
        norm: noise(&[40], 2.0),
        eps: 1e-5,
        gate_up: Linear::new(noise(&[40, 104], 1.0), None, Orientation::InOut),
        down: Linear::new(noise(&[52, 40], 2.0), None, Orientation::InOut),
    };
    let composite = |x: &Tensor| {
        let h = norm::composite(x, &mlp.norm, mlp.eps)?;
        x + mlp.down.composite(&mlp::composite(&mlp.gate_up.composite(&h)?)?)?
    };
    let x = noise(&[600, 40], 0.4);
    // Untracked input takes the fused body with its own scratch space.
    close(&mlp.forward(&x).unwrap(), &composite(&x).unwrap(), 1e-5);
    let (value, grad) = value_and_gradient(&|x| mlp.forward(x), &x);
    let (expected, expected_grad) = value_and_gradient(&composite, &x);
    close(&value, &expected, 1e-5);
    close(&grad, &expected_grad, 1e-5);
}

#[test]
fn cross_entropy_bodies_agree() {
    let head = Linear::new(noise(&[300, 40], 0.7), None, Orientation::OutIn);
    let targets = ids(33, 4);
    check(
        &|x| loss::cross_entropy(x, &head, &targets),
        &|x| loss::composite(x, &head, &targets),
        &noise(&[33, 40], 0.6),
    );
    let logits = head.forward(&noise(&[3, 40], 0.6)).unwrap();
    let expected = loss::log_softmax(&logits).unwrap().neg().unwrap();
    assert!(deviation(&loss::negative_log_probs(&logits).unwrap(), &expected) < 2e-6);
}
