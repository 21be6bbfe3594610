//! The pages, one module each.

pub(crate) mod chat;
pub(crate) mod discover;
pub(crate) mod features;
pub(crate) mod home;
pub(crate) mod models;
pub(crate) mod personas;
pub(crate) mod scaffold;
pub(crate) mod settings;
