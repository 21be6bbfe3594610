//! Chat turns and sampling.

use serde::{Deserialize, Serialize};

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
}

/// One turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
}

/// How tokens are drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sampling {
    /// 0 is greedy.
    pub temperature: f64,
    /// Keep only this many most likely tokens; 0 keeps all.
    pub top_k: usize,
    /// Keep the most likely tokens up to this mass; 1 keeps all.
    pub top_p: f64,
    /// Drop tokens less likely than this share of the most likely one; 0 keeps all.
    pub min_p: f64,
    /// Divides the logits of tokens already written; 1 is off.
    pub repetition_penalty: f64,
    /// Longest reply, tokens.
    pub max_tokens: usize,
    /// Seed of the draws.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: 0.7, top_k: 0, top_p: 0.95, min_p: 0.0, repetition_penalty: 1.0, max_tokens: 256, seed: 0 }
    }
}

/// Which of two replies shown side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// With the steering panel's rows applied.
    Steered,
    /// The plain model, same seed.
    Plain,
}

/// Why a reply ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The model wrote an end token.
    EndOfTurn,
    /// The longest reply length was reached.
    MaxTokens,
    /// The context is full.
    ContextFull,
    /// The user stopped it.
    Stopped,
}
