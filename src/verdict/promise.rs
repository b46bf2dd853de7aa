//! What a verdict promises, and what it takes.

use std::fmt::Write;
use std::num::NonZeroU64;
use std::time::Duration;

use super::forecast::{affordable_tolerance, forecast, grey_zone};
use crate::claim::stickiness::{FOLLOW_UPS, Stickiness};
use crate::claim::{Claim, Criterion};
use crate::format::{frequency, percent, points, time, to_thousandth};
use crate::split::Split;
use crate::stats::equivalence::tolerances;
use crate::stats::judge::Judge;
use crate::stats::power;
use crate::stats::regions::can_pass;
use crate::stats::sequential::{Sequential, mean_responses};

/// Seeds the simulated chances of verdicts, which are told and do not decide.
const SEED: u64 = 1;

/// What a verdict on so many requests promises.
pub fn promise(claim: &Claim, requests: NonZeroU64) -> String {
    let Claim {
        split, criterion, ..
    } = claim;
    let often = frequency(criterion.alpha);
    let Criterion {
        alpha,
        tolerance,
        judge,
        ..
    } = *criterion;
    if judge == Judge::Significance {
        let detects = detected(claim, requests);
        return format!("a correct split fails at most {often}; {detects}");
    }
    let planned = claim.planned_requests();
    if !can_pass(requests.get(), split.shares(), tolerance, alpha) {
        return format!(
            "a correct split fails at most {often}, but this many requests cannot PASS: the answer can only be \
             INCONCLUSIVE or FAIL; -n {planned} can PASS"
        );
    }
    if split.is_of_pods() {
        return format!(
            "{} with equal shares fail at most {often}; a pod that is off by {} of its share or more \
             passes at most {often}",
            pods(claim),
            percent(claim.even_tolerance())
        );
    }
    if let Some(within) = &claim.within {
        return format!(
            "a correct split with equal shares of {} fails at most {often}; one that is off by {} or more, or whose pod is off \
             by {} of its share within its backend or more, passes at most {often}",
            pods(claim),
            smallest_tolerance(split, tolerance),
            percent(within.tolerance)
        );
    }
    let mut message = format!(
        "a correct split fails at most {often}; a split off by {} or more passes at most {often}",
        smallest_tolerance(split, tolerance)
    );
    if let Some(chance) = chance_of_none(claim, requests) {
        let _ = write!(
            message,
            " (a correct split is INCONCLUSIVE in {chance} of the runs; -n {planned} avoids that)"
        );
    }
    message
}

/// The same on one short line: how often the verdict is wrong, and whether one can come at all.
pub fn promise_in_short(claim: &Claim, requests: NonZeroU64) -> String {
    let Criterion {
        alpha,
        tolerance,
        judge,
        ..
    } = claim.criterion;
    let often = frequency(alpha);
    if judge == Judge::Significance {
        return format!("a correct split fails at most {often}");
    }
    let planned = claim.planned_requests();
    if !can_pass(requests.get(), claim.split.shares(), tolerance, alpha) {
        return format!("too few to PASS, which takes -n {planned}");
    }
    let wrong = format!("wrong in at most {often}");
    match chance_of_none(claim, requests) {
        Some(chance) => format!("{wrong}, INCONCLUSIVE in {chance} (-n {planned} avoids that)"),
        None => wrong,
    }
}

/// How often a correct split gets no verdict, where that is told.
fn chance_of_none(claim: &Claim, requests: NonZeroU64) -> Option<String> {
    let positive = claim.split.shares().iter().filter(|&&share| share > 0.0);
    // With more backends the chances take a simulation, which `lbtest plan` has time for.
    if claim.within.is_some() || claim.split.is_of_pods() || positive.count() > 2 {
        return None;
    }
    let chances = forecast(claim, requests, SEED, &[0.0]);
    let none = chances.first()?.verdicts.inconclusive;
    (none > 0.01).then(|| percent(to_thousandth(none)))
}

/// What the classical test finds.
fn detected(claim: &Claim, requests: NonZeroU64) -> String {
    let shares = claim.split.shares();
    match power::detectable_shift(shares, requests.get(), claim.criterion.alpha, 0.99) {
        Some(shift) => format!(
            "a shift of {} fails in 99 % of the runs",
            points(to_thousandth(shift))
        ),
        None => "no shift is found with certainty at this number".to_owned(),
    }
}

/// The pods that are to share equally: `5 pods`, or `3 pods of v1, 1 pod of v2`.
pub fn pods(claim: &Claim) -> String {
    let number = |pods: usize| match pods {
        1 => "1 pod".to_owned(),
        more => format!("{more} pods"),
    };
    let Some(within) = &claim.within else {
        return number(claim.split.len());
    };
    let backends = claim.split.labels().iter().zip(&within.pods);
    let parts: Vec<String> = backends
        .filter_map(|(label, pods)| Some(format!("{} of {label}", number(pods.as_ref()?.get()))))
        .collect();
    parts.join(", ")
}

/// How often shifts between none and the tolerance fail; empty where that takes a simulation, or nothing can PASS.
pub fn grey_zone_in_words(claim: &Claim, requests: NonZeroU64) -> String {
    let Claim {
        split, criterion, ..
    } = claim;
    let positive = split.shares().iter().filter(|&&share| share > 0.0).count();
    let Criterion {
        alpha, tolerance, ..
    } = *criterion;
    let is_told = positive == 2
        && !split.is_of_pods()
        && criterion.judge != Judge::Significance
        && can_pass(requests.get(), split.shares(), tolerance, alpha);
    if !is_told {
        return String::new();
    }
    let zone = forecast(claim, requests, SEED, &grey_zone(split, tolerance));
    let [first, .., last] = &*zone else {
        return String::new();
    };
    let mut fails: Vec<String> = zone
        .iter()
        .map(|row| format!("{:.0}", 100.0 * row.verdicts.fail))
        .collect();
    fails.dedup();
    format!(
        "shifts between {} and {} fail in {} % of the runs",
        points(first.shift),
        points(last.shift),
        fails.join(", ")
    )
}

/// A run that takes longer than this is worth shortening, in seconds.
const SLOW: f64 = 60.0;

/// What stopping early would save of a run that takes `seconds` at a pace of `per_second`; empty for a quick one, and where
/// stopping early saves less than a fifth.
pub fn sequential_saving(claim: &Claim, per_second: f64, seconds: f64) -> String {
    let Claim {
        split, criterion, ..
    } = claim;
    let positive = split.shares().iter().filter(|&&share| share > 0.0).count();
    let is_open = criterion.judge != Judge::Significance && !split.is_of_pods();
    if seconds <= SLOW || positive < 2 || !is_open || claim.sessions.is_some() {
        return String::new();
    }
    let test = Sequential::new(
        split.shares(),
        criterion.tolerance,
        criterion.alpha,
        criterion.judge,
        claim.sequential_cap().get(),
    );
    let mean = mean_responses(&test, split.shares(), SEED);
    if mean / per_second > 0.8 * seconds {
        return String::new();
    }
    // Two digits are what the simulation is good for.
    let digits = 10_f64.powf(mean.log10().floor() - 1.0);
    format!(
        "; --sequential would take about {:.0} requests ({}) of a correct split, and fewer of one that is off",
        (mean / digits).round() * digits,
        time(mean / per_second)
    )
}

/// The same on one short line.
pub fn sessions_promise_in_short(stickiness: &Stickiness, criterion: &Criterion) -> String {
    match stickiness.sessions {
        Some(sessions) if sessions.get() < stickiness.needed => format!(
            "too few to PASS, which takes -n {}",
            stickiness.needed.saturating_mul(1 + FOLLOW_UPS)
        ),
        _ => format!("wrong in at most {}", frequency(criterion.alpha)),
    }
}

/// What a verdict on sessions promises.
pub fn sessions_promise(stickiness: &Stickiness, criterion: &Criterion) -> String {
    let often = frequency(criterion.alpha);
    let rate = points(stickiness.rate);
    let too_few = match stickiness.sessions {
        Some(sessions) if sessions.get() < stickiness.needed => format!(
            ", but this many cannot PASS: {} sessions can, which take -n {}",
            stickiness.needed,
            stickiness.needed.saturating_mul(1 + FOLLOW_UPS)
        ),
        _ => format!("; one that moves a share of {rate} or more of them passes at most {often}"),
    };
    format!("an ingress that keeps its sessions never fails{too_few}")
}

/// The tolerance in words: one number, or one for each backend where half the share is less.
pub(super) fn smallest_tolerance(split: &Split, tolerance: f64) -> String {
    let own = tolerances(split.shares(), tolerance);
    let smaller: Vec<String> = split
        .labels()
        .iter()
        .zip(&own)
        .filter(|&(_, &own)| own > 0.0 && own < tolerance)
        .map(|(label, &own)| format!("{label} {}", points(own)))
        .collect();
    if smaller.is_empty() {
        points(tolerance)
    } else {
        format!("{} ({})", points(tolerance), smaller.join(", "))
    }
}

/// What to do about a run of `seconds` at `per_second` that is longer than `allowed`; empty when it fits.
pub fn remedy_for_time(claim: &Claim, per_second: f64, seconds: f64, allowed: Duration) -> String {
    let Claim {
        split, criterion, ..
    } = claim;
    let most = allowed.as_secs_f64();
    if seconds <= most {
        return String::new();
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a positive number of requests, rounded down; saturates"
    )]
    let affordable = (most * per_second) as u64;
    let remedy = match affordable_tolerance(split, criterion.alpha, affordable) {
        // More were asked for than the promise takes.
        Some(tolerance) if tolerance <= criterion.tolerance => {
            format!("-n {affordable} would fit, and carries the promise")
        }
        Some(tolerance) => format!("--tolerance {:.1} would fit", 100.0 * tolerance),
        None => "no tolerance would fit".to_owned(),
    };
    format!(
        ", which is more than the {} that --max-duration allows: {remedy}",
        time(most)
    )
}
