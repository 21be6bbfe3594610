//! The engine against `PyTorch` and transformers, on the checkpoints of `tests/fixtures`.
//!
//! Bounds are relative to the largest entry of the expected tensor. Both sides compute in f32 and add in another order,
//! which costs about 1e-6 here; a wrong formula costs 1e-2 and more.

mod fixture;
mod forward;
mod gguf;
mod gradient;
mod reply;
mod templates;
mod text;
mod tokenizers;

/// Largest relative deviation of residuals and logits.
const FORWARD_BOUND: f64 = 1e-5;
/// Largest relative deviation of gradients.
const GRADIENT_BOUND: f64 = 1e-5;
