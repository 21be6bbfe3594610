//! Made-up features and answers to searches, shaped like real ones.

use std::sync::Arc;

use tiller_protocol::feature::{
    BlockFit, FeatureQuery, FeatureResults, FeatureRow, FeatureSearch, SaeId, SaeInfo, ScoreKind, SelfTest,
    SelfTestVerdict, TokenFires,
};
use tiller_protocol::message::{Command, Event};
use tiller_protocol::site::Site;

use super::desk::Desk;
use super::features_card_samples;

/// The demo's SAE.
pub(crate) fn sae() -> SaeInfo {
    features_card_samples::sae()
}

/// What the self-test says of the demo's SAE.
pub(crate) fn self_test(verdict: SelfTestVerdict) -> SelfTest {
    let (fvu, l0) = if verdict == SelfTestVerdict::Good { (0.042, 15.8) } else { (0.61, 27.0) };
    let fit = |block, fvu, l0| BlockFit { block, fvu, l0 };
    SelfTest {
        model_hash: super::samples::model().hash,
        model_name: "Tiller demo".to_owned(),
        n_tokens: 512,
        claimed: 4,
        fits: vec![fit(3, 0.61, 31.2), fit(4, fvu, l0), fit(5, 0.34, 22.5)],
        verdict,
    }
}

/// A large SAE of another model.
pub(crate) fn large(d_sae: usize) -> SaeInfo {
    SaeInfo {
        id: SaeId("gemma-scope-20-77aa01bc".to_owned()),
        name: "Gemma Scope, block 20, one million latents and a name that goes on and on".to_owned(),
        format: "Gemma Scope".to_owned(),
        architecture: "jumprelu".to_owned(),
        k: None,
        site: Site::ResidPost(20),
        d_model: 2304,
        d_sae,
        reads: Some("google/gemma-2-2b".to_owned()),
        bytes: 2_400_000_000,
        n_labelled: 0,
        n_bookmarked: 12,
        ..sae()
    }
}

/// A row; some have no label, some are bookmarked, noted or dead.
pub(crate) fn row(latent: u32) -> FeatureRow {
    let labels = [
        "on \u{201c} arr\u{201d}",
        "mostly on \u{201c}:\u{201d}",
        "sailors, ships and the sea, above all in speech that is meant to sound like that of a pirate",
        "apologies and regret",
        "",
        "on <|assistant|>",
        "numbers written as words: \u{201c}seven\u{201d}, \u{201c}fifty-four\u{201d}",
    ];
    let label = labels[latent as usize % labels.len()];
    FeatureRow {
        latent,
        label: (!label.is_empty()).then(|| label.to_owned()),
        density: (!latent.is_multiple_of(11)).then(|| 0.09 / (1.0 + (latent % 97) as f32)),
        max_activation: (!latent.is_multiple_of(11)).then_some(12.0 + (latent % 61) as f32 * 1.7),
        bookmarked: latent.is_multiple_of(9),
        noted: latent % 13 == 3,
        dead: latent % 29 == 11,
    }
}

/// The answer to a search: every `step`th feature, with falling scores where the search ranks.
pub(crate) fn answer(search: &FeatureSearch, d_sae: u32, step: usize) -> FeatureResults {
    let order: Vec<u32> = (0..d_sae).step_by(step).collect();
    let kind = match &search.query {
        FeatureQuery::All | FeatureQuery::Label(_) => None,
        FeatureQuery::Token(_) => Some((ScoreKind::LogitEffect, 3.1)),
        FeatureQuery::Similar(_) | FeatureQuery::Vector(_) => Some((ScoreKind::Cosine, 0.94)),
        FeatureQuery::Text { .. } => Some((ScoreKind::Activation, 61.4)),
        FeatureQuery::Contrast { .. } => Some((ScoreKind::Difference, 18.2)),
    };
    let n = order.len() as f32;
    let scores = kind.map(|(kind, best)| {
        let low = if kind == ScoreKind::Activation { 0.0 } else { -0.3 * best };
        let values = (0..order.len()).map(|at| best + (low - best) * (at as f32 / n).sqrt()).collect();
        (kind, Arc::new(values))
    });
    let tokens = match &search.query {
        FeatureQuery::Text { text, .. } => text
            .split_inclusive(' ')
            .enumerate()
            .map(|(at, word)| TokenFires {
                token: format!(" {}", word.trim_end()),
                top: (0..5).map(|rank| (at as u32 * 7 + rank * 3, 40.0 / (1.0 + rank as f32))).collect(),
            })
            .collect(),
        _ => Vec::new(),
    };
    let note = scores.is_some().then(|| "The best 1\u{202f}000 are shown.".to_owned());
    FeatureResults { search: search.clone(), order: Arc::new(order), scores, tokens, note, secs: 0.0124 }
}

/// Answers every search and every request for rows that the window has sent since the last call; the last search.
pub(crate) fn serve(desk: &mut Desk, d_sae: u32, step: usize) -> Option<FeatureSearch> {
    let mut last = None;
    for command in std::mem::take(&mut desk.harness.state_mut().commands) {
        match &command {
            Command::SearchFeatures { job, search } => {
                let results = Box::new(answer(search, d_sae, step));
                desk.report(Event::FeaturesFound { job: *job, results });
                last = Some(search.as_ref().clone());
            }
            Command::FeatureRows { sae, latents } => {
                let rows = latents.iter().map(|latent| row(*latent)).collect();
                desk.report(Event::FeatureRows { sae: sae.clone(), rows });
            }
            _ => {}
        }
    }
    last
}
