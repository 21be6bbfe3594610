//! Loading models.

mod plan;

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tiller_engine::sae::Sae;
use tiller_engine::template::SystemRole;
use tiller_engine::{Device, Model, device, load};
use tiller_protocol::model::{LoadOptions, ModelInfo, ModelSource};
use tiller_protocol::problem::Problem;

use crate::assets::Assets;
use crate::jobs::Sink;
use crate::problem;

pub(crate) use plan::{Held, Plan, plan};

/// Bytes hashed between two looks at the stop flag.
const HASH_CHUNK: usize = 1 << 20;

/// A model with what belongs to it.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The model.
    pub(crate) model: Model,
    /// Facts about it.
    pub(crate) info: ModelInfo,
    /// The SAE that ships with it.
    pub(crate) sae: Option<Sae>,
}

/// Loads a model as planned. Progress is counted in bytes: half for the hash, half for the weights.
///
/// # Errors
/// A model that is broken or, without [`LoadOptions::anyway`], does not fit the memory; or a stop.
pub(crate) fn load(
    plan: &Plan,
    assets: &Result<Assets, Problem>,
    options: LoadOptions,
    sink: &mut dyn Sink,
) -> Result<Loaded, Problem> {
    let Plan { dir, device, keep, check, .. } = plan;
    if !options.anyway && !check.fits() {
        return Err(problem::does_not_fit(check));
    }
    let files = load::weight_files(dir).map_err(|error| problem::engine(&error))?;
    let hash = hash(&files, sink)?;
    let mut progress = |done: u64, total: u64| {
        sink.step((total + done) as usize, 2 * total as usize, "bytes");
        !sink.is_stopped()
    };
    let mut model = load::model(dir, device, *keep, &mut progress).map_err(|error| problem::engine(&error))?;
    model.set_template_options(options.template);
    let sae = match (&check.source, assets) {
        (ModelSource::Demo, Ok(assets)) if assets.demo_sae().join("cfg.json").is_file() => {
            Some(Sae::load(&assets.demo_sae(), device).map_err(|error| problem::engine(&error))?)
        }
        _ => None,
    };
    let info = info(&check.source, dir, &model, sae.as_ref(), hash);
    Ok(Loaded { model, info, sae })
}

/// The folder of a source, or its GGUF file.
///
/// # Errors
/// A folder or file that is not there, or a hub model that is not in the local cache.
pub(crate) fn folder(source: &ModelSource, assets: &Result<Assets, Problem>) -> Result<PathBuf, Problem> {
    match source {
        ModelSource::Demo => assets.as_ref().map(Assets::demo_model).map_err(Clone::clone),
        ModelSource::Folder(path) if path.is_dir() || is_gguf(path) => Ok(path.clone()),
        ModelSource::Folder(dir) => Err(problem::no_folder(dir)),
        ModelSource::Hub(id) => {
            let cache = hf_hub::Cache::from_env();
            let config = cache.model(id.clone()).get("config.json");
            config
                .and_then(|path| path.parent().map(Path::to_owned))
                .ok_or_else(|| problem::not_in_cache(id, cache.path()))
        }
    }
}

/// The SHA-256 of files in their order, first 16 hex digits.
///
/// # Errors
/// A file that cannot be read, or a stop.
fn hash(files: &[PathBuf], sink: &mut dyn Sink) -> Result<String, Problem> {
    let size = |path: &PathBuf| std::fs::metadata(path).map_or(0, |meta| meta.len());
    let total: u64 = files.iter().map(size).sum();
    let mut done = 0;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; HASH_CHUNK];
    for path in files {
        let mut file = File::open(path).map_err(|error| problem::read_failed(path, &error))?;
        loop {
            sink.check()?;
            let n = file.read(&mut buffer).map_err(|error| problem::read_failed(path, &error))?;
            if n == 0 {
                break;
            }
            hasher.update(&buffer[..n]);
            done += n as u64;
            sink.step(done as usize, 2 * total as usize, "bytes");
        }
    }
    let digest = hasher.finalize();
    let head = digest.iter().take(8).fold(0_u64, |head, byte| head << 8 | u64::from(*byte));
    Ok(format!("{head:016x}"))
}

/// Name for people.
fn name(source: &ModelSource, dir: &Path) -> String {
    match source {
        ModelSource::Demo => "Tiller demo".to_owned(),
        ModelSource::Hub(id) => id.rsplit('/').next().unwrap_or(id).to_owned(),
        ModelSource::Folder(_) => {
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
fn gguf_stem(name: &str) -> &str {
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
mod tests {
    use tiller_protocol::model::{DeviceChoice, DtypeChoice};

    use super::*;
    use crate::jobs::tests::Quiet;

    #[test]
    fn the_demo_model_loads() {
        let assets = Assets::find();
        let choice = (DeviceChoice::Cpu, DtypeChoice::Auto);
        let plan = plan(&ModelSource::Demo, &assets, choice, &Held::default()).unwrap();
        let loaded = load(&plan, &assets, LoadOptions::default(), &mut Quiet::default()).unwrap();
        assert_eq!(loaded.info.hash.len(), 16);
        assert!(loaded.info.has_chat_template && loaded.info.n_sae_latents > 0);
        assert_eq!((loaded.info.n_layers, loaded.info.dtype.as_str()), (6, "f32"));
    }

    #[test]
    fn a_model_that_does_not_fit_is_refused_unless_it_is_wanted_anyway() {
        let assets = Assets::find();
        let choice = (DeviceChoice::Cpu, DtypeChoice::Auto);
        let mut plan = plan(&ModelSource::Demo, &assets, choice, &Held::default()).unwrap();
        plan.check.free_bytes = Some(plan.check.need.to_chat() - 1);
        let refused = load(&plan, &assets, LoadOptions::default(), &mut Quiet::default()).unwrap_err();
        assert_eq!(refused, problem::does_not_fit(&plan.check));
        let options = LoadOptions { anyway: true, ..LoadOptions::default() };
        assert!(load(&plan, &assets, options, &mut Quiet::default()).is_ok());
    }

    #[test]
    fn what_is_not_there_is_told_with_a_way_out() {
        let assets = Assets::find();
        let hub = ModelSource::Hub("nobody/no-such-model".to_owned());
        assert!(folder(&hub, &assets).unwrap_err().next_step.contains("hf download nobody/no-such-model"));
        let gone = ModelSource::Folder("/no/such/folder".into());
        assert!(folder(&gone, &assets).unwrap_err().cause.contains("/no/such/folder"));
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

    #[test]
    fn a_stop_ends_the_hash() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, b"abc").unwrap();
        let files = [path];
        let mut quiet = Quiet::default();
        assert_eq!(hash(&files, &mut quiet).unwrap(), "ba7816bf8f01cfea");
        quiet.stop_after = Some(0);
        assert_eq!(hash(&files, &mut quiet), Err(problem::stopped()));
    }
}
