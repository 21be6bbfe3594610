//! `tiller features show`.

use clap::Args;
use tiller_protocol::feature::{Example, FeatureCard, LabelSource, TokenEffect};
use tiller_protocol::model::ModelSource;
use tiller_studio::headless;

use crate::cli;
use crate::commands::{Context, Failure};
use crate::output::Ended;

/// Examples that are told.
const EXAMPLES: usize = 5;
/// Tokens of an example on either side of its peak.
const AROUND: usize = 12;

/// Options of `tiller features show`.
#[derive(Args, Debug)]
pub(super) struct ShowArgs {
    /// `demo`, the name of an opened autoencoder, or the file or folder of a published one.
    #[arg(long)]
    sae: String,
    /// The feature's number, from 0.
    feature: u32,
    /// The model that it belongs to, to tell what it promotes and suppresses.
    #[arg(long, value_parser = cli::model)]
    model: Option<ModelSource>,
}

/// Tells all that is known of a feature.
pub(super) fn run(args: &ShowArgs, context: &Context) -> Result<Ended, Failure> {
    let card = headless::features_show(&context.studio, &args.sae, args.feature, args.model.as_ref())?;
    context.print(&card, &told(&card))?;
    Ok(Ended::Done)
}

fn told(card: &FeatureCard) -> String {
    let mut text = format!("Feature {} of {}\n", card.feature.latent, card.feature.sae.0);
    for label in &card.labels {
        let source = match label.source {
            LabelSource::User => "yours",
            LabelSource::Shipped => "shipped",
            LabelSource::Imported => "imported",
            LabelSource::Model => "by a model",
        };
        let score = label.score.map(|score| format!(", score {score:.2}")).unwrap_or_default();
        text += &format!("  {} ({source}{score})\n", label.text);
    }
    let percent = |density: f32| format!("  active on {:.3} % of tokens\n", 100.0 * density);
    text += &card.row.density.map(percent).unwrap_or_default();
    text += &card.row.max_activation.map(|max| format!("  largest activation {max:.2}\n")).unwrap_or_default();
    if card.decoder_norm <= 0.0 {
        text += "  dead: it has no decoder row\n";
    }
    if !card.note.is_empty() {
        text += &format!("  note: {}\n", card.note);
    }
    if let Some(effects) = &card.effects {
        let doubt = if effects.low_confidence { " (early block: little to go by)" } else { "" };
        text += &format!("Promotes{doubt}: {}\n", tokens(&effects.promoted));
        text += &format!("Suppresses: {}\n", tokens(&effects.suppressed));
    }
    if !card.similar.is_empty() {
        text += "Similar:\n";
    }
    for (latent, cosine, label) in &card.similar {
        text += &format!("  {latent:>8}  {cosine:>6.3}  {}\n", label.as_deref().unwrap_or(""));
    }
    if !card.examples.is_empty() {
        text += "Examples:\n";
    }
    card.examples.iter().take(EXAMPLES).fold(text, |text, example| text + &excerpt(example))
}

fn tokens(effects: &[TokenEffect]) -> String {
    let told: Vec<String> = effects.iter().map(|effect| format!("{:?} {:+.3}", effect.token, effect.effect)).collect();
    told.join(", ")
}

/// The surroundings of the peak, which is marked.
fn excerpt(example: &Example) -> String {
    let from = example.peak.saturating_sub(AROUND);
    let to = (example.peak + AROUND + 1).min(example.tokens.len());
    let mut text = String::new();
    for (idx, token) in example.tokens.iter().enumerate().take(to).skip(from) {
        let token = token.replace(['\n', '\r'], "\u{23ce}");
        if idx == example.peak { text += &format!("\u{ab}{token}\u{bb}") } else { text += &token }
    }
    let height = example.values.get(example.peak).copied().unwrap_or_default();
    format!("  {height:>8.2}  {}\n", text.trim())
}
