//! Python's string methods where minijinja's own differ or are missing.
//!
//! Python counts the four separators U+001C to U+001F as white space and has a title case of its own; the rest is left
//! to `minijinja_contrib::pycompat`.

use minijinja::value::{Kwargs, Tuple, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat;

/// Longest text that padding makes.
const MAX_WIDTH: usize = 100_000;

/// A method that minijinja does not know.
pub(super) fn method(state: &mut State<'_, '_>, value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    match value.as_str().map(|text| string_method(text, name, args)) {
        Some(Err(error)) if error.kind() == ErrorKind::UnknownMethod => {}
        Some(answer) => return answer,
        None => {}
    }
    pycompat::unknown_method_callback(state, value, name, args)
}

/// The `trim` filter: Python's `strip`.
#[expect(clippy::needless_pass_by_value, reason = "the form that minijinja's filters have")]
pub(super) fn trim(value: Value, chars: Option<&str>) -> String {
    let text = value.to_string();
    strip(&text, chars, Ends::Both).to_owned()
}

/// The `capitalize` filter.
#[expect(clippy::needless_pass_by_value, reason = "the form that minijinja's filters have")]
pub(super) fn capitalize(value: Value) -> String {
    capitalized(&value.to_string())
}

/// The `indent` filter: `width` spaces (or that text) before every line but the first and the empty ones.
#[expect(clippy::needless_pass_by_value, reason = "the form that minijinja's filters have")]
pub(super) fn indent(
    text: &str,
    width: Option<Value>,
    first: Option<bool>,
    blank: Option<bool>,
    kwargs: Kwargs,
) -> Result<String, Error> {
    let width: Option<Value> = if width.is_some() { width } else { kwargs.get("width")? };
    let first = first.or(kwargs.get("first")?).unwrap_or(false);
    let blank = blank.or(kwargs.get("blank")?).unwrap_or(false);
    kwargs.assert_all_used()?;
    let indent = match width {
        Some(width) if width.as_str().is_some() => width.to_string(),
        Some(width) => " ".repeat(usize::try_from(width)?.min(MAX_WIDTH)),
        None => " ".repeat(4),
    };
    let mut out = String::with_capacity(text.len());
    for (i, line) in split_lines(&format!("{text}\n"), false).into_iter().enumerate() {
        let is_indented = if i == 0 { first } else { blank || !line.is_empty() };
        out.push_str(if i == 0 { "" } else { "\n" });
        out.push_str(if is_indented { &indent } else { "" });
        out.push_str(line);
    }
    Ok(out)
}

/// The `int` filter: what is no number becomes `default`.
pub(super) fn int(value: Value, default: Option<i64>) -> Value {
    let number = match value.as_str().map(|text| strip(text, None, Ends::Both)) {
        Some(text) => text.parse::<i64>().ok().or_else(|| text.parse::<f64>().ok().map(|number| number as i64)),
        None => f64::try_from(value.clone()).ok().map(|number| number as i64),
    };
    Value::from(i64::try_from(value).ok().or(number).or(default).unwrap_or(0))
}

/// The `wordcount` filter: runs of letters, digits and `_`.
pub(super) fn wordcount(text: &str) -> usize {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()).count()
}

/// The `is sequence` and `is iterable` tests: a string is both.
pub(super) fn is_sequence(value: &Value) -> bool {
    value.is_undefined() || matches!(value.kind(), ValueKind::Seq | ValueKind::String | ValueKind::Map)
}

/// See [`is_sequence`].
pub(super) fn is_iterable(value: &Value) -> bool {
    value.kind() == ValueKind::String || value.try_iter().is_ok()
}

pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

fn string_method(text: &str, name: &str, args: &[Value]) -> Result<Value, Error> {
    match name {
        "strip" | "lstrip" | "rstrip" => {
            let (chars,): (Option<&str>,) = from_args(args)?;
            let ends = match name {
                "lstrip" => Ends::First,
                "rstrip" => Ends::Last,
                _ => Ends::Both,
            };
            Ok(strip(text, chars, ends).into())
        }
        "split" | "rsplit" => {
            let (separator, limit, kwargs): (Option<Value>, Option<i64>, Kwargs) = from_args(args)?;
            let separator = match separator {
                Some(separator) => Some(separator),
                None => kwargs.get("sep")?,
            };
            let limit = match limit {
                Some(limit) => Some(limit),
                None => kwargs.get("maxsplit")?,
            };
            kwargs.assert_all_used()?;
            let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
            let separator = separator.filter(|separator| !separator.is_none());
            split(text, separator.as_ref().map(as_str).transpose()?, limit, name == "rsplit")
        }
        "partition" | "rpartition" => {
            let (separator,): (&str,) = from_args(args)?;
            let found = if name == "partition" { text.split_once(separator) } else { text.rsplit_once(separator) };
            Ok(Value::from(Tuple::from(match found {
                Some((before, after)) => [before, separator, after].map(Value::from),
                None if name == "partition" => [text, "", ""].map(Value::from),
                None => ["", "", text].map(Value::from),
            })))
        }
        "splitlines" => {
            let (keep_ends,): (Option<bool>,) = from_args(args)?;
            Ok(split_lines(text, keep_ends.unwrap_or(false)).into_iter().map(Value::from).collect())
        }
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(args)?;
            Ok(text.strip_prefix(prefix).unwrap_or(text).into())
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(args)?;
            Ok(text.strip_suffix(suffix).unwrap_or(text).into())
        }
        "title" => no_args(args).map(|()| title(text).into()),
        "capitalize" => no_args(args).map(|()| capitalized(text).into()),
        "casefold" => no_args(args).map(|()| text.to_lowercase().into()),
        "isspace" => no_args(args).map(|()| (!text.is_empty() && text.chars().all(is_space)).into()),
        "zfill" | "ljust" | "rjust" | "center" => pad(text, name, args),
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

fn no_args(args: &[Value]) -> Result<(), Error> {
    from_args(args)
}

fn as_str(value: &Value) -> Result<&str, Error> {
    value.as_str().ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "the separator must be a string"))
}

/// Where a text is stripped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    First,
    Last,
    Both,
}

fn strip<'a>(text: &'a str, chars: Option<&str>, ends: Ends) -> &'a str {
    let is_cut = |c: char| chars.map_or_else(|| is_space(c), |chars| chars.contains(c));
    let text = if ends == Ends::Last { text } else { text.trim_start_matches(is_cut) };
    if ends == Ends::First { text } else { text.trim_end_matches(is_cut) }
}

fn split(text: &str, separator: Option<&str>, limit: usize, from_end: bool) -> Result<Value, Error> {
    let parts: Vec<&str> = match separator {
        Some("") => return Err(Error::new(ErrorKind::InvalidOperation, "empty separator")),
        Some(separator) if from_end => {
            let mut parts: Vec<&str> = text.rsplitn(limit.saturating_add(1), separator).collect();
            parts.reverse();
            parts
        }
        Some(separator) => text.splitn(limit.saturating_add(1), separator).collect(),
        None => split_at_space(text, limit, from_end),
    };
    Ok(parts.into_iter().map(Value::from).collect())
}

/// Words between white space; after `limit` cuts the rest stays whole, with the white space at its far end.
fn split_at_space(text: &str, limit: usize, from_end: bool) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = strip(text, None, if from_end { Ends::Last } else { Ends::First });
    while !rest.is_empty() {
        let cut = if from_end { rest.rfind(is_space) } else { rest.find(is_space) };
        match cut {
            Some(at) if parts.len() < limit => {
                let (before, after) = rest.split_at(at);
                if from_end {
                    parts.push(after.trim_start_matches(is_space));
                    rest = before.trim_end_matches(is_space);
                } else {
                    parts.push(before);
                    rest = after.trim_start_matches(is_space);
                }
            }
            _ => {
                parts.push(rest);
                break;
            }
        }
    }
    if from_end {
        parts.reverse();
    }
    parts
}

fn split_lines(text: &str, keep_ends: bool) -> Vec<&str> {
    let is_end = |c: char| matches!(c, '\n'..='\r' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}');
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(is_end) {
        let end = rest[at..].chars().next().map_or(0, char::len_utf8);
        let end = at + if rest[at..].starts_with("\r\n") { 2 } else { end };
        lines.push(&rest[..if keep_ends { end } else { at }]);
        rest = &rest[end..];
    }
    if !rest.is_empty() {
        lines.push(rest);
    }
    lines
}

/// Title case of one character: the first letter of what it becomes in capitals, except that four digraphs have a
/// character of their own.
fn push_title(c: char, out: &mut String) {
    match c {
        '\u{1c4}'..='\u{1c6}' => out.push('\u{1c5}'),
        '\u{1c7}'..='\u{1c9}' => out.push('\u{1c8}'),
        '\u{1ca}'..='\u{1cc}' => out.push('\u{1cb}'),
        '\u{1f1}'..='\u{1f3}' => out.push('\u{1f2}'),
        _ => {
            let mut upper = c.to_uppercase();
            out.extend(upper.next());
            out.extend(upper.flat_map(char::to_lowercase));
        }
    }
}

fn is_cased(c: char) -> bool {
    c.is_lowercase() || c.is_uppercase() || matches!(c, '\u{1c5}' | '\u{1c8}' | '\u{1cb}' | '\u{1f2}')
}

fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    // A run of letters after the first is lowered as a whole, because a Greek sigma looks at what follows.
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        push_title(c, &mut out);
        if is_cased(c) {
            let run = rest.find(|c| !is_cased(c)).unwrap_or(rest.len());
            lower_after(c, &rest[..run], &mut out);
            rest = &rest[run..];
        }
    }
    out
}

fn capitalized(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    if let Some(first) = chars.next() {
        push_title(first, &mut out);
        lower_after(first, chars.as_str(), &mut out);
    }
    out
}

/// `rest` in lower case, as it is when `first` stands before it.
fn lower_after(first: char, rest: &str, out: &mut String) {
    let whole = format!("{first}{rest}").to_lowercase();
    let skipped = first.to_string().to_lowercase().len();
    out.push_str(whole.get(skipped..).unwrap_or_default());
}

fn pad(text: &str, name: &str, args: &[Value]) -> Result<Value, Error> {
    let (width, fill): (i64, Option<&str>) = from_args(args)?;
    let width = usize::try_from(width).unwrap_or(0);
    if width > MAX_WIDTH {
        return Err(Error::new(ErrorKind::InvalidOperation, format!("{width} characters are too many to fill up")));
    }
    let missing = width.saturating_sub(text.chars().count());
    let fill = fill.unwrap_or(if name == "zfill" { "0" } else { " " });
    let padded = match name {
        "ljust" => format!("{text}{}", fill.repeat(missing)),
        "rjust" => format!("{}{text}", fill.repeat(missing)),
        "zfill" => {
            let (sign, digits) = text.split_at(usize::from(text.starts_with(['+', '-'])));
            format!("{sign}{}{digits}", fill.repeat(missing))
        }
        _ => {
            // Where it cannot be halved, the larger half is on the left if the width is odd.
            let left = missing / 2 + (missing & width & 1);
            format!("{}{text}{}", fill.repeat(left), fill.repeat(missing - left))
        }
    };
    Ok(padded.into())
}
