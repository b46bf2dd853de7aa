//! What goes wrong with a backend: answers that fail, and answers that come late.

use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

use http::StatusCode;

use super::error::ConfigError;

/// What a failing backend does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The ingress answers for the backend, with this status and nginx's own page: no identity.
    Status(StatusCode),
    /// The pod answers itself, with status 500 and its usual page: an error that has an identity.
    Error,
    /// The connection is closed without an answer.
    Close,
    /// The connection is reset (TCP RST) without an answer.
    Reset,
}

/// `--fault v2=503:100%`: a share of one backend's requests that fail in one way.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// The backend's label.
    pub backend: String,
    /// What it does.
    pub kind: FaultKind,
    /// The share of its requests, in `0..=1`.
    pub share: f64,
    /// The request ordinals, from 0, between which it does so.
    pub requests: Range<u64>,
}

impl FromStr for Fault {
    type Err = ConfigError;

    /// Reads `LABEL=KIND:SHARE`, the share 100% where it is left out, and `@FROM-TO` after it for the
    /// requests from ordinal FROM up to but without TO.
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let syntax = || {
            ConfigError::syntax(
                "--fault",
                text,
                "LABEL=KIND:SHARE, KIND being a status from 300 to 599, error, close or reset, such as v2=503:100%",
            )
        };
        let (backend, rest) = text.split_once('=').ok_or_else(syntax)?;
        let (rest, requests) = match rest.split_once('@') {
            Some((rest, requests)) => (rest, parse_requests(requests).ok_or_else(syntax)?),
            None => (rest, 0..u64::MAX),
        };
        let (kind, share) = match rest.split_once(':') {
            Some((kind, share)) => (kind, parse_share(share).ok_or_else(syntax)?),
            None => (rest, 1.0),
        };
        let kind = match kind.trim() {
            "error" => FaultKind::Error,
            "close" => FaultKind::Close,
            "reset" => FaultKind::Reset,
            status => status
                .parse()
                .ok()
                .filter(|status: &StatusCode| (300..600).contains(&status.as_u16()))
                // A 304 has no body, and stands for what the client has already.
                .filter(|&status| status != StatusCode::NOT_MODIFIED)
                .map(FaultKind::Status)
                .ok_or_else(syntax)?,
        };
        Ok(Self {
            backend: backend.trim().to_owned(),
            kind,
            share,
            requests,
        })
    }
}

fn parse_share(text: &str) -> Option<f64> {
    let text = text.trim();
    let (number, unit) = match text.strip_suffix('%') {
        Some(number) => (number.trim_end(), 100.0),
        None => (text, 1.0),
    };
    let share = number.parse::<f64>().ok()? / unit;
    (0.0..=1.0).contains(&share).then_some(share)
}

/// `1500-1540` or `1500-`, as request ordinals.
fn parse_requests(text: &str) -> Option<Range<u64>> {
    let (from, to) = text.trim().split_once('-')?;
    let from = from.parse().ok()?;
    let to = if to.is_empty() {
        u64::MAX
    } else {
        to.parse().ok()?
    };
    (from < to).then_some(from..to)
}

/// The faults of one backend.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn new(faults: Vec<Fault>) -> Self {
        Self(faults)
    }

    /// The fault that a request meets, `unit` being its draw in `[0, 1)`: each fault that is active at
    /// the ordinal owns its share of the unit interval, in the order in which they were given.
    pub(super) fn at(&self, ordinal: u64, unit: f64) -> Option<FaultKind> {
        let mut edge = 0.0;
        self.0
            .iter()
            .filter(|fault| fault.requests.contains(&ordinal))
            .find_map(|fault| {
                edge += fault.share;
                (unit < edge).then_some(fault.kind)
            })
    }

    /// The largest sum of the shares that are active at once.
    pub(super) fn largest_sum(&self) -> f64 {
        // The set of active faults grows only where one begins.
        self.0
            .iter()
            .map(|begins| {
                let active = |fault: &&Fault| fault.requests.contains(&begins.requests.start);
                self.0.iter().filter(active).map(|fault| fault.share).sum()
            })
            .fold(0.0, f64::max)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// `--delay v2=50ms`: how long a backend takes for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delay {
    /// The backend's label.
    pub backend: String,
    /// The time between the request and its answer.
    pub duration: Duration,
}

impl FromStr for Delay {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        text.split_once('=')
            .and_then(|(backend, duration)| {
                Some(Self {
                    backend: backend.trim().to_owned(),
                    duration: humantime::parse_duration(duration.trim()).ok()?,
                })
            })
            .ok_or_else(|| ConfigError::syntax("--delay", text, "LABEL=DURATION such as v2=50ms"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> Fault {
        text.parse().unwrap()
    }

    #[test]
    fn each_kind_share_and_range_is_read() {
        let read = fault("v2=503:100%");
        assert_eq!(
            read.kind,
            FaultKind::Status(StatusCode::SERVICE_UNAVAILABLE)
        );
        assert_eq!(read.backend, "v2");
        assert_eq!(read.requests, 0..u64::MAX);
        assert_eq!(fault("v2=close").kind, FaultKind::Close);
        assert_eq!(fault("v2=reset").kind, FaultKind::Reset);
        for (text, share) in [
            ("v2=503", 1.0),
            ("v2=error:0.5", 0.5),
            ("v2=503:2.5 %", 0.025),
        ] {
            assert!((fault(text).share - share).abs() < 1e-12);
        }
        assert_eq!(fault("a:b=error:20%").backend, "a:b");
        assert_eq!(fault("v2=502:100%@1500-1540").requests, 1500..1540);
        assert_eq!(fault("v2=502@9-").requests, 9..u64::MAX);
    }

    #[test]
    fn a_bad_fault_or_delay_is_refused_in_one_sentence_that_names_the_flag() {
        for text in [
            "",
            "v2",
            "v2=",
            "v2=200",
            "v2=304",
            "v2=600:1",
            "v2=503:101%",
            "v2=503:-1%",
            "v2=503:NaN",
            "v2=503:50",
            "v2=503:1@5",
            "v2=503:1@5-5",
        ] {
            let error = text.parse::<Fault>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("--fault '{text}'")), "{error}");
        }
        for text in ["v2", "v2=", "v2=50", "v2=-1s"] {
            let error = text.parse::<Delay>().unwrap_err().to_string();
            assert!(error.starts_with("--delay"), "{error}");
        }
        let delay: Delay = "v2=50ms".parse().unwrap();
        assert_eq!(delay.duration, Duration::from_millis(50));
    }

    #[test]
    fn faults_of_one_backend_divide_the_unit_interval() {
        let faults = Faults::new(vec![fault("v2=close:25%"), fault("v2=error:50%@10-20")]);
        assert_eq!(faults.at(10, 0.2), Some(FaultKind::Close));
        assert_eq!(faults.at(10, 0.25), Some(FaultKind::Error));
        assert_eq!(faults.at(10, 0.75), None);
        assert_eq!(faults.at(20, 0.5), None);
        assert!((faults.largest_sum() - 0.75).abs() < 1e-12);
        let apart = Faults::new(vec![fault("v2=close@0-5"), fault("v2=error@5-")]);
        assert!((apart.largest_sum() - 1.0).abs() < 1e-12);
        assert_eq!(Faults::new(vec![fault("v2=503:0%")]).at(0, 0.0), None);
    }
}
