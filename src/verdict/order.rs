//! A verdict under the order of dispatch: where the answers come in clumps, what the counts say of
//! independent answers is not enough.

use super::Verdict;
use super::decision::{Cause, Judged, Likeness, Method};
use crate::claim::Claim;
use crate::stats::intervals::Basis;
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

impl Judged {
    /// What intervals of the shares rest on.
    #[must_use]
    pub fn interval_basis(&self) -> Basis {
        let order = self.order.filter(Order::is_clumped);
        let by_order = order.map_or(1.0, |order| order.design_effect);
        if self.method == Some(Method::EValue) {
            return Basis::Stopped {
                design_effect: by_order,
            };
        }
        let connections = self.clustering.map(|clustering| {
            let freedom = clustering.connections.saturating_sub(1) as f64;
            (clustering.design_effect, freedom.max(1.0))
        });
        let in_step = self.likeness == Likeness::InStep;
        let by_connection = connections.filter(|_| !in_step);
        let order = order.map(|order| (order.design_effect, Order::FREEDOM));
        let widest = [by_connection, order].into_iter().flatten();
        widest.max_by(|a, b| a.0.total_cmp(&b.0)).map_or(
            Basis::Independent,
            |(design_effect, freedom)| Basis::Clustered {
                design_effect,
                freedom,
            },
        )
    }
}
