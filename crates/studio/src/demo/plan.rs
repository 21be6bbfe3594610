//! How much is done.

use tiller_protocol::discovery::{DiscoverySettings, Method};

/// Styles whose directions are projected out of a persona's: their words would otherwise win by length alone.
const STYLES: [&str; 4] = ["pirate", "dog", "legal", "child"];

/// Personas, searches and items of a demo.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    /// Personas that are studied, the first one with all controls over all seeds.
    pub(crate) personas: Vec<String>,
    /// Seeds of the comparison between gradient and random mutation.
    pub(crate) seeds: Vec<u64>,
    /// Whether every persona gets the comparison, or the first one only.
    pub(crate) compare_all: bool,
    /// Settings of every search, but for persona, method and seed.
    pub(crate) search: DiscoverySettings,
    /// Points of each front that are measured on selection items, among the fluent ones and among the others.
    pub(crate) n_judged: usize,
    /// Most selection items used; all when absent.
    pub(crate) max_select: Option<usize>,
    /// Questions for each strength of steering.
    pub(crate) n_dose: usize,
    /// Styles whose vectors are measured.
    pub(crate) styles: Vec<String>,
}

impl Plan {
    /// The plan of a quick or a full demo.
    pub(crate) fn new(quick: bool, seed: u64) -> Self {
        let styles = STYLES.map(str::to_owned).to_vec();
        // Few children, many iterations: a fluent prompt takes more changes in a row than a strong one, and a small
        // budget is better spent on the likeliest tokens.
        let base = DiscoverySettings {
            project_out: styles.clone(),
            check_every: 0,
            top_k: 64,
            restart_every: 15,
            ..DiscoverySettings::default()
        };
        let seeds = (seed..seed.saturating_add(3)).collect();
        let personas = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        if quick {
            Self {
                personas: personas(&["sycophancy", "hallucination"]),
                seeds,
                compare_all: false,
                search: DiscoverySettings { iterations: 50, population: 6, children: 8, n_contexts: 4, ..base },
                n_judged: 6,
                max_select: Some(50),
                n_dose: 40,
                styles: personas(&["pirate", "dog"]),
            }
        } else {
            Self {
                personas: personas(&["sycophancy", "hallucination", "myopia"]),
                seeds,
                compare_all: true,
                search: DiscoverySettings { iterations: 45, population: 8, children: 10, n_contexts: 6, ..base },
                n_judged: 8,
                max_select: None,
                n_dose: 80,
                styles,
            }
        }
    }

    /// Settings of one search.
    pub(crate) fn settings(&self, persona: &str, method: Method, seed: u64) -> DiscoverySettings {
        DiscoverySettings { persona: persona.to_owned(), method, seed, ..self.search.clone() }
    }
}
