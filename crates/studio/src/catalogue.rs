//! Published models of the supported families: what they are and what they take.

use serde::{Deserialize, Serialize};
use tiller_engine::config::ModelConfig;
use tiller_engine::memory::{Format, Runs, n_params, weights_bytes};
use tiller_protocol::problem::Problem;

use crate::{memory, problem};

/// The list as it ships.
const LIST: &str = include_str!("catalogue/models.toml");

/// One published model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CatalogueEntry {
    /// Name for people.
    pub name: String,
    /// Where it is published.
    pub hub: String,
    /// Its licence's usual name.
    pub licence: String,
    /// Architecture string of its `config.json`.
    pub architecture: String,
    /// Number of parameters; of a wrapper that also sees pictures, the language part's.
    pub n_params: u64,
    /// Longest sequence, tokens.
    pub context_len: usize,
    /// Memory of the weights by number format, largest first, bytes.
    pub weights: Vec<WeightsIn>,
    /// Tokens of the conversation that `conversation_bytes` is for.
    pub context_tokens: usize,
    /// Keys, values and activations of that conversation on the processor.
    pub conversation_bytes: u64,
    /// Caches and activations of a discovery step with the default settings on the processor.
    pub discovery_bytes: u64,
}

/// Weights in one number format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WeightsIn {
    /// Its name.
    pub format: String,
    /// Bytes in memory.
    pub bytes: u64,
}

impl CatalogueEntry {
    /// The largest number format in which the model and a conversation fit into `free` bytes.
    pub fn best_fit(&self, free: u64) -> Option<&WeightsIn> {
        self.weights.iter().find(|weights| weights.bytes.saturating_add(self.conversation_bytes) <= free)
    }
}

#[derive(Deserialize)]
struct List {
    model: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    name: String,
    hub: String,
    licence: String,
    config: serde_json::Value,
}

/// All of them.
///
/// # Errors
/// When the list that ships is malformed.
pub(crate) fn entries() -> Result<Vec<CatalogueEntry>, Problem> {
    let bad = |reason: String| problem::unreadable("models.toml".as_ref(), &reason);
    let list: List = toml::from_str(LIST).map_err(|error| bad(error.to_string()))?;
    list.model
        .into_iter()
        .map(|listed| {
            let config = ModelConfig::from_json(&listed.config.to_string())
                .map_err(|error| bad(format!("{}: {error}", listed.name)))?;
            Ok(entry(listed, &config))
        })
        .collect()
}

fn entry(listed: Listed, config: &ModelConfig) -> CatalogueEntry {
    let need = memory::work(config, Runs::PROCESSOR);
    CatalogueEntry {
        name: listed.name,
        hub: listed.hub,
        licence: listed.licence,
        architecture: config.architecture.clone(),
        n_params: n_params(config),
        context_len: config.context_len,
        weights: Format::ALL
            .map(|format| WeightsIn { format: format.name().to_owned(), bytes: weights_bytes(config, format) })
            .into(),
        context_tokens: need.context_tokens,
        conversation_bytes: need.cache_bytes.saturating_add(need.chat_bytes),
        discovery_bytes: need.discovery_bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counted_parameters_are_the_published_ones() {
        // As the model cards round them, in thousands of millions.
        let published = [
            ("Llama 3.2 1B", 1.24),
            ("Llama 3.1 8B", 8.03),
            ("Llama 3.3 70B", 70.55),
            ("Mistral 7B v0.3", 7.25),
            ("Qwen2.5 0.5B", 0.494),
            ("Qwen2.5 7B", 7.62),
            ("Qwen3 0.6B", 0.596),
            ("Qwen3 8B", 8.19),
            ("Gemma 2 2B", 2.61),
            ("Gemma 2 9B", 9.24),
            ("Gemma 3 1B", 1.00),
            ("Gemma 3 4B", 3.88),
        ];
        let entries = entries().unwrap();
        for (name, billions) in published {
            let found = entries.iter().find(|entry| entry.name == name).unwrap().n_params as f64 / 1e9;
            assert!((found / billions - 1.0).abs() < 0.005, "{name}: {found} is not {billions}");
        }
    }

    #[test]
    fn the_best_format_is_the_largest_that_fits() {
        let entries = entries().unwrap();
        let llama = entries.iter().find(|entry| entry.name == "Llama 3.1 8B").unwrap();
        let best = |gigabytes: u64| llama.best_fit(gigabytes * 1_000_000_000).map(|weights| weights.format.as_str());
        assert_eq!([best(40), best(20), best(12), best(4)], [Some("f32"), Some("bf16"), Some("Q8_0"), None]);
    }
}
