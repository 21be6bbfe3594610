//! The application without a window.
//!
//! Everything that is neither arithmetic nor pixels: when a job runs, where a file lies, what an error means to a
//! person. The window and the command line are two faces of this crate.
//!
//! Reading order: [`studio`] (threads and messages), then what they work on (`workspace`, `library`, [`assets`],
//! `installed`, `models`, `jobs`), `net` and `downloads` (what comes from the hub), `catalogue`, `demo` (the main job
//! with its report), [`headless`] (one function for each command).

pub mod assets;
pub mod headless;
pub mod memory;
pub mod studio;
pub mod workspace;

mod catalogue;
mod clock;
mod demo;
mod downloads;
mod engine_thread;
mod features;
mod features_thread;
mod files_thread;
mod installed;
mod io_thread;
mod jobs;
mod library;
mod live;
mod models;
mod net;
mod outbox;
mod plot;
mod problem;
mod steering;
mod vector_file;

pub use net::HubOptions;
pub use outbox::Wake;
pub use studio::{Studio, StudioOptions};
