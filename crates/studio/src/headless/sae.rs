//! `tiller sae list|info|check|encode|convert|remove`: SAEs, published and opened.

use std::path::{Path, PathBuf};

use serde::Serialize;
use tiller_engine::sae;
use tiller_protocol::feature::{OpenOptions, SaeId, SaeInfo};
use tiller_protocol::model::{ModelInfo, ModelSource};
use tiller_protocol::problem::Problem;
use tiller_protocol::site::Site;

use super::options::{Global, TraceInput};
use super::session::{Session, WatchSink};
use super::trace;
use crate::assets::Assets;
use crate::features::open::{self, Published};
use crate::features::self_test::self_test;
use crate::features::shelf::{self, OpenSae, counted};
use crate::installed::Installed;
use crate::jobs::features::{Coder, activations};
use crate::problem;
use crate::workspace::Workspace;

/// Result of [`sae_info`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum SaeDescribed {
    /// An SAE that was opened.
    Opened(Box<SaeInfo>),
    /// A published one.
    Published(PublishedSae),
}

/// A published SAE, as its files tell it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PublishedSae {
    /// Its file or folder.
    pub path: PathBuf,
    /// Whose form it has.
    pub format: String,
    /// `standard`, `jumprelu`, `gated`, `topk` or `abstopk`.
    pub architecture: String,
    /// Latents that may pass at once.
    pub k: Option<usize>,
    /// Where it reads.
    pub site: Site,
    /// Width of the activations it reads.
    pub d_model: usize,
    /// Number of latents.
    pub d_sae: usize,
    /// The model that it says it was trained on.
    pub reads: Option<String>,
    /// Number format of its weights.
    pub stored_as: String,
    /// Bytes of the converted file.
    pub converted_bytes: u64,
}

/// Result of [`sae_list`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SaeList {
    /// The SAEs that were opened.
    pub saes: Vec<SaeInfo>,
}

/// Result of [`sae_check`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SaeChecked {
    /// The SAE with its self-test.
    pub sae: SaeInfo,
    /// The model it was tried on.
    pub model: ModelInfo,
}

/// Result of [`sae_convert`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SaeConverted {
    /// The file that was written.
    pub out: PathBuf,
    /// Its bytes.
    pub bytes: u64,
    /// What was converted.
    pub sae: PublishedSae,
}

/// Result of [`sae_remove`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SaeRemoved {
    /// Name of its folder.
    pub id: SaeId,
    /// Bytes that were freed, or would be.
    pub freed_bytes: u64,
    /// Labels, notes and bookmarks go with it: features that have a label.
    pub n_labelled: usize,
    /// Whether it is gone now.
    pub removed: bool,
}

/// Result of [`sae_encode`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SaeEncoded {
    /// The SAE.
    pub sae: SaeId,
    /// The model.
    pub model: ModelInfo,
    /// Every token with what fires on it; nothing is told for position 0, whose residual stream is of another size.
    pub tokens: Vec<EncodedToken>,
}

/// A token with what fires on it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EncodedToken {
    /// Its id.
    pub id: u32,
    /// Its text.
    pub token: String,
    /// Features that are active in all.
    pub n_active: usize,
    /// The most active ones, largest first.
    pub active: Vec<ActiveFeature>,
}

/// An active feature.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ActiveFeature {
    /// Its number.
    pub latent: u32,
    /// Its activation, residual units.
    pub activation: f32,
    /// Its first label.
    pub label: Option<String>,
}

/// What the commands on SAEs work with.
pub(super) struct Bench {
    pub(super) workspace: Workspace,
    pub(super) installed: Installed,
    assets: Result<Assets, Problem>,
}

impl Bench {
    /// The places of this machine.
    ///
    /// # Errors
    /// No place for a workspace.
    pub(super) fn new(global: &Global) -> Result<Self, Problem> {
        let (assets, workspace) = (Assets::find(), Workspace::read_only(global.workspace.as_deref())?);
        let installed = Installed::new(&workspace, global.hub.cache.clone(), assets.as_ref().ok());
        Ok(Self { workspace, installed, assets })
    }

    /// The opened SAE that a text names: its id or name.
    fn opened(&self, text: &str) -> Option<SaeInfo> {
        let (infos, _) = self.workspace.saes();
        let by_id = infos.iter().find(|info| info.id.0 == text);
        by_id.or_else(|| infos.iter().find(|info| info.name.eq_ignore_ascii_case(text))).cloned()
    }

    /// Where the published SAE lies that a text names: `demo`, a path, or an installed name.
    fn published(&self, text: &str) -> Result<PathBuf, Problem> {
        if text == "demo" {
            return self.assets.as_ref().map(Assets::demo_sae).map_err(Clone::clone);
        }
        let path = PathBuf::from(text);
        if path.exists() {
            return Ok(path);
        }
        match self.installed.find(text) {
            Ok(asset) => Ok(asset.path),
            Err(problem) => {
                log::debug!("{problem}");
                Err(problem::no_such_sae(text))
            }
        }
    }

    /// The SAE that a text names, opened if that was not done yet.
    ///
    /// # Errors
    /// No such SAE, one that cannot be opened, or a stop.
    pub(super) fn open(&self, global: &Global, text: &str, options: &OpenOptions) -> Result<OpenSae, Problem> {
        let id = if let Some(info) = self.opened(text) {
            info.id
        } else {
            let mut sink = WatchSink::new(global, format!("Opening {text}"));
            let places = (&self.workspace, &self.installed);
            let info = open::open(places, &self.published(text)?, options, &mut sink)?;
            for trouble in sink.troubles {
                log::warn!("{trouble}");
            }
            info.id
        };
        OpenSae::new(&self.workspace, &id)
    }
}

/// The SAEs that were opened.
///
/// # Errors
/// A document that cannot be read.
pub fn sae_list(global: &Global) -> Result<SaeList, Problem> {
    let (saes, problems) = shelf::list(&Bench::new(global)?.workspace);
    match problems.into_iter().next() {
        Some(problem) => Err(problem),
        None => Ok(SaeList { saes }),
    }
}

/// What an SAE is: an opened one by its name, or a published one, whose weights are not read.
///
/// # Errors
/// No such SAE, or one that cannot be opened, with the reason.
pub fn sae_info(global: &Global, text: &str, options: &OpenOptions) -> Result<SaeDescribed, Problem> {
    let bench = Bench::new(global)?;
    if let Some(info) = bench.opened(text) {
        let index = bench.workspace.sae_index(&info.id)?;
        return Ok(SaeDescribed::Opened(Box::new(counted(info, &index))));
    }
    let published = Published::find(&bench.published(text)?, options)?;
    Ok(SaeDescribed::Published(described(&published)?))
}

fn described(published: &Published) -> Result<PublishedSae, Problem> {
    let about = &published.about;
    let bytes = sae::converted_bytes(about, sae::Precision::F16);
    Ok(PublishedSae {
        path: published.path.clone(),
        format: about.format.to_string(),
        architecture: about.architecture.name().to_owned(),
        k: about.k,
        site: about.site,
        d_model: about.d_model,
        d_sae: about.d_sae,
        reads: about.reads.clone(),
        stored_as: about.stored_as.clone(),
        converted_bytes: bytes.map_err(|error| problem::sae(&published.path, &error))?,
    })
}

/// Tries an SAE on a model, at its own block or at another one; the outcome at its own block is kept.
///
/// # Errors
/// What cannot be loaded or opened, what does not fit together, or a stop.
pub fn sae_check(global: &Global, model: &ModelSource, sae: &str, block: Option<usize>) -> Result<SaeChecked, Problem> {
    let bench = Bench::new(global)?;
    let OpenSae { mut info, mut file, index } = bench.open(global, sae, &OpenOptions::default())?;
    let own = info.site;
    if let Some(block) = block {
        info.site = Site::ResidPost(block);
        file = file.moved_to(info.site);
    }
    let session = Session::open(global, model)?;
    let mut sink = WatchSink::new(global, "Trying the SAE on the model");
    let tested = self_test(&session.loaded, (&info, &file), &session.neutral, &mut sink)?;
    if tested.site == own {
        bench.workspace.save_sae(&tested)?;
    }
    Ok(SaeChecked { sae: counted(tested, &index), model: session.loaded.info })
}

/// What fires on each token.
///
/// # Errors
/// What cannot be loaded or opened, what does not fit together, tokens that do not fit, or a stop.
pub fn sae_encode(
    global: &Global,
    model: &ModelSource,
    sae: &str,
    input: &TraceInput,
    top: usize,
) -> Result<SaeEncoded, Problem> {
    let bench = Bench::new(global)?;
    let open = bench.open(global, sae, &OpenOptions::default())?;
    let id = open.info.id.clone();
    let (coder, index) = Coder::of(open);
    let Session { loaded, .. } = Session::open(global, model)?;
    coder.check(&loaded)?;
    let (ids, _) = trace::tokens(&loaded, input)?;
    let mut sink = WatchSink::new(global, "Reading the text");
    let fired = activations(&loaded, &coder, &[ids.as_slice()], &mut sink)?.pop().unwrap_or_default();
    let tokenizer = loaded.model.tokenizer();
    let mut tokens = Vec::new();
    for (id, fired) in ids.into_iter().zip(fired) {
        let mut active = fired.active;
        let n_active = active.len();
        active.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        active.truncate(top);
        let latents: Vec<u32> = active.iter().map(|(latent, _)| *latent).collect();
        let labels = index.first_labels(&latents).map_err(|error| problem::index(&coder.name, &error))?;
        let active = active.into_iter().zip(labels);
        let active = active.map(|((latent, activation), label)| ActiveFeature { latent, activation, label }).collect();
        tokens.push(EncodedToken { id, token: tokenizer.token_text(id).unwrap_or_default(), n_active, active });
    }
    Ok(SaeEncoded { sae: id, model: loaded.info, tokens })
}

/// Writes a published SAE in the converted form to a file of its own.
///
/// # Errors
/// No SAE or one that cannot be opened, a disk without room, a file that cannot be written, or a stop.
pub fn sae_convert(global: &Global, path: &Path, options: &OpenOptions, out: &Path) -> Result<SaeConverted, Problem> {
    let published = Published::find(path, options)?;
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|error| problem::write_failed(folder, &error))?;
    published.check_room(folder)?;
    published.convert(options, out, &mut WatchSink::new(global, "Converting"))?;
    let bytes = std::fs::metadata(out).map_err(|error| problem::read_failed(out, &error))?.len();
    Ok(SaeConverted { out: out.to_owned(), bytes, sae: described(&published)? })
}

/// Deletes an opened SAE with its labels, notes and bookmarks; without `sure` only tells what that would free. The
/// published files stay.
///
/// # Errors
/// No such SAE, or a folder that cannot be deleted.
pub fn sae_remove(global: &Global, text: &str, sure: bool) -> Result<SaeRemoved, Problem> {
    let bench = Bench::new(global)?;
    let info = bench.opened(text).ok_or_else(|| problem::unknown_sae(text))?;
    let n_labelled = bench.workspace.sae_index(&info.id).map_or(0, |index| index.columns().n_labelled());
    if sure {
        bench.workspace.remove_sae(&info.id)?;
    }
    Ok(SaeRemoved { id: info.id, freed_bytes: info.bytes, n_labelled, removed: sure })
}
