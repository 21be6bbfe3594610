//! Connections that can be given up at any moment.
//!
//! A connector chain for ureq: socks or CONNECT proxy or plain TCP, below TLS. Reads return to our code every
//! [`TICK`] to look at the stop flag of the request, and end when no byte came in for the stall time. Looking up names
//! and connecting happen on a thread of their own, which is left behind when it takes too long.
//!
//! Which flag that is, is known to the thread rather than to the connection: ureq pools connections, and one of them
//! serves requests with different flags. A request is sent and its body read by whoever asked.

use std::cell::RefCell;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::time::Duration as Limit;
use ureq::unversioned::transport::{
    Buffers, ConnectProxyConnector, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, RustlsConnector,
    SocksConnector, Transport,
};
use ureq::{Agent, Error};

use crate::stop::Stop;

/// How long a set flag may go unseen.
const TICK: Duration = Duration::from_millis(250);

/// ureq keeps at most this many addresses of a host.
const MAX_ADDRESSES: usize = 16;

/// An agent whose connections obey the flag given to [`watching`].
pub(super) fn agent(config: Config) -> Agent {
    let chain =
        ().chain(SocksConnector::default())
            .chain(Watch)
            .chain(ConnectProxyConnector::default())
            .chain(Dial)
            .chain(RustlsConnector::default());
    Agent::with_parts(config, chain, Lookup)
}

thread_local! {
    static STOP: RefCell<Option<Stop>> = const { RefCell::new(None) };
}

/// Does some work with ureq on this thread, which ends with an error soon after the flag is set.
pub(super) fn watching<T>(stop: &Stop, work: impl FnOnce() -> T) -> T {
    struct Restore(Option<Stop>);
    impl Drop for Restore {
        fn drop(&mut self) {
            STOP.replace(self.0.take());
        }
    }
    let _restore = Restore(STOP.replace(Some(stop.clone())));
    work()
}

fn is_stopped() -> bool {
    STOP.with_borrow(|stop| stop.as_ref().is_some_and(Stop::is_set))
}

/// What a connection ends with once the flag is set; callers see the flag, so this text is never shown.
fn stopped() -> Error {
    Error::Other("stopped".into())
}

/// Does on a thread of its own what cannot be interrupted, and leaves it behind on a set flag or after `limit`.
fn aside<T: Send + 'static>(
    limit: NextTimeout,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let started = Instant::now();
    let (sender, receiver) = sync_channel(1);
    // When nobody waits any more the result is dropped, and with it the connection.
    std::thread::Builder::new().name("hub-connect".to_owned()).spawn(move || sender.send(work()).ok())?;
    loop {
        if is_stopped() {
            return Err(stopped());
        }
        let left = left_of(limit.after, started);
        if left.is_zero() {
            return Err(Error::Timeout(limit.reason));
        }
        match receiver.recv_timeout(left.min(TICK)) {
            Ok(result) => return result,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(Error::ConnectionFailed),
        }
    }
}

fn left_of(limit: Limit, started: Instant) -> Duration {
    if limit.is_not_happening() { TICK } else { limit.saturating_sub(started.elapsed()) }
}

/// Looks names up.
#[derive(Debug)]
struct Lookup;

impl Resolver for Lookup {
    fn resolve(&self, uri: &Uri, _: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let host = uri.host().ok_or(Error::HostNotFound)?.trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().or(match uri.scheme_str() {
            Some("http") => Some(80),
            Some("https") => Some(443),
            Some(_) => Some(1080),
            None => None,
        });
        let port = port.ok_or(Error::HostNotFound)?;
        let found = aside(timeout, move || {
            (host.as_str(), port)
                .to_socket_addrs()
                .map(Iterator::collect::<Vec<_>>)
                .map_err(|_unknown| Error::HostNotFound)
        })?;
        let mut addresses = self.empty();
        for address in found.into_iter().take(MAX_ADDRESSES) {
            addresses.push(address);
        }
        if addresses.is_empty() { Err(Error::HostNotFound) } else { Ok(addresses) }
    }
}

/// Opens a connection unless a proxy has already done so.
#[derive(Debug)]
struct Dial;

impl<In: Transport> Connector<In> for Dial {
    type Out = Either<In, Watched<Wire>>;

    fn connect(&self, details: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        if let Some(transport) = chained {
            return Ok(Some(Either::A(transport)));
        }
        let addresses = details.addrs.iter().copied().collect::<Vec<_>>();
        let limit = *details.timeout.after;
        let stream = aside(details.timeout, move || dial(&addresses, limit).map_err(Error::Io))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TICK))?;
        let buffers = LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(Either::B(Watched(Wire { stream, buffers }))))
    }
}

/// Tries addresses in turn. Each but the last gets half of the time that is left, so that one that swallows packets, as
/// broken IPv6 does, leaves time for the others.
fn dial(addresses: &[SocketAddr], limit: Duration) -> std::io::Result<TcpStream> {
    let started = Instant::now();
    let mut failure = std::io::Error::from(ErrorKind::AddrNotAvailable);
    for (idx, address) in addresses.iter().enumerate() {
        let left = limit.saturating_sub(started.elapsed()).max(Duration::from_millis(10));
        let share = if idx + 1 == addresses.len() { left } else { left / 2 };
        match TcpStream::connect_timeout(address, share) {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// A TCP connection, read for at most [`TICK`] at a time.
#[derive(Debug)]
struct Wire {
    stream: TcpStream,
    buffers: LazyBuffers,
}

impl Transport for Wire {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let limit = timeout.for_write();
        let time = if limit.after.is_not_happening() { None } else { Some((*limit.after).max(TICK)) };
        self.stream.set_write_timeout(time)?;
        self.stream
            .write_all(&self.buffers.output()[..amount])
            .map_err(|error| if is_timeout(&error) { Error::Timeout(limit.reason) } else { Error::Io(error) })
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let amount = loop {
            match self.stream.read(self.buffers.input_append_buf()) {
                Ok(amount) => break amount,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) => return Err(Error::Timeout(timeout.reason)),
                Err(error) => return Err(Error::Io(error)),
            }
        };
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        // Of an idle connection nothing may be there to read: neither bytes nor its end.
        if self.stream.set_nonblocking(true).is_err() {
            return false;
        }
        let is_quiet = matches!(self.stream.peek(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock);
        is_quiet && self.stream.set_nonblocking(false).is_ok()
    }
}

/// Systems disagree about the name of a read that took too long.
fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Watches the connections that a socks proxy has opened; those of [`Dial`] are watched from the start.
#[derive(Debug)]
struct Watch;

impl<In: Transport> Connector<In> for Watch {
    type Out = Watched<In>;

    fn connect(&self, _: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        Ok(chained.map(Watched))
    }
}

/// Looks at the stop flag between short reads.
#[derive(Debug)]
struct Watched<T>(T);

impl<T: Transport> Transport for Watched<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.0.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if is_stopped() {
            return Err(stopped());
        }
        self.0.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let started = Instant::now();
        let limit = timeout.for_read();
        loop {
            if is_stopped() {
                return Err(stopped());
            }
            if left_of(limit.after, started).is_zero() {
                return Err(Error::Timeout(limit.reason));
            }
            // Always the same time, so that a read costs no second system call to set it.
            let tick = NextTimeout { after: TICK.into(), reason: limit.reason, per_read: None, per_write: None };
            match self.0.await_input(tick) {
                Err(Error::Timeout(_)) => {}
                result => return result,
            }
        }
    }

    fn is_open(&mut self) -> bool {
        self.0.is_open()
    }

    fn is_tls(&self) -> bool {
        self.0.is_tls()
    }
}
