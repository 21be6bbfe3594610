//! Operators on latents against what they stand for: encode, change, decode, and add what was not explained.

use std::sync::Arc;

use candle_core::{Device, Tensor, Var};
use tiller_protocol::site::Site;
use tiller_protocol::steering::Positions;

use super::super::fold::Vectors;
use super::super::{
    Architecture, Description, Dictionary, Format, Hints, LatentEdit, Norm, Operator, Pinned, Precision, Ranking, Sae,
    SaeFile, convert,
};
use super::golden::{CASES, fixtures, golden, hints};
use crate::edit::Edit;
use crate::model::{EarlyExit, KvCache, Model, Request};
use crate::testing::{close, deviation, ids, model, noise, stock_model};
use crate::tree::{Node, Parent, TokenTree};

/// Relative to the largest value.
const BOUND: f32 = 1e-5;
/// Width of the small model.
const WIDTH: usize = 40;
/// Latents of its SAEs.
const N: usize = 64;

/// Every operator, with values about as large as the activations.
fn operators(size: f64) -> Vec<Operator> {
    vec![
        Operator::Add(0.7 * size),
        Operator::Add(-size),
        Operator::Set(1.5 * size),
        Operator::Set(0.0),
        Operator::AtLeast(0.4 * size),
        Operator::Multiply(3.0),
        Operator::Multiply(-1.0),
        Operator::Ablate,
    ]
}

/// What each row of `resid` is divided by before it is encoded.
fn spread(sae: &Sae, resid: &Tensor) -> Vec<f32> {
    sae.norm().spread(resid).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// The definition: all latents encoded, some changed, all decoded, the error added.
fn by_definition(sae: &Sae, resid: &Tensor, operators: &[(usize, Operator)]) -> Tensor {
    let mut acts = sae.encode(resid).unwrap().to_vec2::<f32>().unwrap();
    let error = (resid - sae.reconstruct(resid).unwrap()).unwrap();
    for (row, spread) in acts.iter_mut().zip(spread(sae, resid)) {
        for &(latent, operator) in operators {
            let f = f64::from(row[latent] * spread);
            let target = match operator {
                Operator::Add(value) => f + value,
                Operator::Set(value) => value,
                Operator::AtLeast(value) => f.max(value),
                Operator::Multiply(factor) => f * factor,
                Operator::Ablate => 0.0,
            };
            row[latent] = target as f32 / spread;
        }
    }
    let decoded = sae.decode(&Tensor::new(acts, &Device::Cpu).unwrap()).unwrap();
    (sae.norm().undo(&decoded, resid).unwrap() + error).unwrap()
}

/// Latents that are active on some rows and off on others, most unequal first.
fn changing(sae: &Sae, resid: &Tensor) -> Vec<usize> {
    let acts = sae.encode(resid).unwrap().t().unwrap().to_vec2::<f32>().unwrap();
    let on = |column: &Vec<f32>| column.iter().filter(|value| **value != 0.0).count();
    let mut latents: Vec<usize> = (0..acts.len()).filter(|&i| (1..acts[i].len()).contains(&on(&acts[i]))).collect();
    latents.sort_by_key(|&i| on(&acts[i]).abs_diff(acts[i].len() / 2));
    latents
}

fn largest(values: &Tensor) -> f64 {
    f64::from(values.abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar::<f32>().unwrap())
}

fn applied(edit: &LatentEdit, resid: &Tensor) -> Tensor {
    resid.broadcast_add(&edit.delta(resid).unwrap()).unwrap()
}

#[test]
fn every_operator_on_every_form_is_what_it_stands_for() {
    let dir = tempfile::tempdir().unwrap();
    for &(root, path, format, _, _) in CASES {
        let (path, input) = (fixtures().join(root).join(path), golden(root).input);
        let sae = Sae::load_with(&path, hints(format), &Device::Cpu).unwrap();
        let target = dir.path().join("sae.safetensors");
        convert(&path, hints(format), &target, Precision::F32, &mut |_, _| true).unwrap();
        let file = Dictionary::File(Arc::new(SaeFile::open(&target).unwrap()));
        let memory = Dictionary::Memory(Arc::new(sae.clone()));
        let latents = changing(&sae, &input);
        assert!(latents.len() >= 3, "{root}: {} latents are now on, now off", latents.len());
        let largest_spread = spread(&sae, &input).into_iter().fold(0.0, f32::max);
        let size = 0.5 * largest(&sae.encode(&input).unwrap()) * f64::from(largest_spread);
        for operator in operators(size) {
            // One alone, three together on one reading, and one after the other on the same latent.
            for operators in [
                vec![(latents[0], operator)],
                vec![(latents[1], operator), (latents[2], Operator::Set(size)), (latents[0], Operator::Add(size))],
                vec![(latents[0], operator), (latents[0], Operator::AtLeast(0.9 * size)), (latents[0], operator)],
            ] {
                let expected = by_definition(&sae, &input, &operators);
                for dictionary in [&memory, &file] {
                    let edit = LatentEdit::new(dictionary, &operators, &Device::Cpu).unwrap();
                    let worst = deviation(&applied(&edit, &input), &expected);
                    assert!(worst <= BOUND, "{root} {operators:?}: {worst:.1e}");
                }
                if operator != Operator::Set(0.0) {
                    assert!(deviation(&expected, &input) > 1e-3, "{root} {operators:?} does nothing here");
                }
            }
        }
    }
}

#[test]
fn pinned_latents_are_read_as_the_whole_sae_reads_them() {
    let dir = tempfile::tempdir().unwrap();
    for &(root, path, format, architecture, _) in CASES {
        let (path, input) = (fixtures().join(root).join(path), golden(root).input);
        let sae = Sae::load_with(&path, hints(format), &Device::Cpu).unwrap();
        let target = dir.path().join("sae.safetensors");
        convert(&path, hints(format), &target, Precision::F32, &mut |_, _| true).unwrap();
        let latents: Vec<usize> = (0..sae.d_sae()).rev().collect();
        let index: Vec<u32> = latents.iter().map(|&latent| latent as u32).collect();
        let index = Tensor::new(index, &Device::Cpu).unwrap();
        let expected = sae.encode(&input).unwrap().index_select(&index, 1).unwrap();
        let pre = sae.pre_activations(&input, &latents).unwrap();
        let competes = matches!(architecture, Architecture::TopK | Architecture::AbsTopK);
        for dictionary in
            [Dictionary::Memory(Arc::new(sae.clone())), Dictionary::File(Arc::new(SaeFile::open(&target).unwrap()))]
        {
            let pinned = |ranking| Pinned::new(&dictionary, &latents, ranking, &Device::Cpu).unwrap();
            let exact = pinned(Ranking::Whole);
            assert!(exact.is_exact());
            close(&exact.activations(&input).unwrap(), &expected, BOUND);
            assert_eq!(exact.read(&input).unwrap().len(), latents.len() * input.dims()[0]);
            let skipped = pinned(Ranking::Skipped);
            assert_eq!(skipped.is_exact(), !competes, "{root}");
            let without_others = match architecture {
                Architecture::TopK => pre.relu().unwrap(),
                Architecture::AbsTopK => pre.clone(),
                _ => expected.clone(),
            };
            close(&skipped.activations(&input).unwrap(), &without_others, BOUND);
            assert!(Pinned::new(&dictionary, &[sae.d_sae()], Ranking::Whole, &Device::Cpu).is_err());
            assert!(exact.read(&noise(&[2, sae.d_model() + 1], 0.0)).is_err());
        }
    }
}

/// An SAE that fits the small model.
fn fitting(architecture: Architecture, norm: Norm) -> Dictionary {
    let about = Description {
        format: Format::SaeLens,
        architecture,
        k: Some(9),
        site: Site::ResidPost(1),
        d_model: WIDTH,
        d_sae: N,
        norm,
        reads: None,
        stored_as: "f32".to_owned(),
    };
    let values = |shape: &[usize], seed: f32| noise(shape, seed).flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let dec = noise(&[N, WIDTH], 3.3);
    let dec = dec.broadcast_div(&dec.sqr().unwrap().sum_keepdim(1).unwrap().sqrt().unwrap()).unwrap();
    let vectors = Vectors {
        b_enc: values(&[N], 2.0),
        b_dec: values(&[WIDTH], 4.0),
        dec_norms: vec![1.0; N],
        theta: values(&[N], 5.0).into_iter().map(f32::abs).collect(),
        rank_scale: values(&[N], 6.0).into_iter().map(|value| value.abs() + 0.3).collect(),
    };
    let dec = dec.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    Dictionary::Memory(Arc::new(Sae::of_parts(&about, values(&[N, WIDTH], 1.1), dec, vectors, &Device::Cpu).unwrap()))
}

fn all_fitting() -> Vec<Dictionary> {
    use Architecture::{AbsTopK, Gated, JumpRelu, Standard, TopK};
    let mut all: Vec<Dictionary> =
        [Standard, JumpRelu, Gated, TopK, AbsTopK].map(|architecture| fitting(architecture, Norm::None)).into();
    all.extend([Norm::Length, Norm::Layer].map(|norm| fitting(TopK, norm)));
    all
}

fn sae_of(dictionary: &Dictionary) -> &Sae {
    match dictionary {
        Dictionary::Memory(sae) => sae,
        Dictionary::File(_) => panic!("it is in memory"),
    }
}

/// A prompt, two replies to it of one more token each, and a branch in its middle.
fn tree() -> TokenTree {
    let mut tree = TokenTree::new();
    let node =
        |parent, ids: &[u32], is_reply: bool| Node { parent, ids: ids.to_vec(), ends_prompt: !is_reply, is_reply };
    let prompt = tree.push(node(Parent::Root, &ids(7, 1), false));
    tree.push(node(Parent::Node { node: prompt, len: 7 }, &ids(3, 2), true));
    tree.push(node(Parent::Node { node: prompt, len: 4 }, &ids(2, 3), false));
    tree
}

/// Rows of [`tree`] that each choice of positions touches.
fn touched(positions: Positions) -> Vec<usize> {
    match positions {
        Positions::All => (1..12).collect(),
        Positions::Prompt => vec![1, 2, 3, 4, 5, 6, 10, 11],
        Positions::LastPrompt => vec![6, 11],
        Positions::Generated => vec![6, 7, 8, 9, 11],
    }
}

#[test]
fn in_a_pass_the_rows_named_change_and_no_others() {
    let (model, tree) = (model(), tree());
    for dictionary in all_fitting() {
        let sae = sae_of(&dictionary);
        let plain = model.forward(&Request { capture: &[1], ..Request::new(&tree) }).unwrap();
        let latents = changing(sae, &plain.resid_post[0].1);
        for operator in operators(4.0) {
            let operators = [(latents[0], operator), (latents[1], Operator::Set(2.0)), (latents[2], operator)];
            let edit = Arc::new(LatentEdit::new(&dictionary, &operators, &Device::Cpu).unwrap());
            for positions in Positions::ALL {
                let edits = [Edit::latents(1, Arc::clone(&edit), positions)];
                let request = Request { edits: &edits, capture: &[0, 1], before: &[1], ..Request::new(&tree) };
                let out = model.forward(&request).unwrap();
                let (before, after) = (&out.before[0].1, &out.resid_post[1].1);
                close(before, &plain.resid_post[0].1, 0.0);
                let mut expected = before.to_vec2::<f32>().unwrap();
                let changed = by_definition(sae, before, &operators).to_vec2::<f32>().unwrap();
                for row in touched(positions) {
                    expected[row].clone_from(&changed[row]);
                }
                close(after, &Tensor::new(expected.clone(), &Device::Cpu).unwrap(), BOUND);
                let after = after.to_vec2::<f32>().unwrap();
                for row in (0..12).filter(|row| !touched(positions).contains(row)) {
                    assert_eq!(after[row], before.to_vec2::<f32>().unwrap()[row], "{positions:?}, row {row}");
                }
            }
        }
    }
}

/// A reply grown token by token from a cache, nodes that leave early, and the body for accelerators all give the same.
#[test]
fn caches_early_exits_and_stock_operations_agree() {
    let (model, stock, all) = (model(), stock_model(), ids(10, 4));
    for dictionary in all_fitting() {
        let plain = model.forward(&Request { capture: &[1], ..Request::new(&TokenTree::sequence(&all)) }).unwrap();
        let latents = changing(sae_of(&dictionary), &plain.resid_post[0].1);
        let operators = [(latents[0], Operator::Multiply(-2.0)), (latents[1], Operator::AtLeast(5.0))];
        let edit = Arc::new(LatentEdit::new(&dictionary, &operators, &Device::Cpu).unwrap());
        let edits = [Edit::latents(1, Arc::clone(&edit), Positions::Generated)];
        let reply = |parent, ids: &[u32]| Node { parent, ids: ids.to_vec(), ends_prompt: false, is_reply: true };
        let prompt = Node { ends_prompt: true, is_reply: false, ..reply(Parent::Root, &all[..6]) };
        let mut whole = TokenTree::new();
        whole.push(prompt.clone());
        whole.push(reply(Parent::Node { node: 0, len: 6 }, &all[6..]));
        let request = Request { edits: &edits, capture: &[1], ..Request::new(&whole) };
        let expected = model.forward(&request).unwrap();
        assert!(deviation(&expected.resid_post[0].1, &plain.resid_post[0].1) > 1e-3);

        let run = |cache: Option<&KvCache>, node: Node| {
            let mut tree = TokenTree::new();
            tree.push(node);
            let caches: Vec<&KvCache> = cache.into_iter().collect();
            let request = Request { caches: &caches, edits: &edits, keep_kv: true, ..Request::new(&tree) };
            model.forward(&request).unwrap()
        };
        let mut out = run(None, prompt);
        for &id in &all[6..] {
            out = run(Some(&out.caches[0]), reply(Parent::Cache(0), &[id]));
        }
        close(&out.last, &expected.last.narrow(0, 9, 1).unwrap(), BOUND);

        let early = Some(EarlyExit { after_block: 1, keep: &[0] });
        let kept = model.forward(&Request { early, ..request }).unwrap();
        close(&kept.last, &expected.last.narrow(0, 0, 6).unwrap(), BOUND);

        let other: &Model = &stock;
        close(&other.forward(&request).unwrap().last, &expected.last, BOUND);
    }
}

#[test]
fn what_changes_nothing_leaves_the_same_bits() {
    let (model, tree) = (model(), tree());
    let plain = model.forward(&Request::new(&tree)).unwrap().last.to_vec2::<f32>().unwrap();
    for dictionary in all_fitting() {
        let operators = [(3, Operator::Add(0.0)), (5, Operator::Multiply(1.0)), (3, Operator::Add(-0.0))];
        let edit = LatentEdit::new(&dictionary, &operators, &Device::Cpu).unwrap();
        assert!(edit.changes_nothing());
        let edits = [Edit::latents(1, Arc::new(edit), Positions::All)];
        let edited = model.forward(&Request { edits: &edits, ..Request::new(&tree) }).unwrap().last;
        assert_eq!(plain, edited.to_vec2::<f32>().unwrap());
    }
}

/// With the gate held fixed, against finite differences of the change, which is smooth where no gate flips.
#[test]
fn the_gradient_passes_through_the_operators() {
    let rows = noise(&[5, WIDTH], 0.4);
    for dictionary in all_fitting() {
        let latents = changing(sae_of(&dictionary), &rows);
        for operator in operators(4.0) {
            let operators = [(latents[0], operator), (latents[1], Operator::Multiply(0.5))];
            let edit = LatentEdit::new(&dictionary, &operators, &Device::Cpu).unwrap();
            let (x, weights) = (Var::from_tensor(&rows).unwrap(), noise(&[5, WIDTH], 7.0));
            let loss = |x: &Tensor| (applied(&edit, x) * &weights).unwrap().sum_all().unwrap();
            let grads = loss(x.as_tensor()).backward().unwrap();
            let grad = grads.get(x.as_tensor()).unwrap();
            let (direction, step) = (noise(&[5, WIDTH], 8.0), 1e-3);
            let at = |t: f64| {
                let moved = (&rows + (&direction * t).unwrap()).unwrap();
                f64::from(loss(&moved).to_scalar::<f32>().unwrap())
            };
            let found = f64::from((grad * &direction).unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap());
            let expected = (at(step) - at(-step)) / (2.0 * step);
            let size = f64::from(grad.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap()).sqrt();
            assert!((found - expected).abs() < 2e-2 * size, "{operator:?}: {found} is not {expected}");
        }
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let dictionary = fitting(Architecture::Standard, Norm::None);
    for operators in [
        [(N, Operator::Ablate)],
        [(N, Operator::Add(1.0))],
        [(0, Operator::Set(f64::NAN))],
        [(0, Operator::Multiply(f64::INFINITY))],
    ] {
        assert!(LatentEdit::new(&dictionary, &operators, &Device::Cpu).is_err(), "{operators:?}");
    }
    // An SAE of another width.
    let dir = tempfile::tempdir().unwrap();
    let narrow = super::load(dir.path(), r#"{"architecture":"standard","hook_name":"blocks.1.hook_resid_post"}"#);
    let narrow = Dictionary::Memory(Arc::new(narrow.unwrap()));
    let edit = LatentEdit::new(&narrow, &[(0, Operator::Ablate)], &Device::Cpu).unwrap();
    let edits = [Edit::latents(1, Arc::new(edit), Positions::All)];
    let (model, tree) = (model(), tree());
    assert!(model.forward(&Request { edits: &edits, ..Request::new(&tree) }).is_err());
    // A file that is cut short while it is used.
    let target = dir.path().join("sae.safetensors");
    convert(dir.path(), Hints::default(), &target, Precision::F32, &mut |_, _| true).unwrap();
    let file = Dictionary::File(Arc::new(SaeFile::open(&target).unwrap()));
    std::fs::OpenOptions::new().write(true).open(&target).unwrap().set_len(600).unwrap();
    assert!(LatentEdit::new(&file, &[(9, Operator::Ablate)], &Device::Cpu).is_err());
}
