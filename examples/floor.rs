//! The floor under every HTTP client: what the kernel takes for a request, and next to nothing else.
//!
//! One thread, one epoll, one `send` and one `recv` a request; of a response only the length of its head and
//! the value of its `Content-Length` are looked at. `scripts/bench-peers` runs it beside the real clients:
//!
//!     cargo run --release --example floor -- 127.0.0.1:8080 HOST CONNECTIONS REQUESTS [--fresh]
//!
//! With `--fresh` every request has a connection of its own and says `Connection: close`.

use std::env;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use memchr::memmem::Finder;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

const USAGE: &str = "floor ADDRESS HOST CONNECTIONS REQUESTS [--fresh]";

/// What the arguments ask for.
struct Options {
    address: SocketAddr,
    request: Vec<u8>,
    connections: usize,
    requests: u64,
    is_fresh: bool,
}

impl Options {
    fn parse(arguments: &[String]) -> Option<Self> {
        let (arguments, is_fresh) = match arguments {
            [first @ .., last] if last == "--fresh" => (first, true),
            all => (all, false),
        };
        let [address, host, connections, requests] = arguments else {
            return None;
        };
        let close = if is_fresh {
            "Connection: close\r\n"
        } else {
            ""
        };
        Some(Self {
            address: address.parse().ok()?,
            request: format!("GET / HTTP/1.1\r\nHost: {host}\r\n{close}\r\n").into_bytes(),
            connections: connections.parse().ok()?,
            requests: requests.parse().ok()?,
            is_fresh,
        })
    }
}

/// Finds where a response ends.
struct Framing {
    head_end: Finder<'static>,
    length: Finder<'static>,
}

impl Framing {
    fn new() -> Self {
        Self {
            head_end: Finder::new("\r\n\r\n"),
            length: Finder::new("\r\nContent-Length: "),
        }
    }

    /// The length of the response that `bytes` begin with, once its head is there.
    fn response_length(&self, bytes: &[u8]) -> io::Result<Option<usize>> {
        let Some(end) = self.head_end.find(bytes) else {
            return Ok(None);
        };
        let no_length = || io::Error::other("a response without Content-Length");
        let at = self.length.find(&bytes[..end]).ok_or_else(no_length)?;
        let digits = bytes[at + self.length.needle().len()..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit());
        let length = digits.fold(0, |length, digit| 10 * length + usize::from(digit - b'0'));
        Ok(Some(end + 4 + length))
    }
}

/// The requests still to be sent, and the responses still to come.
struct Budget {
    unsent: u64,
    unanswered: u64,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let Some(options) = Options::parse(&arguments) else {
        return fail(USAGE);
    };
    match run(&options) {
        Ok(()) => {
            say(&format!("{} responses", options.requests));
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error.to_string()),
    }
}

fn run(options: &Options) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let framing = Framing::new();
    let mut budget = Budget {
        unsent: options.requests,
        unanswered: options.requests,
    };
    let mut buffer = vec![0; 64 * 1024];
    let mut connections: Vec<Option<Connection>> = Vec::new();
    for _ in 0..options
        .connections
        .min(usize::try_from(options.requests).unwrap_or(usize::MAX))
    {
        let connection = Connection::open(options, &poll, Token(connections.len()))?;
        connections.push(Some(connection));
    }
    while budget.unanswered > 0 {
        poll.poll(&mut events, None)?;
        for event in &events {
            let slot = &mut connections[event.token().0];
            let Some(connection) = slot else { continue };
            if !connection.is_busy && event.is_writable() {
                connection.send(options, &mut budget)?;
            }
            if !event.is_readable() || !connection.receive(&framing, &mut buffer)? {
                continue;
            }
            budget.unanswered -= 1;
            if !options.is_fresh {
                connection.send(options, &mut budget)?;
            } else if budget.unsent > 0 {
                // The old socket is closed first.
                *slot = None;
                *slot = Some(Connection::open(options, &poll, event.token())?);
            } else {
                *slot = None;
            }
        }
    }
    Ok(())
}

struct Connection {
    stream: TcpStream,
    /// Whether a request is out.
    is_busy: bool,
    /// What has come of a response that did not come in one piece.
    part: Vec<u8>,
}

impl Connection {
    fn open(options: &Options, poll: &Poll, token: Token) -> io::Result<Self> {
        let mut stream = TcpStream::connect(options.address)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut stream, token, interest)?;
        Ok(Self {
            stream,
            is_busy: false,
            part: Vec::new(),
        })
    }

    fn send(&mut self, options: &Options, budget: &mut Budget) -> io::Result<()> {
        if budget.unsent == 0 {
            return Ok(());
        }
        budget.unsent -= 1;
        self.is_busy = true;
        // A request fits any socket's buffer.
        self.stream.write_all(&options.request)
    }

    /// Whether the response is whole.
    fn receive(&mut self, framing: &Framing, buffer: &mut [u8]) -> io::Result<bool> {
        let count = match self.stream.read(buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        };
        let bytes = if self.part.is_empty() {
            &buffer[..count]
        } else {
            self.part.extend_from_slice(&buffer[..count]);
            &self.part
        };
        let is_whole = framing
            .response_length(bytes)?
            .is_some_and(|length| bytes.len() >= length);
        if is_whole {
            self.part.clear();
            self.is_busy = false;
        } else if self.part.is_empty() {
            self.part.extend_from_slice(&buffer[..count]);
        }
        Ok(is_whole)
    }
}

fn fail(message: &str) -> ExitCode {
    say(message);
    ExitCode::FAILURE
}

#[expect(clippy::print_stderr, reason = "an example says how it went")]
fn say(message: &str) {
    eprintln!("floor: {message}");
}
