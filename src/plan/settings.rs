//! What a run was asked for, as it was written, whoever wrote it: the command line, a table of
//! `lbtest.toml`, or a manifest.
//!
//! An option is a field of the group of its subject, in a file of this folder: its flag, its key and their help, who
//! wins, its default and its effect stand there. Every option may be left out; [`Settings::plan`] is the one place
//! where settings become a [`Plan`].

/// `over` of a group: an option that is not given is taken from below; of options that exclude each other (`a | b`) all
/// are, or none where one is given. A list replaces what is below, it does not add to it.
macro_rules! over {
    ($($($option:ident)|+),+ $(,)?) => {
        /// These options over others.
        pub(in crate::plan) fn over(mut self, lower: Self) -> Self {
            let Self { $($($option),+),+ } = lower;
            $(if $($crate::plan::settings::is_left_out(&self.$option))&&+ {
                $(self.$option = $option;)+
            })+
            self
        }
    };
}

mod connection;
mod error;
mod expectation;
mod file;
mod gates;
mod grpc;
mod identification;
mod idle;
mod load;
mod promise;
pub(super) mod read;
mod request;
mod tcp;

use clap::Args;
use http::header::HOST;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::Plan;
use crate::stats::judge::Judge;
pub use connection::{ConnectionOptions, SharingOptions};
pub use error::SettingsError;
pub use expectation::{ExpectEven, ExpectationOptions};
pub use gates::GateOptions;
pub use identification::IdentificationOptions;
pub use load::{BudgetOptions, PaceOptions};
pub use promise::PromiseOptions;
pub use request::RequestOptions;

/// The heading of options that say who answered.
const IDENTIFICATION: &str = "Identification";

// Texts that need the rest of the settings to be understood (weights, mappings, limits, headers) stay texts until
// `Settings::plan`; `None`, `false` and empty lists leave the default.
/// What is sent and what is promised; what is left out has its default.
#[derive(Debug, Clone, Default, PartialEq, Args, JsonSchema)]
#[schemars(rename = "Target", deny_unknown_fields)]
pub struct Settings {
    /// What is expected.
    #[command(flatten)]
    #[schemars(flatten)]
    pub expectation: ExpectationOptions,
    /// What a verdict promises, and of whom.
    #[command(flatten)]
    #[schemars(flatten)]
    pub promise: PromiseOptions,
    /// Where requests go, and what each of them says.
    #[command(flatten)]
    #[schemars(flatten)]
    pub request: RequestOptions,
    /// How a response tells which pod answered.
    #[command(flatten)]
    #[schemars(flatten)]
    pub identification: IdentificationOptions,
    /// How much is sent, and what is waited for.
    #[command(flatten)]
    #[schemars(flatten)]
    pub budget: BudgetOptions,
    /// How fast it is sent, and for how long at most.
    #[command(flatten)]
    #[schemars(flatten)]
    pub pace: PaceOptions,
    /// How many requests share a connection.
    #[command(flatten)]
    #[schemars(flatten)]
    pub sharing: SharingOptions,
    /// How connections are made.
    #[command(flatten)]
    #[schemars(flatten)]
    pub connection: ConnectionOptions,
    /// What else a run can fail by.
    #[command(flatten)]
    #[schemars(flatten)]
    pub gates: GateOptions,
    /// What manifests say besides.
    #[arg(skip)]
    #[schemars(skip)]
    pub manifests: FromManifests,
}

/// What only manifests can say.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FromManifests {
    /// Whether the split comes from a canary of ingress-nginx.
    pub is_nginx_canary: bool,
    /// The names of the pods that are to share the requests equally.
    pub pods: Vec<String>,
    /// The same of the backends of a split, by label.
    pub pods_by_backend: Vec<(String, Vec<String>)>,
}

fn is_left_out<T: Default + PartialEq>(option: &T) -> bool {
    *option == T::default()
}

impl Settings {
    /// Reads a table; each group of options passes over the keys of the others, and so over unknown ones.
    ///
    /// # Errors
    /// A value of the wrong kind.
    pub fn read<'de, D: Deserializer<'de>>(table: impl Fn() -> D) -> Result<Self, D::Error> {
        Ok(Self {
            expectation: Deserialize::deserialize(table())?,
            promise: Deserialize::deserialize(table())?,
            request: Deserialize::deserialize(table())?,
            identification: Deserialize::deserialize(table())?,
            budget: Deserialize::deserialize(table())?,
            pace: Deserialize::deserialize(table())?,
            sharing: Deserialize::deserialize(table())?,
            connection: Deserialize::deserialize(table())?,
            gates: Deserialize::deserialize(table())?,
            manifests: FromManifests::default(),
        })
    }

    /// These settings over others.
    pub fn over(self, mut lower: Self) -> Self {
        let own = &self.expectation;
        if own.is_even_alone() {
            lower.expectation.expect = None;
            lower.expectation.expect_from.clear();
            lower.promise.backend.clear();
        } else if own.expect_even.is_none() && own.says_split() {
            lower.expectation.expect_even = None;
        }
        Self {
            expectation: self.expectation.over(lower.expectation),
            promise: self.promise.over(lower.promise),
            request: self.request.over(lower.request),
            identification: self.identification.over(lower.identification),
            budget: self.budget.over(lower.budget),
            pace: self.pace.over(lower.pace),
            sharing: self.sharing.over(lower.sharing),
            connection: self.connection.over(lower.connection),
            gates: self.gates.over(lower.gates),
            manifests: lower.manifests,
        }
    }

    /// Validates the settings as a whole; reads the files that they name.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn plan(&self) -> Result<Plan, SettingsError> {
        let split = self.split()?;
        let mappings = self.mappings(&split)?;
        let claim = self.claim(split)?;
        let sequential = self.budget.sequential;
        if sequential && claim.criterion.judge == Judge::Significance {
            return Err(SettingsError::SequentialSignificance);
        }
        let (target, request) = self.target()?;
        let host = request.headers.get(HOST);
        let host = host.and_then(|host| host.to_str().ok());
        let rules = self.identification.rules(host.unwrap_or_default())?;
        let connection_use = self.connection_use()?;
        let streams = self.sharing.streams_over(target.protocol, connection_use)?;
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
            sequential,
            shard: None,
            run_id: None,
            snapshot: None,
            compares_connections: false,
            mark: None,
            is_nginx_canary: self.manifests.is_nginx_canary,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::claim::Limit;

    fn settings(table: &Value) -> Result<Settings, serde_json::Error> {
        Settings::read(|| table)
    }

    #[test]
    fn what_nobody_asked_for_has_its_default() {
        let plan = settings(&json!({"expect": "v1=70,v2=30"}))
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
        let plan = settings(&json!({
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
    fn a_value_of_the_wrong_kind_is_refused() {
        for table in [
            json!({"requests": 0}),
            json!({"requests": true}),
            json!({"timeout": "soon"}),
            json!({"header": 3}),
            json!({"identify": {"a": "b"}}),
            json!({"judge": "guess"}),
        ] {
            assert!(settings(&table).is_err(), "{table}");
        }
    }

    #[test]
    fn what_is_given_above_takes_the_place_of_what_is_below() {
        for (above, below, expected) in [
            (
                json!({"header": "c: d"}),
                json!({"header": ["a: b", "e: f"], "sequential": true}),
                json!({"header": "c: d", "sequential": true}),
            ),
            (
                json!({"data": "x"}),
                json!({"data_file": "f", "host": "a"}),
                json!({"data": "x", "host": "a"}),
            ),
            (
                json!({"requests_per_connection": 3}),
                json!({"keep_alive": true, "streams": 2}),
                json!({"requests_per_connection": 3, "streams": 2}),
            ),
            (
                json!({"cacert": "a"}),
                json!({"insecure": true}),
                json!({"cacert": "a"}),
            ),
            (
                json!({"expect_from": "f"}),
                json!({"expect_even": 3, "backend": "a=b"}),
                json!({"expect_from": "f", "backend": "a=b"}),
            ),
            (
                json!({"expect_even": 3}),
                json!({"expect": "a=1", "expect_from": "f", "backend": "a=b", "seed": 2}),
                json!({"expect_even": 3, "seed": 2}),
            ),
            (
                json!({"expect_even": true, "expect": "a=1"}),
                json!({"expect": "a=2", "backend": "a=b"}),
                json!({"expect_even": true, "expect": "a=1", "backend": "a=b"}),
            ),
        ] {
            let [typed, file, both] =
                [&above, &below, &expected].map(|table| settings(table).unwrap());
            assert_eq!(typed.over(file), both, "{above} over {below}");
        }
        let mut http1 = Settings::default();
        http1.connection.http1 = true;
        let merged = http1.over(settings(&json!({"http2": true})).unwrap());
        assert!(!merged.connection.http2);
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
            assert!(settings(&table).unwrap().plan().is_err(), "{table}");
        }
    }
}
