//! The noncentral χ² distribution: what Pearson's statistic follows when the split is off.

use super::chi_square::{critical_value, first_where, normal_survival, survival};
use super::density::ln_poisson;

/// P[χ²(`degrees_of_freedom`, `noncentrality`) ≥ `x`], for a finite noncentrality ≥ 0.
///
/// A Poisson mixture of central tails (Johnson, Kotz & Balakrishnan 1995, §29.3), of positive terms
/// alone: each central tail follows from the one before by adding a density. One degree of freedom is
/// closed form.
pub fn noncentral_survival(x: f64, degrees_of_freedom: usize, noncentrality: f64) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    if degrees_of_freedom == 1 {
        let (root, shift) = (x.sqrt(), noncentrality.sqrt());
        return normal_survival(root - shift) + normal_survival(root + shift);
    }
    let (half_x, mean) = (x / 2.0, noncentrality / 2.0);
    // Below ten standard deviations no weight is left.
    let first = (mean - 10.0 * mean.sqrt() - 20.0).floor().max(0.0);
    let mut terms = first;
    let mut shape = degrees_of_freedom as f64 / 2.0 + first;
    let mut tail = central_tail(x, shape);
    let mut sum = 0.0;
    loop {
        let weight = ln_poisson(terms, mean).exp();
        sum += weight * tail;
        terms += 1.0;
        // The weights from here on sum to less than a geometric series.
        if terms > mean && weight * mean <= 1e-17 * sum * (terms - mean) {
            break;
        }
        if terms > mean && weight <= 0.0 {
            break;
        }
        tail = (tail + ln_poisson(shape, half_x).exp()).min(1.0);
        shape += 1.0;
    }
    sum.min(1.0)
}

/// P[χ² ≥ `x`] with 2·`shape` degrees of freedom.
fn central_tail(x: f64, shape: f64) -> f64 {
    let degrees_of_freedom = super::binomial::to_count(2.0 * shape);
    survival(x, usize::try_from(degrees_of_freedom).unwrap_or(usize::MAX))
}

/// The noncentrality at which a χ² test of level `alpha` rejects with probability `power`.
///
/// 0 if the power is no more than `alpha`, infinite if it is 1 or more.
pub fn noncentrality(degrees_of_freedom: usize, alpha: f64, power: f64) -> f64 {
    if power >= 1.0 {
        return f64::INFINITY;
    }
    let critical = critical_value(degrees_of_freedom, alpha);
    let reaches = |lambda: f64| noncentral_survival(critical, degrees_of_freedom, lambda) >= power;
    if reaches(0.0) {
        return 0.0;
    }
    let mut high = 1.0;
    while !reaches(high) && high < 1e9 {
        high *= 2.0;
    }
    first_where(0.0, high, reaches)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_noncentrality_it_is_the_central_distribution() {
        for degrees_of_freedom in [1, 2, 3, 9, 254] {
            for x in [0.1, 1.0, 10.0, 100.0, 400.0] {
                let central = survival(x, degrees_of_freedom);
                let tail = noncentral_survival(x, degrees_of_freedom, 0.0);
                assert!(
                    (tail - central).abs() <= 1e-11 * central,
                    "{tail:e} {central:e}"
                );
            }
        }
    }

    #[test]
    fn the_mixture_agrees_with_the_closed_form_of_one_degree_of_freedom() {
        // χ² of 3 degrees of freedom = χ² of 1, shifted, plus a χ² of 2, whose tail is e^(−x/2): their
        // convolution, by the trapezoid rule on the square root of the first.
        let (x, lambda) = (12.0_f64, 7.0_f64);
        let density = |z: f64| (-0.5 * z * z).exp() * 0.398_942_280_401_432_7;
        let steps = 20_000;
        let width = x.sqrt() / f64::from(steps);
        let inner: f64 = (0..=steps)
            .map(|step| {
                let root = f64::from(step) * width;
                let both = density(root - lambda.sqrt()) + density(root + lambda.sqrt());
                let ends = if step == 0 || step == steps { 0.5 } else { 1.0 };
                ends * both * (-0.5 * (x - root * root)).exp() * width
            })
            .sum();
        let convolved = inner + noncentral_survival(x, 1, lambda);
        assert!((noncentral_survival(x, 3, lambda) / convolved - 1.0).abs() < 1e-8);
    }

    #[test]
    fn a_large_noncentrality_is_near_normal_and_quick() {
        let lambda = 1e7;
        let tail = noncentral_survival(lambda + 2.0, 2, lambda);
        assert!((tail - 0.5).abs() < 1e-3, "{tail}");
    }

    #[test]
    fn power_below_alpha_needs_no_shift_and_certainty_an_infinite_one() {
        assert_eq!(noncentrality(2, 0.05, 0.04), 0.0);
        assert_eq!(noncentrality(2, 0.05, 1.0), f64::INFINITY);
    }
}
