//! What surrounds the pages: navigation, status bar, command palette.

pub(crate) mod palette;
pub(crate) mod rail;
pub(crate) mod status;
