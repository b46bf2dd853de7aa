//! A split that changed during the run: when, from what, to what.

use super::{Finding, Symptoms, fit, number, percent};
use crate::stats::change_point::{ChangePoint, change_point};
use crate::stats::drift::{drift, over_regular_p_value};
use crate::stats::waves::waves;

/// Weights go live within the first part of a run, if they were on their way when it began.
const EARLY: f64 = 0.5;

/// Waves are told where they account for this part of the variation beyond chance: of bursts of 200, which vary as slowly, and
/// of weights that came late it is a third at most.
const MOSTLY: f64 = 0.4;
/// What was silent at first made up for it, if it got this part of what it lacked.
const MADE_UP: f64 = 0.75;
const ALIKE: &str = "workers_start_alike";
const NOT_LIVE: &str = "weights_not_live_yet";
const MID_RUN: &str = "changed_mid_run";

/// A finding where the split did not stay the same.
pub(super) fn changed(symptoms: &Symptoms<'_>) -> Option<Finding> {
    if symptoms.repeats {
        return None;
    }
    in_waves(symptoms).or_else(|| at_a_place(symptoms))
}

/// Workers of a round-robin that all began at the same place, and whose turns still come together.
fn in_waves(symptoms: &Symptoms<'_>) -> Option<Finding> {
    let is_uneven = symptoms
        .drift
        .is_some_and(|drift| drift.p_value <= symptoms.alpha)
        || symptoms.order.is_some_and(|order| order.is_clumped());
    if !is_uneven {
        return None;
    }
    let shares = symptoms.split.shares();
    let positive = (0..shares.len()).filter(|&backend| shares[backend] > 0.0);
    let rarest = positive.min_by(|&a, &b| shares[a].total_cmp(&shares[b]))?;
    let found = waves(symptoms.windows, rarest, shares[rarest])?;
    let one_change =
        change_point(symptoms.windows, &[]).map_or(0.0, |change| change.log_likelihood_gain);
    if found.p_value > symptoms.alpha
        || found.explained < MOSTLY
        || found.log_likelihood_gain < 2.0 * one_change
    {
        return None;
    }
    let message = format!(
        "{} comes in waves of about {:.0} requests: as happens when the workers of a round-robin, about {:.0} of them, each \
         count for themselves and all began at the same place (nginx without zone, after a start or a reload); a counter that \
         they share (nginx: zone) does away with it, and with more requests (-n) it matters less",
        symptoms.label(rarest),
        found.period,
        found.workers
    );
    let finding = Finding::new(ALIKE, message)
        .with("workers", found.workers)
        .with("period_requests", found.period)
        .with("explained_share", found.explained.min(1.0))
        .with("log_likelihood_gain", found.log_likelihood_gain)
        .with("p_value", found.p_value);
    Some(finding)
}

/// A split that changed at some place.
fn at_a_place(symptoms: &Symptoms<'_>) -> Option<Finding> {
    let change = match symptoms.change {
        Some(change) => change.clone(),
        None => change_point(symptoms.windows, &[])?,
    };
    let change = &change;
    let responses: u64 = symptoms.windows.iter().flatten().sum();
    if change.index >= responses {
        return None;
    }
    let drift_p_value = symptoms.drift.map_or(1.0, |drift| drift.p_value);
    let p_value = (2.0 * p_value(change, responses).min(drift_p_value)).min(1.0);
    if p_value > symptoms.alpha {
        return None;
    }
    let request = request_of(symptoms, change.index);
    let change_text = format!(
        "the split changed at about request {request}: {} before, {} after",
        shares_text(symptoms, &change.before),
        shares_text(symptoms, &change.after)
    );
    let later = after(symptoms, change.index);
    let is_again = changes_again(symptoms, change.index);
    let finding = |code, separator, why| Finding {
        change: format!("{change_text}{separator} "),
        ..Finding::new(code, why)
    };
    let finding = if is_again {
        let why = "and this was not the only change: as happens when weights, endpoints or the configuration are in motion, \
                   or many requests in a row are decided together";
        finding(MID_RUN, ",", why.to_owned())
    } else if !is_not_live_yet(symptoms, change, responses) {
        let why = "as happens when the weights or the endpoints changed during the run";
        finding(MID_RUN, ":", why.to_owned())
    } else if over_regular_p_value(later).is_some_and(|p| p <= symptoms.alpha) {
        let why = format!(
            "which fits the expected split and is more regular than chance: as happens when the workers of a round-robin, each \
             of which counts for itself, all began just then (nginx without zone, after a start or a reload); --warmup {} \
             leaves that out",
            (2 * request).max(1)
        );
        let others = if is_made_up_for(symptoms, change, responses) {
            Vec::new()
        } else {
            vec![NOT_LIVE]
        };
        finding(ALIKE, ",", why).tied(others)
    } else {
        let why = format!(
            "which fits the expected split: as happens when its weights were not live yet when the run began; --warmup {} \
             leaves that out",
            (2 * request).max(1)
        );
        finding(NOT_LIVE, ",", why)
    };
    let finding = finding
        .with("request", request as f64)
        .with("p_value", p_value)
        .with("log_likelihood_gain", change.log_likelihood_gain)
        .with("drift_p_value", drift_p_value);
    Some(finding)
}

/// The chance that a split which stays the same shows a change as sharp as this at any of its places.
///
/// Each backend against the rest: the gain of two shares over one is at most the sum of the deviances of
/// the two parts from the true share, each of which reaches `a` with a chance of at most `2e⁻ᵃ`
/// (Chernoff 1952); their sum reaches `g` with at most `(1 + g′)e^(−g′)`, `g′ = g − 2 ln 2`. Bonferroni
/// over places and backends.
pub(super) fn p_value(change: &ChangePoint, responses: u64) -> f64 {
    let n = responses as f64;
    let first = change.index as f64;
    let entropy = |share: f64, size: f64| {
        let term = |part: f64| {
            if part > 0.0 {
                size * part * part.ln()
            } else {
                0.0
            }
        };
        term(share) + term(1.0 - share)
    };
    let gain = |before: f64, after: f64| {
        let whole = (first * before + (n - first) * after) / n;
        entropy(before, first) + entropy(after, n - first) - entropy(whole, n)
    };
    let sharpest = change
        .before
        .iter()
        .zip(&change.after)
        .map(|(&before, &after)| gain(before, after))
        .fold(0.0, f64::max);
    // Two shares that sum to 1 move as one.
    let backends = match change.before.len() {
        2 => 1.0,
        more => more as f64,
    };
    let excess = (sharpest - 2.0 * std::f64::consts::LN_2).max(0.0);
    (n * backends * (1.0 + excess) * (-excess).exp()).min(1.0)
}

/// Where in the dispatch order, requests without an identity included, the attributed response `index` is.
fn request_of(symptoms: &Symptoms<'_>, index: u64) -> u64 {
    let mut before = 0;
    for (block, window) in (0..).zip(symptoms.windows) {
        let size: u64 = window.iter().sum();
        if before + size > index {
            let within = (index - before) as f64 / size as f64;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a share of a block's length"
            )]
            let offset = (within * symptoms.window_length as f64).round() as u64;
            return block * symptoms.window_length + offset;
        }
        before += size;
    }
    index
}

/// The block in which the response with this index lies.
fn block_of(symptoms: &Symptoms<'_>, index: u64) -> Option<usize> {
    let mut before = 0;
    symptoms.windows.iter().position(|window| {
        before += window.iter().sum::<u64>();
        before >= index
    })
}

/// The blocks after that one.
fn after<'s>(symptoms: &Symptoms<'s>, index: u64) -> &'s [Vec<u64>] {
    let place = block_of(symptoms, index);
    place.map_or(&[], |place| &symptoms.windows[place + 1..])
}

/// Whether what a backend lacked before the change came after it, so that all answers together fit: workers make up for a
/// beginning, weights that came late do not.
fn is_made_up_for(symptoms: &Symptoms<'_>, change: &ChangePoint, responses: u64) -> bool {
    let (first, rest) = (change.index as f64, (responses - change.index) as f64);
    let lacked =
        |backend: usize| first * (symptoms.split.shares()[backend] - change.before[backend]);
    let most = (0..symptoms.split.len()).max_by(|&a, &b| lacked(a).total_cmp(&lacked(b)));
    most.is_some_and(|backend| {
        let came = rest * (change.after[backend] - symptoms.split.shares()[backend]);
        came >= MADE_UP * lacked(backend)
    })
}

/// Whether one of the two parts drifts as well. The parts leave out the block in which the change lies.
fn changes_again(symptoms: &Symptoms<'_>, index: u64) -> bool {
    let Some(place) = block_of(symptoms, index) else {
        return false;
    };
    let drifts =
        |part: &[Vec<u64>]| drift(part).is_some_and(|drift| drift.p_value <= symptoms.alpha);
    // The place was chosen to leave both parts as even as can be, which only lowers the chance of seeing
    // a change where there is none.
    drifts(&symptoms.windows[..place]) || drifts(&symptoms.windows[place + 1..])
}

/// Whether the early part is unlike the expected split and the rest like it.
fn is_not_live_yet(symptoms: &Symptoms<'_>, change: &ChangePoint, responses: u64) -> bool {
    let fits = |shares: &[f64], size: u64| {
        let counts: Vec<u64> = shares.iter().map(|&share| count(share, size)).collect();
        fit::p_value(symptoms, &counts, symptoms.split.shares()).is_some_and(|p| p > symptoms.alpha)
    };
    let rest = responses - change.index;
    (change.index as f64) < EARLY * responses as f64
        && fits(&change.after, rest)
        && !fits(&change.before, change.index)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a count"
)]
fn count(share: f64, size: u64) -> u64 {
    (share * size as f64).round() as u64
}

/// `70/30` for two backends; with their labels for more.
fn shares_text(symptoms: &Symptoms<'_>, shares: &[f64]) -> String {
    match shares {
        [one, other] => format!("{}/{}", number(*one), number(*other)),
        _ => symptoms.labelled(shares),
    }
}

/// A note where the responses are more regular than independent draws.
pub(super) fn regular(symptoms: &Symptoms<'_>) -> Option<Finding> {
    if symptoms.repeats {
        return None;
    }
    let p = over_regular_p_value(symptoms.windows)?;
    (p <= symptoms.alpha).then(|| {
        let message = format!(
            "the backends are served more regularly than independent draws would serve them, as weighted \
             round-robin does; in the long run that makes both error rates of the verdict smaller ({} of runs \
             with independent draws are so regular)",
            percent(p)
        );
        Finding::new("weighted_round_robin", message).with("p_value", p)
    })
}
