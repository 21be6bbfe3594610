//! Files from the Hugging Face hub: what a repository offers, getting it without ever losing a byte, and the cache that
//! other tools on the machine share.
//!
//! The only crate that opens a network connection. It knows files and bytes, nothing of tensors, windows or jobs.
//!
//! Reading order: [`listing`] (what a repository holds), [`error`], then the modules that do the work.

mod client;
pub mod disk;
pub mod endpoint;
pub mod error;
pub mod fetch;
mod home;
pub mod http;
pub mod listing;
mod path;
pub mod reference;
pub mod retry;
pub mod select;
pub mod stop;
pub mod store;
mod sums;
pub mod token;
pub mod verify;
