//! `tiller features search`.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use tiller_protocol::feature::{FeatureFilter, FeatureQuery, FeatureSearch, FeatureSort, Pooling};
use tiller_protocol::model::ModelSource;
use tiller_protocol::problem::Problem;
use tiller_protocol::steering::VectorId;
use tiller_studio::headless::{self, FeaturesFound, FoundFeature};

use crate::cli;
use crate::commands::{Context, Failure};
use crate::output::Ended;

/// Options of `tiller features search`.
#[derive(Args, Debug)]
pub(super) struct SearchArgs {
    /// `demo`, the name of an opened autoencoder, or the file or folder of a published one.
    #[arg(long)]
    sae: String,
    #[command(flatten)]
    query: QueryArgs,
    /// How the tokens of --text are pooled.
    #[arg(long, value_enum, default_value = "max", requires = "text")]
    pool: Pool,
    /// The model that reads the texts of --text and --contrast-more, and whose output weights rank --token.
    #[arg(long, value_parser = cli::model)]
    model: Option<ModelSource>,
    #[command(flatten)]
    filter: FilterArgs,
    /// The order.
    #[arg(long, value_enum, default_value = "rank")]
    sort: Sort,
    /// The other way round.
    #[arg(long)]
    reversed: bool,
    /// Features that are told.
    #[arg(long, default_value_t = 20, value_name = "N")]
    limit: usize,
}

/// What is searched for: all features when nothing is given.
#[derive(Args, Debug)]
struct QueryArgs {
    /// Labels with these words, or a feature's number.
    #[arg(long, group = "query", value_name = "WORDS")]
    label: Option<String>,
    /// Features that promote this token.
    #[arg(long, group = "query")]
    token: Option<String>,
    /// Features similar to this one.
    #[arg(long, group = "query", value_name = "FEATURE")]
    similar: Option<u32>,
    /// Features similar to a vector of the library, by its name there.
    #[arg(long, group = "query", value_name = "ID")]
    vector: Option<String>,
    /// Features that are active on this text.
    #[arg(long, group = "query")]
    text: Option<String>,
    /// Text files, a text a line: features that are more active on them …
    #[arg(long, group = "query", value_name = "FILE", requires = "contrast_less")]
    contrast_more: Vec<PathBuf>,
    /// … than on these.
    #[arg(long, value_name = "FILE", requires = "contrast_more")]
    contrast_less: Vec<PathBuf>,
}

/// Which features are told.
#[derive(Args, Clone, Copy, Debug)]
struct FilterArgs {
    /// Leave out features that are active on a smaller share of tokens.
    #[arg(long, value_name = "X")]
    min_density: Option<f32>,
    /// Leave out features that are active on a larger share of tokens.
    #[arg(long, value_name = "X")]
    max_density: Option<f32>,
    /// Only features with a label.
    #[arg(long)]
    labelled: bool,
    /// Only bookmarked features.
    #[arg(long)]
    bookmarked: bool,
    /// Leave out features that are never active.
    #[arg(long)]
    alive: bool,
}

/// How activations over the tokens of a text become one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Pool {
    Max,
    Mean,
    Sum,
}

/// Orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Sort {
    Rank,
    Number,
    Label,
    Density,
    MaxActivation,
}

/// Searches.
pub(super) fn run(args: &SearchArgs, context: &Context) -> Result<Ended, Failure> {
    let FilterArgs { min_density, max_density, labelled, bookmarked, alive } = args.filter;
    let filter = FeatureFilter { min_density, max_density, labelled, bookmarked, alive };
    let sort = match args.sort {
        Sort::Rank => FeatureSort::Rank,
        Sort::Number => FeatureSort::Number,
        Sort::Label => FeatureSort::Label,
        Sort::Density => FeatureSort::Density,
        Sort::MaxActivation => FeatureSort::MaxActivation,
    };
    let query = query(&args.query, args.pool)?;
    if query.needs_model() && args.model.is_none() {
        return Err(Failure::Usage("give --model, which reads the texts".to_owned()));
    }
    let search = FeatureSearch { query, filter, sort, reversed: args.reversed, ..FeatureSearch::default() };
    let found = headless::features_search(&context.studio, &args.sae, &search, args.model.as_ref(), args.limit)?;
    context.print(&found, &told(&found))?;
    Ok(Ended::Done)
}

fn query(args: &QueryArgs, pool: Pool) -> Result<FeatureQuery, Problem> {
    let pooling = match pool {
        Pool::Max => Pooling::Max,
        Pool::Mean => Pooling::Mean,
        Pool::Sum => Pooling::Sum,
    };
    Ok(match args {
        QueryArgs { label: Some(words), .. } => FeatureQuery::Label(words.clone()),
        QueryArgs { token: Some(token), .. } => FeatureQuery::Token(token.clone()),
        QueryArgs { similar: Some(latent), .. } => FeatureQuery::Similar(*latent),
        QueryArgs { vector: Some(id), .. } => FeatureQuery::Vector(VectorId(id.clone())),
        QueryArgs { text: Some(text), .. } => FeatureQuery::Text { text: text.clone(), pooling },
        QueryArgs { contrast_more, contrast_less, .. } if !contrast_more.is_empty() => {
            FeatureQuery::Contrast { more: texts(contrast_more)?, less: texts(contrast_less)? }
        }
        _ => FeatureQuery::All,
    })
}

/// The lines of some files.
fn texts(paths: &[PathBuf]) -> Result<Vec<String>, Problem> {
    let read = |path: &Path| {
        fs::read_to_string(path).map_err(|error| {
            Problem::new(
                "A text file cannot be read",
                format!("{}: {error}.", path.display()),
                "Give a file with a text on each line.",
            )
        })
    };
    let mut texts = Vec::new();
    for path in paths {
        texts.extend(read(path)?.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned));
    }
    Ok(texts)
}

fn told(found: &FeaturesFound) -> String {
    let line = |feature: &FoundFeature| {
        let row = &feature.row;
        let score = feature.score.map_or_else(String::new, |score| format!("{score:>10.3}"));
        let density = row.density.map_or_else(|| "-".to_owned(), |density| format!("{:.3} %", 100.0 * density));
        let mark = if row.bookmarked { "*" } else { " " };
        let label = row.label.as_deref().unwrap_or(if row.dead { "(never active)" } else { "" });
        format!("{mark}{:>8} {score} {density:>10}  {label}\n", row.latent)
    };
    let lines: Vec<String> = found.features.iter().map(line).collect();
    let score = found.score.map(|kind| format!("; score: {}", kind.label())).unwrap_or_default();
    let note = found.note.as_ref().map(|note| format!("\n{note}")).unwrap_or_default();
    format!("{}{} of {} found{score}{note}\n", lines.concat(), found.features.len(), found.n_found)
}
