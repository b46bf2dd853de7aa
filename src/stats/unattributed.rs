//! Verdicts in spite of responses that don't say which backend they came from.
//!
//! They are never dropped. A split is refuted only if it is under the most favourable way of attributing
//! them, and holds only if it does under the least favourable one.
//!
//! Both ways attribute them to backends of positive share alone. A response of a zero-weight backend
//! could hide among them, too, but to reckon with that would make every such check inconclusive at the
//! first lost response. What may hide there is bounded by the share of responses without an identity,
//! which is reported, and limited by `--max-unattributed`.

use super::cells::{Cells, positive, total};
use super::chi_square;
use super::density::ln_multinomial;
use super::equivalence::{equivalence_p_value_with_unattributed, tolerances};
use super::expected::Expected;
use super::goodness_of_fit::{GoodnessOfFit, Method, goodness_of_fit};
use super::judge::{Decision, Judge};
use super::monte_carlo::StatisticsError;
use super::regions::equivalent_counts;

/// What every way of attributing the responses without an identity has in common.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// The test under the attribution that fits best: if this one rejects, all do.
    pub most_favourable: GoodnessOfFit,
    /// The test under the attribution that fits worst: if this one does not reject, none does.
    pub least_favourable: GoodnessOfFit,
    /// The largest p-value of "some backend is off by its tolerance or more".
    pub equivalence_p_value: f64,
    /// Whether some attribution refutes every shift that matters.
    pub can_be_equivalent: bool,
}

impl Bounds {
    /// Over all ways of attributing `unattributed` responses beside the `observed` ones; `None` where
    /// there is nothing to test.
    ///
    /// # Errors
    /// As [`goodness_of_fit`].
    ///
    /// # Panics
    /// If the slices differ in length.
    pub fn new(
        observed: &[u64],
        unattributed: u64,
        expected: &Expected<'_>,
        seed: u64,
    ) -> Result<Option<Self>, StatisticsError> {
        let Expected {
            shares,
            tolerance,
            alpha,
        } = *expected;
        let most_favourable = most_favourable(observed, unattributed, shares, alpha, seed)?;
        let least_favourable = if unattributed == 0 {
            most_favourable
        } else {
            least_favourable(observed, unattributed, shares, alpha, seed)?
        };
        let bounds = most_favourable.zip(least_favourable);
        Ok(bounds.map(|(most_favourable, least_favourable)| Self {
            most_favourable,
            least_favourable,
            equivalence_p_value: equivalence_p_value_with_unattributed(
                observed,
                unattributed,
                shares,
                tolerance,
            ),
            can_be_equivalent: can_be_equivalent(observed, unattributed, expected),
        }))
    }

    /// The decision that holds for every attribution; inconclusive where they differ.
    ///
    /// With no response unattributed it is [`Judge::decide`] on the p-values of the counts.
    pub fn decide(&self, judge: Judge, alpha: f64) -> Decision {
        let best_equivalence = if self.can_be_equivalent { 0.0 } else { 1.0 };
        let best = judge.decide(self.most_favourable.p_value, best_equivalence, alpha);
        let worst = judge.decide(
            self.least_favourable.p_value,
            self.equivalence_p_value,
            alpha,
        );
        match (best, worst) {
            (Decision::Fail, _) => Decision::Fail,
            (_, Decision::Pass) => Decision::Pass,
            (Decision::Pass | Decision::Inconclusive, Decision::Fail | Decision::Inconclusive) => {
                Decision::Inconclusive
            }
        }
    }
}

/// Whether some way of attributing the responses gives every backend a count that refutes its shifts.
fn can_be_equivalent(observed: &[u64], unattributed: u64, expected: &Expected<'_>) -> bool {
    let Expected {
        shares,
        tolerance,
        alpha,
    } = *expected;
    let cells = Cells::new(observed, shares);
    let n = cells.total().saturating_add(unattributed);
    if cells.leaked > 0 {
        return false;
    }
    let (mut least, mut most) = (0_u64, 0_u64);
    let margins = tolerances(&cells.shares, tolerance);
    for ((&count, &share), margin) in cells.observed.iter().zip(&cells.shares).zip(margins) {
        let range = equivalent_counts(n, share, margin, alpha);
        if range.is_empty() || count > range.high {
            return false;
        }
        least = least.saturating_add(range.low.saturating_sub(count));
        most = most.saturating_add(range.high - count);
    }
    least <= unattributed && unattributed <= most
}

/// The test under the attribution that fits the expected split best: the largest p-value there is.
///
/// `None` where there is nothing to test. In probability order, the best attribution is the most
/// probable one, found by giving each response to the cell with the smallest (y + 1)/p; in Pearson's
/// order, to the one with the smallest (2y + 1)/p. Both costs are convex, so that greed is optimal
/// (Fox 1966).
///
/// # Errors
/// As [`goodness_of_fit`].
///
/// # Panics
/// If the slices differ in length.
pub fn most_favourable(
    observed: &[u64],
    unattributed: u64,
    shares: &[f64],
    alpha: f64,
    seed: u64,
) -> Result<Option<GoodnessOfFit>, StatisticsError> {
    let test = |slope| {
        let counts = attribute(observed, unattributed, shares, slope);
        goodness_of_fit(&counts, shares, alpha, seed)
    };
    let most_probable = test(1.0)?;
    if unattributed > 0 && most_probable.is_some_and(|fit| fit.method == Method::Pearson) {
        let nearest = test(2.0)?;
        return Ok(extreme(most_probable, nearest, |a, b| {
            a.p_value >= b.p_value
        }));
    }
    Ok(most_probable)
}

/// The test under the attribution that fits the expected split worst: the smallest p-value there is.
///
/// `None` where there is nothing to test. The worst attribution gives all of them to one backend, since
/// a convex cost is largest at a corner.
///
/// # Errors
/// As [`goodness_of_fit`].
///
/// # Panics
/// If the slices differ in length.
pub fn least_favourable(
    observed: &[u64],
    unattributed: u64,
    shares: &[f64],
    alpha: f64,
    seed: u64,
) -> Result<Option<GoodnessOfFit>, StatisticsError> {
    let corners = || {
        let receivers = (0..observed.len()).filter(|&backend| shares[backend] > 0.0);
        receivers.map(|backend| {
            let mut counts = observed.to_vec();
            counts[backend] = counts[backend].saturating_add(unattributed);
            counts
        })
    };
    let worst = |cost: fn(&[u64], &[f64]) -> f64| {
        corners()
            .map(|counts| {
                let cells = Cells::new(&counts, shares);
                (cost(&cells.observed, &cells.shares), counts)
            })
            .max_by(|(a, _), (b, _)| a.total_cmp(b))
            .map_or_else(|| observed.to_vec(), |(_, counts)| counts)
    };
    let improbable = worst(|counts, shares| -ln_multinomial(counts, shares));
    let least_probable = goodness_of_fit(&improbable, shares, alpha, seed)?;
    if unattributed > 0 && least_probable.is_some_and(|fit| fit.method == Method::Pearson) {
        let farthest = goodness_of_fit(&worst(chi_square::statistic), shares, alpha, seed)?;
        return Ok(extreme(least_probable, farthest, |a, b| {
            a.p_value <= b.p_value
        }));
    }
    Ok(least_probable)
}

fn extreme(
    one: Option<GoodnessOfFit>,
    other: Option<GoodnessOfFit>,
    is_preferred: fn(&GoodnessOfFit, &GoodnessOfFit) -> bool,
) -> Option<GoodnessOfFit> {
    match (one, other) {
        (Some(one), Some(other)) if !is_preferred(&one, &other) => Some(other),
        (one, other) => one.or(other),
    }
}

/// The probability that a backend with `share` of the traffic goes unseen in `attributed` responses.
///
/// It is judged on the identified responses alone: that the others might all have been this backend's is
/// no excuse for one that never answered in its own name.
pub fn absence_p_value(share: f64, attributed: u64) -> f64 {
    (attributed as f64 * (-share).ln_1p()).exp()
}

/// The share of responses without an identity from which on no run can pass: the smallest tolerance.
pub fn unattributed_limit(shares: &[f64], tolerance: f64) -> f64 {
    tolerances(&positive(shares), tolerance)
        .into_iter()
        .fold(1.0, f64::min)
}

/// `observed` with `unattributed` more responses, each given to the backend of positive share with the
/// smallest (`slope`·y + 1)/p at that moment.
fn attribute(observed: &[u64], unattributed: u64, shares: &[f64], slope: f64) -> Vec<u64> {
    let mut counts = observed.to_vec();
    if unattributed == 0 || !shares.iter().any(|&share| share > 0.0) {
        return counts;
    }
    // All the responses that rank below a threshold, at once; few are left for one by one.
    let filled = |threshold: f64| -> Vec<u64> {
        let level = |share: f64| super::binomial::to_count((threshold * share - 1.0) / slope + 1.0);
        observed
            .iter()
            .zip(shares)
            .map(|(&count, &share)| {
                if share > 0.0 {
                    count.max(level(share))
                } else {
                    count
                }
            })
            .collect()
    };
    let target = total(observed).saturating_add(unattributed);
    let too_much = |threshold: f64| total(&filled(threshold)) > target;
    let mut high = 1.0;
    while !too_much(high) && high < 1e300 {
        high *= 2.0;
    }
    let mut low = 0.0;
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if too_much(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    if !too_much(low) {
        counts = filled(low);
    }
    let mut left = target.saturating_sub(total(&counts));
    while left > 0 {
        let rank = |backend: usize| (slope * counts[backend] as f64 + 1.0) / shares[backend];
        let next = (0..counts.len())
            .filter(|&backend| shares[backend] > 0.0)
            .min_by(|&a, &b| rank(a).total_cmp(&rank(b)))
            .expect("some share is positive");
        // Counts beyond the digits of a float leave more than a tie: shrink that geometrically.
        let step = (left / (4 * counts.len() as u64)).max(1);
        counts[next] = counts[next].saturating_add(step);
        left -= step;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::equivalence::equivalence_p_value;

    fn bounds(observed: &[u64], unattributed: u64, shares: &[f64]) -> Bounds {
        let expected = Expected {
            shares,
            tolerance: 0.05,
            alpha: 0.001,
        };
        Bounds::new(observed, unattributed, &expected, 1)
            .unwrap()
            .unwrap()
    }

    fn decided(observed: &[u64], unattributed: u64, shares: &[f64]) -> Decision {
        bounds(observed, unattributed, shares).decide(Judge::Equivalence, 0.001)
    }

    #[test]
    fn a_verdict_holds_for_every_attribution_or_is_inconclusive() {
        let (shares, tolerance, alpha) = ([0.7, 0.3], 0.1, 0.05);
        let expected = Expected {
            shares: &shares,
            tolerance,
            alpha,
        };
        let mut seen = Vec::new();
        for first in (150..=290).step_by(2) {
            for unattributed in [0, 1, 5, 30] {
                let observed = [first, 300 - first];
                let decisions = |judge: Judge| -> Vec<Decision> {
                    (0..=unattributed)
                        .map(|more| {
                            let counts = [first + more, 300 - first + unattributed - more];
                            let p = p(goodness_of_fit(&counts, &shares, alpha, 1));
                            let equivalence = equivalence_p_value(&counts, &shares, tolerance);
                            judge.decide(p, equivalence, alpha)
                        })
                        .collect()
                };
                let found = Bounds::new(&observed, unattributed, &expected, 1);
                let found = found.unwrap().unwrap();
                for judge in Judge::ALL {
                    let all = decisions(judge);
                    let common = all
                        .iter()
                        .all(|decision| *decision == all[0])
                        .then_some(all[0]);
                    let decision = found.decide(judge, alpha);
                    let wanted = common.unwrap_or(Decision::Inconclusive);
                    assert_eq!(decision, wanted, "{observed:?} {unattributed} {judge:?}");
                    seen.push((judge, decision));
                }
            }
        }
        for judge in [Judge::Equivalence, Judge::Tolerance] {
            for decision in [Decision::Pass, Decision::Fail, Decision::Inconclusive] {
                assert!(seen.contains(&(judge, decision)), "{judge:?} {decision:?}");
            }
        }
    }

    #[test]
    fn a_leak_fails_whatever_the_rest_could_be() {
        let leaking = bounds(&[7000, 3000, 1], 50, &[0.7, 0.3, 0.0]);
        for judge in Judge::ALL {
            assert_eq!(leaking.decide(judge, 0.001), Decision::Fail);
        }
    }

    fn p(fit: Result<Option<GoodnessOfFit>, StatisticsError>) -> f64 {
        fit.unwrap().unwrap().p_value
    }

    #[test]
    fn missing_answers_decide_as_far_as_they_can() {
        assert_eq!(decided(&[600, 380], 20, &[0.7, 0.3]), Decision::Fail);
        assert_eq!(
            decided(&[690, 290], 20, &[0.7, 0.3]),
            Decision::Inconclusive
        );
        assert_eq!(decided(&[2484, 1080], 36, &[0.7, 0.3]), Decision::Pass);
    }

    #[test]
    fn no_attribution_of_few_lies_outside_the_two_found() {
        for (observed, shares) in [
            (vec![60, 30], vec![0.7, 0.3]),
            (vec![100, 5], vec![0.99, 0.01]),
            (vec![30, 10, 12], vec![0.5, 0.3, 0.2]),
            (vec![3, 0, 12, 0], vec![0.4, 0.3, 0.3, 0.0]),
        ] {
            let unattributed = 9;
            let most = most_favourable(&observed, unattributed, &shares, 0.001, 1);
            let least = least_favourable(&observed, unattributed, &shares, 0.001, 1);
            let (most, least) = (p(most), p(least));
            let (mut largest, mut smallest) = (0.0_f64, 1.0_f64);
            for first in 0..=unattributed {
                for second in 0..=unattributed - first {
                    let mut counts = observed.clone();
                    counts[0] += first;
                    counts[1] += second;
                    let third = unattributed - first - second;
                    if counts.len() > 2 {
                        counts[2] += third;
                    } else if third > 0 {
                        continue;
                    }
                    let tested = p(goodness_of_fit(&counts, &shares, 0.001, 1));
                    largest = largest.max(tested);
                    smallest = smallest.min(tested);
                }
            }
            assert!(
                (most / largest - 1.0).abs() < 1e-9,
                "{observed:?} {most} {largest}"
            );
            assert!(
                (least / smallest - 1.0).abs() < 1e-9,
                "{observed:?} {least} {smallest}"
            );
        }
    }

    #[test]
    fn a_million_unattributed_responses_are_attributed_at_once() {
        let shares = [0.5, 0.3, 0.2, 0.0];
        let counts = attribute(&[5, 900_000, 20, 0], 1_000_000, &shares, 1.0);
        assert_eq!(total(&counts), 1_900_025);
        assert_eq!((counts[1], counts[3]), (900_000, 0));
        let ratio = counts[0] as f64 / counts[2] as f64;
        assert!((ratio - 2.5).abs() < 1e-4, "{counts:?}");
        let huge = attribute(&[1, u64::MAX / 4], u64::MAX / 4, &[0.5, 0.5], 2.0);
        assert_eq!(total(&huge), u64::MAX / 4 * 2 + 1);
    }

    #[test]
    fn nothing_attributed_at_all_tests_nothing_against_any_split() {
        assert_eq!(most_favourable(&[0, 0], 0, &[0.7, 0.3], 0.001, 1), Ok(None));
        let all_lost = most_favourable(&[0, 0], 50, &[0.7, 0.3], 0.001, 1)
            .unwrap()
            .unwrap();
        assert_eq!(all_lost.p_value, 1.0);
    }

    #[test]
    fn a_backend_that_never_answers_is_seen_among_identified_responses_alone() {
        assert!((absence_p_value(0.3, 20) - 0.7_f64.powi(20)).abs() < 1e-15);
        assert_eq!(absence_p_value(0.3, 0), 1.0);
        assert_eq!(absence_p_value(1.0, 5), 0.0);
    }

    #[test]
    fn the_limit_is_the_smallest_tolerance() {
        assert_eq!(unattributed_limit(&[0.99, 0.01, 0.0], 0.05), 0.005);
    }
}
