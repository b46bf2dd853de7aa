//! A run whose answers name nobody: every request carries a mark, by which the pods' own logs tell who answered.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::SystemTime;

use http::header::USER_AGENT;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::Plan;
use super::settings::Settings;
use super::shard::{Shard, ShardError};
use super::target::Protocol;

/// What `--identify` says to ask for marks.
const RULE: &str = "logs";
/// Common servers log it.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The mark of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    run: String,
}

/// Why a run cannot be marked.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MarkError {
    /// While the run goes on nobody knows who answers.
    #[error(
        "--identify logs and {0} exclude each other: who answered is known when the logs are read, not before"
    )]
    Unknown(&'static str),
    /// Logs tell no connections.
    #[error(
        "--identify logs needs a connection for each request, since logs do not tell which requests shared one: drop \
         --keep-alive and --requests-per-connection"
    )]
    Connections,
    /// TCP has no headers.
    #[error("--identify logs marks a header, and tcp:// and tls:// have none")]
    Tcp,
    /// What was asked for is no plan.
    #[error(transparent)]
    Plan(#[from] ShardError),
}

impl Mark {
    /// A mark that no other run has: 16 hexadecimal digits.
    fn new() -> Self {
        let run = RandomState::new().hash_one(SystemTime::now());
        Self {
            run: format!("{run:016x}"),
        }
    }

    /// What is common to all requests of the run.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Marks a request with its number; 0 stands for those that do not count. A request id of the user's stays.
    pub fn put(&self, number: u64, headers: &mut HeaderMap) {
        let mark = format!("{}.{number}", self.run);
        let agent = headers.get(USER_AGENT).map(HeaderValue::as_bytes);
        let agent = [agent.unwrap_or_default(), format!(" ({mark})").as_bytes()].concat();
        if let Ok(agent) = HeaderValue::from_bytes(&agent) {
            headers.insert(USER_AGENT, agent);
        }
        if let Ok(mark) = HeaderValue::from_str(&mark) {
            headers.entry(REQUEST_ID).or_insert(mark);
        }
    }
}

impl Settings {
    /// Whether the pods' own logs are to tell who answered.
    pub fn wants_marks(&self) -> bool {
        let rules = &self.identification.identify;
        rules.iter().any(|rule| rule == RULE)
    }

    /// The plan of a marked run: the only shard of one, whose answers are counted elsewhere.
    ///
    /// # Errors
    /// Settings that are no plan, or that ask for what is not known before the logs are read.
    pub fn plan_marked(&self) -> Result<Plan, MarkError> {
        let others = [
            ("a further rule", self.identification.identify.len() > 1),
            ("--expect-even", self.expectation.expect_even.is_some()),
            ("--sequential", self.budget.sequential),
            ("--expect-sticky", self.gates.expect_sticky.is_some()),
            ("--wait-ready", self.budget.wait_ready.is_some()),
            ("--max-p99", !self.gates.max_p99.is_empty()),
            ("--max-error", !self.gates.max_error.is_empty()),
        ];
        if let Some((flag, _)) = others.into_iter().find(|&(_, is_given)| is_given) {
            return Err(MarkError::Unknown(flag));
        }
        let mut unnamed = self.clone();
        unnamed.identification.identify.clear();
        let mut plan = unnamed.plan_shard(Shard::new(0, 1)?)?;
        if !plan.load.connection_use.is_fresh() {
            return Err(MarkError::Connections);
        }
        if plan.target.protocol == Protocol::Tcp {
            return Err(MarkError::Tcp);
        }
        let mark = Mark::new();
        plan.run_id = Some(mark.run.clone());
        plan.mark = Some(mark);
        Ok(plan)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn planned(more: &serde_json::Value) -> Result<Plan, MarkError> {
        let mut table = json!({"expect": "v1=70,v2=30", "identify": "logs"});
        let more = more.as_object().unwrap().clone();
        table.as_object_mut().unwrap().extend(more);
        let settings = Settings::read(|| &table).unwrap();
        assert!(settings.wants_marks());
        settings.plan_marked()
    }

    #[test]
    fn a_request_carries_its_run_and_number_where_servers_log_them() {
        let plan = planned(&json!({})).unwrap();
        let mark = plan.mark.unwrap();
        let mut headers = plan.request.headers.clone();
        mark.put(17, &mut headers);
        let version = env!("CARGO_PKG_VERSION");
        let expected = format!("lbtest/{version} ({}.17)", mark.run());
        assert_eq!(headers[USER_AGENT], expected.as_str());
        assert_eq!(
            headers["x-request-id"],
            format!("{}.17", mark.run()).as_str()
        );
        assert_ne!(planned(&json!({})).unwrap().mark.unwrap(), mark);
    }

    #[test]
    fn what_takes_knowing_who_answers_is_refused() {
        for more in [
            json!({"identify": ["logs", "header:x-pod"]}),
            json!({"sequential": true}),
            json!({"expect_sticky": true}),
            json!({"keep_alive": true}),
            json!({"requests_per_connection": 5}),
            json!({"wait_ready": "5s"}),
            json!({"max_error": {"v1": "1%"}}),
            json!({"url": "tcp://db:5432"}),
        ] {
            assert!(planned(&more).is_err(), "{more}");
        }
    }
}
