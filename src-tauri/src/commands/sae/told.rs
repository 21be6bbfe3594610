//! What the commands on autoencoders print for people.

use tiller_protocol::feature::{SaeInfo, SelfTest, SelfTestVerdict};
use tiller_studio::headless::{PublishedSae, SaeChecked, SaeEncoded, SaeList};

use crate::output::amount;

/// The opened ones, a line each.
pub(super) fn list(list: &SaeList) -> String {
    if list.saes.is_empty() {
        return "No SAE was opened yet; \u{201c}tiller features search --sae demo\u{201d} opens the one that ships.\n"
            .into();
    }
    let width = list.saes.iter().map(|sae| sae.id.0.chars().count()).max().unwrap_or_default();
    let line = |sae: &SaeInfo| {
        format!(
            "{:<width$}  block {:<3} {:>8} features  {:>8} labelled  {:>9}  {}\n",
            sae.id.0,
            sae.site.block(),
            sae.d_sae,
            sae.n_labelled,
            amount(sae.bytes),
            sae.reads.as_deref().unwrap_or("-")
        )
    };
    list.saes.iter().map(line).collect::<Vec<_>>().concat()
}

/// An opened one.
pub(super) fn opened(sae: &SaeInfo) -> String {
    let mut lines = vec![
        ("opened as", sae.id.0.clone()),
        ("name", sae.name.clone()),
        ("published", format!("{} ({})", sae.path.display(), sae.format)),
        ("kind", kind(&sae.architecture, sae.k)),
        ("reads", reads(sae.site.block(), sae.d_model, sae.reads.as_deref())),
        ("features", format!("{}, {} with a label, {} bookmarked", sae.d_sae, sae.n_labelled, sae.n_bookmarked)),
        ("scanned", format!("{} tokens", sae.scanned_tokens)),
        ("takes", amount(sae.bytes)),
    ];
    lines.extend(sae.resid_norm.map(|norm| ("usual length", format!("{norm:.2} of the residual stream there"))));
    table(&lines) + &sae.self_test.as_ref().map(test).unwrap_or_default()
}

/// A published one.
pub(super) fn published(sae: &PublishedSae) -> String {
    table(&[
        ("published", format!("{} ({})", sae.path.display(), sae.format)),
        ("kind", kind(&sae.architecture, sae.k)),
        ("reads", reads(sae.site.block(), sae.d_model, sae.reads.as_deref())),
        ("features", sae.d_sae.to_string()),
        ("weights", sae.stored_as.clone()),
        ("opened takes", amount(sae.converted_bytes)),
    ])
}

/// A self-test.
pub(super) fn checked(checked: &SaeChecked) -> String {
    let name = format!("{} on {}\n", checked.sae.name, checked.model.name);
    name + &checked.sae.self_test.as_ref().map(test).unwrap_or_default()
}

fn test(test: &SelfTest) -> String {
    let mut lines = vec![format!("Tried on {} ({} tokens)\n", test.model_name, test.n_tokens)];
    for fit in &test.fits {
        let mark = if fit.block == test.claimed { "  (its own)" } else { "" };
        lines.push(format!("  block {:<3} unexplained {:.3}   active {:.1}{mark}\n", fit.block, fit.fvu, fit.l0));
    }
    lines.push(match test.verdict {
        SelfTestVerdict::Good => "It fits\n".to_owned(),
        SelfTestVerdict::Elsewhere { block } => format!("It fits block {block} better than its own\n"),
        SelfTestVerdict::Poor => "It does not rebuild this model's residual stream well\n".to_owned(),
    });
    lines.concat()
}

/// What fires on each token.
pub(super) fn encoded(encoded: &SaeEncoded) -> String {
    let mut lines = Vec::new();
    for token in &encoded.tokens {
        lines.push(format!("{:?}  {} active\n", token.token, token.n_active));
        for feature in &token.active {
            let label = feature.label.as_deref().unwrap_or("");
            lines.push(format!("  {:>8}  {:>10.3}  {label}\n", feature.latent, feature.activation));
        }
    }
    lines.concat()
}

fn kind(architecture: &str, k: Option<usize>) -> String {
    k.map_or_else(|| architecture.to_owned(), |k| format!("{architecture}, {k} at once"))
}

fn reads(block: usize, width: usize, model: Option<&str>) -> String {
    let of = model.map(|model| format!(" of {model}")).unwrap_or_default();
    format!("the residual stream after block {block}{of}, {width} wide")
}

fn table(lines: &[(&str, String)]) -> String {
    lines.iter().map(|(name, value)| format!("{name:<14}{value}\n")).collect::<Vec<_>>().concat()
}
