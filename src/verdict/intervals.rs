//! Figures to show beside a verdict, none of which gates: intervals of shares, and where a share's path would leave.

use super::Outcome;
use super::decision::{Judged, Likeness, Method};
use crate::stats::chi_square::critical_value;
use crate::stats::intervals::{Basis, Interval, wilson};
use crate::stats::order::Order;

/// Intervals miss the share that they are for at most this often.
pub const ERROR_RATE: f64 = 0.05;

/// The interval of the share of `hits` of `n` independent responses, at one look.
pub fn of_independent(hits: u64, n: u64) -> Interval {
    wilson(hits, n, ERROR_RATE)
}

/// The χ² of a share at which a correct split of so many backends is refuted at `alpha`, where responses that depend
/// on each other inflate it by `design_effect`.
pub fn critical_chi_square(backends: usize, alpha: f64, design_effect: f64) -> f64 {
    critical_value(backends.saturating_sub(1), alpha) * design_effect.max(1.0)
}

impl Outcome {
    /// What intervals of the shares rest on.
    pub fn interval_basis(&self) -> Basis {
        let test = self.test.as_ref();
        test.map_or(Basis::Independent, Judged::interval_basis)
    }
}

impl Judged {
    /// What intervals of these shares rest on.
    #[must_use]
    pub fn interval_basis(&self) -> Basis {
        let order = self.order.filter(Order::is_clumped);
        let by_order = order.map_or(1.0, |order| order.design_effect);
        if self.method == Some(Method::EValue) {
            return Basis::Stopped {
                design_effect: by_order,
            };
        }
        let in_step = self.likeness == Likeness::InStep;
        let by_connection = self.clustering.filter(|_| !in_step);
        let by_connection = by_connection.map(|clustering| clustering.variance());
        let order = order.map(|order| (order.design_effect, order.freedom()));
        let widest = [by_connection, order].into_iter().flatten();
        widest.max_by(|a, b| a.0.total_cmp(&b.0)).map_or(
            Basis::Independent,
            |(design_effect, freedom)| Basis::Clustered {
                design_effect,
                freedom,
            },
        )
    }

    /// How many answers of a backend are decided together, as far as the run shows it; at least 1.
    pub(super) fn at_a_time(&self) -> f64 {
        let in_step = self.likeness == Likeness::InStep;
        let connections = self.clustering.filter(|_| !in_step);
        let by_connection = connections.map_or(1.0, |clustering| clustering.design_effect);
        let by_order = self.order.map_or(1.0, |order| order.at_a_time());
        by_connection.max(by_order)
    }

    /// How much the variance of the counts exceeds that of independent responses, as far as the run shows it.
    pub(super) fn design_effect(&self) -> f64 {
        match self.interval_basis() {
            Basis::Independent => 1.0,
            Basis::Clustered { design_effect, .. } | Basis::Stopped { design_effect } => {
                design_effect
            }
        }
    }
}
