//! Prompt discovery and the judgement of what it finds.
//!
//! Each algorithm has its own file and is a function of settings, seed and observer. A run goes: [`pairs::extract`] a
//! direction; build a landscape by [`resga::landscape`] or [`saega::landscape`]; search it with [`epo::epo`];
//! take the [`front::front`] of its history; measure and choose by [`choose`]; report with [`evaluate`] beside the
//! [`baselines`]. The crate knows nothing of disk, threads, clocks or windows.
//!
//! Reading order: [`epo`] and the [`landscape`] it climbs, [`prompt_landscape`] with its [`place`], [`tokens`] and
//! [`measure`], then the rest.

pub mod baselines;
pub mod choose;
pub mod direction;
pub mod epo;
pub mod error;
pub mod evaluate;
pub mod front;
pub mod landscape;
pub mod measure;
pub mod pairs;
pub mod place;
pub mod prompt_landscape;
pub mod resga;
pub mod saega;
pub mod setup;
pub mod stats;
pub mod tokens;

pub use error::{DiscoverError, Result};
