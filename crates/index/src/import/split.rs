//! Rows of a JSON file, one at a time and bounded, without parsing them: lines, or the values of an array or of a
//! sequence of indented objects.

use std::io::{self, BufRead};

use super::bytes::{MAX_ROW, too_large};

/// How rows are told from one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A line each. A line that makes no sense costs only itself.
    Lines,
    /// Values one after the other, inside an array or not, over any number of lines.
    Values,
}

/// Takes the next row into `row`; `false` at the end of the file.
pub(super) fn next_row(source: &mut impl BufRead, shape: Shape, row: &mut Vec<u8>) -> io::Result<bool> {
    match shape {
        Shape::Lines => next_line(source, row),
        Shape::Values => next_value(source, row),
    }
}

fn next_line(source: &mut impl BufRead, row: &mut Vec<u8>) -> io::Result<bool> {
    row.clear();
    loop {
        let buffer = source.fill_buf()?;
        if buffer.is_empty() {
            return Ok(!row.trim_ascii().is_empty());
        }
        let end = buffer.iter().position(|&byte| byte == b'\n');
        let taken = end.unwrap_or(buffer.len());
        push(row, &buffer[..taken])?;
        source.consume(taken + usize::from(end.is_some()));
        if end.is_some() {
            if !row.trim_ascii().is_empty() {
                return Ok(true);
            }
            row.clear();
        }
    }
}

/// An object with all in its braces. Whatever stands between objects is passed over.
fn next_value(source: &mut impl BufRead, row: &mut Vec<u8>) -> io::Result<bool> {
    row.clear();
    let (mut depth, mut in_string, mut escaped) = (0_u32, false, false);
    loop {
        let buffer = source.fill_buf()?;
        if buffer.is_empty() {
            return if depth == 0 { Ok(false) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
        let (mut start, mut end) = (if depth == 0 { None } else { Some(0) }, None);
        for (at, &byte) in buffer.iter().enumerate() {
            if in_string {
                in_string = escaped || byte != b'"';
                escaped = !escaped && byte == b'\\';
                continue;
            }
            match byte {
                b'"' if depth > 0 => in_string = true,
                b'{' => {
                    start = start.or(Some(at));
                    depth += 1;
                }
                b'}' if depth > 0 => {
                    depth -= 1;
                    if depth == 0 {
                        end = Some(at + 1);
                        break;
                    }
                }
                _ => {}
            }
        }
        let taken = end.unwrap_or(buffer.len());
        if let Some(start) = start {
            push(row, &buffer[start..taken])?;
        }
        source.consume(taken);
        if end.is_some() {
            return Ok(true);
        }
    }
}

fn push(row: &mut Vec<u8>, bytes: &[u8]) -> io::Result<()> {
    if (row.len() + bytes.len()) as u64 > MAX_ROW {
        return Err(too_large(format!("one of its rows is longer than {} MB", MAX_ROW >> 20)));
    }
    row.extend_from_slice(bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str, shape: Shape, capacity: usize) -> (Vec<String>, bool) {
        let mut source = io::BufReader::with_capacity(capacity, text.as_bytes());
        let (mut row, mut rows) = (Vec::new(), Vec::new());
        loop {
            match next_row(&mut source, shape, &mut row) {
                Ok(true) => rows.push(String::from_utf8(row.clone()).unwrap()),
                Ok(false) => return (rows, true),
                Err(_) => return (rows, false),
            }
        }
    }

    #[test]
    fn lines_and_values_are_found_however_the_bytes_arrive() {
        for capacity in [1, 2, 3, 7, 1024] {
            let lines = rows("{\"a\":1}\r\n\n  \n{\"b\"\nlast", Shape::Lines, capacity);
            assert_eq!(lines, (vec!["{\"a\":1}\r".to_owned(), "{\"b\"".to_owned(), "last".to_owned()], true));
            let text = "[ {\"a\": \"}\\\"{\", \"b\": {\"c\": []}},\n{\n} ] {\"x\":1}";
            let values = rows(text, Shape::Values, capacity);
            let expected = ["{\"a\": \"}\\\"{\", \"b\": {\"c\": []}}", "{\n}", "{\"x\":1}"].map(str::to_owned).to_vec();
            assert_eq!(values, (expected, true));
            assert_eq!(rows("[{\"a\":1},{\"b\":", Shape::Values, capacity), (vec!["{\"a\":1}".to_owned()], false));
        }
    }
}
