//! Matrix products through the `gemm` crate; the only unsafe code of the engine.

use std::marker::PhantomData;
use std::ops::Range;

use gemm::Parallelism;

/// A matrix of f32 seen through strides.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a> View<'a> {
    /// `rows` rows of `cols` values, one after the other.
    pub(crate) fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        Self { data, rows, cols, row_stride: cols, col_stride: 1 }
    }

    /// Some columns of `rows` rows of `stride` values.
    pub(crate) fn columns(data: &'a [f32], rows: usize, stride: usize, columns: Range<usize>) -> Self {
        Self { data: &data[columns.start..], rows, cols: columns.len(), row_stride: stride, col_stride: 1 }
    }

    /// The same matrix with rows and columns exchanged.
    pub(crate) fn t(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            data: self.data,
        }
    }

    fn in_bounds(&self) -> bool {
        self.rows == 0
            || self.cols == 0
            || (self.rows - 1) * self.row_stride + (self.cols - 1) * self.col_stride < self.data.len()
    }
}

/// `dst = a·b`, or `dst += a·b` with `add`. `dst` is `[a.rows, b.cols]`, row after row. Runs on all threads of the
/// current pool when the product is large enough.
pub(crate) fn matmul(dst: &mut [f32], a: View<'_>, b: View<'_>, add: bool) {
    let stride = b.cols;
    for mut all in columns_mut(dst, stride, 0..stride, stride) {
        all.set_product(a, b, add, Parallelism::Rayon(0));
    }
}

/// Some columns of a matrix, for one thread to write while others write theirs.
pub(crate) struct ColumnsMut<'a> {
    first: *mut f32,
    rows: usize,
    stride: usize,
    range: Range<usize>,
    marker: PhantomData<&'a mut [f32]>,
}

#[expect(unsafe_code, reason = "columns of one matrix lie between each other, so they are no slices")]
// SAFETY: a value is made by `columns_mut` alone, which gives each column of a mutably borrowed matrix away once.
unsafe impl Send for ColumnsMut<'_> {}

/// Some columns of `dst`, whose rows are `stride` values, in pieces of `width`.
pub(crate) fn columns_mut(dst: &mut [f32], stride: usize, columns: Range<usize>, width: usize) -> Vec<ColumnsMut<'_>> {
    assert!(columns.start <= columns.end && columns.end <= stride, "the columns are among those of the matrix");
    let rows = dst.len().checked_div(stride).unwrap_or(0);
    assert_eq!(rows * stride, dst.len(), "the matrix has whole rows");
    let piece = |start: usize| {
        let range = start..columns.end.min(start + width);
        ColumnsMut { first: dst.as_mut_ptr().wrapping_add(range.start), rows, stride, range, marker: PhantomData }
    };
    columns.clone().step_by(width.max(1)).map(piece).collect()
}

impl ColumnsMut<'_> {
    /// Which columns they are.
    pub(crate) fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// `self = a·b`, or `self += a·b` with `add`, on the calling thread.
    pub(crate) fn product(&mut self, a: View<'_>, b: View<'_>, add: bool) {
        self.set_product(a, b, add, Parallelism::None);
    }

    fn set_product(&mut self, a: View<'_>, b: View<'_>, add: bool, parallelism: Parallelism) {
        assert_eq!(a.cols, b.rows, "inner sizes of a matrix product agree");
        assert_eq!((self.rows, self.range.len()), (a.rows, b.cols), "the result has the size of the product");
        assert!(a.in_bounds() && b.in_bounds(), "strides stay inside the data");
        if self.rows == 0 || self.range.is_empty() {
            return;
        }
        #[expect(unsafe_code, reason = "gemm takes raw pointers")]
        // SAFETY: the assertions above keep every element that gemm reads inside `a.data` and `b.data`, and every one
        // that it writes in the rows and columns that are this value's own, which `columns_mut` has checked to lie
        // inside a matrix borrowed mutably for as long, so it overlaps neither input; with `add` off, they are written
        // without being read.
        unsafe {
            gemm::gemm(
                a.rows,
                b.cols,
                a.cols,
                self.first,
                1,
                self.stride.cast_signed(),
                add,
                a.data.as_ptr(),
                a.col_stride.cast_signed(),
                a.row_stride.cast_signed(),
                b.data.as_ptr(),
                b.col_stride.cast_signed(),
                b.row_stride.cast_signed(),
                1.0,
                1.0,
                false,
                false,
                false,
                parallelism,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strides_and_sums_are_honoured() {
        let a = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let b = [1.0, 0.5, -1.0, 2.0, 0.0, 3.0];
        let mut dst = vec![10.0; 4];
        matmul(&mut dst, View::new(&a, 2, 3), View::new(&b, 2, 3).t(), true);
        assert_eq!(dst, [10.0 - 1.0, 10.0 + 11.0, 10.0 + 0.5, 10.0 + 26.0]);
        let mut dst = vec![f32::NAN; 9];
        matmul(&mut dst, View::new(&a, 2, 3).t(), View::new(&b, 2, 3), false);
        assert_eq!(dst[..3], [9.0, 0.5, 11.0]);
    }

    #[test]
    fn columns_are_written_apart() {
        let (a, b) = ([1.0, 2.0, 3.0, 4.0], [1.0, -1.0, 0.5, 2.0, 3.0, 1.0]);
        let mut dst = vec![7.0; 2 * 5];
        for mut piece in columns_mut(&mut dst, 5, 1..4, 2) {
            let own = piece.range().start - 1..piece.range().end - 1;
            piece.product(View::new(&a, 2, 2), View::columns(&b, 2, 3, own), piece.range().start == 1);
        }
        assert_eq!(dst, [7.0, 7.0 + 5.0, 7.0 + 5.0, 2.5, 7.0, 7.0, 7.0 + 11.0, 7.0 + 9.0, 5.5, 7.0]);
    }
}
