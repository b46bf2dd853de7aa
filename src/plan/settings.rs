//! What a run was asked for, as it was written, whoever wrote it: the command line, a table of
//! `lbtest.toml`, or a manifest.
//!
//! Every setting is optional; [`Settings::plan`] is the one place where settings become a [`Plan`], with their
//! defaults. A new setting is a field here, a flag in `cli::options`, its line in the flags' `over`, and its
//! use in what [`Settings::plan`] calls; the configuration file and its schema follow.

mod claim;
mod connection;
mod error;
mod even;
mod file;
mod grpc;
mod idle;
mod load;
pub(super) mod read;
mod request;
mod tcp;

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use http::header::HOST;
use schemars::JsonSchema;
use serde::Deserialize;

use super::Plan;
use super::pace::Rate;
use super::preparation::Warmup;
use crate::claim::stickiness::SessionBy;
use crate::claim::{Claim, Criterion};
use crate::identity::assignment::Mappings;
use crate::identity::rule::Rules;
use crate::split::Split;
use crate::stats::judge::Judge;
pub use error::SettingsError;
pub use even::ExpectEven;
use read::{Quantity, Texts};

// Texts that need the rest of the settings to be understood (weights, mappings, limits, headers) stay texts until
// `Settings::plan`; `None` and empty lists leave the default.
/// What is sent and what is promised; what is left out has its default.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[schemars(rename = "Target")]
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
    /// How many pods are to share the requests equally, in place of a split or, by backend, beside it; `true` for those
    /// that answer.
    #[serde(deserialize_with = "even::read")]
    #[schemars(with = "even::Written")]
    pub expect_even: Option<ExpectEven>,
    /// The names of these pods, where manifests say them.
    #[serde(skip)]
    pub pods: Vec<String>,
    /// The same of the backends of a split, by label.
    #[serde(skip)]
    pub pods_by_backend: Vec<(String, Vec<String>)>,
    /// The smallest deviation from an equal share, in percent of it, that a PASS rules out (default: 20%).
    #[serde(deserialize_with = "read::percentage")]
    #[schemars(with = "Quantity")]
    pub even_tolerance: Option<f64>,
    /// Manifests that say the split, host, path and pods: files, folders, "-" for standard input, or "kubectl:NAMESPACE"; one or a list.
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
    /// The percentage of responses without an identity above which a run cannot pass.
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
    /// Whether any certificate is accepted.
    pub insecure: Option<bool>,
    /// A PEM file with the only authorities that are trusted.
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
    /// Name and password for HTTP's basic authentication, "NAME:PASSWORD".
    pub user: Option<String>,
    /// What the User-Agent header says (default: lbtest/VERSION).
    pub user_agent: Option<String>,
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
    /// What is sent first on a connection of a tcp:// or tls:// URL; escapes are `\r`, `\n`, `\t`, `\0`, `\\` and `\xHH`.
    pub send: Option<String>,
    /// How much of a response is read to identify the pod, such as "64KiB".
    #[serde(deserialize_with = "read::bytes")]
    #[schemars(with = "Quantity")]
    pub max_body: Option<usize>,
    /// The 99th latency percentile of a backend above which the run fails: "v2=200ms", a list of such, or {v2 = "200ms"}.
    #[serde(deserialize_with = "read::pairs")]
    #[schemars(with = "Texts")]
    pub max_p99: Vec<String>,
    /// The share of a backend's responses with a status of 500 or above (gRPC: one that blames the server) above which the run fails: "v2=1%", a list of such, or {v2 = "1%"}.
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

impl Settings {
    /// The expected split.
    ///
    /// # Errors
    /// There is none, or the text is none.
    pub fn split(&self) -> Result<Split, SettingsError> {
        let Some(pods) = self.expect_even.as_ref().filter(|_| self.expect.is_none()) else {
            let text = self.expect.as_deref().ok_or(SettingsError::NoSplit)?;
            return Ok(text.parse()?);
        };
        let others = [
            ("--expect-from", !self.expect_from.is_empty()),
            ("--backend", !self.backend.is_empty()),
        ];
        if let Some((flag, _)) = others.into_iter().find(|&(_, is_given)| is_given) {
            return Err(SettingsError::EvenWith(flag));
        }
        let split = match pods {
            _ if !self.pods.is_empty() => Split::of_named_pods(&self.pods),
            ExpectEven::WhoAnswers => Split::of_pods(even::LEAST),
            ExpectEven::Pods(pods) => Split::of_pods(*pods),
            ExpectEven::Backends(_) => return Err(SettingsError::EvenWithoutSplit),
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
        self.within(Claim::new(split, criterion, self.seed()))
    }

    /// The smallest shift that a PASS rules out.
    fn tolerance_of(&self, split: &Split) -> Result<f64, SettingsError> {
        if !split.is_of_pods() {
            return Ok(self.tolerance.unwrap_or(0.05));
        }
        Ok(self.relative_tolerance()? / split.len() as f64)
    }

    /// Which pods the user assigned to which backend of `split`.
    ///
    /// # Errors
    /// As [`Mappings::parse`].
    pub fn mappings(&self, split: &Split) -> Result<Mappings, SettingsError> {
        if split.is_of_pods() {
            return Ok(Mappings::of_each_pod());
        }
        let mappings = Mappings::parse(split.labels(), &self.backend)?;
        Ok(if self.is_even_within() {
            mappings.of_single_pods()
        } else {
            mappings
        })
    }

    /// The seed of Monte Carlo and permutations.
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
        let claim = self.claim(split)?;
        if self.is_sequential() && claim.criterion.judge == Judge::Significance {
            return Err(SettingsError::SequentialSignificance);
        }
        let (target, request) = self.target()?;
        let host = request.headers.get(HOST);
        let host = host.and_then(|host| host.to_str().ok());
        let rules = Rules::parse(&self.identify)?.ignoring_host(host.unwrap_or_default());
        let connection_use = self.connection_use()?;
        let streams = self.streams_over(target.protocol, connection_use)?;
        let claim = self.with_limits_and_sessions(claim)?;
        let preparation = self.preparation(&claim);
        let budget = self.budget(&claim, preparation.discovers_pods)?;
        let sessions = claim.sessions.as_ref().and_then(|sticky| sticky.sessions);
        let most = sessions.or(budget.requests);
        Ok(Plan {
            target,
            request,
            budget,
            preparation,
            load: self.load(most, connection_use, streams),
            claim,
            rules,
            mappings,
            sequential: self.is_sequential(),
            shard: None,
            run_id: None,
            snapshot: None,
            compares_connections: false,
            mark: None,
            is_nginx_canary: self.is_nginx_canary,
        })
    }

    fn is_sequential(&self) -> bool {
        self.sequential.unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::claim::Limit;

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
            "user": "Aladdin:open sesame",
            "user_agent": "curl/8",
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
        // The example of RFC 7617, 2.
        let basic = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";
        assert_eq!(plan.request.headers["authorization"], basic);
        assert_eq!(plan.request.headers["user-agent"], "curl/8");
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
            json!({"expect": "v1=1", "judge": "significance", "sequential": true}),
            json!({"expect": "v1=1", "max_p99": "v2=1s"}),
            json!({"expect": "v1=1", "user": "nobody"}),
            json!({"expect": "v1=1", "user": "a:b", "header": "authorization: Bearer x"}),
            json!({"expect": "v1=1", "user_agent": "a", "header": "User-Agent: b"}),
            json!({"expect": "v1=1", "user_agent": "a\nb"}),
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
