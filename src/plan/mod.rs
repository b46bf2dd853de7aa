//! The validated, immutable description of a run: a claim and how it is tried (target, request, budget, pace).
//!
//! What was typed becomes a [`Plan`] once, at the edge; nothing behind it parses a string.

pub mod config;
pub mod endpoint;
pub mod mark;
pub mod pace;
pub mod preparation;
pub mod quantity;
pub mod settings;
pub mod shard;
pub mod target;
pub mod tls;

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use crate::claim::Claim;
use crate::identity::assignment::Mappings;
use crate::identity::rule::Rules;
use mark::Mark;
use pace::Rate;
use preparation::Preparation;
use shard::Sharding;
use target::{RequestTemplate, Target};

/// Everything that a run needs to know.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What is asserted.
    pub claim: Claim,
    /// Where the ingress listens.
    pub target: Target,
    /// What is sent, the same every time.
    pub request: RequestTemplate,
    /// How much is sent.
    pub budget: Budget,
    /// What is sent first and does not count.
    pub preparation: Preparation,
    /// How it is sent.
    pub load: LoadShape,
    /// How a response tells which pod answered.
    pub rules: Rules,
    /// Which pods the user assigned to which backend.
    pub mappings: Mappings,
    /// Whether the run stops as soon as the evidence is enough.
    pub sequential: bool,
    /// Which part of a run that several share this is; `None` for a whole run.
    pub shard: Option<Sharding>,
    /// What the run is called; `None` leaves it to the report.
    pub run_id: Option<String>,
    /// Where it writes down what it has measured while it goes on.
    pub snapshot: Option<Snapshot>,
    /// Whether it is tried once more, over connections that are used in the other way.
    pub compares_connections: bool,
    /// What marks its requests, where the pods' logs tell who answered.
    pub mark: Option<Mark>,
    /// Whether the split comes from a canary of ingress-nginx.
    pub is_nginx_canary: bool,
}

/// What is left of a run that is killed: the report of a shard, written again and again.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// The file.
    pub path: PathBuf,
    /// The time from one to the next.
    pub period: Duration,
    /// What the report says of the run; a run that nobody shares is its only shard.
    pub sharding: Sharding,
    /// What it calls the run.
    pub run_id: String,
}

/// How much is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Requests to attribute; `None` runs until `duration` alone.
    pub requests: Option<NonZeroU64>,
    /// Run for this long.
    pub duration: Option<Duration>,
    /// Give up after this long; a run cut short by it cannot pass.
    pub max_duration: Duration,
}

impl Budget {
    /// How many requests that got no identity are replaced before the run gives up: as many as were
    /// asked for, and at least 100.
    pub fn replacements(&self) -> u64 {
        self.requests.map_or(u64::MAX, |n| n.get().max(100))
    }
}

/// How many requests a connection carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionUse {
    /// This many, then it is closed. 1 gives independent draws behind any balancer.
    Requests(NonZeroU64),
    /// As many as the peer allows.
    KeepAlive,
}

impl ConnectionUse {
    /// Whether a connection that has carried `served` requests may carry one more.
    pub fn allows_another(self, served: u64) -> bool {
        match self {
            Self::Requests(limit) => served < limit.get(),
            Self::KeepAlive => true,
        }
    }

    /// How many connections so many requests take at least; `None` where that is up to the peer.
    pub fn connections_for(self, requests: u64) -> Option<u64> {
        match self {
            Self::Requests(limit) => Some(requests.div_ceil(limit.get())),
            Self::KeepAlive => None,
        }
    }

    /// Whether every request has a connection of its own.
    pub fn is_fresh(self) -> bool {
        self == Self::Requests(NonZeroU64::MIN)
    }
}

/// How requests are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoadShape {
    /// Requests in flight at once.
    pub concurrency: NonZeroUsize,
    /// Client threads; never more than `concurrency`.
    pub threads: NonZeroUsize,
    /// How many requests a connection carries.
    pub connection_use: ConnectionUse,
    /// Requests in flight at once on one connection; more than 1 over HTTP/2 alone.
    pub streams: NonZeroUsize,
    /// Open-loop pace; `None` sends as fast as responses come.
    pub rate: Option<Rate>,
    /// Time allowed for one exchange, from the request's first byte to the body's last.
    pub timeout: Duration,
    /// Time allowed for one dial.
    pub connect_timeout: Duration,
    /// How many bytes of a body are read for identification.
    pub max_body: usize,
}
