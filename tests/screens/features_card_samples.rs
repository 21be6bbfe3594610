//! Made-up SAEs, cards and trainings, shaped like real ones.

use std::path::PathBuf;
use std::sync::Arc;

use tiller_protocol::feature::{
    Example, FeatureCard, FeatureLabel, FeatureProbe, FeatureRef, FeatureResults, FeatureRow, FeatureSearch, Histogram,
    LabelSource, LogitEffects, SaeId, SaeInfo, TokenEffect, TrainPoint,
};
use tiller_protocol::site::Site;

/// The SAE that the tests look at.
pub(crate) fn sae() -> SaeInfo {
    SaeInfo {
        id: SaeId("demo-sae-3f2a91c0".to_owned()),
        name: "Demo SAE".to_owned(),
        path: PathBuf::from("/usr/share/tiller/demo/sae"),
        format: "SAELens".to_owned(),
        architecture: "topk".to_owned(),
        k: Some(16),
        site: Site::ResidPost(4),
        d_model: 192,
        d_sae: 1024,
        reads: Some("Tiller demo".to_owned()),
        bytes: 1_600_000,
        self_test: None,
        resid_norm: Some(14.2),
        n_labelled: 640,
        n_bookmarked: 1,
        scanned_tokens: 0,
    }
}

pub(crate) fn feature(latent: u32) -> FeatureRef {
    FeatureRef { sae: sae().id, latent }
}

pub(crate) fn row(latent: u32, label: Option<&str>) -> FeatureRow {
    FeatureRow {
        latent,
        label: label.map(str::to_owned),
        density: Some(0.0062),
        max_activation: Some(12.43),
        bookmarked: false,
        noted: false,
        dead: false,
    }
}

/// The features of the table, in its order.
pub(crate) const ORDER: [u32; 6] = [5, 7, 123, 87, 412, 991];

/// The table: a few features.
pub(crate) fn results() -> FeatureResults {
    FeatureResults {
        search: FeatureSearch { sae: sae().id, ..FeatureSearch::default() },
        order: Arc::new(ORDER.to_vec()),
        scores: None,
        tokens: Vec::new(),
        note: None,
        secs: 0.004,
    }
}

fn tokens(text: &str) -> Vec<String> {
    text.split_inclusive('|').map(|token| token.trim_end_matches('|').to_owned()).collect()
}

/// An example; `|` stands between tokens, values go to the tokens from `peak - 1` on.
pub(crate) fn example(text: &str, peak: usize, values: [f32; 3], decile: Option<u8>) -> Example {
    let tokens = tokens(text);
    let mut filled = vec![0.0; tokens.len()];
    for (value, at) in values.into_iter().zip(peak.saturating_sub(1)..) {
        if let Some(place) = filled.get_mut(at) {
            *place = value;
        }
    }
    Example { tokens, values: filled, peak, decile }
}

fn effects(tokens: &[&str], first: f32) -> Vec<TokenEffect> {
    let of = |(position, token): (usize, &&str)| TokenEffect {
        token: (*token).to_owned(),
        effect: first * (1.0 - 0.07 * position as f32),
    };
    tokens.iter().enumerate().map(of).collect()
}

/// A text of 200 tokens with its peak in the middle.
fn long_example() -> Example {
    let mut tokens: Vec<String> = (0..200).map(|at| format!(" word{at}")).collect();
    tokens[101] = " treasure".to_owned();
    let mut values = vec![0.0; 200];
    (values[100], values[101]) = (2.1, 7.7);
    Example { tokens, values, peak: 101, decile: None }
}

fn examples() -> Vec<Example> {
    let mut all = vec![
        example("Well|,| shiver| me| timb|ers|,| arr|,| says| the| captain|.|\n|Aye|!", 7, [1.2, 12.43, 4.0], None),
        example("User|:| Where| do| you| live|?|\n|Bot|:| Arr|,| upon| the| seven| seas|.", 10, [0.0, 11.9, 3.1], None),
        example("Ahoy| there|,| mat|ey|,| bring| me| the| map|.", 4, [6.0, 9.2, 1.0], None),
        long_example(),
        example("def| pirate|(|x|):|\n|\t|return| x| +| \u{201c}arr|\u{201d}|  |# yo|-|ho", 10, [0.5, 7.0, 2.0], None),
        example(
            "Donau\u{ad}dampf|schiff|fahrts|gesell|schafts|kapit\u{e4}n| arr| \u{3b1}\u{3b2}\u{3b3}",
            6,
            [0.0, 6.1, 0.4],
            None,
        ),
    ];
    for decile in 0..10_u8 {
        let value = f32::from(decile) + 1.0;
        all.push(example("The| old| man| of| the| sea| said| nothing|.", 5, [0.0, value, 0.3], Some(decile)));
    }
    all
}

fn label(id: i64, text: &str, source: LabelSource, score: Option<f32>) -> FeatureLabel {
    let (method, model) = match source {
        LabelSource::User => (None, None),
        LabelSource::Shipped => (Some("rule"), None),
        LabelSource::Imported => (Some("np_max-act"), Some("gpt-4o-mini")),
        LabelSource::Model => (Some("detection"), Some("Tiller demo")),
    };
    let [method, model] = [method, model].map(|word| word.map(str::to_owned));
    FeatureLabel { id, text: text.to_owned(), source, method, model, score }
}

/// Everything there can be on a card.
pub(crate) fn full() -> FeatureCard {
    let text = "arr, ahoy and other words that pirates say";
    FeatureCard {
        feature: feature(123),
        row: FeatureRow { noted: true, ..row(123, Some(text)) },
        labels: vec![
            label(1, text, LabelSource::User, None),
            label(2, "on \u{201c}arr\u{201d}", LabelSource::Shipped, Some(0.97)),
            label(
                3,
                "interjections and exclamations in the speech of sailors, pirates and other seafaring people, often at the start of a reply",
                LabelSource::Imported,
                Some(0.83),
            ),
            label(4, "greeting words", LabelSource::Model, Some(0.55)),
        ],
        note: "Fires on the persona\u{2019}s replies only, not on questions about ships.".to_owned(),
        histogram: Some(Histogram {
            edges: (0..=20).map(|edge| 2.0_f32.powf(edge as f32 * 0.25 - 1.3)).collect(),
            counts: (0..20_u64).map(|bin| (4000.0 * (-(bin as f64) * 0.42).exp()) as u64).collect(),
        }),
        effects: Some(LogitEffects {
            promoted: effects(
                &[" arr", " matey", " ahoy", "Aye", " ye", "\n", " treasure", " sea", " ship", " rum"],
                1.42,
            ),
            suppressed: effects(&[" the", " is", "ing", " please", " and", " of", " very", ".", ",", " 7"], -0.81),
            low_confidence: false,
        }),
        examples: examples(),
        similar: vec![
            (87, 0.83, Some("nautical words".to_owned())),
            (412, 0.61, Some("interjections and exclamations at the very start of a reply, with a comma".to_owned())),
            (991, 0.44, None),
            (5, 0.31, Some("on \u{201c}ship\u{201d}".to_owned())),
        ],
        decoder_norm: 1.0,
    }
}

/// Nothing is known of it but its number.
pub(crate) fn bare() -> FeatureCard {
    FeatureCard {
        row: FeatureRow { density: None, max_activation: None, ..row(7, None) },
        feature: feature(7),
        labels: Vec::new(),
        note: String::new(),
        histogram: None,
        effects: None,
        examples: Vec::new(),
        similar: Vec::new(),
        decoder_norm: 0.9,
    }
}

/// The feature on “Ahoy, arr my friend”.
pub(crate) fn probe(latent: u32) -> FeatureProbe {
    let tokens: Vec<String> = ["Ah", "oy", ",", " arr", " my", " friend"].map(str::to_owned).to_vec();
    FeatureProbe {
        feature: feature(latent),
        tokens,
        values: vec![0.0, 3.2, 0.4, 11.2, 1.0, 0.0],
        loss_change: vec![0.0, 0.31, -0.02, 0.55, 0.10, 0.02],
    }
}

/// A training of 150 steps that goes well.
pub(crate) fn training() -> Vec<TrainPoint> {
    (1..=150_u64)
        .map(|step| {
            let left = (-(step as f64) / 30.0).exp();
            TrainPoint {
                tokens: step * 2048,
                loss: 0.05 + 1.3 * left,
                fvu: 0.06 + 0.94 * left,
                l0: 8.0,
                dead: 0.18 * (1.0 - left) * (1.0 - step as f64 / 220.0),
            }
        })
        .collect()
}
