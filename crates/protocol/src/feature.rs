//! Features: the latents of a sparse autoencoder (SAE) that was opened, what is known of each, and how they are searched.
//!
//! A feature is one latent of one SAE. Its activation is that of the internal form, whose decoder rows have unit length:
//! it equals the length of the vector that the feature writes into the residual stream, in residual units.

mod training;

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::problem::Problem;
use crate::site::Site;
use crate::steering::VectorId;

pub use training::{TrainKind, TrainPoint, TrainSettings};

/// Name of an opened SAE: that of its folder in the workspace, e.g. `demo-sae-3f2a91c0`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SaeId(pub String);

/// One feature.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FeatureRef {
    /// Its SAE.
    pub sae: SaeId,
    /// Its number, from 0.
    pub latent: u32,
}

/// How an SAE is opened, where its file leaves something out or the user knows better.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OpenOptions {
    /// Block (0-based) whose output it reads; goes before what the file says.
    pub block: Option<usize>,
    /// Latents that pass at once, for files that do not say it.
    pub k: Option<usize>,
    /// Mean length of the activations it was trained on, for files that leave it out.
    pub mean_norm: Option<f32>,
    /// Delete the published files once they are converted, where Tiller may (they lie in a storage folder).
    pub delete_original: bool,
}

/// An SAE that was opened: its file is converted, its features can be searched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SaeInfo {
    /// Its name in the workspace.
    pub id: SaeId,
    /// Name for people.
    pub name: String,
    /// The published file or folder it was made from; it may be gone.
    pub path: PathBuf,
    /// Whose form that had: `SAELens`, `Gemma Scope`.
    pub format: String,
    /// `standard`, `jumprelu`, `gated`, `topk` or `abstopk`.
    pub architecture: String,
    /// Latents that may pass at once, for `topk` and `abstopk`.
    pub k: Option<usize>,
    /// Where it reads and writes.
    pub site: Site,
    /// Width of the activations it reads.
    pub d_model: usize,
    /// Number of latents.
    pub d_sae: usize,
    /// The model that its file says it was trained on.
    pub reads: Option<String>,
    /// Bytes of the converted file and the index beside it.
    pub bytes: u64,
    /// How well it fits the model it was last tried on.
    pub self_test: Option<SelfTest>,
    /// Median residual norm at its site over neutral text, of the model it was last tried on.
    pub resid_norm: Option<f64>,
    /// Features that have a label.
    pub n_labelled: usize,
    /// Features that are bookmarked.
    pub n_bookmarked: usize,
    /// Tokens of the corpus scan so far; 0 when there was none.
    pub scanned_tokens: u64,
}

/// How well an SAE rebuilds the residual stream after some block.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlockFit {
    /// Block, 0-based.
    pub block: usize,
    /// Share of the variance that is not explained; 0 is perfect, 1 no better than the mean.
    pub fvu: f64,
    /// Mean number of features that are active on a token.
    pub l0: f64,
}

/// What the self-test found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SelfTestVerdict {
    /// The claimed block has the smallest FVU, below 0.4.
    Good,
    /// Another block fits better: the file or its reader counts blocks differently.
    Elsewhere {
        /// That block.
        block: usize,
    },
    /// It does not rebuild this model's residual stream well anywhere near.
    Poor,
}

/// An SAE tried on a model: FVU and L0 at the claimed block and one block either side (sae.md §0.1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SelfTest {
    /// Hash of the model ([`crate::model::ModelInfo::hash`]).
    pub model_hash: String,
    /// Its name.
    pub model_name: String,
    /// Tokens that were counted.
    pub n_tokens: usize,
    /// The block that the SAE claims.
    pub claimed: usize,
    /// Fits, by block.
    pub fits: Vec<BlockFit>,
    /// What follows from them.
    pub verdict: SelfTestVerdict,
}

impl SelfTest {
    /// The fit at the claimed block.
    pub fn at_claimed(&self) -> Option<BlockFit> {
        self.fits.iter().copied().find(|fit| fit.block == self.claimed)
    }
}

/// How activations over the tokens of a text become one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The largest.
    #[default]
    Max,
    /// The mean.
    Mean,
    /// The sum.
    Sum,
}

/// What is searched for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeatureQuery {
    /// All features.
    #[default]
    All,
    /// Labels that have these words, also while they are being typed; digits alone also find the feature of that number.
    Label(String),
    /// Features that promote this token (its text, or its first token), by logit effect.
    Token(String),
    /// Features whose decoder row is similar to that of this one, by cosine.
    Similar(u32),
    /// Features whose decoder row is similar to a vector of the library, at the SAE's block, by cosine.
    Vector(VectorId),
    /// What fires on a text. Needs the model.
    Text {
        /// The text.
        text: String,
        /// How its tokens are pooled.
        pooling: Pooling,
    },
    /// What fires more on one set of texts than on another, by mean activation a token. Needs the model.
    Contrast {
        /// Texts on which it should fire.
        more: Vec<String>,
        /// Texts on which it should not.
        less: Vec<String>,
    },
}

impl FeatureQuery {
    /// Whether the loaded model has to run for it.
    pub fn needs_model(&self) -> bool {
        matches!(self, Self::Text { .. } | Self::Contrast { .. })
    }
}

/// Which features are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FeatureFilter {
    /// Smallest density (share of tokens on which it is active); features of unknown density pass.
    pub min_density: Option<f32>,
    /// Largest density; features of unknown density pass.
    pub max_density: Option<f32>,
    /// Only those with a label.
    pub labelled: bool,
    /// Only those bookmarked.
    pub bookmarked: bool,
    /// Leave out those that are never active: no decoder row, or not once in the scan.
    pub alive: bool,
}

/// In which order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeatureSort {
    /// As the search ranks them; by number where it does not rank.
    #[default]
    Rank,
    /// By number.
    Number,
    /// By label.
    Label,
    /// By density; unknown ones last.
    Density,
    /// By largest activation seen; unknown ones last.
    MaxActivation,
}

/// A search.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FeatureSearch {
    /// Where.
    pub sae: SaeId,
    /// For what.
    pub query: FeatureQuery,
    /// Among which.
    pub filter: FeatureFilter,
    /// In which order.
    pub sort: FeatureSort,
    /// The other way round.
    pub reversed: bool,
}

/// What a score of a search is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScoreKind {
    /// Cosine of decoder rows.
    Cosine,
    /// Effect on a token's logit, per unit of activation.
    LogitEffect,
    /// Activation, residual units.
    Activation,
    /// Difference of mean activations, residual units.
    Difference,
}

impl ScoreKind {
    /// Head of the column.
    pub fn label(self) -> &'static str {
        match self {
            Self::Cosine => "Similarity (cosine)",
            Self::LogitEffect => "Effect on the token",
            Self::Activation => "Activation",
            Self::Difference => "Difference",
        }
    }
}

/// What fires on one token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenFires {
    /// The token as text.
    pub token: String,
    /// The most active features on it, with their activations, largest first; at most 8.
    pub top: Vec<(u32, f32)>,
}

/// The answer to a search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureResults {
    /// What was asked.
    pub search: FeatureSearch,
    /// The features, in order; shared, since there may be a million.
    pub order: Arc<Vec<u32>>,
    /// Their scores, in the same order, where the search has some.
    pub scores: Option<(ScoreKind, Arc<Vec<f32>>)>,
    /// For [`FeatureQuery::Text`]: each token of the text.
    pub tokens: Vec<TokenFires>,
    /// What the user should know, such as that only the best 1,000 are shown or that the labels are of another source.
    pub note: Option<String>,
    /// Seconds from asking to answer, for the status line.
    pub secs: f64,
}

/// A row of the table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureRow {
    /// Its number.
    pub latent: u32,
    /// Its first label.
    pub label: Option<String>,
    /// Share of tokens on which it is active.
    pub density: Option<f32>,
    /// Largest activation seen, residual units.
    pub max_activation: Option<f32>,
    /// It is bookmarked.
    pub bookmarked: bool,
    /// It has a note.
    pub noted: bool,
    /// It cannot be or never was active.
    pub dead: bool,
}

/// Where a label comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelSource {
    /// Written by the user.
    User,
    /// Came with the SAE.
    Shipped,
    /// Read from a file.
    Imported,
    /// Written by a model here.
    Model,
}

/// A label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureLabel {
    /// Its number in the index.
    pub id: i64,
    /// Its text.
    pub text: String,
    /// Where it comes from.
    pub source: LabelSource,
    /// How it was made, e.g. `np_max-act`, `oai_token-act-pair`, `rule`.
    pub method: Option<String>,
    /// The model that wrote it.
    pub model: Option<String>,
    /// How well it tells texts on which the feature fires from others (0.5 is chance, 1 perfect), where that is known.
    pub score: Option<f32>,
}

/// How often which activations were seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// Edges of the bins, ascending, residual units; one more than there are counts.
    pub edges: Vec<f32>,
    /// Tokens in each bin.
    pub counts: Vec<u64>,
}

/// A token with what a feature does to its logit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenEffect {
    /// The token as text.
    pub token: String,
    /// Effect per unit of activation, mean over the vocabulary taken away.
    pub effect: f32,
}

/// What a feature promotes and suppresses, by the logit lens of its decoder row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogitEffects {
    /// Most promoted first.
    pub promoted: Vec<TokenEffect>,
    /// Most suppressed first.
    pub suppressed: Vec<TokenEffect>,
    /// The SAE sits before 60 % of the model's depth: later blocks may turn this round.
    pub low_confidence: bool,
}

/// Part of a text with the activations of one feature.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// Tokens as text.
    pub tokens: Vec<String>,
    /// The feature's activation on each.
    pub values: Vec<f32>,
    /// Index of the token that it was picked for.
    pub peak: usize,
    /// Which tenth of the activations above zero it was drawn from, 0 the weakest; absent for the largest ones.
    pub decile: Option<u8>,
}

/// All that is known of a feature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureCard {
    /// Which one.
    pub feature: FeatureRef,
    /// As in the table.
    pub row: FeatureRow,
    /// Labels, the user's own first.
    pub labels: Vec<FeatureLabel>,
    /// The user's note.
    pub note: String,
    /// Activations above zero, where they are known.
    pub histogram: Option<Histogram>,
    /// By the logit lens, when a model that it fits is loaded.
    pub effects: Option<LogitEffects>,
    /// Strongest examples first, then those of the deciles.
    pub examples: Vec<Example>,
    /// Similar features: number, cosine of decoder rows, first label.
    pub similar: Vec<(u32, f32, Option<String>)>,
    /// Length of its decoder row as its maker stored it; 0 marks a dead latent.
    pub decoder_norm: f32,
}

/// A feature on a text of the user's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureProbe {
    /// Which feature.
    pub feature: FeatureRef,
    /// Tokens of the text.
    pub tokens: Vec<String>,
    /// Its activation on each.
    pub values: Vec<f32>,
    /// Change of each token's loss (nats) when the feature is ablated before it; 0 for the first.
    pub loss_change: Vec<f32>,
}

/// What is edited, when a feature steers (methods.md §5; sae.md §D). In each case the part of the residual stream that
/// the SAE does not explain stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeatureOp {
    /// Adds the decoder row. Strength: length as a share of the median residual norm at the block.
    #[default]
    Add,
    /// Sets the activation. Strength: the same share.
    Set,
    /// Raises the activation to a least value. Strength: the same share.
    AtLeast,
    /// Multiplies the activation. Strength: the factor; 1 changes nothing.
    Multiply,
    /// Sets the activation to 0. The strength has no meaning.
    Ablate,
}

impl FeatureOp {
    /// All, in the order in which they are offered.
    pub const ALL: [Self; 5] = [Self::Add, Self::Set, Self::AtLeast, Self::Multiply, Self::Ablate];

    /// Name for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Add => "Add",
            Self::Set => "Set to",
            Self::AtLeast => "At least",
            Self::Multiply => "Multiply",
            Self::Ablate => "Switch off",
        }
    }
}

/// A feature with a weight, as a search for prompts climbs it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureWeight {
    /// Which one.
    pub feature: FeatureRef,
    /// Its weight; the sign says whether it should fire more or less.
    pub weight: f64,
}

/// Texts to run the model over.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Corpus {
    /// Texts that ship with Tiller.
    #[default]
    Shipped,
    /// A text file, a `.jsonl` file whose lines have `text`, or a folder of such files.
    Path(PathBuf),
    /// Texts as they are, separated by blank lines.
    Text(String),
}

/// Settings of a corpus scan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScanSettings {
    /// Over what.
    pub corpus: Corpus,
    /// At most so many tokens.
    pub max_tokens: u64,
    /// Tokens of a sequence: longer texts are cut into such pieces.
    pub context_len: usize,
    /// Go on with the scan that was stopped, if it was over the same texts; otherwise what it found is replaced.
    pub resume: bool,
}

impl Default for ScanSettings {
    fn default() -> Self {
        Self { corpus: Corpus::Shipped, max_tokens: 50_000, context_len: 128, resume: true }
    }
}

/// What an import has done.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ImportReport {
    /// What the file was: `Neuronpedia explanations`, `CSV`.
    pub form: String,
    /// Rows read.
    pub n_rows: u64,
    /// Labels added.
    pub n_labels: u64,
    /// Features that got statistics or logits.
    pub n_stats: u64,
    /// Examples added.
    pub n_examples: u64,
    /// Rows that were left out.
    pub n_skipped: u64,
    /// Why, the first few.
    pub reasons: Vec<String>,
}

/// What was exported for an SAE other than the one it is imported into.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImportOptions {
    /// Import although the file names another model or source.
    pub anyway: bool,
}

/// What a search, a card or a row could not be worked out for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureTrouble {
    /// Which SAE.
    pub sae: SaeId,
    /// What failed.
    pub problem: Problem,
}
