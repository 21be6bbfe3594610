//! The vocabulary shared by the window, the command line and the engine.
//!
//! Everything here is plain, serde-serialisable data, so that the same messages can cross a pipe to an engine on
//! another machine. This crate knows nothing of tensors, widgets, disk or threads.
//!
//! Reading order: [`problem`] (how failures are told), [`site`] and [`model`] (what is steered), [`asset`] (where its
//! files are), [`persona`] and [`steering`] (with what), [`feature`] (the latents of a sparse autoencoder),
//! [`discovery`] and [`evaluation`] (the search and its judgement), [`chat`], and last [`message`], the commands and
//! events themselves.

pub mod asset;
pub mod chat;
pub mod discovery;
pub mod evaluation;
pub mod feature;
pub mod message;
pub mod model;
pub mod persona;
pub mod problem;
pub mod settings;
pub mod site;
pub mod steering;
