//! Pods that share the requests of their backend equally, asserted beside the split.
//!
//! The claim falls into parts: the split, and one for each backend whose pods are judged. The whole FAILs when a
//! part does and PASSes when all do, so that each part has its share of the error rate (Bonferroni) for a FAIL; a
//! wrong PASS takes a wrong PASS of the part that is off.

use std::num::NonZeroUsize;

use super::{Claim, Criterion, CriterionError};
use crate::identity::assignment::{Group, assign};
use crate::split::{Split, SplitError};
use crate::stats::chi_square::normal_quantile;
use crate::stats::{evenness, sample_size};

/// The backends whose pods are to share equally.
#[derive(Debug, Clone, PartialEq)]
pub struct Within {
    /// How many pods backend `i` of the split has; `None` where nothing is asserted of them.
    pub pods: Vec<Option<NonZeroUsize>>,
    /// What the pods of backend `i` are called, where that is known before they answer; else empty.
    pub names: Vec<Vec<String>>,
    /// The smallest deviation that a PASS rules out, as a part of a pod's equal share.
    pub tolerance: f64,
}

/// Why pods make no such claim.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum WithinError {
    /// There are too many of them.
    #[error("--expect-even: {0}")]
    Pods(#[from] SplitError),
    /// A part's error rate cannot be kept.
    #[error("{0}, for each of several claims that share it")]
    Criterion(#[from] CriterionError),
}

impl Within {
    /// The part of an error rate that each claim has which chance may refute: the split, and each backend of
    /// several pods. Cut to three digits, so that it reads well.
    fn part_of(&self, alpha: f64) -> f64 {
        let several = self.pods.iter().flatten().filter(|pods| pods.get() > 1);
        let part = alpha / (1.0 + several.count() as f64);
        let scale = 10_f64.powf(2.0 - part.log10().floor()).round();
        (part * scale + 1e-6).floor() / scale
    }
}

impl Claim {
    /// The split alone, at its part of the error rate; the claim itself where it is no more than that.
    pub fn of_split(&self) -> Self {
        let mut claim = self.clone();
        if let Some(within) = claim.within.take() {
            claim.criterion.alpha = within.part_of(claim.criterion.alpha);
        }
        claim
    }

    /// What is asserted of the pods of `backend`, at its part of the error rate; `None` where nothing is.
    pub fn of_backend(&self, backend: usize) -> Option<Self> {
        let within = self.within.as_ref()?;
        let pods = within.pods.get(backend).copied().flatten()?;
        let names = within.names.get(backend).filter(|names| !names.is_empty());
        let split = names.map_or_else(|| Split::of_pods(pods), |names| Split::of_named_pods(names));
        let split = split.ok()?;
        let criterion = Criterion {
            alpha: within.part_of(self.criterion.alpha),
            tolerance: within.tolerance / pods.get() as f64,
            ..self.criterion
        };
        Some(Self::new(split, criterion, self.seed))
    }

    /// The same claim with these pods within the backends.
    ///
    /// # Errors
    /// More pods than are judged, or an error rate that their tests cannot resolve.
    pub fn with_pods(&self, within: Within) -> Result<Self, WithinError> {
        let alpha = within.part_of(self.criterion.alpha);
        for pods in within.pods.iter().flatten() {
            let split = Split::of_pods(*pods)?;
            let Criterion {
                judge,
                max_unattributed,
                ..
            } = self.criterion;
            let tolerance = within.tolerance / pods.get() as f64;
            Criterion::new(&split, alpha, tolerance, judge, max_unattributed)?;
        }
        Ok(Self {
            within: Some(within),
            ..self.clone()
        })
    }

    /// How many pods of each backend are among `groups`, each of which is a pod; `None` for backends of no weight.
    pub fn pods_seen(&self, groups: &[Group]) -> Vec<Option<NonZeroUsize>> {
        let assigned = assign(&self.split, groups).fixed;
        let seen = |backend: usize| assigned.iter().filter(|&&own| own == Some(backend)).count();
        let shares = self.split.shares().iter().enumerate();
        shares
            .map(|(backend, &share)| NonZeroUsize::new(seen(backend)).filter(|_| share > 0.0))
            .collect()
    }

    /// The requests that a PASS of every part takes.
    pub(super) fn requests_of_parts(&self) -> u64 {
        let Criterion {
            alpha, tolerance, ..
        } = self.of_split().criterion;
        let shares = self.split.shares();
        let own = |backend: usize| {
            let part = self.of_backend(backend)?;
            let needed = match part.split.len() {
                1 => sample_size::fixed_sample_size(&[1.0], part.criterion.tolerance, alpha),
                pods => evenness::sample_size(pods, part.even_tolerance(), alpha),
            };
            Some(evenness::drawn_for(
                needed,
                shares[backend],
                normal_quantile(alpha),
            ))
        };
        let split = sample_size::fixed_sample_size(shares, tolerance, alpha);
        (0..shares.len()).filter_map(own).fold(split, u64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::tests;

    fn claim(pods: [Option<usize>; 2]) -> Claim {
        let within = Within {
            pods: pods.map(|pods| pods.and_then(NonZeroUsize::new)).to_vec(),
            names: Vec::new(),
            tolerance: 0.2,
        };
        tests::claim("v1=70,v2=30").with_pods(within).unwrap()
    }

    #[test]
    fn parts_that_can_be_refuted_by_chance_share_the_error_rate() {
        for (pods, parts) in [
            ([Some(3), Some(1)], "0.0005"),
            ([Some(3), Some(2)], "0.000333"),
            ([None, Some(1)], "0.001"),
        ] {
            let alpha = claim(pods).of_split().criterion.alpha;
            assert_eq!(alpha.to_string(), parts, "{pods:?}");
        }
        assert_eq!(claim([None, Some(1)]).of_backend(0), None);
    }

    #[test]
    fn the_requests_give_each_backend_as_many_as_its_pods_take() {
        let n = claim([Some(3), Some(1)]).planned_requests().get();
        let alone = evenness::sample_size(3, 0.2, 0.0005);
        assert!(n > alone * 10 / 7 && n < alone * 16 / 10, "{n}, {alone}");
        let n = claim([Some(3), Some(4)]).planned_requests().get();
        assert!(n > evenness::sample_size(4, 0.2, 0.00034) * 10 / 3, "{n}");
    }
}
