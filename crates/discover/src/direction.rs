//! Arithmetic on single directions: plain `[d_model]` vectors of f32, summed in f64.

use rand::Rng as _;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use crate::error::{DiscoverError, Result};

/// Directions shorter than this share of their original length count as projected away.
const MIN_REMAINDER: f64 = 1e-4;

/// Inner product.
pub fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
}

/// Euclidean length.
pub fn norm(a: &[f32]) -> f64 {
    dot(a, a).sqrt()
}

/// Cosine; 0 when one of them has no length.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let lengths = norm(a) * norm(b);
    if lengths > 0.0 { dot(a, b) / lengths } else { 0.0 }
}

/// `a` scaled to length 1.
///
/// # Errors
/// A vector without length or with values that are not finite.
pub fn unit(a: &[f32]) -> Result<Vec<f32>> {
    let length = norm(a);
    if !(length.is_finite() && length > 0.0) {
        return Err(DiscoverError::BadDirection(format!("its length is {length}")));
    }
    Ok(a.iter().map(|x| (f64::from(*x) / length) as f32).collect())
}

/// `vector` without its part in the span of `confounds`: Gram–Schmidt, twice for accuracy. Confounds that depend on
/// earlier ones are passed over.
///
/// # Errors
/// When nothing of the vector is left, or the widths differ.
pub fn project_out(vector: &[f32], confounds: &[Vec<f32>]) -> Result<Vec<f32>> {
    let mut basis: Vec<Vec<f32>> = Vec::new();
    for confound in confounds {
        if confound.len() != vector.len() {
            return Err(DiscoverError::BadDirection(format!("width {} against {}", confound.len(), vector.len())));
        }
        let rest = without(confound, &basis);
        if norm(&rest) > MIN_REMAINDER * norm(confound) {
            basis.push(unit(&rest)?);
        }
    }
    let rest = without(vector, &basis);
    if norm(&rest) > MIN_REMAINDER * norm(vector) {
        Ok(rest)
    } else {
        Err(DiscoverError::BadDirection("nothing of it is left once the other directions are projected out".to_owned()))
    }
}

fn without(vector: &[f32], basis: &[Vec<f32>]) -> Vec<f32> {
    let mut rest: Vec<f64> = vector.iter().map(|x| f64::from(*x)).collect();
    for axis in basis.iter().chain(basis) {
        let share: f64 = rest.iter().zip(axis).map(|(r, a)| r * f64::from(*a)).sum();
        rest.iter_mut().zip(axis).for_each(|(r, a)| *r -= share * f64::from(*a));
    }
    rest.into_iter().map(|x| x as f32).collect()
}

/// A direction drawn evenly from the sphere of radius `length` (normal coordinates by Box and Muller).
pub fn random(width: usize, length: f64, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let normal: Vec<f64> = (0..width)
        .map(|_| {
            let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
            radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
        })
        .collect();
    let scale = length / normal.iter().map(|x| x * x).sum::<f64>().sqrt();
    normal.into_iter().map(|x| (x * scale) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn projecting_out_leaves_nothing_along_the_confounds() {
        let vector = [1.0, 2.0, 3.0, 4.0];
        let confounds = [vec![1.0, 1.0, 0.0, 0.0], vec![2.0, 2.0, 0.0, 0.0], vec![0.0, 1.0, 5.0, 0.0]];
        let rest = project_out(&vector, &confounds).unwrap();
        for confound in &confounds {
            assert!(cosine(&rest, confound).abs() < 1e-6);
        }
        assert!((rest[3] - 4.0).abs() < 1e-6);
        assert!(project_out(&[2.0, 2.0, 0.0, 0.0], &confounds).is_err());
        assert!(project_out(&vector, &[vec![1.0]]).is_err());
    }

    #[test]
    fn random_directions_repeat_and_differ() {
        let a = random(64, 3.0, 1);
        assert_eq!(a, random(64, 3.0, 1));
        assert!((norm(&a) - 3.0).abs() < 1e-5);
        assert!(cosine(&a, &random(64, 3.0, 2)).abs() < 0.5);
    }

    #[test]
    fn unit_refuses_nothing_and_infinity() {
        assert!((norm(&unit(&[3.0, 4.0]).unwrap()) - 1.0).abs() < 1e-6);
        assert!(unit(&[0.0]).is_err());
        assert!(unit(&[f32::INFINITY]).is_err());
    }
}
