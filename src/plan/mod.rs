//! The validated, immutable description of a run: target, request, budget, pace, criterion.
//!
//! What was typed becomes a [`Plan`] once, at the edge; nothing behind it parses a string.

pub mod config;
pub mod endpoint;
pub mod pace;
pub mod preparation;
pub mod quantity;
pub mod settings;
pub mod shard;
pub mod stickiness;
pub mod target;
pub mod tls;

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use crate::identity::assignment::Mappings;
use crate::identity::rule::Rules;
use crate::split::Split;
use crate::stats::judge::Judge;
use crate::stats::sample_size;
use crate::stats::sequential::cap;
use pace::Rate;
use preparation::Preparation;
use shard::Sharding;
use stickiness::Stickiness;
use target::{RequestTemplate, Target};

/// Everything that a run needs to know.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where the ingress listens.
    pub target: Target,
    /// What is sent, the same every time.
    pub request: RequestTemplate,
    /// The expected split.
    pub split: Split,
    /// What the verdict promises.
    pub criterion: Criterion,
    /// How much is sent.
    pub budget: Budget,
    /// What is sent first and does not count.
    pub preparation: Preparation,
    /// How it is sent.
    pub load: LoadShape,
    /// How a response tells which pod answered.
    pub rules: Rules,
    /// Which pods the user assigned to which backend.
    pub mappings: Mappings,
    /// Limits that backends (indices into the split) must keep.
    pub limits: Vec<(usize, Limit)>,
    /// Whether the run stops as soon as the evidence is enough.
    pub sequential: bool,
    /// The sessions that are to stay on their backends, of which the run consists then; `None` where every
    /// request stands for itself.
    pub stickiness: Option<Stickiness>,
    /// Seeds Monte Carlo and permutations.
    pub seed: u64,
    /// Which part of a run that several share this is; `None` for a whole run.
    pub shard: Option<Sharding>,
    /// What the run is called; `None` leaves it to the report.
    pub run_id: Option<String>,
}

/// The error rates that the verdict keeps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Criterion {
    /// The promised error rate, in `(0, 0.5]`.
    pub alpha: f64,
    /// The smallest shift that a PASS rules out, as a share in `(0, 1)`.
    pub tolerance: f64,
    /// What PASS claims.
    pub judge: Judge,
    /// The share of responses without an identity beyond which a run cannot pass, in `0..=1`.
    pub max_unattributed: f64,
}

/// Why numbers do not make a criterion.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum CriterionError {
    /// α is not an error rate.
    #[error(
        "--alpha {0} is not an error rate: give a number above 0 and at most 0.5, such as 0.001"
    )]
    Alpha(f64),
    /// α is too small for Monte Carlo to resolve.
    #[error(
        "--alpha {0} is too small for {1} backends, whose p-value may come from Monte Carlo: \
         give at least 0.00001"
    )]
    AlphaForMonteCarlo(f64, usize),
    /// α is below what double precision can promise.
    #[error("--alpha {0} is too small: give at least 1e-12")]
    AlphaTooSmall(f64),
    /// τ is not a shift.
    #[error(
        "--tolerance {} is not a shift in percentage points: give a number above 0 and below 100, \
         such as 5",
        .0 * 100.0
    )]
    Tolerance(f64),
    /// The share of responses without identity is not a share.
    #[error(
        "--max-unattributed {} is not a percentage: give a number from 0 to 100, such as 1%",
        .0 * 100.0
    )]
    MaxUnattributed(f64),
}

impl Criterion {
    /// Checks the numbers against the split that they are for.
    ///
    /// # Errors
    /// A number outside its range, or an α that the test of this many backends cannot resolve.
    pub fn new(
        split: &Split,
        alpha: f64,
        tolerance: f64,
        judge: Judge,
        max_unattributed: f64,
    ) -> Result<Self, CriterionError> {
        let positive = split.shares().iter().filter(|&&share| share > 0.0).count();
        if !(alpha > 0.0 && alpha <= 0.5) {
            return Err(CriterionError::Alpha(alpha));
        }
        if positive > 2 && alpha < 1e-5 {
            return Err(CriterionError::AlphaForMonteCarlo(alpha, positive));
        }
        if alpha < 1e-12 {
            return Err(CriterionError::AlphaTooSmall(alpha));
        }
        if !(tolerance > 0.0 && tolerance < 1.0) {
            return Err(CriterionError::Tolerance(tolerance));
        }
        if !(0.0..=1.0).contains(&max_unattributed) {
            return Err(CriterionError::MaxUnattributed(max_unattributed));
        }
        Ok(Self {
            alpha,
            tolerance,
            judge,
            max_unattributed,
        })
    }
}

/// A limit on what a backend may do, beside its share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// 99 % of its responses must come within this.
    P99(Duration),
    /// At most this share of its identified responses may have a status of 500 or more.
    Errors(f64),
}

/// How much is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Requests to attribute; `None` runs until `duration` alone.
    pub requests: Option<NonZeroU64>,
    /// Run for this long.
    pub duration: Option<Duration>,
    /// Give up after this long; a run cut short by it cannot pass.
    pub max_duration: Duration,
}

impl Budget {
    /// The requests that `criterion` needs for its promise on `split`, when none were asked for.
    #[must_use]
    pub fn planned_requests(split: &Split, criterion: &Criterion) -> NonZeroU64 {
        let n =
            sample_size::fixed_sample_size(split.shares(), criterion.tolerance, criterion.alpha);
        NonZeroU64::new(n).unwrap_or(NonZeroU64::MIN)
    }

    /// The number of attributed responses after which a sequential run ends without a verdict.
    #[must_use]
    pub fn sequential_cap(split: &Split, criterion: &Criterion) -> NonZeroU64 {
        let (tolerance, alpha) = (criterion.tolerance, criterion.alpha);
        let n = cap(sample_size::asymptotic_sample_size(
            split.shares(),
            tolerance,
            alpha,
        ));
        NonZeroU64::new(n).unwrap_or(NonZeroU64::MIN)
    }

    /// How many requests that got no identity are replaced before the run gives up: as many as were
    /// asked for, and at least 100.
    #[must_use]
    pub fn replacements(&self) -> u64 {
        self.requests.map_or(u64::MAX, |n| n.get().max(100))
    }
}

/// How many requests a connection carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionUse {
    /// This many, then it is closed. 1 gives independent draws behind any balancer.
    Requests(NonZeroU64),
    /// As many as the peer allows.
    KeepAlive,
}

impl ConnectionUse {
    /// Whether a connection that has carried `served` requests may carry one more.
    #[must_use]
    pub fn allows_another(self, served: u64) -> bool {
        match self {
            Self::Requests(limit) => served < limit.get(),
            Self::KeepAlive => true,
        }
    }

    /// How many connections so many requests take at least; `None` where that is up to the peer.
    #[must_use]
    pub fn connections_for(self, requests: u64) -> Option<u64> {
        match self {
            Self::Requests(limit) => Some(requests.div_ceil(limit.get())),
            Self::KeepAlive => None,
        }
    }

    /// Whether every request has a connection of its own.
    #[must_use]
    pub fn is_fresh(self) -> bool {
        self == Self::Requests(NonZeroU64::MIN)
    }
}

/// How requests are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoadShape {
    /// Requests in flight at once.
    pub concurrency: NonZeroUsize,
    /// Client threads; never more than `concurrency`.
    pub threads: NonZeroUsize,
    /// How many requests a connection carries.
    pub connection_use: ConnectionUse,
    /// Requests in flight at once on one connection; more than 1 over HTTP/2 alone.
    pub streams: NonZeroUsize,
    /// Open-loop pace; `None` sends as fast as responses come.
    pub rate: Option<Rate>,
    /// Time allowed for one exchange, from the request's first byte to the body's last.
    pub timeout: Duration,
    /// Time allowed for one dial.
    pub connect_timeout: Duration,
    /// How many bytes of a body are read for identification.
    pub max_body: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn criterion(text: &str, alpha: f64, tolerance: f64) -> Result<Criterion, CriterionError> {
        let split: Split = text.parse().unwrap();
        Criterion::new(&split, alpha, tolerance, Judge::Equivalence, 0.01)
    }

    #[test]
    fn an_alpha_that_is_no_error_rate_is_refused() {
        for alpha in [0.0, -1.0, 2.0, 0.6, f64::NAN, f64::INFINITY] {
            assert!(criterion("a=1,b=1", alpha, 0.05).is_err(), "{alpha}");
        }
        assert!(criterion("a=1,b=1", 1e-6, 0.05).is_ok());
        let message = criterion("a=1,b=1,c=1", 1e-6, 0.05)
            .unwrap_err()
            .to_string();
        assert!(message.contains("Monte Carlo"), "{message}");
    }

    #[test]
    fn a_tolerance_that_is_no_shift_is_refused() {
        for tolerance in [0.0, 1.0, -0.05, f64::NAN] {
            assert!(
                criterion("a=1,b=1", 0.001, tolerance).is_err(),
                "{tolerance}"
            );
        }
    }

    #[test]
    fn the_planned_requests_carry_the_promise() {
        let split: Split = "v1=70,v2=30".parse().unwrap();
        let criterion = criterion("v1=70,v2=30", 0.001, 0.05).unwrap();
        assert_eq!(Budget::planned_requests(&split, &criterion).get(), 3664);
    }
}
