//! Journeys through the whole application with the demo model: first without a window, then through the screens.

mod assets;
mod screens;
mod studio;
