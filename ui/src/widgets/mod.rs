//! Parts that pages are made of. They know the theme and plain values, nothing of models or jobs.

pub(crate) mod badge;
pub(crate) mod button;
pub(crate) mod card;
pub(crate) mod chip;
pub(crate) mod confirm;
pub(crate) mod diverging;
pub(crate) mod empty;
pub(crate) mod field;
pub(crate) mod interval;
pub(crate) mod meter;
pub(crate) mod problem;
pub(crate) mod progress;
pub(crate) mod segmented;
pub(crate) mod sheet;
pub(crate) mod stat;
pub(crate) mod table;
pub(crate) mod toast;
pub(crate) mod tokens;
