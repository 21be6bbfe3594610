//! Which latents pass, of pre-activations that come some latents at a time.

use super::description::{Architecture, Description};
use super::file::Active;
use super::fold::Vectors;

/// The latents of one row that pass, as they come.
#[derive(Clone, Debug)]
pub(super) struct Pick<'a> {
    about: &'a Description,
    vectors: &'a Vectors,
    /// Rank, latent, activation.
    kept: Vec<(f32, u32, f32)>,
}

impl<'a> Pick<'a> {
    pub(super) fn new(about: &'a Description, vectors: &'a Vectors) -> Self {
        Self { about, vectors, kept: Vec::new() }
    }

    /// Pre-activations without their biases, of the latents from `first` on.
    pub(super) fn take(&mut self, first: usize, pre: &[f32]) {
        let Vectors { b_enc, theta, rank_scale, .. } = self.vectors;
        for (latent, pre) in (first..).zip(pre) {
            let pre = *pre + b_enc[latent];
            let rank = match self.about.architecture {
                Architecture::Standard => 0.0,
                Architecture::JumpRelu | Architecture::Gated if pre > theta[latent] => 0.0,
                Architecture::JumpRelu | Architecture::Gated => continue,
                Architecture::TopK => pre * rank_scale[latent],
                Architecture::AbsTopK => (pre * rank_scale[latent]).abs(),
            };
            if pre > 0.0 || self.about.architecture == Architecture::AbsTopK && pre < 0.0 {
                self.kept.push((rank, latent as u32, pre));
            }
        }
        if self.about.k.is_some() {
            self.cut();
        }
    }

    /// Keeps the largest.
    fn cut(&mut self) {
        let k = self.about.k.unwrap_or(usize::MAX);
        if k > 0 && self.kept.len() > k {
            self.kept.select_nth_unstable_by(k - 1, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            self.kept.truncate(k);
        }
    }

    pub(super) fn finish(mut self) -> Active {
        self.kept.sort_unstable_by_key(|kept| kept.1);
        self.kept.into_iter().map(|(_, latent, value)| (latent, value)).collect()
    }
}
