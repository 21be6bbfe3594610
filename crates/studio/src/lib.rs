//! The application without a window.
//!
//! Everything that is neither arithmetic nor pixels: when a job runs, where a file lies, what an error means to a
//! person. The window and the command line are two faces of this crate.
//!
//! Reading order: [`headless`] (one function for each command).

pub mod headless;
