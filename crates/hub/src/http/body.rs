//! The content of a file as it comes in.

use std::io::Read as _;
use std::ops::Range;

use ureq::BodyReader;
use ureq::http::{HeaderMap, header};

use super::{Answer, answer, host, shown, wire};
use crate::error::HubError;
use crate::listing::RemoteFile;
use crate::stop::Stop;

/// A file, or a part of it, on its way in.
pub struct Body {
    stream: Stream,
    /// Which bytes of the file come. The whole file when a server does not know parts, whatever was asked for.
    pub range: Range<u64>,
}

impl Body {
    /// Checks that the answer is what was asked for.
    pub(super) fn new(answer: Answer, file: &RemoteFile, asked: Option<Range<u64>>) -> Result<Self, HubError> {
        let refuse = |reason: String| HubError::BadAnswer { url: shown(&answer.uri), reason };
        let headers = answer.response.headers();
        if let Some(coding) = text(headers, header::CONTENT_ENCODING.as_str()).filter(|coding| *coding != "identity") {
            return Err(refuse(format!("it sent the file packed as {coding}")));
        }
        let length = text(headers, header::CONTENT_LENGTH.as_str()).and_then(|digits| digits.parse::<u64>().ok());
        let range = if answer.response.status().as_u16() == 206 {
            let part = text(headers, header::CONTENT_RANGE.as_str()).and_then(content_range);
            let Some((range, total)) = part else {
                return Err(refuse("it does not say which part it sends".to_owned()));
            };
            if asked.is_none_or(|asked| asked.start != range.start || asked.end < range.end) {
                return Err(refuse(format!("it sent bytes {}-{}, which were not asked for", range.start, range.end)));
            }
            if total.is_some_and(|total| total != file.bytes) {
                return Err(refuse(wrong_size(total.unwrap_or(0), file.bytes)));
            }
            range
        } else {
            0..file.bytes
        };
        let expected = range.end - range.start;
        if let Some(length) = length.filter(|length| *length != expected) {
            return Err(refuse(wrong_size(length, expected)));
        }
        Ok(Self { stream: Stream::of(answer), range })
    }

    /// Reads on, as [`read`](std::io::Read::read) does.
    ///
    /// # Errors
    /// [`HubError::Stopped`] soon after the flag is set, [`HubError::Unreachable`] when the connection breaks or falls
    /// silent, also when it ends before the length it has announced.
    pub fn read_on(&mut self, buffer: &mut [u8]) -> Result<usize, HubError> {
        self.stream.read_on(buffer)
    }
}

/// The body of any answer.
struct Stream {
    reader: BodyReader<'static>,
    stop: Stop,
    host: String,
}

impl Stream {
    fn of(answer: Answer) -> Self {
        let host = host(&answer.uri);
        Self { reader: answer.response.into_body().into_reader(), stop: answer.stop, host }
    }

    fn read_on(&mut self, buffer: &mut [u8]) -> Result<usize, HubError> {
        self.stop.check()?;
        let result = wire::watching(&self.stop, || self.reader.read(buffer));
        result.map_err(|error| {
            if self.stop.is_set() { HubError::Stopped } else { answer::lost(self.host.clone(), &error.into()) }
        })
    }
}

impl Answer {
    /// Its body, of which at most the first `limit` bytes are read.
    ///
    /// # Errors
    /// As [`Body::read_on`].
    pub(crate) fn read(self, limit: usize) -> Result<Vec<u8>, HubError> {
        let mut stream = Stream::of(self);
        let (mut bytes, mut buffer) = (Vec::new(), vec![0; 16 << 10]);
        while bytes.len() < limit {
            match stream.read_on(&mut buffer)? {
                0 => break,
                amount => bytes.extend_from_slice(&buffer[..amount]),
            }
        }
        bytes.truncate(limit);
        Ok(bytes)
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Body").field("range", &self.range).finish_non_exhaustive()
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

fn wrong_size(found: u64, expected: u64) -> String {
    format!("it announced {found} bytes where {expected} were expected")
}

/// Reads `bytes FIRST-LAST/TOTAL`, where the total may be `*` (RFC 9110, section 14.4).
fn content_range(text: &str) -> Option<(Range<u64>, Option<u64>)> {
    let (part, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = part.split_once('-')?;
    let (first, last) = (first.trim().parse::<u64>().ok()?, last.trim().parse::<u64>().ok()?);
    let end = last.checked_add(1)?;
    let total = if total == "*" { None } else { Some(total.parse::<u64>().ok()?) };
    (first < end && total.is_none_or(|total| end <= total)).then_some((first..end, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_read_and_nonsense_is_not() {
        assert_eq!(content_range("bytes 2-4/9"), Some((2..5, Some(9))));
        assert_eq!(content_range("bytes 0-0/*"), Some((0..1, None)));
        for bad in ["", "bytes */9", "bytes 5-4/9", "bytes 0-9/9", "bytes 0-18446744073709551615/9", "items 0-1/2"] {
            assert_eq!(content_range(bad), None, "{bad}");
        }
    }
}
