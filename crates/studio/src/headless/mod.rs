//! One function for each command without a window.
//!
//! Each takes [`Global`] and its own options, does the work on the calling thread, and returns a serialisable result
//! (what `--json` prints) or a [`tiller_protocol::problem::Problem`]. A command that was stopped through
//! [`Watch::stop`] returns what it has with `stopped: true`, or the problem that it was stopped before it had a
//! result. Nothing here prints.

mod bench;
mod demo;
mod discover;
mod evaluate;
mod extract;
mod features;
mod features_run;
mod generate;
mod grad;
mod model;
mod model_download;
mod model_library;
mod model_list;
mod options;
mod results;
mod sae;
mod sae_train;
mod session;
mod trace;
mod vectors;

pub use bench::bench;
pub use demo::demo;
pub use discover::discover;
pub use evaluate::evaluate;
pub use extract::extract;
pub use features::{FeaturesFound, FeaturesImported, FoundFeature, features_import, features_search, features_show};
pub use features_run::{FeaturesLabelled, FeaturesScanned, ToLabel, WrittenLabel, features_label, features_scan};
pub use generate::generate;
pub use grad::grad;
pub use model::model_info;
pub use model_download::{DownloadOptions, DownloadResult, model_download, model_offers};
pub use model_library::{
    Described, ImportResult, RemoveResult, model_describe, model_import, model_installed, model_remove, model_verify,
};
pub use model_list::model_list;
pub use options::{
    DemoOptions, DiscoverOptions, EvaluateOptions, ExtractOptions, GenerateOptions, Global, GradOptions, OnStep,
    SaeSize, Step, Suite, TraceInput, VectorOption, Watch, model_source, repo_ref,
};
pub use results::{
    BenchResult, DemoResult, DiscoverResult, EvaluateResult, ExtractResult, Figure, GenerateResult, GradResult,
    ModelList, TraceResult, TurnTokens,
};
pub use sae::{
    ActiveFeature, EncodedToken, PublishedSae, SaeChecked, SaeConverted, SaeDescribed, SaeEncoded, SaeList, SaeRemoved,
    sae_check, sae_convert, sae_encode, sae_info, sae_list, sae_remove,
};
pub use sae_train::{SaeTrainOptions, SaeTrained, sae_train};
pub use trace::trace;
