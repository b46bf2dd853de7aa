//! What the tests say.

use crate::report::{ChangeReport, ChiSquareReport, SequentialReport, TestReport};
use crate::tally::monitor::Standing;
use crate::verdict::Change;
use crate::verdict::decision::Judged;

pub(super) fn test(judged: &Judged) -> Option<TestReport> {
    let chi_square = judged.fit.as_ref()?.chi_square;
    let statistic = finite(chi_square.statistic);
    Some(TestReport {
        method: judged.method?.code(),
        p_value: judged.p_value,
        fail_p_value: judged.fail_p_value(),
        log10_p_value: finite(judged.log10_p_value),
        chi_square: ChiSquareReport {
            statistic_reason: statistic
                .is_none()
                .then(|| "infinite: a backend of weight 0 answered".to_owned()),
            statistic,
            degrees_of_freedom: u64::try_from(chi_square.degrees_of_freedom).unwrap_or(u64::MAX),
            p_value: chi_square.p_value,
            log10_p_value: finite(chi_square.log10_p_value),
        },
        equivalence_p_value: judged.equivalence_p_value,
        design_effect: judged.clustering.map(|clustering| clustering.design_effect),
        effective_responses: judged
            .clustering
            .map(|clustering| clustering.effective_responses),
    })
}

pub(super) fn sequential(standing: &Standing) -> SequentialReport {
    let log10 = |natural: f64| natural / std::f64::consts::LN_10;
    SequentialReport {
        stopped_after: standing.observed.iter().sum::<u64>() + standing.unattributed,
        cap: standing.cap,
        log10_e_value: finite(log10(standing.log_e_value)),
        log10_bound: log10(standing.log_bound),
        largest_face_log10: finite(log10(standing.max_face)),
    }
}

pub(super) fn change(change: &Change) -> ChangeReport {
    let point = change.point.as_ref();
    ChangeReport {
        drift_p_value: change.drift.p_value,
        refuted_difference: change.refuted,
        request: point.map(|point| point.index),
        shares_before: point.map_or_else(Vec::new, |point| point.before.clone()),
        shares_after: point.map_or_else(Vec::new, |point| point.after.clone()),
    }
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}
