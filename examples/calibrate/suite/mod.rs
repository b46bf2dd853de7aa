//! The calibration suite: how often the verdict is wrong, for the code that decides it.
//!
//! Every part drives the decision itself ([`lbtest::parts::judge_counts`],
//! [`lbtest::parts::Sequential`], the tests of dependence) with counts whose true split is
//! known, and reports [`Row`]s: a rate, its standard error, and the rate that was promised. With two
//! backends all counts are enumerated and weighted with their binomial probabilities; with more, counts are
//! drawn with fixed seeds.

pub(crate) mod clients;
pub(crate) mod conformance;
pub(crate) mod curves;
pub(crate) mod dependent;
pub(crate) mod drifting;
pub(crate) mod even;
pub(crate) mod fixed;
pub(crate) mod missing;
pub(crate) mod outcomes;
pub(crate) mod pinned;
pub(crate) mod row;
pub(crate) mod rule;
pub(crate) mod sequential;
pub(crate) mod stopping;
pub(crate) mod two;
pub(crate) mod within;

use lbtest::parts::{Claim, Criterion, Judge, Split, faces};

/// The promised error rate and the tolerance that the suite checks: the program's defaults.
pub(crate) const ALPHA: f64 = 0.001;
pub(crate) const TOLERANCE: f64 = 0.05;

/// The expected splits, as weights.
pub(crate) const SPLITS: [&[f64]; 6] = [
    &[70.0, 30.0],
    &[50.0, 50.0],
    &[90.0, 10.0],
    &[99.0, 1.0],
    &[50.0, 30.0, 20.0],
    &[97.0, 1.0, 1.0, 1.0],
];

/// The numbers of requests below the planned one that are looked at.
pub(crate) const REQUESTS: [u64; 9] = [20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000];

/// How many seeded runs stand behind a simulated rate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// Where a run is cheap.
    pub(crate) many: u64,
    /// Where it is not.
    pub(crate) few: u64,
}

impl Effort {
    /// What the published table is made with.
    pub(crate) const FULL: Self = Self {
        many: 200_000,
        few: 20_000,
    };
    /// For a first look.
    pub(crate) const QUICK: Self = Self {
        many: 5000,
        few: 1000,
    };
}

/// An expected split with the criterion that it is judged by.
#[derive(Debug, Clone)]
pub(crate) struct Expectation {
    pub(crate) claim: Claim,
}

impl Expectation {
    pub(crate) fn new(weights: &[f64]) -> Self {
        Self::judged_by(weights, Judge::Equivalence)
    }

    pub(crate) fn judged_by(weights: &[f64], judge: Judge) -> Self {
        Self::within(weights, judge, TOLERANCE)
    }

    /// Any share of the responses may lack an identity, so that the limit hides no wrong PASS.
    pub(crate) fn within(weights: &[f64], judge: Judge, tolerance: f64) -> Self {
        let labelled = weights.iter().enumerate();
        let split =
            Split::new(labelled.map(|(index, &weight)| (format!("v{}", index + 1), weight)))
                .expect("the weights make a split");
        let criterion = Criterion::new(&split, ALPHA, tolerance, judge, 1.0)
            .expect("the defaults make a criterion");
        Self {
            claim: Claim::new(split, criterion, rule::SEED),
        }
    }

    pub(crate) fn shares(&self) -> &[f64] {
        self.claim.split.shares()
    }

    /// The requests that the program plans.
    pub(crate) fn planned(&self) -> u64 {
        self.claim.planned_requests().get()
    }

    /// The numbers of requests to look at: up to the planned one.
    pub(crate) fn requests(&self) -> Vec<u64> {
        let planned = self.planned();
        let below = REQUESTS.into_iter().filter(|&n| n < planned);
        below.chain([planned]).collect()
    }

    /// For each face of the tolerance, the split with that backend there and the others in proportion.
    pub(crate) fn shifted(&self) -> Vec<Vec<f64>> {
        let shares = self.shares();
        let mut truths: Vec<Vec<f64>> = Vec::new();
        for face in faces(shares, self.claim.criterion.tolerance) {
            let scale = (1.0 - face.share) / (1.0 - shares[face.backend]);
            let mut truth: Vec<f64> = shares.iter().map(|share| share * scale).collect();
            truth[face.backend] = face.share;
            // Backends of equal share are shifted one for all; with two, each shift is one of both.
            let is_known = truths.iter().any(|known| {
                let sorted = |truth: &[f64]| {
                    let mut pairs: Vec<_> =
                        shares.iter().copied().zip(truth.iter().copied()).collect();
                    pairs.sort_by(|a, b| a.partial_cmp(b).expect("shares are numbers"));
                    pairs
                };
                let pairs = sorted(known).into_iter().zip(sorted(&truth));
                pairs.into_iter().all(|(one, other)| {
                    (one.0 - other.0).abs() < 1e-12 && (one.1 - other.1).abs() < 1e-12
                })
            });
            if !is_known {
                truths.push(truth);
            }
        }
        truths
    }
}

/// `70/30`, in percent.
pub(crate) fn written(shares: &[f64]) -> String {
    let percent = |share: &f64| {
        let text = format!("{:.3}", 100.0 * share);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    shares.iter().map(percent).collect::<Vec<_>>().join("/")
}

/// The seed of a cell: a hash of its name (FNV-1a), so that no cell depends on the others.
pub(crate) fn seed_of(cell: &str) -> u64 {
    cell.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The backend in whose stretch of `0..1` the number falls.
pub(crate) fn drawn(truth: &[f64], uniform: f64) -> usize {
    let mut rest = uniform;
    for (index, share) in truth.iter().enumerate() {
        rest -= share;
        if rest < 0.0 {
            return index;
        }
    }
    let last = truth.iter().rposition(|&share| share > 0.0);
    last.expect("some share is positive")
}
