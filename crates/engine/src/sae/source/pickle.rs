//! A reader of pickled state dictionaries that runs nothing (source: `pickletools` of the Python library).
//!
//! A pickle is a program. This reader knows only the steps that a dictionary of tensors needs and only the names in
//! [`Known`]; anything else is refused by its name. Values live in one arena and refer to each other by place, so a
//! value that contains another a thousand times takes no more room than the bytes that say so, and none is ever walked
//! deeper than a state dictionary is.

use std::collections::HashMap;

use super::Number;

/// Longest program that is read, bytes: a state dictionary of a hundred tensors takes 10,000. It bounds time and
/// memory, since each step takes a byte at least and makes one value at most.
pub(super) const MAX_LEN: u64 = 1 << 20;

/// A value, or the place of one in the arena.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(usize),
    Tuple(usize),
    List(usize),
    Dict(usize),
    Known(Known),
    Storage(usize),
    Tensor(usize),
}

/// The names that a program may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Size,
    /// A kind of storage; `None` for values that are of no use here.
    Storage(Option<Number>),
}

/// A storage that the archive holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Storage {
    /// Name of its member.
    pub(super) key: String,
    pub(super) number: Option<Number>,
    /// Values in it.
    pub(super) len: usize,
}

/// A view of a storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tensor {
    /// Place in [`Pickle::storages`].
    pub(super) storage: usize,
    /// First value.
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

/// What a program left behind.
#[derive(Debug, Default)]
pub(super) struct Pickle {
    pub(super) texts: Vec<String>,
    pub(super) tuples: Vec<Vec<Value>>,
    pub(super) lists: Vec<Vec<Value>>,
    pub(super) dicts: Vec<Vec<(Value, Value)>>,
    pub(super) storages: Vec<Storage>,
    pub(super) tensors: Vec<Tensor>,
}

type Step<T> = Result<T, String>;

/// Runs a program.
///
/// # Errors
/// The first step or name that is not known, or a malformed program.
pub(super) fn read(bytes: &[u8]) -> Step<(Pickle, Value)> {
    let mut machine = Machine {
        bytes,
        at: 0,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        n_memo: 0,
        made: Pickle::default(),
    };
    loop {
        if let Some(value) = machine.step()? {
            return Ok((machine.made, value));
        }
    }
}

impl Pickle {
    /// The text at this place.
    pub(super) fn text(&self, value: Value) -> Option<&str> {
        if let Value::Text(at) = value { self.texts.get(at).map(String::as_str) } else { None }
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value>,
    marks: Vec<usize>,
    memo: HashMap<u64, Value>,
    n_memo: u64,
    made: Pickle,
}

impl Machine<'_> {
    fn take(&mut self, n: u64) -> Step<&[u8]> {
        let end = usize::try_from(n).ok().and_then(|n| self.at.checked_add(n)).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or("its program is cut short")?;
        let bytes = &self.bytes[self.at..end];
        self.at = end;
        Ok(bytes)
    }

    fn number(&mut self, width: u64) -> Step<u64> {
        Ok(self.take(width)?.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
    }

    fn line(&mut self) -> Step<String> {
        let n = self.bytes[self.at..].iter().position(|&byte| byte == b'\n').ok_or("its program is cut short")?;
        let line = String::from_utf8_lossy(self.take(n as u64)?).into_owned();
        self.at += 1;
        Ok(line)
    }

    fn text(&mut self, width: u64) -> Step<()> {
        let n = self.number(width)?;
        let text = String::from_utf8_lossy(self.take(n)?).into_owned();
        self.made.texts.push(text);
        self.stack.push(Value::Text(self.made.texts.len() - 1));
        Ok(())
    }

    fn pop(&mut self) -> Step<Value> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err("its program takes a value where there is none".to_owned());
        }
        self.stack.pop().ok_or_else(|| "its program takes a value where there is none".to_owned())
    }

    fn since_mark(&mut self) -> Step<Vec<Value>> {
        let mark = self.marks.pop().ok_or("its program lacks a mark")?;
        Ok(self.stack.split_off(mark))
    }

    fn tuple(&mut self, values: Vec<Value>) {
        self.made.tuples.push(values);
        self.stack.push(Value::Tuple(self.made.tuples.len() - 1));
    }

    fn dict(&mut self) {
        self.made.dicts.push(Vec::new());
        self.stack.push(Value::Dict(self.made.dicts.len() - 1));
    }

    fn remember(&mut self, place: u64) -> Step<()> {
        let value = *self.stack.last().ok_or("its program remembers nothing")?;
        self.memo.insert(place, value);
        Ok(())
    }

    fn recall(&mut self, place: u64) -> Step<()> {
        let value = self.memo.get(&place).ok_or("its program recalls what it never remembered")?;
        self.stack.push(*value);
        Ok(())
    }

    /// One step; the result at the end.
    fn step(&mut self) -> Step<Option<Value>> {
        let code = self.take(1)?[0];
        match code {
            0x80 => drop(self.take(1)?),
            0x95 => drop(self.take(8)?),
            b'.' => return self.pop().map(Some),
            b'(' => self.marks.push(self.stack.len()),
            b'}' => self.dict(),
            b']' => {
                self.made.lists.push(Vec::new());
                self.stack.push(Value::List(self.made.lists.len() - 1));
            }
            b')' => self.tuple(Vec::new()),
            b't' => {
                let values = self.since_mark()?;
                self.tuple(values);
            }
            0x85..=0x87 => {
                let mut values: Vec<Value> = (0x85..=code).map(|_| self.pop()).collect::<Step<_>>()?;
                values.reverse();
                self.tuple(values);
            }
            b'N' => self.stack.push(Value::None),
            0x88 | 0x89 => self.stack.push(Value::Bool(code == 0x88)),
            b'K' | b'M' => {
                let value = self.number(if code == b'K' { 1 } else { 2 })?;
                self.stack.push(Value::Int(value.cast_signed()));
            }
            b'J' => {
                let value = self.number(4)? as u32;
                self.stack.push(Value::Int(value.cast_signed().into()));
            }
            0x8a | 0x8b => {
                let value = self.long(if code == 0x8a { 1 } else { 4 })?;
                self.stack.push(Value::Int(value));
            }
            b'G' => {
                let bits = self.number(8)?.swap_bytes();
                self.stack.push(Value::Float(f64::from_bits(bits)));
            }
            b'X' | b'T' => self.text(4)?,
            0x8c | b'U' => self.text(1)?,
            0x8d => self.text(8)?,
            b'q' | b'r' => {
                let place = self.number(if code == b'q' { 1 } else { 4 })?;
                self.remember(place)?;
            }
            0x94 => {
                self.remember(self.n_memo)?;
                self.n_memo += 1;
            }
            b'h' | b'j' => {
                let place = self.number(if code == b'h' { 1 } else { 4 })?;
                self.recall(place)?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.stack.push(Value::Known(known(&module, &name)?));
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let named = self.made.text(module).zip(self.made.text(name)).ok_or("its program names no name")?;
                let known = known(named.0, named.1)?;
                self.stack.push(Value::Known(known));
            }
            b'Q' => self.storage()?,
            b'R' => self.reduce()?,
            b'b' => drop(self.pop()?),
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set(&[key, value])?;
            }
            b'u' => {
                let values = self.since_mark()?;
                self.set(&values)?;
            }
            b'a' => {
                let value = self.pop()?;
                self.append(&[value])?;
            }
            b'e' => {
                let values = self.since_mark()?;
                self.append(&values)?;
            }
            other => return Err(format!("its program has the step {other:#04x}, which no file of weights needs")),
        }
        Ok(None)
    }

    fn long(&mut self, width: u64) -> Step<i64> {
        let n = self.number(width)?;
        if n > 8 {
            return Err(format!("its program has a whole number of {n} bytes"));
        }
        let value = self.number(n)?;
        let unused = 64 - 8 * n as u32;
        Ok(if n == 0 { 0 } else { (value << unused).cast_signed() >> unused })
    }

    fn set(&mut self, values: &[Value]) -> Step<()> {
        let Some(Value::Dict(at)) = self.stack.last() else {
            return Err("its program fills what is no dictionary".to_owned());
        };
        if !values.len().is_multiple_of(2) {
            return Err("its program has a key without a value".to_owned());
        }
        self.made.dicts[*at].extend(values.chunks_exact(2).map(|pair| (pair[0], pair[1])));
        Ok(())
    }

    fn append(&mut self, values: &[Value]) -> Step<()> {
        let Some(Value::List(at)) = self.stack.last() else {
            return Err("its program fills what is no list".to_owned());
        };
        self.made.lists[*at].extend(values);
        Ok(())
    }

    /// `('storage', kind, key, device, length)` from outside the program.
    fn storage(&mut self) -> Step<()> {
        let id = self.pop()?;
        let Value::Tuple(at) = id else { return Err("its program asks for what is no storage".to_owned()) };
        let storage = match *self.made.tuples[at].as_slice() {
            [tag, Value::Known(Known::Storage(number)), key, _, Value::Int(len)]
                if self.made.text(tag) == Some("storage") =>
            {
                let key = self.made.text(key).map(str::to_owned);
                key.zip(usize::try_from(len).ok()).map(|(key, len)| Storage { key, number, len })
            }
            _ => None,
        };
        self.made.storages.push(storage.ok_or("its program asks for what is no storage")?);
        self.stack.push(Value::Storage(self.made.storages.len() - 1));
        Ok(())
    }

    /// A call; only those of [`Known`] that make something.
    fn reduce(&mut self) -> Step<()> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let Value::Tuple(at) = arguments else { return Err("its program makes a malformed call".to_owned()) };
        match function {
            Value::Known(Known::OrderedDict) => self.dict(),
            Value::Known(Known::RebuildParameter) => {
                let tensor = self.made.tuples[at].first().copied();
                let tensor = tensor.filter(|value| matches!(value, Value::Tensor(_)));
                self.stack.push(tensor.ok_or("its program makes a parameter of what is no tensor")?);
            }
            Value::Known(Known::Size) => {
                let values = self.made.tuples[at].first().copied();
                self.stack.push(values.unwrap_or(Value::None));
            }
            Value::Known(Known::RebuildTensor) => {
                let tensor = self.tensor(at).ok_or("its program makes a malformed tensor")?;
                self.made.tensors.push(tensor);
                self.stack.push(Value::Tensor(self.made.tensors.len() - 1));
            }
            _ => return Err("its program calls what is no function".to_owned()),
        }
        Ok(())
    }

    fn tensor(&self, arguments: usize) -> Option<Tensor> {
        let [Value::Storage(storage), Value::Int(offset), shape, strides, ..] = *self.made.tuples[arguments].as_slice()
        else {
            return None;
        };
        let numbers = |value: Value| -> Option<Vec<usize>> {
            let Value::Tuple(at) = value else { return None };
            let one = |value: &Value| if let Value::Int(n) = value { usize::try_from(*n).ok() } else { None };
            self.made.tuples[at].iter().map(one).collect()
        };
        let (shape, strides) = (numbers(shape)?, numbers(strides)?);
        let fits = shape.len() == strides.len() && shape.len() <= 4;
        fits.then_some(Tensor { storage, offset: usize::try_from(offset).ok()?, shape, strides })
    }
}

/// A name that a program may use.
fn known(module: &str, name: &str) -> Step<Known> {
    let number = |name: &str| match name {
        "DoubleStorage" => Some(Some(Number::F64)),
        "FloatStorage" => Some(Some(Number::F32)),
        "HalfStorage" => Some(Some(Number::F16)),
        "BFloat16Storage" => Some(Some(Number::Bf16)),
        "LongStorage" => Some(Some(Number::I64)),
        "IntStorage" => Some(Some(Number::I32)),
        "ShortStorage" | "CharStorage" | "ByteStorage" | "BoolStorage" => Some(None),
        _ => None,
    };
    match (module, name) {
        ("collections", "OrderedDict") => Ok(Known::OrderedDict),
        ("torch._utils", "_rebuild_tensor_v2") => Ok(Known::RebuildTensor),
        ("torch._utils", "_rebuild_parameter") => Ok(Known::RebuildParameter),
        ("torch", "Size") => Ok(Known::Size),
        ("torch", name) if number(name).is_some() => Ok(Known::Storage(number(name).flatten())),
        _ => {
            let shown: String = format!("{module}.{name}").chars().take(100).collect();
            Err(format!("it asks Python for {shown}, which no file of weights needs; it was not run"))
        }
    }
}
