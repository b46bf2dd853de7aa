//! What is said while a run goes on.

use std::fmt::Write;
use std::time::Duration;

use super::announcement::can_stop_early;
use crate::format::time;
use crate::identity::finder::Naming;
use crate::load::Doubt;
use crate::measured::{RateLimit, Trial};
use crate::plan::Plan;
use crate::report::escape::terminal;
use crate::verdict::promise::{remedy_for_time, sequential_saving};
use crate::verdict::unidentified::unidentified;

/// What is said when a rate limiter was recognised, `elapsed` after the first request.
pub(super) fn limited(plan: &Plan, found: &RateLimit, elapsed: Duration) -> String {
    let pace = found.pace_per_second;
    let mut message = format!(
        "a rate limiter lets about {:.0} requests a minute through: what was sent so far is set aside, and \
         {:.0} a minute are sent from here on",
        60.0 * found.per_second,
        60.0 * pace
    );
    if let Some(requests) = plan.budget.requests {
        let seconds = requests.get() as f64 / pace;
        let allowed = plan.budget.max_duration.saturating_sub(elapsed);
        let _ = write!(message, "; {requests} requests take {}", time(seconds));
        let claim = &plan.claim;
        message.push_str(&remedy_for_time(claim, pace, seconds, allowed));
        if can_stop_early(plan) {
            message.push_str(&sequential_saving(claim, pace, seconds));
        }
    }
    message
}

/// What is said when nothing was identified after a while.
pub(super) fn doubt(plan: &Plan, doubt: &Doubt, elapsed: Duration) -> String {
    let what = match doubt {
        Doubt::Silent => format!(
            "no answer yet; a request is given up after --timeout {:?}",
            plan.load.timeout
        ),
        Doubt::Unidentified(sample) => {
            let trial = Trial::of(plan);
            unidentified(
                &plan.claim.split,
                &trial,
                (None, sample),
                &Naming::default(),
            )
            .message
        }
        Doubt::Failing(failure, message) => {
            format!("requests fail ({failure}: {})", message.escape_debug())
        }
    };
    format!(
        "after {}: {what} (the run ends by itself if that stays so)",
        time(elapsed.as_secs_f64())
    )
}

/// What is said of workloads of which the name does not tell the backend; `None` where there is none.
pub(super) fn doubtful_names<'a>(
    workloads: impl Iterator<Item = &'a str>,
    suggestions: &[String],
    elapsed: Duration,
) -> Option<String> {
    let mut names: Vec<&str> = workloads.collect();
    names.dedup();
    let shown: Vec<String> = names
        .iter()
        .take(8)
        .map(|name| name.escape_debug().to_string())
        .collect();
    (!names.is_empty()).then(|| {
        format!(
            "after {}: which backend {} is cannot be told from the name; for a verdict on it stop, and add {} (the run \
             goes on)",
            time(elapsed.as_secs_f64()),
            shown.join(", "),
            terminal(&suggestions.join(" "))
        )
    })
}

/// What is said of the first response from a cache.
pub(super) fn cache_in_front() -> String {
    "a response came from a cache (Age, X-Cache or the like): what a cache answers was not split by the \
     ingress; go around it, or keep it out with a query that it does not know (--path)"
        .to_owned()
}
