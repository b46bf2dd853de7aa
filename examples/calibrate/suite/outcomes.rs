//! What a run may count, how probable that is, and the verdicts on it.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use lbtest::parts::{Binomial, Sampler, Verdict};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::Expectation;
use super::rule::Rule;

/// What was counted: identified responses by backend, and those without an identity.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Outcome {
    pub(crate) observed: Vec<u64>,
    pub(crate) unattributed: u64,
}

/// Outcomes with their probabilities, or with the shares of seeded runs that they were drawn in.
#[derive(Debug, Clone)]
pub(crate) struct Weighted {
    pub(crate) outcomes: Vec<(Outcome, f64)>,
    /// The seeded runs; `None` for an enumeration.
    pub(crate) runs: Option<u64>,
    /// The probability of what was left out of an enumeration.
    pub(crate) left_out: f64,
}

/// Counts less probable than this are left out of an enumeration.
const LEAST_PROBABILITY: f64 = 1e-15;

/// All counts of `n` responses of two backends, the first of true share `truth`.
pub(crate) fn enumerated(n: u64, truth: f64) -> Weighted {
    let binomial = Binomial::new(n, truth);
    let outcomes: Vec<_> = likely(
        n,
        |x| binomial.ln_mass(x),
        binomial.mode(),
        LEAST_PROBABILITY,
    )
    .map(|(x, mass)| {
        let observed = vec![x, n - x];
        let unattributed = 0;
        (
            Outcome {
                observed,
                unattributed,
            },
            mass,
        )
    })
    .collect();
    weighted(outcomes)
}

/// As [`enumerated`], when each request lacks an identity with probability `missing` and as many requests are
/// sent as it takes to identify `n`: the number without an identity is then negative binomial.
pub(crate) fn enumerated_with_missing(n: u64, truth: f64, missing: f64) -> Weighted {
    /// Coarser here, where there are two dimensions of them; what is left out counts against the rates.
    const LEAST: f64 = 1e-11;
    let identified = Binomial::new(n, truth);
    let hits: Vec<_> = likely(n, |x| identified.ln_mass(x), identified.mode(), LEAST).collect();
    let ln_missing = |u: u64| {
        let sent = (n + u) as f64;
        (n as f64 / sent).ln() + Binomial::new(n + u, missing).ln_mass(u)
    };
    let expected = n as f64 * missing / (1.0 - missing);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a mean of counts"
    )]
    let mode = expected as u64;
    let mut outcomes = Vec::new();
    for (unattributed, mass) in likely(u64::MAX, ln_missing, mode, LEAST) {
        for &(x, of_hits) in &hits {
            if mass * of_hits >= LEAST {
                let observed = vec![x, n - x];
                outcomes.push((
                    Outcome {
                        observed,
                        unattributed,
                    },
                    mass * of_hits,
                ));
            }
        }
    }
    weighted(outcomes)
}

fn weighted(outcomes: Vec<(Outcome, f64)>) -> Weighted {
    let kept: f64 = outcomes.iter().map(|(_, mass)| mass).sum();
    Weighted {
        outcomes,
        runs: None,
        left_out: (1.0 - kept).max(0.0),
    }
}

/// The counts of `0..=most` whose probability is at least `least`, around the mode.
fn likely(
    most: u64,
    ln_mass: impl Fn(u64) -> f64,
    mode: u64,
    least: f64,
) -> impl Iterator<Item = (u64, f64)> {
    let mass = |x: u64| Some((x, ln_mass(x).exp()));
    let is_likely = |&(_, mass): &(u64, f64)| mass >= least;
    let below = (0..mode).rev().map_while(mass).take_while(is_likely);
    let mut found: Vec<_> = below.collect();
    found.reverse();
    // The mean need not be the mode: what is below the limit there may rise again at once.
    let above = (mode..=most)
        .map_while(mass)
        .take_while(|one| is_likely(one) || one.0 == mode);
    found.extend(above);
    found.into_iter()
}

/// Seeded runs of `n` identified responses with the true shares `truth`; each request lacks an identity with
/// probability `missing`.
///
/// Backends of equal expected share are interchangeable: their counts are sorted, so that fewer differ.
#[expect(clippy::too_many_arguments, reason = "a cell of the suite")]
pub(crate) fn sampled(
    expectation: &Expectation,
    truth: &[f64],
    n: u64,
    missing: f64,
    runs: u64,
    seed: u64,
) -> Weighted {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let sampler = Sampler::new(truth);
    let groups = interchangeable(expectation.shares());
    let mut counts = vec![0; truth.len()];
    let mut drawn: BTreeMap<Outcome, u64> = BTreeMap::new();
    for _ in 0..runs {
        sampler.draw(n, &mut random, &mut counts);
        let mut observed = counts.clone();
        for group in &groups {
            let mut sorted: Vec<u64> = group.iter().map(|&index| counts[index]).collect();
            sorted.sort_unstable();
            for (&index, count) in group.iter().zip(sorted) {
                observed[index] = count;
            }
        }
        let unattributed = missing_of(n, missing, &mut random);
        *drawn
            .entry(Outcome {
                observed,
                unattributed,
            })
            .or_default() += 1;
    }
    let share = |(outcome, times): (Outcome, u64)| (outcome, times as f64 / runs as f64);
    Weighted {
        outcomes: drawn.into_iter().map(share).collect(),
        runs: Some(runs),
        left_out: 0.0,
    }
}

/// Failures before the `n`th success, each with probability `missing`: a Poisson mixed over a gamma.
fn missing_of(n: u64, missing: f64, random: &mut ChaCha8Rng) -> u64 {
    use rand_distr::{Distribution, Gamma, Poisson};
    if missing <= 0.0 {
        return 0;
    }
    let rate = Gamma::new(n as f64, missing / (1.0 - missing))
        .expect("shape and scale are positive")
        .sample(random);
    let count: f64 = Poisson::new(rate.max(f64::MIN_POSITIVE))
        .expect("the rate is positive")
        .sample(random);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a Poisson draw is a count"
    )]
    let count = count as u64;
    count
}

fn interchangeable(shares: &[f64]) -> Vec<Vec<usize>> {
    let mut groups: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (index, share) in shares.iter().enumerate() {
        groups.entry(share.to_bits()).or_default().push(index);
    }
    groups
        .into_values()
        .filter(|group| group.len() > 1)
        .collect()
}

/// The rate of each verdict.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Rates {
    pub(crate) pass: f64,
    pub(crate) fail: f64,
    pub(crate) inconclusive: f64,
}

/// The verdicts of one rule, remembered by outcome.
#[derive(Debug)]
pub(crate) struct Memo<'a> {
    expectation: &'a Expectation,
    rule: Rule,
    verdicts: HashMap<Outcome, Verdict>,
}

impl<'a> Memo<'a> {
    pub(crate) fn new(expectation: &'a Expectation, rule: Rule) -> Self {
        Self {
            expectation,
            rule,
            verdicts: HashMap::new(),
        }
    }

    pub(crate) fn rule(&self) -> Rule {
        self.rule
    }

    /// How often each verdict falls. What an enumeration left out is added to PASS as well as to FAIL.
    pub(crate) fn rates(&mut self, weighted: &Weighted) -> Rates {
        let outcomes: Vec<_> = weighted.outcomes.iter().collect();
        self.rates_among(&outcomes, weighted.left_out)
    }

    /// How often the verdict is PASS. Only outcomes that could pass are judged in full.
    pub(crate) fn pass_rate(&mut self, weighted: &Weighted) -> Rates {
        let can_pass = in_parallel(&weighted.outcomes, |(outcome, _)| {
            self.rule.can_pass(self.expectation, outcome)
        });
        let candidates = weighted.outcomes.iter().zip(can_pass);
        let candidates: Vec<_> = candidates
            .filter_map(|(weighted, can_pass)| can_pass.then_some(weighted))
            .collect();
        self.rates_among(&candidates, weighted.left_out)
    }

    fn rates_among(&mut self, outcomes: &[&(Outcome, f64)], left_out: f64) -> Rates {
        let unknown: Vec<&Outcome> = outcomes
            .iter()
            .map(|(outcome, _)| outcome)
            .filter(|outcome| !self.verdicts.contains_key(outcome))
            .collect();
        let verdicts = in_parallel(&unknown, |outcome| {
            self.rule.verdict(self.expectation, outcome)
        });
        for (outcome, verdict) in unknown.into_iter().zip(verdicts) {
            self.verdicts.insert(outcome.clone(), verdict);
        }
        let mut rates = Rates::default();
        for (outcome, weight) in outcomes {
            match self.verdicts[outcome] {
                Verdict::Pass => rates.pass += weight,
                Verdict::Fail => rates.fail += weight,
                Verdict::Inconclusive => rates.inconclusive += weight,
            }
        }
        rates.pass += left_out;
        rates.fail += left_out;
        rates
    }
}

/// Applies `work` to every item on all cores; the results are in the items' order.
pub(crate) fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    const CHUNK: usize = 16;
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let chunk = if items.len() < CHUNK * threads {
        1
    } else {
        CHUNK
    };
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        loop {
            let start = next.fetch_add(chunk, Ordering::Relaxed);
            if start >= items.len() {
                break done;
            }
            let end = (start + chunk).min(items.len());
            done.push((
                start,
                items[start..end].iter().map(&work).collect::<Vec<R>>(),
            ));
        }
    };
    let mut parts: Vec<(usize, Vec<R>)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        let done = threads.into_iter();
        done.flat_map(|thread| thread.join().expect("a worker does not panic"))
            .collect()
    });
    parts.sort_by_key(|&(start, _)| start);
    parts.into_iter().flat_map(|(_, part)| part).collect()
}
