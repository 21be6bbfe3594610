use tiller_protocol::steering::Positions;

use crate::edit::Edit;
use crate::error::EngineError;
use crate::model::{EarlyExit, KvCache, Model, Request};
use crate::testing::{close, ids, logits, model, noise, rich_model, rich_stock_model, stock_model};
use crate::tree::{Node, Parent, TokenTree};

fn node(parent: Parent, ids: &[u32]) -> Node {
    Node { parent, ids: ids.to_vec(), ends_prompt: false, is_reply: false }
}

#[test]
fn a_tree_equals_its_plain_sequences() {
    for model in [model(), rich_model()] {
        check_tree(&model);
    }
}

fn check_tree(model: &Model) {
    let (stem, left, right) = (ids(9, 1), ids(6, 2), ids(4, 3));
    let mut tree = TokenTree::new();
    let root = tree.push(node(Parent::Root, &stem));
    let a = tree.push(node(Parent::Node { node: root, len: 9 }, &left));
    let b = tree.push(node(Parent::Node { node: root, len: 5 }, &right));
    let c = tree.push(node(Parent::Node { node: a, len: 2 }, &right));
    let out = model.forward(&Request { keep_kv: true, ..Request::new(&tree) }).unwrap();
    let all = model.logits(&out.last).unwrap();
    for (idx, path) in [
        (a, [&stem[..], &left].concat()),
        (b, [&stem[..5], &right].concat()),
        (c, [&stem[..], &left[..2], &right].concat()),
    ] {
        let plain = logits(model, &path);
        let n = tree.nodes()[idx].ids.len();
        let rows = all.narrow(0, tree.offset(idx), n).unwrap();
        close(&rows, &plain.narrow(0, path.len() - n, n).unwrap(), 3e-6);
        // And the cache of the node's path continues as the sequence does.
        assert_eq!(out.caches[idx].len(), path.len());
        let more = [&path[..], &[8, 9]].concat();
        let mut next = TokenTree::new();
        next.push(node(Parent::Cache(0), &[8, 9]));
        let caches = [&out.caches[idx]];
        let continued = model.forward(&Request { caches: &caches, ..Request::new(&next) }).unwrap();
        let expected = logits(model, &more).narrow(0, path.len(), 2).unwrap();
        close(&model.logits(&continued.last).unwrap(), &expected, 3e-6);
    }
}

#[test]
fn a_cache_grown_token_by_token_equals_one_pass() {
    for model in [model(), rich_model()] {
        check_growing_cache(&model);
    }
}

fn check_growing_cache(model: &Model) {
    let ids = ids(70, 5);
    let mut cache: Option<KvCache> = None;
    for id in &ids {
        cache = Some(model.prefill(&[*id], cache.as_ref()).unwrap());
    }
    let cache = cache.unwrap();
    assert_eq!(cache.len(), 70);
    assert!(cache.parts.len() < 8, "{} parts", cache.parts.len());
    let last = model.logits(cache.last_resid().unwrap()).unwrap();
    close(&last, &logits(model, &ids).narrow(0, 69, 1).unwrap(), 3e-6);
}

#[test]
fn nodes_that_leave_early_change_nothing_for_the_others() {
    for model in [model(), rich_model()] {
        check_early_exit(&model);
    }
}

fn check_early_exit(model: &Model) {
    let mut tree = TokenTree::new();
    let a = tree.push(node(Parent::Root, &ids(5, 1)));
    tree.push(node(Parent::Node { node: a, len: 5 }, &ids(7, 2)));
    let c = tree.push(node(Parent::Node { node: a, len: 3 }, &ids(4, 3)));
    let full = model.forward(&Request { capture: &[0, 2], ..Request::new(&tree) }).unwrap();
    let early = Some(EarlyExit { after_block: 0, keep: &[a, c] });
    let out = model.forward(&Request { capture: &[0, 2], early, ..Request::new(&tree) }).unwrap();
    for node in 0..3 {
        let row = |out: &crate::Output| out.resid_post[0].1.narrow(0, tree.last_row(node), 1).unwrap();
        close(&row(&out), &row(&full), 3e-6);
    }
    assert_eq!(out.last.dims(), [9, 40]);
    close(&out.last.narrow(0, 0, 5).unwrap(), &full.last.narrow(0, 0, 5).unwrap(), 3e-6);
    close(&out.last.narrow(0, 5, 4).unwrap(), &full.last.narrow(0, tree.offset(c), 4).unwrap(), 3e-6);
    let early = Some(EarlyExit { after_block: 2, keep: &[a, c] });
    let out = model.forward(&Request { early, ..Request::new(&tree) }).unwrap();
    for (first, len) in [(0, 5), (11, 1), (tree.offset(c), 4)] {
        close(&out.last.narrow(0, first, len).unwrap(), &full.last.narrow(0, first, len).unwrap(), 3e-6);
    }
    let early = Some(EarlyExit { after_block: 0, keep: &[c] });
    assert!(model.forward(&Request { early, ..Request::new(&tree) }).is_err());
}

#[test]
fn single_rows_of_the_last_block_are_the_same() {
    for model in [model(), rich_model()] {
        check_single_rows(&model);
    }
}

fn check_single_rows(model: &Model) {
    let mut tree = TokenTree::new();
    let a = tree.push(node(Parent::Root, &ids(5, 1)));
    tree.push(node(Parent::Node { node: a, len: 5 }, &ids(7, 2)));
    let full = model.forward(&Request::new(&tree)).unwrap().last;
    let last = model.forward(&Request { rows: Some(&[1, 4, 11]), ..Request::new(&tree) }).unwrap().last;
    for row in [1, 4, 11] {
        close(&last.narrow(0, row, 1).unwrap(), &full.narrow(0, row, 1).unwrap(), 3e-6);
    }
    assert!(model.forward(&Request { rows: Some(&[4, 1]), ..Request::new(&tree) }).is_err());
    assert!(model.forward(&Request { rows: Some(&[12]), ..Request::new(&tree) }).is_err());
}

#[test]
fn no_edit_and_zero_edits_give_the_same_bits() {
    let model = model();
    let tree = TokenTree::sequence(&ids(12, 1));
    let plain = model.forward(&Request::new(&tree)).unwrap().last.to_vec2::<f32>().unwrap();
    let delta = (noise(&[40], 1.0) * 0.0).unwrap();
    let edits = Positions::ALL.map(|positions| Edit::add(1, delta.clone(), positions));
    let edited = model.forward(&Request { edits: &edits, ..Request::new(&tree) }).unwrap().last;
    assert_eq!(plain, edited.to_vec2::<f32>().unwrap());
}

/// methods.md §10, item 5: a prompt of 7 tokens and 3 decoded ones; position 0 is never touched.
#[test]
fn edits_touch_the_positions_they_name() {
    let model = model();
    let all = ids(10, 4);
    for (positions, expected) in [
        (Positions::All, vec![1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (Positions::Prompt, vec![1, 2, 3, 4, 5, 6]),
        (Positions::LastPrompt, vec![6]),
        (Positions::Generated, vec![6, 7, 8, 9]),
    ] {
        let edits = [Edit::add(0, noise(&[40], 1.0), positions)];
        let capture = |edits: &[Edit]| {
            let mut rows = Vec::new();
            let prompt = TokenTree::sequence(&all[..7]);
            let request = Request { edits, capture: &[0], keep_kv: true, last_block: Some(0), ..Request::new(&prompt) };
            let out = model.forward(&request).unwrap();
            rows.extend(out.resid_post[0].1.to_vec2::<f32>().unwrap());
            let mut cache = out.caches[0].clone();
            for id in &all[7..] {
                let mut tree = TokenTree::new();
                tree.push(Node { is_reply: true, ..node(Parent::Cache(0), &[*id]) });
                let caches = [&cache];
                let out = model.forward(&Request { caches: &caches, ..Request { tree: &tree, ..request } }).unwrap();
                rows.extend(out.resid_post[0].1.to_vec2::<f32>().unwrap());
                cache = out.caches[0].clone();
            }
            rows
        };
        let (plain, edited) = (capture(&[]), capture(&edits));
        let touched: Vec<usize> = (0..10).filter(|&row| plain[row] != edited[row]).collect();
        // Block 0 is edited after it has run, so each row differs only by its own edit.
        assert_eq!(touched, expected, "{positions:?}");
    }
}

/// The body for accelerators, run here in f64.
#[test]
fn stock_operations_give_the_same() {
    check_stock(&model(), &stock_model());
    check_stock(&rich_model(), &rich_stock_model());
}

fn check_stock(model: &Model, stock: &Model) {
    let mut tree = TokenTree::new();
    tree.push(Node { ends_prompt: true, ..node(Parent::Cache(0), &ids(4, 2)) });
    let b = tree.push(node(Parent::Node { node: 0, len: 4 }, &ids(7, 3)));
    tree.push(node(Parent::Node { node: b, len: 2 }, &ids(3, 4)));
    let edits = Positions::ALL.map(|positions| Edit::add(1, noise(&[40], 1.0), positions));
    let run = |model: &Model| {
        let cache = model.prefill(&ids(6, 1), None).unwrap();
        let caches = [&cache];
        let request = Request { caches: &caches, edits: &edits, capture: &[1], ..Request::new(&tree) };
        let out = model.forward(&request).unwrap();
        let losses = model.cross_entropy(&out.last, &ids(14, 5)).unwrap();
        (out.resid_post[0].1.clone(), model.logits(&out.last).unwrap(), losses)
    };
    let (fused, composite) = (run(model), run(stock));
    close(&fused.0, &composite.0, 5e-6);
    close(&fused.1, &composite.1, 5e-6);
    close(&fused.2, &composite.2, 5e-6);
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let model = model();
    let tree = TokenTree::sequence(&ids(5, 1));
    let refuse = |request: &Request<'_>| model.forward(request).unwrap_err();
    assert!(matches!(refuse(&Request { capture: &[3], ..Request::new(&tree) }), EngineError::BadRequest(_)));
    assert!(matches!(refuse(&Request { last_block: Some(9), ..Request::new(&tree) }), EngineError::BadRequest(_)));
    assert!(matches!(refuse(&Request::new(&TokenTree::new())), EngineError::BadRequest(_)));
    assert!(matches!(refuse(&Request::new(&TokenTree::sequence(&[]))), EngineError::BadRequest(_)));
    assert!(matches!(refuse(&Request::new(&TokenTree::sequence(&[300]))), EngineError::BadRequest(_)));
    let long = TokenTree::sequence(&ids(97, 1));
    assert!(matches!(refuse(&Request::new(&long)), EngineError::ContextOverflow { len: 97, max: 96 }));
    let mut orphan = TokenTree::new();
    orphan.push(node(Parent::Node { node: 0, len: 1 }, &[1]));
    assert!(matches!(refuse(&Request::new(&orphan)), EngineError::BadRequest(_)));
    let mut uncached = TokenTree::new();
    uncached.push(node(Parent::Cache(2), &[1]));
    assert!(matches!(refuse(&Request::new(&uncached)), EngineError::BadRequest(_)));
    let edit = Edit::add(0, noise(&[39], 1.0), Positions::All);
    assert!(matches!(refuse(&Request { edits: &[edit], ..Request::new(&tree) }), EngineError::BadRequest(_)));
}
