//! Tables: `index,label` and further columns, as spreadsheets write them.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use csv::{ByteRecord, Reader, ReaderBuilder};
use tiller_protocol::feature::LabelSource;

use super::bytes::{Broken, Bytes, MAX_ROW, too_large};
use super::record::Record;
use crate::label::NewLabel;

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Column {
    Index,
    Label,
    Method,
    Model,
    Score,
    Density,
    Max,
}

/// A table that is being read.
pub(super) struct Table {
    reader: Reader<RowBound>,
    columns: Vec<(Column, usize)>,
    since_row: Arc<AtomicU64>,
    /// The first row, when it is no head.
    waiting: Option<ByteRecord>,
    row: ByteRecord,
}

impl Table {
    /// Opens a table; `Err` says why it is none.
    pub(super) fn open(mut bytes: Bytes) -> Result<Result<Self, String>, Broken> {
        let head = bytes.peek(4096)?;
        if head.starts_with(&[0xff, 0xfe]) || head.starts_with(&[0xfe, 0xff]) {
            return Ok(Err("it is written in UTF-16; save it as UTF-8".to_owned()));
        }
        let line = head.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let count = |separator: u8| line.split(|&byte| byte == separator).count();
        // In doubt the comma: the first of equals.
        let separator = [b';', b'\t', b','].into_iter().max_by_key(|&separator| count(separator)).unwrap_or(b',');
        let since_row = Arc::new(AtomicU64::new(0));
        let bound = RowBound { inner: bytes, since_row: Arc::clone(&since_row) };
        let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).delimiter(separator).from_reader(bound);
        let mut row = ByteRecord::new();
        if !read(&mut reader, &mut row)? {
            return Ok(Err("it is empty".to_owned()));
        }
        since_row.store(0, Ordering::Relaxed);
        let columns: Vec<(Column, usize)> =
            row.iter().enumerate().filter_map(|(at, name)| Some((column(name)?, at))).collect();
        let has = |wanted: Column| columns.iter().any(|&(column, _)| column == wanted);
        if has(Column::Index) && columns.len() > 1 {
            return Ok(Ok(Self { reader, columns, since_row, waiting: None, row }));
        }
        if row.len() > 1 && row.get(0).and_then(whole).is_some() {
            let columns = vec![(Column::Index, 0), (Column::Label, 1)];
            return Ok(Ok(Self { reader, columns, since_row, waiting: Some(row), row: ByteRecord::new() }));
        }
        Ok(Err("it has no rows of JSON, and as a table no columns \u{201c}index\u{201d} and \u{201c}label\u{201d}"
            .to_owned()))
    }

    /// Bytes of the file that were read so far.
    pub(super) fn position(&self) -> u64 {
        self.reader.get_ref().inner.position()
    }

    /// The next row; none at the end of the file.
    pub(super) fn next_row(&mut self, label_source: LabelSource) -> Result<Option<Result<Record, String>>, Broken> {
        match self.waiting.take() {
            Some(row) => self.row = row,
            None => {
                if !read(&mut self.reader, &mut self.row)? {
                    return Ok(None);
                }
            }
        }
        self.since_row.store(0, Ordering::Relaxed);
        Ok(Some(self.record(label_source)))
    }

    fn record(&self, label_source: LabelSource) -> Result<Record, String> {
        let field = |wanted: Column| {
            let at = self.columns.iter().find(|&&(column, _)| column == wanted)?.1;
            self.row.get(at).map(<[u8]>::trim_ascii).filter(|field| !field.is_empty())
        };
        let text = |wanted: Column| match field(wanted).map(|field| str::from_utf8(field)) {
            Some(Ok(text)) => Ok(Some(text.to_owned())),
            Some(Err(_)) => Err("it is not written in UTF-8".to_owned()),
            None => Ok(None),
        };
        let number = |wanted: Column| {
            field(wanted)
                .and_then(|field| str::from_utf8(field).ok()?.parse::<f32>().ok())
                .filter(|number| number.is_finite())
        };
        let latent = field(Column::Index).and_then(whole).ok_or("the feature's number is none")?;
        let mut record = Record { form: "CSV", latent, ..Record::default() };
        if let Some(label) = text(Column::Label)? {
            record.labels.push(NewLabel {
                text: label,
                source: label_source,
                method: text(Column::Method)?,
                model: text(Column::Model)?,
                score: number(Column::Score),
            });
        }
        record.density = number(Column::Density).filter(|value| (0.0..=1.0).contains(value));
        record.max = number(Column::Max).filter(|value| *value >= 0.0);
        if record.is_empty() { Err("it says nothing of the feature".to_owned()) } else { Ok(record) }
    }
}

fn column(name: &[u8]) -> Option<Column> {
    let name = str::from_utf8(name).ok()?.trim_start_matches('\u{feff}').trim().to_lowercase();
    Some(match name.as_str() {
        "index" | "feature" | "latent" | "feature_index" | "id" => Column::Index,
        "label" | "description" | "explanation" | "text" => Column::Label,
        "method" | "typename" | "type" => Column::Method,
        "model" | "explanationmodelname" => Column::Model,
        "score" => Column::Score,
        "density" | "frac_nonzero" => Column::Density,
        "max_act" | "max_activation" | "maxactapprox" => Column::Max,
        _ => return None,
    })
}

fn whole(field: &[u8]) -> Option<u64> {
    str::from_utf8(field).ok()?.trim_start_matches('\u{feff}').trim().parse().ok()
}

fn read(reader: &mut Reader<RowBound>, row: &mut ByteRecord) -> Result<bool, Broken> {
    reader.read_byte_record(row).map_err(|error| match error.into_kind() {
        csv::ErrorKind::Io(error) => error.into(),
        other => Broken::Cut(format!("the table is damaged from some place on ({other:?})")),
    })
}

/// Ends a row that never ends, as one in which a quote is open.
struct RowBound {
    inner: Bytes,
    since_row: Arc<AtomicU64>,
}

impl Read for RowBound {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        if self.since_row.fetch_add(n as u64, Ordering::Relaxed) > MAX_ROW {
            return Err(too_large(format!("one of its rows is longer than {} MB", MAX_ROW >> 20)));
        }
        Ok(n)
    }
}
