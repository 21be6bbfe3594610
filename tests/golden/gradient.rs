//! Gradients for one-hot tokens: −target + λ·cross-entropy, the one-hot being input and label at once, as in EPO
//! (arXiv 2402.01702).

use anyhow::{Context as _, Result};
use tiller_engine::gradient::{Member, Problem, TokenGradients, token_gradients};
use tiller_engine::{KvCache, Parent, Request, Tensor, TokenTree};

use super::GRADIENT_BOUND;
use super::fixture::{Golden, assert_near, node};

/// One gradient of the golden file.
struct Case {
    index: usize,
    ids: Vec<u32>,
    block: usize,
    lambda: f64,
}

fn cases(golden: &Golden) -> Result<Vec<Case>> {
    let list = golden.facts["gradients"].as_array().context("golden.json lists gradients")?;
    list.iter()
        .enumerate()
        .map(|(index, case)| {
            let number = |key: &str| case[key].as_u64().with_context(|| format!("{key} is a number"));
            Ok(Case {
                index,
                ids: golden.sequence(number("sequence")? as usize)?,
                block: number("block")? as usize,
                lambda: case["lambda"].as_f64().context("lambda is a number")?,
            })
        })
        .collect()
}

/// Gradients towards the golden direction.
fn gradients(
    golden: &Golden,
    tree: &TokenTree,
    caches: &[&KvCache],
    members: &[Member],
    block: usize,
) -> Result<TokenGradients> {
    let direction = golden.tensor("direction")?.unsqueeze(1)?;
    let problem = Problem { tree, caches, members, block, edits: &[] };
    Ok(token_gradients(&golden.model, &problem, &|reads| Ok(reads.matmul(&direction)?.squeeze(1)?))?)
}

fn member(node: usize, lambda: f64) -> Member {
    Member { slots: vec![node], reads: vec![node], lambda }
}

/// A golden number that is kept as a tensor of one entry.
fn number(golden: &Golden, name: &str) -> Result<f64> {
    Ok(f64::from(golden.tensor(name)?.to_vec1::<f32>()?[0]))
}

fn assert_number(found: f64, expected: f64, what: &str) {
    assert!((found - expected).abs() <= GRADIENT_BOUND * expected.abs().max(1.0), "{what}: {found}, not {expected}");
}

#[test]
fn gradients_equal_autograd_in_pytorch() -> Result<()> {
    for golden in Golden::all()? {
        for case in cases(&golden)? {
            let what = format!("{}, gradient {}", golden.name, case.index);
            let tree = TokenTree::sequence(&case.ids);
            let found = gradients(&golden, &tree, &[], &[member(0, case.lambda)], case.block)?;
            let expected = golden.tensor(&format!("grad.{}.token_grad", case.index))?;
            assert_near(&found.dense(0)?, expected, GRADIENT_BOUND, &what)?;
            assert_number(found.targets[0], number(&golden, &format!("grad.{}.target", case.index))?, &what);
            if case.lambda != 0.0 {
                assert_number(found.xents[0], number(&golden, &format!("grad.{}.xent", case.index))?, &what);
            }
        }
    }
    Ok(())
}

#[test]
fn members_of_a_batch_do_not_disturb_each_other() -> Result<()> {
    for golden in Golden::all()? {
        let (short, long) = (golden.sequence(1)?, golden.sequence(2)?);
        let mut tree = TokenTree::new();
        for ids in [&short, &long, &short] {
            tree.push(node(Parent::Root, ids));
        }
        let members = [member(0, 0.7), member(1, 0.0), member(2, 3.0)];
        let together = gradients(&golden, &tree, &[], &members, 1)?;
        for (index, (ids, lambda)) in [(&short, 0.7), (&long, 0.0), (&short, 3.0)].into_iter().enumerate() {
            let alone = gradients(&golden, &TokenTree::sequence(ids), &[], &[member(0, lambda)], 1)?;
            let what = format!("{}, member {index}", golden.name);
            assert_near(&together.dense(index)?, &alone.dense(0)?, GRADIENT_BOUND, &what)?;
            assert_number(together.targets[index], alone.targets[0], &what);
        }
    }
    Ok(())
}

/// A prefix before the optimised tokens, as a cache or as a run of the tree, gives the rows that the whole sequence
/// gives there, once λ accounts for the number of tokens that the cross-entropy is averaged over.
#[test]
fn a_prefix_changes_nothing_but_the_average() -> Result<()> {
    for golden in Golden::all()? {
        let ids = golden.sequence(2)?;
        let (n, at, lambda) = (ids.len(), 11, 1.5);
        let whole = gradients(&golden, &TokenTree::sequence(&ids), &[], &[member(0, lambda)], 1)?;
        let expected = whole.dense(0)?.narrow(0, at, n - at)?;
        let lambda = lambda * (n - at) as f64 / (n - 1) as f64;

        let cache = golden.model.prefill(&ids[..at], None)?;
        let mut tree = TokenTree::new();
        tree.push(node(Parent::Cache(0), &ids[at..]));
        let cached = gradients(&golden, &tree, &[&cache], &[member(0, lambda)], 1)?;
        assert_near(&cached.dense(0)?, &expected, GRADIENT_BOUND, &format!("{}: cache", golden.name))?;
        assert_number(cached.targets[0], whole.targets[0], golden.name);

        let mut tree = TokenTree::new();
        tree.push(node(Parent::Root, &ids[..at + 3]));
        tree.push(node(Parent::Node { node: 0, len: at }, &ids[at..]));
        let branched = gradients(&golden, &tree, &[], &[member(1, lambda)], 1)?;
        assert_near(&branched.dense(0)?, &expected, GRADIENT_BOUND, &format!("{}: run", golden.name))?;
    }
    Ok(())
}

/// The target may be read behind the optimised tokens, at the end of what follows them.
#[test]
fn the_target_may_be_read_after_the_prompt() -> Result<()> {
    for golden in Golden::all()? {
        let ids = golden.sequence(2)?;
        let (n, at) = (ids.len(), 30);
        let whole = gradients(&golden, &TokenTree::sequence(&ids), &[], &[member(0, 0.0)], 1)?;
        let mut tree = TokenTree::new();
        tree.push(node(Parent::Root, &ids[..at]));
        tree.push(node(Parent::Node { node: 0, len: at }, &ids[at..n]));
        let members = [Member { slots: vec![0], reads: vec![1], lambda: 0.0 }];
        let split = gradients(&golden, &tree, &[], &members, 1)?;
        let expected = whole.dense(0)?.narrow(0, 0, at)?;
        assert_near(&split.dense(0)?, &expected, GRADIENT_BOUND, golden.name)?;
        assert_number(split.targets[0], whole.targets[0], golden.name);
    }
    Ok(())
}

#[test]
fn the_best_replacements_are_the_smallest_entries() -> Result<()> {
    let golden = Golden::load("llama-tied", "llama-tied")?;
    let ids = golden.sequence(1)?;
    let found = gradients(&golden, &TokenTree::sequence(&ids), &[], &[member(0, 0.7)], 1)?;
    let allowed: Vec<bool> = (0..golden.model.config().vocab_size).map(|id| id % 3 != 0).collect();
    let dense: Vec<Vec<f32>> = found.dense(0)?.to_vec2()?;
    for (row, best) in dense.iter().zip(found.top_k(0, 5, &allowed)?) {
        let mut expected: Vec<u32> = (0..row.len() as u32).filter(|id| allowed[*id as usize]).collect();
        expected.sort_by(|a, b| row[*a as usize].total_cmp(&row[*b as usize]));
        assert_eq!(best, expected[..5]);
    }
    Ok(())
}

/// −target + λ·cross-entropy when position `at` holds the mix (1 − ε)·old + ε·new, as input and as label.
fn mixed_loss(golden: &Golden, case: &Case, at: usize, new: u32, epsilon: f64) -> Result<f64> {
    let model = &golden.model;
    let tree = TokenTree::sequence(&case.ids);
    let (mut changed, old) = (case.ids.clone(), case.ids[at]);
    changed[at] = new;
    let embeds = ((model.embed(&case.ids)? * (1.0 - epsilon))? + (model.embed(&changed)? * epsilon)?)?;
    let output = model.forward(&Request { embeds: Some(&embeds), capture: &[case.block], ..Request::new(&tree) })?;
    let n = case.ids.len();
    let direction = golden.tensor("direction")?;
    let target = (output.resid_post[0].1.get(n - 1)? * direction)?.sum_all()?.to_scalar::<f32>()?;
    let before = output.last.narrow(0, 0, n - 1)?;
    let losses = |ids: &[u32]| -> Result<Vec<f32>> { Ok(model.cross_entropy(&before, &ids[1..])?.to_vec1()?) };
    let (as_old, as_new) = (losses(&case.ids)?, losses(&changed)?);
    assert_eq!(case.ids[at], old);
    let sum: f64 =
        as_old.iter().zip(&as_new).map(|(a, b)| (1.0 - epsilon) * f64::from(*a) + epsilon * f64::from(*b)).sum();
    Ok(-f64::from(target) + case.lambda * sum / (n - 1) as f64)
}

#[test]
fn gradients_agree_with_finite_differences() -> Result<()> {
    const EPSILON: f64 = 5e-3;
    for golden in Golden::all()? {
        for case in cases(&golden)?.into_iter().filter(|case| case.ids.len() < 20) {
            let found =
                gradients(&golden, &TokenTree::sequence(&case.ids), &[], &[member(0, case.lambda)], case.block)?;
            let dense: Vec<Vec<f32>> = found.dense(0)?.to_vec2()?;
            let slope = |at: usize, new: u32| f64::from(dense[at][new as usize] - dense[at][case.ids[at] as usize]);
            let new_id = |at: usize| (case.ids[at] * 7 + 31 * at as u32) % golden.model.config().vocab_size as u32;
            let places: Vec<(usize, u32)> = (0..case.ids.len()).map(|at| (at, new_id(at))).collect();
            let scale = places.iter().fold(0.0_f64, |most, (at, new)| most.max(slope(*at, *new).abs()));
            for (at, new) in places {
                let ahead = mixed_loss(&golden, &case, at, new, EPSILON)?;
                let behind = mixed_loss(&golden, &case, at, new, -EPSILON)?;
                let difference = (ahead - behind) / (2.0 * EPSILON);
                let error = (difference - slope(at, new)).abs();
                assert!(
                    error <= 5e-3 * scale,
                    "{}, gradient {}, position {at}: {difference} instead of {}",
                    golden.name,
                    case.index,
                    slope(at, new)
                );
            }
        }
    }
    Ok(())
}

/// What cannot be differentiated is an error, never a silent zero.
#[test]
fn impossible_gradients_are_errors() -> Result<()> {
    let golden = Golden::load("llama-tied", "llama-tied")?;
    let ids = golden.sequence(1)?;
    let tree = TokenTree::sequence(&ids);
    assert!(gradients(&golden, &tree, &[], &[member(0, 1.0)], 2).is_err(), "a block that is not there");
    assert!(gradients(&golden, &tree, &[], &[member(1, 1.0)], 1).is_err(), "a run that is not there");
    assert!(gradients(&golden, &tree, &[], &[], 1).is_err(), "no member");
    let one = TokenTree::sequence(&ids[..1]);
    assert!(gradients(&golden, &one, &[], &[member(0, 1.0)], 1).is_err(), "one token has no cross-entropy");
    let problem = Problem { tree: &tree, caches: &[], members: &[member(0, 0.0)], block: 1, edits: &[] };
    let constant = |_: &Tensor| Ok(Tensor::new(&[1.0_f32], golden.model.device())?);
    assert!(token_gradients(&golden.model, &problem, &constant).is_err(), "a target that does not depend on tokens");
    Ok(())
}
