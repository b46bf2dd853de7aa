//! What a run was asked for, as it was written, whoever wrote it: the command line, a table of
//! `lbtest.toml`, or a manifest.
//!
//! Every setting is optional; [`Settings::plan`] is the one place where the defaults stand and where
//! settings become a [`Plan`]. A new setting is a field here, a flag in `cli::options`, its line in the
//! flags' `over`, and its use in [`Settings::plan`]; the configuration file and its schema follow.

mod even;
mod grpc;
pub(super) mod read;
mod tcp;

use std::fs;
use std::io::Read;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use http::header::HOST;
use http::uri::PathAndQuery;
use schemars::JsonSchema;
use serde::Deserialize;

use super::endpoint::Detours;
use super::pace::Rate;
use super::preparation::{Preparation, Warmup};
use super::quantity::{self, QuantityError};
use super::target::{self, Dialling, Protocol, TargetError};
use super::tls::{ClientIdentity, TlsError, Trust};
use super::{Budget, ConnectionUse, LoadShape, Plan};
use crate::claim::stickiness::{SessionBy, Stickiness};
use crate::claim::{Claim, Criterion, CriterionError, Limit};
use crate::identity::assignment::{MappingError, Mappings};
use crate::identity::rule::{RuleError, Rules};
use crate::split::{Split, SplitError};
use crate::stats::judge::Judge;
pub use even::ExpectEven;
use grpc::GrpcError;
use read::{Quantity, Texts};
use tcp::TcpError;

/// What was asked for; `None` and empty lists leave the default.
///
/// Texts that need the rest of the settings to be understood (weights, mappings, limits, headers) stay
/// texts until [`Self::plan`].
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Whether the split comes from a canary of ingress-nginx.
    #[serde(skip)]
    pub is_nginx_canary: bool,
    /// Where the ingress listens.
    pub url: Option<String>,
    /// Host header (default: the URL's authority).
    pub host: Option<String>,
    /// Path and query of the requests (default: the URL's).
    pub path: Option<String>,
    /// Expected weights of the backends, such as "v1=70,v2=30" or {v1 = 70, v2 = 30}; 0 means "must get nothing".
    #[serde(deserialize_with = "read::weights")]
    #[schemars(with = "Texts")]
    pub expect: Option<String>,
    /// How many pods are to share the requests equally, in place of a split; `true` for those that answer.
    #[serde(deserialize_with = "even::read")]
    #[schemars(with = "even::Written")]
    pub expect_even: Option<ExpectEven>,
    /// The names of these pods, where manifests say them.
    #[serde(skip)]
    pub pods: Vec<String>,
    /// The smallest deviation from an equal share, in percent of it, that a PASS rules out (default: 20%).
    #[serde(deserialize_with = "read::percentage")]
    #[schemars(with = "Quantity")]
    pub even_tolerance: Option<f64>,
    /// Manifests that say the split, host, path and pods: files, folders, or "-" for standard input; one or a list.
    #[serde(deserialize_with = "read::texts")]
    #[schemars(with = "Texts")]
    pub expect_from: Vec<String>,
    /// Which route of the manifests is meant: "NAMESPACE/NAME" or "NAMESPACE/NAME/RULE".
    pub route: Option<String>,
    /// Which step of a Rollout or a Flagger Canary is meant, from 1 (default: what its status says).
    #[serde(deserialize_with = "read::small_count")]
    #[schemars(with = "Quantity")]
    pub step: Option<NonZeroUsize>,
    /// Promised error rate: a correct split fails, and one off by the tolerance passes, at most this often.
    #[serde(deserialize_with = "read::error_rate")]
    #[schemars(with = "Quantity")]
    pub alpha: Option<f64>,
    /// The smallest shift, in percentage points, that a PASS rules out.
    #[serde(deserialize_with = "read::percentage_points")]
    #[schemars(with = "Quantity")]
    pub tolerance: Option<f64>,
    /// What PASS claims.
    pub judge: Option<Judge>,
    /// Responses without an identity, in percent, beyond which a run cannot pass.
    #[serde(deserialize_with = "read::percentage")]
    #[schemars(with = "Quantity")]
    pub max_unattributed: Option<f64>,
    /// Which workload (name or glob) is which backend: "v2=challenge-app-v2", a list of such, or {v2 = "challenge-app-v2"}.
    #[serde(deserialize_with = "read::pairs")]
    #[schemars(with = "Texts")]
    pub backend: Vec<String>,
    /// Seed of Monte Carlo and permutations.
    pub seed: Option<u64>,
    /// Requests that must be attributed (default: computed from the promise).
    #[serde(deserialize_with = "read::count")]
    #[schemars(with = "Quantity")]
    pub requests: Option<NonZeroU64>,
    /// Run for this long.
    #[serde(deserialize_with = "read::duration")]
    #[schemars(with = "Quantity")]
    pub duration: Option<Duration>,
    /// Give up after this long; a run cut short cannot pass.
    #[serde(deserialize_with = "read::duration")]
    #[schemars(with = "Quantity")]
    pub max_duration: Option<Duration>,
    /// Sent first and discarded: a time, such as "2s", or a number of requests, such as 500.
    #[serde(deserialize_with = "read::warmup")]
    #[schemars(with = "Quantity")]
    pub warmup: Option<Warmup>,
    /// Poll first, for this long at most, until every backend of positive weight has answered.
    #[serde(deserialize_with = "read::duration")]
    #[schemars(with = "Quantity")]
    pub wait_ready: Option<Duration>,
    /// Requests in flight at once.
    #[serde(deserialize_with = "read::small_count")]
    #[schemars(with = "Quantity")]
    pub concurrency: Option<NonZeroUsize>,
    /// Client threads (default: one a core).
    #[serde(deserialize_with = "read::threads")]
    #[schemars(with = "Quantity")]
    pub threads: Option<NonZeroUsize>,
    /// Open-loop pace of the whole run, such as "500/s" or "175/m" (default: as fast as responses come).
    #[serde(deserialize_with = "read::rate")]
    #[schemars(with = "Quantity")]
    pub rate: Option<Rate>,
    /// Requests a connection carries; 1 gives independent draws behind any balancer.
    #[serde(deserialize_with = "read::count")]
    #[schemars(with = "Quantity")]
    pub requests_per_connection: Option<NonZeroU64>,
    /// No limit on the requests of a connection.
    pub keep_alive: Option<bool>,
    /// Whether HTTP/2 is spoken: by ALPN over TLS, else by prior knowledge.
    pub http2: Option<bool>,
    /// Requests in flight at once on each connection (default: 1); more need `http2` and `keep_alive`.
    #[serde(deserialize_with = "read::small_count")]
    #[schemars(with = "Quantity")]
    pub streams: Option<NonZeroUsize>,
    /// Dials in place of others, "HOST1:PORT1:HOST2:PORT2" as curl takes them; one or a list.
    #[serde(deserialize_with = "read::texts")]
    #[schemars(with = "Texts")]
    pub connect_to: Vec<String>,
    /// The addresses of names, "HOST:PORT:ADDRESS,..." as curl takes them; one or a list.
    #[serde(deserialize_with = "read::texts")]
    #[schemars(with = "Texts")]
    pub resolve: Vec<String>,
    /// A Unix domain socket to dial.
    pub unix_socket: Option<PathBuf>,
    /// The name that TLS asks for (default: that of `host`, else the URL's).
    pub sni: Option<String>,
    /// Whether any certificate is taken.
    pub insecure: Option<bool>,
    /// A PEM file with the authorities that alone are trusted.
    pub cacert: Option<PathBuf>,
    /// A PEM file with the client's certificate, for an ingress that asks for one.
    pub cert: Option<PathBuf>,
    /// A PEM file with its private key (default: that of `cert`).
    pub key: Option<PathBuf>,
    /// Time allowed for one exchange.
    #[serde(deserialize_with = "read::duration")]
    #[schemars(with = "Quantity")]
    pub timeout: Option<Duration>,
    /// Time allowed for one dial.
    #[serde(deserialize_with = "read::duration")]
    #[schemars(with = "Quantity")]
    pub connect_timeout: Option<Duration>,
    /// Further headers: "X-Canary: always", a list of such, or {X-Canary = "always"}.
    #[serde(deserialize_with = "read::headers")]
    #[schemars(with = "Texts")]
    pub header: Vec<String>,
    /// Cookies: "canary=always", a list of such, or {canary = "always"}.
    #[serde(deserialize_with = "read::pairs")]
    #[schemars(with = "Texts")]
    pub cookie: Vec<String>,
    /// Method.
    pub method: Option<String>,
    /// Body; "@FILE" stands for what a file holds.
    pub data: Option<String>,
    /// A file with the body, which is sent byte for byte.
    pub data_file: Option<PathBuf>,
    /// The method of unary gRPC calls, such as "grpc.health.v1.Health/Check", in place of plain requests.
    pub grpc: Option<String>,
    /// What goes first on a connection of a tcp:// or tls:// URL; \\r, \\n, \\t, \\0, \\\\ and \\xHH are escapes.
    pub send: Option<String>,
    /// How much of a response is read to identify the pod, such as "64KiB".
    #[serde(deserialize_with = "read::bytes")]
    #[schemars(with = "Quantity")]
    pub max_body: Option<usize>,
    /// Backends' 99th latency percentiles beyond which the run fails: "v2=200ms", a list of such, or {v2 = "200ms"}.
    #[serde(deserialize_with = "read::pairs")]
    #[schemars(with = "Texts")]
    pub max_p99: Vec<String>,
    /// Backends' shares of responses with a status of 500 or more beyond which the run fails: "v2=1%", a list of such, or {v2 = "1%"}.
    #[serde(deserialize_with = "read::pairs")]
    #[schemars(with = "Texts")]
    pub max_error: Vec<String>,
    /// Stop as soon as the evidence is enough.
    pub sequential: Option<bool>,
    /// Whether sessions are to stay on their backends: true for sessions by whatever cookies the responses set,
    /// "cookie:NAME" for one of them, "header:NAME" for a response header that is sent back.
    #[serde(deserialize_with = "read::session_by")]
    #[schemars(with = "read::Switch")]
    pub expect_sticky: Option<SessionBy>,
    /// How a response names its pod: REGEX on the body (group 1), header:NAME, trailer:NAME, `json:/pointer`,
    /// field:3.1 (a protobuf message's), cert:cn or cert:san; one or a list.
    #[serde(deserialize_with = "read::texts")]
    #[schemars(with = "Texts")]
    pub identify: Vec<String>,
}

/// Requests a second that no client and target are taken to exchange: a plan beyond it is a slip.
const FASTEST_PER_SECOND: f64 = 50_000.0;

/// Why settings are no plan; the message names the flag.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SettingsError {
    /// No target answers as many requests in the time that is allowed.
    #[error(
        "--tolerance {points} takes {requests} requests, more than can be sent within --max-duration {limit:?}; {remedy}"
    )]
    NeverEnds {
        /// The tolerance in percentage points.
        points: f64,
        /// What it takes.
        requests: NonZeroU64,
        /// The time.
        limit: Duration,
        /// What to write.
        remedy: String,
    },
    /// The same of pods.
    #[error(
        "--even-tolerance takes {requests} requests for so many pods, more than can be sent within \
         --max-duration {limit:?}; raise --even-tolerance, or --max-duration"
    )]
    EvenNeverEnds {
        /// What it takes.
        requests: NonZeroU64,
        /// The time.
        limit: Duration,
    },
    /// No split is expected.
    #[error("--expect is missing: say which split is expected, for example --expect v1=70,v2=30")]
    NoSplit,
    /// Evenness is no claim beside this option.
    #[error("--expect-even and {0} exclude each other: leave {0} away, or make two checks of them")]
    EvenWith(&'static str),
    /// One pod always gets everything.
    #[error("--expect-even 1: a single pod gets everything; give the number of pods, at least 2")]
    EvenOfOne,
    /// Too many pods.
    #[error("--expect-even: {0}")]
    Pods(#[source] SplitError),
    /// A deviation that no PASS rules out.
    #[error(
        "--even-tolerance {0} is not a deviation: give a percentage above 0 and at most 50, such as 20%"
    )]
    EvenTolerance(f64),
    /// What is expected is no split.
    #[error("--expect: {0}")]
    Split(#[from] SplitError),
    /// The error rates cannot be kept.
    #[error(transparent)]
    Criterion(#[from] CriterionError),
    /// A mapping cannot be used.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// Something does not go with TCP, or with it alone.
    #[error(transparent)]
    Tcp(#[from] TcpError),
    /// What is asked for makes no call.
    #[error(transparent)]
    Grpc(#[from] GrpcError),
    /// The request cannot be built.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// What is no path.
    #[error("--path '{0}' is not a path: write it as /PATH or /PATH?QUERY")]
    Path(String),
    /// What is no cookie.
    #[error("--cookie '{0}' is not a cookie: write it as NAME=VALUE")]
    Cookie(String),
    /// A rule cannot be used.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// Sessions are to stay on their backend, and there is but one.
    #[error(
        "--expect-sticky needs at least two backends with a positive weight: with one alone every response \
         stays on it"
    )]
    StickyToOne,
    /// Sessions over connections that might keep their backend by themselves, or a run that stops by itself.
    #[error(
        "--expect-sticky and {0} exclude each other, since each session takes its own requests, on \
         connections of their own: leave {0} away"
    )]
    StickyWith(&'static str),
    /// A run that stops by itself was asked for with connections that carry several requests.
    #[error(
        "--sequential needs a connection of its own for every request, since responses on one \
         connection may depend on each other: leave --keep-alive and --requests-per-connection away"
    )]
    SequentialOnSharedConnections,
    /// A connection was asked to carry so many requests, and any number.
    #[error(
        "--keep-alive and --requests-per-connection exclude each other: leave one of them away"
    )]
    ConnectionUse,
    /// Streams were asked for without a connection that could carry them.
    #[error(
        "--streams needs --http2 (or --grpc) and --keep-alive, which make a connection that carries several requests at once"
    )]
    Streams,
    /// Any certificate was to do, and only some.
    #[error("--insecure and --cacert exclude each other: leave one of them away")]
    Trust,
    /// A file that an option names cannot be read, or is not what it should be.
    #[error("{flag} {path}: {why}")]
    File {
        /// The option.
        flag: &'static str,
        /// The file, escaped.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// A key without the certificate that it belongs to.
    #[error("--key needs the certificate that it belongs to: add --cert FILE")]
    KeyWithoutCertificate,
    /// Two bodies.
    #[error("--data and --data-file exclude each other: drop one of them")]
    TwoBodies,
    /// A limit of a backend cannot be used.
    #[error("{flag} '{text}': {why}")]
    Limit {
        /// The flag.
        flag: &'static str,
        /// What was given, escaped.
        text: String,
        /// What is wrong with it.
        why: String,
    },
}

/// The requests that the promise of `claim` takes, where any target can answer them in time.
fn affordable(claim: &Claim, limit: Duration) -> Result<NonZeroU64, SettingsError> {
    let requests = claim.planned_requests();
    if requests.get() as f64 <= FASTEST_PER_SECOND * limit.as_secs_f64() {
        return Ok(requests);
    }
    if claim.split.is_of_pods() {
        return Err(SettingsError::EvenNeverEnds { requests, limit });
    }
    let points = 100.0 * claim.criterion.tolerance;
    Err(SettingsError::NeverEnds {
        points,
        requests,
        limit,
        remedy: if points < 0.5 {
            format!(
                "it is in percentage points: did you mean {}?",
                (100.0 * points).round()
            )
        } else {
            "raise --tolerance, or --max-duration".to_owned()
        },
    })
}

impl Settings {
    /// The expected split.
    ///
    /// # Errors
    /// There is none, or the text is none.
    pub fn split(&self) -> Result<Split, SettingsError> {
        let Some(pods) = self.expect_even else {
            let text = self.expect.as_deref().ok_or(SettingsError::NoSplit)?;
            return Ok(text.parse()?);
        };
        let others = [
            ("--expect", self.expect.is_some()),
            ("--expect-from", !self.expect_from.is_empty()),
            ("--backend", !self.backend.is_empty()),
        ];
        if let Some((flag, _)) = others.into_iter().find(|&(_, is_given)| is_given) {
            return Err(SettingsError::EvenWith(flag));
        }
        let split = match pods {
            _ if !self.pods.is_empty() => Split::of_named_pods(&self.pods),
            ExpectEven::WhoAnswers => Split::of_pods(even::LEAST),
            ExpectEven::Pods(pods) => Split::of_pods(pods),
        };
        let split = split.map_err(SettingsError::Pods)?;
        if split.len() < even::LEAST.get() {
            return Err(SettingsError::EvenOfOne);
        }
        Ok(split)
    }

    /// That requests are split so, at the error rates that were asked for.
    ///
    /// # Errors
    /// As [`Criterion::new`].
    pub fn claim(&self, split: Split) -> Result<Claim, SettingsError> {
        let criterion = Criterion::new(
            &split,
            self.alpha.unwrap_or(0.001),
            self.tolerance_of(&split)?,
            self.judge.unwrap_or_default(),
            self.max_unattributed.unwrap_or(0.01),
        )?;
        Ok(Claim::new(split, criterion, self.seed()))
    }

    /// The smallest shift that a PASS rules out.
    fn tolerance_of(&self, split: &Split) -> Result<f64, SettingsError> {
        if !split.is_of_pods() {
            return Ok(self.tolerance.unwrap_or(0.05));
        }
        let relative = self.even_tolerance.unwrap_or(0.2);
        // Half its share is the most that is ruled out for any backend.
        if !(relative > 0.0 && relative <= 0.5) {
            return Err(SettingsError::EvenTolerance(100.0 * relative));
        }
        Ok(relative / split.len() as f64)
    }

    fn max_duration(&self) -> Duration {
        self.max_duration.unwrap_or(Duration::from_mins(10))
    }

    fn exchange_timeout(&self) -> Duration {
        self.timeout.unwrap_or(Duration::from_secs(10))
    }

    /// Which pods the user assigned to which backend of `split`.
    ///
    /// # Errors
    /// As [`Mappings::parse`].
    pub fn mappings(&self, split: &Split) -> Result<Mappings, SettingsError> {
        if split.is_of_pods() {
            return Ok(Mappings::of_each_pod());
        }
        Ok(Mappings::parse(split.labels(), &self.backend)?)
    }

    /// The seed of Monte Carlo and permutations.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed.unwrap_or(1)
    }

    /// Validates the settings as a whole; reads the file of `cacert`.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn plan(&self) -> Result<Plan, SettingsError> {
        let split = self.split()?;
        let mappings = self.mappings(&split)?;
        let mut claim = self.claim(split)?;
        let url = self.url.as_deref().unwrap_or("http://localhost/");
        let method = self.method.as_deref().unwrap_or("GET");
        let headers = self.headers()?;
        let body = self.body()?;
        let (target, mut request) = target::target(
            url,
            self.host.as_deref(),
            method,
            &headers,
            body,
            &self.dialling()?,
        )?;
        match (target.protocol, &self.send) {
            (Protocol::Tcp, _) => tcp::check(self)?,
            (Protocol::Http1 | Protocol::Http2 | Protocol::Grpc, None) => {}
            (_, Some(_)) => return Err(TcpError::NotTcp.into()),
        }
        if let Some(method) = &self.grpc {
            request.uri = with_path(request.uri, &grpc::path(self, method)?)?;
            grpc::call(&mut request, self.exchange_timeout())?;
        } else if let Some(path) = &self.path {
            request.uri = with_path(request.uri, path)?;
        }
        let host = request.headers.get(HOST);
        let host = host.and_then(|host| host.to_str().ok());
        let rules = Rules::parse(&self.identify)?.ignoring_host(host.unwrap_or_default());
        let connection_use = self.connection_use()?;
        let streams = self.streams.unwrap_or(NonZeroUsize::MIN);
        let carries_several =
            target.protocol.alpn() == Some("h2") && connection_use == ConnectionUse::KeepAlive;
        if streams > NonZeroUsize::MIN && !carries_several {
            return Err(SettingsError::Streams);
        }
        let sequential = self.sequential.unwrap_or(false);
        if sequential && !connection_use.is_fresh() {
            return Err(SettingsError::SequentialOnSharedConnections);
        }
        if claim.split.is_of_pods() {
            self.refuse_beside_evenness()?;
        }
        claim.limits = self.limits(&claim.split)?;
        claim.sessions = self.stickiness(&claim)?;
        let discovers_pods =
            self.expect_even == Some(ExpectEven::WhoAnswers) && !claim.split.are_named();
        let requests = match (self.requests, self.duration) {
            _ if claim.sessions.is_some() => claim.sessions.as_ref().and_then(Stickiness::requests),
            (Some(requests), _) => Some(requests),
            (None, _) if sequential => Some(claim.sequential_cap()),
            (None, Some(_)) => None,
            (None, None) if discovers_pods => None,
            (None, None) => Some(affordable(&claim, self.max_duration())?),
        };
        let sessions = claim.sessions.as_ref().and_then(|sticky| sticky.sessions);
        let concurrency = self.concurrency(sessions.or(requests));
        let cores = available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Ok(Plan {
            target,
            request,
            budget: Budget {
                requests,
                duration: self.duration,
                max_duration: self.max_duration(),
            },
            preparation: Preparation {
                discovers_pods,
                wait_ready: self.wait_ready,
                warmup: self.warmup,
            },
            load: LoadShape {
                concurrency,
                threads: self.threads.unwrap_or(cores).min(concurrency),
                connection_use,
                streams,
                rate: self.rate,
                timeout: self.exchange_timeout(),
                connect_timeout: self.connect_timeout.unwrap_or(Duration::from_secs(3)),
                max_body: self.max_body.unwrap_or(1 << 20),
            },
            claim,
            rules,
            mappings,
            sequential,
            shard: None,
            run_id: None,
            snapshot: None,
            is_nginx_canary: self.is_nginx_canary,
        })
    }

    /// What speaks of backends, or of another number of requests, says nothing of pods.
    fn refuse_beside_evenness(&self) -> Result<(), SettingsError> {
        let others = [
            ("--sequential", self.sequential == Some(true)),
            ("--expect-sticky", self.expect_sticky.is_some()),
            ("--max-p99", !self.max_p99.is_empty()),
            ("--max-error", !self.max_error.is_empty()),
        ];
        match others.into_iter().find(|&(_, is_given)| is_given) {
            Some((flag, _)) => Err(SettingsError::EvenWith(flag)),
            None => Ok(()),
        }
    }

    /// The limits on the health of the backends of `split`.
    fn limits(&self, split: &Split) -> Result<Vec<(usize, Limit)>, SettingsError> {
        let mut limits = limits("--max-p99", &self.max_p99, split, |text| {
            quantity::duration(text).map(Limit::P99)
        })?;
        limits.extend(self::limits(
            "--max-error",
            &self.max_error,
            split,
            |text| quantity::part(text).map(Limit::Errors),
        )?);
        Ok(limits)
    }

    /// The sessions, where they are to stay on their backends.
    fn stickiness(&self, claim: &Claim) -> Result<Option<Stickiness>, SettingsError> {
        let Some(by) = &self.expect_sticky else {
            return Ok(None);
        };
        let positive = claim.split.shares().iter().filter(|&&share| share > 0.0);
        if positive.count() < 2 {
            return Err(SettingsError::StickyToOne);
        }
        let excluded = [
            ("--sequential", self.sequential == Some(true)),
            ("--keep-alive", self.keep_alive == Some(true)),
            (
                "--requests-per-connection",
                self.requests_per_connection.is_some_and(|n| n.get() > 1),
            ),
        ];
        if let Some((flag, _)) = excluded.into_iter().find(|&(_, is_given)| is_given) {
            return Err(SettingsError::StickyWith(flag));
        }
        let planned = Stickiness::new(by.clone(), claim);
        Ok(Some(match (self.requests, self.duration) {
            (Some(requests), _) => planned.with_requests(requests),
            (None, Some(_)) => Stickiness {
                sessions: None,
                ..planned
            },
            (None, None) => planned,
        }))
    }

    /// The further headers, all cookies in one of them (RFC 6265 §5.4).
    fn headers(&self) -> Result<Vec<String>, SettingsError> {
        let mut headers = self.header.clone();
        for cookie in &self.cookie {
            let name = cookie.split_once('=').map_or("", |(name, _)| name.trim());
            if name.is_empty() || cookie.contains([';', ',']) {
                return Err(SettingsError::Cookie(cookie.escape_debug().to_string()));
            }
        }
        if !self.cookie.is_empty() {
            headers.push(format!("Cookie: {}", self.cookie.join("; ")));
        }
        Ok(headers)
    }

    /// Requests in flight at once: no more than there are requests.
    fn concurrency(&self, requests: Option<NonZeroU64>) -> NonZeroUsize {
        let asked = self.concurrency.or(NonZeroUsize::new(50));
        let asked = asked.unwrap_or(NonZeroUsize::MIN);
        let most = requests.and_then(|n| NonZeroUsize::try_from(n).ok());
        most.map_or(asked, |most| asked.min(most))
    }

    /// How connections are made.
    fn dialling(&self) -> Result<Dialling, SettingsError> {
        Ok(Dialling {
            protocol: match self.http2 {
                _ if self.grpc.is_some() => Protocol::Grpc,
                Some(true) => Protocol::Http2,
                Some(false) | None => Protocol::Http1,
            },
            sni: self.sni.clone(),
            trust: self.trust()?,
            identity: self.identity()?,
            detours: Detours {
                connect_to: self.connect_to.clone(),
                resolve: self.resolve.clone(),
                unix_socket: self.unix_socket.clone(),
            },
        })
    }

    fn trust(&self) -> Result<Option<Trust>, SettingsError> {
        let path = match (self.insecure, &self.cacert) {
            (Some(true), Some(_)) => return Err(SettingsError::Trust),
            (Some(true), None) => return Ok(Some(Trust::Anyone)),
            (_, None) => return Ok(None),
            (_, Some(path)) => path,
        };
        let pem = read("--cacert", path)?;
        let trust = Trust::authorities(&pem);
        Ok(Some(trust.map_err(|why| unusable("--cacert", path, why))?))
    }

    /// What the client shows of itself; the key stands in the certificate's file where no other is named.
    fn identity(&self) -> Result<Option<Arc<ClientIdentity>>, SettingsError> {
        let Some(path) = &self.cert else {
            return match self.key {
                Some(_) => Err(SettingsError::KeyWithoutCertificate),
                None => Ok(None),
            };
        };
        let certificate = read("--cert", path)?;
        let (flag, file) = self
            .key
            .as_ref()
            .map_or(("--cert", path), |key| ("--key", key));
        let key = read(flag, file)?;
        let identity = ClientIdentity::read(&certificate, &key).map_err(|why| match why {
            TlsError::NoKey | TlsError::EncryptedKey => unusable(flag, file, why),
            why => unusable("--cert", path, why),
        })?;
        Ok(Some(Arc::new(identity)))
    }

    /// The body: a text, or what a file holds, byte for byte.
    fn body(&self) -> Result<Bytes, SettingsError> {
        let (flag, file) = match (&self.data, &self.data_file) {
            (Some(_), Some(_)) => return Err(SettingsError::TwoBodies),
            (None, None) => {
                let send = self.send.as_deref().unwrap_or_default();
                return Ok(tcp::unescaped(send)?);
            }
            (None, Some(file)) => ("--data-file", file.as_path()),
            (Some(text), None) => match text.strip_prefix('@') {
                Some(file) => ("--data", Path::new(file)),
                None => return Ok(Bytes::from(text.clone())),
            },
        };
        Ok(Bytes::from(read(flag, file)?))
    }

    fn connection_use(&self) -> Result<ConnectionUse, SettingsError> {
        match (self.keep_alive, self.requests_per_connection) {
            (Some(true), Some(_)) => Err(SettingsError::ConnectionUse),
            (Some(true), None) => Ok(ConnectionUse::KeepAlive),
            (_, Some(requests)) => Ok(ConnectionUse::Requests(requests)),
            (_, None) => Ok(ConnectionUse::Requests(NonZeroU64::MIN)),
        }
    }
}

/// The largest file that an option may name; whatever never ends stops here.
const MOST_FILE_BYTES: u64 = 64 << 20;

/// What the file that `flag` names holds.
fn read(flag: &'static str, path: &Path) -> Result<Vec<u8>, SettingsError> {
    let mut content = Vec::new();
    let file = fs::File::open(path).map_err(|why| unusable(flag, path, why))?;
    file.take(MOST_FILE_BYTES + 1)
        .read_to_end(&mut content)
        .map_err(|why| unusable(flag, path, why))?;
    if content.len() as u64 > MOST_FILE_BYTES {
        return Err(unusable(flag, path, "it is larger than 64 MiB"));
    }
    Ok(content)
}

fn unusable(flag: &'static str, path: &Path, why: impl std::fmt::Display) -> SettingsError {
    SettingsError::File {
        flag,
        path: path.to_string_lossy().escape_debug().to_string(),
        why: why.to_string(),
    }
}

fn with_path(uri: Uri, path: &str) -> Result<Uri, SettingsError> {
    let refused = || SettingsError::Path(path.escape_debug().to_string());
    let read: Option<PathAndQuery> = path.parse().ok().filter(|_| path.starts_with('/'));
    let mut parts = uri.into_parts();
    parts.path_and_query = Some(read.ok_or_else(refused)?);
    Uri::from_parts(parts).map_err(|_| refused())
}

/// Reads `LABEL=VALUE` limits.
fn limits(
    flag: &'static str,
    texts: &[String],
    split: &Split,
    value: impl Fn(&str) -> Result<Limit, QuantityError>,
) -> Result<Vec<(usize, Limit)>, SettingsError> {
    let read = |text: &String| {
        let refused = |why: String| SettingsError::Limit {
            flag,
            text: text.escape_debug().to_string(),
            why,
        };
        let (label, limit) = text
            .split_once('=')
            .ok_or_else(|| refused("write it as LABEL=VALUE".to_owned()))?;
        let backend = split.position(label.trim()).ok_or_else(|| {
            let known = split.labels().join(", ");
            refused(format!("--expect has no such backend, it has {known}"))
        })?;
        let limit = value(limit).map_err(|error| refused(error.to_string()))?;
        Ok((backend, limit))
    };
    texts.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn settings(table: Value) -> Result<Settings, serde_json::Error> {
        serde_json::from_value(table)
    }

    #[test]
    fn what_nobody_asked_for_has_its_default() {
        let plan = settings(json!({"expect": "v1=70,v2=30"}))
            .unwrap()
            .plan()
            .unwrap();
        assert_eq!(plan.budget.requests.map(NonZeroU64::get), Some(3664));
        assert_eq!(plan.load.concurrency.get(), 50);
        assert_eq!(plan.target.url, "http://localhost/");
        assert!(plan.load.connection_use.is_fresh());
    }

    #[test]
    fn a_table_takes_numbers_the_texts_of_the_command_line_and_tables() {
        let plan = settings(json!({
            "expect": {"v1": 70, "v2": "30%"},
            "tolerance": "10pp",
            "max_unattributed": 2,
            "requests": "1k",
            "timeout": 1.5,
            "header": {"X-Canary": "always"},
            "max_error": {"v2": "1%"},
            "backend": {"v2": "app-v2"},
            "judge": "tolerance",
        }))
        .unwrap()
        .plan()
        .unwrap();
        assert_eq!(plan.claim.split.to_string(), "v1=70,v2=30");
        assert!((plan.claim.criterion.tolerance - 0.1).abs() < 1e-12);
        assert!((plan.claim.criterion.max_unattributed - 0.02).abs() < 1e-12);
        assert_eq!(plan.claim.criterion.judge, Judge::Tolerance);
        assert_eq!(plan.budget.requests.map(NonZeroU64::get), Some(1000));
        assert_eq!(plan.load.timeout, Duration::from_millis(1500));
        assert_eq!(plan.request.headers["x-canary"], "always");
        assert_eq!(plan.claim.limits, [(1, Limit::Errors(0.01))]);
    }

    #[test]
    fn a_value_of_the_wrong_kind_or_an_unknown_key_is_refused() {
        for table in [
            json!({"requests": 0}),
            json!({"requests": true}),
            json!({"timeout": "soon"}),
            json!({"header": 3}),
            json!({"identify": {"a": "b"}}),
            json!({"judge": "guess"}),
            json!({"tolerence": 5}),
        ] {
            assert!(settings(table.clone()).is_err(), "{table}");
        }
    }

    #[test]
    fn settings_that_contradict_each_other_are_no_plan() {
        for table in [
            json!({}),
            json!({"expect": "v1=1", "keep_alive": true, "requests_per_connection": 5}),
            json!({"expect": "v1=1", "keep_alive": true, "sequential": true}),
            json!({"expect": "v1=1", "max_p99": "v2=1s"}),
            json!({"expect": "v1=1", "max_error": "v1=200%"}),
            json!({"expect": "v1=1", "max_error": "v1=-1%"}),
            json!({"expect": "v1=1", "http2": true, "streams": 2}),
            json!({"expect": "v1=1", "keep_alive": true, "streams": 2}),
            json!({"expect": "v1=1", "url": "https://x", "insecure": true, "cacert": "a.pem"}),
            json!({"expect": "v1=1", "url": "https://x", "cacert": "/nonexistent/a.pem"}),
        ] {
            assert!(settings(table.clone()).unwrap().plan().is_err(), "{table}");
        }
    }
}
