//! Tiller's window: screens, theme and plots.
//!
//! State and events go in, pixels and commands come out: [`App::apply`] takes what the application reports,
//! [`App::show`] draws one frame and returns what it asks for. Nothing here starts a thread, opens a file, reads a
//! clock or knows which shell hosts it; time is egui's input time.
//!
//! Reading order: `app` (the whole), `shared` (what every page knows), `assets` (models as files), `features`
//! (opened SAEs), `action` (everything that can be done),
//! `pages` (one module each), `widgets` (what pages are made of), `theme` (every colour and size).

mod action;
mod app;
mod assets;
mod chrome;
mod face;
mod features;
mod icon;
mod jobs;
mod number;
mod page;
mod pages;
mod shared;
mod theme;
mod widgets;

pub use app::App;
pub use face::{Answer, Machine, Output, Request, Ticket};
pub use theme::install;
