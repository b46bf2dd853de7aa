//! A split that changed during the run: when, from what, to what.

use super::{Finding, Symptoms, fit, number, percent};
use crate::stats::change_point::{ChangePoint, change_point};
use crate::stats::drift::{drift, over_regular_p_value};

/// Weights go live within the first part of a run, if they were on their way when it began.
const EARLY: f64 = 0.5;

/// A finding where the split did not stay the same.
pub(super) fn changed(symptoms: &Symptoms<'_>) -> Option<Finding> {
    if symptoms.repeats {
        return None;
    }
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
    let mut message = format!(
        "the split changed at about request {request}: {} before, {} after",
        shares_told(symptoms, &change.before),
        shares_told(symptoms, &change.after)
    );
    let is_again = changes_again(symptoms, change.index);
    let not_live = !is_again && is_not_live_yet(symptoms, change, responses);
    let code = if not_live {
        message += ", which fits the expected split: as happens when its weights were not live yet when the run began, or \
                    the workers of a round-robin all started just then; --warmup ";
        message += &(2 * request).max(1).to_string();
        message += " leaves that out";
        "weights_not_live_yet"
    } else {
        message.push_str(if is_again {
            ", and this was not the only change: as happens when weights, endpoints or the configuration are \
             in motion, or many requests in a row are decided together"
        } else {
            ": as happens when the weights or the endpoints changed during the run"
        });
        "changed_mid_run"
    };
    let finding = Finding::new(code, message)
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

/// Whether one of the two parts drifts as well. The parts leave out the block in which the change lies.
fn changes_again(symptoms: &Symptoms<'_>, index: u64) -> bool {
    let mut before = 0;
    let place = symptoms.windows.iter().position(|window| {
        before += window.iter().sum::<u64>();
        before >= index
    });
    let Some(place) = place else {
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
fn shares_told(symptoms: &Symptoms<'_>, shares: &[f64]) -> String {
    match shares {
        [one, other] => format!("{}/{}", number(*one), number(*other)),
        _ => symptoms.told(shares),
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
