//! Why a verdict came out as it did.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::decision::{Cause, Counts, Judged, Likeness, Method, Shared};
use super::promise::smallest_tolerance;
use super::{Evidence, Verdict, evenness};
use crate::claim::Claim;
use crate::format::{
    count, observed_shares, p_value, p_value_with_log10, percent, points, shares, slashed,
    to_thousandth,
};
use crate::identity::assignment::{Assignment, Backend};
use crate::split::Split;
use crate::stats::dependence::Clustering;
use crate::stats::judge::Judge;
use crate::stats::power;
use crate::stats::sequential::Look;
use crate::stats::unattributed::unattributed_limit;

/// At most so many of a kind are named one by one.
pub(super) const MOST_NAMED: usize = 8;

/// Why a verdict is what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// Stable, `snake_case`.
    pub code: &'static str,
    /// For a person.
    pub message: String,
}

impl Reason {
    /// A reason; `message` says what happened and, where there is one, what to do.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

/// Why a verdict came out as it did, the most important reason first.
pub fn reasons(
    claim: &Claim,
    evidence: &Evidence,
    judged: &Judged,
    verdict: Verdict,
) -> Vec<Reason> {
    let Claim {
        split, criterion, ..
    } = claim;
    let mut reasons = vec![match judged.cause {
        Cause::Fits if verdict == Verdict::Inconclusive => on_the_whole(split, judged),
        _ => cause(claim, evidence, judged),
    }];
    if let Some(why) = &evidence.cut_short {
        let reason = Reason::new("cut_short", format!("the run was cut short: {why}"));
        if verdict == Verdict::Inconclusive && judged.verdict == Verdict::Pass {
            reasons.insert(0, reason);
        } else {
            reasons.push(reason);
        }
    }
    reasons.extend(clustered(claim, judged));
    reasons.extend(stopped_early(claim, evidence));
    let counts = &judged.counts;
    if counts.unattributed > 0 && judged.cause != Cause::TooManyUnattributed {
        let limit = unattributed_limit(split.shares(), criterion.tolerance);
        let smallest = limit.min(criterion.max_unattributed);
        let message = without_identity(counts) + "; a PASS allows at most " + &percent(smallest);
        reasons.push(Reason::new("unattributed", message));
    }
    reasons
}

fn cause(claim: &Claim, evidence: &Evidence, judged: &Judged) -> Reason {
    let Claim {
        split, criterion, ..
    } = claim;
    let counts = &judged.counts;
    let attributed = counts.attributed();
    if split.is_of_pods()
        && let Some((code, message)) =
            evenness::cause(claim, judged, &settling(claim, evidence, judged))
    {
        return Reason::new(code, message);
    }
    let label = |backend: usize| &split.labels()[backend];
    match judged.cause {
        Cause::Nothing => Reason::new("nothing_attributed", "no response was attributed to a pod"),
        Cause::ZeroWeightHit(backend) => Reason::new(
            "zero_weight_hit",
            format!(
                "{} must get nothing and got {} of {attributed} requests",
                label(backend),
                counts.observed[backend]
            ),
        ),
        Cause::ForeignHit => Reason::new(
            "unexpected_backend",
            format!(
                "{} from workloads that are no backend of the split",
                count(counts.foreign, "response")
            ),
        ),
        Cause::NeverAnswered(backend) => Reason::new(
            "backend_never_answered",
            format!(
                "{} never answered in {}, though it should get {}",
                label(backend),
                count(attributed, "attributed response"),
                percent(split.shares()[backend])
            ),
        ),
        Cause::Off => Reason::new("split_off", off(claim, judged)),
        Cause::Fits => Reason::new("split_matches", fits(claim, judged)),
        Cause::TooFew => Reason::new("too_few_requests", too_few(claim, evidence, judged)),
        Cause::Between => Reason::new("between", off(claim, judged)),
        Cause::Unattributed => Reason::new(
            "unattributed_decide",
            format!(
                "{} without an identity could turn the verdict either way",
                count(counts.unattributed, "request")
            ),
        ),
        Cause::TooManyUnattributed => {
            let allowed = percent(criterion.max_unattributed);
            let message = without_identity(counts) + "; --max-unattributed allows " + &allowed;
            Reason::new("too_many_unattributed", message)
        }
        Cause::Clumped => Reason::new("clumped_answers", clumped(judged)),
    }
}

/// That the counts fit, and are too few to tell more.
fn too_few(claim: &Claim, evidence: &Evidence, judged: &Judged) -> String {
    let Claim {
        split, criterion, ..
    } = claim;
    format!(
        "{}: fits {}, but {} cannot rule out a shift of {}; {}",
        observed(claim, judged),
        slashed(split),
        count(judged.counts.attributed(), "request"),
        smallest_tolerance(split, criterion.tolerance),
        settling(claim, evidence, judged)
    )
}

/// How many requests got no identity.
fn without_identity(counts: &Counts) -> String {
    format!(
        "{} of {} ({}) have no identity",
        counts.unattributed,
        count(counts.unattributed + counts.attributed(), "request"),
        percent(counts.unattributed_share())
    )
}

/// That answers repeat the backend before them, and what they are worth.
fn clumped(judged: &Judged) -> String {
    let n = judged.counts.attributed();
    let Some(order) = judged.order else {
        return "the answers depend on those before them".to_owned();
    };
    let worth = if order.is_scant() {
        "draws, too few to judge"
    } else {
        "ones, which decide nothing"
    };
    format!(
        "answers repeat the backend of those before them (p {}; longest run {}): {n} requests carry the information of \
         about {:.0} independent {worth}",
        p_value(order.p_value),
        order.longest_run,
        order.effective_responses
    )
}

/// Names the backend that is furthest off, by its standardised residual.
fn off(claim: &Claim, judged: &Judged) -> String {
    let split = &claim.split;
    let log10 = Some(judged.log10_p_value).filter(|log10| log10.is_finite());
    let p = p_value_with_log10(judged.p_value, log10);
    let counts = &judged.counts;
    let n = counts.attributed() as f64;
    let residual = |backend: usize| {
        let share = split.shares()[backend];
        let expected = n * share;
        ((counts.observed[backend] as f64 - expected) / (expected * (1.0 - share)).sqrt()).abs()
    };
    let worst = (0..split.len())
        .filter(|&backend| split.shares()[backend] > 0.0)
        .max_by(|&a, &b| residual(a).total_cmp(&residual(b)))
        .unwrap_or(0);
    format!(
        "{} got {} instead of {} ({} of {n} requests); a {} split would {} give this (p {p} ≤ {})",
        split.labels()[worst],
        percent((1e4 * counts.observed[worst] as f64 / n).round() / 1e4),
        percent(split.shares()[worst]),
        counts.observed[worst],
        slashed(split),
        if judged.p_value < 1e-6 {
            "practically never"
        } else {
            "hardly ever"
        },
        claim.criterion.alpha
    )
}

/// That the sums fit, where something else leaves no PASS.
fn on_the_whole(split: &Split, judged: &Judged) -> Reason {
    let message = format!(
        "taken together, {} fit {} (p {})",
        count(judged.counts.attributed(), "response"),
        shares(split),
        p_value(judged.p_value)
    );
    Reason::new("split_matches", message)
}

/// What was observed, as shares of all attributed answers.
fn observed(claim: &Claim, judged: &Judged) -> String {
    let counts = &judged.counts;
    let n = counts.attributed().max(1) as f64;
    let shares: Vec<f64> = counts
        .observed
        .iter()
        .map(|&hits| hits as f64 / n)
        .collect();
    observed_shares(&claim.split, &shares)
}

fn fits(claim: &Claim, judged: &Judged) -> String {
    let Claim {
        split, criterion, ..
    } = claim;
    let n = judged.counts.attributed();
    let alpha = criterion.alpha;
    if criterion.judge == Judge::Significance {
        let shift = power::detectable_shift(split.shares(), n, alpha, 0.99);
        let limit = match shift {
            Some(shift) => format!(
                "only a shift of {} or more would show with power 99 %",
                points(to_thousandth(shift))
            ),
            None => "no shift would show with power 99 % at this number".to_owned(),
        };
        return format!(
            "{}: fits {} (p {} > {alpha}); with {} {limit}",
            observed(claim, judged),
            slashed(split),
            p_value(judged.p_value),
            count(n, "request")
        );
    }
    let mut message = format!(
        "{}: matches {}, off by less than {}",
        observed(claim, judged),
        slashed(split),
        smallest_tolerance(split, criterion.tolerance)
    );
    if split.shares().contains(&0.0) {
        let _ = write!(
            message,
            "; backends of weight 0 got nothing, and a leak of more than {} is ruled out",
            percent(claim.leak_ruled_out(n))
        );
    }
    message
}

/// What would settle a run whose counts are too few.
fn settling(claim: &Claim, evidence: &Evidence, judged: &Judged) -> String {
    let enough = claim.planned_requests();
    let is_clustered = matches!(
        judged.method,
        Some(Method::FirstResponse | Method::DesignEffect)
    );
    if is_clustered && judged.shared_by == Shared::Client {
        return format!(
            "requests of {enough} clients would settle it, in a longer log; or, where the ingress draws for each \
             request and not for a client, say so with --independent"
        );
    }
    match judged.method {
        Some(Method::FirstResponse) => format!(
            "{enough} connections would settle it: send one request on each (drop --keep-alive and \
             --requests-per-connection)"
        ),
        Some(Method::DesignEffect) => format!(
            "{enough} requests on connections of their own would settle it (drop --keep-alive and \
             --requests-per-connection)"
        ),
        Some(Method::EValue) => format!("{enough} requests without --sequential would settle it"),
        Some(Method::Independent(_)) | None if evidence.is_given => {
            format!("{enough} would settle it")
        }
        Some(Method::Independent(_)) | None => format!("{enough} would settle it: -n {enough}"),
    }
}

/// What it costs that responses on one connection depend on each other.
fn clustered(claim: &Claim, judged: &Judged) -> Option<Reason> {
    let alpha = claim.criterion.alpha;
    let clustering = judged.clustering?;
    let Clustering {
        connections,
        responses,
        design_effect,
        effective_responses,
        ..
    } = clustering;
    let (one, several, of_one) = match judged.shared_by {
        Shared::Connection => ("connection", "connections", "on one connection"),
        Shared::Client => ("client", "clients", "to one client"),
    };
    let each = if connections == 1 {
        format!("the one {one}")
    } else {
        format!("each of the {connections} {several}")
    };
    let judged_are = format!("the first one of {each} is judged");
    let message = match (judged.likeness, judged.method) {
        (Likeness::NotSeen, Some(Method::FirstResponse)) => format!(
            "too few {several} carry the {responses} responses to tell how alike they are, so only the first one of \
             {each} counts"
        ),
        (Likeness::NotSeen, _) => return None,
        (Likeness::InStep, _) => format!(
            "responses {of_one} are alike (permutation test at {alpha}), but different {several} \
             balance one another, as a round robin in step with them does: the order of dispatch decides"
        ),
        (Likeness::Alike, Some(Method::FirstResponse)) => format!(
            "responses {of_one} are alike (permutation test at {alpha}; design effect \
             {design_effect:.1}): {responses} responses carry the information of {effective_responses:.0}, so \
             {judged_are}"
        ),
        (Likeness::Alike, _) => format!(
            "responses {of_one} resemble each other (permutation test at {alpha}; design effect \
             {design_effect:.2}): {responses} responses carry the information of {effective_responses:.0}"
        ),
    };
    Some(Reason::new("dependent_responses", message))
}

/// How many requests a sequential run saved.
fn stopped_early(claim: &Claim, evidence: &Evidence) -> Option<Reason> {
    let standing = evidence.standing.as_ref()?;
    let looked_at = standing.observed.iter().sum::<u64>() + standing.unattributed;
    let fixed = claim.planned_requests().get();
    let log_e = standing.log_e_value / std::f64::consts::LN_10;
    let bound = standing.log_bound / std::f64::consts::LN_10;
    let figures = format!("log10 of the e-value is {log_e:.2}; FAIL takes {bound:.2}");
    let message = match standing.look {
        Look::Pass | Look::Fail if looked_at < fixed => format!(
            "stopped after {looked_at} responses, {} fewer than a fixed number would take ({figures})",
            fixed - looked_at
        ),
        Look::Pass | Look::Fail => format!("stopped after {looked_at} responses ({figures})"),
        Look::Inconclusive => format!(
            "the cap of {} responses was reached ({figures})",
            standing.cap
        ),
        Look::Continue => format!("{looked_at} responses were looked at ({figures})"),
    };
    Some(Reason::new("sequential", message))
}

/// Whether a reason speaks of shares, which depend on which workload is which backend.
pub(super) fn is_of_an_assignment(reason: &Reason) -> bool {
    let codes = [
        "split_matches",
        "split_off",
        "between",
        "too_few_requests",
        "unexpected_backend",
        "backend_never_answered",
        "zero_weight_hit",
    ];
    codes.contains(&reason.code)
}

/// Which workloads answered that are no backend of the split.
pub(super) fn foreign(claim: &Claim, evidence: &Evidence, backends: &[Backend]) -> Reason {
    let mut by_workload: BTreeMap<&str, u64> = BTreeMap::new();
    let seen = evidence.groups.iter().zip(&evidence.observed).zip(backends);
    for ((group, &observed), backend) in seen {
        if backend.is_none() && observed > 0 {
            *by_workload.entry(&group.workload).or_default() += observed;
        }
    }
    let named: Vec<String> = by_workload
        .iter()
        .take(MOST_NAMED)
        .map(|(workload, observed)| format!("{workload} ({observed})"))
        .collect();
    if claim.split.are_named() {
        return Reason::new(
            "unexpected_pod",
            format!(
                "pods answered that are not among the {} expected: {}; are the manifests up to date?",
                claim.split.len(),
                named.join(", ")
            ),
        );
    }
    if claim.split.is_of_pods() {
        return Reason::new(
            "unexpected_pod",
            format!(
                "{} pods answered where {} are expected; the last that were seen: {}",
                claim.split.len() + by_workload.len(),
                claim.split.len(),
                named.join(", ")
            ),
        );
    }
    Reason::new(
        "unexpected_backend",
        format!(
            "{} of {} responses came from workloads that are no backend of the split: {}",
            by_workload.values().sum::<u64>(),
            evidence.observed.iter().sum::<u64>(),
            named.join(", ")
        ),
    )
}

/// Which workloads could be more than one backend, and what to add to the command line.
pub(super) fn doubtful_assignment(evidence: &Evidence, assignment: &Assignment) -> Reason {
    let mut names: Vec<&str> = assignment
        .ambiguous
        .iter()
        .map(|ambiguity| evidence.groups[ambiguity.group].workload.as_str())
        .collect();
    names.dedup();
    let shown = names[..names.len().min(MOST_NAMED)].join(", ");
    Reason::new(
        "ambiguous_assignment",
        format!(
            "which backend {shown} is cannot be told from the name; add {}",
            assignment.suggestions.join(" ")
        ),
    )
}
