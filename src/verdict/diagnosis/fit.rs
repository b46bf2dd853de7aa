//! Whether counts fit shares, as far as it helps to choose among causes.

use super::Symptoms;
use crate::stats::density::deviance;
use crate::stats::goodness_of_fit::goodness_of_fit;

/// Simulated p-values need not resolve more than this to choose among causes.
const SMALLEST_ALPHA: f64 = 1e-3;

/// The p-value of counts under shares; `None` without counts, or where it is certainly below α.
pub(super) fn p_value(symptoms: &Symptoms<'_>, counts: &[u64], shares: &[f64]) -> Option<f64> {
    let n = counts.iter().sum::<u64>() as f64;
    let mut total = 0.0;
    for (&count, &share) in counts.iter().zip(shares) {
        if share > 0.0 {
            total += deviance(count as f64, n * share);
        } else if count > 0 {
            return None;
        }
    }
    // P[deviance ≥ d] ≤ C(n+k−1, k−1)·e^−d (Csiszár & Körner 1981, the method of types).
    let types = (counts.len() as f64 - 1.0) * (n + counts.len() as f64).ln();
    if total > types - symptoms.alpha.ln() {
        return None;
    }
    let resolution = symptoms.alpha.max(SMALLEST_ALPHA);
    let fit = goodness_of_fit(counts, shares, resolution, symptoms.seed).ok()??;
    Some(fit.p_value)
}
