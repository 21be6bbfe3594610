//! The Jinja environment that transformers gives to chat templates, made of minijinja.

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Value};
use tiller_protocol::chat::Date;

use super::generation::without_generation_tags;
use super::{date, json, python};
use crate::error::{EngineError, Result};

/// Steps that a rendering may take. A conversation of a thousand turns takes some hundred thousand; a template that
/// does not come to an end is stopped after some tenths of a second.
const FUEL: u64 = 2_000_000;

/// Longest text that a template may write, bytes; far more than any model reads.
const MAX_OUTPUT: usize = 64 << 20;

/// What `raise_exception` was told.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refusal(String);

/// A template that is ready to be rendered.
#[derive(Debug)]
pub(super) struct Compiled {
    environment: Environment<'static>,
    /// File that it comes from.
    file: String,
}

impl Compiled {
    /// # Errors
    /// [`EngineError::Template`] with file, line and cause when the template does not parse.
    pub(super) fn new(file: String, source: &str) -> Result<Self> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|error| failed(&file, &error))?);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_fuel(Some(FUEL));
        environment.set_unknown_method_callback(python::method);
        environment.add_filter("tojson", json::tojson);
        environment.add_filter("trim", python::trim);
        environment.add_filter("capitalize", python::capitalize);
        environment.add_filter("indent", python::indent);
        environment.add_filter("int", python::int);
        environment.add_filter("wordcount", python::wordcount);
        environment.add_test("callable", |value: &Value| value.kind() == ValueKind::Plain);
        environment.add_test("sequence", python::is_sequence);
        environment.add_test("iterable", python::is_iterable);
        environment.add_function("raise_exception", |reason: &Value| -> std::result::Result<Value, Error> {
            let refusal = Refusal(reason.to_string());
            Err(Error::new(ErrorKind::InvalidOperation, "the template refuses").with_source(refusal))
        });
        // Jinja reads a template with any kind of line ends as if they were all the same.
        let source = without_generation_tags(&source.replace("\r\n", "\n").replace('\r', "\n"));
        environment.add_template_owned("chat", source).map_err(|error| failed(&file, &error))?;
        Ok(Self { environment, file })
    }

    /// Renders with the given variables; `strftime_now` gives `today`.
    ///
    /// # Errors
    /// [`EngineError::Template`] with the words of `raise_exception`, or with file, line and cause.
    pub(super) fn render(&self, variables: Vec<(String, Value)>, today: Date) -> Result<String> {
        let now = Value::from_function(move |format: &str| date::strftime(today, format));
        let variables = variables.into_iter().chain([("strftime_now".to_owned(), now)]);
        let template = self.environment.get_template("chat").map_err(|error| failed(&self.file, &error))?;
        let variables = Value::from(variables.collect::<BTreeMap<_, _>>());
        // minijinja 3.0.5 panics at some slices, `''[::-1]` among them; a template must not bring down a job.
        let mut output = Output::default();
        let rendered =
            catch_unwind(AssertUnwindSafe(|| template.render_captured_to(variables, &mut output).map(|_| ())));
        let broke = |_| EngineError::Template(format!("{}: it breaks the template engine", self.file));
        rendered.map_err(broke)?.map_err(|error| failed(&self.file, &error))?;
        String::from_utf8(output.0).map_err(|error| EngineError::Template(format!("{}: {error}", self.file)))
    }
}

/// What a template has written; refuses to become longer than [`MAX_OUTPUT`].
#[derive(Debug, Default)]
struct Output(Vec<u8>);

impl io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_OUTPUT {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn failed(file: &str, error: &Error) -> EngineError {
    let mut causes = Vec::new();
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let mut line = None;
    while let Some(cause) = next {
        if let Some(refusal) = cause.downcast_ref::<Refusal>() {
            return EngineError::Template(refusal.0.clone());
        }
        if let Some(error) = cause.downcast_ref::<Error>() {
            line = error.line().or(line);
            causes.push(match (error.kind(), error.detail()) {
                (ErrorKind::OutOfFuel, _) => "it does not come to an end".to_owned(),
                (ErrorKind::WriteFailure, _) => "it writes far too much".to_owned(),
                (kind, Some(detail)) => format!("{kind}: {detail}"),
                (kind, None) => kind.to_string(),
            });
        } else {
            causes.push(cause.to_string());
        }
        next = cause.source();
    }
    let place = line.map(|line| format!(", line {line}")).unwrap_or_default();
    EngineError::Template(format!("{file}{place}: {}", causes.join(": ")))
}
