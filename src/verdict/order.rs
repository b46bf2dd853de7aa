//! A verdict under the order of dispatch: where the answers come in clumps, what the counts say of
//! independent answers is not enough.

use super::Verdict;
use super::decision::{Cause, Judged};
use crate::claim::Claim;
use crate::stats::order::Order;

/// The verdict that stands where the answers may depend on one another.
///
/// FAIL and PASS must hold by both variances, that of independent answers and that of the run. A backend of
/// weight zero that answered, and a workload that is no backend, are certain whatever the order.
pub(super) fn under_order(
    claim: &Claim,
    judged: Judged,
    windows: &[Vec<u64>],
    labels: impl FnOnce() -> Vec<u16>,
) -> Judged {
    if !judged.rests_on_a_test() {
        return judged;
    }
    let unattributed = judged.counts.unattributed;
    let Some(order) = Order::new(windows, &labels(), unattributed, &claim.expected()) else {
        return judged;
    };
    let (fit, equivalence) = (order.fit_p_value, order.equivalence_p_value);
    let stands = !order.is_clumped() || judged.stands_by(claim, fit, equivalence);
    let judged = Judged {
        order: Some(order),
        ..judged
    };
    if stands {
        return judged;
    }
    Judged {
        verdict: Verdict::Inconclusive,
        cause: Cause::Clumped,
        ..judged
    }
}
