//! What a run is to show: the split that is expected, and the error rates at which a verdict holds.

pub mod stickiness;
pub mod within;

use std::borrow::Cow;
use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use crate::identity::assignment::Group;
use crate::split::Split;
use crate::stats::equivalence;
use crate::stats::evenness;
use crate::stats::expected::Expected;
pub use crate::stats::judge::Judge;
use crate::stats::sample_size;
use crate::stats::sequential::cap;
use stickiness::Stickiness;
use within::{Within, WithinError};

/// What is asserted of an ingress.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// The expected split.
    pub split: Split,
    /// What the verdict promises.
    pub criterion: Criterion,
    /// Seeds Monte Carlo and permutations.
    pub seed: u64,
    /// Limits that backends (indices into the split) must keep.
    pub limits: Vec<(usize, Limit)>,
    /// The sessions that are to stay on their backends, of which the run consists then; `None` where every
    /// request stands for itself.
    pub sessions: Option<Stickiness>,
    /// The pods that are to share the requests of their backend equally, beside the split.
    pub within: Option<Within>,
}

impl Claim {
    /// That requests are split so, and nothing else.
    pub fn new(split: Split, criterion: Criterion, seed: u64) -> Self {
        Self {
            split,
            criterion,
            seed,
            limits: Vec::new(),
            sessions: None,
            within: None,
        }
    }

    /// The requests that the promise takes.
    pub fn planned_requests(&self) -> NonZeroU64 {
        let Criterion {
            tolerance, alpha, ..
        } = self.criterion;
        let n = if self.within.is_some() {
            self.requests_of_parts()
        } else if self.split.is_of_pods() {
            evenness::sample_size(self.split.len(), self.even_tolerance(), alpha)
        } else {
            sample_size::fixed_sample_size(self.split.shares(), tolerance, alpha)
        };
        NonZeroU64::new(n).unwrap_or(NonZeroU64::MIN)
    }

    /// What counts are tested against.
    pub fn expected(&self) -> Expected<'_> {
        Expected {
            shares: self.split.shares(),
            tolerance: self.criterion.tolerance,
            alpha: self.criterion.alpha,
        }
    }

    /// The shift that a PASS rules out for each backend, as [`equivalence::tolerances`].
    pub fn tolerances(&self) -> Vec<f64> {
        equivalence::tolerances(self.split.shares(), self.criterion.tolerance)
    }

    /// The largest share that a backend can have which must get nothing, and got nothing in `n` responses.
    pub fn leak_ruled_out(&self, n: u64) -> f64 {
        equivalence::leak_ruled_out(n, self.criterion.alpha)
    }

    /// The tolerance as a part of a pod's equal share.
    pub fn even_tolerance(&self) -> f64 {
        self.criterion.tolerance * self.split.len() as f64
    }

    /// The same claim of the pods that were found, at least two.
    ///
    /// # Errors
    /// More pods than are judged, or an error rate that their tests cannot resolve.
    pub fn of_found(&self, groups: &[Group]) -> Result<Self, WithinError> {
        if let Some(within) = &self.within {
            let pods = self.pods_seen(groups);
            let tolerance = within.tolerance;
            return self.with_pods(Within {
                pods,
                names: Vec::new(),
                tolerance,
            });
        }
        let least = NonZeroUsize::MIN.saturating_add(1);
        let pods = NonZeroUsize::new(groups.len()).map_or(least, |pods| pods.max(least));
        let mut claim = self.clone();
        claim.split = Split::of_pods(pods)?;
        claim.criterion.tolerance = self.even_tolerance() / pods.get() as f64;
        Ok(claim)
    }

    /// The same claim of pods, which are called as they answered, once they have; `groups[i]` is pod `i`.
    pub fn naming<'a>(&self, groups: impl Iterator<Item = &'a Group>) -> Cow<'_, Self> {
        if !self.split.is_of_pods() || self.split.are_named() {
            return Cow::Borrowed(self);
        }
        let names: Vec<&str> = groups.map(|group| group.workload.as_str()).collect();
        Cow::Owned(Self {
            split: self.split.naming(&names),
            ..self.clone()
        })
    }

    /// The number of attributed responses after which a sequential run ends without a verdict.
    pub fn sequential_cap(&self) -> NonZeroU64 {
        let Criterion {
            tolerance, alpha, ..
        } = self.criterion;
        let n = sample_size::asymptotic_sample_size(self.split.shares(), tolerance, alpha);
        NonZeroU64::new(cap(n)).unwrap_or(NonZeroU64::MIN)
    }
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
    /// At most this share of its identified responses may have a status that blames the server.
    Errors(f64),
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A claim with the promise that is the default.
    pub(crate) fn claim(expect: &str) -> Claim {
        let criterion = criterion(expect, 0.001, 0.05).unwrap();
        Claim::new(expect.parse().unwrap(), criterion, 1)
    }

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
        assert_eq!(claim("v1=70,v2=30").planned_requests().get(), 3664);
    }
}
