//! Why settings are no plan.

use std::num::NonZeroU64;
use std::time::Duration;

use super::grpc::GrpcError;
use super::tcp::TcpError;
use crate::claim::CriterionError;
use crate::claim::within::WithinError;
use crate::identity::assignment::MappingError;
use crate::identity::rule::RuleError;
use crate::plan::target::TargetError;
use crate::split::SplitError;

/// Why settings are no plan; the message names the flag.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SettingsError {
    /// A run that would be cut short for certain.
    #[error(
        "--duration {duration:?} is longer than --max-duration {limit:?}, which would cut the run short: raise --max-duration"
    )]
    Longer {
        /// The time to run.
        duration: Duration,
        /// The time to give up after.
        limit: Duration,
    },
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
        "--even-tolerance takes {requests} requests for this many pods, more than can be sent within \
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
    /// What would change nothing; the sentence names it.
    #[error("{0}")]
    Idle(&'static str),
    /// Evenness is no claim beside this option.
    #[error("--expect-even and {0} exclude each other: drop {0}, or make two checks of them")]
    EvenWith(&'static str),
    /// The number of pods of which backend?
    #[error(
        "--expect-even=N beside --expect does not say whose pods they are: write --expect-even=v1=3,v2=1, or \
         --expect-even for those that answer"
    )]
    EvenOfWhich,
    /// The pods of no backend of the split.
    #[error(
        "--expect-even names '{label}', and --expect has no such backend of positive weight: it has {known}"
    )]
    EvenUnknown {
        /// What was given, escaped.
        label: String,
        /// The split's labels.
        known: String,
    },
    /// A backend's pods were given twice.
    #[error("--expect-even gives the pods of '{0}' twice: drop one of them")]
    EvenTwice(String),
    /// Pods of backends without a split.
    #[error(
        "--expect-even gives the pods of backends, and no split is expected: add --expect, such as v1=70,v2=30"
    )]
    EvenWithoutSplit,
    /// The pods make no claim.
    #[error(transparent)]
    Within(#[from] WithinError),
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
    /// What is no name with a password; it is not repeated, since it may be a secret.
    #[error("--user needs a name and a password: write it as NAME:PASSWORD")]
    User,
    /// What is no value of a header.
    #[error("--user-agent '{0}' holds a character that no header can")]
    UserAgent(String),
    /// Two options that set one header.
    #[error("{0} and --header '{1}: …' exclude each other: drop one of them")]
    TwiceSet(&'static str, &'static str),
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
         connections of their own: drop {0}"
    )]
    StickyWith(&'static str),
    /// A run that stops by itself was asked for with connections that carry several requests.
    #[error(
        "--sequential needs a connection of its own for every request, since responses on one \
         connection may depend on each other: drop --keep-alive and --requests-per-connection"
    )]
    SequentialOnSharedConnections,
    /// A run that stops by itself was asked for the classical test, which cannot say PASS before its end.
    #[error(
        "--sequential cannot stop early for a PASS of --judge significance, and would take more requests than \
         a fixed number: drop one of them"
    )]
    SequentialSignificance,
    /// A connection was asked to carry so many requests, and any number.
    #[error("--keep-alive and --requests-per-connection exclude each other: drop one of them")]
    ConnectionUse,
    /// Streams were asked for without a connection that could carry them.
    #[error(
        "--streams needs --http2 (or --grpc) and --keep-alive, which make a connection that carries several requests at once"
    )]
    Streams,
    /// Any certificate was to do, and only some.
    #[error("--insecure and --cacert exclude each other: drop one of them")]
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
