//! Several checks in one run: what they say together.
//!
//! FAIL of the whole: a check fails, and still does when its p-value is adjusted for the number of checks
//! (Holm), so that correct splits fail the whole at most as often as the smallest α says. PASS: every
//! check passes, which needs no correction, since one wrong split is enough to prevent it.

use super::{Reason, VerdictName};
use crate::format::count;
use crate::stats::holm;

/// One of several checks, judged by itself.
#[derive(Debug, Clone)]
pub struct JudgedCheck {
    /// What the user calls it.
    pub name: String,
    /// Its error rate.
    pub alpha: f64,
    /// What follows for it alone.
    pub verdict: VerdictName,
    /// What its FAIL rests on; `None` where nothing was tested.
    pub p_value: Option<f64>,
}

/// What several checks say together.
#[derive(Debug, Clone)]
pub struct Together {
    /// What follows.
    pub verdict: VerdictName,
    /// Why, the most important reason first.
    pub reasons: Vec<Reason>,
    /// The error rate of the whole: the smallest of the checks'.
    pub alpha: f64,
    /// What each check's FAIL rests on, and the same adjusted for their number; `None` where nothing was tested.
    pub p_values: Vec<Option<(f64, f64)>>,
}

/// Judges checks together, in the order in which they ran.
pub fn judge(checks: &[JudgedCheck]) -> Together {
    let tested: Vec<Option<f64>> = checks.iter().map(|check| check.p_value).collect();
    let p_values: Vec<f64> = tested.iter().map(|p| p.unwrap_or(1.0)).collect();
    let adjusted = holm::adjusted(&p_values);
    let p_values: Vec<Option<(f64, f64)>> = tested
        .into_iter()
        .zip(adjusted)
        .map(|(p, adjusted)| p.map(|p| (p, adjusted)))
        .collect();
    let alphas = checks.iter().map(|check| check.alpha);
    let alpha = alphas.fold(f64::INFINITY, f64::min);
    let (verdict, reasons) = conclude(checks, &p_values, alpha);
    Together {
        verdict,
        reasons,
        alpha,
        p_values,
    }
}

fn conclude(
    checks: &[JudgedCheck],
    p_values: &[Option<(f64, f64)>],
    alpha: f64,
) -> (VerdictName, Vec<Reason>) {
    let names = |wanted: &dyn Fn(VerdictName, bool) -> bool| -> Vec<&str> {
        let rows = checks.iter().zip(p_values);
        rows.filter(|(check, p)| {
            let is_refuted = p.is_some_and(|(_, adjusted)| adjusted <= alpha);
            wanted(check.verdict, is_refuted)
        })
        .map(|(check, _)| &*check.name)
        .collect()
    };
    let all = checks.len();
    let mut reasons = Vec::new();
    let mut say = |code, names: Vec<&str>, what: &str| {
        if !names.is_empty() {
            let message = format!(
                "{} of {} {what}: {}",
                names.len(),
                count(all as u64, "check"),
                names.join(", ")
            );
            reasons.push(Reason::new(code, message));
        }
    };
    let failed = format!("failed, at alpha {alpha} over all of them (Holm)");
    let alone =
        format!("failed by themselves, which among {all} is not enough at alpha {alpha} (Holm)");
    let refuted = names(&|verdict, refuted| verdict == VerdictName::Fail && refuted);
    let doubtful = names(&|verdict, refuted| verdict == VerdictName::Fail && !refuted);
    let unmeasured = names(&|verdict, _| verdict == VerdictName::Error);
    let open = names(&|verdict, _| verdict == VerdictName::Inconclusive);
    let verdict = if !refuted.is_empty() {
        VerdictName::Fail
    } else if !unmeasured.is_empty() {
        VerdictName::Error
    } else if !(doubtful.is_empty() && open.is_empty()) {
        VerdictName::Inconclusive
    } else {
        VerdictName::Pass
    };
    say("checks_failed", refuted, &failed);
    say("checks_not_measured", unmeasured, "could not be measured");
    say("checks_failed_alone", doubtful, &alone);
    say("checks_inconclusive", open, "were inconclusive");
    if verdict == VerdictName::Pass {
        say("checks_passed", names(&|_, _| true), "passed");
    }
    (verdict, reasons)
}
