//! What one request told us: which pod answered with what status, or how it failed.
//!
//! A failed request is data, counted by kind; it is never only logged.

use std::fmt;
use std::time::Duration;

pub mod status;

/// An interned pod name: an index into the run's pod registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodId(pub u16);

/// How a request failed to become a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Failure {
    /// The target's name has no address.
    Resolve,
    /// The dial was refused, was unreachable, or ran into its own time limit.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// No complete response within the time allowed for one exchange.
    Timeout,
    /// The peer reset the connection, or closed it without answering.
    Reset,
    /// What came back is not HTTP.
    Protocol,
    /// The response head arrived and its body broke off.
    Body,
    /// This machine ran out of something (ports, file descriptors, memory).
    Local,
    /// The user quit before the answer came.
    Abandoned,
}

impl Failure {
    /// Every kind, in the order in which reports list them.
    pub const ALL: [Self; 9] = [
        Self::Resolve,
        Self::Connect,
        Self::Tls,
        Self::Timeout,
        Self::Reset,
        Self::Protocol,
        Self::Body,
        Self::Local,
        Self::Abandoned,
    ];

    /// The name that reports use, in `snake_case`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Protocol => "protocol",
            Self::Body => "body",
            Self::Local => "local",
            Self::Abandoned => "abandoned",
        }
    }

    /// Whether the request was written before it failed, so that a backend may have been chosen for it
    /// (STATISTICS §6: such a request has no identity; one that was never written is set apart).
    pub const fn was_sent(self) -> bool {
        match self {
            Self::Timeout | Self::Reset | Self::Protocol | Self::Body | Self::Abandoned => true,
            Self::Resolve | Self::Connect | Self::Tls | Self::Local => false,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// How one request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A whole response came back. An identified 5xx was routed all the same, and counts for the split.
    Responded {
        /// Its status, as [`status`] numbers them.
        status: u16,
        /// The pod that answered, where the response names it.
        pod: Option<PodId>,
    },
    /// No whole response came back.
    Failed(Failure),
}

/// One request's place in the run, its outcome and its latency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    /// The dispatch order over the whole run, from 0 (STATISTICS §4: judge in dispatch order, never in
    /// completion order).
    pub ticket: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// When it was dispatched, from the start of the run.
    pub dispatched: Duration,
    /// From the dispatch (or the scheduled start, at a set rate) to the end of the body.
    pub latency: Duration,
}
