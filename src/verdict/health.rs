//! Gates on a backend's health, beside the split: off unless asked for.

use std::time::Duration;

use super::{Outcome, Reason, VerdictName};
use crate::claim::{Claim, Limit};
use crate::format::{percent, time};
use crate::measured::Measured;
use crate::observation::status;
use crate::plan::target::Protocol;
use crate::tally::latency::Latency;

/// What was seen of a backend's health.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Health {
    /// Identified responses.
    pub responses: u64,
    /// Those whose status blames the server.
    pub errors: u64,
    /// 99 % of them came within this; `None` without a response.
    pub p99: Option<Duration>,
    /// Whether the statuses are gRPC's.
    pub is_grpc: bool,
}

/// A limit on a backend's health, and whether it was kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// The backend, an index into the split.
    pub backend: usize,
    pub limit: Limit,
    /// PASS when it was kept, FAIL when not, INCONCLUSIVE when that is unknown.
    pub verdict: VerdictName,
    /// Why it is not PASS.
    pub reason: Option<Reason>,
}

/// What the groups that were taken for a backend tell beside their number: responses with a status of 500
/// or more, and latencies.
pub fn of_backend(
    measured: &Measured,
    assigned: &[Option<usize>],
    backend: usize,
) -> (u64, Latency) {
    let (mut errors, mut latency) = (0, Latency::default());
    for (group, assigned) in measured.counted.groups.iter().zip(assigned) {
        if *assigned == Some(backend) {
            errors += group.errors;
            latency.merge(&group.latency);
        }
    }
    (errors, latency)
}

/// Holds a backend's health against its limit.
pub(super) fn hold(
    claim: &Claim,
    measured: &Measured,
    outcome: &Outcome,
    (backend, limit): (usize, Limit),
) -> Held {
    let (errors, latency) = of_backend(measured, &outcome.assignment.fixed, backend);
    let health = Health {
        responses: outcome.counts.observed[backend],
        errors,
        p99: latency.quantile(0.99),
        is_grpc: measured.trial.protocol == Protocol::Grpc,
    };
    let (verdict, reason) = match check(&claim.split.labels()[backend], limit, health) {
        Ok(()) => (VerdictName::Pass, None),
        Err(Breach::Exceeded(reason)) => (VerdictName::Fail, Some(reason)),
        Err(Breach::Unknown(reason)) => (VerdictName::Inconclusive, Some(reason)),
    };
    Held {
        backend,
        limit,
        verdict,
        reason,
    }
}

/// Whether a backend keeps a limit: `Ok`, or the reason why it does not. Without a response of it there
/// is nothing to hold it against, which is told apart by [`Breach::Unknown`].
///
/// # Errors
/// The limit is exceeded, or nothing is known.
pub fn check(label: &str, limit: Limit, health: Health) -> Result<(), Breach> {
    let Health {
        responses,
        errors,
        p99,
        is_grpc,
    } = health;
    let Some(p99) = p99.filter(|_| responses > 0) else {
        return Err(Breach::Unknown(Reason::new(
            "health_unknown",
            format!("no response of {label} came to hold against its limit"),
        )));
    };
    let exceeded = match limit {
        Limit::P99(most) if p99 > most => Some(Reason::new(
            "p99_exceeded",
            format!(
                "the slowest 1 % of {label}'s responses took {} or more; --max-p99 allows {}",
                time(p99.as_secs_f64()),
                time(most.as_secs_f64())
            ),
        )),
        Limit::Errors(most) if errors as f64 > most * responses as f64 => Some(Reason::new(
            "errors_exceeded",
            format!(
                "{errors} of {label}'s {responses} responses ({}) have {}; --max-error allows {}",
                percent(errors as f64 / responses as f64),
                status::of_errors(is_grpc),
                percent(most)
            ),
        )),
        Limit::P99(_) | Limit::Errors(_) => None,
    };
    exceeded.map_or(Ok(()), |reason| Err(Breach::Exceeded(reason)))
}

/// How a limit is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Breach {
    /// It is exceeded: FAIL.
    Exceeded(Reason),
    /// Nothing is known: no PASS.
    Unknown(Reason),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health(responses: u64, errors: u64, millis: Option<u64>) -> Health {
        Health {
            responses,
            errors,
            p99: millis.map(Duration::from_millis),
            is_grpc: false,
        }
    }

    #[test]
    fn a_limit_holds_up_to_its_value_and_not_beyond() {
        let p99 = Limit::P99(Duration::from_millis(200));
        assert_eq!(check("v2", p99, health(10, 0, Some(200))), Ok(()));
        assert!(matches!(
            check("v2", p99, health(10, 0, Some(201))),
            Err(Breach::Exceeded(reason)) if reason.code == "p99_exceeded"
        ));
        let errors = Limit::Errors(0.01);
        assert_eq!(check("v2", errors, health(100, 1, Some(1))), Ok(()));
        assert!(matches!(
            check("v2", errors, health(100, 2, Some(1))),
            Err(Breach::Exceeded(reason)) if reason.code == "errors_exceeded"
        ));
    }

    #[test]
    fn a_backend_without_a_response_keeps_no_limit_and_breaks_none() {
        let breach = check("v2", Limit::Errors(0.0), health(0, 0, None));
        assert!(matches!(breach, Err(Breach::Unknown(_))));
    }
}
