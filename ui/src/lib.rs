//! Tiller's window: screens, theme and plots.
//!
//! State and events go in, pixels and commands come out: [`App::apply`] takes what the application reports,
//! [`App::show`] draws one frame and returns what it asks for. Nothing here starts a thread, opens a file, reads a
//! clock or knows which shell hosts it; time is egui's input time.

mod app;
mod theme;

pub use app::{Answer, App, Machine, Output, Request, Ticket};
pub use theme::install;
