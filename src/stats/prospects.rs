//! What to expect of a run before it is sent: the chance of each verdict, for a true split.
//!
//! Exact for one and two backends, by binomial tails over the regions of counts that pass and fail.
//! With more, seeded draws are judged: their equivalence tests exactly, by each backend's interval of
//! counts, and their fit by the critical value of the test that would gate at that n. An exact or
//! simulated test rejects the outcomes below a critical probability, which is searched for once instead
//! of computing the p-value of every draw. Many equal shares of which one is off have a closed form.

use std::f64::consts::PI;

use super::cells::positive;
use super::chi_square::{correction, critical_value, first_where, statistic, survival};
use super::density::ln_multinomial;
use super::equal_shares::EqualShares;
use super::equivalence::tolerances;
use super::exact::TIE;
use super::expected::Expected;
use super::goodness_of_fit::Method;
use super::judge::{Decision, Judge};
use super::monte_carlo::{Sampler, StatisticsError, TabledDensity, draws_for, fold_draws};
use super::multinomial::{MOST_LINES, ln_mass_no_more_probable};
use super::regions::{CountRange, Regions, equivalent_counts};

/// Simulated runs behind the chances for three backends and more: standard error at most 0.0023.
pub const SIMULATED_RUNS: u64 = 50_000;

/// The chance of each verdict; they sum to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VerdictProbabilities {
    pub pass: f64,
    pub fail: f64,
    /// Of neither.
    pub inconclusive: f64,
}

impl VerdictProbabilities {
    fn new(pass: f64, fail: f64) -> Self {
        let rest = 1.0 - pass - fail;
        Self {
            pass,
            fail,
            // What is left by rounding alone is no chance.
            inconclusive: if rest < 1e-12 { 0.0 } else { rest },
        }
    }
}

/// A planned run, prepared so that the chances for many true splits cost little.
#[derive(Debug, Clone)]
pub struct Prospect {
    /// The expected shares.
    shares: Vec<f64>,
    requests: u64,
    alpha: f64,
    judge: Judge,
    seed: u64,
    decisive: Decisive,
}

/// What parts the counts of the backends of positive share into verdicts.
#[derive(Debug, Clone)]
enum Decisive {
    /// One backend: whether all requests on it pass. Its fit is never rejected.
    One(bool),
    /// Two backends.
    Two(Regions),
    /// More: the counts of each that pass the equivalence tests, and when the fit is rejected.
    More(Vec<CountRange>, Rejection),
}

impl Prospect {
    /// Prepares the run: `requests` attributed to backends, judged by `judge`. `seed` serves the simulation.
    ///
    /// # Errors
    /// The test that would gate is Monte Carlo, and `alpha` is too small for it.
    pub fn new(
        expected: &Expected<'_>,
        requests: u64,
        judge: Judge,
        seed: u64,
    ) -> Result<Self, StatisticsError> {
        let Expected {
            shares,
            tolerance,
            alpha,
        } = *expected;
        let kept = positive(shares);
        let ranges = || -> Vec<CountRange> {
            kept.iter()
                .zip(tolerances(&kept, tolerance))
                .map(|(&share, margin)| equivalent_counts(requests, share, margin, alpha))
                .collect()
        };
        let decisive = match kept[..] {
            [] => Decisive::One(false),
            [_] => {
                let p_of_equivalence = side_of_alpha(ranges()[0].contains(requests));
                Decisive::One(judge.decide(1.0, p_of_equivalence, alpha) == Decision::Pass)
            }
            [first, second] => {
                Decisive::Two(Regions::new(requests, [first, second], tolerance, alpha))
            }
            _ => Decisive::More(ranges(), Rejection::new(&kept, requests, alpha, seed)?),
        };
        Ok(Self {
            shares: shares.to_vec(),
            requests,
            alpha,
            judge,
            seed,
            decisive,
        })
    }

    /// The chance of each verdict when the true shares are `truth`; `truth[i]` pairs with the `i`th share.
    ///
    /// # Panics
    /// If there are not as many as shares.
    pub fn verdict_probabilities(&self, truth: &[f64]) -> VerdictProbabilities {
        assert_eq!(
            truth.len(),
            self.shares.len(),
            "a truth stands beside each share"
        );
        if self.requests == 0 {
            return VerdictProbabilities::new(0.0, 0.0);
        }
        let whole: f64 = truth.iter().sum();
        let truth: Vec<f64> = truth
            .iter()
            .zip(&self.shares)
            .filter(|&(_, &share)| share > 0.0)
            .map(|(truth, _)| truth / whole)
            .collect();
        let kept: f64 = truth.iter().sum();
        // Any hit on a zero-weight backend fails, so that the rest is judged only if there was none.
        let leak = 1.0 - kept;
        let tight = if leak < 1e-12 {
            1.0
        } else {
            (self.requests as f64 * (-leak).ln_1p()).exp()
        };
        if tight <= 0.0 || kept <= 0.0 {
            return VerdictProbabilities::new(0.0, 1.0);
        }
        let truth: Vec<f64> = truth.iter().map(|share| share / kept).collect();
        let (pass, fail) = match &self.decisive {
            Decisive::One(passes) => (f64::from(u8::from(*passes)), 0.0),
            Decisive::Two(regions) => regions.pass_and_fail(self.judge, truth[0]),
            Decisive::More(ranges, rejection) => self
                .of_equal_shares(ranges, rejection, &truth)
                .unwrap_or_else(|| self.simulated(ranges, rejection, &truth)),
        };
        VerdictProbabilities::new(pass * tight, fail * tight + (1.0 - tight))
    }

    /// The same without a simulation; `None` where there is no closed form.
    fn of_equal_shares(
        &self,
        ranges: &[CountRange],
        rejection: &Rejection,
        truth: &[f64],
    ) -> Option<(f64, f64)> {
        let Rejection::Far(shares, critical) = rejection else {
            return None;
        };
        let run = EqualShares {
            requests: self.requests,
            backends: shares.len(),
            range: *ranges.first()?,
            critical: *critical,
        };
        let combined = run.chances(truth).filter(|_| EqualShares::are(shares))?;
        let (mut pass, mut fail) = (0.0, 0.0);
        for is_rejected in [false, true] {
            for is_equivalent in [false, true] {
                let chance = combined.of[usize::from(is_rejected)][usize::from(is_equivalent)];
                let equivalence = side_of_alpha(is_equivalent);
                match self
                    .judge
                    .decide(side_of_alpha(is_rejected), equivalence, self.alpha)
                {
                    Decision::Pass => pass += chance,
                    Decision::Fail => fail += chance,
                    Decision::Inconclusive => {}
                }
            }
        }
        Some((pass, fail))
    }

    /// The shares of simulated runs that pass and that fail.
    fn simulated(&self, ranges: &[CountRange], rejection: &Rejection, truth: &[f64]) -> (f64, f64) {
        let visit = |(pass, fail): &mut (u64, u64), counts: &[u64]| {
            let equivalent = ranges
                .iter()
                .zip(counts)
                .all(|(range, &count)| range.contains(count));
            let p_value = side_of_alpha(rejection.holds(counts));
            let decision = self
                .judge
                .decide(p_value, side_of_alpha(equivalent), self.alpha);
            match decision {
                Decision::Pass => *pass += 1,
                Decision::Fail => *fail += 1,
                Decision::Inconclusive => {}
            }
        };
        let seed = self.seed.wrapping_add(1);
        let sampler = Sampler::new(truth);
        let (pass, fail) = fold_draws(&sampler, self.requests, SIMULATED_RUNS, seed, visit)
            .into_iter()
            .fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
        let runs = SIMULATED_RUNS as f64;
        (pass as f64 / runs, fail as f64 / runs)
    }
}

/// A p-value on the side of any significance level that is known: all that a judge asks for.
fn side_of_alpha(is_rejected: bool) -> f64 {
    if is_rejected { 0.0 } else { 1.0 }
}

/// When the test that gates rejects the fit.
#[derive(Debug, Clone)]
enum Rejection {
    /// The outcome's probability, but for a constant, is at most this, on the logarithmic scale.
    Improbable(TabledDensity, f64),
    /// Pearson's statistic reaches this.
    Far(Vec<f64>, f64),
}

impl Rejection {
    fn new(shares: &[f64], n: u64, alpha: f64, seed: u64) -> Result<Self, StatisticsError> {
        let density = TabledDensity::new(shares, n);
        let method = Method::of(shares, n, alpha);
        let exact = (method == Method::Exact).then(|| exact_cut(shares, n, alpha));
        if let Some(ln_cut) = exact.flatten() {
            // From the probability itself to the scale of the tabled density.
            let mut all_on_one = vec![0; shares.len()];
            all_on_one[0] = n;
            let offset =
                ln_multinomial(&all_on_one, shares) - density.relative_ln_mass(&all_on_one);
            return Ok(Self::Improbable(density, ln_cut - offset));
        }
        if method == Method::Pearson {
            let freedom = shares.len() - 1;
            let tail = |x: f64| survival(x, freedom) * correction(x, shares, n);
            let near = critical_value(freedom, alpha);
            let critical = first_where(0.5 * near, 2.0 * near, |x| tail(x) <= alpha);
            return Ok(Self::Far(shares.to_vec(), critical));
        }
        let cut = simulated_cut(&density, shares, n, alpha, seed)?;
        Ok(Self::Improbable(density, cut))
    }

    fn holds(&self, counts: &[u64]) -> bool {
        match self {
            Self::Improbable(density, ln_cut) => density.relative_ln_mass(counts) <= *ln_cut,
            Self::Far(shares, critical) => statistic(counts, shares) >= *critical,
        }
    }
}

/// The ln probability up to which the exact test rejects, to within half a percent of `alpha`; `None`
/// where that test is too long.
fn exact_cut(shares: &[f64], n: u64, alpha: f64) -> Option<f64> {
    let ln_alpha = alpha.ln();
    // All outcomes are more probable than the low end, and none than the high one.
    let rarest = shares.iter().copied().fold(1.0, f64::min);
    let (mut low, mut high) = (n as f64 * rarest.ln() - 1.0, 0.0);
    // The multinomial is near a normal density, whose logarithm is a χ² below its peak.
    let ln_stirling = |mean: f64| 0.5 * (2.0 * PI * mean).ln().max(0.0);
    let ln_peak = ln_stirling(n as f64)
        - shares
            .iter()
            .map(|share| ln_stirling(n as f64 * share))
            .sum::<f64>();
    let mut guess = ln_peak - critical_value(shares.len() - 1, alpha) / 2.0;
    for _ in 0..60 {
        if guess.is_nan() || guess <= low || guess >= high {
            guess = f64::midpoint(low, high);
        }
        let ln_mass = ln_mass_no_more_probable(shares, n, guess, MOST_LINES)?;
        // The tail falls about as fast as the cut: a Newton step of slope 1.
        let step = ln_alpha - ln_mass;
        if step >= 0.0 {
            low = guess;
        } else {
            high = guess;
        }
        if high - low < TIE || (0.0..0.005).contains(&step) {
            break;
        }
        // Aims a little below alpha, so as not to end just above it again and again.
        guess += step - 0.002;
    }
    Some(low)
}

/// As [`exact_cut`], on the scale of `density`, from as many seeded draws as `alpha` asks for.
fn simulated_cut(
    density: &TabledDensity,
    shares: &[f64],
    n: u64,
    alpha: f64,
    seed: u64,
) -> Result<f64, StatisticsError> {
    let draws = draws_for(alpha)?;
    // p = (1 + #)/(draws + 1) ≤ alpha holds for the outcomes that fewer than `kept` draws undercut.
    let kept = (alpha * (draws as f64 + 1.0)).floor().max(1.0);
    let kept = usize::try_from(super::binomial::to_count(kept)).unwrap_or(usize::MAX);
    let keep_least = |least: &mut Vec<f64>| {
        least.sort_by(f64::total_cmp);
        least.truncate(kept);
    };
    let visit = |least: &mut Vec<f64>, counts: &[u64]| {
        least.push(density.relative_ln_mass(counts));
        if least.len() >= 2 * kept + 1000 {
            keep_least(least);
        }
    };
    let mut least = fold_draws(&Sampler::new(shares), n, draws, seed, visit).concat();
    keep_least(&mut least);
    // The most probable one kept is undercut, or tied, by `kept` draws: it is the first that fits.
    let first_fitting = least.last().copied().unwrap_or(f64::NEG_INFINITY);
    Ok(first_fitting - 2.0 * TIE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::equivalence::equivalence_p_value;
    use crate::stats::goodness_of_fit::goodness_of_fit;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn prospect(shares: &[f64], requests: u64) -> Prospect {
        let expected = expected(shares, 0.05, 0.001);
        Prospect::new(&expected, requests, Judge::Equivalence, 1).unwrap()
    }

    fn expected(shares: &[f64], tolerance: f64, alpha: f64) -> Expected<'_> {
        Expected {
            shares,
            tolerance,
            alpha,
        }
    }

    #[test]
    fn the_chances_at_the_planned_size_are_the_published_ones() {
        let chances = |truth: &[f64]| prospect(&[0.7, 0.3], 3664).verdict_probabilities(truth);
        let correct = chances(&[0.7, 0.3]);
        assert!((correct.pass - 0.99903).abs() < 5e-6);
        assert!((correct.fail - 0.00097).abs() < 5e-6);
        assert!(correct.inconclusive < 1e-4);
        assert!((chances(&[0.68, 0.32]).fail - 0.25).abs() < 0.015);
        assert!(chances(&[0.65, 0.35]).pass <= 0.0008);
    }

    #[test]
    fn chances_for_three_backends_agree_with_judging_each_draw() {
        let (shares, truth) = ([0.5, 0.3, 0.2], [0.53, 0.29, 0.18]);
        let expected = expected(&shares, 0.1, 0.05);
        let planned = Prospect::new(&expected, 600, Judge::Equivalence, 1).unwrap();
        let chances = planned.verdict_probabilities(&truth);
        let sampler = Sampler::new(&truth);
        let mut random = ChaCha8Rng::seed_from_u64(9);
        let mut counts = [0; 3];
        let runs = 2000;
        let (mut pass, mut fail) = (0.0, 0.0);
        for _ in 0..runs {
            sampler.draw(600, &mut random, &mut counts);
            let fit = goodness_of_fit(&counts, &shares, 0.05, 1).unwrap().unwrap();
            let equivalence = equivalence_p_value(&counts, &shares, 0.1);
            match Judge::Equivalence.decide(fit.p_value, equivalence, 0.05) {
                Decision::Pass => pass += 1.0 / f64::from(runs),
                Decision::Fail => fail += 1.0 / f64::from(runs),
                Decision::Inconclusive => {}
            }
        }
        // 4.5 standard errors of the difference.
        let margin = 4.5 * (0.25 / f64::from(runs)).sqrt();
        assert!((chances.pass - pass).abs() < margin, "{chances:?} {pass}");
        assert!((chances.fail - fail).abs() < margin, "{chances:?} {fail}");
        assert!(pass > 0.1 && fail > 0.1);
    }

    #[test]
    fn the_critical_probability_parts_what_the_test_rejects_from_what_it_does_not() {
        let (shares, alpha) = ([0.5, 0.3, 0.15, 0.05], 0.05);
        for n in [1, 5, 40] {
            let rejection = Rejection::new(&shares, n, alpha, 1).unwrap();
            let sampler = Sampler::new(&[0.3, 0.3, 0.2, 0.2]);
            let mut random = ChaCha8Rng::seed_from_u64(n);
            let mut counts = [0; 4];
            for _ in 0..300 {
                sampler.draw(n, &mut random, &mut counts);
                let p = goodness_of_fit(&counts, &shares, alpha, 1)
                    .unwrap()
                    .unwrap()
                    .p_value;
                // The cut is good to half a percent of alpha.
                if (p / alpha - 1.0).abs() > 0.006 {
                    assert_eq!(rejection.holds(&counts), p <= alpha, "{counts:?} {p}");
                }
            }
        }
    }

    #[test]
    fn each_gating_method_keeps_the_size_promised() {
        let few = [0.05; 20];
        let uneven = [0.4, 0.3, 0.2, 0.05, 0.05];
        for (shares, n) in [(&few[..], 100), (&few[..], 2400), (&uneven[..], 400)] {
            let expected = expected(shares, 0.05, 0.05);
            let planned = Prospect::new(&expected, n, Judge::Significance, 1).unwrap();
            let chances = planned.verdict_probabilities(shares);
            assert!((0.04..0.056).contains(&chances.fail), "{n} {chances:?}");
        }
    }

    #[test]
    fn many_equal_shares_have_the_chances_that_a_simulation_finds() {
        let (pods, n) = (25_usize, 34_564);
        let shares = vec![1.0 / 25.0; pods];
        for (judge, ratio) in [
            (Judge::Equivalence, 1.0),
            (Judge::Equivalence, 1.12),
            (Judge::Equivalence, 0.8),
            (Judge::Tolerance, 1.18),
            (Judge::Significance, 1.1),
        ] {
            let expected = expected(&shares, 0.2 / 25.0, 0.001);
            let planned = Prospect::new(&expected, n, judge, 1).unwrap();
            let moved = ratio / 25.0;
            let mut truth = vec![(1.0 - moved) / 24.0; pods];
            truth[24] = moved;
            let Decisive::More(ranges, rejection) = &planned.decisive else {
                panic!("{planned:?}");
            };
            let closed = planned.of_equal_shares(ranges, rejection, &truth).unwrap();
            let drawn = planned.simulated(ranges, rejection, &truth);
            // Standard errors are at most 0.0023.
            assert!(
                (closed.0 - drawn.0).abs() < 0.01,
                "{judge:?} {ratio}: {closed:?} {drawn:?}"
            );
            assert!(
                (closed.1 - drawn.1).abs() < 0.01,
                "{judge:?} {ratio}: {closed:?} {drawn:?}"
            );
        }
    }

    #[test]
    fn a_leak_fails_as_often_as_it_shows() {
        let chances = prospect(&[0.7, 0.3, 0.0], 100).verdict_probabilities(&[0.69, 0.3, 0.01]);
        assert!(chances.fail > 1.0 - 0.99_f64.powi(100));
        let single = prospect(&[1.0, 0.0], 200);
        let chances = single.verdict_probabilities(&[0.99, 0.01]);
        assert!((chances.fail - (1.0 - 0.99_f64.powi(200))).abs() < 1e-12);
        assert!((chances.pass - 0.99_f64.powi(200)).abs() < 1e-12);
        let swapped = single.verdict_probabilities(&[0.0, 1.0]);
        assert_eq!(swapped.fail, 1.0);
    }

    #[test]
    fn without_requests_nothing_is_concluded() {
        let chances = prospect(&[0.7, 0.3], 0).verdict_probabilities(&[0.7, 0.3]);
        assert_eq!(chances.inconclusive, 1.0);
    }
}
