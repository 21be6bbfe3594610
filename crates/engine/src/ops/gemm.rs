//! Matrix products through the `gemm` crate; the only unsafe code of the engine.

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
    matmul_columns(dst, b.cols, 0..b.cols, a, b, add);
}

/// [`matmul`] into some columns of a wider `dst`, whose rows are `stride` values.
pub(crate) fn matmul_columns(
    dst: &mut [f32],
    stride: usize,
    columns: Range<usize>,
    a: View<'_>,
    b: View<'_>,
    add: bool,
) {
    assert_eq!(a.cols, b.rows, "inner sizes of a matrix product agree");
    assert!(columns.len() == b.cols && columns.end <= stride, "the result has the columns of the product");
    assert_eq!(dst.len(), a.rows * stride, "the result has the rows of the product");
    assert!(a.in_bounds() && b.in_bounds(), "strides stay inside the data");
    if dst.is_empty() || columns.is_empty() {
        return;
    }
    let dst = &mut dst[columns.start..];
    #[expect(unsafe_code, reason = "gemm takes raw pointers")]
    // SAFETY: the assertions above keep every element that gemm reads or writes inside `dst`, `a.data` and `b.data`;
    // `dst` is borrowed mutably, so it overlaps neither input; with `add` off, `dst` is written without being read.
    unsafe {
        gemm::gemm(
            a.rows,
            b.cols,
            a.cols,
            dst.as_mut_ptr(),
            1,
            stride.cast_signed(),
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
            Parallelism::Rayon(0),
        );
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
}
