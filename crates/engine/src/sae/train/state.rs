//! A training that was stopped, on disk.

use std::io::{self, Write};
use std::path::Path;

use serde_json::{Map, Value};

use super::options::TrainOptions;
use super::parameters::{Adam, Parameters};
use super::save::{NamedTensor, write_tensors};
use super::{Inputs, Trainer};
use crate::error::{EngineError, Result};
use crate::sae::convert::Precision;
use crate::sae::source::Container;

const FORM: &str = "tiller-sae-training-1";

/// Names of the weights and of Adam's moments begin with these.
const PARTS: [&str; 3] = ["weights", "first", "second"];

impl Trainer {
    /// Writes all that is needed to go on as if there had been no stop, with a note of the caller's.
    ///
    /// # Errors
    /// A failure to write.
    pub fn write_state(&self, note: &str, out: &mut dyn Write) -> io::Result<()> {
        let facts = [
            ("format", FORM.to_owned()),
            ("options", told(&self.options)),
            ("steps", self.n_steps.to_string()),
            ("note", note.to_owned()),
        ];
        let facts: Map<String, Value> =
            facts.into_iter().map(|(name, value)| (name.to_owned(), Value::String(value))).collect();
        let Inputs { scale, variance, limit } = self.inputs;
        // No threshold is below 0.
        let numbers = [scale, variance, limit, self.threshold.unwrap_or(-1.0)];
        let parts = [&self.parameters, &self.adam.first, &self.adam.second];
        let named: Vec<(String, &[f32])> = PARTS
            .into_iter()
            .zip(parts)
            .flat_map(|(part, of)| of.fields().map(|(name, values)| (format!("{part}.{name}"), values)))
            .chain([("idle".to_owned(), self.idle.as_slice()), ("numbers".to_owned(), numbers.as_slice())])
            .filter(|(_, values)| !values.is_empty())
            .collect();
        let tensors: Vec<NamedTensor<'_>> =
            named.iter().map(|(name, values)| (name.as_str(), vec![values.len()], *values)).collect();
        write_tensors(&facts, &tensors, Precision::F32, out)
    }

    /// Reads one that was written, and the caller's note; the settings must be those it began with.
    ///
    /// # Errors
    /// A file that is missing, damaged or of another form, or settings that differ, by name.
    pub fn resume(path: &Path, options: TrainOptions, d_model: usize) -> Result<(Self, String)> {
        let found = Container::open(path)?;
        let fact = |name: &str| found.facts.get(name).cloned().unwrap_or_default();
        if fact("format") != FORM {
            return Err(found.bad(format!("it is no checkpoint of the form {FORM}")));
        }
        let differing = differing(&fact("options"), &told(&options));
        if !differing.is_empty() {
            return Err(EngineError::BadRequest(format!(
                "{} was begun with other settings ({}); go on with those, or begin anew",
                path.display(),
                differing.join(", ")
            )));
        }
        let n_thresholds = if found.entry("weights.log_theta").is_some() { options.d_sae } else { 0 };
        let read = |part: &str| -> Result<Parameters> {
            let mut values = Parameters::zeros(d_model, options.d_sae, n_thresholds);
            for (name, values) in values.fields_mut() {
                if !values.is_empty() {
                    *values = found.vector(&format!("{part}.{name}"), values.len())?;
                }
            }
            Ok(values)
        };
        let [parameters, first, second] = PARTS.map(read);
        let idle = found.vector("idle", options.d_sae)?;
        let numbers = found.vector("numbers", 4)?;
        let n_steps = fact("steps").parse().map_err(|error| found.bad(format!("its number of steps: {error}")))?;
        let trainer = Self {
            options,
            inputs: Inputs { scale: numbers[0], variance: numbers[1], limit: numbers[2] },
            parameters: parameters?,
            adam: Adam { first: first?, second: second? },
            idle,
            threshold: Some(numbers[3]).filter(|theta| *theta >= 0.0),
            n_steps,
        };
        Ok((trainer, fact("note")))
    }
}

/// Settings as the file holds them.
fn told(options: &TrainOptions) -> String {
    serde_json::to_string(options).unwrap_or_default()
}

/// Names of the settings that differ between two texts; compared as texts, so that no number is rounded.
fn differing(one: &str, other: &str) -> Vec<String> {
    if one == other {
        return Vec::new();
    }
    let read = |text: &str| serde_json::from_str::<Map<String, Value>>(text).unwrap_or_default();
    let (one, other) = (read(one), read(other));
    let differs = |name: &&String| one.get(*name) != other.get(*name);
    let names: Vec<String> = other.keys().filter(differs).cloned().collect();
    if names.is_empty() { vec!["all of them".to_owned()] } else { names }
}
