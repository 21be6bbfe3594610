//! How the values of a GGUF tensor are stored.

use candle_core::quantized::GgmlDType;

/// Types by their number in the file; those without a [`GgmlDType`] cannot be read.
const KINDS: [(u32, &str, Option<GgmlDType>); 32] = [
    (0, "F32", Some(GgmlDType::F32)),
    (1, "F16", Some(GgmlDType::F16)),
    (2, "Q4_0", Some(GgmlDType::Q4_0)),
    (3, "Q4_1", Some(GgmlDType::Q4_1)),
    (6, "Q5_0", Some(GgmlDType::Q5_0)),
    (7, "Q5_1", Some(GgmlDType::Q5_1)),
    (8, "Q8_0", Some(GgmlDType::Q8_0)),
    (9, "Q8_1", Some(GgmlDType::Q8_1)),
    (10, "Q2_K", Some(GgmlDType::Q2K)),
    (11, "Q3_K", Some(GgmlDType::Q3K)),
    (12, "Q4_K", Some(GgmlDType::Q4K)),
    (13, "Q5_K", Some(GgmlDType::Q5K)),
    (14, "Q6_K", Some(GgmlDType::Q6K)),
    (15, "Q8_K", Some(GgmlDType::Q8K)),
    (16, "IQ2_XXS", None),
    (17, "IQ2_XS", None),
    (18, "IQ3_XXS", None),
    (19, "IQ1_S", None),
    (20, "IQ4_NL", None),
    (21, "IQ3_S", None),
    (22, "IQ2_S", None),
    (23, "IQ4_XS", None),
    (24, "I8", None),
    (25, "I16", None),
    (26, "I32", None),
    (27, "I64", None),
    (28, "F64", None),
    (29, "IQ1_M", None),
    (30, "BF16", Some(GgmlDType::BF16)),
    (34, "TQ1_0", None),
    (35, "TQ2_0", None),
    (39, "MXFP4", None),
];

/// Mixtures of formats by llama.cpp's number for them (`general.file_type`), where one format's name would say less.
const MIXTURES: [(usize, &str); 8] = [
    (11, "Q3_K_S"),
    (12, "Q3_K_M"),
    (13, "Q3_K_L"),
    (14, "Q4_K_S"),
    (15, "Q4_K_M"),
    (16, "Q5_K_S"),
    (17, "Q5_K_M"),
    (21, "Q2_K_S"),
];

/// The quantiser's name for a mixture.
pub(crate) fn mixture(number: usize) -> Option<&'static str> {
    MIXTURES.iter().find(|(known, _)| *known == number).map(|(_, name)| *name)
}

/// The type of one tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind(pub(crate) u32);

impl Kind {
    /// The form in which the tensor library reads it; `None` when it does not.
    pub(crate) fn readable(self) -> Option<GgmlDType> {
        KINDS.iter().find(|(number, ..)| *number == self.0).and_then(|(.., dtype)| *dtype)
    }

    /// Its name in llama.cpp's files, or its number.
    pub(crate) fn name(self) -> String {
        let known = KINDS.iter().find(|(number, ..)| *number == self.0);
        known.map_or_else(|| format!("type {}", self.0), |(_, name, _)| (*name).to_owned())
    }

    /// Bytes of `n` values in rows of `width`; `None` when rows do not divide into blocks or the number is absurd.
    pub(crate) fn bytes(dtype: GgmlDType, n: u64, width: u64) -> Option<u64> {
        let block = dtype.block_size() as u64;
        if !width.is_multiple_of(block) {
            return None;
        }
        (n / block).checked_mul(dtype.type_size() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of llama.cpp's `llama_ftype`.
    #[test]
    fn mixtures_have_the_quantisers_names() {
        for (number, name) in [(15, Some("Q4_K_M")), (17, Some("Q5_K_M")), (11, Some("Q3_K_S")), (7, None), (999, None)]
        {
            assert_eq!(mixture(number), name);
        }
    }
}
