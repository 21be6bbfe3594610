//! Journeys through the whole application with the demo model: first without a window, then through the screens.

#[path = "../desk.rs"]
mod desk;
#[path = "../screen.rs"]
mod screen;
mod screens;
mod studio;
