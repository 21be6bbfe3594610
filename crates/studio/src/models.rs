//! Loading models.

mod plan;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tiller_engine::sae::Sae;
use tiller_engine::template::SystemRole;
use tiller_engine::{Device, Model, device, load};
use tiller_protocol::model::{LoadOptions, ModelInfo, ModelSource};
use tiller_protocol::problem::Problem;

use crate::assets::Assets;
use crate::features::self_test::resid_norm;
use crate::installed::{self, Installed, Stamp, WeightSum};
use crate::jobs::Sink;
use crate::{clock, problem};

pub(crate) use plan::{Held, Plan, plan};

/// Where models are looked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sources<'a> {
    /// What ships with Tiller, or why it is not there.
    pub(crate) assets: &'a Result<Assets, Problem>,
    /// What is installed.
    pub(crate) installed: &'a Installed,
}

/// A model with what belongs to it.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The model.
    pub(crate) model: Model,
    /// Facts about it.
    pub(crate) info: ModelInfo,
    /// The SAE that ships with it.
    pub(crate) sae: Option<Arc<Sae>>,
    /// Median residual norms that were measured, by block.
    norms: Mutex<BTreeMap<usize, f64>>,
}

/// Loads a model as planned. Progress is counted in bytes: half for the hash, unless it is known, half for the weights.
///
/// # Errors
/// A model that is broken, that changes meanwhile or, without [`LoadOptions::anyway`], does not fit the memory; or a
/// stop.
pub(crate) fn load(
    plan: &Plan,
    sources: Sources<'_>,
    options: LoadOptions,
    sink: &mut dyn Sink,
) -> Result<Loaded, Problem> {
    let Plan { dir, device, keep, check, .. } = plan;
    if !options.anyway && !check.fits() {
        return Err(problem::does_not_fit(check));
    }
    sink.check()?;
    let files = load::weight_files(dir).map_err(|error| problem::engine(&error))?;
    let stamp = Stamp::of(&files);
    let known = sources.installed.known_hash(dir, &stamp);
    let sum = match &known {
        Some(_) => None,
        None => Some(WeightSum::of(&files, &mut |done, total| {
            sink.check()?;
            sink.step(done as usize, 2 * total as usize, "bytes");
            Ok(())
        })?),
    };
    let mut progress = |done: u64, total: u64| {
        let before = if sum.is_some() { total } else { 0 };
        sink.step((before + done) as usize, (before + total) as usize, "bytes");
        !sink.is_stopped()
    };
    let mut model = load::model(dir, device, *keep, &mut progress).map_err(|error| problem::engine(&error))?;
    model.set_template_options(options.template);
    let sae = match (&check.source, sources.assets) {
        (ModelSource::Demo, Ok(assets)) if assets.demo_sae().join("cfg.json").is_file() => {
            Some(Arc::new(Sae::load(&assets.demo_sae(), device).map_err(|error| problem::engine(&error))?))
        }
        _ => None,
    };
    sink.check()?;
    // Hash and weights were read one after the other: they are of the same files only if nothing was written meanwhile.
    if Stamp::of(&files) != stamp {
        return Err(problem::changed_while_loading(dir));
    }
    if let Err(problem) = sources.installed.remember_use(dir, &stamp, sum.as_ref(), clock::secs()) {
        // It costs another look at the files the next time, and no more.
        log::warn!("{problem}");
    }
    let hash = known.or_else(|| sum.map(|sum| sum.hash)).unwrap_or_default();
    let info = info(&check.source, dir, &model, sae.as_deref(), hash);
    Ok(Loaded { model, info, sae, norms: Mutex::default() })
}

/// The folder of a source, or its GGUF file.
///
/// # Errors
/// A folder or file that is not there, a folder with several models or an SAE, or a hub model that is in none of the
/// storage folders.
pub(crate) fn folder(source: &ModelSource, sources: Sources<'_>) -> Result<PathBuf, Problem> {
    match source {
        ModelSource::Demo => sources.assets.as_ref().map(Assets::demo_model).map_err(Clone::clone),
        ModelSource::Folder(path) if path.is_dir() => installed::model_in(path),
        ModelSource::Folder(path) if is_gguf(path) => Ok(path.clone()),
        ModelSource::Folder(dir) => Err(problem::no_folder(dir)),
        ModelSource::Hub(id) => sources.installed.hub_model(id),
    }
}

/// Name for people.
fn name(source: &ModelSource, dir: &Path) -> String {
    match source {
        ModelSource::Demo => "Tiller demo".to_owned(),
        ModelSource::Hub(id) if !is_gguf(dir) => {
            let id = id.split_once('@').map_or(id.as_str(), |(id, _)| id);
            id.rsplit('/').next().unwrap_or(id).to_owned()
        }
        ModelSource::Hub(_) | ModelSource::Folder(_) => {
            let name = dir.file_name().map_or_else(|| "model".to_owned(), |n| n.to_string_lossy().into_owned());
            if is_gguf(dir) { gguf_stem(&name).to_owned() } else { name }
        }
    }
}

/// A file that ends in `.gguf`.
fn is_gguf(path: &Path) -> bool {
    path.is_file() && path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
}

/// The name of a GGUF file without its ending and without `-00001-of-00003`.
pub(crate) fn gguf_stem(name: &str) -> &str {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let is_number = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    match stem.rsplit_once("-of-") {
        Some((front, count)) if is_number(count) => match front.rsplit_once('-') {
            Some((name, number)) if is_number(number) => name,
            _ => stem,
        },
        _ => stem,
    }
}

fn info(source: &ModelSource, dir: &Path, model: &Model, sae: Option<&Sae>, hash: String) -> ModelInfo {
    let config = model.config();
    ModelInfo {
        name: name(source, dir),
        source: source.clone(),
        architecture: config.architecture.clone(),
        n_layers: config.n_layers,
        d_model: config.d_model,
        n_heads: config.n_heads,
        vocab_size: config.vocab_size,
        context_len: config.context_len,
        n_params: model.n_params(),
        dtype: model.weights_format().to_owned(),
        device: device::label(model.device()),
        weights_bytes: model.weights_bytes(),
        has_gradients: model.has_gradients(),
        hash,
        has_chat_template: model.template().is_some(),
        folds_system: model.template().is_some_and(|template| *template.system_role() != SystemRole::Kept),
        n_sae_latents: sae.map_or(0, Sae::d_sae),
        sae_block: sae.map(|sae| sae.site().block()),
    }
}

impl Loaded {
    /// The device the weights are on.
    pub(crate) fn device(&self) -> &Device {
        self.model.device()
    }

    /// Median residual norm at a block over neutral texts, the unit of strengths; measured once.
    ///
    /// # Errors
    /// No texts, or a failure of the model.
    pub(crate) fn resid_norm(&self, block: usize, neutral: &[String]) -> Result<f64, Problem> {
        let mut norms = self.norms.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(norm) = norms.get(&block) {
            return Ok(*norm);
        }
        let norm = resid_norm(self, neutral, block)?;
        norms.insert(block, norm);
        Ok(norm)
    }

    /// Renders a conversation and opens the reply.
    ///
    /// # Errors
    /// A model without a chat template, or a template that refuses the turns.
    pub(crate) fn prompt(&self, turns: &[tiller_protocol::chat::Turn]) -> Result<Vec<u32>, Problem> {
        let template = self.model.template().ok_or_else(|| problem::no_template(&self.info.name))?;
        let text = template.render(turns, true).map_err(|error| problem::engine(&error))?;
        self.model.tokenizer().encode(&text).map_err(|error| problem::engine(&error))
    }
}

#[cfg(test)]
impl Sources<'static> {
    /// What ships, and nothing installed beside it.
    pub(crate) fn shipped() -> Self {
        static SHIPPED: std::sync::OnceLock<(Result<Assets, Problem>, Installed)> = std::sync::OnceLock::new();
        let (assets, installed) = SHIPPED.get_or_init(|| (Assets::find(), Installed::nothing()));
        Self { assets, installed }
    }
}

#[cfg(test)]
mod tests {
    use tiller_protocol::model::{DeviceChoice, DtypeChoice};

    use super::*;
    use crate::jobs::tests::Quiet;

    #[test]
    fn the_demo_model_loads() {
        let (sources, choice) = (Sources::shipped(), (DeviceChoice::Cpu, DtypeChoice::Auto));
        let plan = plan(&ModelSource::Demo, sources, choice, &Held::default()).unwrap();
        let loaded = load(&plan, sources, LoadOptions::default(), &mut Quiet::default()).unwrap();
        assert_eq!(loaded.info.hash.len(), 16);
        assert!(loaded.info.has_chat_template && loaded.info.n_sae_latents > 0);
        assert_eq!((loaded.info.n_layers, loaded.info.dtype.as_str()), (6, "f32"));
    }

    #[test]
    fn a_model_that_does_not_fit_is_refused_unless_it_is_wanted_anyway() {
        let (sources, choice) = (Sources::shipped(), (DeviceChoice::Cpu, DtypeChoice::Auto));
        let mut plan = plan(&ModelSource::Demo, sources, choice, &Held::default()).unwrap();
        plan.check.free_bytes = Some(plan.check.need.to_chat() - 1);
        let refused = load(&plan, sources, LoadOptions::default(), &mut Quiet::default()).unwrap_err();
        assert_eq!(refused, problem::does_not_fit(&plan.check));
        let options = LoadOptions { anyway: true, ..LoadOptions::default() };
        assert!(load(&plan, sources, options, &mut Quiet::default()).is_ok());
    }

    #[test]
    fn what_is_not_there_is_told_with_a_way_out() {
        let sources = Sources::shipped();
        let hub = ModelSource::Hub("nobody/no-such-model".to_owned());
        assert!(folder(&hub, sources).unwrap_err().next_step.contains("tiller model download nobody/no-such-model"));
        let gone = ModelSource::Folder("/no/such/folder".into());
        assert!(folder(&gone, sources).unwrap_err().cause.contains("/no/such/folder"));
    }

    #[test]
    fn a_gguf_file_is_named_without_its_parts() {
        for (file, name) in [
            ("Qwen2.5-7B-Q4_K_M.gguf", "Qwen2.5-7B-Q4_K_M"),
            ("big-00002-of-00003.gguf", "big"),
            ("top-of-00003.gguf", "top-of-00003"),
            ("one-of-a-kind.GGUF", "one-of-a-kind"),
        ] {
            assert_eq!(gguf_stem(file), name);
        }
    }
}
