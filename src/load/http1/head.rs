//! The head of a response: its status, and what it says of the body and the connection.
//!
//! The syntax is checked by `httparse`, which hyper's client and server use too.

use std::mem::MaybeUninit;

use httparse::{Header, ParserConfig, Response, Status};

use super::framing::{Framing, FramingError, Lengths};

/// More header lines are refused.
const MOST_LINES: usize = 100;
/// A name from this length on is refused, as one that no header map takes.
const MOST_NAME_BYTES: usize = 1 << 16;

/// What a request asked for, as far as it decides whether a body follows (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// The head alone.
    Head,
    /// A tunnel.
    Connect,
    /// A response with its body.
    Whole,
}

/// The head of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The status, 100 to 999.
    pub status: u16,
    /// The bytes that it takes, blank lines before it and the one behind it included.
    pub length: usize,
    /// Where the body ends.
    pub framing: Framing,
    /// Whether another request may follow on the connection.
    pub keeps_open: bool,
}

/// Why bytes are not the head of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// Something in it breaks the grammar.
    #[error("the response is not HTTP/1.1: {0}")]
    Syntax(#[from] httparse::Error),
    /// The status is below 100.
    #[error("the response is not HTTP/1.1: its status is {0:03}")]
    Status(u16),
    /// A name is longer than any header's.
    #[error("the name of a header is longer than 64 KiB")]
    LongName,
    /// It can't be told where the body ends.
    #[error("it can't be told where the response ends: {0}")]
    Framing(#[from] FramingError),
}

impl Head {
    /// Reads the head that `bytes` begin with; `None` where its end is still to come.
    ///
    /// # Errors
    /// The bytes are no head, whatever follows.
    pub fn parse(bytes: &[u8], asked: Asked) -> Result<Option<Self>, HeadError> {
        let mut lines = [const { MaybeUninit::uninit() }; MOST_LINES];
        let mut response = Response::new(&mut []);
        let parsed = ParserConfig::default().parse_response_with_uninit_headers(
            &mut response,
            bytes,
            &mut lines,
        );
        let Status::Complete(length) = parsed? else {
            return Ok(None);
        };
        // Both are there when the head is whole.
        let (status, minor) = (
            response.code.unwrap_or_default(),
            response.version.unwrap_or_default(),
        );
        if status < 100 {
            return Err(HeadError::Status(status));
        }
        let lines = &*response.headers;
        if lines.iter().any(|line| line.name.len() >= MOST_NAME_BYTES) {
            return Err(HeadError::LongName);
        }
        let mut said = Said::new(minor == 1);
        for line in lines {
            said.take(line);
        }
        Ok(Some(Self {
            status,
            length,
            framing: said.framing(status, asked)?,
            keeps_open: said.keeps_open && !switches(status, asked),
        }))
    }

    /// Whether the response proper is still to come (RFC 9110 §15.2).
    pub fn is_informational(&self) -> bool {
        self.status < 200 && self.status != 101
    }

    /// Whether the end of a head may lie in `bytes`, of which the first `known` were looked through before: a
    /// head that comes in pieces is parsed once.
    pub fn may_end_in(bytes: &[u8], known: usize) -> bool {
        let rest = &bytes[known.saturating_sub(3).min(bytes.len())..];
        memchr::memchr_iter(b'\n', rest)
            .any(|at| matches!(rest[at + 1..], [b'\n', ..] | [b'\r', b'\n', ..]))
    }
}

/// Whether what follows is another protocol's.
fn switches(status: u16, asked: Asked) -> bool {
    status == 101 || asked == Asked::Connect && (200..300).contains(&status)
}

/// What header lines say of the body and the connection.
struct Said {
    is_current: bool,
    lengths: Lengths,
    closes: bool,
    keeps_open: bool,
}

impl Said {
    /// Before the first line; `is_current` is HTTP/1.1, otherwise it is HTTP/1.0.
    fn new(is_current: bool) -> Self {
        Self {
            is_current,
            lengths: Lengths::default(),
            closes: false,
            keeps_open: is_current,
        }
    }

    fn take(&mut self, line: &Header<'_>) {
        // By length first: hardly any name needs to be compared.
        match line.name.len() {
            10 if line.name.eq_ignore_ascii_case("connection") => {
                self.closes |= lists(line.value, "close");
                self.keeps_open |= lists(line.value, "keep-alive");
                self.keeps_open &= !self.closes;
            }
            14 if line.name.eq_ignore_ascii_case("content-length") => {
                self.lengths.take_length(line.value);
            }
            17 if line.name.eq_ignore_ascii_case("transfer-encoding") => {
                self.lengths.take_codings(line.value);
            }
            _ => {}
        }
    }

    /// RFC 9112 §6.3: where a status or a request has no body, whatever is said of one does not matter.
    fn framing(&self, status: u16, asked: Asked) -> Result<Framing, FramingError> {
        if matches!(status, 100..200 | 204 | 304) || asked == Asked::Head || switches(status, asked)
        {
            return Ok(Framing::Empty);
        }
        self.lengths.framing(self.is_current)
    }
}

/// Whether a list holds a word, whatever its case; one that is not in plain ASCII holds none.
fn lists(values: &[u8], word: &str) -> bool {
    let is_plain = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~');
    let mut words = values.split(|&byte| byte == b',');
    words.any(|found| found.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
        && values.iter().all(is_plain)
}
