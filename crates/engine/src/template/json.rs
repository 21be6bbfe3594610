//! `tojson` as transformers defines it: Python's `json.dumps(value, ensure_ascii, indent, separators, sort_keys)` with
//! `ensure_ascii` off unless asked for.

use minijinja::value::{Kwargs, Rest};
use minijinja::{Error, ErrorKind, Value};
use serde_json::Value as Json;

/// How values are written.
#[derive(Debug)]
struct Style {
    ascii: bool,
    /// One level of indentation; `None` writes one line.
    indent: Option<String>,
    between: String,
    after_key: String,
    sorted: bool,
}

/// The filter.
#[expect(clippy::needless_pass_by_value, reason = "the form that minijinja's filters have")]
pub(super) fn tojson(value: &Value, args: Rest<Value>, kwargs: Kwargs) -> Result<String, Error> {
    let option = |place: usize, name: &str| -> Result<Value, Error> {
        let named: Option<Value> = kwargs.get(name)?;
        Ok(args.get(place).cloned().or(named).unwrap_or_default())
    };
    let ascii = option(0, "ensure_ascii")?.is_true();
    let indent = option(1, "indent")?;
    let indent = match (indent.as_str(), indent.is_none() || indent.is_undefined()) {
        (Some(text), _) => Some(text.to_owned()),
        (None, true) => None,
        (None, false) => Some(" ".repeat(usize::try_from(indent)?.min(64))),
    };
    let separators = option(2, "separators")?;
    let (between, after_key) = if separators.is_none() || separators.is_undefined() {
        (if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned())
    } else {
        (separators.get_item_by_index(0)?.to_string(), separators.get_item_by_index(1)?.to_string())
    };
    let sorted = option(3, "sort_keys")?.is_true();
    kwargs.assert_all_used()?;
    let json = serde_json::to_value(value)
        .map_err(|error| Error::new(ErrorKind::InvalidOperation, "not a JSON value").with_source(error))?;
    let mut out = String::new();
    Style { ascii, indent, between, after_key, sorted }.write(&json, 0, &mut out);
    Ok(out)
}

impl Style {
    fn write(&self, value: &Json, depth: usize, out: &mut String) {
        match value {
            Json::String(text) => self.write_text(text, out),
            Json::Number(number) => out.push_str(&number_text(number)),
            Json::Null | Json::Bool(_) => out.push_str(&value.to_string()),
            Json::Array(list) => {
                self.write_entries(('[', ']'), list.iter().map(|entry| (None, entry)), depth, out);
            }
            Json::Object(map) => {
                let mut entries: Vec<(Option<&str>, &Json)> =
                    map.iter().map(|(key, entry)| (Some(key.as_str()), entry)).collect();
                if self.sorted {
                    entries.sort_by_key(|(key, _)| *key);
                }
                self.write_entries(('{', '}'), entries.into_iter(), depth, out);
            }
        }
    }

    fn write_entries<'a>(
        &self,
        (open, close): (char, char),
        entries: impl Iterator<Item = (Option<&'a str>, &'a Json)>,
        depth: usize,
        out: &mut String,
    ) {
        out.push(open);
        let mut is_empty = true;
        for (key, entry) in entries {
            if !is_empty {
                out.push_str(&self.between);
            }
            is_empty = false;
            self.break_line(depth + 1, out);
            if let Some(key) = key {
                self.write_text(key, out);
                out.push_str(&self.after_key);
            }
            self.write(entry, depth + 1, out);
        }
        if !is_empty {
            self.break_line(depth, out);
        }
        out.push(close);
    }

    fn break_line(&self, depth: usize, out: &mut String) {
        if let Some(indent) = &self.indent {
            out.push('\n');
            out.push_str(&indent.repeat(depth));
        }
    }

    fn write_text(&self, text: &str, out: &mut String) {
        let json = Json::from(text).to_string();
        if !self.ascii {
            out.push_str(&json);
            return;
        }
        for c in json.chars() {
            if c.is_ascii() && c != '\x7f' {
                out.push(c);
            } else {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let escape = format!("\\u{unit:04x}");
                    out.push_str(&escape);
                }
            }
        }
    }
}

/// A number as Python writes it: `1e+20` and `1e-05` where Rust writes `1e20` and `1e-5`.
fn number_text(number: &serde_json::Number) -> String {
    let text = number.to_string();
    let Some((digits, power)) = text.split_once('e') else { return text };
    let (sign, power) = power.strip_prefix('-').map_or(('+', power), |power| ('-', power));
    format!("{}e{sign}{:0>2}", digits.strip_suffix(".0").unwrap_or(digits), power.trim_start_matches('+'))
}
