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
    let mut lines = vec![format!("Feature {} of {}", card.feature.latent, card.feature.sae.0)];
    for label in &card.labels {
        let source = match label.source {
            LabelSource::User => "yours",
            LabelSource::Shipped => "shipped",
            LabelSource::Imported => "imported",
            LabelSource::Model => "by a model",
        };
        let score = label.score.map(|score| format!(", score {score:.2}")).unwrap_or_default();
        lines.push(format!("  {} ({source}{score})", label.text));
    }
    lines.extend(card.row.density.map(|density| format!("  active on {:.3} % of tokens", 100.0 * density)));
    lines.extend(card.row.max_activation.map(|max| format!("  largest activation {max:.2}")));
    if card.decoder_norm <= 0.0 {
        lines.push("  dead: it has no decoder row".to_owned());
    }
    if !card.note.is_empty() {
        lines.push(format!("  note: {}", card.note));
    }
    if let Some(effects) = &card.effects {
        let doubt = if effects.low_confidence { " (early block: little to go by)" } else { "" };
        lines.push(format!("Promotes{doubt}: {}", tokens(&effects.promoted)));
        lines.push(format!("Suppresses: {}", tokens(&effects.suppressed)));
    }
    if !card.similar.is_empty() {
        lines.push("Similar:".to_owned());
    }
    for (latent, cosine, label) in &card.similar {
        lines.push(format!("  {latent:>8}  {cosine:>6.3}  {}", label.as_deref().unwrap_or("")));
    }
    if !card.examples.is_empty() {
        lines.push("Examples:".to_owned());
    }
    lines.extend(card.examples.iter().take(EXAMPLES).map(excerpt));
    lines.join("\n") + "\n"
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
        let marks = if idx == example.peak { ["\u{ab}", "\u{bb}"] } else { ["", ""] };
        text.extend([marks[0], &token, marks[1]]);
    }
    let height = example.values.get(example.peak).copied().unwrap_or_default();
    format!("  {height:>8.2}  {}", text.trim())
}
