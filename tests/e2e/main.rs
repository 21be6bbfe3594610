//! The real binary on a display of its own: a person walks from the demo model to an exported prompt,
//! and gets a model from a hub.
//!
//! Where to click is looked up by label in a twin of the window (the same screens over a workspace of its own, without a
//! display), so no pixel position is written down here. What is asserted are exit codes and files.

mod classroom;
mod desktop;
mod features;
mod hub;
mod pair;
