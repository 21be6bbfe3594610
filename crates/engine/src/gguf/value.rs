//! Metadata of a GGUF file: typed values by key.

use std::collections::BTreeMap;

use crate::error::{EngineError, Result};

/// A metadata value. Lists are kept without one wrapper for each entry: a vocabulary has hundreds of thousands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// A whole number or a truth value.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// Text.
    Text(String),
    /// Whole numbers.
    Ints(Vec<i64>),
    /// Floating-point numbers.
    Floats(Vec<f32>),
    /// Texts.
    Texts(Vec<String>),
}

/// All metadata of a file. Every failure names the key.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Metadata(pub(crate) BTreeMap<String, Value>);

impl Metadata {
    /// A whole number above 0.
    pub(crate) fn size(&self, key: &str) -> Result<Option<usize>> {
        match self.0.get(key) {
            None => Ok(None),
            Some(Value::Int(number)) if *number > 0 => Ok(Some(*number as usize)),
            Some(other) => Err(mismatch(key, "a whole number above 0", other)),
        }
    }

    /// A whole number above 0 that must be there.
    pub(crate) fn need_size(&self, key: &str) -> Result<usize> {
        self.size(key)?.ok_or_else(|| missing(key))
    }

    /// A number.
    pub(crate) fn number(&self, key: &str) -> Result<Option<f64>> {
        match self.0.get(key) {
            None => Ok(None),
            Some(Value::Float(number)) => Ok(Some(*number)),
            Some(Value::Int(number)) => Ok(Some(*number as f64)),
            Some(other) => Err(mismatch(key, "a number", other)),
        }
    }

    /// A token id.
    pub(crate) fn id(&self, key: &str) -> Result<Option<u32>> {
        match self.0.get(key) {
            None => Ok(None),
            Some(Value::Int(number)) => {
                u32::try_from(*number).map(Some).map_err(|_outside| mismatch(key, "a token id", &Value::Int(*number)))
            }
            Some(other) => Err(mismatch(key, "a token id", other)),
        }
    }

    /// True or false.
    pub(crate) fn flag(&self, key: &str) -> Result<Option<bool>> {
        match self.0.get(key) {
            None => Ok(None),
            Some(Value::Int(number)) => Ok(Some(*number != 0)),
            Some(other) => Err(mismatch(key, "true or false", other)),
        }
    }

    /// A text.
    pub(crate) fn text(&self, key: &str) -> Result<Option<&str>> {
        match self.0.get(key) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(other) => Err(mismatch(key, "a text", other)),
        }
    }

    /// A text that must be there.
    pub(crate) fn need_text(&self, key: &str) -> Result<&str> {
        self.text(key)?.ok_or_else(|| missing(key))
    }

    /// A list of texts that must be there.
    pub(crate) fn need_texts(&self, key: &str) -> Result<&[String]> {
        match self.0.get(key) {
            None => Err(missing(key)),
            Some(Value::Texts(list)) => Ok(list),
            Some(other) => Err(mismatch(key, "a list of texts", other)),
        }
    }

    /// A list of whole numbers.
    pub(crate) fn ints(&self, key: &str) -> Result<Option<&[i64]>> {
        match self.0.get(key) {
            None => Ok(None),
            Some(Value::Ints(list)) => Ok(Some(list)),
            Some(other) => Err(mismatch(key, "a list of whole numbers", other)),
        }
    }

    /// A list of numbers that must be there.
    pub(crate) fn need_floats(&self, key: &str) -> Result<&[f32]> {
        match self.0.get(key) {
            None => Err(missing(key)),
            Some(Value::Floats(list)) => Ok(list),
            Some(other) => Err(mismatch(key, "a list of numbers", other)),
        }
    }
}

fn missing(key: &str) -> EngineError {
    EngineError::BadRequest(format!("its metadata lacks `{key}`"))
}

fn mismatch(key: &str, expected: &str, found: &Value) -> EngineError {
    let found = match found {
        Value::Int(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Text(text) => format!("the text \u{201c}{}\u{201d}", text.chars().take(40).collect::<String>()),
        Value::Ints(list) => format!("a list of {} whole numbers", list.len()),
        Value::Floats(list) => format!("a list of {} numbers", list.len()),
        Value::Texts(list) => format!("a list of {} texts", list.len()),
    };
    EngineError::BadRequest(format!("its metadata `{key}` is {found}, not {expected}"))
}
