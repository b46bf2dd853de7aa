//! What a run can be expected to say before it is sent: the chance of each verdict, told openly for the
//! shifts between 0 and the tolerance too.

use std::num::NonZeroU64;

use crate::claim::Claim;
use crate::split::Split;
use crate::stats::equivalence::tolerances;
use crate::stats::prospects::{Prospect, VerdictProbabilities};
use crate::stats::sample_size::fixed_sample_size;

/// The chance of each verdict when the true split is off by `shift`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chances {
    /// By how much some backend's share is off, as a share; 0 for the correct split.
    pub shift: f64,
    /// The chances, in the direction in which the shift is harder to notice.
    pub verdicts: VerdictProbabilities,
}

/// The chances at `shifts` (as shares), for a run of `requests`; shifts that are impossible are left out.
///
/// The shift is taken from (or given to) the backend of the largest p(1 − p), where it is hardest to
/// notice, and the other backends of positive weight make up for it in proportion to their shares.
pub fn forecast(claim: &Claim, requests: NonZeroU64, seed: u64, shifts: &[f64]) -> Vec<Chances> {
    let shares = claim.split.shares();
    let (expected, judge) = (claim.expected(), claim.criterion.judge);
    let prospect = Prospect::new(&expected, requests.get(), judge, seed)
        .expect("Criterion refuses an alpha that Monte Carlo cannot resolve");
    let at = |&shift: &f64| {
        let signed: &[f64] = if shift == 0.0 {
            &[0.0]
        } else {
            &[-shift, shift]
        };
        let verdicts = signed
            .iter()
            .filter_map(|&signed| shifted(shares, signed))
            .map(|truth| prospect.verdict_probabilities(&truth))
            .min_by(|a, b| a.fail.total_cmp(&b.fail))?;
        Some(Chances { shift, verdicts })
    };
    shifts.iter().filter_map(at).collect()
}

/// The shares when the backend of the largest p(1 − p) is off by `shift`; `None` when it can't be.
fn shifted(shares: &[f64], shift: f64) -> Option<Vec<f64>> {
    let variance = |index: &usize| shares[*index] * (1.0 - shares[*index]);
    let moved = (0..shares.len()).max_by(|a, b| variance(a).total_cmp(&variance(b)))?;
    let (old, new) = (shares[moved], shares[moved] + shift);
    // The slack lets a shift by a whole share be one, in spite of rounding.
    let is_possible = (-1e-12..=1.0 + 1e-12).contains(&new) && (old < 1.0 || shift == 0.0);
    is_possible.then(|| {
        let new = new.clamp(0.0, 1.0);
        let scale = if old < 1.0 {
            (1.0 - new) / (1.0 - old)
        } else {
            1.0
        };
        let rest =
            |(index, &share): (usize, &f64)| if index == moved { new } else { share * scale };
        shares.iter().enumerate().map(rest).collect()
    })
}

/// The shifts between 0 and the smallest tolerance that are worth telling: its fifths.
pub fn grey_zone(split: &Split, tolerance: f64) -> Vec<f64> {
    let smallest = tolerances(split.shares(), tolerance)
        .into_iter()
        .filter(|&own| own > 0.0)
        .fold(tolerance, f64::min);
    (1..5)
        .map(|fifth| smallest * f64::from(fifth) / 5.0)
        .collect()
}

/// The smallest tolerance, in tenths of a percentage point, whose planned requests are at most `most`;
/// `None` when none is.
pub fn affordable_tolerance(split: &Split, alpha: f64, most: u64) -> Option<f64> {
    (1..1000_u32)
        .map(|tenths| f64::from(tenths) / 1000.0)
        .find(|&tolerance| fixed_sample_size(split.shares(), tolerance, alpha) <= most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::tests::claim as plan;

    #[test]
    fn the_grey_zone_at_the_planned_number_fails_as_published() {
        let claim = plan("v1=70,v2=30");
        let requests = NonZeroU64::new(3664).unwrap();
        let zone = grey_zone(&claim.split, 0.05);
        let chances = forecast(&claim, requests, 1, &zone);
        let fails: Vec<f64> = chances
            .iter()
            .map(|row| 100.0 * row.verdicts.fail)
            .collect();
        for (fail, published) in fails.iter().zip([2.0, 25.0, 73.0, 97.0]) {
            assert!((fail - published).abs() < 1.0, "{fails:?}");
        }
    }

    #[test]
    fn a_correct_split_passes_at_the_planned_number() {
        let claim = plan("a=50,b=30,c=20");
        let requests = NonZeroU64::new(4613).unwrap();
        let [correct] = forecast(&claim, requests, 1, &[0.0])[..] else {
            panic!("one row");
        };
        assert!(correct.verdicts.pass > 0.997, "{correct:?}");
    }

    #[test]
    fn a_shift_that_no_share_can_take_is_left_out() {
        let claim = plan("a=100");
        let requests = NonZeroU64::new(200).unwrap();
        assert_eq!(forecast(&claim, requests, 1, &[0.0, 0.05]).len(), 1);
        assert_eq!(shifted(&[0.7, 0.3], 0.31), None);
        assert_eq!(shifted(&[0.7, 0.3], 0.05).map(|truth| truth[0]), Some(0.75));
    }

    #[test]
    fn an_affordable_tolerance_is_the_smallest_that_fits() {
        let split = plan("v1=70,v2=30").split;
        let tolerance = affordable_tolerance(&split, 0.001, 3664).unwrap();
        assert!((0.049..=0.05).contains(&tolerance), "{tolerance}");
        assert_eq!(affordable_tolerance(&split, 0.001, 1), None);
    }
}
