//! Just enough HTTP/1.1: request heads in, answers out, connections kept open.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::ops::Range;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::fault::Fault;
use crate::repo::{Content, Source};

/// A request as it came in.
#[derive(Clone, Debug)]
pub struct Request {
    /// `GET` or `HEAD`.
    pub method: String,
    /// Path without the query.
    pub path: String,
    /// What follows the question mark, else empty.
    pub query: String,
    /// Header names in lower case, with their values.
    pub headers: Vec<(String, String)>,
    /// Whether it came to the storage behind the hub rather than to the hub.
    pub to_storage: bool,
}

impl Request {
    /// A header's value; the name is given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The bearer token that was sent.
    pub fn token(&self) -> Option<&str> {
        self.header("authorization")?.strip_prefix("Bearer ")
    }

    /// The range asked for, clipped to `len`: `None` if there is none, `Some(Err)` if it lies outside.
    pub(crate) fn range(&self, len: u64) -> Option<Result<Range<u64>, ()>> {
        let (start, end) = self.header("range")?.strip_prefix("bytes=")?.split_once('-')?;
        let start = start.parse().ok()?;
        let end = end.parse::<u64>().map_or(len, |last| last.saturating_add(1).min(len));
        Some(if start < end { Ok(start..end) } else { Err(()) })
    }
}

/// Reads one request's head; `None` at the connection's end.
pub(crate) fn read_request(reader: &mut BufReader<TcpStream>, to_storage: bool) -> io::Result<Option<Request>> {
    let Some(first) = read_line(reader)? else { return Ok(None) };
    let mut words = first.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut request = Request {
        method: method.to_owned(),
        path: unescape(path),
        query: query.to_owned(),
        headers: Vec::new(),
        to_storage,
    };
    while let Some(line) = read_line(reader)? {
        if line.is_empty() {
            return Ok(Some(request));
        }
        if let Some((name, value)) = line.split_once(':') {
            request.headers.push((name.to_lowercase(), value.trim().to_owned()));
        }
    }
    Ok(None)
}

fn read_line(reader: &mut BufReader<TcpStream>) -> io::Result<Option<String>> {
    let mut line = String::new();
    // No honest head has a longer line; a dishonest one ends the connection.
    if reader.by_ref().take(16 << 10).read_line(&mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(line.trim_end().to_owned()))
}

/// Percent escapes to bytes.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let code = (first == b'%').then(|| tail.get(..2)).flatten();
        let code = code.and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        bytes.push(code.unwrap_or(first));
        rest = if code.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An answer without a file behind it.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    pub(crate) fn json(value: &serde_json::Value) -> Self {
        let body = value.to_string().into_bytes();
        Self::new(200).with("Content-Type", "application/json").body(body)
    }

    /// An error as the hub tells it: a code and a sentence in headers, the sentence in the body.
    pub(crate) fn error(status: u16, code: &str, message: &str) -> Self {
        let answer = if code.is_empty() { Self::new(status) } else { Self::new(status).with("X-Error-Code", code) };
        let body = serde_json::json!({ "error": message }).to_string();
        answer.with("X-Error-Message", message).with("Content-Type", "application/json").body(body.into_bytes())
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn body(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self
    }

    pub(crate) fn send(&self, stream: &mut TcpStream, is_head: bool) -> io::Result<()> {
        let mut text = head(self.status, &self.headers, self.body.len() as u64).into_bytes();
        if !is_head {
            text.extend_from_slice(&self.body);
        }
        stream.write_all(&text)
    }
}

fn head(status: u16, headers: &[(&'static str, String)], length: u64) -> String {
    let reason = match status {
        200 => "OK",
        206 => "Partial Content",
        302 => "Found",
        307 => "Temporary Redirect",
        _ => "Error",
    };
    let mut text = format!("HTTP/1.1 {status} {reason}\r\nContent-Length: {length}\r\n");
    for (name, value) in headers {
        text.extend([name, ": ", value, "\r\n"]);
    }
    text + "\r\n"
}

/// A file's answer.
pub(crate) struct FileAnswer<'a> {
    pub(crate) content: &'a Content,
    pub(crate) bytes: u64,
    pub(crate) etag: &'a str,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) fault: Option<Fault>,
    /// Bytes a second that every body is held to.
    pub(crate) rate: Option<u64>,
    pub(crate) sent: &'a Sent,
}

/// Bytes of files that went out so far.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    bytes: Mutex<u64>,
    grew: Condvar,
}

impl Sent {
    fn add(&self, n: u64) {
        *self.bytes.lock().unwrap_or_else(PoisonError::into_inner) += n;
        self.grew.notify_all();
    }

    pub(crate) fn bytes(&self) -> u64 {
        *self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn wait(&self, bytes: u64, limit: Duration) -> bool {
        let held = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let result = self.grew.wait_timeout_while(held, limit, |sent| *sent < bytes);
        *result.unwrap_or_else(PoisonError::into_inner).0 >= bytes
    }
}

/// Whether the connection can be used again.
pub(crate) enum After {
    /// It can.
    Open,
    /// The fault closes it.
    Close,
    /// The fault holds it open without another byte.
    Hold,
}

impl FileAnswer<'_> {
    /// Sends what was asked for, range and fault honoured.
    pub(crate) fn send(mut self, stream: &mut TcpStream, request: &Request) -> io::Result<After> {
        let is_fresh = request.header("if-range").is_none_or(|tag| tag.trim_matches('"') == self.etag);
        let asked = request.range(self.bytes).filter(|_| is_fresh && self.fault != Some(Fault::NoRange));
        let status = if asked.is_some() { 206 } else { 200 };
        let range = match asked {
            Some(Err(())) => {
                let answer = Answer::new(416).with("Content-Range", format!("bytes */{}", self.bytes));
                answer.send(stream, request.method == "HEAD")?;
                return Ok(After::Open);
            }
            Some(Ok(range)) => {
                let shift = u64::from(self.fault == Some(Fault::WrongRange));
                let shown = format!("bytes {}-{}/{}", range.start + shift, range.end - 1 + shift, self.bytes);
                self.headers.push(("Content-Range", shown));
                range
            }
            None => 0..self.bytes,
        };
        self.headers.push(("ETag", format!("\"{}\"", self.etag)));
        self.headers.push(("Accept-Ranges", "bytes".to_owned()));
        let length = range.end - range.start;
        let told = match self.fault {
            Some(Fault::WrongLength(by)) => length.saturating_add_signed(by),
            _ => length,
        };
        stream.write_all(head(status, &self.headers, told).as_bytes())?;
        if request.method == "HEAD" {
            return Ok(After::Open);
        }
        self.send_body(stream, range)
    }

    fn send_body(&self, stream: &mut TcpStream, range: Range<u64>) -> io::Result<After> {
        let length = range.end - range.start;
        let mut source = self.content.open(range.start)?;
        match self.fault {
            Some(Fault::Cut(n)) => {
                pass(&mut source, stream, n.min(length), self.rate, self.sent)?;
                return Ok(After::Close);
            }
            Some(Fault::Stall(n)) => {
                pass(&mut source, stream, n.min(length), self.rate, self.sent)?;
                return Ok(After::Hold);
            }
            Some(Fault::WrongLength(_)) => {
                pass(&mut source, stream, length, self.rate, self.sent)?;
                return Ok(After::Close);
            }
            Some(Fault::WrongByte(at)) if range.contains(&at) => {
                pass(&mut source, stream, at - range.start, self.rate, self.sent)?;
                let mut byte = [0];
                source.read_exact(&mut byte)?;
                stream.write_all(&[!byte[0]])?;
                pass(&mut source, stream, range.end - at - 1, self.rate, self.sent)?;
            }
            Some(Fault::Slow(rate)) => pass(&mut source, stream, length, Some(rate), self.sent)?,
            _ => pass(&mut source, stream, length, self.rate, self.sent)?,
        }
        Ok(After::Open)
    }
}

/// Sends the next `n` bytes of a file from the page cache without a copy, which `io::copy` does not do for sockets.
#[cfg(target_os = "linux")]
fn hand_over(file: &mut File, stream: &mut TcpStream, n: u64) -> io::Result<u64> {
    let mut rest = n;
    while rest > 0 {
        // The kernel sends at most 2 GiB at a time.
        let went = rustix::fs::sendfile(&*stream, &*file, None, rest.min(1 << 30) as usize)?;
        if went == 0 {
            break;
        }
        rest -= went as u64;
    }
    Ok(n - rest)
}

/// Sends the next `n` bytes of a file.
#[cfg(not(target_os = "linux"))]
fn hand_over(file: &mut File, stream: &mut TcpStream, n: u64) -> io::Result<u64> {
    io::copy(&mut file.take(n), stream)
}

/// Sends `n` bytes. At full speed those of a file go from the page cache to the socket inside the kernel.
fn pass(source: &mut Source, stream: &mut TcpStream, n: u64, rate: Option<u64>, sent: &Sent) -> io::Result<()> {
    let Some(rate) = rate else {
        let went = match source {
            Source::Disk(file) => hand_over(file, stream, n)?,
            memory @ Source::Bytes(..) => io::copy(&mut memory.take(n), stream)?,
        };
        sent.add(went);
        return Ok(());
    };
    // A fiftieth of a second's worth at a time.
    let start = Instant::now();
    let mut buffer = vec![0; (rate / 50).clamp(1, 1 << 18) as usize];
    let mut done = 0;
    while done < n {
        let part = buffer.len().min((n - done) as usize);
        source.read_exact(&mut buffer[..part])?;
        stream.write_all(&buffer[..part])?;
        done += part as u64;
        sent.add(part as u64);
        let due = Duration::from_secs_f64(done as f64 / rate.max(1) as f64);
        std::thread::sleep(due.saturating_sub(start.elapsed()));
    }
    Ok(())
}
