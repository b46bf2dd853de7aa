//! What the ingress is told: typed values, and what makes them impossible together.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::{NonZeroU32, NonZeroU64};

use super::discipline::{Discipline, RouteBy};
use super::error::ConfigError;
use super::fault::{Delay, Fault, Faults};
use super::limiter::LimitStatus;
use super::option::{ExtraHeader, Shift};
use super::page::Page;
use super::pods::{self, Backend, MAX_PODS, PodCounts};
use super::rule::{CookieRule, HeaderRule, PathRule};
use crate::split::Split;

/// The embedded ingress's options. Start from [`Config::new`] and set what differs.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where to listen for TCP connections besides, each of which a pod greets with its name.
    pub listen_tcp: Option<SocketAddr>,
    /// The only Host that is routed; any other gets the default backend's 404. `None` routes all.
    pub host: Option<String>,
    /// `--split`: the weights that are applied, which need not be those that are expected of it. The
    /// first backend is the primary.
    pub split: Split,
    /// `--pods`: how many pods each backend has.
    pub pods: PodCounts,
    /// `--absent`: backends without endpoints. What an absent canary would get goes to the primary, and
    /// without a primary everything is a 503, as in ingress-nginx.
    pub absent: Vec<String>,
    /// `--discipline`: what a request's backend depends on.
    pub discipline: Discipline,
    /// `--route-by`: over what the draw is made.
    pub route_by: RouteBy,
    /// `--route-header`: a header that leads to the canary, which is the split's second backend.
    pub route_header: Option<HeaderRule>,
    /// `--route-cookie`: a cookie that does, after the header.
    pub route_cookie: Option<CookieRule>,
    /// `--route-path`: paths with weights of their own.
    pub route_paths: Vec<PathRule>,
    /// `--limit-rpm`: requests a minute for each client address; `None` for no limit.
    pub limit_rpm: Option<NonZeroU32>,
    /// `--burst-multiplier`: the burst in units of the limit.
    pub burst_multiplier: NonZeroU32,
    /// `--limit-status`: how a rejection is answered.
    pub limit_status: LimitStatus,
    /// `--limit-backend`: the one backend that is limited, after routing; `None` limits all, before it.
    pub limit_backend: Option<String>,
    /// `--fault`: answers that fail.
    pub faults: Vec<Fault>,
    /// `--delay`: answers that come late.
    pub delays: Vec<Delay>,
    /// `--shift`: splits that replace the first one from some request on.
    pub shifts: Vec<Shift>,
    /// `--close-after`: how many requests a connection may carry; `None` for any number.
    pub close_after: Option<NonZeroU64>,
    /// `--ssl-redirect`: answers everything with a 308 to https.
    pub ssl_redirect: bool,
    /// `--page`: what a pod answers.
    pub page: Page,
    /// `--header`: headers added to what pods answer.
    pub headers: Vec<ExtraHeader>,
    /// `--seed`: fixes every draw.
    pub seed: u64,
    /// The workload's name, of which the backends' workloads are made.
    pub stem: String,
}

impl Config {
    /// An ingress with this split on a free port of the loopback, one pod a backend, no limit, no
    /// fault, the challenge's page, any Host and seed 1.
    pub fn new(split: Split) -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            listen_tcp: None,
            host: None,
            split,
            pods: PodCounts::default(),
            absent: Vec::new(),
            discipline: Discipline::default(),
            route_by: RouteBy::default(),
            route_header: None,
            route_cookie: None,
            route_paths: Vec::new(),
            limit_rpm: None,
            burst_multiplier: DEFAULT_BURST_MULTIPLIER,
            limit_status: LimitStatus::default(),
            limit_backend: None,
            faults: Vec::new(),
            delays: Vec::new(),
            shifts: Vec::new(),
            close_after: None,
            ssl_redirect: false,
            page: Page::default(),
            headers: Vec::new(),
            seed: 1,
            stem: "challenge-app".to_owned(),
        }
    }

    /// The backends with their workloads and pods, in the split's order. Absent ones are listed too.
    pub fn backends(&self) -> Vec<Backend> {
        pods::backends(&self.stem, self.split.labels(), &self.pods)
    }

    /// Which workload is which label: `(label, workload)` pairs in the split's order.
    pub fn assignment(&self) -> Vec<(String, String)> {
        self.backends()
            .into_iter()
            .map(|backend| (backend.label, backend.workload))
            .collect()
    }

    /// Checks what no option can know alone.
    ///
    /// # Errors
    /// A host that is none; an option that names a backend that the split lacks, or names one twice;
    /// more than 10,000 pods; fault shares of a backend that sum to more than 1; two shifts at one
    /// request; a shift or a path where weights are ignored; two rules for one path; a header or cookie
    /// without a canary; a limited backend without a limit.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if let Some(host) = &self.host
            && (host.is_empty() || !host.bytes().all(|byte| byte.is_ascii_graphic()))
        {
            return Err(ConfigError::syntax(
                "--host",
                host,
                "a name such as edu.challenger-03",
            ));
        }
        self.validate_labels()?;
        let count: u64 = self
            .split
            .labels()
            .iter()
            .map(|label| u64::from(self.pods.of(label).get()))
            .sum();
        if count > u64::from(MAX_PODS) {
            return Err(ConfigError::TooManyPods {
                asked: count,
                most: MAX_PODS.into(),
            });
        }
        for label in self.split.labels() {
            let sum = self.faults_of(label).largest_sum();
            if sum > 1.0 + 1e-9 {
                return Err(ConfigError::FaultShares {
                    label: label.clone(),
                    percent: sum * 100.0,
                });
            }
        }
        self.validate_rules()?;
        self.validate_shifts()
    }

    /// Refuses a backend that the split lacks, or that an option names twice which takes it once.
    fn validate_labels(&self) -> Result<(), ConfigError> {
        let known = |flag: &'static str, label: &str| match self.split.position(label) {
            Some(_) => Ok(()),
            None => Err(ConfigError::UnknownBackend {
                flag,
                label: label.escape_debug().to_string(),
                known: self.split.labels().join(", "),
            }),
        };
        let once = |flag: &'static str, labels: Vec<&str>| {
            for (index, label) in labels.iter().enumerate() {
                known(flag, label)?;
                if labels[..index].contains(label) {
                    return Err(ConfigError::RepeatedBackend {
                        flag,
                        label: (*label).to_owned(),
                    });
                }
            }
            Ok(())
        };
        once(
            "--pods",
            self.pods.0.iter().map(|(l, _)| l.as_str()).collect(),
        )?;
        once("--absent", self.absent.iter().map(String::as_str).collect())?;
        once(
            "--delay",
            self.delays.iter().map(|d| d.backend.as_str()).collect(),
        )?;
        for fault in &self.faults {
            known("--fault", &fault.backend)?;
        }
        if let Some(label) = &self.limit_backend {
            known("--limit-backend", label)?;
            if self.limit_rpm.is_none() {
                return Err(ConfigError::NoLimit);
            }
        }
        Ok(())
    }

    fn validate_rules(&self) -> Result<(), ConfigError> {
        let needs_a_canary = [
            ("--route-header", self.route_header.is_some()),
            ("--route-cookie", self.route_cookie.is_some()),
        ];
        for (flag, is_given) in needs_a_canary {
            if is_given && self.split.len() < 2 {
                return Err(ConfigError::NoCanary(flag));
            }
        }
        if self.route_by == RouteBy::Pods && !self.route_paths.is_empty() {
            return Err(ConfigError::PathWithoutWeights);
        }
        for (index, rule) in self.route_paths.iter().enumerate() {
            self.knows_all("--route-path", &rule.split)?;
            let mut earlier = self.route_paths[..index].iter();
            if earlier.any(|other| other.path() == rule.path()) {
                return Err(ConfigError::RepeatedPath(rule.path().to_owned()));
            }
        }
        Ok(())
    }

    /// Refuses a split within an option that has a backend of its own.
    fn knows_all(&self, flag: &'static str, split: &Split) -> Result<(), ConfigError> {
        let mut labels = split.labels().iter();
        match labels.find(|label| self.split.position(label).is_none()) {
            Some(label) => Err(ConfigError::UnknownBackend {
                flag,
                label: label.clone(),
                known: self.split.labels().join(", "),
            }),
            None => Ok(()),
        }
    }

    fn validate_shifts(&self) -> Result<(), ConfigError> {
        if self.route_by == RouteBy::Pods && !self.shifts.is_empty() {
            return Err(ConfigError::ShiftWithoutWeights);
        }
        for (index, shift) in self.shifts.iter().enumerate() {
            self.knows_all("--shift", &shift.split)?;
            if self.shifts[..index].iter().any(|s| s.from == shift.from) {
                return Err(ConfigError::RepeatedShift(shift.from));
            }
        }
        Ok(())
    }

    /// The faults of one backend, in the order given.
    pub(super) fn faults_of(&self, label: &str) -> Faults {
        Faults::new(
            self.faults
                .iter()
                .filter(|fault| fault.backend == label)
                .cloned()
                .collect(),
        )
    }
}

/// ingress-nginx's default of `limit-burst-multiplier`.
pub const DEFAULT_BURST_MULTIPLIER: NonZeroU32 = NonZeroU32::new(5).expect("5 is not 0");

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config::new("v1=70,v2=30".parse().unwrap())
    }

    fn refused(change: impl FnOnce(&mut Config)) -> String {
        let mut config = config();
        change(&mut config);
        config.validate().unwrap_err().to_string()
    }

    #[test]
    fn the_default_is_valid_and_knows_its_workloads() {
        assert_eq!(config().validate(), Ok(()));
        let pair = |label: &str, workload: &str| (label.to_owned(), workload.to_owned());
        assert_eq!(
            config().assignment(),
            [pair("v1", "challenge-app"), pair("v2", "challenge-app-v2")]
        );
    }

    #[test]
    fn backends_that_the_split_lacks_are_refused_by_every_option() {
        for (flag, message) in [
            ("--pods", refused(|c| c.pods = "v3=1".parse().unwrap())),
            ("--absent", refused(|c| c.absent = vec!["v3".to_owned()])),
            (
                "--delay",
                refused(|c| c.delays = vec!["v3=1s".parse().unwrap()]),
            ),
            (
                "--fault",
                refused(|c| c.faults = vec!["v3=503".parse().unwrap()]),
            ),
            (
                "--shift",
                refused(|c| c.shifts = vec!["9:v3=1".parse().unwrap()]),
            ),
            (
                "--route-path",
                refused(|c| c.route_paths = vec!["/a:v3=1".parse().unwrap()]),
            ),
            (
                "--limit-backend",
                refused(|c| c.limit_backend = Some("v3".to_owned())),
            ),
        ] {
            let expected =
                format!("{flag} names backend 'v3', which the split lacks: it has v1, v2");
            assert_eq!(message, expected);
        }
    }

    #[test]
    fn what_is_impossible_together_is_refused() {
        assert!(refused(|c| c.host = Some("a b".to_owned())).starts_with("--host 'a b'"));
        assert!(refused(|c| c.pods = "v1=1,v1=2".parse().unwrap()).contains("twice"));
        assert!(refused(|c| c.pods = "v1=9999,v2=2".parse().unwrap()).contains("10001 pods"));
        let faults = [
            "v2=503:60%".parse().unwrap(),
            "v2=close:60%".parse().unwrap(),
        ];
        assert!(refused(|c| c.faults = faults.to_vec()).contains("120%"));
        let shifts = ["9:v1=1".parse().unwrap(), "9:v2=1".parse().unwrap()];
        assert!(refused(|c| c.shifts = shifts.to_vec()).contains("twice for request 9"));
        let bypassed = refused(|c| {
            c.route_by = RouteBy::Pods;
            c.shifts = vec!["9:v1=1".parse().unwrap()];
        });
        assert!(bypassed.contains("--route-by pods"));
        let paths = ["/a:v1=1".parse().unwrap(), "/a/:v2=1".parse().unwrap()];
        assert!(refused(|c| c.route_paths = paths.to_vec()).contains("twice for '/a'"));
        let bypassed = refused(|c| {
            c.route_by = RouteBy::Pods;
            c.route_paths = vec!["/a:v1=1".parse().unwrap()];
        });
        assert!(bypassed.contains("--route-path"));
        let alone = refused(|c| {
            c.split = "v1=1".parse().unwrap();
            c.route_cookie = Some("canary".parse().unwrap());
        });
        assert!(alone.starts_with("--route-cookie leads to a canary"));
        assert!(refused(|c| c.limit_backend = Some("v2".to_owned())).contains("--limit-rpm"));
    }
}
