//! Steering options that `evaluate` and `generate` share.

use std::path::PathBuf;

use clap::Args;
use tiller_protocol::steering::Positions;
use tiller_studio::headless::VectorOption;

use super::Failure;
use crate::cli;

/// Vectors with their blocks and strengths, in the order given.
#[derive(Args, Debug, Default)]
pub(crate) struct SteeringArgs {
    /// Safetensors file with a direction; may be repeated.
    #[arg(long = "vector", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Block, counted from 0, for each vector; the file's recommended block unless given.
    #[arg(long = "block", value_name = "B")]
    blocks: Vec<usize>,
    /// Length of what is added, as a share of the median residual norm, for each vector.
    #[arg(long = "strength", value_name = "U", allow_negative_numbers = true)]
    strengths: Vec<f64>,
    /// Where all are added: all, prompt, last-prompt or generated.
    #[arg(long, value_parser = cli::word::<Positions>)]
    positions: Option<Positions>,
}

impl SteeringArgs {
    /// The vectors as the studio takes them; `positions` unless the user chose.
    ///
    /// # Errors
    /// Wrong usage when blocks or strengths do not match the vectors one to one.
    pub(crate) fn vectors(&self, positions: Positions) -> Result<Vec<VectorOption>, Failure> {
        let n_vectors = self.files.len();
        if self.strengths.len() != n_vectors {
            return Err(Failure::Usage(format!(
                "each --vector needs its --strength: there are {n_vectors} vectors and {} strengths",
                self.strengths.len()
            )));
        }
        if !self.blocks.is_empty() && self.blocks.len() != n_vectors {
            return Err(Failure::Usage(format!(
                "give --block for each --vector or for none: there are {n_vectors} vectors and {} blocks",
                self.blocks.len()
            )));
        }
        let positions = self.positions.unwrap_or(positions);
        let rows = self.files.iter().zip(&self.strengths).enumerate();
        Ok(rows
            .map(|(index, (path, strength))| VectorOption {
                path: path.clone(),
                block: self.blocks.get(index).copied(),
                strength: *strength,
                positions,
            })
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_paired_with_their_strengths() {
        let args = SteeringArgs {
            files: vec!["a".into(), "b".into()],
            blocks: vec![3, 5],
            strengths: vec![0.5, -0.25],
            positions: None,
        };
        let vectors = args.vectors(Positions::Generated).unwrap();
        assert_eq!(vectors[1].block, Some(5));
        assert_eq!(vectors[1].strength, -0.25);
        assert_eq!(vectors[1].positions, Positions::Generated);
    }

    #[test]
    fn missing_strengths_and_blocks_are_wrong_usage() {
        let files: Vec<PathBuf> = vec!["a".into(), "b".into()];
        for (blocks, strengths) in [(vec![], vec![0.5]), (vec![1], vec![0.5, 0.5])] {
            let args = SteeringArgs { files: files.clone(), blocks, strengths, positions: None };
            assert!(matches!(args.vectors(Positions::All), Err(Failure::Usage(_))));
        }
    }
}
