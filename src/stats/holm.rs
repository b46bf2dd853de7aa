//! Several tests at once: Holm's step-down procedure (Holm 1979, *Scand. J. Statist.* 6, 65–70).
//!
//! Whatever the tests have to do with each other, the chance that any true hypothesis is rejected stays
//! at most α.

/// The p-values adjusted for each other: reject those that are at most α. `adjusted[i]` belongs to
/// `p_values[i]`; a NaN counts as 1.
pub fn adjusted(p_values: &[f64]) -> Vec<f64> {
    let p_value = |index: usize| {
        let p_value = p_values[index];
        if p_value.is_nan() { 1.0 } else { p_value }
    };
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_value(a).total_cmp(&p_value(b)));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut largest = 0.0_f64;
    for (rank, &index) in order.iter().enumerate() {
        let hypotheses_left = (p_values.len() - rank) as f64;
        largest = largest.max((hypotheses_left * p_value(index)).min(1.0));
        adjusted[index] = largest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_of_r_are_reproduced() {
        // p.adjust(c(0.01, 0.02, 0.03, 0.04, 0.05), "holm"), and the same out of order.
        let close = |p_values: &[f64], expected: &[f64]| {
            for (adjusted, expected) in adjusted(p_values).iter().zip(expected) {
                assert!((adjusted - expected).abs() < 1e-12, "{adjusted} {expected}");
            }
        };
        close(
            &[0.01, 0.02, 0.03, 0.04, 0.05],
            &[0.05, 0.08, 0.09, 0.09, 0.09],
        );
        close(&[0.04, 0.001, 0.9], &[0.08, 0.003, 0.9]);
    }

    #[test]
    fn a_single_test_and_none_at_all_stay_as_they_are() {
        assert_eq!(adjusted(&[0.3]), [0.3]);
        assert!(adjusted(&[]).is_empty());
        assert_eq!(adjusted(&[f64::NAN, 0.0]), [1.0, 0.0]);
    }
}
