//! A hub on loopback for tests.
//!
//! It answers as the real one does where it matters to a client: listings in pages, errors with their codes, large
//! files by redirect to signed addresses of another host (here another port) that refuses tokens, ranges, and
//! connections that stay open. Every fault a network can have is there on demand ([`Fault`]), and every request is
//! kept for the test to look at.
//!
//! Reading order: [`HubServer`], `repo` (what it holds), `api` (its answers), `http`, `fault`.

mod api;
mod fault;
mod http;
mod repo;

use std::io::{self, BufReader};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub use crate::fault::Fault;
pub use crate::http::Request;
pub use crate::repo::{Content, Repo};

use crate::api::Reply;
use crate::fault::Trap;
use crate::http::{After, Answer, FileAnswer, Sent};

/// What the server knows.
#[derive(Debug, Default)]
struct State {
    /// By id; the newest last, so that a name leads to the newest commit that bears it.
    repos: Vec<(String, Repo)>,
    /// Tokens and whose they are.
    tokens: Vec<(String, String)>,
    traps: Vec<Trap>,
    log: Vec<Request>,
    /// Entries on one page of a listing.
    page_len: usize,
    /// Bytes a second of each body.
    rate: Option<u64>,
    /// Signatures of former epochs have expired.
    epoch: u32,
    sent: Arc<Sent>,
}

/// One port.
struct Port {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// A running server; it ends when dropped.
pub struct HubServer {
    state: Arc<Mutex<State>>,
    open: Arc<Mutex<Vec<TcpStream>>>,
    hub: Port,
    storage: Port,
}

impl HubServer {
    /// Starts it on two free ports of loopback.
    ///
    /// # Panics
    /// If loopback cannot be listened on.
    pub fn start() -> Self {
        Self::start_on(0)
    }

    /// The same with a port of one's choice for the hub; 0 takes a free one.
    ///
    /// # Panics
    /// If the port cannot be listened on.
    pub fn start_on(port: u16) -> Self {
        let state = Arc::new(Mutex::new(State { page_len: 50, ..State::default() }));
        let open = Arc::new(Mutex::new(Vec::new()));
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let storage = Port::listen(any, None, &state, &open);
        let host = format!("http://{}", storage.address);
        let hub = Port::listen(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), Some(host), &state, &open);
        Self { state, open, hub, storage }
    }

    /// Its address, as `HF_ENDPOINT` takes it.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.hub.address)
    }

    /// Where the redirects of large files lead, `HOST:PORT`.
    pub fn storage_host(&self) -> String {
        self.storage.address.to_string()
    }

    /// Publishes a repository; the same id again adds a commit, which takes the revision names over.
    pub fn add_repo(&self, id: &str, repo: Repo) {
        self.lock().repos.push((id.to_owned(), repo));
    }

    /// Makes a token known; others are refused.
    pub fn add_token(&self, token: &str, user: &str) {
        self.lock().tokens.push((token.to_owned(), user.to_owned()));
    }

    /// Sets a fault for the next `times` answers about a file, or about addresses that begin with `place` if that begins
    /// with `/`. Faults of the same place strike in the order in which they were set.
    pub fn fault(&self, place: &str, fault: Fault, times: usize) {
        self.lock().traps.push(Trap { place: place.to_owned(), fault, times });
    }

    /// Takes back all faults that have not struck.
    pub fn clear_faults(&self) {
        self.lock().traps.clear();
    }

    /// Holds every body to so many bytes a second.
    pub fn set_rate(&self, bytes_per_sec: Option<u64>) {
        self.lock().rate = bytes_per_sec;
    }

    /// Sets how many entries one page of a listing has; 50 at the start.
    pub fn set_page_len(&self, entries: usize) {
        self.lock().page_len = entries;
    }

    /// All signed addresses handed out so far expire.
    pub fn expire(&self) {
        self.lock().epoch += 1;
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.lock().log.clone()
    }

    /// Forgets the requests so far.
    pub fn clear_requests(&self) {
        self.lock().log.clear();
    }

    /// Bytes of files that went out so far; of a file that is sent at full speed they count once all went out.
    pub fn sent_bytes(&self) -> u64 {
        let sent = Arc::clone(&self.lock().sent);
        sent.bytes()
    }

    /// Waits until so many bytes of files went out in all; `false` when that takes longer than `limit`.
    pub fn wait_sent(&self, bytes: u64, limit: Duration) -> bool {
        let sent = Arc::clone(&self.lock().sent);
        sent.wait(bytes, limit)
    }

    /// Cuts all connections and refuses new ones, until [`Self::come_back`].
    pub fn go_down(&mut self) {
        self.hub.close();
        self.storage.close();
        for stream in lock(&self.open).drain(..) {
            // It may be closed already.
            drop(stream.shutdown(Shutdown::Both));
        }
    }

    /// Listens again, on the same ports.
    ///
    /// # Panics
    /// If another program has taken a port meanwhile.
    pub fn come_back(&mut self) {
        self.storage = Port::listen(self.storage.address, None, &self.state, &self.open);
        let host = format!("http://{}", self.storage.address);
        self.hub = Port::listen(self.hub.address, Some(host), &self.state, &self.open);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Drop for HubServer {
    fn drop(&mut self) {
        self.go_down();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Port {
    /// `storage` is the other port's address, given to the hub alone.
    fn listen(
        at: SocketAddr,
        storage: Option<String>,
        state: &Arc<Mutex<State>>,
        open: &Arc<Mutex<Vec<TcpStream>>>,
    ) -> Self {
        let listener = TcpListener::bind(at).expect("loopback can be listened on");
        let address = listener.local_addr().expect("a bound socket has an address");
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, state, open) = (Arc::clone(&stop), Arc::clone(state), Arc::clone(open));
        let accept = move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                if let Ok(kept) = stream.try_clone() {
                    lock(&open).push(kept);
                }
                let (state, storage, open) = (Arc::clone(&state), storage.clone(), Arc::clone(&open));
                let serve = move || {
                    // A client that goes away is no fault of the server's.
                    let peer = stream.peer_addr();
                    drop(serve(stream, storage.as_deref(), &state));
                    lock(&open).retain(|kept| kept.peer_addr().ok() != peer.as_ref().ok().copied());
                };
                drop(thread::Builder::new().name("hub-client".to_owned()).spawn(serve));
            }
        };
        let thread = thread::Builder::new().name("hub-server".to_owned()).spawn(accept).ok();
        Self { address, stop, thread }
    }

    fn close(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // Wakes the listener.
            drop(TcpStream::connect(self.address));
            drop(thread.join());
        }
    }
}

/// Answers the requests of one connection.
fn serve(mut stream: TcpStream, storage: Option<&str>, state: &Mutex<State>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some(request) = http::read_request(&mut reader, storage.is_none())? {
        match answer(&mut stream, &request, storage, state)? {
            After::Open => {}
            After::Close => return stream.shutdown(Shutdown::Both),
            After::Hold => {
                // Until the client closes it.
                while http::read_request(&mut reader, true)?.is_some() {}
                return Ok(());
            }
        }
    }
    Ok(())
}

fn answer(stream: &mut TcpStream, request: &Request, storage: Option<&str>, state: &Mutex<State>) -> io::Result<After> {
    let is_head = request.method == "HEAD";
    let (fault, body_fault, reply, rate, sent) = {
        let mut state = lock(state);
        state.log.push(request.clone());
        let file = state.file_of(request).map(str::to_owned);
        let mut spring = |body| fault::spring(&mut state.traps, file.as_deref(), &request.path, body);
        let fault = storage.and_then(|_| spring(None));
        let reply = match storage {
            Some(host) => state.hub(request, host),
            None => state.storage(request),
        };
        let body = match &reply {
            Reply::File(file, _) if !is_head && fault.is_none() => {
                Some(request.range(file.bytes).and_then(Result::ok).unwrap_or(0..file.bytes))
            }
            _ => None,
        };
        let body_fault =
            body.and_then(|body| fault::spring(&mut state.traps, file.as_deref(), &request.path, Some(&body)));
        (fault, body_fault, reply, state.rate, Arc::clone(&state.sent))
    };
    match fault {
        Some(Fault::Hangup) => return Ok(After::Close),
        Some(Fault::Late(by)) => thread::sleep(by.min(Duration::from_mins(1))),
        Some(Fault::Status(status)) => {
            Answer::error(status, "", "A fault that was asked for").send(stream, is_head)?;
            return Ok(After::Open);
        }
        Some(Fault::TooMany(secs)) => {
            let answer = Answer::error(429, "", "Too many requests").with("Retry-After", secs.to_string());
            answer.send(stream, is_head)?;
            return Ok(After::Open);
        }
        _ => {}
    }
    match (reply, body_fault) {
        (Reply::File(..), Some(Fault::StorageStatus(status))) => {
            Answer::error(status, "", "A fault that was asked for").send(stream, is_head)?;
            Ok(After::Open)
        }
        (Reply::File(file, headers), fault) => {
            let answer = FileAnswer {
                content: &file.content,
                bytes: file.bytes,
                etag: file.etag(),
                headers,
                fault,
                rate,
                sent: &sent,
            };
            answer.send(stream, request)
        }
        (Reply::Answer(answer), _) => answer.send(stream, is_head).map(|()| After::Open),
    }
}
