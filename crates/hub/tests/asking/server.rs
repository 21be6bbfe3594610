//! Servers for one test: answers made up by it, and proxies that count.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Runs until the test's process ends.
fn serve(each: impl Fn(TcpStream) -> std::io::Result<()> + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let each = Arc::new(each);
    let accept = move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let each = Arc::clone(&each);
            // A client that goes away is no fault of the server's.
            drop(std::thread::Builder::new().spawn(move || drop(each(stream))));
        }
    };
    drop(std::thread::Builder::new().spawn(accept).unwrap());
    address
}

/// Answers each request with what `answer` makes of its path: header lines, and a body. Returns the endpoint.
pub(crate) fn answering(answer: impl Fn(&str) -> (String, String) + Send + Sync + 'static) -> String {
    let address = serve(move |mut stream| {
        let first = head(&mut stream)?;
        let path = first.split(' ').nth(1).unwrap_or_default();
        let (lines, body) = answer(path);
        let status = if lines.contains("Location:") { "302 Found" } else { "200 OK" };
        send(&mut stream, status, &lines, &body)
    });
    format!("http://{address}")
}

/// Answers every request with the same status and header lines. Returns the endpoint.
pub(crate) fn refusing(status: &'static str, lines: &'static str) -> String {
    let address = serve(move |mut stream| {
        head(&mut stream)?;
        send(&mut stream, status, lines, "")
    });
    format!("http://{address}")
}

fn send(stream: &mut TcpStream, status: &str, lines: &str, body: &str) -> std::io::Result<()> {
    let len = body.len();
    write!(stream, "HTTP/1.1 {status}\r\n{lines}Content-Length: {len}\r\nConnection: close\r\n\r\n{body}")
}

/// A proxy that takes every host to be `target`, and how many connections went through it.
pub(crate) fn connect_proxy(target: String) -> (String, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let address = serve(move |mut stream| {
        if !head(&mut stream)?.starts_with("CONNECT hub.test:") {
            return Ok(());
        }
        counted.fetch_add(1, Ordering::SeqCst);
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
        join(stream, TcpStream::connect(&target)?)
    });
    (address, count)
}

/// The same as a SOCKS 5 proxy that looks names up itself (RFC 1928).
pub(crate) fn socks_proxy(target: String) -> (String, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let address = serve(move |mut stream| {
        let mut greeting = [0; 3];
        stream.read_exact(&mut greeting)?;
        stream.write_all(&[5, 0])?;
        let mut request = [0; 5];
        stream.read_exact(&mut request)?;
        let mut name = vec![0; usize::from(request[4]) + 2];
        stream.read_exact(&mut name)?;
        if !name.starts_with(b"hub.test") {
            return Ok(());
        }
        counted.fetch_add(1, Ordering::SeqCst);
        stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
        join(stream, TcpStream::connect(&target)?)
    });
    (address, count)
}

/// The first line of a request, which is read to the end of its head.
fn head(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut line = first.clone();
    while line != "\r\n" && !line.is_empty() {
        line.clear();
        reader.read_line(&mut line)?;
    }
    Ok(first)
}

/// Passes bytes on in both directions.
fn join(client: TcpStream, server: TcpStream) -> std::io::Result<()> {
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    let up = std::thread::Builder::new().spawn(move || std::io::copy(&mut from, &mut to))?;
    let (mut from, mut to) = (server, client);
    std::io::copy(&mut from, &mut to)?;
    to.shutdown(std::net::Shutdown::Both)?;
    drop(up.join());
    Ok(())
}
