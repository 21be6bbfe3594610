//! A label by rule: the tokens on which a feature is strongest most often.

use super::windows::Passage;

/// Tokens that are named at most.
const NAMED: usize = 3;
/// A token is named when so large a share of the passages have their peak on it.
const SHARE: f64 = 0.15;
/// The named tokens are most of it from this share of the passages on.
const MOST: f64 = 0.6;

/// Names tokens.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rule {
    tokens: Vec<String>,
    share: f64,
}

/// The rule that follows from passages.
pub(super) fn of(passages: &[Passage]) -> Rule {
    let mut counts: Vec<(String, usize)> = Vec::new();
    for passage in passages {
        let peak = &passage.tokens[passage.peak];
        match counts.iter_mut().find(|(token, _)| token == peak) {
            Some((_, n)) => *n += 1,
            None => counts.push((peak.clone(), 1)),
        }
    }
    // Stable: of two that are as frequent the stronger comes first.
    counts.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    let share = |n: usize| n as f64 / passages.len().max(1) as f64;
    let named: Vec<(String, usize)> = counts
        .into_iter()
        .enumerate()
        .filter(|(i, (_, n))| *i == 0 || *i < NAMED && share(*n) >= SHARE)
        .map(|(_, named)| named)
        .collect();
    let covered = share(named.iter().map(|(_, n)| n).sum());
    Rule { tokens: named.into_iter().map(|(token, _)| token).collect(), share: covered }
}

impl Rule {
    /// In words.
    pub(super) fn text(&self) -> String {
        let tokens: Vec<String> = self.tokens.iter().map(|token| format!("\u{201c}{token}\u{201d}")).collect();
        let lead = if self.share >= MOST { "on" } else { "mostly on" };
        format!("{lead} {}", tokens.join(", "))
    }

    /// Whether a passage has one of the tokens.
    pub(super) fn holds(&self, passage: &Passage) -> bool {
        passage.tokens.iter().any(|token| self.tokens.contains(token))
    }
}
