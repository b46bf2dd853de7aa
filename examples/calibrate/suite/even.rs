//! The verdict on pods that are to share the requests equally.

use std::num::NonZeroUsize;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use lbtest::parts::{
    Claim, Criterion, Evidence, Group, Judge, Prospect, Sampler, Split, Verdict, decide,
};

use super::row::{Row, standard_error};
use super::rule::SEED;
use super::{ALPHA, Effort, seed_of};

/// The numbers of pods that are looked at.
pub(crate) const PODS: [usize; 4] = [2, 5, 25, 100];
/// The deviation that a PASS rules out, relative to the equal share: the program's default.
pub(crate) const TOLERANCE: f64 = 0.2;

/// What is true of pods that are to be equal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Truth {
    /// They are.
    Equal,
    /// One gets this multiple of its equal share, the others share the rest equally.
    OneAt(f64),
    /// Half of them, rounded down, get this multiple each, the others share the rest equally.
    HalfAt(f64),
}

impl Truth {
    /// What each of `pods` pods gets.
    pub(crate) fn shares(self, pods: usize) -> Vec<f64> {
        let equal = 1.0 / pods as f64;
        let (off, ratio) = match self {
            Self::Equal => (0, 1.0),
            Self::OneAt(ratio) => (1, ratio),
            Self::HalfAt(ratio) => (pods / 2, ratio),
        };
        let rest = (1.0 - off as f64 * ratio * equal) / (pods - off) as f64;
        let share = |pod| if pod < off { ratio * equal } else { rest };
        (0..pods).map(share).collect()
    }

    fn name(self) -> String {
        match self {
            Self::Equal => "equal".to_owned(),
            Self::OneAt(ratio) => format!("one at {ratio} ×"),
            Self::HalfAt(ratio) => format!("half of them at {ratio} ×"),
        }
    }
}

/// Each verdict on `pods` pods at the planned number of requests: where all get the same, and where some are off by
/// the tolerance. With two pods all counts are enumerated, by the code that `lbtest plan` forecasts with; with more
/// seeded counts go through the whole decision. `seen` is told each cell.
pub(crate) fn errors(pods: usize, effort: Effort, seen: impl Fn(&[Row])) -> Vec<Row> {
    let split = NonZeroUsize::new(pods).and_then(|pods| Split::of_pods(pods).ok());
    let split = split.expect("few enough to be judged");
    let tolerance = TOLERANCE / pods as f64;
    let criterion = Criterion::new(&split, ALPHA, tolerance, Judge::Equivalence, 1.0)
        .expect("the defaults make a criterion");
    let claim = Claim::new(split, criterion, SEED);
    let (hot, cold) = (1.0 + TOLERANCE, 1.0 - TOLERANCE);
    let mut truths = vec![Truth::Equal, Truth::OneAt(hot), Truth::OneAt(cold)];
    if pods > 2 {
        truths.push(Truth::HalfAt(hot));
    }
    let cell = |truth: Truth| {
        let cell = Cell {
            part: "even",
            split: format!("{pods} pods"),
            truth: truth.name(),
            is_right: truth == Truth::Equal,
        };
        let shares = truth.shares(pods);
        let rows = match pods {
            2 => cell.enumerated(&claim, &shares),
            _ => cell.simulated(&claim, &groups(pods), &shares, effort.few),
        };
        seen(&rows);
        rows
    };
    truths.into_iter().flat_map(cell).collect()
}

fn groups(pods: usize) -> Vec<Group> {
    let group = |pod| Group::alone(&format!("app-{pod}"));
    (0..pods).map(group).collect()
}

/// A claim and what is true of it.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) part: &'static str,
    pub(crate) split: String,
    pub(crate) truth: String,
    /// Whether the claim is right, so that a FAIL is the error.
    pub(crate) is_right: bool,
}

impl Cell {
    /// Each verdict on seeded counts of `groups` with these true shares, at the planned number of requests.
    pub(crate) fn simulated(
        &self,
        claim: &Claim,
        groups: &[Group],
        truth: &[f64],
        runs: u64,
    ) -> Vec<Row> {
        let n = claim.planned_requests().get();
        let sampler = Sampler::new(truth);
        let name = format!("{} {} {}", self.part, self.split, self.truth);
        let mut random = ChaCha8Rng::seed_from_u64(seed_of(&name));
        let mut counts = [0_u64; 3];
        for _ in 0..runs {
            let mut observed = vec![0; groups.len()];
            sampler.draw(n, &mut random, &mut observed);
            let evidence = Evidence {
                groups: groups.to_vec(),
                observed,
                ..Evidence::default()
            };
            counts[match decide(claim, &evidence).verdict {
                Verdict::Pass => 0,
                Verdict::Fail => 1,
                Verdict::Inconclusive => 2,
            }] += 1;
        }
        self.rows(
            n,
            counts.map(|count| count as f64 / runs as f64),
            Some(runs),
        )
    }

    /// The chance of each verdict on two pods.
    fn enumerated(&self, claim: &Claim, truth: &[f64]) -> Vec<Row> {
        let n = claim.planned_requests().get();
        let prospect = Prospect::new(&claim.expected(), n, claim.criterion.judge, SEED)
            .expect("two pods are enumerated");
        let rates = prospect.verdict_probabilities(truth);
        self.rows(n, [rates.pass, rates.fail, rates.inconclusive], None)
    }

    fn rows(&self, requests: u64, rates: [f64; 3], runs: Option<u64>) -> Vec<Row> {
        let error = if self.is_right { "fail" } else { "pass" };
        let outcomes = ["pass", "fail", "inconclusive"].into_iter().zip(rates);
        let rows = outcomes.map(|(outcome, value)| Row {
            part: self.part,
            split: self.split.clone(),
            requests,
            setting: String::new(),
            truth: self.truth.clone(),
            method: "lbtest",
            outcome,
            value,
            standard_error: runs.map(|runs| standard_error(value, runs)),
            runs,
            bound: (outcome == error).then_some(ALPHA),
        });
        rows.collect()
    }
}
