//! Reads what others know of features: labels, statistics, promoted tokens, examples.

use tiller_protocol::feature::LabelSource;

/// What the file is to fit, and how it is read.
#[derive(Clone, Copy)]
pub struct ImportSettings<'a> {
    /// Import although the file names another model, block, source or features that are not there.
    pub anyway: bool,
    /// The model that the SAE says it was trained on, by whatever name.
    pub model: Option<&'a str>,
    /// The block that it reads.
    pub block: Option<usize>,
    /// Its name at Neuronpedia, if that is known.
    pub source: Option<&'a str>,
    /// Width of the activations it reads, to tell when it was taken for the number of features.
    pub d_model: Option<usize>,
    /// What labels from this file count as.
    pub label_source: LabelSource,
    /// Length of each decoder row as its maker stored it: activations in files are in units of those rows, and are
    /// multiplied by it.
    pub decoder_norms: Option<&'a [f32]>,
    /// Text of a token of the model, so that promoted tokens that come as numbers can be searched.
    pub token_text: Option<&'a (dyn Fn(u32) -> Option<String> + Sync)>,
}

impl Default for ImportSettings<'_> {
    fn default() -> Self {
        Self {
            anyway: false,
            model: None,
            block: None,
            source: None,
            d_model: None,
            label_source: LabelSource::Imported,
            decoder_norms: None,
            token_text: None,
        }
    }
}

/// How far an import has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportProgress {
    /// Bytes that were read.
    pub done_bytes: u64,
    /// Bytes of all files.
    pub total_bytes: u64,
}
