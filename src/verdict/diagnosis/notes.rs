//! What is worth knowing beside the cause of the counts.

use super::{Finding, LOGS, Symptoms, WEIGHTS, percent};
use crate::observation::status;
use crate::plan::target::Protocol;
use crate::stats::binomial::Binomial;
use crate::stats::dependence::Clustering;
use crate::stats::intervals::wilson;
use crate::stats::order::Order;

pub(super) use super::change::regular;

/// The code of [`cache`].
pub(super) const CACHE: &str = "cache_in_front";
/// Signs on so many of the responses are the rule and no exception.
const COMMON: f64 = 0.5;
/// A share of errors worth telling of the only backend that answers.
const WORTH_TELLING: f64 = 0.01;
/// Intervals miss the share that they are for at most this often.
const INTERVAL_ERROR_RATE: f64 = 0.05;

/// A backend that must get nothing got something.
pub(super) fn leak(symptoms: &Symptoms<'_>) -> Option<Finding> {
    let n = symptoms.attributed();
    let shares = symptoms.split.shares();
    let (backend, &hits) = symptoms
        .counts
        .observed
        .iter()
        .enumerate()
        .filter(|&(backend, &hits)| shares[backend] == 0.0 && hits > 0)
        .max_by_key(|&(_, &hits)| hits)?;
    let share = hits as f64 / n as f64;
    let interval = wilson(hits, n, INTERVAL_ERROR_RATE);
    let message = format!(
        "{} has weight 0 and answered {hits} of {n} requests: {} ({} to {}) of them leak to it",
        symptoms.label(backend),
        small_percent(share),
        small_percent(interval.low),
        small_percent(interval.high)
    );
    let finding = Finding::new("zero_weight_leak", message)
        .then(WEIGHTS)
        .with("hits", hits as f64)
        .with("share", share)
        .with("interval_low", interval.low)
        .with("interval_high", interval.high);
    Some(finding)
}

/// A leak may be far below a tenth of a percent.
fn small_percent(share: f64) -> String {
    if share >= 0.001 || share == 0.0 {
        percent(share)
    } else {
        format!("{:.2e} %", share * 100.0)
    }
}

/// Responses that a cache served, and that no split divided.
pub(super) fn cache(symptoms: &Symptoms<'_>) -> Option<Finding> {
    let signs = symptoms.signs;
    let share = signs.cached as f64 / signs.inspected.max(1) as f64;
    (signs.cached > 0 && share >= WORTH_TELLING).then(|| {
        let message = format!(
            "{} of {} responses looked at come from a cache (Age, Cache-Status, X-Cache or CF-Cache-Status): \
             what a cache serves was not split; go around it, or make every request unlike",
            signs.cached, signs.inspected
        );
        Finding::new(CACHE, message).with("cached_share", share)
    })
}

/// Cookies that keep a client where it is.
pub(super) fn cookie(symptoms: &Symptoms<'_>) -> Option<Finding> {
    let signs = symptoms.signs;
    let share = signs.set_cookie as f64 / signs.inspected.max(1) as f64;
    if symptoms.sends_cookie && symptoms.is_off() {
        let message = "every request carries the Cookie header that was given: where it is an affinity \
                       cookie, it keeps this client on one side and the weights don't count; send none";
        let finding = Finding::new("cookie_affinity", message).with("set_cookie_share", share);
        return Some(finding);
    }
    (share >= COMMON).then(|| {
        let message = format!(
            "{} of {} responses looked at set a cookie: where it is for affinity, a client that keeps it \
             stays on one side; lbtest keeps none, so that this is the split of clients' first requests",
            signs.set_cookie, signs.inspected
        );
        Finding::new("cookie_affinity", message).with("set_cookie_share", share)
    })
}

/// Connections that keep their backend.
pub(super) fn repetition(symptoms: &Symptoms<'_>) -> Option<Finding> {
    let describe = |clustering: &Clustering| symptoms.repeats && clustering.responses > 0;
    let Some(clustering) = symptoms.clustering.filter(describe) else {
        return pinned(symptoms);
    };
    let message = format!(
        "responses on one connection repeat the same backend (design effect {:.1}): {} requests carry the \
         information of {:.0}; the balancer decides for a connection, not for a request",
        clustering.design_effect, clustering.responses, clustering.effective_responses
    );
    let finding = Finding::new("per_connection_balancing", message)
        .with("design_effect", clustering.design_effect)
        .with("intraclass_correlation", clustering.intraclass_correlation)
        .with("connections", clustering.connections as f64)
        .with("effective_responses", clustering.effective_responses);
    Some(finding)
}

/// Answers that repeat the backend of their neighbours.
pub(super) fn bursts(symptoms: &Symptoms<'_>) -> Option<Finding> {
    let seen = |order: &Order| order.is_short_range() && order.p_value <= symptoms.alpha;
    let order = symptoms.order.filter(seen).filter(|_| !symptoms.repeats)?;
    let at_a_time = order.at_a_time();
    let message = format!(
        "answers repeat the backend of those before them, about {at_a_time:.1} at a time (longest run {}): as happens when one \
         decision holds for several requests, or backends have long turns; {} \
         requests carry the information of {:.0}",
        order.longest_run,
        symptoms.attributed(),
        order.effective_responses
    );
    let finding = Finding::new("answers_in_bursts", message)
        .with("at_a_time", at_a_time)
        .with("longest_run", order.longest_run as f64)
        .with("effective_responses", order.effective_responses)
        .with("p_value", order.p_value);
    Some(finding)
}

/// The only connection, where one backend answered all of it beyond chance: alone it has nothing to be compared with.
fn pinned(symptoms: &Symptoms<'_>) -> Option<Finding> {
    let n = symptoms.attributed();
    let observed = &symptoms.counts.observed;
    let backend = observed.iter().position(|&count| count == n)?;
    let share = symptoms.split.shares()[backend];
    let is_beyond_chance = (n as f64 - 1.0) * share.ln() <= symptoms.alpha.ln();
    (n > 1 && symptoms.independent_responses() == 1 && is_beyond_chance).then(|| {
        let message = format!(
            "all {n} responses on the one connection came from {}: a client that keeps its connection stays on one \
             backend; to see the split, send each request on a connection of its own",
            symptoms.label(backend)
        );
        Finding::new("pinned_by_connection", message).with("responses", n as f64)
    })
}

/// A backend with more errors than the others, identified ones.
pub(super) fn backend_errors(symptoms: &Symptoms<'_>) -> Vec<Finding> {
    let n = symptoms.attributed();
    let all: u64 = symptoms.errors.iter().sum();
    let own = |(backend, (&errors, &observed)): (usize, (&u64, &u64))| {
        if errors == 0 || observed < errors {
            return None;
        }
        let share = errors as f64 / observed as f64;
        let others = (n - observed > 0).then(|| (all - errors) as f64 / (n - observed) as f64);
        // Given their number, errors of no backend in particular fall on this one with its share of the
        // responses; that they fall on responses without repetition only makes the tail lighter.
        let p = Binomial::new(all, observed as f64 / n as f64)
            .ln_at_least(errors)
            .exp();
        let is_worse = others.is_none_or(|others| share > others);
        let is_told = p <= symptoms.alpha || (others.is_none() && share >= WORTH_TELLING);
        (is_worse && is_told).then(|| {
            let rest = others.map_or(String::new(), |others| {
                format!(", the others {} of theirs", percent(others))
            });
            let message = format!(
                "{} answered {} of its {observed} responses with {}{rest}; they count for the split, since they were \
                 routed",
                symptoms.label(backend),
                percent(share),
                status::of_errors(symptoms.protocol == Protocol::Grpc)
            );
            Finding::new("backend_errors", message)
                .then(LOGS)
                .with("errors", errors as f64)
                .with("error_share", share)
                .with("error_share_of_others", others.unwrap_or(f64::NAN))
                .with("p_value", p)
        })
    };
    let rows = symptoms.errors.iter().zip(&symptoms.counts.observed);
    rows.enumerate().filter_map(own).collect()
}
