//! Where a model is to run and whether it fits there, before anything of it is loaded.

use std::path::{Path, PathBuf};

use tiller_engine::keep::Keep;
use tiller_engine::load::{self, Preview};
use tiller_engine::memory::n_params;
use tiller_engine::{Device, device};
use tiller_protocol::model::{DeviceChoice, DtypeChoice, ModelCheck, ModelSource};
use tiller_protocol::problem::Problem;

use super::{Sources, folder, name};
use crate::{memory, problem};

/// Memory that the loaded model would give back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    /// Label of its device.
    pub(crate) device: String,
    /// Bytes of its weights.
    pub(crate) bytes: u64,
    /// Where it was loaded from.
    pub(crate) path: PathBuf,
}

/// How a model is going to be loaded.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Its folder.
    pub(crate) dir: PathBuf,
    /// Where it will be.
    pub(crate) device: Device,
    /// How its weights will be kept.
    pub(crate) keep: Keep,
    /// The same for people, with what it takes and what is free.
    pub(crate) check: ModelCheck,
    /// It only fits once the loaded model is gone.
    pub(crate) unload_first: bool,
}

/// Chooses device and number format: what was asked for or, automatically, the first device that the model fits.
///
/// # Errors
/// A model that is not there, broken or unknown, or a device that is not there.
pub(crate) fn plan(
    source: &ModelSource,
    sources: Sources<'_>,
    (device, dtype): (DeviceChoice, DtypeChoice),
    held: &Held,
) -> Result<Plan, Problem> {
    let dir = folder(source, sources)?;
    // First what is cheap: opening an accelerator takes a moment.
    let preview = load::preview(&dir).map_err(|error| problem::engine(&error))?;
    let devices = device::candidates(device).map_err(|error| problem::engine(&error))?;
    let sae = match (source, sources.assets) {
        (ModelSource::Demo, Ok(assets)) => sae_shape(&assets.demo_sae()),
        _ => None,
    };
    let mut passed_over: Option<String> = None;
    let mut found = None;
    for device in devices {
        let need = memory::need(&preview, &device, dtype, sae);
        let keep = device::keep(dtype, &device);
        let label = device::label(&device);
        let free_now = memory::free_on(&device);
        let free = free_now.map(|free| free + if held.device == label { held.bytes } else { 0 });
        let check = check(source, &dir, &preview, (&label, preview.format(&device, keep)));
        let has_gradients = preview.has_gradients(&device, keep);
        let check = ModelCheck { need, has_gradients, free_bytes: free, note: passed_over.clone(), ..check };
        let unload_first = free_now.is_some_and(|free| need.to_chat() > free) && check.fits();
        let fits = check.fits();
        if let (false, Some(free)) = (fits, free) {
            let (needed, free) = (problem::amount(need.to_chat()), problem::amount(free));
            passed_over = Some(format!("{label} has {free} free and {needed} are needed, so the processor is used."));
        }
        found = Some(Plan { dir: dir.clone(), device, keep, check, unload_first });
        if fits {
            break;
        }
    }
    found.ok_or_else(problem::no_model)
}

/// The facts that do not depend on what is free.
fn check(source: &ModelSource, dir: &Path, preview: &Preview, (device, format): (&str, &str)) -> ModelCheck {
    let config = &preview.config;
    ModelCheck {
        name: name(source, dir),
        source: source.clone(),
        architecture: config.architecture.clone(),
        n_layers: config.n_layers,
        d_model: config.d_model,
        context_len: config.context_len,
        n_params: n_params(config),
        file_bytes: preview.file_bytes,
        dtype: format.to_owned(),
        has_gradients: true,
        device: device.to_owned(),
        note: None,
        need: Default::default(),
        free_bytes: None,
    }
}

/// Latents and width of a sparse autoencoder; `None` where there is none.
fn sae_shape(dir: &Path) -> Option<(usize, usize)> {
    let cfg: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(dir.join("cfg.json")).ok()?).ok()?;
    let size = |key: &str| cfg[key].as_u64().map(|n| n as usize);
    size("d_sae").zip(size("d_in"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHOICE: (DeviceChoice, DtypeChoice) = (DeviceChoice::Auto, DtypeChoice::Auto);

    #[test]
    fn the_demo_model_is_described_without_loading_it() {
        let plan = plan(&ModelSource::Demo, Sources::shipped(), CHOICE, &Held::default()).unwrap();
        let loaded = crate::jobs::tests::demo();
        assert_eq!(plan.check.n_params, loaded.info.n_params);
        assert_eq!(plan.check.need.weights_bytes, loaded.info.weights_bytes);
        assert!(plan.check.need.sae_bytes > 0 && plan.check.need.context_tokens == loaded.info.context_len);
        assert!(plan.check.fits() && plan.check.fits_discovery() && !plan.unload_first, "{:?}", plan.check);
    }

    #[test]
    fn memory_of_the_loaded_model_counts_as_free() {
        let device = device::label(&Device::Cpu);
        let free = |held: &Held| plan(&ModelSource::Demo, Sources::shipped(), CHOICE, held).unwrap().check.free_bytes;
        let more = free(&Held { device, bytes: 1 << 50, ..Held::default() }).unwrap();
        assert!(
            more >= 1 << 50
                && free(&Held { device: "another".to_owned(), bytes: 1 << 50, ..Held::default() }).unwrap() < 1 << 50
        );
    }
}
