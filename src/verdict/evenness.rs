//! What is told of pods that are to share the requests equally: one rule decides as for any split
//! ([`super::decision`]), and here it gets its words.

use super::Change;
use super::decision::{Cause, Judged};
use crate::claim::Claim;
use crate::format::{p_value, percent};
use crate::split::Split;
use crate::stats::evenness::most_of_silent_pod;
use crate::stats::judge::Judge;

/// The code and the sentence of what decided; `None` where pods are told of as backends are.
pub(super) fn cause(
    claim: &Claim,
    judged: &Judged,
    settling: &str,
) -> Option<(&'static str, String)> {
    let (pods, counts) = (claim.split.len(), &judged.counts);
    let (n, alpha) = (counts.attributed(), claim.criterion.alpha);
    let (p, equivalence) = (p_value(judged.p_value), p_value(judged.equivalence_p_value));
    let within = percent(claim.even_tolerance());
    let found = match judged.cause {
        Cause::NeverAnswered(_) => {
            let silent = counts.observed.iter().filter(|&&count| count == 0).count();
            let most = percent(most_of_silent_pod(n, alpha));
            let message = format!(
                "{} of {pods} pods answered in {n} attributed responses: {} at most {most} of the requests, instead \
                 of {}",
                pods - silent,
                who_is_silent(claim, judged),
                percent(1.0 / pods as f64)
            );
            ("pod_never_answered", message)
        }
        Cause::Off | Cause::Between => {
            let message = format!(
                "{}; equal shares explain that with p {p} ≤ {alpha}",
                farthest(claim, judged)
            );
            let code = if judged.cause == Cause::Off {
                "pods_uneven"
            } else {
                "between"
            };
            (code, message)
        }
        Cause::Fits if pods == 1 => {
            let message = format!("its one pod answered all {n} requests");
            ("pods_even", message)
        }
        Cause::Fits if claim.criterion.judge != Judge::Significance => {
            let message = format!(
                "{pods} pods share the requests equally within {within}: a pod that is further off is ruled out \
                 (p {equivalence} ≤ {alpha}), and the counts fit (p {p})"
            );
            ("pods_even", message)
        }
        Cause::TooFew => {
            let message = format!(
                "equal shares fit (p {p}), but {n} attributed requests don't rule out a pod that is off by \
                 {within} of its share (p {equivalence} > {alpha}); {settling}"
            );
            ("too_few_requests", message)
        }
        _ => return None,
    };
    Some(found)
}

/// Those that never answered, by name where that is known.
fn who_is_silent(claim: &Claim, judged: &Judged) -> String {
    if !claim.split.are_named() {
        return "one that never answered gets".to_owned();
    }
    let pods = claim.split.labels().iter().zip(&judged.counts.observed);
    let silent: Vec<&str> = pods
        .filter(|&(_, &count)| count == 0)
        .map(|(name, _)| name.as_str())
        .collect();
    let named = silent[..silent.len().min(NAMED)].join(", ");
    match silent.len() {
        1 => format!("{named} never did, and gets"),
        number if number <= NAMED => format!("{named} never did, and get each"),
        number => format!(
            "{named} and {} more never did, and get each",
            number - NAMED
        ),
    }
}

/// The pod that is farthest from its equal share.
fn farthest(claim: &Claim, judged: &Judged) -> String {
    let observed = &judged.counts.observed;
    let n: u64 = observed.iter().sum();
    let equal = 1.0 / claim.split.len() as f64;
    let share = |pod: usize| observed[pod] as f64 / n.max(1) as f64;
    let off = |&pod: &usize| (share(pod) - equal).abs();
    let pod = (0..observed.len()).max_by(|a, b| off(a).total_cmp(&off(b)));
    let pod = pod.unwrap_or(0);
    format!(
        "{} got {:.2} % instead of {}, {:.2} × its equal share ({} of {n} requests)",
        claim.split.labels()[pod],
        100.0 * share(pod),
        percent(equal),
        share(pod) / equal,
        observed[pod]
    )
}

/// So many pods whose share changed are named.
pub(super) const NAMED: usize = 3;

/// What pods got of a part of a run, the largest shares by name.
pub(super) fn shares_text(split: &Split, shares: &[f64]) -> String {
    let mut pods: Vec<(&String, f64)> = split.labels().iter().zip(shares.iter().copied()).collect();
    pods.retain(|&(_, share)| share > 0.0);
    pods.sort_by(|a, b| b.1.total_cmp(&a.1));
    let named: Vec<String> = pods
        .iter()
        .take(NAMED)
        .map(|(pod, share)| format!("{pod} {:.1} %", 100.0 * share))
        .collect();
    let rest = match pods.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(", {more} more with less each"),
    };
    let silent = match split.len() - pods.len() {
        0 => String::new(),
        silent => format!(", and nothing of {silent} others"),
    };
    format!("{}{rest}{silent}", named.join(", "))
}

/// That the shares of pods changed during the run, and where.
pub(super) fn changed(claim: &Claim, change: &Change) -> String {
    let p = p_value(change.drift.p_value);
    let alpha = claim.criterion.alpha;
    let Some(point) = &change.point else {
        return format!("the pods' shares changed during the run (p {p} ≤ {alpha})");
    };
    let mut moved: Vec<(&String, f64, f64)> = claim
        .split
        .labels()
        .iter()
        .zip(point.before.iter().zip(&point.after))
        .map(|(pod, (&before, &after))| (pod, before, after))
        .collect();
    moved.sort_by(|a, b| (b.2 - b.1).abs().total_cmp(&(a.2 - a.1).abs()));
    let named: Vec<String> = moved
        .iter()
        .take(NAMED)
        .map(|(pod, before, after)| {
            format!("{pod} from {:.1} to {:.1} %", 100.0 * before, 100.0 * after)
        })
        .collect();
    format!(
        "the pods' shares changed at about request {}: {} (p {p} ≤ {alpha}); did a pod come, go or restart?",
        point.index,
        named.join(", ")
    )
}
