//! Directions from contrastive activations.
