//! `config.json`, checked.
/// Architecture of a decoder.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// First entry of `architectures`.
    pub architecture: String,
    /// Residual width.
    pub d_model: usize,
    /// Blocks.
    pub n_layers: usize,
    /// Query heads.
    pub n_heads: usize,
    /// Key/value heads.
    pub n_kv_heads: usize,
    /// Width of one head.
    pub head_dim: usize,
    /// Width of the MLP.
    pub d_mlp: usize,
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Longest sequence.
    pub context_len: usize,
    /// Head shares the embedding matrix.
    pub tied: bool,
}
