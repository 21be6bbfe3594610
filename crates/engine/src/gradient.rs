//! Gradient with respect to one-hot tokens (methods.md eq. 7).
