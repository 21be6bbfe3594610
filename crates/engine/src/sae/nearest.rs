//! The rows most similar to a vector, whose values are exact whichever way they are found.
//!
//! A small matrix is read as a whole. Of a large one the [`Sketch`] tells which rows may be among the largest; those are
//! read, the most promising first, until no other row is likely to be among them.

use rayon::prelude::*;

use super::file::{Rows, SaeFile};
use super::scan::product;
use super::sketch::{self, Guess, Sketch};
use crate::error::{EngineError, Result};

/// How similar a row is to a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The product.
    Dot,
    /// The product of both at unit length; 0 where one has no length.
    Cosine,
}

/// Up to so many latents the sketch is always the faster way.
const FEW: usize = 128;
/// Values of a matrix that is read in the time in which more than a few latents are found by the sketch.
const SOON_READ: usize = if cfg!(test) { 1 } else { 1 << 30 };
/// Rows that are read at most for each one wanted.
const READ_PER_WANTED: usize = 8;
/// Rows that are read at most however few are wanted, which costs some ten milliseconds, and which share of very many.
const READ_AT_MOST: usize = if cfg!(test) { 128 } else { 1 << 13 };
const READ_SHARE: usize = 64;
/// Rows read between two looks at whether it is enough.
const READ_AT_ONCE: usize = if cfg!(test) { 32 } else { 1 << 9 };

impl SaeFile {
    /// The `n` latents whose rows are most similar to `vector` `[d_model]`, the most similar first, with their exact
    /// values; `except` is left out. Decoder rows have unit length, up to the rounding of their number format.
    ///
    /// Large decoders are searched by way of a file beside the converted one, which [`Self::prepare`] makes: a few in a
    /// hundred of the rows that an exact search would find may be missed where many are about as similar. Without that
    /// file, for encoder rows, and for many latents of a matrix that is soon read, that matrix is read as a whole.
    ///
    /// # Errors
    /// A vector of another width or with values that are no numbers, a failure to read.
    pub fn nearest(
        &self,
        rows: Rows,
        vector: &[f32],
        n: usize,
        by: By,
        except: Option<u32>,
    ) -> Result<Vec<(u32, f32)>> {
        self.check_vector(vector)?;
        let about = self.description();
        let is_soon_read = n > FEW && about.d_sae * about.d_model <= SOON_READ;
        let found = match self.sketch().filter(|_| rows == Rows::Decoder && !is_soon_read) {
            Some(sketch) => self.among(sketch, vector, n, except)?,
            None => self.among_all(rows, vector, n, by, except)?,
        };
        let length = product(vector, vector).sqrt();
        let scale = if by == By::Dot || length == 0.0 { 1.0 } else { 1.0 / length };
        Ok(found.into_iter().map(|(latent, value)| (latent, scale * value)).collect())
    }

    /// Makes what [`Self::nearest`] needs to be fast and puts it beside the converted file, unless that was done or the
    /// SAE is small: one pass over the decoder. `progress(done, total)` counts latents and returns `false` to stop.
    ///
    /// # Errors
    /// A failure to read or write, no room, [`EngineError::Stopped`].
    pub fn prepare(&self, progress: &mut dyn FnMut(usize, usize) -> bool) -> Result<()> {
        let about = self.description();
        if self.sketch().is_none() && sketch::pays(about.d_model, about.d_sae) {
            let made = Sketch::make(self, self.path(), progress)?;
            // Another thread may have been first; its one is the same.
            self.sketch_cell().get_or_init(|| made);
        }
        Ok(())
    }

    /// Whether [`Self::nearest`] is as fast as it gets.
    pub fn is_prepared(&self) -> bool {
        let about = self.description();
        !sketch::pays(about.d_model, about.d_sae)
            || self.sketch_cell().get().is_some()
            || sketch::is_beside(self.path())
    }

    /// The sketch, read when it is first wanted. One that cannot be used is as good as none: the answer is the same and
    /// takes longer.
    fn sketch(&self) -> Option<&Sketch> {
        let about = self.description();
        if self.sketch_cell().get().is_none()
            && sketch::pays(about.d_model, about.d_sae)
            && let Ok(Some(read)) = Sketch::read(self)
        {
            self.sketch_cell().get_or_init(|| read);
        }
        self.sketch_cell().get()
    }

    fn among_all(&self, rows: Rows, vector: &[f32], n: usize, by: By, except: Option<u32>) -> Result<Vec<(u32, f32)>> {
        let mut values = self.dots(rows, vector)?;
        if rows == Rows::Encoder && by == By::Cosine {
            self.scan(rows, 0, (&mut values, 1), |piece, row, values| {
                row.resize(vector.len(), 0.0);
                for (idx, value) in values.iter_mut().enumerate() {
                    piece.widen(idx..idx + 1, row);
                    let length = product(row, row).sqrt();
                    *value = if length > 0.0 { *value / length } else { 0.0 };
                }
            })?;
        }
        let found = (0..).zip(values).filter(|(latent, _)| Some(*latent) != except).collect();
        Ok(largest(found, n))
    }

    /// Among the most promising rows of a sketch.
    fn among(&self, sketch: &Sketch, vector: &[f32], n: usize, except: Option<u32>) -> Result<Vec<(u32, f32)>> {
        let few = READ_AT_MOST.max(self.description().d_sae / READ_SHARE);
        let guesses = sketch.most_promising(vector, few.max(READ_PER_WANTED.saturating_mul(n)));
        let mut found: Vec<(u32, f32)> = Vec::new();
        for some in guesses.chunks(READ_AT_ONCE) {
            let enough = found.len() >= n && found.last().is_none_or(|last| some[0].at_most < last.1);
            if enough {
                break;
            }
            let exact = |row: &mut Vec<f32>, guess: &Guess| -> Result<(u32, f32)> {
                row.resize(vector.len(), 0.0);
                self.fill(Rows::Decoder, guess.row as usize, row)?;
                Ok((guess.row, product(row, vector)))
            };
            let some = some.par_iter().filter(|guess| Some(guess.row) != except);
            found.extend(some.map_init(Vec::new, exact).collect::<Result<Vec<_>>>()?);
            found = largest(found, n);
        }
        Ok(found)
    }

    /// # Errors
    /// A vector of another width or with values that are no numbers.
    pub(super) fn check_vector(&self, vector: &[f32]) -> Result<()> {
        let d = self.description().d_model;
        if vector.len() != d {
            return Err(EngineError::BadRequest(format!("a vector of {} values, not {d}", vector.len())));
        }
        if vector.iter().any(|value| !value.is_finite()) {
            return Err(EngineError::BadRequest("a vector with values that are no numbers".to_owned()));
        }
        Ok(())
    }
}

/// The `n` largest, in order; of equal ones the first.
fn largest(mut found: Vec<(u32, f32)>, n: usize) -> Vec<(u32, f32)> {
    let rank = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    if n > 0 && n < found.len() {
        found.select_nth_unstable_by(n - 1, rank);
    }
    found.truncate(n);
    found.sort_unstable_by(rank);
    found
}
