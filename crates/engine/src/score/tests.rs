use tiller_protocol::steering::Positions;

use super::{Choice, answer_log_probs, cross_entropies, cross_entropy};
use crate::edit::Edit;
use crate::model::{Model, Request};
use crate::testing::{ids, logits, model, noise};
use crate::tree::{Node, Parent, TokenTree};

fn choices() -> Vec<Choice> {
    let stem = ids(8, 1);
    let prompts = [stem.clone(), [&stem[..], &ids(3, 2)].concat(), [&stem[..4], &ids(6, 3)].concat(), ids(5, 9), stem];
    prompts
        .into_iter()
        .map(|prompt| Choice { prompt, answers: vec![vec![7], vec![8, 9, 10], vec![8, 9, 11]] })
        .collect()
}

/// One answer alone, edits and all.
fn alone(model: &Model, prompt: &[u32], answer: &[u32], edits: &[Edit]) -> f64 {
    let mut tree = TokenTree::sequence(prompt);
    if answer.len() > 1 {
        let parent = Parent::Node { node: 0, len: prompt.len() };
        tree.push(Node { parent, ids: answer[..answer.len() - 1].to_vec(), ends_prompt: false, is_reply: true });
    }
    let out = model.forward(&Request { edits, ..Request::new(&tree) }).unwrap();
    let rows = out.last.narrow(0, prompt.len() - 1, answer.len()).unwrap();
    -model.cross_entropy(&rows, answer).unwrap().to_vec1::<f32>().unwrap().iter().map(|&l| f64::from(l)).sum::<f64>()
}

#[test]
fn answers_score_as_they_do_alone() {
    let model = model();
    for positions in [None, Some(Positions::LastPrompt), Some(Positions::Generated), Some(Positions::Prompt)] {
        let edits: Vec<Edit> =
            positions.into_iter().map(|positions| Edit::add(1, noise(&[40], 1.0), positions)).collect();
        let scores = answer_log_probs(&model, &choices(), &edits).unwrap();
        for (choice, scores) in choices().iter().zip(&scores) {
            for (answer, score) in choice.answers.iter().zip(scores) {
                let expected = alone(&model, &choice.prompt, answer, &edits);
                assert!((score - expected).abs() < 1e-4, "{positions:?}: {score} against {expected}");
            }
        }
    }
    let empty = Choice { prompt: vec![1], answers: vec![vec![]] };
    assert!(answer_log_probs(&model, &[empty], &[]).is_err());
    assert!(answer_log_probs(&model, &[], &[]).unwrap().is_empty());
}

#[test]
fn cross_entropies_agree_with_plain_logits() {
    let model = model();
    let stem = ids(12, 1);
    let mut sequences: Vec<Vec<u32>> = (0..12)
        .map(|at| {
            let mut ids = stem.clone();
            ids[at] = 250;
            ids
        })
        .collect();
    sequences.extend([stem.clone(), stem[..5].to_vec(), stem.clone()]);
    for (ids, found) in sequences.iter().zip(cross_entropies(&model, &sequences).unwrap()) {
        let single = cross_entropy(&model, ids, 1).unwrap();
        assert!((found - single).abs() < 1e-5, "{found} against {single}");
    }
    let rows = logits(&model, &stem).to_vec2::<f32>().unwrap();
    let losses: Vec<f64> = (4..12)
        .map(|j| {
            let row = &rows[j - 1];
            let sum: f64 = row.iter().map(|&l| f64::from(l).exp()).sum();
            sum.ln() - f64::from(row[stem[j] as usize])
        })
        .collect();
    let expected = losses.iter().sum::<f64>() / 8.0;
    assert!((cross_entropy(&model, &stem, 4).unwrap() - expected).abs() < 1e-5);
    assert!(cross_entropy(&model, &stem, 0).is_err() && cross_entropy(&model, &stem, 12).is_err());
}
