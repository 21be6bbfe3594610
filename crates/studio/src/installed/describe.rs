//! From what was found to what is told about it.

use tiller_engine::load;
use tiller_engine::sae;
use tiller_protocol::asset::{Asset, AssetOrigin, AssetState};
use tiller_protocol::problem::Problem;

use super::forms::{Form, Thing};
use super::records::Record;
use super::scan::Found;
use super::sums::{Stamp, total_bytes};
use crate::problem;

/// The record of what was found. Facts are read only when the files have changed since `before`.
pub(super) fn describe(found: &Found, before: Option<&Record>) -> Record {
    let Found { thing, name, origin, folder, missing } = found;
    let stamp = Stamp::of(&thing.files);
    let weights = Stamp::of(&thing.files[..thing.n_weights]);
    let mut asset = match before.filter(|record| record.stamp == stamp) {
        Some(record) => record.asset.clone(),
        None => facts(thing, missing.is_some()),
    };
    if let Some(missing) = missing {
        let weights = thing.told_bytes().map(|weights| weights + total_bytes(&thing.files[thing.n_weights..]));
        let total = missing.bytes.map(|bytes| asset.bytes + bytes).or(weights);
        let done_bytes = asset.bytes + missing.present_bytes;
        asset.state = AssetState::Incomplete { done_bytes, total_bytes: total.filter(|total| *total > done_bytes) };
    }
    name.clone_into(&mut asset.name);
    asset.path.clone_from(&thing.path);
    origin.clone_into(&mut asset.origin);
    folder.clone_into(&mut asset.folder);
    let hashed = before.and_then(|record| record.hashed.clone());
    asset.hash = before.filter(|_| hashed.as_ref() == Some(&weights)).and_then(|record| record.asset.hash.clone());
    asset.last_used = before.and_then(|record| record.asset.last_used);
    Record { stamp, asset, hashed, sums: before.map(|record| record.sums.clone()).unwrap_or_default() }
}

/// What the files themselves tell.
fn facts(thing: &Thing, is_partial: bool) -> Asset {
    let bytes = total_bytes(&thing.files);
    let asset = Asset {
        path: thing.path.clone(),
        kind: thing.kind,
        name: String::new(),
        origin: AssetOrigin::Linked,
        folder: None,
        state: AssetState::Ready,
        bytes,
        dtype: None,
        architecture: None,
        n_layers: None,
        d_model: None,
        d_sae: None,
        context_len: None,
        has_chat_template: None,
        reads: None,
        hash: None,
        last_used: None,
    };
    if is_partial {
        return asset;
    }
    match told(thing, asset.clone()) {
        Ok(asset) => asset,
        Err(problem) => Asset { state: AssetState::Broken(problem), ..asset },
    }
}

fn told(thing: &Thing, asset: Asset) -> Result<Asset, Problem> {
    let engine = |error| problem::engine(&error);
    match thing.form {
        Form::Checkpoint | Form::Gguf => {
            let facts = load::facts(&thing.path).map_err(engine)?;
            let config = facts.config;
            Ok(Asset {
                dtype: Some(facts.format),
                architecture: Some(config.architecture),
                n_layers: Some(config.n_layers),
                d_model: Some(config.d_model),
                context_len: Some(config.context_len),
                has_chat_template: Some(facts.has_chat_template),
                ..asset
            })
        }
        Form::Sae | Form::LikelySae => {
            let facts = sae::facts(&thing.path).map_err(|error| problem::sae(&thing.path, &error))?;
            Ok(Asset {
                dtype: Some(facts.format),
                architecture: Some(facts.architecture.to_owned()),
                n_layers: Some(facts.site.block()),
                d_model: Some(facts.d_model),
                d_sae: Some(facts.d_sae),
                reads: facts.reads,
                ..asset
            })
        }
        Form::Pickle => Err(problem::pickled(&thing.path)),
    }
}

/// The engine's verdict on what was found, with everything that can be checked before the weights are read.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check(thing: &Thing) -> Result<(), Problem> {
    match thing.form {
        Form::Checkpoint | Form::Gguf => load::preview(&thing.path).map(drop).map_err(|error| problem::engine(&error)),
        Form::Sae | Form::LikelySae => {
            sae::facts(&thing.path).map(drop).map_err(|error| problem::sae(&thing.path, &error))
        }
        Form::Pickle => Err(problem::pickled(&thing.path)),
    }
}
