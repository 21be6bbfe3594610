//! A matrix in a file, some rows at a time.

use super::{Container, Entry};
use crate::error::Result;

/// A matrix in a file, read by rows.
#[derive(Debug)]
pub(in crate::sae) struct Matrix<'a> {
    pub(super) container: &'a Container,
    pub(super) name: String,
    pub(super) entry: &'a Entry,
    pub(super) n: usize,
    pub(super) width: usize,
    /// Values from one row to the next.
    pub(super) row: usize,
    /// Values from one value of a row to the next.
    pub(super) value: usize,
}

/// Columns turned at once: a line of the cache of f32 values.
const TURNED: usize = 16;

impl Matrix<'_> {
    /// Rows from `first` on, as many as fit into `out`.
    ///
    /// # Errors
    /// A value that is no number, a failure to read.
    pub(in crate::sae) fn rows(&self, first: usize, out: &mut [f32]) -> Result<()> {
        let n = out.len() / self.width.max(1);
        let read = |at: usize, out: &mut [f32]| self.container.values(&self.name, self.entry, at, out);
        debug_assert!(first + n <= self.n, "rows of the matrix");
        if self.value == 1 && (self.row == self.width || n == 1) {
            return read(first * self.row, out);
        }
        if self.value == 1 {
            return (0..n).try_for_each(|i| read((first + i) * self.row, &mut out[i * self.width..][..self.width]));
        }
        let mut columns = vec![0.0; n * TURNED];
        for from in (0..self.width).step_by(TURNED) {
            let some = TURNED.min(self.width - from);
            for (i, column) in columns.chunks_exact_mut(n).take(some).enumerate() {
                read((from + i) * self.value + first * self.row, column)?;
            }
            for (i, row) in out.chunks_exact_mut(self.width).enumerate() {
                for (value, column) in row[from..from + some].iter_mut().zip(columns.chunks_exact(n)) {
                    *value = column[i];
                }
            }
        }
        Ok(())
    }
}
