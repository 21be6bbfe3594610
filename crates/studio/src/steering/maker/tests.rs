//! Panels on the demo model, with the demo SAE opened.

use std::fs;

use tiller_engine::{Change, DType, Request, Tensor, TokenTree};
use tiller_protocol::chat::{Role, Turn};
use tiller_protocol::feature::OpenOptions;

use super::*;
use crate::assets::Assets;
use crate::features::open;
use crate::features::self_test::self_test;
use crate::installed::Installed;
use crate::jobs::tests::{Quiet, demo};

/// Opens the demo SAE.
pub(crate) fn open_demo(workspace: &Workspace) -> SaeInfo {
    let path = Assets::find().unwrap().demo_sae();
    let nothing = Installed::nothing();
    open::open((workspace, &nothing), &path, &OpenOptions::default(), &mut Quiet::default()).unwrap()
}

/// A row that works with a feature.
pub(crate) fn feature_row(sae: &SaeId, latent: u32, op: FeatureOp, strength: f64) -> SteeringRow {
    SteeringRow {
        source: RowSource::Feature { feature: FeatureRef { sae: sae.clone(), latent }, op },
        label: format!("#{latent}"),
        block: 4,
        strength,
        positions: Positions::Generated,
        enabled: true,
    }
}

fn maker(workspace: &Workspace) -> Maker<'_> {
    Maker::new(workspace, &demo().info, demo().device(), &|_| Ok(20.0))
}

/// The most active latents behind a question, with their activations in the demo SAE, and the residual there.
fn active(question: &str) -> (Vec<u32>, Vec<(u32, f32)>, Tensor) {
    let turns = [Turn { role: Role::User, content: question.to_owned() }];
    let ids = demo().prompt(&turns).unwrap();
    let tree = TokenTree::sequence(&ids);
    let out = demo().model.forward(&Request { capture: &[4], last_block: Some(4), ..Request::new(&tree) }).unwrap();
    let row = out.resid_post[0].1.narrow(0, ids.len() - 1, 1).unwrap();
    let acts = demo().sae.as_ref().unwrap().encode(&row).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let mut active: Vec<(u32, f32)> = (0..).zip(acts).filter(|(_, value)| *value > 0.0).collect();
    active.sort_by(|a, b| b.1.total_cmp(&a.1));
    (ids, active, row)
}

/// `resid_post[4]` at the end of a prompt under edits.
fn resid(ids: &[u32], edits: &[Edit]) -> Tensor {
    let tree = TokenTree::sequence(ids);
    let request = Request { edits, capture: &[4], last_block: Some(4), ..Request::new(&tree) };
    demo().model.forward(&request).unwrap().resid_post[0].1.narrow(0, ids.len() - 1, 1).unwrap()
}

#[test]
fn each_operator_does_what_its_row_says() {
    let workspace = Workspace::temp();
    let sae = open_demo(&workspace);
    let (ids, active, before) = active("What is the capital of Norway?");
    let (latent, f) = active[0];
    let decoder = demo().sae.as_ref().unwrap().decoder_row(latent as usize).unwrap();
    for (op, strength, written) in [
        (FeatureOp::Add, 0.25, 5.0),
        (FeatureOp::Add, -0.1, -2.0),
        (FeatureOp::Set, 0.25, 5.0 - f),
        (FeatureOp::Set, 0.0, -f),
        (FeatureOp::AtLeast, 5.0, 100.0 - f),
        (FeatureOp::AtLeast, 0.0, 0.0),
        (FeatureOp::Multiply, 3.0, 2.0 * f),
        (FeatureOp::Ablate, 0.0, -f),
    ] {
        let made = maker(&workspace).make(&[feature_row(&sae.id, latent, op, strength)]);
        assert!(made.problems.is_empty(), "{:?}", made.problems);
        let after = resid(&ids, &made.edits);
        let change = (after - &before).unwrap().flatten_all().unwrap();
        let along = (&change * &decoder).unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap();
        let length = change.sqr().unwrap().sum_all().unwrap().sqrt().unwrap().to_scalar::<f32>().unwrap();
        // The converted file has 16 bits.
        assert!((along - written).abs() < 0.02 * f.max(1.0), "{op:?} {strength}: {along} is not {written}");
        assert!((length - along.abs()).abs() < 0.02 * f.max(1.0), "nothing is written beside the feature");
    }
}

#[test]
fn features_at_the_same_positions_act_together_and_vectors_keep_their_place() {
    let workspace = Workspace::temp();
    let sae = open_demo(&workspace);
    let vector = crate::vector_file::tests::example("warm");
    let (blocks, directions) = (vec![vector.blocks[0].clone(); 6], vec![vec![1.0; 192]; 6]);
    let info =
        tiller_protocol::steering::VectorInfo { blocks, d_model: 192, model_hash: demo().info.hash.clone(), ..vector };
    workspace.save_vector(&StoredVector { info, directions }).unwrap();
    let elsewhere = SteeringRow { positions: Positions::Prompt, ..feature_row(&sae.id, 7, FeatureOp::Ablate, 0.0) };
    let rows = [
        feature_row(&sae.id, 1, FeatureOp::Set, 0.2),
        crate::steering::tests::row("warm", 2, 0.5),
        feature_row(&sae.id, 2, FeatureOp::Multiply, 0.0),
        feature_row(&sae.id, 3, FeatureOp::Add, 0.0),
        SteeringRow { enabled: false, ..feature_row(&sae.id, 4, FeatureOp::Ablate, 0.0) },
        feature_row(&sae.id, 5, FeatureOp::Multiply, 1.0),
        elsewhere,
    ];
    let made = maker(&workspace).make(&rows);
    assert!(made.problems.is_empty(), "{:?}", made.problems);
    let kinds: Vec<(bool, usize, Positions)> =
        made.edits.iter().map(|edit| (matches!(edit.change, Change::Latents(_)), edit.block, edit.positions)).collect();
    let expected = [(true, 4, Positions::Generated), (false, 2, Positions::LastPrompt), (true, 4, Positions::Prompt)];
    assert_eq!(kinds, expected);
    assert_eq!(
        rows.iter().map(crate::steering::words).collect::<Vec<_>>(),
        ["#1 set to 0.20", "warm +0.50", "#2 × 0.00", "#3 +0.00", "#4 off", "#5 × 1.00", "#7 off"]
    );
}

#[test]
fn rows_that_cannot_be_used_are_told_and_the_others_act() {
    let workspace = Workspace::temp();
    let sae = open_demo(&workspace);
    let gone = SaeId("gone-0000".to_owned());
    let rows = [
        feature_row(&sae.id, 1024, FeatureOp::Ablate, 0.0),
        feature_row(&gone, 3, FeatureOp::Ablate, 0.0),
        feature_row(&sae.id, 3, FeatureOp::Set, f64::NAN),
        feature_row(&sae.id, 9, FeatureOp::Ablate, f64::NAN),
    ];
    let made = maker(&workspace).make(&rows);
    assert_eq!(made.edits.len(), 1);
    let told: Vec<String> = made.problems.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    for (told, word) in told.iter().zip(["1024", "gone-0000", "NaN"]) {
        assert!(told.contains(word), "{told}");
    }
    // Of a model of another width.
    let other = ModelInfo { d_model: 64, ..demo().info.clone() };
    let made = Maker::new(&workspace, &other, &Device::Cpu, &|_| Ok(1.0)).make(&rows[3..]);
    assert!(made.edits.is_empty() && made.problems[0].to_string().contains("192"), "{:?}", made.problems);
    // The file is damaged.
    fs::write(workspace.sae_file(&sae.id).unwrap(), "no SAE").unwrap();
    let made = maker(&workspace).make(&rows[3..]);
    assert!(made.edits.is_empty() && made.problems[0].title.contains("cannot be read"), "{:?}", made.problems);
}

#[test]
fn the_unit_is_that_of_the_loaded_model() {
    let workspace = Workspace::temp();
    let sae = open_demo(&workspace);
    let neutral = Assets::find().unwrap().neutral().unwrap();
    let row = [feature_row(&sae.id, 3, FeatureOp::Add, 0.5)];
    let length = |maker: &mut Maker<'_>| {
        let made = maker.make(&row);
        let Change::Latents(latents) = &made.edits[0].change else { panic!("{made:?}") };
        let row = Tensor::zeros((1, 192), DType::F32, &Device::Cpu).unwrap();
        let delta = latents.delta(&row).unwrap();
        f64::from(delta.sqr().unwrap().sum_all().unwrap().sqrt().unwrap().to_scalar::<f32>().unwrap())
    };
    assert!((length(&mut maker(&workspace)) - 10.0).abs() < 1e-2, "measured where nothing is known");
    let file = workspace.open_sae(&sae.id).unwrap();
    let tested = self_test(demo(), (&sae, &file), &neutral, &mut Quiet::default()).unwrap();
    workspace.save_sae(&tested).unwrap();
    let known = tested.resid_norm.unwrap();
    assert!((length(&mut maker(&workspace)) - 0.5 * known).abs() < 1e-2 * known, "what the self-test found is used");
    assert!((demo().resid_norm(4, &neutral).unwrap() - known).abs() < 1e-9 * known);
    let other = ModelInfo { hash: "another".to_owned(), ..demo().info.clone() };
    let mut foreign = Maker::new(&workspace, &other, &Device::Cpu, &|_| Ok(20.0));
    assert!((length(&mut foreign) - 10.0).abs() < 1e-2, "the norm of another model says nothing");
}
