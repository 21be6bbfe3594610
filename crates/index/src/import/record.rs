//! What one row of a file says of one feature, and how JSON rows of several makers are read.

use serde_json::{Map, Value};
use tiller_protocol::feature::LabelSource;

use super::token;
use crate::effects::{Effects, Token};
use crate::histogram::Stored;
use crate::label::NewLabel;
use crate::window::{Tokens, Window};

/// Most tokens of an example, and promoted tokens of a feature.
const MAX_TOKENS: usize = 4096;
const MAX_EFFECTS: usize = 50;

/// What a row says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Record {
    /// Kind of row, for the report.
    pub(super) form: &'static str,
    pub(super) latent: u64,
    pub(super) model: Option<String>,
    pub(super) source: Option<String>,
    pub(super) labels: Vec<NewLabel>,
    pub(super) density: Option<f32>,
    pub(super) max: Option<f32>,
    pub(super) effects: Option<Effects>,
    pub(super) histogram: Option<Stored>,
    pub(super) windows: Vec<Window>,
}

/// Reads a row of JSON.
pub(super) fn parse(row: &[u8], label_source: LabelSource) -> Result<Record, String> {
    let row = row.strip_prefix(b"\xef\xbb\xbf").unwrap_or(row);
    let value: Value = match serde_json::from_slice(row) {
        Ok(value) => value,
        // Python writes numbers that JSON does not have.
        Err(error) => match serde_json::from_slice(&without_nan(row)) {
            Ok(value) => value,
            Err(_) => return Err(format!("no JSON ({error})")),
        },
    };
    let Value::Object(fields) = value else { return Err("no JSON object".to_owned()) };
    let mut record = Record { form: form(&fields), ..Record::default() };
    record.latent = ["index", "feature", "latent", "feature_index"]
        .iter()
        .find_map(|key| fields.get(*key))
        .ok_or("it names no feature")
        .and_then(|value| whole(value).ok_or("the feature's number is none"))?;
    record.model = string(&fields, "modelId");
    record.source = string(&fields, "layer").filter(|_| record.model.is_some());
    record.density = number(&fields, &["frac_nonzero", "density"]).filter(|value| (0.0..=1.0).contains(value));
    record.max = number(&fields, &["maxActApprox", "max_act", "max_activation"]).filter(|value| *value >= 0.0);
    record.effects = effects(&fields);
    record.histogram = histogram(&fields);
    record.labels.extend(label(&fields, label_source));
    record.windows.extend(window(&fields));
    for nested in ["explanations", "activations"] {
        for inner in fields.get(nested).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object) {
            record.labels.extend(label(inner, label_source));
            record.windows.extend(window(inner));
        }
    }
    if record.is_empty() {
        return Err("it says nothing of the feature that can be used".to_owned());
    }
    Ok(record)
}

impl Record {
    /// It says nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.labels.is_empty()
            && self.windows.is_empty()
            && self.density.is_none()
            && self.max.is_none()
            && self.effects.is_none()
            && self.histogram.is_none()
    }
}

fn form(fields: &Map<String, Value>) -> &'static str {
    let has = |key: &str| fields.contains_key(key);
    if has("feature") && has("label") {
        "Tiller labels"
    } else if has("activations") || has("explanations") {
        "Neuronpedia feature"
    } else if has("tokens") && has("values") {
        "Neuronpedia activations"
    } else if has("description") {
        "Neuronpedia explanations"
    } else {
        "Neuronpedia features"
    }
}

fn label(fields: &Map<String, Value>, source: LabelSource) -> Option<NewLabel> {
    let text = string(fields, "description").or_else(|| string(fields, "label"))?;
    Some(NewLabel {
        text,
        source,
        method: string(fields, "typeName").or_else(|| string(fields, "method")).or_else(|| string(fields, "source")),
        model: string(fields, "explanationModelName").or_else(|| string(fields, "model")),
        score: number(fields, &["score"]),
    })
}

fn effects(fields: &Map<String, Value>) -> Option<Effects> {
    let side = |tokens: &str, values: &str| -> Vec<(Token, f32)> {
        let (Some(tokens), Some(values)) = (array(fields, tokens), array(fields, values)) else { return Vec::new() };
        tokens
            .iter()
            .zip(values)
            .filter_map(|(token, value)| Some((Token::Text(token::text(token.as_str()?)), finite(value)?)))
            .take(MAX_EFFECTS)
            .collect()
    };
    let found = Effects { promoted: side("pos_str", "pos_values"), suppressed: side("neg_str", "neg_values") };
    (!found.promoted.is_empty() || !found.suppressed.is_empty()).then_some(found)
}

/// Heights and middles of bars; kept only where the heights are counts.
fn histogram(fields: &Map<String, Value>) -> Option<Stored> {
    let heights = array(fields, "freq_hist_data_bar_heights")?;
    let middles: Vec<f32> = array(fields, "freq_hist_data_bar_values")?.iter().map(finite).collect::<Option<_>>()?;
    let counts: Vec<u64> = heights.iter().map(whole).collect::<Option<_>>()?;
    if middles.len() != counts.len() || !(2..=1000).contains(&counts.len()) || !middles.is_sorted() {
        return None;
    }
    let last = middles.len() - 1;
    let mut edges = vec![(1.5 * middles[0] - 0.5 * middles[1]).max(0.0)];
    edges.extend(middles.windows(2).map(|pair| f32::midpoint(pair[0], pair[1])));
    edges.push(1.5 * middles[last] - 0.5 * middles[last - 1]);
    Some(Stored::Imported { edges, counts })
}

fn window(fields: &Map<String, Value>) -> Option<Window> {
    let tokens = array(fields, "tokens")?;
    let values = array(fields, "values")?;
    if tokens.len() != values.len() || tokens.is_empty() || tokens.len() > MAX_TOKENS {
        return None;
    }
    let texts: Vec<String> = tokens.iter().map(|token| token.as_str().map(token::text)).collect::<Option<_>>()?;
    let values: Vec<f32> = values.iter().map(|value| finite(value).unwrap_or(0.0)).collect();
    let largest = values.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(&a.0)))?.0;
    let named = ["qualifyingTokenIndex", "maxValueTokenIndex"].iter().find_map(|key| fields.get(*key).and_then(whole));
    let peak = named.and_then(|at| usize::try_from(at).ok()).filter(|&at| at < values.len()).unwrap_or(largest);
    Some(Window { tokens: Tokens::Texts(texts), values, peak, decile: None })
}

fn string(fields: &Map<String, Value>, key: &str) -> Option<String> {
    match fields.get(key)? {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn array<'a>(fields: &'a Map<String, Value>, key: &str) -> Option<&'a Vec<Value>> {
    fields.get(key)?.as_array()
}

fn number(fields: &Map<String, Value>, keys: &[&str]) -> Option<f32> {
    keys.iter().find_map(|key| fields.get(*key).and_then(finite))
}

/// A finite number, also one written as text.
fn finite(value: &Value) -> Option<f32> {
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    Some(number as f32).filter(|number| number.is_finite())
}

/// A whole number from 0, also one written as text or with `.0`.
pub(super) fn whole(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64().or_else(|| {
            let number = number.as_f64()?;
            (number >= 0.0 && number.fract() == 0.0 && number < 1e15).then_some(number as u64)
        }),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// The row with `NaN` and `Infinity` outside strings replaced by `null`.
fn without_nan(row: &[u8]) -> Vec<u8> {
    let (mut out, mut at, mut in_string) = (Vec::with_capacity(row.len()), 0, false);
    while at < row.len() {
        let rest = &row[at..];
        let bare = [b"-Infinity".as_slice(), b"Infinity", b"NaN"].into_iter().find(|word| rest.starts_with(word));
        match bare {
            Some(word) if !in_string => {
                out.extend_from_slice(b"null");
                at += word.len();
            }
            _ if in_string && rest[0] == b'\\' => {
                out.extend_from_slice(&rest[..rest.len().min(2)]);
                at += 2;
            }
            _ => {
                in_string ^= rest[0] == b'"';
                out.push(rest[0]);
                at += 1;
            }
        }
    }
    out
}
