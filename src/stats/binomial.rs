//! Binomial tails and quantile-like cuts, exact to about 1e-12 relative however small they are.
//!
//! `statrs::function::beta::beta_reg` gives up silently after 140 steps of its continued fraction
//! (6e-9 off at n = 10⁶); this one runs until it has converged.

use super::density::ln_binomial;

/// Number of hits among `n` independent trials.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Binomial {
    n: u64,
    p: f64,
    q: f64,
}

impl Binomial {
    /// `n` trials with hit probability `p` in `0..=1`.
    pub fn new(n: u64, p: f64) -> Self {
        Self::with_complement(n, p, 1.0 - p)
    }

    /// As [`Binomial::new`], with `q` = 1 − `p` given by a caller who knows it to more digits.
    pub fn with_complement(n: u64, p: f64, q: f64) -> Self {
        Self { n, p, q }
    }

    /// The same trials with hits and misses swapped.
    fn swapped(self) -> Self {
        Self::with_complement(self.n, self.q, self.p)
    }

    /// A most probable number of hits.
    pub fn mode(self) -> u64 {
        to_count((self.n as f64 + 1.0) * self.p).min(self.n)
    }

    /// ln P[X = `x`]; −∞ beyond `n`.
    pub fn ln_mass(self, x: u64) -> f64 {
        match self.n.checked_sub(x) {
            Some(y) => ln_binomial(x as f64, y as f64, self.p, self.q),
            None => f64::NEG_INFINITY,
        }
    }

    /// ln P[X ≤ `x`].
    pub fn ln_at_most(self, x: u64) -> f64 {
        match self.n.checked_sub(x) {
            None | Some(0) => 0.0,
            Some(y) => ln_at_least(y as f64, x as f64, self.q, self.p),
        }
    }

    /// ln P[X ≥ `x`].
    pub fn ln_at_least(self, x: u64) -> f64 {
        match self.n.checked_sub(x) {
            None => f64::NEG_INFINITY,
            Some(y) => ln_at_least(x as f64, y as f64, self.p, self.q),
        }
    }

    /// P[`low` ≤ X ≤ `high`], taken from whichever tails lose no digits.
    pub fn between(self, low: u64, high: u64) -> f64 {
        if low > high || low > self.n {
            return 0.0;
        }
        let below = low.checked_sub(1).map_or(0.0, |x| self.ln_at_most(x).exp());
        let above = self.ln_at_least(high.saturating_add(1)).exp();
        let difference = if below > 0.5 {
            self.ln_at_least(low).exp() - above
        } else if above > 0.5 {
            self.ln_at_most(high).exp() - below
        } else {
            1.0 - below - above
        };
        difference.clamp(0.0, 1.0)
    }

    /// The smallest `x` ≥ [`Binomial::mode`] with ln P[X = `x`] ≤ `ln_cut`; `n` + 1 where there is none.
    ///
    /// Beyond the mode the mass falls, and its logarithm is concave: Newton steps inside a bracket.
    pub fn first_beyond_mode(self, ln_cut: f64) -> u64 {
        let mode = self.mode();
        let ln_peak = self.ln_mass(mode);
        if ln_peak <= ln_cut {
            return mode;
        }
        let variance = self.n as f64 * self.p * self.q;
        let (mut above_cut, mut at_cut) = (mode, self.n.saturating_add(1));
        let mut guess = mode as f64 + (2.0 * variance * (ln_peak - ln_cut)).sqrt().ceil();
        let mut steps = 0;
        while at_cut - above_cut > 1 {
            steps += 1;
            let x = if steps > 12 {
                above_cut + (at_cut - above_cut) / 2
            } else {
                to_count(guess).clamp(above_cut + 1, at_cut - 1)
            };
            let ln_mass = self.ln_mass(x);
            let slope = ((self.n - x) as f64 * self.p / ((x as f64 + 1.0) * self.q)).ln();
            let root = x as f64 + (ln_cut - ln_mass) / slope;
            if ln_mass <= ln_cut {
                at_cut = x;
                guess = root.floor();
            } else {
                above_cut = x;
                guess = root.ceil();
            }
        }
        at_cut
    }

    /// The largest `x` ≤ a mode with ln P[X = `x`] ≤ `ln_cut`, if there is one.
    pub fn last_before_mode(self, ln_cut: f64) -> Option<u64> {
        self.n.checked_sub(self.swapped().first_beyond_mode(ln_cut))
    }
}

/// ln P[X ≥ `x`] for `x` + `y` trials with hit probability `p` and `q` = 1 − `p`.
///
/// Counts ≥ 0 need not be whole: this is ln Iₚ(x, y + 1), the regularized incomplete beta function,
/// as effective sample sizes need it.
#[expect(
    clippy::many_single_char_names,
    reason = "the letters of the source's formulas"
)]
pub fn ln_at_least(x: f64, y: f64, p: f64, q: f64) -> f64 {
    if x <= 0.0 || q <= 0.0 {
        return 0.0;
    }
    if p <= 0.0 || y < 0.0 {
        return f64::NEG_INFINITY;
    }
    let (a, b) = (x, y + 1.0);
    // p^a q^b / B(a, b), which both sides share.
    let ln_power = ln_binomial(x, y, p, q) + a.ln() + q.ln();
    if a + 1.0 > (a + b + 2.0) * p {
        ln_power - beta_fraction(a, b, p, q).ln()
    } else {
        (-(ln_power - beta_fraction(b, a, q, p).ln()).exp()).ln_1p()
    }
}

/// The continued fraction F with Iₓ(a, b) = xᵃ yᵇ / (B(a, b)·F), y = 1 − x.
///
/// Even part of the classical fraction, all of its terms positive below the mean: Didonato & Morris,
/// *Algorithm 708* (1992), evaluated by the modified Lentz method (Thompson & Barnett 1986).
#[expect(
    clippy::many_single_char_names,
    reason = "the letters of the source's formulas"
)]
fn beta_fraction(a: f64, b: f64, x: f64, y: f64) -> f64 {
    const TINY: f64 = 1e-300;
    /// Near the mean the steps needed grow as √n: this is enough up to n = 10¹⁵.
    const MOST_STEPS: u32 = 4_000_000;
    let lead = a * y - b * x + 1.0;
    let mut fraction = (a * lead / (a + 1.0)).max(TINY);
    let mut c = fraction;
    let mut d = 0.0;
    for step in 1..=MOST_STEPS {
        let m = f64::from(step);
        let even = a + 2.0 * m - 1.0;
        let step_square = m * (b - m) * x / even;
        let numerator = step_square * ((a + m - 1.0) * (a + b + m - 1.0) * x / even);
        let denominator = m + step_square + (a + m) * (lead + m * (1.0 + y)) / (a + 2.0 * m + 1.0);
        d = 1.0 / nonzero(denominator + numerator * d, TINY);
        c = nonzero(denominator + numerator / c, TINY);
        let change = c * d;
        fraction *= change;
        if (change - 1.0).abs() <= f64::EPSILON {
            break;
        }
    }
    fraction
}

fn nonzero(value: f64, tiny: f64) -> f64 {
    if value.abs() < tiny { tiny } else { value }
}

/// The whole part of a count computed in floating point; 0 for what is negative or no number, and the
/// largest count for what is beyond it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, which is the meaning wanted"
)]
pub(crate) fn to_count(value: f64) -> u64 {
    value as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds the terms up, from the given one outward.
    fn summed(binomial: Binomial, terms: impl Iterator<Item = u64>) -> f64 {
        terms.map(|x| binomial.ln_mass(x).exp()).sum()
    }

    #[test]
    fn tails_equal_their_sums() {
        for (n, p) in [
            (1, 0.3),
            (20, 0.5),
            (99, 0.7),
            (1000, 0.01),
            (757, 0.99),
            (5000, 0.65),
        ] {
            let binomial = Binomial::new(n, p);
            for x in (0..=n).step_by(usize::try_from(n / 20 + 1).unwrap()) {
                let lower = summed(binomial, 0..=x);
                let upper = summed(binomial, x..=n);
                for (tail, sum) in [
                    (binomial.ln_at_most(x).exp(), lower),
                    (binomial.ln_at_least(x).exp(), upper),
                ] {
                    assert!(
                        (tail - sum).abs() <= 1e-12 * sum + 1e-300,
                        "{n} {p} {x}: {tail:e} {sum:e}"
                    );
                }
            }
        }
    }

    #[test]
    fn cuts_stand_where_the_mass_falls_to_the_threshold() {
        for (n, p) in [
            (1, 0.5),
            (10, 0.3),
            (100, 0.01),
            (1000, 0.7),
            (100_000, 0.999),
        ] {
            let binomial = Binomial::new(n, p);
            for ln_cut in [-0.1, -1.0, -3.0, -8.0, -50.0, -700.0, -1e6] {
                let beyond = binomial.first_beyond_mode(ln_cut);
                assert!(binomial.ln_mass(beyond) <= ln_cut);
                assert!(beyond == binomial.mode() || binomial.ln_mass(beyond - 1) > ln_cut);
                if let Some(before) = binomial.last_before_mode(ln_cut) {
                    assert!(binomial.ln_mass(before) <= ln_cut);
                    let mode = n - binomial.swapped().mode();
                    assert!(before == mode || binomial.ln_mass(before + 1) > ln_cut);
                } else {
                    assert!(binomial.ln_mass(0) > ln_cut);
                }
            }
        }
    }

    #[test]
    fn whole_counts_are_a_case_of_real_ones() {
        let whole = Binomial::new(1000, 0.65).ln_at_least(700);
        let beside = ln_at_least(700.0 + 1e-7, 300.0 - 1e-7, 0.65, 0.35);
        assert!((whole - beside).abs() < 1e-6);
        let between = ln_at_least(0.4, 2.3, 0.3, 0.7).exp();
        assert!((0.0..1.0).contains(&between));
    }

    #[test]
    fn interval_probabilities_add_up() {
        let binomial = Binomial::new(300, 0.1);
        let parts = binomial.between(0, 20) + binomial.between(21, 40) + binomial.between(41, 300);
        assert!((parts - 1.0).abs() < 1e-14);
        assert_eq!(binomial.between(5, 4), 0.0);
        assert_eq!(binomial.between(0, u64::MAX), 1.0);
    }

    #[test]
    fn sums_beyond_any_real_run_stay_finite_and_quick() {
        let binomial = Binomial::new(1_000_000_000_000_000, 0.3);
        let ln_tail = binomial.ln_at_least(300_000_000_000_000);
        assert!((ln_tail.exp() - 0.5).abs() < 1e-6, "{ln_tail}");
    }
}
