//! The chance to notice that a split is off, and the requests that it takes.

use super::binomial::to_count;
use super::cells::positive;
use super::chi_square::first_where;
use super::noncentral::noncentrality;
use super::regions::Regions;

/// The requests after which a test of level `alpha` notices with probability `power` that some backend
/// is off by `shift`, by the noncentral χ² approximation (Cohen 1988, chapter 7).
///
/// n = ⌈λ/w²⌉ with the least favourable effect w² = `shift`² / max p(1−p). For small weights it is up to
/// four times too hopeful: with two backends, prefer [`requests_for_exact_power`]. One backend alone can
/// only leak: then n is the smallest with (1 − `shift`)ⁿ ≤ 1 − `power`.
pub fn requests_for_power(shares: &[f64], shift: f64, alpha: f64, power: f64) -> u64 {
    let shares = positive(shares);
    if shares.len() < 2 {
        return to_count(((-power).ln_1p() / (-shift).ln_1p()).ceil());
    }
    let lambda = noncentrality(shares.len() - 1, alpha, power);
    to_count((lambda * largest_variance(&shares) / (shift * shift)).ceil())
}

/// The probability that the exact test of level `alpha` on `n` requests notices that two backends are off
/// by `shift`, in the direction in which that is harder to notice.
///
/// `None` unless exactly two backends have a positive share, and `shift` is possible in some direction.
pub fn exact_power(shares: &[f64], shift: f64, n: u64, alpha: f64) -> Option<f64> {
    let shares: [f64; 2] = positive(shares).try_into().ok()?;
    power_in_regions(
        &Regions::of_fit_alone(n, shares, alpha, None),
        shares,
        shift,
    )
}

fn power_in_regions(regions: &Regions, shares: [f64; 2], shift: f64) -> Option<f64> {
    // The slack lets a shift by a whole share be one, in spite of rounding.
    const SLACK: f64 = 1e-12;
    [shares[0] - shift, shares[0] + shift]
        .into_iter()
        .filter(|truth| (-SLACK..=1.0 + SLACK).contains(truth))
        .map(|truth| regions.rejection(truth.clamp(0.0, 1.0)))
        .min_by(f64::total_cmp)
}

/// As [`requests_for_power`], by the exact power of the test that gates.
///
/// Counts are whole, so that the power rises with n like a saw: this is the smallest n from which on it
/// stays at `power` or above, for at least 4/`shift` + 4/p further requests, p being the smaller share:
/// the teeth of the saw are up to 1/p apart, and overlap over about 2/`shift`, whatever n is. `None` where [`exact_power`] is none,
/// the power is not within `0..1`, or more than 10⁹ requests would be needed.
pub fn requests_for_exact_power(shares: &[f64], shift: f64, alpha: f64, power: f64) -> Option<u64> {
    const MOST_REQUESTS: u64 = 1_000_000_000;
    if !(shift > 0.0 && power > 0.0 && power < 1.0) {
        return None;
    }
    let at = |n: u64| exact_power(shares, shift, n, alpha);
    at(1)?;
    let suffices = |n: u64| at(n).is_some_and(|reached| reached >= power);
    let mut high = requests_for_power(shares, shift, alpha, power).clamp(1, MOST_REQUESTS);
    while !suffices(high) {
        if high >= MOST_REQUESTS {
            return None;
        }
        high = (high + high / 4 + 1).min(MOST_REQUESTS);
    }
    // Some n where the saw crosses the power; then up its teeth, to the last crossing.
    let mut low = 0;
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if suffices(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    let pair: [f64; 2] = positive(shares).try_into().ok()?;
    let window = to_count(4.0 / shift + 4.0 / pair[0].min(pair[1])).min(1_000_000);
    let mut near = None;
    let mut last_short = low;
    let mut n = low + 1;
    while n <= last_short + window && n <= MOST_REQUESTS {
        let regions = Regions::of_fit_alone(n, pair, alpha, near);
        near = Some(regions.fitting());
        if power_in_regions(&regions, pair, shift).is_none_or(|reached| reached < power) {
            last_short = n;
        }
        n += 1;
    }
    Some(last_short + 1)
}

/// The smallest shift of a share that `n` requests notice with probability `power`, at level `alpha`.
///
/// Exact with two backends, by the noncentral χ² approximation with more. `None` if no possible shift is
/// noticed so surely, or there is nothing to test.
pub fn detectable_shift(shares: &[f64], n: u64, alpha: f64, power: f64) -> Option<f64> {
    let shares = positive(shares);
    if n == 0 || shares.is_empty() {
        return None;
    }
    let most = shares
        .iter()
        .map(|share| share.max(1.0 - share))
        .fold(0.0, f64::max);
    if let [first, second] = shares[..] {
        let regions = Regions::of_fit_alone(n, [first, second], alpha, None);
        let is_noticed = |shift: f64| {
            power_in_regions(&regions, [first, second], shift).is_some_and(|chance| chance >= power)
        };
        return is_noticed(most).then(|| first_where(0.0, most, is_noticed));
    }
    let shift = if shares.len() < 2 {
        -((-power).ln_1p() / n as f64).exp_m1()
    } else {
        let lambda = noncentrality(shares.len() - 1, alpha, power);
        (lambda * largest_variance(&shares) / n as f64).sqrt()
    };
    Some(shift).filter(|&shift| shift <= most)
}

fn largest_variance(shares: &[f64]) -> f64 {
    shares
        .iter()
        .map(|share| share * (1.0 - share))
        .fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_power_needs_about_2790_requests_for_five_points_of_70_to_30() {
        let n = requests_for_exact_power(&[0.7, 0.3], 0.05, 0.001, 0.99).unwrap();
        assert!((2780..=2800).contains(&n), "{n}");
        for further in n..n + 500 {
            assert!(exact_power(&[0.7, 0.3], 0.05, further, 0.001).unwrap() >= 0.99);
        }
        assert!(exact_power(&[0.7, 0.3], 0.05, n - 1, 0.001).unwrap() < 0.99);
    }

    #[test]
    fn the_formula_is_too_hopeful_for_a_small_canary() {
        let hopeful = requests_for_power(&[0.99, 0.01], 0.01, 0.001, 0.99);
        let exact = requests_for_exact_power(&[0.99, 0.01], 0.01, 0.001, 0.99).unwrap();
        assert!(exact > hopeful, "{exact} {hopeful}");
    }

    #[test]
    fn a_dead_canary_of_one_percent_is_noticed_from_757_requests_on() {
        let dead = |n| Regions::new(n, [0.99, 0.01], 0.05, 0.001).rejection(1.0);
        assert_eq!((dead(756), dead(757)), (0.0, 1.0));
    }

    #[test]
    fn the_detectable_shift_is_detected_and_no_smaller_one_is() {
        let shares = [0.7, 0.3];
        let shift = detectable_shift(&shares, 1000, 0.001, 0.9).unwrap();
        assert!(exact_power(&shares, shift, 1000, 0.001).unwrap() >= 0.9);
        assert!(exact_power(&shares, shift - 1e-9, 1000, 0.001).unwrap() < 0.9);
        assert_eq!(detectable_shift(&shares, 1, 0.001, 0.9), None);
        assert_eq!(detectable_shift(&shares, 0, 0.001, 0.9), None);
        let three = detectable_shift(&[0.5, 0.3, 0.2], 3525, 0.001, 0.99).unwrap();
        assert!((three - 0.05).abs() < 1e-5, "{three}");
        assert_eq!(detectable_shift(&[0.5, 0.3, 0.2], 3, 0.001, 0.99), None);
    }

    #[test]
    fn one_backend_alone_can_only_leak() {
        let n = requests_for_power(&[1.0, 0.0], 0.01, 0.001, 0.99);
        assert!(0.99_f64.powi(i32::try_from(n).unwrap()) <= 0.01);
        let shift = detectable_shift(&[1.0, 0.0], n, 0.001, 0.99).unwrap();
        assert!((0.0099..=0.01).contains(&shift));
    }

    #[test]
    fn impossible_shifts_have_no_power() {
        assert_eq!(exact_power(&[0.7, 0.3], 0.8, 100, 0.001), None);
        assert_eq!(exact_power(&[0.5, 0.3, 0.2], 0.1, 100, 0.001), None);
        assert_eq!(
            requests_for_exact_power(&[0.7, 0.3], 0.05, 0.001, 1.0),
            None
        );
        assert_eq!(requests_for_exact_power(&[0.7, 0.3], 0.0, 0.001, 0.9), None);
    }
}
