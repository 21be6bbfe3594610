//! Journeys through the whole application with the demo model: first without a window, then through the screens.

mod assets;
mod features;
mod features_model;
mod screens;
mod studio;
