//! The rule: counts by backend → PASS, FAIL or INCONCLUSIVE, under one assignment of the workloads.

use super::Verdict;
use crate::claim::{Claim, Criterion};
use crate::split::Split;
use crate::stats::dependence::Clustering;
use crate::stats::equivalence::equivalence_p_value;
use crate::stats::goodness_of_fit::{self, GoodnessOfFit, goodness_of_fit};
use crate::stats::judge::{Decision, Judge};
use crate::stats::order::Order;
use crate::stats::sequential::Look;
use crate::stats::unattributed::{Bounds, absence_p_value};
use crate::tally::monitor::Standing;

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
    pub fn attributed(&self) -> u64 {
        self.observed.iter().sum::<u64>() + self.foreign
    }

    /// The share of the requests that got no identity; 0 when nothing was sent.
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
    /// The answers come in clumps, and what they carry then does not hold the verdict of independent ones.
    Clumped,
}

/// Where the p-value that gates comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// A test of independent responses.
    Independent(goodness_of_fit::Method),
    /// The same, of the first response of each connection.
    FirstResponse,
    /// Student's t over the design effect of the connections.
    DesignEffect,
    /// The e-value of a sequential run.
    EValue,
}

impl Method {
    /// The name that reports use.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Independent(method) => method.code(),
            Self::FirstResponse => "first_response",
            Self::DesignEffect => "design_effect",
            Self::EValue => "e_value",
        }
    }
}

/// What responses have in common that may depend on each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Shared {
    /// The connection.
    #[default]
    Connection,
    /// The client, as a log names it.
    Client,
}

/// Whether the responses of a connection are more alike than those of different ones, significantly at α.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Likeness {
    /// They are not.
    NotSeen,
    /// They are.
    Alike,
    /// They are, and connections balance one another: a round robin in step with them.
    InStep,
}

/// Counts, what the tests say of them, and what follows.
#[derive(Debug, Clone)]
pub struct Judged {
    pub counts: Counts,
    /// The goodness of fit of the identified responses as if they were independent; `None` when there
    /// are none.
    pub fit: Option<GoodnessOfFit>,
    /// Where the p-value that gates comes from.
    pub method: Option<Method>,
    /// The p-value that gates; 1 when there is none.
    pub p_value: f64,
    /// Its decimal logarithm.
    pub log10_p_value: f64,
    /// The largest that it can be, whatever the responses without an identity could have been.
    pub largest_p_value: f64,
    /// Small when every shift of the tolerance or more is refuted.
    pub equivalence_p_value: f64,
    /// What the connections say of the independence of their responses, where they carried several.
    pub clustering: Option<Clustering>,
    /// Whether the responses of a connection are alike.
    pub likeness: Likeness,
    /// What it is instead of a connection, where it is something else.
    pub shared_by: Shared,
    /// What the order of dispatch says of it, where a verdict rests on it.
    pub order: Option<Order>,
    /// What follows.
    pub verdict: Verdict,
    /// What decided.
    pub cause: Cause,
}

impl Judged {
    /// Whether it is a PASS, or a FAIL that could be chance: a backend of weight zero that answered, and a
    /// workload that is no backend, are certain however the answers depend on one another.
    pub(super) fn rests_on_a_test(&self) -> bool {
        matches!(
            (self.verdict, self.cause),
            (Verdict::Pass, _) | (Verdict::Fail, Cause::Off | Cause::NeverAnswered(_))
        )
    }

    /// Whether such a verdict stands by another variance too, which leaves these p-values.
    pub(super) fn stands_by(&self, claim: &Claim, fit: f64, equivalence: f64) -> bool {
        let Criterion { alpha, judge, .. } = claim.criterion;
        match self.verdict {
            Verdict::Fail => fit <= alpha,
            _ => judge == Judge::Significance || equivalence <= alpha,
        }
    }

    /// The p-value that gates, 1 where it is that of independent answers and their order takes it back.
    pub(super) fn standing_p_value(&self) -> f64 {
        match self.cause {
            Cause::Clumped => 1.0,
            _ => self.p_value,
        }
    }

    /// The p-value that a FAIL rests on: 0 where it is certain, else the largest that is possible.
    pub fn fail_p_value(&self) -> f64 {
        match self.cause {
            Cause::ZeroWeightHit(_) | Cause::ForeignHit => 0.0,
            Cause::NeverAnswered(_) => self.p_value,
            Cause::Nothing
            | Cause::Off
            | Cause::Fits
            | Cause::TooFew
            | Cause::Between
            | Cause::Unattributed
            | Cause::TooManyUnattributed
            | Cause::Clumped => self.largest_p_value,
        }
    }
}

/// Judges independent responses against the expected split.
pub fn judge(claim: &Claim, counts: Counts) -> Judged {
    let Claim { criterion, .. } = claim;
    let mut judged = described(claim, counts);
    if let Some((verdict, cause)) = certain(claim, &judged) {
        (judged.verdict, judged.cause) = (verdict, cause);
        return judged;
    }
    let counts = &judged.counts;
    let expected = claim.expected();
    let bounds = Bounds::new(&counts.observed, counts.unattributed, &expected, claim.seed);
    let decision = match bounds {
        Ok(Some(bounds)) => {
            judged.largest_p_value = bounds.most_favourable.p_value;
            bounds.decide(criterion.judge, criterion.alpha)
        }
        Ok(None) | Err(_) => Decision::Inconclusive,
    };
    conclude(criterion, &mut judged, decision);
    judged
}

/// Judges a run that stopped when its e-value, or all of its likelihood ratios, were decisive.
///
/// `counts` are those at the last look, `total` those of the whole run.
pub fn judge_sequential(
    claim: &Claim,
    counts: Counts,
    total: &Counts,
    standing: &Standing,
) -> Judged {
    let Claim {
        split, criterion, ..
    } = claim;
    let mut judged = described(claim, counts);
    judged.method = judged.fit.map(|_| Method::EValue);
    judged.order = standing.order;
    judged.log10_p_value = (-standing.log_e_value / std::f64::consts::LN_10).min(0.0);
    judged.p_value = 10_f64.powf(judged.log10_p_value);
    judged.largest_p_value = judged.p_value;
    judged.equivalence_p_value = standing.max_face.exp().min(1.0);
    if judged.counts.attributed() == 0 {
        return judged;
    }
    if let Some(backend) = zero_weight_hit(split, total) {
        (judged.verdict, judged.cause) = (Verdict::Fail, Cause::ZeroWeightHit(backend));
        return judged;
    }
    let decision = match standing.look {
        Look::Pass => Decision::Pass,
        Look::Fail => Decision::Fail,
        Look::Continue | Look::Inconclusive => Decision::Inconclusive,
    };
    conclude(criterion, &mut judged, decision);
    let is_clumped = standing.order.is_some_and(|order| order.is_clumped());
    if is_clumped && judged.verdict == Verdict::Inconclusive {
        judged.cause = Cause::Clumped;
    }
    if judged.verdict == Verdict::Fail {
        let silent = silent_backend(claim, &judged.counts);
        judged.cause = match silent {
            _ if judged.counts.foreign > 0 => Cause::ForeignHit,
            Some(backend) => Cause::NeverAnswered(backend),
            None => Cause::Off,
        };
    }
    judged
}

/// Counts with their tests, and no verdict yet.
pub(super) fn described(claim: &Claim, counts: Counts) -> Judged {
    let Claim {
        split, criterion, ..
    } = claim;
    let shares = split.shares();
    let fit = goodness_of_fit(&counts.observed, shares, criterion.alpha, claim.seed)
        .expect("Criterion refuses an alpha that Monte Carlo cannot resolve");
    Judged {
        equivalence_p_value: equivalence_p_value(&counts.observed, shares, criterion.tolerance),
        counts,
        method: fit.map(|fit| Method::Independent(fit.method)),
        p_value: fit.map_or(1.0, |fit| fit.p_value),
        largest_p_value: fit.map_or(1.0, |fit| fit.p_value),
        log10_p_value: fit.map_or(0.0, |fit| fit.log10_p_value),
        fit,
        clustering: None,
        likeness: Likeness::NotSeen,
        shared_by: Shared::Connection,
        order: None,
        verdict: Verdict::Inconclusive,
        cause: Cause::Nothing,
    }
}

/// What follows whatever the responses without an identity could have been.
fn certain(claim: &Claim, judged: &Judged) -> Option<(Verdict, Cause)> {
    let Claim {
        split, criterion, ..
    } = claim;
    let counts = &judged.counts;
    if counts.attributed() == 0 {
        return Some((Verdict::Inconclusive, Cause::Nothing));
    }
    if counts.foreign > 0 {
        return Some((Verdict::Fail, Cause::ForeignHit));
    }
    if let Some(backend) = zero_weight_hit(split, counts) {
        return Some((Verdict::Fail, Cause::ZeroWeightHit(backend)));
    }
    // That p is at most α on the identified responses alone keeps the error rate; that the backend's own
    // silence is that improbable says that it is the reason.
    if judged.p_value <= criterion.alpha
        && let Some(backend) = silent_backend(claim, counts)
    {
        return Some((Verdict::Fail, Cause::NeverAnswered(backend)));
    }
    None
}

pub(super) fn zero_weight_hit(split: &Split, counts: &Counts) -> Option<usize> {
    let mut backends = split.shares().iter().zip(&counts.observed);
    backends.position(|(&share, &count)| share <= 0.0 && count > 0)
}

/// A backend of positive weight that never answered, where that is significant.
fn silent_backend(claim: &Claim, counts: &Counts) -> Option<usize> {
    let Claim {
        split, criterion, ..
    } = claim;
    let attributed = counts.attributed();
    let mut backends = split.shares().iter().zip(&counts.observed);
    backends.position(|(&share, &count)| {
        share > 0.0 && count == 0 && absence_p_value(share, attributed) <= criterion.alpha
    })
}

/// Writes a decision down, with what decided.
pub(super) fn conclude(criterion: &Criterion, judged: &mut Judged, decision: Decision) {
    let counts = &judged.counts;
    let Criterion { alpha, judge, .. } = *criterion;
    (judged.verdict, judged.cause) = match decision {
        Decision::Fail => (Verdict::Fail, Cause::Off),
        Decision::Pass if counts.unattributed_share() > criterion.max_unattributed => {
            (Verdict::Inconclusive, Cause::TooManyUnattributed)
        }
        Decision::Pass => (Verdict::Pass, Cause::Fits),
        Decision::Inconclusive => {
            let identified = judge.decide(judged.p_value, judged.equivalence_p_value, alpha);
            let cause = match identified {
                Decision::Pass | Decision::Fail if counts.unattributed > 0 => Cause::Unattributed,
                Decision::Inconclusive if judged.p_value <= alpha => Cause::Between,
                _ => Cause::TooFew,
            };
            (Verdict::Inconclusive, cause)
        }
    };
}
