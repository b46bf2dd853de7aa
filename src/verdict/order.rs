//! A verdict under the order of dispatch: where the answers come in clumps, what the counts say of
//! independent answers is not enough.

use super::Verdict;
use super::decision::{Cause, Judged};
use crate::claim::Claim;
use crate::stats::judge::Judge;
use crate::stats::order::Order;
use crate::stats::student::Expected;

/// The verdict that stands where the answers may depend on one another.
///
/// FAIL and PASS must hold by both variances, that of independent answers and that of the run. A backend of
/// weight zero that answered, and a workload that is no backend, are certain whatever the order.
pub(super) fn under_order(
    claim: &Claim,
    judged: Judged,
    windows: &[Vec<u64>],
    labels: impl FnOnce() -> Vec<u8>,
) -> Judged {
    let is_asked = matches!(
        (judged.verdict, judged.cause),
        (Verdict::Pass, _) | (Verdict::Fail, Cause::Off | Cause::NeverAnswered(_))
    );
    if !is_asked {
        return judged;
    }
    let expected = Expected {
        shares: claim.split.shares(),
        tolerance: claim.criterion.tolerance,
        alpha: claim.criterion.alpha,
    };
    let unattributed = judged.counts.unattributed;
    let Some(order) = Order::new(windows, &labels(), unattributed, &expected) else {
        return judged;
    };
    let alpha = claim.criterion.alpha;
    let stands = match judged.verdict {
        _ if !order.is_clumped() => true,
        Verdict::Fail => order.fit_p_value <= alpha,
        _ => claim.criterion.judge == Judge::Significance || order.equivalence_p_value <= alpha,
    };
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
