//! What a PASS claims: that no backend is off by its tolerance or more.
//!
//! Two one-sided tests for each backend (Schuirmann 1987), exact by binomial tails. All of them must
//! reject for the claim to hold, and so each may use the whole significance level: an
//! intersection–union test (Berger 1982).

use super::binomial::ln_at_least;
use super::cells::total;

/// The shift τᵢ that a PASS rules out for each backend: min(`tolerance`, share / 2).
///
/// 0 for a zero-weight backend, which may get nothing at all.
pub fn tolerances(shares: &[f64], tolerance: f64) -> Vec<f64> {
    shares
        .iter()
        .map(|share| tolerance.min(share / 2.0).max(0.0))
        .collect()
}

/// One way in which a split can be off: a backend at one edge of its tolerance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Face {
    /// The backend's index.
    pub backend: usize,
    /// Its share at that edge, strictly between 0 and 1 but for a lower face of a zero tolerance.
    pub share: f64,
    /// Whether this is the edge above the expected share.
    pub is_upper: bool,
}

/// All faces of a split: for each backend of positive share pᵢ the upper one, pᵢ + τᵢ, where that is
/// below 1, and the lower one, pᵢ − τᵢ.
pub fn faces(shares: &[f64], tolerance: f64) -> Vec<Face> {
    let margins = tolerances(shares, tolerance);
    let positive = (0..shares.len()).filter(|&backend| shares[backend] > 0.0);
    positive
        .flat_map(|backend| {
            let edge = |share, is_upper| Face {
                backend,
                share,
                is_upper,
            };
            let upper = shares[backend] + margins[backend];
            [
                Some(edge(upper, true)).filter(|_| upper < 1.0 - f64::EPSILON),
                Some(edge(shares[backend] - margins[backend], false)),
            ]
        })
        .flatten()
        .collect()
}

/// The p-value of "some backend is off by τᵢ or more", the largest over all faces; in `0..=1`.
///
/// 1 where nothing was observed, and where a zero-weight backend was hit, since then no such claim can
/// hold.
///
/// # Panics
/// If the slices differ in length.
pub fn equivalence_p_value(observed: &[u64], shares: &[f64], tolerance: f64) -> f64 {
    let least_favourable = |backend: usize, _| observed[backend] as f64;
    largest_over_faces(
        observed,
        total(observed) as f64,
        shares,
        tolerance,
        least_favourable,
    )
}

/// As [`equivalence_p_value`], when `unattributed` more responses could have come from any backend of
/// positive share: the largest p-value over all ways of attributing them, face by face.
///
/// # Panics
/// If the slices differ in length.
pub fn equivalence_p_value_with_unattributed(
    observed: &[u64],
    unattributed: u64,
    shares: &[f64],
    tolerance: f64,
) -> f64 {
    let n = total(observed).saturating_add(unattributed) as f64;
    let least_favourable = |backend: usize, is_upper: bool| {
        let could_be = if is_upper { unattributed } else { 0 };
        observed[backend].saturating_add(could_be) as f64
    };
    largest_over_faces(observed, n, shares, tolerance, least_favourable)
}

fn largest_over_faces(
    observed: &[u64],
    n: f64,
    shares: &[f64],
    tolerance: f64,
    count: impl Fn(usize, bool) -> f64,
) -> f64 {
    assert_eq!(
        observed.len(),
        shares.len(),
        "a count stands beside each share"
    );
    let leaks = observed
        .iter()
        .zip(shares)
        .any(|(&count, &share)| share <= 0.0 && count > 0);
    if leaks || n <= 0.0 {
        return 1.0;
    }
    faces(shares, tolerance)
        .into_iter()
        .map(|face| {
            let hits = count(face.backend, face.is_upper);
            let misses = (n - hits).max(0.0);
            let ln_tail = if face.is_upper {
                ln_at_least(misses, hits, 1.0 - face.share, face.share)
            } else {
                ln_at_least(hits, misses, face.share, 1.0 - face.share)
            };
            ln_tail.exp()
        })
        .fold(0.0, f64::max)
}

/// The largest share that a backend which must get nothing, and got nothing in `n` responses, can have
/// at significance level `alpha`: −ln α / n (the rule of three, for any α), at most 1.
pub fn leak_ruled_out(n: u64, alpha: f64) -> f64 {
    (-alpha.ln() / n as f64).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerances_never_exceed_half_a_share() {
        assert_eq!(tolerances(&[0.7, 0.3], 0.05), [0.05, 0.05]);
        assert_eq!(tolerances(&[0.99, 0.01, 0.0], 0.05), [0.05, 0.005, 0.0]);
    }

    #[test]
    fn a_single_backend_has_its_lower_face_alone() {
        let p = equivalence_p_value(&[50, 0], &[1.0, 0.0], 0.05);
        assert!((p / 0.95_f64.powi(50) - 1.0).abs() < 1e-13);
        assert_eq!(faces(&[1.0, 0.0], 0.05).len(), 1);
    }

    #[test]
    fn swapping_the_backends_changes_nothing() {
        let one = equivalence_p_value(&[700, 300], &[0.7, 0.3], 0.05);
        let other = equivalence_p_value(&[300, 700], &[0.3, 0.7], 0.05);
        assert!((one / other - 1.0).abs() < 1e-12);
    }

    #[test]
    fn nothing_is_claimed_without_counts_or_with_a_leak() {
        assert_eq!(equivalence_p_value(&[0, 0], &[0.7, 0.3], 0.05), 1.0);
        let leak = equivalence_p_value(&[7000, 3000, 1], &[0.7, 0.3, 0.0], 0.05);
        assert_eq!(leak, 1.0);
    }

    #[test]
    fn unattributed_responses_weaken_the_claim() {
        let shares = [0.7, 0.3];
        let p = |unattributed| {
            equivalence_p_value_with_unattributed(&[2484, 1080], unattributed, &shares, 0.05)
        };
        assert_eq!(p(0), equivalence_p_value(&[2484, 1080], &shares, 0.05));
        assert!(p(36) > p(10) && p(36) <= 0.001);
    }

    #[test]
    fn the_leak_ruled_out_shrinks_with_n() {
        assert!((leak_ruled_out(3664, 0.001) - 6.907_755 / 3664.0).abs() < 1e-9);
        assert_eq!(leak_ruled_out(0, 0.001), 1.0);
    }
}
