//! Which of several named splits do the counts look like?

use statrs::distribution::{ChiSquared, ContinuousCDF};

use super::density::deviance;

/// One hypothesis in the order of likelihood.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ranked {
    /// Its place in the list of hypotheses as it was given.
    pub index: usize,
    /// The multinomial log-likelihood of the counts under it, less that under the observed shares: at most 0, and `−∞` where
    /// a backend answered that could not have.
    pub log_likelihood: f64,
    /// Pearson's goodness of fit, since even the likeliest may be unlike the counts: 0 where a backend answered that could
    /// not have, 1 where a single one could. Approximate where it expects fewer than 10 of a backend.
    pub goodness_p_value: f64,
    /// Whether the counts do not tell it from the likeliest hypothesis (which is itself tied with the others, if any).
    pub tied: bool,
}

/// Ranks `hypotheses` (shares in `0..=1`, summing to 1, one for each count of `observed`) by likelihood, best first; equal
/// ones keep their order.
///
/// Ties: a hypothesis is told from the best one only if its log-likelihood is lower by `ln((h − 1)/level)` or more, over
/// `h` hypotheses. If it were the truth, the likelihood ratio of one given other hypothesis to it would reach
/// `(h − 1)/level` with probability at most `level/(h − 1)` (by Markov's inequality, since the ratio's mean is at most
/// 1), and that of any of the others with probability at most `level`: so at most a share `level` of all runs
/// report the wrong hypothesis untied when the truth is among them. Hypotheses that coincide always tie; those that
/// differ tie until n can tell them apart.
///
/// Empty where nothing was observed.
///
/// # Panics
/// If a hypothesis has another length than `observed`, or `level` does not lie between 0 and 1.
pub fn rank(observed: &[u64], hypotheses: &[impl AsRef<[f64]>], level: f64) -> Vec<Ranked> {
    assert!(level > 0.0 && level < 1.0, "the level lies between 0 and 1");
    if observed.iter().all(|&count| count == 0) {
        return Vec::new();
    }
    let mut ranked: Vec<Ranked> = hypotheses
        .iter()
        .enumerate()
        .map(|(index, shares)| {
            let (log_likelihood, goodness_p_value) = fit(observed, shares.as_ref());
            Ranked {
                index,
                log_likelihood,
                goodness_p_value,
                tied: false,
            }
        })
        .collect();
    ranked.sort_by(|a, b| b.log_likelihood.total_cmp(&a.log_likelihood));
    let Some(best) = ranked.first().map(|first| first.log_likelihood) else {
        return ranked;
    };
    let others = ranked.len().saturating_sub(1).max(1) as f64;
    let margin = (others / level).ln();
    let near = |candidate: &Ranked| {
        candidate.log_likelihood.is_finite() && best - candidate.log_likelihood < margin
    };
    if ranked.iter().filter(|candidate| near(candidate)).count() > 1 {
        for candidate in &mut ranked {
            candidate.tied = near(candidate);
        }
    }
    ranked
}

/// The log-likelihood relative to the observed shares, and Pearson's p-value.
fn fit(observed: &[u64], shares: &[f64]) -> (f64, f64) {
    assert_eq!(observed.len(), shares.len(), "one share for each count");
    let n = observed.iter().sum::<u64>() as f64;
    let (mut log_likelihood, mut chi_square, mut cells) = (0.0, 0.0, 0);
    for (&count, &share) in observed.iter().zip(shares) {
        if share > 0.0 {
            let (x, mean) = (count as f64, n * share);
            log_likelihood -= deviance(x, mean);
            chi_square += (x - mean).powi(2) / mean;
            cells += 1;
        } else if count > 0 {
            return (f64::NEG_INFINITY, 0.0);
        }
    }
    let p = match ChiSquared::new(f64::from(cells - 1)) {
        Ok(distribution) => distribution.sf(chi_square),
        // A single backend could answer, and did.
        Err(_) => 1.0,
    };
    (log_likelihood, p)
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn order(ranked: &[Ranked]) -> Vec<usize> {
        ranked.iter().map(|candidate| candidate.index).collect()
    }

    #[test]
    fn swapped_equal_and_absent_are_told_apart() {
        // As expected, swapped, equal weights, canary absent.
        let hypotheses = [[0.7, 0.3], [0.3, 0.7], [0.5, 0.5], [1.0, 0.0]];
        let swapped = rank(&[290, 710], &hypotheses, 0.01);
        assert_eq!(order(&swapped), [1, 2, 0, 3]);
        assert!(swapped.iter().all(|candidate| !candidate.tied));
        assert!(swapped[0].goodness_p_value > 0.4);
        assert!(swapped[1].goodness_p_value < 1e-9);
        let absent = rank(&[50, 0], &hypotheses, 0.01);
        assert_eq!(absent[0].index, 3);
        assert!(absent[0].log_likelihood.abs() < 1e-12);
        assert!((absent[0].goodness_p_value - 1.0).abs() < f64::EPSILON);
        let leak = rank(&[999, 1], &[[1.0, 0.0]], 0.01);
        assert!(leak[0].log_likelihood.is_infinite() && !leak[0].tied);
    }

    #[test]
    fn the_log_likelihood_is_relative_to_the_observed_shares() {
        let kernel = |shares: [f64; 2]| 69.0 * shares[0].ln() + 31.0 * shares[1].ln();
        let got = rank(&[69, 31], &[[0.5, 0.5]], 0.01)[0].log_likelihood;
        assert!((got - (kernel([0.5, 0.5]) - kernel([0.69, 0.31]))).abs() < 1e-12);
    }

    #[test]
    fn hypotheses_that_coincide_tie_and_near_ones_tie_until_n_tells() {
        let hypotheses = [[0.75, 0.25], [0.75, 0.25], [0.7, 0.3], [0.1, 0.9]];
        let few = rank(&[74, 26], &hypotheses, 0.01);
        assert_eq!(order(&few)[..2], [0, 1]);
        let tied = |ranked: &[Ranked]| -> Vec<bool> { ranked.iter().map(|c| c.tied).collect() };
        assert_eq!(tied(&few), [true, true, true, false]);
        let many = rank(&[7400, 2600], &hypotheses, 0.01);
        assert_eq!(tied(&many), [true, true, false, false]);
        assert_eq!(order(&many), [0, 1, 2, 3]);
    }

    #[test]
    fn the_truth_is_seldom_outranked_untied() {
        let hypotheses = [[0.7, 0.3], [0.72, 0.28], [0.65, 0.35], [0.5, 0.5]];
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let runs = 2000;
        let wrong = (0..runs)
            .filter(|_| {
                let hits = (0..500).filter(|_| random.random::<f64>() < 0.7).count() as u64;
                let ranked = rank(&[hits, 500 - hits], &hypotheses, 0.05);
                ranked[0].index != 0 && ranked.iter().any(|c| c.index == 0 && !c.tied)
            })
            .count();
        assert!(wrong <= runs / 20, "{wrong}");
    }

    #[test]
    fn nothing_observed_ranks_nothing() {
        assert!(rank(&[0, 0], &[[0.5, 0.5]], 0.01).is_empty());
        let none: [[f64; 2]; 0] = [];
        assert!(rank(&[1, 0], &none, 0.01).is_empty());
        assert!(!rank(&[1, 0], &[[0.5, 0.5]], 0.01)[0].tied);
    }
}
