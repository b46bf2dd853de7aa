//! The options of the gate, and of whatever else sends load or judges: what was typed becomes settings.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::output::OutputArgs;
use super::shard::ShardArgs;
use super::value::JudgeArg;
use crate::claim::stickiness::SessionBy;
use crate::plan::pace::Rate;
use crate::plan::preparation::Warmup;
use crate::plan::quantity;
use crate::plan::settings::{ExpectEven, Settings};

/// The heading of options that say who answered.
const IDENTIFICATION: &str = "Identification";

/// What the expected split is and what the verdict promises; shared by every command that judges.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Expectation and promise")]
pub(super) struct CriterionArgs {
    /// Expected weights of the backends; 0 means "must get nothing"
    #[arg(long, value_name = "v1=70,v2=30")]
    pub expect: Option<String>,
    /// The pods share the requests equally: so many, those of --expect-from, or those that answer; beside --expect those of
    /// each backend
    #[arg(long, value_name = "N|v1=3,v2=1", require_equals = true, num_args = 0..=1, default_missing_value = "")]
    pub expect_even: Option<ExpectEven>,
    /// The smallest deviation, in percent of a pod's equal share, that a PASS rules out (default: 20%)
    #[arg(long, value_name = "PCT", value_parser = quantity::percentage)]
    pub even_tolerance: Option<f64>,
    /// Read the split, host, path and pods from manifests: a file, a folder, '-' for stdin, or kubectl:NAMESPACE for what
    /// kubectl shows; repeatable
    #[arg(long, value_name = "FILE")]
    pub expect_from: Vec<String>,
    /// Which route of --expect-from is meant
    #[arg(long, value_name = "NAMESPACE/NAME[/RULE]")]
    pub route: Option<String>,
    /// Which step of a Rollout or a Flagger Canary in --expect-from is meant, from 1 (default: what its status says)
    #[arg(long, value_name = "N", value_parser = quantity::small_count, allow_hyphen_values = true)]
    pub step: Option<NonZeroUsize>,
    /// Promised error rate: a correct split fails, and one off by the tolerance passes, at most this often (default: 0.001)
    #[arg(long, value_name = "RATE", value_parser = quantity::error_rate)]
    pub alpha: Option<f64>,
    /// The smallest shift, in percentage points, that a PASS rules out (default: 5)
    #[arg(long, value_name = "PP", value_parser = quantity::percentage_points)]
    pub tolerance: Option<f64>,
    /// What PASS claims (default: equivalence)
    #[arg(long, value_enum)]
    pub judge: Option<JudgeArg>,
    /// Responses without an identity, in percent, beyond which a run cannot pass (default: 1%)
    #[arg(long, value_name = "PCT", value_parser = quantity::percentage, help_heading = IDENTIFICATION)]
    pub max_unattributed: Option<f64>,
    /// Which workload (name or glob) is which backend; repeatable
    #[arg(long, value_name = "LABEL=WORKLOAD", help_heading = IDENTIFICATION)]
    pub backend: Vec<String>,
    /// Seed of Monte Carlo and permutations, and, in demo, of the ingress (default: 1)
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

impl CriterionArgs {
    /// These settings over others.
    pub(super) fn over(&self, lower: Settings) -> Settings {
        // What is said to be expected here takes the place of what is below.
        let says_split = self.expect.is_some() || !self.expect_from.is_empty();
        let lower = match self.expect_even {
            // Within the backends of a split.
            Some(_) if self.expect.is_some() => lower,
            Some(_) => Settings {
                expect: None,
                expect_from: Vec::new(),
                backend: Vec::new(),
                ..lower
            },
            None => Settings {
                expect_even: lower.expect_even.filter(|_| !says_split),
                ..lower
            },
        };
        Settings {
            expect: self.expect.clone().or(lower.expect),
            expect_even: self.expect_even.clone().or(lower.expect_even),
            even_tolerance: self.even_tolerance.or(lower.even_tolerance),
            expect_from: list_over(&self.expect_from, lower.expect_from),
            route: self.route.clone().or(lower.route),
            step: self.step.or(lower.step),
            alpha: self.alpha.or(lower.alpha),
            tolerance: self.tolerance.or(lower.tolerance),
            judge: self.judge.map(Into::into).or(lower.judge),
            max_unattributed: self.max_unattributed.or(lower.max_unattributed),
            backend: list_over(&self.backend, lower.backend),
            seed: self.seed.or(lower.seed),
            ..lower
        }
    }
}

/// A repeatable option replaces what is below it; it does not add to it.
fn list_over(own: &[String], lower: Vec<String>) -> Vec<String> {
    if own.is_empty() { lower } else { own.to_vec() }
}

/// What is sent, and how; shared by the gate and demo.
#[derive(Debug, Clone, Args)]
pub(super) struct LoadArgs {
    #[command(flatten)]
    pub target: TargetArgs,
    #[command(flatten)]
    identification: IdentificationArgs,
    #[command(flatten)]
    pace: PaceArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    gates: GateLimits,
}

impl LoadArgs {
    /// These settings over others.
    pub(super) fn over(&self, lower: Settings) -> Settings {
        let lower = self.target.over(self.identification.over(lower));
        let lower = self.connection.over(self.pace.over(lower));
        self.gates.over(lower)
    }
}

/// Where requests go, and what each of them says.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Target")]
pub(super) struct TargetArgs {
    /// Host header (default: the URL's authority)
    #[arg(long, value_name = "NAME", env = "LBTEST_HOST")]
    pub host: Option<String>,
    /// Path and query of the requests (default: the URL's)
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// Method (default: GET)
    #[arg(
        short = 'm',
        long,
        value_name = "METHOD",
        visible_short_alias = 'X',
        visible_alias = "request"
    )]
    method: Option<String>,
    /// A further header; repeatable
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    header: Vec<String>,
    /// Name and password for HTTP's basic authentication
    #[arg(short = 'u', long, value_name = "NAME:PASSWORD")]
    user: Option<String>,
    /// What the User-Agent header says (default: lbtest/VERSION)
    #[arg(short = 'A', long, value_name = "NAME")]
    user_agent: Option<String>,
    /// A cookie; repeatable
    #[arg(short = 'b', long, value_name = "NAME=VALUE")]
    cookie: Vec<String>,
    /// Body; @FILE sends what a file holds, byte for byte
    #[arg(short = 'd', long = "data", value_name = "TEXT|@FILE", value_parser = quantity::body)]
    data: Option<String>,
    /// A file with the body, which is sent byte for byte
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    data_file: Option<PathBuf>,
    /// Send unary gRPC calls, by default grpc.health.v1.Health/Check; the message is the body
    #[arg(
        long,
        value_name = "SERVICE/METHOD",
        num_args = 0..=1,
        default_missing_value = "grpc.health.v1.Health/Check"
    )]
    grpc: Option<String>,
    /// What goes first on a tcp:// or tls:// connection; \\r, \\n, \\t, \\0, \\\\ and \\xHH are escapes
    #[arg(long, value_name = "TEXT")]
    send: Option<String>,
}

impl TargetArgs {
    fn over(&self, lower: Settings) -> Settings {
        let says_what_body = self.data.is_some() || self.data_file.is_some();
        let (data, data_file) = if says_what_body {
            (self.data.clone(), self.data_file.clone())
        } else {
            (lower.data, lower.data_file)
        };
        Settings {
            host: self.host.clone().or(lower.host),
            path: self.path.clone().or(lower.path),
            method: self.method.clone().or(lower.method),
            header: list_over(&self.header, lower.header),
            user: self.user.clone().or(lower.user),
            user_agent: self.user_agent.clone().or(lower.user_agent),
            cookie: list_over(&self.cookie, lower.cookie),
            data,
            data_file,
            grpc: self.grpc.clone().or(lower.grpc),
            send: self.send.clone().or(lower.send),
            ..lower
        }
    }
}

/// How a response tells which pod answered.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = IDENTIFICATION)]
struct IdentificationArgs {
    /// How a response names its pod: REGEX on the body (group 1), header:NAME, trailer:NAME, `json:/pointer`,
    /// field:3.1 (a protobuf message's), cert:cn or cert:san; repeatable. With logs, the pods' own logs tell: see analyze --run
    #[arg(long, value_name = "RULE")]
    identify: Vec<String>,
    /// How much of a response is read to identify the pod (default: 1MiB)
    #[arg(long, value_name = "SIZE", value_parser = quantity::bytes)]
    max_body: Option<usize>,
}

impl IdentificationArgs {
    fn over(&self, lower: Settings) -> Settings {
        Settings {
            identify: list_over(&self.identify, lower.identify),
            max_body: self.max_body.or(lower.max_body),
            ..lower
        }
    }
}

/// How much is sent, and how fast.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Load")]
struct PaceArgs {
    /// Requests that must be attributed, such as 500, 10k or 1m (default: computed from the promise)
    #[arg(short = 'n', long, value_name = "N", value_parser = quantity::count, allow_hyphen_values = true)]
    requests: Option<NonZeroU64>,
    /// Run for this long
    #[arg(short = 'z', long, value_name = "D", value_parser = quantity::duration, allow_hyphen_values = true)]
    duration: Option<Duration>,
    /// Give up after this long; a run cut short cannot pass (default: 10m)
    #[arg(long, value_name = "D", value_parser = quantity::duration, allow_hyphen_values = true)]
    max_duration: Option<Duration>,
    /// Stop as soon as the evidence is enough
    #[arg(long)]
    sequential: bool,
    /// Open-loop pace of the whole run, such as 500/s or 175/m (default: as fast as responses come)
    #[arg(short = 'q', long, value_name = "R")]
    rate: Option<Rate>,
    /// Requests in flight at once (default: 50)
    #[arg(short = 'c', long, value_name = "N", value_parser = quantity::small_count, allow_hyphen_values = true)]
    concurrency: Option<NonZeroUsize>,
    /// Client threads (default: one a core)
    #[arg(long, value_name = "N", value_parser = quantity::threads, allow_hyphen_values = true)]
    threads: Option<NonZeroUsize>,
    /// Send this first and discard it: a time (2s) or a number of requests (500); both stand in the report
    #[arg(long, value_name = "N|D")]
    warmup: Option<Warmup>,
    /// Poll first until every backend of positive weight has answered, for at most this long
    #[arg(long, value_name = "D", value_parser = quantity::duration, allow_hyphen_values = true)]
    wait_ready: Option<Duration>,
}

impl PaceArgs {
    fn over(&self, lower: Settings) -> Settings {
        Settings {
            requests: self.requests.or(lower.requests),
            duration: self.duration.or(lower.duration),
            max_duration: self.max_duration.or(lower.max_duration),
            sequential: self.sequential.then_some(true).or(lower.sequential),
            rate: self.rate.or(lower.rate),
            concurrency: self.concurrency.or(lower.concurrency),
            threads: self.threads.or(lower.threads),
            warmup: self.warmup.or(lower.warmup),
            wait_ready: self.wait_ready.or(lower.wait_ready),
            ..lower
        }
    }
}

/// How connections are made and used.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of its own on the command line"
)]
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connection")]
struct ConnectionArgs {
    /// Requests a connection carries; 1 gives independent draws behind any balancer (default: 1)
    #[arg(long, value_name = "K", value_parser = quantity::count, allow_hyphen_values = true)]
    requests_per_connection: Option<NonZeroU64>,
    /// No limit on the requests of a connection
    #[arg(long, conflicts_with = "requests_per_connection")]
    keep_alive: bool,
    /// HTTP/1.1, the default, whatever lbtest.toml says
    #[arg(long = "http1.1", conflicts_with_all = ["http2", "grpc"])]
    http1: bool,
    /// HTTP/2: by ALPN over TLS, else by prior knowledge
    #[arg(long)]
    http2: bool,
    /// Requests in flight at once on each connection, with --http2 and --keep-alive (default: 1)
    #[arg(long, value_name = "N", value_parser = quantity::small_count, allow_hyphen_values = true)]
    streams: Option<NonZeroUsize>,
    /// Time allowed for one exchange (default: 10s)
    #[arg(short = 't', long, value_name = "D", value_parser = quantity::duration, allow_hyphen_values = true)]
    timeout: Option<Duration>,
    /// Time allowed for one dial (default: 3s)
    #[arg(long, value_name = "D", value_parser = quantity::duration, allow_hyphen_values = true)]
    connect_timeout: Option<Duration>,
    /// Dial HOST2:PORT2 in place of HOST1:PORT1, as curl does; repeatable
    #[arg(long, value_name = "HOST1:PORT1:HOST2:PORT2")]
    connect_to: Vec<String>,
    /// The addresses of a name, as curl takes them; repeatable
    #[arg(long, value_name = "HOST:PORT:ADDRESS,...")]
    resolve: Vec<String>,
    /// Dial a Unix domain socket
    #[arg(long, value_name = "PATH")]
    unix_socket: Option<PathBuf>,
    /// The name that TLS asks for (default: that of --host, else the URL's)
    #[arg(long, value_name = "NAME")]
    sni: Option<String>,
    /// Accept any certificate
    #[arg(short = 'k', long, conflicts_with = "cacert")]
    insecure: bool,
    /// Trust the authorities, and the self-signed certificates, in this PEM file alone
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// The client's certificate in PEM form, for an ingress that asks for one (mutual TLS)
    #[arg(long, value_name = "FILE")]
    cert: Option<PathBuf>,
    /// Its private key in PEM form (default: in the file of --cert)
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

impl ConnectionArgs {
    fn over(&self, lower: Settings) -> Settings {
        let says_how_they_are_used = self.keep_alive || self.requests_per_connection.is_some();
        let (keep_alive, requests_per_connection) = if says_how_they_are_used {
            (Some(self.keep_alive), self.requests_per_connection)
        } else {
            (lower.keep_alive, lower.requests_per_connection)
        };
        let http2 = match (self.http1, self.http2) {
            (true, _) => Some(false),
            (_, true) => Some(true),
            (false, false) => lower.http2,
        };
        let says_whom_to_trust = self.insecure || self.cacert.is_some();
        let (insecure, cacert) = if says_whom_to_trust {
            (Some(self.insecure), self.cacert.clone())
        } else {
            (lower.insecure, lower.cacert)
        };
        Settings {
            requests_per_connection,
            keep_alive,
            http2,
            streams: self.streams.or(lower.streams),
            timeout: self.timeout.or(lower.timeout),
            connect_timeout: self.connect_timeout.or(lower.connect_timeout),
            connect_to: list_over(&self.connect_to, lower.connect_to),
            resolve: list_over(&self.resolve, lower.resolve),
            unix_socket: self.unix_socket.clone().or(lower.unix_socket),
            sni: self.sni.clone().or(lower.sni),
            insecure,
            cacert,
            cert: self.cert.clone().or(lower.cert),
            key: self.key.clone().or(lower.key),
            ..lower
        }
    }
}

/// What else a run can fail by.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Gates")]
struct GateLimits {
    /// A backend's 99th latency percentile beyond which the run fails; repeatable
    #[arg(long, value_name = "v2=200ms")]
    max_p99: Vec<String>,
    /// A backend's share of responses with a status of 500 or more (of gRPC: one that blames the server) beyond which the run fails; repeatable
    #[arg(long, value_name = "v2=1%")]
    max_error: Vec<String>,
    /// Check that sessions stay on their backends: by all cookies that are set, by cookie:NAME or by header:NAME
    #[arg(
        long,
        value_name = "BY",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "cookies"
    )]
    expect_sticky: Option<SessionBy>,
}

impl GateLimits {
    fn over(&self, lower: Settings) -> Settings {
        Settings {
            max_p99: list_over(&self.max_p99, lower.max_p99),
            max_error: list_over(&self.max_error, lower.max_error),
            expect_sticky: self.expect_sticky.clone().or(lower.expect_sticky),
            ..lower
        }
    }
}

/// The arguments of the gate.
#[derive(Debug, Clone, Args)]
pub(super) struct GateArgs {
    #[arg(
        env = "LBTEST_URL",
        help = "Where the ingress listens: http[s]://HOST, tcp://HOST:PORT or tls://HOST:PORT (default: http://localhost/)"
    )]
    pub url: Option<String>,
    /// A file with defaults and with checks to run when there is no --expect (default: lbtest.toml, if it is there)
    #[arg(long, value_name = "FILE", env = "LBTEST_CONFIG")]
    pub config: Option<PathBuf>,
    /// Run only the check of this name; repeatable
    #[arg(long, value_name = "NAME", conflicts_with_all = ["expect", "expect_even"])]
    pub check: Vec<String>,
    /// Check every rule of --expect-from, judged together; an lbtest.toml is not read
    #[arg(long, requires = "expect_from", conflicts_with_all = ["config", "expect", "route", "path"])]
    pub all: bool,
    #[command(flatten)]
    pub criterion: CriterionArgs,
    #[command(flatten)]
    pub load: LoadArgs,
    #[command(flatten)]
    pub shard: ShardArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl GateArgs {
    /// These settings over others.
    pub(super) fn over(&self, lower: Settings) -> Settings {
        let url = self.url.clone().or(lower.url);
        let lower = Settings { url, ..lower };
        self.load.over(self.criterion.over(lower))
    }
}
