//! How many sessions show that an ingress keeps them on their backends.
//!
//! An ingress that keeps its sessions never moves one, so that one that moved refutes it without an error
//! rate. That it keeps them is claimed as equivalence is: a chance of τ or more that a session is moved is
//! refuted at α by the binomial tail. With none moved of n that is (1 − τ)ⁿ ≤ α (Hanley and Lippman-Hand,
//! "If nothing goes wrong, is everything all right?", JAMA 249, 1983, 1743–1745). Sessions count and not
//! their follow-ups, since the follow-ups of a session may well be moved together.

use super::binomial::Binomial;

/// The smallest chance that a session is moved which a PASS rules out: `tolerance`, or half the chance that
/// two independent responses differ if that is less. Half, so that an ingress is ruled out that keeps half
/// of its sessions and draws anew for the others; it moves at least so many, however long they are.
pub fn smallest_rate(shares: &[f64], tolerance: f64) -> f64 {
    let same: f64 = shares.iter().map(|share| share * share).sum();
    tolerance.min((1.0 - same) / 2.0)
}

/// How many sessions a PASS needs, none of which moves: so many that a chance of `rate` or more is refuted
/// at `alpha`, and that they all begin on one backend with a chance of at most `alpha`.
///
/// At least two of `shares` are positive.
pub fn sessions(shares: &[f64], rate: f64, alpha: f64) -> u64 {
    let refuting = whole((alpha.ln() / (-rate).ln_1p()).ceil());
    let alike = |count: u64| -> f64 { shares.iter().map(|share| share.powf(count as f64)).sum() };
    let largest = shares.iter().copied().fold(0.0, f64::max);
    let mut count = refuting.max(whole((alpha.ln() / largest.ln()).floor()));
    // The other backends add little to the chance, and less with every session.
    while alike(count) > alpha {
        count += 1;
    }
    count
}

/// The p-value of the claim that sessions are kept: the chance of at most `moved` of `sessions` at `rate`.
pub fn p_value(moved: u64, sessions: u64, rate: f64) -> f64 {
    Binomial::new(sessions, rate).ln_at_most(moved).exp()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a positive count; saturates"
)]
fn whole(count: f64) -> u64 {
    count as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_the_fewest_that_refute_the_rate_and_begin_on_two_backends() {
        // ln 0.001 / ln 0.95 = 134.67
        assert_eq!(sessions(&[0.7, 0.3], 0.05, 0.001), 135);
        // 0.99^687 is 1.0009e-3.
        assert_eq!(sessions(&[0.99, 0.01], 0.2, 0.001), 688);
        assert_eq!(sessions(&[0.5, 0.5], 0.9, 0.001), 11);
        for (rate, alpha) in [(0.05, 0.001), (0.0099, 0.001), (0.21, 0.05), (1e-4, 1e-9)] {
            let n = sessions(&[0.5, 0.5, 0.0], rate, alpha);
            assert!(p_value(0, n, rate) <= alpha * (1.0 + 1e-9), "{rate}");
            assert!(p_value(0, n - 1, rate) > alpha, "{rate}");
        }
    }

    #[test]
    fn the_rate_is_at_most_half_the_chance_that_two_responses_differ() {
        assert!((smallest_rate(&[0.7, 0.3], 0.05) - 0.05).abs() < 1e-15);
        assert!((smallest_rate(&[0.99, 0.01], 0.05) - 0.0099).abs() < 1e-12);
    }

    #[test]
    fn an_ingress_that_keeps_half_of_its_sessions_passes_at_most_at_alpha() {
        for shares in [&[0.7, 0.3][..], &[0.99, 0.01], &[0.5, 0.3, 0.2]] {
            let rate = smallest_rate(shares, 0.5);
            let count = sessions(shares, rate, 0.001) as f64;
            for follow_ups in [1.0, 2.0, 20.0] {
                let alike: f64 = shares.iter().map(|p| p * p.powf(follow_ups)).sum();
                let unmoved: f64 = 0.5 + 0.5 * alike;
                assert!(unmoved.powf(count) <= 0.001 * (1.0 + 1e-9), "{shares:?}");
            }
        }
    }

    #[test]
    fn sessions_that_moved_raise_the_p_value() {
        assert!(p_value(1, 135, 0.05) > 0.001);
        assert!(p_value(1, 200, 0.05) < 0.001);
        assert!((p_value(0, 0, 0.05) - 1.0).abs() < 1e-15);
    }
}
