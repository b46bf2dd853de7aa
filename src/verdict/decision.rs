//! The rule: counts by backend → PASS, FAIL or INCONCLUSIVE, under one assignment of the workloads.

use super::Verdict;
use crate::plan::Criterion;
use crate::split::Split;
use crate::stats::equivalence::{
    equivalence_p_value, equivalence_p_value_with_unattributed, smallest_equivalence_p_value,
};
use crate::stats::goodness_of_fit::{GoodnessOfFit, goodness_of_fit};
use crate::stats::judge::Decision;
use crate::stats::unattributed::{absence_p_value, least_favourable, most_favourable};

/// What was counted, by backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// Identified responses; `observed[i]` belongs to backend `i` of the split.
    pub observed: Vec<u64>,
    /// Identified responses of workloads that are no backend of the split.
    pub foreign: u64,
    /// Requests that were written and got no identity.
    pub unattributed: u64,
}

impl Counts {
    /// All identified responses.
    #[must_use]
    pub fn attributed(&self) -> u64 {
        self.observed.iter().sum::<u64>() + self.foreign
    }

    /// The share of the requests that got no identity; 0 when nothing was sent.
    #[must_use]
    pub fn unattributed_share(&self) -> f64 {
        let sent = self.attributed() + self.unattributed;
        if sent == 0 {
            0.0
        } else {
            self.unattributed as f64 / sent as f64
        }
    }
}

/// What decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Nothing was attributed.
    Nothing,
    /// A backend of weight 0 (index into the split) answered.
    ZeroWeightHit(usize),
    /// A workload that is no backend of the split answered.
    ForeignHit,
    /// A backend that should get requests got none, significantly.
    NeverAnswered(usize),
    /// The expected split does not explain the counts.
    Off,
    /// The split fits, and what PASS claims is shown.
    Fits,
    /// The counts fit, but are too few to rule a shift of the tolerance out.
    TooFew,
    /// The counts fit neither claim: near the expected split, but not within the tolerance.
    Between,
    /// The responses without an identity could turn the verdict.
    Unattributed,
    /// More responses than allowed have no identity.
    TooManyUnattributed,
}

/// Counts, what the tests say of them, and what follows.
#[derive(Debug, Clone)]
pub struct Judged {
    /// What was judged.
    pub counts: Counts,
    /// The goodness of fit of the identified responses; `None` when there are none.
    pub fit: Option<GoodnessOfFit>,
    /// Of the identified responses: small when every shift of the tolerance or more is refuted.
    pub equivalence_p_value: f64,
    /// What follows.
    pub verdict: Verdict,
    /// What decided.
    pub cause: Cause,
}

/// Judges counts against the expected split.
#[must_use]
pub fn judge(split: &Split, criterion: &Criterion, seed: u64, counts: Counts) -> Judged {
    let shares = split.shares();
    let Criterion {
        alpha, tolerance, ..
    } = *criterion;
    let fit = goodness_of_fit(&counts.observed, shares, alpha, seed)
        .expect("Criterion refuses an alpha that Monte Carlo cannot resolve");
    let equivalence = equivalence_p_value(&counts.observed, shares, tolerance);
    let (verdict, cause) = match &fit {
        _ if counts.attributed() == 0 => (Verdict::Inconclusive, Cause::Nothing),
        _ if counts.foreign > 0 => (Verdict::Fail, Cause::ForeignHit),
        None => (Verdict::Inconclusive, Cause::Nothing),
        Some(fit) => decide(split, criterion, seed, &counts, fit, equivalence),
    };
    Judged {
        counts,
        fit,
        equivalence_p_value: equivalence,
        verdict,
        cause,
    }
}

fn decide(
    split: &Split,
    criterion: &Criterion,
    seed: u64,
    counts: &Counts,
    fit: &GoodnessOfFit,
    equivalence: f64,
) -> (Verdict, Cause) {
    let (observed, shares) = (&counts.observed, split.shares());
    let hit = |&(_, (&share, &count)): &(usize, (&f64, &u64))| share == 0.0 && count > 0;
    let backends = || shares.iter().zip(observed).enumerate();
    if let Some((backend, _)) = backends().find(hit) {
        return (Verdict::Fail, Cause::ZeroWeightHit(backend));
    }
    let alpha = criterion.alpha;
    if fit.p_value <= alpha {
        // That p is at most α on the identified responses alone keeps the error rate; that the backend's
        // own silence is that improbable says that it is the reason.
        let attributed = counts.attributed();
        let silent = |&(_, (&share, &count)): &(usize, (&f64, &u64))| {
            count == 0 && share > 0.0 && absence_p_value(share, attributed) <= alpha
        };
        if let Some((backend, _)) = backends().find(silent) {
            return (Verdict::Fail, Cause::NeverAnswered(backend));
        }
    }
    if counts.unattributed > 0 {
        return decide_with_unattributed(split, criterion, seed, counts, fit, equivalence);
    }
    match criterion.judge.decide(fit.p_value, equivalence, alpha) {
        Decision::Pass => (Verdict::Pass, Cause::Fits),
        Decision::Fail => (Verdict::Fail, Cause::Off),
        Decision::Inconclusive => (Verdict::Inconclusive, undecided(fit.p_value, alpha)),
    }
}

fn undecided(p_value: f64, alpha: f64) -> Cause {
    if p_value <= alpha {
        Cause::Between
    } else {
        Cause::TooFew
    }
}

/// FAIL only if every way of attributing the responses without identity fails, PASS only if every way
/// passes.
fn decide_with_unattributed(
    split: &Split,
    criterion: &Criterion,
    seed: u64,
    counts: &Counts,
    fit: &GoodnessOfFit,
    equivalence: f64,
) -> (Verdict, Cause) {
    let (observed, missing, shares) = (&counts.observed, counts.unattributed, split.shares());
    let Criterion {
        alpha,
        tolerance,
        judge,
        ..
    } = *criterion;
    let p_value =
        |fit: Result<Option<GoodnessOfFit>, _>| fit.ok().flatten().map_or(1.0, |fit| fit.p_value);
    let best = judge.decide(
        p_value(most_favourable(observed, missing, shares, alpha, seed)),
        smallest_equivalence_p_value(observed, missing, shares, tolerance),
        alpha,
    );
    let worst = judge.decide(
        p_value(least_favourable(observed, missing, shares, alpha, seed)),
        equivalence_p_value_with_unattributed(observed, missing, shares, tolerance),
        alpha,
    );
    let identified = judge.decide(fit.p_value, equivalence, alpha);
    match (worst, best) {
        (_, Decision::Fail) => (Verdict::Fail, Cause::Off),
        (Decision::Pass, _) if counts.unattributed_share() > criterion.max_unattributed => {
            (Verdict::Inconclusive, Cause::TooManyUnattributed)
        }
        (Decision::Pass, _) => (Verdict::Pass, Cause::Fits),
        _ if identified == Decision::Inconclusive => {
            (Verdict::Inconclusive, undecided(fit.p_value, alpha))
        }
        _ => (Verdict::Inconclusive, Cause::Unattributed),
    }
}
