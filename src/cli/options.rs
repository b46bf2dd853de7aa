//! The options of the gate, and of whatever else sends load or judges: what was typed becomes settings.

mod connection;
mod load;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;

use super::output::OutputArgs;
use super::shard::ShardArgs;
use super::value::JudgeArg;
use crate::plan::quantity;
use crate::plan::settings::{ExpectEven, Settings};
pub(super) use connection::ConnectionArgs;
use connection::SharingArgs;
pub(super) use load::PaceArgs;
use load::{BudgetArgs, GateLimits};

/// The heading of options that say who answered.
const IDENTIFICATION: &str = "Identification";

/// What the expected split is and what the verdict promises; shared by every command that judges.
#[derive(Debug, Clone, Args)]
pub(super) struct CriterionArgs {
    #[command(flatten)]
    pub expectation: ExpectationArgs,
    #[command(flatten)]
    pub promise: PromiseArgs,
}

/// What is expected.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Expectation and promise")]
pub(super) struct ExpectationArgs {
    /// Expected weights of the backends; 0 means "must get nothing"
    #[arg(long, value_name = "v1=70,v2=30")]
    pub expect: Option<String>,
    /// Expect equal shares of N pods, of the pods of --expect-from, or of all that answer; with --expect, within each backend
    #[arg(long, value_name = "N|v1=3,v2=1", require_equals = true, num_args = 0..=1, default_missing_value = "")]
    pub expect_even: Option<ExpectEven>,
    /// The smallest deviation, in percent of a pod's equal share, that a PASS rules out (default: 20%)
    #[arg(long, value_name = "PCT", value_parser = quantity::percentage)]
    even_tolerance: Option<f64>,
    /// Read the split, host, path and pods from manifests: a file, a folder, '-' for stdin, or kubectl:NAMESPACE for what
    /// kubectl shows; repeatable
    #[arg(long, value_name = "FILE")]
    pub expect_from: Vec<String>,
    /// Which step of a Rollout or a Flagger Canary in --expect-from is meant, from 1 (default: what its status says)
    #[arg(long, value_name = "N", value_parser = quantity::small_count, allow_hyphen_values = true)]
    pub step: Option<NonZeroUsize>,
}

/// What a verdict promises, and of whom.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Expectation and promise")]
pub(super) struct PromiseArgs {
    /// Which route of the manifests is meant
    #[arg(long, value_name = "NAMESPACE/NAME[/RULE]")]
    route: Option<String>,
    /// Promised error rate: a correct split fails, and one off by the tolerance passes, at most this often (default: 0.001)
    #[arg(long, value_name = "RATE", value_parser = quantity::error_rate)]
    alpha: Option<f64>,
    /// The smallest shift, in percentage points, that a PASS rules out (default: 5)
    #[arg(long, value_name = "PP", value_parser = quantity::percentage_points)]
    tolerance: Option<f64>,
    /// What PASS claims (default: equivalence)
    #[arg(long, value_enum)]
    judge: Option<JudgeArg>,
    /// The percentage of responses without an identity above which a run cannot pass (default: 1%)
    #[arg(long, value_name = "PCT", value_parser = quantity::percentage, help_heading = IDENTIFICATION)]
    max_unattributed: Option<f64>,
    /// Which workload (name or glob) is which backend; repeatable
    #[arg(long, value_name = "LABEL=WORKLOAD", help_heading = IDENTIFICATION)]
    backend: Vec<String>,
    /// Seed of Monte Carlo and permutations, and, in demo, of the ingress (default: 1)
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

impl CriterionArgs {
    /// These settings over others.
    pub(super) fn over(&self, lower: Settings) -> Settings {
        self.promise.over(self.expectation.over(lower))
    }
}

impl ExpectationArgs {
    fn over(&self, lower: Settings) -> Settings {
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
            step: self.step.or(lower.step),
            ..lower
        }
    }
}

impl PromiseArgs {
    /// These settings over others.
    pub(super) fn over(&self, lower: Settings) -> Settings {
        Settings {
            route: self.route.clone().or(lower.route),
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
    budget: BudgetArgs,
    #[command(flatten)]
    pace: PaceArgs,
    #[command(flatten)]
    sharing: SharingArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    gates: GateLimits,
}

impl LoadArgs {
    /// These settings over others.
    pub(super) fn over(&self, lower: Settings) -> Settings {
        let lower = self.target.over(self.identification.over(lower));
        let lower = self.pace.over(self.budget.over(lower));
        let lower = self.connection.over(self.sharing.over(lower));
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
    /// What is sent first on a tcp:// or tls:// connection; escapes are \r, \n, \t, \0, \\ and \xHH
    #[arg(long, value_name = "TEXT")]
    send: Option<String>,
}

impl TargetArgs {
    /// These settings over others.
    pub(super) fn over(&self, lower: Settings) -> Settings {
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
pub(super) struct IdentificationArgs {
    /// How a response names its pod: REGEX on the body (group 1), header:NAME, trailer:NAME, `json:/pointer`,
    /// field:3.1 (a protobuf message's), cert:cn or cert:san; repeatable. With logs, the pods' own logs tell: see analyze --run
    #[arg(long, value_name = "RULE")]
    identify: Vec<String>,
    /// How much of a response is read to identify the pod (default: 1MiB)
    #[arg(long, value_name = "SIZE", value_parser = quantity::bytes)]
    max_body: Option<usize>,
}

impl IdentificationArgs {
    /// These settings over others.
    pub(super) fn over(&self, lower: Settings) -> Settings {
        Settings {
            identify: list_over(&self.identify, lower.identify),
            max_body: self.max_body.or(lower.max_body),
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
