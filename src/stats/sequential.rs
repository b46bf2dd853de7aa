//! The sequential test: judge after every response, and stop as soon as the evidence is enough.
//!
//! Both boundaries hold at every look, so that stopping early costs nothing of the promise: the e-value of
//! [`Bets`] reaches 1/α in at most a share α of the runs of a correct split (Ville 1939), and all the faces fall
//! to their thresholds in at most a share α of the runs of a split that is off by its tolerance or more (Wald 1945).
//! Responses must come in dispatch order, one to a connection.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::e_value::Bets;
use super::judge::Judge;

/// What a look at the evidence says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// The evidence is not enough yet.
    Continue,
    /// Enough for PASS.
    Pass,
    /// Enough for FAIL.
    Fail,
    /// The cap was reached without a verdict.
    Inconclusive,
}

/// The largest number of responses that a sequential test waits for, where `fixed` would settle it at once: half
/// as many again, rounded up.
pub fn cap(fixed: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float cast saturates, and a sample size is positive"
    )]
    let cap = (1.5 * fixed).ceil() as u64;
    cap
}

/// Runs are simulated until they have looked this often, and so many of them.
const LOOKS: u64 = 200_000;
const RUNS: std::ops::RangeInclusive<u64> = 8..=64;

/// The mean number of responses that `test`, not begun yet, looks at when the split is as expected; simulated with a
/// fixed seed, so that it is the same every time and a few percent off.
pub fn mean_responses(test: &Sequential, shares: &[f64], seed: u64) -> f64 {
    let runs = (LOOKS / test.cap.max(1)).clamp(*RUNS.start(), *RUNS.end());
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut looks = 0;
    for _ in 0..runs {
        let mut run = test.clone();
        while run.look() == Look::Continue {
            let mut left: f64 = random.random();
            let answered = shares.iter().position(|share| {
                left -= share;
                left < 0.0
            });
            run.observe(answered.or(shares.iter().rposition(|&share| share > 0.0)));
        }
        looks += run.responses();
    }
    looks as f64 / runs as f64
}

/// A sequential test under way.
///
/// The state is O(k); an observation costs O(k) and allocates nothing. Once a look has decided, the test is over:
/// what is observed later changes neither the verdict nor the figures.
///
/// Responses without an identity are never dropped: FAIL only if every way of attributing them to the backends of
/// positive weight fails, PASS only if every way passes, by the bounds of [`Bets::log_e_value_floor`] and
/// [`Bets::max_face`]. The true way is one of them, so that both error rates stand. One exception: while a backend of
/// positive weight has never answered, what was attributed is judged alone, whatever the rest could have been; a
/// backend whose every answer lacks an identity is broken.
#[derive(Debug, Clone)]
pub struct Sequential {
    bets: Bets,
    /// Index among the positive shares of each backend; `None` for weight zero.
    positions: Vec<Option<usize>>,
    counts: Vec<u64>,
    attributed: u64,
    unattributed: u64,
    leaked: u64,
    log_bayes_factor: f64,
    /// ln(1/α).
    bound: f64,
    judge: Judge,
    cap: u64,
    look: Look,
}

impl Sequential {
    /// A test of `shares` (each in `0..=1`, summing to 1) at `tolerance` (a share) with error rate `alpha`, that gives
    /// up after `cap` responses ([`cap`]), those without an identity included.
    ///
    /// # Panics
    /// If no share is positive, the tolerance is not positive, or `alpha` does not lie between 0 and 1.
    pub fn new(shares: &[f64], tolerance: f64, alpha: f64, judge: Judge, cap: u64) -> Self {
        assert!(alpha > 0.0 && alpha < 1.0, "alpha lies between 0 and 1");
        let bets = Bets::new(shares, tolerance).with_credit(alpha);
        let mut next = 0..;
        let positions = shares
            .iter()
            .map(|&share| if share > 0.0 { next.next() } else { None })
            .collect();
        let counts = vec![0; bets.shares().len()];
        Self {
            bets,
            positions,
            counts,
            attributed: 0,
            unattributed: 0,
            leaked: 0,
            log_bayes_factor: 0.0,
            bound: -alpha.ln(),
            judge,
            cap,
            look: Look::Continue,
        }
    }

    /// Takes the next response in dispatch order, of the backend with this index or without an identity (`None`),
    /// and looks.
    ///
    /// # Panics
    /// If the split has no such backend.
    pub fn observe(&mut self, backend: Option<usize>) -> Look {
        if self.look != Look::Continue {
            return self.look;
        }
        match backend.map(|index| self.positions[index]) {
            Some(Some(cell)) => {
                self.log_bayes_factor +=
                    self.bets.log_step(cell, self.counts[cell], self.attributed);
                self.counts[cell] += 1;
                self.attributed += 1;
            }
            Some(None) => self.leaked += 1,
            None => self.unattributed += 1,
        }
        self.look = self.judged();
        self.look
    }

    /// The test looked at once, at counts that were taken elsewhere; `observed` pairs with the shares.
    ///
    /// # Panics
    /// If there are not as many counts as shares.
    pub fn at_counts(mut self, observed: &[u64], unattributed: u64) -> Self {
        assert_eq!(
            observed.len(),
            self.positions.len(),
            "one count for each share"
        );
        for (&count, position) in observed.iter().zip(&self.positions) {
            match position {
                Some(cell) => self.counts[*cell] = count,
                None => self.leaked += count,
            }
        }
        self.attributed = self.counts.iter().sum();
        self.unattributed = unattributed;
        self.log_bayes_factor = self.bets.log_bayes_factor(&self.counts);
        self.look = self.judged();
        self
    }

    fn judged(&self) -> Look {
        if self.leaked > 0 {
            return Look::Fail;
        }
        let fails = self.log_e_value() >= self.bound;
        let passes = self.max_face() <= -self.bound;
        match self.judge {
            Judge::Tolerance if passes => return Look::Pass,
            _ if fails => return Look::Fail,
            Judge::Equivalence if passes => return Look::Pass,
            _ => {}
        }
        if self.responses() < self.cap {
            Look::Continue
        } else {
            Look::Inconclusive
        }
    }

    /// The latest look.
    pub fn look(&self) -> Look {
        self.look
    }

    /// Whether the split is refuted whatever the responses depend on: a backend of weight zero answered.
    pub fn is_certain(&self) -> bool {
        self.leaked > 0
    }

    /// The responses looked at, those without an identity included: where the test stopped, once it has.
    pub fn responses(&self) -> u64 {
        self.attributed + self.unattributed + self.leaked
    }

    /// ln(1/α): FAIL where [`Sequential::log_e_value`] reaches it, PASS where [`Sequential::max_face`] falls to its
    /// negative.
    pub fn log_bound(&self) -> f64 {
        self.bound
    }

    /// The natural logarithm of the e-value against the expected split; a lower bound over every way of attributing
    /// the responses without an identity, or that of the attributed ones alone while a backend of positive weight
    /// has never answered. Infinite once a backend of weight zero was hit.
    pub fn log_e_value(&self) -> f64 {
        if self.leaked > 0 {
            return f64::INFINITY;
        }
        let unattributed = if self.some_never_answered() {
            0
        } else {
            self.unattributed
        };
        self.bets
            .log_e_value_floor(&self.counts, unattributed, self.log_bayes_factor)
    }

    /// Whether some backend of positive weight has not been seen in any response so far.
    pub fn some_never_answered(&self) -> bool {
        self.counts.contains(&0)
    }

    /// The largest log-likelihood ratio of a face, less what it need not fall by for PASS, over every way of attributing
    /// the responses without an identity: `exp` of it is the evidence that is left for some shift of the tolerance or
    /// more, at most α where all of them are refuted at α.
    pub fn max_face(&self) -> f64 {
        self.bets.max_face(&self.counts, self.unattributed)
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const SHARES: [f64; 2] = [0.7, 0.3];
    /// The fixed sample size at 70/30, α = 0.001 and a tolerance of 5 percentage points.
    const FIXED: f64 = 3557.0;

    fn seventy_thirty(judge: Judge) -> Sequential {
        Sequential::new(&SHARES, 0.05, 0.001, judge, cap(FIXED))
    }

    /// Runs to the end on independent draws that hit backend 0 with chance `share`, and are without an identity
    /// with chance `anonymous`.
    fn run(
        mut test: Sequential,
        share: f64,
        anonymous: f64,
        random: &mut ChaCha8Rng,
    ) -> Sequential {
        loop {
            let backend = usize::from(random.random::<f64>() >= share);
            let hidden = anonymous > 0.0 && random.random::<f64>() < anonymous;
            if test.observe((!hidden).then_some(backend)) != Look::Continue {
                return test;
            }
        }
    }

    #[test]
    fn mean_sample_sizes_match_the_designed_ones() {
        for (share, expected, wanted, runs) in [
            (1.0, Look::Fail, 44.0, 1),
            (0.5, Look::Fail, 115.0, 2000),
            (0.6, Look::Fail, 399.0, 1000),
            (0.65, Look::Fail, 1377.0, 800),
            (0.7, Look::Pass, 1555.0, 800),
        ] {
            let mut random = ChaCha8Rng::seed_from_u64(7);
            let mut total = 0;
            let mut as_expected = 0;
            for _ in 0..runs {
                let test = run(seventy_thirty(Judge::Equivalence), share, 0.0, &mut random);
                total += test.responses();
                as_expected += u32::from(test.look() == expected);
            }
            let mean = total as f64 / f64::from(runs);
            assert!(
                (mean / wanted - 1.0).abs() < 0.05,
                "{share}: {mean}, not {wanted}"
            );
            assert!(
                f64::from(as_expected) >= 0.95 * f64::from(runs),
                "{share}: {as_expected}"
            );
        }
    }

    #[test]
    fn continuous_looks_hold_the_error_rate() {
        // At α = .05 a rate above .05 would show: 1500 runs have a standard error of .0056.
        let mut random = ChaCha8Rng::seed_from_u64(11);
        for (judge, share, bad) in [
            (Judge::Equivalence, 0.7, Look::Fail),
            (Judge::Equivalence, 0.65, Look::Pass),
            (Judge::Tolerance, 0.75, Look::Pass),
        ] {
            let runs = 1500;
            let wrong = (0..runs)
                .filter(|_| {
                    let test = Sequential::new(&SHARES, 0.05, 0.05, judge, 2000);
                    run(test, share, 0.0, &mut random).look() == bad
                })
                .count();
            assert!(wrong < 1500 / 20 + 34, "{judge:?} {share}: {wrong}");
        }
    }

    #[test]
    fn increments_agree_with_the_counts_alone() {
        let shares = [0.5, 0.0, 0.3, 0.2];
        let mut test = Sequential::new(&shares, 0.02, 1e-9, Judge::Equivalence, 5000);
        let mut counts = [0; 4];
        let mut random = ChaCha8Rng::seed_from_u64(3);
        for _ in 0..5000 {
            let backend = match random.random_range(0..10) {
                0..5 => 0,
                5..8 => 2,
                _ => 3,
            };
            counts[backend] += 1;
            test.observe(Some(backend));
        }
        let fresh = Sequential::new(&shares, 0.02, 1e-9, Judge::Equivalence, 5000);
        let direct = fresh.at_counts(&counts, 0);
        assert!((test.log_e_value() - direct.log_e_value()).abs() < 1e-9);
        assert!((test.max_face() - direct.max_face()).abs() < 1e-9);
        assert_eq!((test.look(), test.responses()), (Look::Inconclusive, 5000));
    }

    #[test]
    fn everything_to_one_backend_fails_at_the_forty_fourth_response() {
        let mut test = seventy_thirty(Judge::Equivalence);
        let stopped = (1..100).find(|_| test.observe(Some(0)) == Look::Fail);
        assert_eq!(stopped, Some(44));
        let evidence = test.log_e_value();
        assert!(evidence >= 1000.0_f64.ln() && evidence < 2000.0_f64.ln());
        // Over is over: later responses change nothing.
        assert_eq!(test.observe(Some(1)), Look::Fail);
        assert_eq!(test.responses(), 44);
        assert_eq!(test.log_e_value(), evidence);
    }

    #[test]
    fn a_zero_weight_backend_that_is_hit_fails_at_once() {
        for judge in [Judge::Equivalence, Judge::Tolerance, Judge::Significance] {
            let mut test = Sequential::new(&[1.0, 0.0], 0.05, 0.001, judge, 1000);
            assert_eq!(test.observe(Some(0)), Look::Continue);
            assert_eq!(test.observe(Some(1)), Look::Fail);
            assert_eq!(test.log_e_value(), f64::INFINITY);
        }
    }

    #[test]
    fn a_single_backend_passes_once_every_leak_of_the_tolerance_is_refuted() {
        let mut test = Sequential::new(&[1.0, 0.0], 0.05, 0.001, Judge::Equivalence, 1000);
        let stopped = (1..1000).find(|_| test.observe(Some(0)) == Look::Pass);
        // The smallest n with .95ⁿ ≤ .001.
        assert_eq!(stopped, Some(135));
    }

    #[test]
    fn tolerance_passes_what_is_off_by_less_than_the_tolerance() {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let passes = (0..100)
            .filter(|_| {
                let test = run(seventy_thirty(Judge::Tolerance), 0.71, 0.0, &mut random);
                test.look() == Look::Pass
            })
            .count();
        assert!(passes >= 80, "{passes}");
    }

    #[test]
    fn a_few_responses_without_identity_delay_the_verdict_and_many_prevent_it() {
        let mut random = ChaCha8Rng::seed_from_u64(13);
        let test = run(seventy_thirty(Judge::Equivalence), 0.7, 0.005, &mut random);
        assert_eq!(test.look(), Look::Pass);
        assert!(test.unattributed > 0);
        let test = run(seventy_thirty(Judge::Equivalence), 0.5, 0.02, &mut random);
        assert_eq!(test.look(), Look::Fail);
        for judge in [Judge::Equivalence, Judge::Tolerance, Judge::Significance] {
            let test = run(seventy_thirty(judge), 0.7, 0.2, &mut random);
            assert_eq!(test.look(), Look::Inconclusive, "{judge:?}");
            let test = run(seventy_thirty(judge), 0.7, 1.0, &mut random);
            assert_eq!(test.look(), Look::Inconclusive, "{judge:?}");
        }
    }

    #[test]
    fn a_backend_that_never_answers_fails_whatever_the_anonymous_responses_were() {
        // v2 answers errors without an identity: the 30 % of the responses that are could explain the split.
        let mut test = seventy_thirty(Judge::Equivalence);
        let mut random = ChaCha8Rng::seed_from_u64(17);
        while test.look() == Look::Continue {
            test.observe((random.random::<f64>() < 0.7).then_some(0));
        }
        assert_eq!(test.look(), Look::Fail);
        assert_eq!(test.responses() - test.unattributed, 44);
        assert!(test.some_never_answered());
    }

    #[test]
    fn the_cap_is_half_as_many_again() {
        assert_eq!(cap(3557.0), 5336);
        assert_eq!(cap(2.0), 3);
        assert_eq!(cap(f64::INFINITY), u64::MAX);
    }
}
