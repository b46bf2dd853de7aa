//! A rate limit on the primary, and a run that would take longer than it may.

use super::{Findings, PlannedRun};
use crate::format::time;
use crate::manifest::ManifestError;
use crate::manifest::kind::rule::{annotation, is_ingress};
use crate::manifest::route::Route;
use crate::measured::RateLimit;
use crate::split::Split;

/// ingress-nginx's `limit-burst-multiplier` where it is not set.
const BURST_MULTIPLIER: u64 = 5;

/// limit-rpm and limit-rps with the seconds that they count in.
const LIMITS: [(&str, f64); 2] = [("limit-rpm", 60.0), ("limit-rps", 1.0)];

/// A limit of R a minute with a burst multiplier of M accepts 1 + R·M requests at once and R/60 a second
/// from then on, for a client address and a controller replica. A run that needs more meets it, sets aside what it sent until
/// then, and keeps below that pace.
pub(super) fn lint(
    route: &Route<'_>,
    planned: &PlannedRun<'_>,
    findings: &mut Findings,
) -> Result<(), ManifestError> {
    let object = route.object;
    if !is_ingress(object) {
        return Ok(());
    }
    let (_, is_canary) = annotation(object, "canary")?;
    let pairs = route.backends.iter().enumerate();
    // Labels don't matter to the number of requests.
    let split = Split::new(pairs.map(|(index, backend)| (index.to_string(), backend.weight)));
    let (None, Ok(split)) = (is_canary, split) else {
        return Ok(());
    };
    let Some(requests) = (planned.requests)(&split) else {
        return Ok(());
    };
    let whole = |name: &str| {
        let (field, text) = annotation(object, name)?;
        let number = text
            .and_then(|text| text.parse::<u64>().ok())
            .filter(|&number| number > 0);
        Ok::<_, ManifestError>((field, number))
    };
    let multiplier = whole("limit-burst-multiplier")?
        .1
        .unwrap_or(BURST_MULTIPLIER);
    for (name, seconds) in LIMITS {
        let (field, Some(limit)) = whole(name)? else {
            continue;
        };
        let at_once = limit.saturating_mul(multiplier).saturating_add(1);
        let per_second = limit as f64 / seconds;
        let needed = requests as f64 / (RateLimit::KEPT * per_second);
        let allowed = planned.max_duration.as_secs_f64();
        if requests <= at_once || needed <= allowed {
            continue;
        }
        let message = format!(
            "is {limit}: the first {at_once} requests pass at once and are set aside when lbtest meets the limit; \
             {requests} at {:.0} % of it then take {}, longer than --max-duration {}: raise --max-duration or the limit, or ask \
             for less with --tolerance",
            100.0 * RateLimit::KEPT,
            time(needed),
            time(allowed)
        );
        let finding = findings.warning("rate_limit", object, field.path(), message);
        finding.evidence = vec![
            ("requests", requests as f64),
            ("accepted_at_once", at_once as f64),
            ("accepted_per_second", per_second),
            ("needed_seconds", needed),
            ("max_duration_seconds", allowed),
        ];
    }
    Ok(())
}
