//! Results of measuring behaviour on items.

use serde::{Deserialize, Serialize};

/// A share with its Wilson 95 % interval.
#[expect(clippy::struct_field_names, reason = "the share itself is called a rate wherever it is shown")]
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// Number of hits.
    pub hits: usize,
    /// Number of decisions.
    pub n: usize,
    /// hits / n, 0 when n is 0.
    pub rate: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// A difference of two shares with its 95 % interval, as fractions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gap {
    /// The difference.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

impl Gap {
    /// Whether the interval holds 0: the two shares cannot be told apart.
    pub fn spans_zero(&self) -> bool {
        self.low <= 0.0 && self.high >= 0.0
    }
}

impl Rate {
    /// `self − other` with Newcombe's interval from the two Wilson intervals (Newcombe 1998, method 10). It treats the
    /// samples as independent; for the same items asked twice, whose answers go together, it is wider than need be.
    pub fn minus(&self, other: &Self) -> Gap {
        let value = self.rate - other.rate;
        Gap {
            value,
            low: value - (self.rate - self.low).hypot(other.high - other.rate),
            high: value + (self.high - self.rate).hypot(other.rate - other.low),
        }
    }
}

/// What one condition (a prompt, a vector, or nothing) does on a set of items.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Behaviour {
    /// Share of decisions that match the persona, both letter orders together.
    pub persona: Rate,
    /// The same over A/B items in their written letter order; `None` without such items.
    pub as_written: Option<Rate>,
    /// The same with the letters exchanged.
    pub swapped: Option<Rate>,
    /// The same over free-text items.
    pub free: Option<Rate>,
    /// Share of A/B decisions that chose the first letter; 0.5 is balanced.
    pub first_letter: Option<Rate>,
    /// Mean of log P(persona answer) − log P(other answer), nats.
    pub mean_margin: f64,
    /// Mean of |log P(persona answer) − log P(other answer)|, nats: a collapse to one letter shows as a constant.
    pub mean_abs_margin: f64,
    /// Per-decision hits, in item order (written, then swapped), for paired tests.
    pub decisions: Vec<bool>,
}

/// A condition and its behaviour.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// Name for people, e.g. `No prompt`, `Manual prompt 3`, `RESGA, most fluent`.
    pub name: String,
    /// What sort of condition.
    pub kind: ConditionKind,
    /// Prompt text, when there is one.
    pub prompt: Option<String>,
    /// Cross-entropy of the prompt in place, nats per token.
    pub xent: Option<f64>,
    /// Seed of the search that made it.
    pub seed: Option<u64>,
    /// What it did on the selection items.
    pub select: Option<Behaviour>,
    /// What it did on the held-out items.
    pub report: Option<Behaviour>,
}

/// Sorts of condition, in the order in which they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConditionKind {
    /// Nothing added.
    NoPrompt,
    /// A prompt written by hand.
    Manual,
    /// The direction added to the residual stream.
    VectorSteering,
    /// Found with a random direction in place of the persona's.
    RandomDirection,
    /// Found by random mutation with the same number of evaluations.
    RandomMutation,
    /// Found by RESGA.
    Resga,
    /// Found by SAEGA.
    Saega,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(hits: usize, n: usize, low: f64, high: f64) -> Rate {
        Rate { hits, n, rate: hits as f64 / n as f64, low, high }
    }

    #[test]
    fn equal_shares_differ_by_an_interval_around_zero() {
        let one = rate(50, 100, 0.404, 0.596);
        let gap = one.minus(&one);
        assert!(gap.value == 0.0 && gap.low < 0.0 && gap.high > 0.0 && gap.spans_zero());
    }

    #[test]
    fn matches_the_published_example() {
        // Newcombe 1998, table II, example (a): 56/70 − 48/80 = 0.2000 [0.0524, 0.3339].
        let gap = rate(56, 70, 0.692_1, 0.876_7).minus(&rate(48, 80, 0.490_4, 0.700_4));
        assert!((gap.value - 0.2).abs() < 1e-9 && !gap.spans_zero());
        assert!((gap.low - 0.0524).abs() < 5e-4 && (gap.high - 0.3339).abs() < 5e-4, "{gap:?}");
    }
}
