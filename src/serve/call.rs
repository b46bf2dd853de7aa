//! What a call asks for: the split of a rollout's step, and since when it has applied.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::check::Step;
use crate::identity::assignment::Mappings;
use crate::logs::parse_time;
use crate::split::{Split, SplitError};

/// Clocks of the machines of a cluster differ by less; what lies further ahead is a mistake.
const MOST_AHEAD: Duration = Duration::from_mins(5);

/// A call that does not name it asks for the configured split, whenever it was measured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Call {
    /// The split, as the caller writes it.
    expect: Option<String>,
    /// The earliest start of a run that counts, as the caller writes it.
    not_before: Option<String>,
    /// Which pods are whose, as `--backend` takes it.
    backends: Vec<String>,
}

/// Patterns that a call may give, and their bytes together: each is compiled while others wait.
const MOST_PATTERNS: (usize, usize) = (64, 4096);

/// What a call may name.
const KEYS: [&str; 3] = ["expect", "not_before", "backend"];

/// Why a call cannot be answered; the message says what to write.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(super) enum CallError {
    /// A key of the query has no meaning, and would be silently without effect.
    #[error("unknown parameter '{0}': known are expect, not_before and backend")]
    Unknown(String),
    /// A key stands twice.
    #[error("{0} is given twice")]
    Twice(String),
    /// A part of the query is no text.
    #[error("the query is not UTF-8 text")]
    NotText,
    /// The payload is none of Flagger's.
    #[error("the body is not the JSON that Flagger sends: {0}")]
    Payload(String),
    /// What is expected is no split.
    #[error("expect: {0}")]
    Split(#[from] SplitError),
    /// The split is one of other backends.
    #[error("expect: '{given}' does not name the backends of this check, which are {known}")]
    OtherLabels {
        /// The labels of the call.
        given: String,
        /// Those that are configured.
        known: String,
    },
    /// Weights for a check that has none.
    #[error("expect: this check expects equal shares of all pods, and no weights: drop expect")]
    OfPods,
    /// More patterns than a split of pods needs.
    #[error(
        "backend: there are more than {} patterns, or they are longer than {} bytes together",
        MOST_PATTERNS.0,
        MOST_PATTERNS.1
    )]
    ManyPatterns,
    /// What assigns no pods.
    #[error("{0}")]
    Backend(String),
    /// What is no time.
    #[error(
        "not_before: '{0}' is not a time: write it as 2026-01-31T12:00:00Z or in seconds since 1970"
    )]
    NotATime(String),
    /// A time that no run could start at for long.
    #[error("not_before: '{0}' lies more than 5 minutes ahead")]
    Ahead(String),
}

impl Call {
    /// Reads the query of a URL.
    pub(super) fn of_query(query: &str) -> Result<Self, CallError> {
        let mut call = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = |text| percent_decode_str(text).decode_utf8();
            let key = decoded(key).map_err(|_| CallError::NotText)?;
            let value = decoded(value).map_err(|_| CallError::NotText)?;
            call.set(&key, &value)?;
        }
        Ok(call)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), CallError> {
        let place = match key {
            "expect" => &mut self.expect,
            "not_before" => &mut self.not_before,
            "backend" => {
                let mappings = value.split(',').map(|text| text.trim().to_owned());
                self.backends.extend(mappings);
                return Ok(());
            }
            _ => return Err(CallError::Unknown(key.escape_debug().to_string())),
        };
        match place.replace(value.to_owned()) {
            None => Ok(()),
            Some(_) => Err(CallError::Twice(key.to_owned())),
        }
    }

    /// What a run is to find, where `configured` says the backends.
    pub(super) fn step(&self, configured: &Split) -> Result<Step, CallError> {
        let split = self.split(configured)?;
        let bytes: usize = self.backends.iter().map(String::len).sum();
        if self.backends.len() > MOST_PATTERNS.0 || bytes > MOST_PATTERNS.1 {
            return Err(CallError::ManyPatterns);
        }
        Mappings::parse(split.labels(), &self.backends)
            .map_err(|error| CallError::Backend(error.to_string().replace("--", "")))?;
        let backends = self.backends.clone();
        Ok(Step { split, backends })
    }

    /// The split, with the labels of the configured one in their order.
    fn split(&self, configured: &Split) -> Result<Split, CallError> {
        let Some(text) = &self.expect else {
            return Ok(configured.clone());
        };
        if configured.is_of_pods() {
            return Err(CallError::OfPods);
        }
        let given: Split = text.parse()?;
        let weight = |label: &String| {
            let at = given.position(label)?;
            Some((label.clone(), given.weights()[at]))
        };
        let labels = configured.labels();
        let weights: Option<Vec<_>> = labels.iter().map(weight).collect();
        let weights = weights.filter(|found| found.len() == given.len());
        let weights = weights.ok_or_else(|| CallError::OtherLabels {
            given: given.labels().join(", "),
            known: labels.join(", "),
        })?;
        Ok(Split::new(weights)?)
    }

    /// The earliest start of a run that counts.
    pub(super) fn not_before(&self, now: SystemTime) -> Result<Option<SystemTime>, CallError> {
        let Some(text) = &self.not_before else {
            return Ok(None);
        };
        let refused = || text.escape_debug().to_string();
        let time = parse_time(text).ok_or_else(|| CallError::NotATime(refused()))?;
        let is_near = time
            .duration_since(now)
            .is_ok_and(|ahead| ahead > MOST_AHEAD);
        if is_near {
            return Err(CallError::Ahead(refused()));
        }
        Ok(Some(time))
    }
}

/// What Flagger posts: `{name, namespace, phase, checksum, metadata}`, of which the metadata is the user's.
#[derive(Debug, Default)]
pub(super) struct Payload {
    metadata: Option<BTreeMap<String, String>>,
}

impl Payload {
    /// Reads a body; an empty one says nothing.
    pub(super) fn parse(body: &[u8]) -> Result<Self, CallError> {
        if body.is_empty() {
            return Ok(Self::default());
        }
        let refused = |error: serde_json::Error| CallError::Payload(error.to_string());
        let mut fields: Map<String, Value> = serde_json::from_slice(body).map_err(refused)?;
        let metadata = fields.remove("metadata").unwrap_or_default();
        let metadata = serde_json::from_value(metadata).map_err(refused)?;
        Ok(Self { metadata })
    }

    /// The token, for which Flagger's webhooks have no header.
    pub(super) fn token(&self) -> Option<&str> {
        self.metadata.as_ref()?.get("token").map(String::as_str)
    }

    /// What the metadata asks for beside the query of the webhook's URL. Keys that resemble none of ours are the
    /// user's own.
    pub(super) fn call(&self, query: &str) -> Result<Call, CallError> {
        let mut call = Call::of_query(query)?;
        for (key, value) in self.metadata.iter().flatten() {
            let resembles = |known: &&str| {
                let plain = key.to_ascii_lowercase().replace('-', "_");
                strsim::jaro_winkler(&plain, known) > 0.85
            };
            if KEYS.iter().any(resembles) {
                call.set(key, value)?;
            }
        }
        Ok(call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured() -> Split {
        "stable=90,canary=10".parse().unwrap()
    }

    fn at(text: &str) -> SystemTime {
        humantime::parse_rfc3339(text).unwrap()
    }

    #[test]
    fn a_query_is_read_as_controllers_write_it() {
        let plain = Call::of_query("expect=stable=70,canary=30&not_before=1700000000").unwrap();
        let encoded =
            Call::of_query("not_before=1700000000&expect=stable%3D70%2Ccanary%3D30").unwrap();
        assert_eq!(plain, encoded);
        let split = plain.split(&configured()).unwrap();
        assert_eq!(split.to_string(), "stable=70,canary=30");
        assert_eq!(Call::of_query("").unwrap(), Call::default());
        let none = Call::default().split(&configured()).unwrap();
        assert_eq!(none, configured());
    }

    #[test]
    fn a_parameter_that_would_be_without_effect_is_refused() {
        for (query, message) in [
            ("expct=a=1", "'expct'"),
            ("expect=a=1&expect=a=1", "twice"),
            ("url=http://elsewhere/", "'url'"),
            ("expect=%ff", "UTF-8"),
            ("\u{1b}[2J=1", "'\\u{1b}[2J'"),
        ] {
            let error = Call::of_query(query).unwrap_err().to_string();
            assert!(error.contains(message), "{query}: {error}");
        }
    }

    #[test]
    fn a_split_has_the_labels_of_the_check_in_any_order() {
        let split = |text: &str| {
            let call = Call::of_query(&format!("expect={text}")).unwrap();
            call.split(&configured())
        };
        let turned = split("canary=30%,stable=70%").unwrap();
        assert_eq!(turned.labels(), configured().labels());
        assert_eq!(turned.shares(), [0.7, 0.3]);
        for text in [
            "stable=100",
            "stable=70,canary=20,v3=10",
            "stable=70,other=30",
        ] {
            let error = split(text).unwrap_err().to_string();
            assert!(
                error.contains("which are stable, canary"),
                "{text}: {error}"
            );
        }
        for text in ["", "stable", "stable=70,stable=30", "stable=0,canary=0"] {
            assert!(split(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_call_may_say_whose_pods_are_whose() {
        let step = |query: &str| Call::of_query(query).unwrap().step(&configured());
        let both = ["stable=*-6b8464cddd-*", "canary=*-5857ccdfc5-*"];
        let joined = step(&format!("backend={}", both.join(","))).unwrap();
        assert_eq!(joined.backends, both);
        assert_eq!(
            step(&format!("backend={}&backend={}", both[0], both[1])),
            Ok(joined)
        );
        for (count, pattern) in [(65, "a*".to_owned()), (10, "?".repeat(500))] {
            let many = (0..count).map(|at| format!("backend=canary={pattern}{at}"));
            let many = many.collect::<Vec<_>>().join("&");
            assert_eq!(step(&many), Err(CallError::ManyPatterns));
        }
        for query in ["backend=", "backend=stable", "backend=v3=a-*"] {
            let error = step(query).unwrap_err().to_string();
            assert!(error.starts_with("backend"), "{query}: {error}");
        }
    }

    #[test]
    fn a_time_far_ahead_is_refused_and_the_skew_of_a_clock_is_not() {
        let now = at("2026-01-31T12:00:00Z");
        let not_before = |text: &str| {
            let call = Call::of_query(&format!("not_before={text}")).unwrap();
            call.not_before(now)
        };
        assert_eq!(
            not_before("2026-01-31T12:05:00Z"),
            Ok(Some(at("2026-01-31T12:05:00Z")))
        );
        let error = not_before("2026-01-31T12:05:01Z").unwrap_err().to_string();
        assert!(error.contains("5 minutes ahead"), "{error}");
        // Milliseconds are a time in a far future.
        assert!(not_before("1769860800000").is_err());
    }

    #[test]
    fn flaggers_payload_is_read_whatever_else_stands_in_it() {
        let body = br#"{"name":"shop","namespace":"test","phase":"Progressing","checksum":"85d557f47b",
            "buildId":"7","metadata":{"expect":"stable=70,canary=30","token":"16688eb5","test":"all"}}"#;
        let payload = Payload::parse(body).unwrap();
        assert_eq!(payload.token(), Some("16688eb5"));
        let split = payload.call("").unwrap().split(&configured()).unwrap();
        assert_eq!(split.shares(), [0.7, 0.3]);
        for body in ["", "{}", r#"{"metadata":null}"#] {
            assert_eq!(
                Payload::parse(body.as_bytes()).unwrap().call(""),
                Ok(Call::default())
            );
        }
        // The webhook's URL may say it too, and never in vain.
        let beside = Payload::parse(b"{}").unwrap();
        assert_eq!(beside.call("expect=a=1"), Call::of_query("expect=a=1"));
        let twice = CallError::Twice("expect".to_owned());
        assert_eq!(payload.call("expect=a=1"), Err(twice));
        assert!(beside.call("url=http://elsewhere/").is_err());
        let misspelt = Payload::parse(br#"{"metadata":{"not-before":"1"}}"#).unwrap();
        assert!(
            misspelt
                .call("")
                .unwrap_err()
                .to_string()
                .contains("'not-before'")
        );
        for body in ["[]", "expect=a", r#"{"metadata":{"expect":3}}"#] {
            assert!(Payload::parse(body.as_bytes()).is_err(), "{body}");
        }
    }
}
