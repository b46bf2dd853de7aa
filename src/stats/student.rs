//! A split judged by the variance that a run itself shows, with Student's t.

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::equivalence::faces;
use super::expected::Expected;

/// One backend's share, and what the run shows of its variance.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    pub(super) share: f64,
    /// How much the variance exceeds that of independent answers; at least 1.
    pub(super) design_effect: f64,
    /// `√∫B²` over n, which stands in for a standard error where none can be told.
    pub(super) spread: Option<f64>,
    /// No deviation of it is less probable to one side than this.
    pub(super) least_tail: f64,
}

/// The shares of a run, by backend.
pub(super) struct Shown<'a> {
    pub(super) cells: &'a [Cell],
    pub(super) responses: f64,
    /// The share of the requests that could have come from any backend.
    pub(super) missing: f64,
    /// How many independent differences the variance rests on.
    pub(super) freedom: f64,
}

impl Shown<'_> {
    /// The chance of a deviation of a cell's share by as much or more to one side.
    fn upper_tail(&self, cell: usize, share: f64, deviation: f64) -> f64 {
        let Cell {
            share: seen,
            design_effect,
            spread,
            ..
        } = self.cells[cell];
        let variance = (seen * (1.0 - seen)).max(share * (1.0 - share));
        let error = (variance * design_effect / self.responses).sqrt();
        let student =
            StudentsT::new(0.0, 1.0, self.freedom).map_or(1.0, |law| law.sf(deviation / error));
        spread.map_or(student, |spread| {
            student.max(self_normalised_upper_tail(deviation / spread))
        })
    }

    /// The p-value of the expected split: two-sided for each backend; for more than two, Bonferroni over them.
    pub(super) fn fit(&self, expected: &Expected<'_>) -> f64 {
        let shares = expected.shares;
        let positive = shares.iter().filter(|&&share| share > 0.0).count();
        let times = if positive > 2 { positive } else { 1 };
        let p_values = (0..shares.len())
            .filter(|&cell| shares[cell] > 0.0)
            .map(|cell| {
                let deviation = (self.cells[cell].share - shares[cell]).abs() - self.missing;
                if deviation <= 0.0 {
                    return 1.0;
                }
                let tail = self.upper_tail(cell, shares[cell], deviation);
                2.0 * times as f64 * tail.max(self.cells[cell].least_tail)
            });
        p_values.fold(1.0, f64::min)
    }

    /// The p-value of "some backend is off by its tolerance or more".
    pub(super) fn equivalence(&self, expected: &Expected<'_>) -> f64 {
        let Expected {
            shares, tolerance, ..
        } = *expected;
        let p_values = faces(shares, tolerance).into_iter().map(|face| {
            let seen = self.cells[face.backend].share;
            let room = if face.is_upper {
                face.share - seen
            } else {
                seen - face.share
            };
            let room = room - self.missing;
            if room <= 0.0 {
                return 1.0;
            }
            self.upper_tail(face.backend, face.share, room)
        });
        p_values.fold(0.0, f64::max)
    }
}

/// P(Z/√Q ≥ x) for a standard normal Z and an independent `Q = ∫B²`, B a Brownian bridge; x ≥ 0.
///
/// By Craig's form of the normal tail (1991) and `E exp(−sQ) = (√2s/sinh √2s)^½`:
/// `(1/π)∫₀^{π/2} (v/sinh v)^½ dθ`, `v = x/sin θ`, by the midpoint rule, which converges geometrically here.
fn self_normalised_upper_tail(x: f64) -> f64 {
    const STEPS: u32 = 256;
    if x.is_nan() {
        return 1.0;
    }
    let height = |step: u32| {
        let angle = (f64::from(step) + 0.5) / f64::from(STEPS) * std::f64::consts::FRAC_PI_2;
        let v = x / angle.sin();
        if v < 1e-6 { 1.0 } else { (v / v.sinh()).sqrt() }
    };
    0.5 * (0..STEPS)
        .map(height)
        .filter(|height| height.is_finite())
        .sum::<f64>()
        / f64::from(STEPS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_self_normalised_tail_is_that_of_kiefer_vogelsang_and_bunzel() {
        // Their table 1 (2000), for Z/√(2Q): 90, 95, 97.5 and 99 %.
        for (quantile, tail) in [(2.740, 0.1), (3.764, 0.05), (4.771, 0.025), (6.090, 0.01)] {
            let p = self_normalised_upper_tail(quantile * std::f64::consts::SQRT_2);
            assert!((p / tail - 1.0).abs() < 0.02, "{quantile}: {p}");
        }
        assert!((self_normalised_upper_tail(0.0) - 0.5).abs() < 1e-12);
        assert!(self_normalised_upper_tail(f64::INFINITY) < 1e-300);
        assert!((self_normalised_upper_tail(f64::NAN) - 1.0).abs() < f64::EPSILON);
    }
}
