//! Whether a file is about this SAE: its model, block, width and source as a row names them.

use std::path::Path;

use super::ImportSettings;
use super::record::Record;
use crate::error::{IndexError, Result};

/// Refuses a row that was made for another SAE.
pub(super) fn check(record: &Record, settings: &ImportSettings<'_>, d_sae: usize, path: &Path) -> Result<()> {
    if settings.anyway {
        return Ok(());
    }
    let mismatch = |what: &'static str, found: &str, expected: String| {
        Err(IndexError::Mismatch { what, found: found.to_owned(), expected, path: path.to_owned() })
    };
    if let (Some(found), Some(expected)) = (&record.model, settings.model)
        && plain(found) != plain(expected)
    {
        return mismatch("model", found, expected.to_owned());
    }
    let Some(found) = &record.source else { return Ok(()) };
    if let Some(expected) = settings.source {
        return if found.eq_ignore_ascii_case(expected) {
            Ok(())
        } else {
            mismatch("source", found, expected.to_owned())
        };
    }
    // The block after which a stream is read is the one before which it is read elsewhere.
    if let (Some(layer), Some(block)) = (layer(found), settings.block)
        && layer != block
        && layer != block + 1
    {
        return mismatch("block", found, block.to_string());
    }
    if let Some(width) = width(found)
        && (width - d_sae as f64).abs() > 0.06 * d_sae as f64
    {
        return mismatch("width", found, format!("{d_sae} features"));
    }
    Ok(())
}

/// A model's name without what differs between those who name it: `meta-llama/Llama-3.1-8B-Instruct` is
/// `llama3.1-8b-it`.
fn plain(name: &str) -> String {
    let name = name.rsplit('/').next().unwrap_or(name).to_lowercase().replace("instruct", "it");
    let letters: String = name.chars().filter(|letter| letter.is_alphanumeric()).collect();
    let letters = letters.strip_prefix("meta").unwrap_or(&letters);
    ["base", "pt"].iter().find_map(|end| letters.strip_suffix(end)).unwrap_or(letters).to_owned()
}

/// The layer in front of a source's name: `20-gemmascope-res-16k`.
fn layer(source: &str) -> Option<usize> {
    source.split('-').next()?.parse().ok()
}

/// About how many features a source's name speaks of: `…-16k`, `…-1m`.
fn width(source: &str) -> Option<f64> {
    let last = source.rsplit('-').next()?.to_lowercase();
    let factor = match last.chars().last()? {
        'k' => 1e3,
        'm' => 1e6,
        _ => return None,
    };
    Some(last[..last.len() - 1].parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_the_same_by_any_name() {
        for (a, b) in [
            ("llama3.1-8b-it", "meta-llama/Llama-3.1-8B-Instruct"),
            ("llama3-8b-it", "meta-llama/Meta-Llama-3-8B-Instruct"),
            ("gemma-2-2b", "google/gemma-2-2b"),
            ("gemma-3-4b", "google/gemma-3-4b-pt"),
            ("qwen3-8b", "Qwen/Qwen3-8B-Base"),
            ("deepseek-r1-distill-llama-8b", "deepseek-ai/DeepSeek-R1-Distill-Llama-8B"),
        ] {
            assert_eq!(plain(a), plain(b));
        }
        assert_ne!(plain("gemma-2-2b"), plain("gemma-2-2b-it"));
        assert_ne!(plain("gemma-2-2b"), plain("gemma-2-9b"));
    }

    #[test]
    fn sources_name_layer_and_width() {
        assert_eq!((layer("20-gemmascope-res-16k"), width("20-gemmascope-res-16k")), (Some(20), Some(16e3)));
        assert_eq!((layer("19-resid-post-aa"), width("19-resid-post-aa")), (Some(19), None));
        assert_eq!((layer("é"), width("é")), (None, None));
        assert_eq!(width("5-res-1m"), Some(1e6));
    }
}
