//! Texts of a file or of the files of a folder.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::vec;

use tiller_protocol::problem::Problem;

use super::{Text, is_jsonl, lines};
use crate::problem;

/// A text file is cut after the line that reaches so many bytes.
const PIECE_BYTES: u64 = 64 << 10;
/// Longest line of a JSON lines file.
const LINE_BYTES: u64 = 16 << 20;
/// Endings of the files of a folder that are read.
const READ: [&str; 4] = ["txt", "text", "md", "jsonl"];

/// Texts of files, in the order of their names.
pub(super) struct Files {
    paths: vec::IntoIter<PathBuf>,
    open: Option<Open>,
}

impl Files {
    pub(super) fn open(path: &Path) -> Result<Self, Problem> {
        Ok(Self { paths: files(path)?.into_iter(), open: None })
    }
}

/// The file at `path`, whatever its name, or the files of that folder that end in `.txt`, `.text`, `.md` or `.jsonl`, by
/// name; folders in it are not looked into.
///
/// # Errors
/// A path that is not there, a folder without such files.
pub(crate) fn files(path: &Path) -> Result<Vec<PathBuf>, Problem> {
    let facts = fs::metadata(path).map_err(|error| problem::read_failed(path, &error))?;
    if facts.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = fs::read_dir(path).map_err(|error| problem::read_failed(path, &error))?;
    let is_read = |path: &PathBuf| {
        let ending = path.extension().unwrap_or_default();
        path.is_file() && READ.iter().any(|read| ending.eq_ignore_ascii_case(read))
    };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_read).collect();
    if paths.is_empty() {
        return Err(problem::no_texts(&format!("{} holds", path.display())));
    }
    paths.sort();
    Ok(paths)
}

impl Iterator for Files {
    type Item = Result<Text, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(open) = &mut self.open {
                match open.next() {
                    Ok(Some(text)) => return Some(Ok(text)),
                    Ok(None) => self.open = None,
                    Err(problem) => {
                        // A file that is broken ends the corpus: what comes after it is not what was asked for.
                        self.open = None;
                        self.paths = Vec::new().into_iter();
                        return Some(Err(problem));
                    }
                }
            } else {
                let path = self.paths.next()?;
                match File::open(&path) {
                    Ok(file) => {
                        let reader = BufReader::new(file);
                        self.open = Some(Open { path, reader, line: 0, rest: Vec::new(), at_start: true });
                    }
                    Err(error) => return Some(Err(problem::read_failed(&path, &error))),
                }
            }
        }
    }
}

/// A file that is being read.
struct Open {
    path: PathBuf,
    reader: BufReader<File>,
    /// Lines read so far.
    line: usize,
    /// Bytes of a character that the last piece has cut.
    rest: Vec<u8>,
    at_start: bool,
}

impl Open {
    fn next(&mut self) -> Result<Option<Text>, Problem> {
        if is_jsonl(&self.path) { self.next_line() } else { self.next_piece() }
    }

    fn next_line(&mut self) -> Result<Option<Text>, Problem> {
        loop {
            let mut line = Vec::new();
            let read = self.reader.by_ref().take(LINE_BYTES).read_until(b'\n', &mut line);
            if read.map_err(|error| problem::read_failed(&self.path, &error))? == 0 {
                return Ok(None);
            }
            self.line += 1;
            if line.len() as u64 == LINE_BYTES && line.last() != Some(&b'\n') {
                let reason = format!("line {} is longer than 16 MiB", self.line);
                return Err(problem::not_text(&self.path, &reason));
            }
            let line = line.strip_prefix(b"\xef\xbb\xbf").filter(|_| self.line == 1).unwrap_or(&line);
            if line.iter().any(|byte| !byte.is_ascii_whitespace()) {
                let text = lines::text(line).map_err(|why| problem::no_text_in_line(&self.path, self.line, &why))?;
                return Ok(Some(text));
            }
        }
    }

    fn next_piece(&mut self) -> Result<Option<Text>, Problem> {
        let mut bytes = std::mem::take(&mut self.rest);
        let read = |reader: &mut BufReader<File>, bytes: &mut Vec<u8>| {
            reader.by_ref().take(PIECE_BYTES).read_to_end(bytes)?;
            reader.by_ref().take(PIECE_BYTES).read_until(b'\n', bytes)
        };
        read(&mut self.reader, &mut bytes).map_err(|error| problem::read_failed(&self.path, &error))?;
        if bytes.is_empty() {
            return Ok(None);
        }
        if bytes.contains(&0) {
            return Err(problem::not_text(&self.path, "it holds the byte 0, as binary files do"));
        }
        if let Err(error) = std::str::from_utf8(&bytes) {
            // A character that goes on in the next piece is no error, unless there is none.
            let at_end = self.reader.fill_buf().map_err(|error| problem::read_failed(&self.path, &error))?.is_empty();
            if error.error_len().is_some() || at_end {
                return Err(problem::not_text(&self.path, &format!("it is not UTF-8 ({error})")));
            }
            self.rest = bytes.split_off(error.valid_up_to());
        }
        let mut text = String::from_utf8_lossy(&bytes).into_owned();
        if std::mem::take(&mut self.at_start) && text.starts_with('\u{feff}') {
            text.remove(0);
        }
        Ok(Some(Text::Plain(if text.contains('\r') { text.replace("\r\n", "\n") } else { text })))
    }
}
