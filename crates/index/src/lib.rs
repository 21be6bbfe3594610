//! What is known of the features of one SAE besides its weights: statistics, labels, notes, bookmarks, promoted tokens
//! and examples, in one `SQLite` file with full-text search.
//!
//! It knows files and numbers of features, nothing of weights, models, windows or jobs.
//!
//! Reading order: `schema` (the tables), [`store`] (the file and its connections), [`columns`] and `arrange` (filters
//! and orders of a million features), [`label`], `mark` and `row` (what the table and the card show), `word` and
//! `literal` (search), [`scan`] with `sketch` and `merge`, [`window`] and `histogram` (what features fire on), [`effects`], and last
//! [`import`] (files of others).

mod arrange;
mod block;
pub mod columns;
pub mod effects;
pub mod error;
mod histogram;
pub mod import;
pub mod label;
mod literal;
mod mark;
mod merge;
mod row;
pub mod scan;
mod schema;
mod sketch;
pub mod store;
mod text;
mod varint;
pub mod window;
mod word;

pub use crate::error::{IndexError, Result};
pub use crate::store::Index;

#[cfg(test)]
mod tests;
