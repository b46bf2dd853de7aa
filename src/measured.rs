//! What a run measured, at rest: what was tried, and what came of it. Plain data, from which alone a verdict follows.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, USER_AGENT,
};

use crate::identity::finder::Naming;
use crate::observation::Failure;
use crate::plan::pace::Rate;
use crate::plan::preparation::Preparation;
use crate::plan::shard::Sharding;
use crate::plan::target::Protocol;
use crate::plan::{Budget, ConnectionUse, Plan};
use crate::tally::addresses::Addresses;
use crate::tally::counted::Counted;
use crate::tally::monitor::Standing;
use crate::tally::sessions::Sessions;
use crate::tally::set_aside::SetAside;
use crate::tally::signs::Signs;

/// What a run measured.
#[derive(Debug)]
pub struct Measured {
    /// What was tried.
    pub trial: Trial,
    pub counted: Counted,
    /// What was sent and does not count for the split.
    pub set_aside: SetAside,
    /// The rate limiter that was recognised and kept to.
    pub limiter: Option<RateLimit>,
    /// Whether it ended before it was known if rejections vanish at a lower pace.
    pub limiter_undecided: bool,
    /// Where a sequential run stopped; `None` for a run of a fixed number of requests.
    pub standing: Option<Standing>,
    /// The sessions, of a run that consists of some.
    pub sessions: Sessions,
    /// The pods' names by their number, for the sessions.
    pub pods: Vec<String>,
    pub connections: Connections,
    /// What each of the addresses brought.
    pub by_address: Addresses,
    /// Dials that waited for a local port to become free.
    pub port_waits: u64,
    /// Dials that took a second or more, of those that succeeded.
    pub slow_dials: u64,
    /// The addresses that were used, in turn.
    pub addresses: Vec<Address>,
    /// The first message of each kind of failure.
    pub failure_messages: BTreeMap<Failure, String>,
    /// The earliest response without an identity.
    pub sample: Option<UnidentifiedSample>,
    /// How responses named their pods beyond the usual forms.
    pub naming: Naming,
    /// What the headers of the first responses showed.
    pub signs: Signs,
    /// When the first request was due; `None` when nothing was sent.
    pub started_at: Option<SystemTime>,
    /// From there to the last response.
    pub elapsed: Duration,
    /// Why it ended; `Err` when it could not begin.
    pub ending: Result<Ending, Unmeasured>,
    /// What each shard saw, of a run that several shared; empty for others.
    pub parts: Vec<PartCounts>,
    /// How its requests are marked, where the pods' logs tell who answered.
    pub marked: Option<Marked>,
}

/// The marks of the requests that count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marked {
    /// What is common to them.
    pub run: String,
    /// The number of the first.
    pub first: u64,
}

impl Measured {
    /// Nothing was measured yet.
    pub fn nothing(trial: Trial) -> Self {
        Self {
            trial,
            counted: Counted::default(),
            set_aside: SetAside::default(),
            limiter: None,
            limiter_undecided: false,
            standing: None,
            sessions: Sessions::default(),
            pods: Vec::new(),
            connections: Connections::default(),
            by_address: Addresses::default(),
            port_waits: 0,
            slow_dials: 0,
            addresses: Vec::new(),
            failure_messages: BTreeMap::new(),
            sample: None,
            naming: Naming::default(),
            signs: Signs::default(),
            started_at: None,
            elapsed: Duration::ZERO,
            ending: Ok(Ending::Complete),
            parts: Vec::new(),
            marked: None,
        }
    }

    /// A run that could not begin.
    pub fn failed(plan: &Plan, why: Unmeasured) -> Self {
        Self {
            ending: Err(why),
            ..Self::nothing(Trial::of(plan))
        }
    }
}

/// How a run was tried, as far as its result has to be read with that in mind.
#[derive(Debug, Clone)]
pub struct Trial {
    /// Where requests were sent.
    pub url: String,
    /// The `Host` header.
    pub host: String,
    /// How responses name their pods, as the user wrote it; empty for the built-in rules, and in a merged run.
    pub identify: Vec<String>,
    /// The version of HTTP.
    pub protocol: Protocol,
    /// The name that TLS asked for; `None` without TLS.
    pub tls_server_name: Option<String>,
    /// How much was to be sent.
    pub budget: Budget,
    /// What was sent first and does not count.
    pub preparation: Preparation,
    /// Requests in flight at once.
    pub concurrency: u64,
    /// Requests in flight at once on one connection.
    pub streams: u64,
    /// Client threads.
    pub threads: u64,
    /// Open-loop pace; `None` for as fast as responses come.
    pub rate: Option<Rate>,
    /// How many requests a connection carries.
    pub connection_use: ConnectionUse,
    /// Whether the run stops as soon as the evidence is enough.
    pub sequential: bool,
    /// Whether the user has a `Cookie` header sent.
    pub sends_cookie: bool,
    /// The header of the user's by which an ingress may most likely route, and its value.
    pub routing_header: Option<(String, String)>,
    /// Whether manifests say that a canary of ingress-nginx splits.
    pub is_nginx_canary: bool,
    /// Which part of a run that several share this is; `None` for a whole run.
    pub shard: Option<Sharding>,
    /// What the run is called; `None` leaves it to the report.
    pub run_id: Option<String>,
}

impl Trial {
    /// What a plan is about to try.
    pub fn of(plan: &Plan) -> Self {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let (target, load) = (&plan.target, &plan.load);
        let host = plan.request.headers.get(HOST);
        Self {
            url: target.url.clone(),
            host: host
                .and_then(|host| host.to_str().ok())
                .unwrap_or_default()
                .to_owned(),
            identify: plan.rules.written().to_vec(),
            protocol: target.protocol,
            tls_server_name: target
                .tls
                .as_ref()
                .map(|tls| tls.server_name.to_str().into_owned()),
            budget: plan.budget,
            preparation: plan.preparation,
            concurrency: count(load.concurrency.get()),
            streams: count(load.streams.get()),
            threads: count(load.threads.get()),
            rate: load.rate,
            connection_use: load.connection_use,
            sequential: plan.sequential,
            sends_cookie: plan.request.headers.contains_key(COOKIE),
            routing_header: routing_header(&plan.request.headers),
            is_nginx_canary: plan.is_nginx_canary,
            shard: plan.shard.clone(),
            run_id: plan.run_id.clone(),
        }
    }
}

fn routing_header(headers: &HeaderMap) -> Option<(String, String)> {
    let others = [
        ACCEPT,
        ACCEPT_ENCODING,
        AUTHORIZATION,
        CONTENT_LENGTH,
        CONTENT_TYPE,
        HOST,
        USER_AGENT,
    ];
    let routing = headers.iter().filter(|(name, _)| !others.contains(name));
    let (name, value) = routing.min_by_key(|(name, _)| !name.as_str().contains("canary"))?;
    let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
    Some((name.to_string(), value))
}

/// Why nothing could be measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmeasured {
    /// Stable, `snake_case`.
    pub code: &'static str,
    /// For a person.
    pub message: String,
}

impl Unmeasured {
    /// The code of a run that the user stopped before it began.
    pub const INTERRUPTED: &'static str = "interrupted";
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The requests asked for were attributed, or the duration asked for passed.
    Complete,
    /// The time allowed ran out first.
    MaxDuration,
    /// Ctrl-C or SIGTERM.
    Interrupted,
    /// So many requests got no identity that no more were sent in their place.
    ReplacementsSpent,
    /// Not one of many responses could be identified.
    NothingIdentified,
}

impl Ending {
    /// Every ending.
    pub const ALL: [Self; 5] = [
        Self::Complete,
        Self::MaxDuration,
        Self::Interrupted,
        Self::ReplacementsSpent,
        Self::NothingIdentified,
    ];

    /// The name that reports use, in `snake_case`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::MaxDuration => "max_duration",
            Self::Interrupted => "interrupted",
            Self::ReplacementsSpent => "replacements_spent",
            Self::NothingIdentified => "nothing_identified",
        }
    }
}

/// How the connections of a run fared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Connections {
    /// Connections that were opened.
    pub opened: u64,
    /// Requests that were given to a connection that had closed, or whose peer did not look at them, and that
    /// were sent on another.
    pub reopened: u64,
    /// The most that were open at once (what each thread had at most, summed).
    pub most_open: u64,
}

impl Connections {
    /// Adds those of an earlier part of the run.
    pub fn add_earlier(&mut self, earlier: Self) {
        self.opened += earlier.opened;
        self.reopened += earlier.reopened;
        self.most_open = self.most_open.max(earlier.most_open);
    }
}

/// A response that named no pod, kept to show a person what came instead.
#[derive(Debug, Clone)]
pub struct UnidentifiedSample {
    /// Its place in the dispatch order.
    pub ticket: u64,
    pub status: u16,
    pub headers: HeaderMap,
    /// The beginning of its body.
    pub body: Vec<u8>,
}

/// A rate limiter that was recognised.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateLimit {
    /// What it lets through, in requests a second.
    pub per_second: f64,
    /// The accepted requests from which that is known.
    pub accepted: u64,
    /// The time in which they were accepted.
    pub over: Duration,
    /// The pace that is kept, in requests a second.
    pub pace_per_second: f64,
    /// Whether it answers 429.
    pub is_explicit: bool,
    /// How often the pace had to be lowered.
    pub slowdowns: u32,
}

impl RateLimit {
    /// The pace kept, as a share of what the limiter lets through: its clock and ours differ, and a measured
    /// rate is off by a few percent.
    pub const KEPT: f64 = 0.95;
}

/// Where one connection goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// An IP address and a port.
    Ip(SocketAddr),
    /// A Unix domain socket.
    UnixSocket(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::UnixSocket(path) => path.display().fmt(f),
        }
    }
}

/// What one part of a run saw, a shard or an address, for the question whether all saw the same split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartCounts {
    /// Its number.
    pub index: u32,
    /// Independent responses by group: the first of each connection where connections carry several.
    pub observed: Vec<u64>,
}
