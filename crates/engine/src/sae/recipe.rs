//! How the tensors of one file become the internal form: what each format's loader says, and all that [`super::fold`]
//! needs to know.

use super::description::{Architecture, Description};
use super::source::Container;
use crate::error::Result;

/// A matrix with a row for each latent.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    /// Name of the tensor.
    pub(super) name: String,
    /// The file holds a column for each latent instead.
    pub(super) is_turned: bool,
}

/// Where the thresholds come from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Threshold {
    /// A tensor with one for each latent.
    Each(String),
    /// A tensor with the logarithm of each.
    EachLog(String),
    /// One for all.
    All(f32),
    /// Of a gate `x·e + b_gate > 0` beside the value `x·(e·exp(r_mag)) + b_enc`: it opens where the value is above
    /// `b_enc − b_gate·exp(r_mag)`.
    Gate {
        /// Name of `b_gate`.
        bias: String,
        /// Name of `r_mag`.
        scale: String,
    },
}

/// Factors of the constant scale of the inputs and outputs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    pub(super) enc: f32,
    pub(super) b_enc: f32,
    pub(super) dec: f32,
    pub(super) b_dec: f32,
}

impl Scale {
    /// None at all.
    pub(super) const ONE: Self = Self { enc: 1.0, b_enc: 1.0, dec: 1.0, b_dec: 1.0 };
}

/// One file's way to the internal form.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    pub(super) description: Description,
    pub(super) enc: Slot,
    pub(super) dec: Slot,
    /// Name of the encoder's bias; zeros where there is none.
    pub(super) b_enc: Option<String>,
    /// Name of the output bias; zeros where there is none.
    pub(super) b_dec: Option<String>,
    /// The output bias is taken from each row before it is encoded.
    pub(super) subtracts_b_dec: bool,
    /// For `JumpReLU` and gates.
    pub(super) threshold: Option<Threshold>,
    /// The gate or the choice of the largest judges a pre-activation by the length that it would write.
    pub(super) judges_written_length: bool,
    /// Name of a factor of each latent's output.
    pub(super) output_scale: Option<String>,
    pub(super) scale: Scale,
}

impl Recipe {
    /// The common case; the matrices named and turned as told.
    pub(super) fn new(description: Description, enc: (&str, bool), dec: (&str, bool)) -> Self {
        let slot = |(name, is_turned): (&str, bool)| Slot { name: name.to_owned(), is_turned };
        Self {
            description,
            enc: slot(enc),
            dec: slot(dec),
            b_enc: None,
            b_dec: None,
            subtracts_b_dec: false,
            threshold: None,
            judges_written_length: false,
            output_scale: None,
            scale: Scale::ONE,
        }
    }

    /// Names of the tensors that it takes.
    pub(super) fn names(&self) -> Vec<&str> {
        let mut names = vec![self.enc.name.as_str(), self.dec.name.as_str()];
        names.extend(self.vectors().into_iter().map(|(name, _)| name));
        names
    }

    /// The vectors among them with their lengths.
    fn vectors(&self) -> Vec<(&str, usize)> {
        let (d, n) = (self.description.d_model, self.description.d_sae);
        let mut vectors: Vec<(&str, usize)> = Vec::new();
        vectors.extend(self.b_enc.as_deref().map(|name| (name, n)));
        vectors.extend(self.b_dec.as_deref().map(|name| (name, d)));
        vectors.extend(self.output_scale.as_deref().map(|name| (name, n)));
        match &self.threshold {
            Some(Threshold::Each(name) | Threshold::EachLog(name)) => vectors.push((name, n)),
            Some(Threshold::Gate { bias, scale }) => vectors.extend([(bias.as_str(), n), (scale.as_str(), n)]),
            Some(Threshold::All(_)) | None => {}
        }
        vectors
    }

    /// Checks that every tensor is there in its shape; reads no weight.
    ///
    /// # Errors
    /// The first that is missing or of another shape.
    pub(super) fn check(&self, container: &Container) -> Result<()> {
        let (d, n) = (self.description.d_model, self.description.d_sae);
        if d == 0 || n == 0 {
            return Err(container.bad(format!("it has {n} latents of {d} values")));
        }
        for slot in [&self.enc, &self.dec] {
            container.matrix(&slot.name, (n, d), slot.is_turned)?;
        }
        for (name, len) in self.vectors() {
            let entry = container.entry(name).ok_or_else(|| container.bad(format!("it holds no tensor {name}")))?;
            if entry.shape != [len] {
                return Err(container.misshapen(name, &[len], entry));
            }
        }
        let is_top = matches!(self.description.architecture, Architecture::TopK | Architecture::AbsTopK);
        if is_top && self.description.k.is_none_or(|k| k == 0 || k > n) {
            return Err(container.bad(format!("`k` is {:?}, with {n} latents", self.description.k.unwrap_or(0))));
        }
        Ok(())
    }
}
