//! All arithmetic on one language model: load, forward, gradients, sampling, SAE, directions.
//!
//! Activations are kept as packed ragged rows `[n_tokens, d_model]`; a [`tree::TokenTree`] says which row continues
//! which, so that shared prefixes are computed once. Rayon and candle's pool aside, the crate starts no thread; it reads no clock, touches no network,
//! and touches the disk only in [`load`], `gguf` and [`sae`]; the last alone writes, in [`sae::convert()`].

mod cache;
pub mod config;
pub mod device;
pub mod direction;
pub mod edit;
pub mod error;
mod forward;
pub mod generate;
mod gguf;
pub mod gradient;
pub mod keep;
mod layout;
mod lens;
pub mod load;
pub mod memory;
pub mod model;
mod ops;
mod plan;
mod random;
pub mod sae;
mod safetensors;
pub mod score;
mod stored;
pub mod template;
#[cfg(test)]
mod testing;
pub mod tokenizer;
pub mod tree;
mod trie;
mod weights;

pub use candle_core::{DType, Device, Tensor};
pub use edit::{Change, Edit};
pub use error::{EngineError, Result};
pub use lens::{Lens, TokenEffects};
pub use model::{EarlyExit, KvCache, Model, Output, Request};
pub use tree::{Node, Parent, TokenTree};
