//! The words of a verdict: what was promised before, and why it came out as it did.

use std::fmt::Write;
use std::num::NonZeroU64;
use std::time::Duration;

use super::decision::{Cause, Judged, Method};
use super::forecast::{affordable_tolerance, forecast, grey_zone};
use super::{Agreement, Change, Evidence, Reason, Verdict};
use http::header::{CONTENT_ENCODING, HOST, LOCATION};

use crate::identity::assignment::Assignment;
use crate::identity::encoding;
use crate::load::limiter::Found;
use crate::load::machine::PortShortage;
use crate::load::{Doubt, Ending, LoadError, Run, UnidentifiedSample};
use crate::observation::Failure;
use crate::plan::preparation::Warmup;
use crate::plan::stickiness::Stickiness;
use crate::plan::target::Protocol;
use crate::plan::{Budget, Criterion, Plan};
use crate::split::Split;
use crate::stats::dependence::Clustering;
use crate::stats::equivalence::{leak_ruled_out, tolerances};
use crate::stats::judge::Judge;
use crate::stats::power;
use crate::stats::regions::can_pass;
use crate::stats::sequential::Look;
use crate::stats::unattributed::unattributed_limit;

/// Seeds the simulated chances of verdicts, which are told and do not decide.
const SEED: u64 = 1;

/// A share as a percentage, with as many digits as it needs and at most three.
#[must_use]
pub fn percent(share: f64) -> String {
    format!("{} %", trimmed(share * 100.0))
}

/// A share as percentage points.
#[must_use]
pub fn points(share: f64) -> String {
    format!("{} pp", trimmed(share * 100.0))
}

fn trimmed(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A p-value: three digits, in scientific notation when small.
#[must_use]
pub fn p_value(p: f64) -> String {
    if p == 0.0 {
        "0".to_owned()
    } else if p < 1e-3 {
        format!("{p:.2e}")
    } else {
        format!("{p:.3}")
    }
}

/// As [`p_value`], for one that may be too small for a double.
#[must_use]
pub fn p_value_with_log10(p: f64, log10: Option<f64>) -> String {
    match log10 {
        Some(log10) if p == 0.0 => format!("10^{log10:.0}"),
        _ => p_value(p),
    }
}

/// `v1 70 %, v2 30 %`.
#[must_use]
pub fn shares(split: &Split) -> String {
    let shares = split.labels().iter().zip(split.shares());
    let told: Vec<String> = shares
        .map(|(label, share)| format!("{label} {}", percent(*share)))
        .collect();
    told.join(", ")
}

/// How often, in words: `1 run in 1000`.
fn frequency(alpha: f64) -> String {
    let runs = 1.0 / alpha;
    if (runs - runs.round()).abs() < 1e-6 * runs {
        format!("1 run in {runs:.0}")
    } else {
        format!("{} of the runs", percent(alpha))
    }
}

/// A time in words.
#[must_use]
pub fn time(seconds: f64) -> String {
    if seconds < 1e-3 {
        format!("{:.0} µs", seconds * 1e6)
    } else if seconds < 1.0 {
        format!("{:.1} ms", seconds * 1e3)
    } else if seconds < 120.0 {
        format!("{seconds:.1} s")
    } else {
        let whole = seconds.round();
        format!("{} m {:02} s", (whole / 60.0).floor(), whole % 60.0)
    }
}

/// What is said before load is sent: how much, what it promises, how long it takes, and whether it can
/// come to a verdict at all.
#[must_use]
pub fn announcement(plan: &Plan) -> String {
    let mut told = planned(plan);
    if let Some(limit) = plan.preparation.wait_ready {
        let _ = write!(
            told,
            "; before, the target is polled for at most {limit:?} until every backend has answered"
        );
    }
    match plan.preparation.warmup {
        Some(Warmup::Requests(requests)) => {
            let _ = write!(
                told,
                "; {requests} requests of warm-up go first and are discarded"
            );
        }
        Some(Warmup::Duration(duration)) => {
            let _ = write!(told, "; {duration:?} of warm-up go first and are discarded");
        }
        None => {}
    }
    told
}

fn planned(plan: &Plan) -> String {
    if let Some(stickiness) = &plan.stickiness {
        return sessions_announcement(plan, stickiness);
    }
    let Some(requests) = plan.budget.requests else {
        let duration = plan.budget.duration.unwrap_or(plan.budget.max_duration);
        return format!(
            "sending requests to {} for {duration:?}; a correct split fails at most {}",
            plan.target,
            frequency(plan.criterion.alpha)
        );
    };
    let mut told = match &plan.shard {
        Some(sharding) => format!(
            "shard {} sends {requests} of the run's requests to {}; merged: ",
            sharding.shard, plan.target
        ),
        None => format!("{requests} requests to {}: ", plan.target),
    };
    let of_the_run = plan.shard.as_ref().and_then(|sharding| sharding.requests);
    let judged = of_the_run.unwrap_or(requests);
    told.push_str(&promise(&plan.split, &plan.criterion, judged));
    if let Some(rate) = plan.load.rate {
        let seconds = requests.get() as f64 / rate.per_second();
        let _ = write!(told, "; {} at {rate}", time(seconds));
        told.push_str(&remedy_for_time(
            &plan.split,
            &plan.criterion,
            rate.per_second(),
            seconds,
            plan.budget.max_duration,
        ));
    }
    told
}

fn sessions_announcement(plan: &Plan, stickiness: &Stickiness) -> String {
    let each = 1 + stickiness.follow_ups();
    let many = match stickiness.sessions {
        Some(sessions) => format!("{sessions} sessions"),
        None => "sessions".to_owned(),
    };
    format!(
        "{many} of {each} requests to {}, carried by {}: {}",
        plan.target,
        stickiness.by,
        sessions_promise(stickiness, &plan.criterion)
    )
}

/// What a verdict on sessions promises.
#[must_use]
pub fn sessions_promise(stickiness: &Stickiness, criterion: &Criterion) -> String {
    let often = frequency(criterion.alpha);
    let rate = points(stickiness.rate);
    let too_few = match stickiness.sessions {
        Some(sessions) if sessions.get() < stickiness.needed => format!(
            ", but so few can't PASS: {} sessions can, which take -n {}",
            stickiness.needed,
            stickiness
                .needed
                .saturating_mul(1 + stickiness.follow_ups())
        ),
        _ => format!("; one that moves a share of {rate} or more of them passes at most {often}"),
    };
    format!("an ingress that keeps its sessions never fails{too_few}")
}

/// What to do about a run that needs more local ports than there are.
#[must_use]
pub fn port_shortage(shortage: PortShortage) -> String {
    let PortShortage { connections, ports } = shortage;
    format!(
        "the run opens {connections} connections, and this machine has {ports} local ports for each address, \
         taken for up to a minute after a connection that it closes first: where they run out dials wait; \
         --keep-alive, --requests-per-connection K or a --rate below {:.0}/s avoid that",
        ports as f64 / 60.0
    )
}

/// What is said when a rate limiter was recognised, `elapsed` after the first request.
#[must_use]
pub fn limited(plan: &Plan, found: &Found, elapsed: Duration) -> String {
    let pace = found.pace_per_second;
    let mut told = format!(
        "a rate limiter lets about {:.0} requests a minute through: what was sent so far is set aside, and \
         {:.0} a minute are sent from here on",
        60.0 * found.per_second,
        60.0 * pace
    );
    if let Some(requests) = plan.budget.requests {
        let seconds = requests.get() as f64 / pace;
        let allowed = plan.budget.max_duration.saturating_sub(elapsed);
        let _ = write!(told, "; {requests} requests take {}", time(seconds));
        let (split, criterion) = (&plan.split, &plan.criterion);
        told.push_str(&remedy_for_time(split, criterion, pace, seconds, allowed));
    }
    told
}

/// What is said when nothing was identified after a while.
#[must_use]
pub fn doubt(plan: &Plan, doubt: &Doubt, elapsed: Duration) -> String {
    let what = match doubt {
        Doubt::Silent => format!(
            "no answer yet; a request is given up after --timeout {:?}",
            plan.load.timeout
        ),
        Doubt::Unidentified(sample) => unidentified(plan, None, sample).message,
        Doubt::Failing(failure, message) => {
            format!("requests fail ({failure}: {})", message.escape_debug())
        }
    };
    format!(
        "after {}: {what} (the run ends by itself if that stays so)",
        time(elapsed.as_secs_f64())
    )
}

/// What is said of the first response from a cache.
#[must_use]
pub fn cache_in_front() -> String {
    "a response came from a cache (Age, X-Cache or the like): what a cache answers was not split by the \
     ingress; go around it, or keep it out with a query that it does not know (--path)"
        .to_owned()
}

/// What to do about a run of `seconds` at `per_second` that is longer than `allowed`; empty when it fits.
#[must_use]
pub fn remedy_for_time(
    split: &Split,
    criterion: &Criterion,
    per_second: f64,
    seconds: f64,
    allowed: Duration,
) -> String {
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

/// What a verdict on so many requests promises.
#[must_use]
pub fn promise(split: &Split, criterion: &Criterion, requests: NonZeroU64) -> String {
    let often = frequency(criterion.alpha);
    let Criterion {
        alpha,
        tolerance,
        judge,
        ..
    } = *criterion;
    if judge == Judge::Significance {
        let shift = power::detectable_shift(split.shares(), requests.get(), alpha, 0.99);
        let detects = match shift {
            Some(shift) => format!("a shift of {} fails in 99 % of the runs", points(shift)),
            None => "no shift is found with certainty at this number".to_owned(),
        };
        return format!("a correct split fails at most {often}; {detects}");
    }
    let planned = Budget::planned_requests(split, criterion);
    if !can_pass(requests.get(), split.shares(), tolerance, alpha) {
        return format!(
            "a correct split fails at most {often}, but so few can't PASS: the answer can only be \
             INCONCLUSIVE or FAIL; -n {planned} can PASS"
        );
    }
    let mut told = format!(
        "a correct split fails at most {often}; a split off by {} or more passes at most {often}",
        smallest_tolerance(split, tolerance)
    );
    // With more backends the chances take a simulation, which `lbtest plan` has time for.
    if split.shares().iter().filter(|&&share| share > 0.0).count() > 2 {
        return told;
    }
    let mut shifts = vec![0.0];
    shifts.extend(grey_zone(split, tolerance));
    let chances = forecast(split, criterion, requests, SEED, &shifts);
    let Some((correct, zone)) = chances.split_first() else {
        return told;
    };
    if correct.verdicts.inconclusive > 0.01 {
        let _ = write!(
            told,
            " (a correct split is INCONCLUSIVE in {} of the runs; -n {planned} avoids that)",
            percent(correct.verdicts.inconclusive)
        );
    }
    if let [first, .., last] = zone {
        let fails: Vec<String> = zone
            .iter()
            .map(|row| format!("{:.0}", 100.0 * row.verdicts.fail))
            .collect();
        let _ = write!(
            told,
            "; shifts between {} and {} fail in {} % of the runs",
            points(first.shift),
            points(last.shift),
            fails.join(", ")
        );
    }
    told
}

/// The tolerance in words: one number, or one for each backend where half the share is less.
fn smallest_tolerance(split: &Split, tolerance: f64) -> String {
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

/// Why a verdict came out as it did, the most important reason first.
#[must_use]
pub fn reasons(
    split: &Split,
    criterion: &Criterion,
    evidence: &Evidence,
    judged: &Judged,
    verdict: Verdict,
) -> Vec<Reason> {
    let mut reasons = vec![cause(split, criterion, judged)];
    if let Some(why) = &evidence.cut_short {
        let reason = Reason::new("cut_short", format!("the run was cut short: {why}"));
        if verdict == Verdict::Inconclusive && judged.verdict == Verdict::Pass {
            reasons.insert(0, reason);
        } else {
            reasons.push(reason);
        }
    }
    reasons.extend(clustered(judged));
    reasons.extend(stopped_early(split, criterion, evidence));
    let counts = &judged.counts;
    if counts.unattributed > 0 && judged.cause != Cause::TooManyUnattributed {
        let limit = unattributed_limit(split.shares(), criterion.tolerance);
        let smallest = limit.min(criterion.max_unattributed);
        reasons.push(Reason::new(
            "unattributed",
            format!(
                "{} of {} requests ({}) have no identity; a PASS allows at most {}",
                counts.unattributed,
                counts.unattributed + counts.attributed(),
                percent(counts.unattributed_share()),
                percent(smallest)
            ),
        ));
    }
    reasons
}

/// What it costs that responses on one connection depend on each other.
fn clustered(judged: &Judged) -> Option<Reason> {
    let clustering = judged.clustering?;
    let Clustering {
        connections,
        responses,
        design_effect,
        effective_responses,
        ..
    } = clustering;
    let message = match judged.method {
        Some(Method::FirstResponse) => format!(
            "responses on one connection repeat the same backend (design effect {design_effect:.1}): \
             {responses} responses carry the information of {effective_responses:.0}, so the first one \
             of each of the {connections} connections is judged"
        ),
        _ if design_effect >= 1.05 => format!(
            "responses on one connection resemble each other (design effect {design_effect:.2}): \
             {responses} responses carry the information of {effective_responses:.0}"
        ),
        _ => return None,
    };
    Some(Reason::new("dependent_responses", message))
}

/// How many requests a sequential run saved.
fn stopped_early(split: &Split, criterion: &Criterion, evidence: &Evidence) -> Option<Reason> {
    let standing = evidence.standing.as_ref()?;
    let looked_at = standing.observed.iter().sum::<u64>() + standing.unattributed;
    let fixed = Budget::planned_requests(split, criterion).get();
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

/// Which workloads could be more than one backend, and what to add to the command line.
pub(super) fn doubtful_assignment(evidence: &Evidence, assignment: &Assignment) -> Reason {
    let mut names: Vec<&str> = assignment
        .ambiguous
        .iter()
        .map(|ambiguity| evidence.groups[ambiguity.group].workload.as_str())
        .collect();
    names.dedup();
    let shown = names[..names.len().min(8)].join(", ");
    Reason::new(
        "ambiguous_assignment",
        format!(
            "which backend {shown} is cannot be told from the name; add {}",
            assignment.suggestions.join(" ")
        ),
    )
}

/// That the split changed during the run, and where.
pub(super) fn drifted(split: &Split, criterion: &Criterion, change: &Change) -> Reason {
    let p = p_value(change.drift.p_value);
    let alpha = criterion.alpha;
    let told = |shares: &[f64]| observed_shares(split, shares);
    let message = match &change.point {
        Some(point) => format!(
            "the split changed at about request {}: {} before, {} after (p {p} ≤ {alpha})",
            point.index,
            told(&point.before),
            told(&point.after)
        ),
        None => format!("the split changed during the run (p {p} ≤ {alpha})"),
    };
    Reason::new("drift", message)
}

fn observed_shares(split: &Split, shares: &[f64]) -> String {
    let told: Vec<String> = split
        .labels()
        .iter()
        .zip(shares)
        .map(|(label, share)| format!("{label} {:.1} %", 100.0 * share))
        .collect();
    told.join(", ")
}

/// At most so many parts of a run are named one by one.
const NAMED_PARTS: usize = 8;

/// That some shards saw another split than the others, and which.
pub(super) fn shards_differ(split: &Split, criterion: &Criterion, agreement: &Agreement) -> Reason {
    let name = |index| format!("shard {index}");
    Reason::new(
        "shards_differ",
        parts_differ("shards", name, split, criterion, agreement),
    )
}

/// That some parts of a run saw another split than the others, and which.
pub(super) fn parts_differ(
    parts: &str,
    name: impl Fn(u32) -> String,
    split: &Split,
    criterion: &Criterion,
    agreement: &Agreement,
) -> String {
    let differing = &agreement.differing;
    let named: Vec<String> = differing
        .iter()
        .take(NAMED_PARTS)
        .map(|&(index, ref shares)| {
            format!("{} saw {}", name(index), observed_shares(split, shares))
        })
        .collect();
    let more = match differing.len().saturating_sub(NAMED_PARTS) {
        0 => String::new(),
        more => format!(", and {more} more differ"),
    };
    let others = agreement.others.as_ref().map_or(String::new(), |shares| {
        format!("; the others saw {}", observed_shares(split, shares))
    });
    format!(
        "the {parts} saw different splits: {}{more}{others} (p {} ≤ {}); does every replica of the \
         ingress have the same weights?",
        named.join("; "),
        p_value(agreement.homogeneity.p_value),
        criterion.alpha
    )
}

fn cause(split: &Split, criterion: &Criterion, judged: &Judged) -> Reason {
    let counts = &judged.counts;
    let attributed = counts.attributed();
    let p = judged.p_value;
    let told_p = p_value_with_log10(
        p,
        Some(judged.log10_p_value).filter(|log10| log10.is_finite()),
    );
    let alpha = criterion.alpha;
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
                "{} responses came from workloads that are no backend of the split",
                counts.foreign
            ),
        ),
        Cause::NeverAnswered(backend) => Reason::new(
            "backend_never_answered",
            format!(
                "{} never answered in {attributed} attributed responses, though it should get {}",
                label(backend),
                percent(split.shares()[backend])
            ),
        ),
        Cause::Off => Reason::new("split_off", off(split, judged, &told_p, alpha)),
        Cause::Fits => Reason::new("split_matches", fits(split, criterion, judged, p)),
        Cause::TooFew => Reason::new(
            "too_few_requests",
            format!(
                "the split fits (p {}), but {attributed} attributed requests don't rule out a shift of \
                 {} (p {} > {alpha}); {}",
                p_value(p),
                smallest_tolerance(split, criterion.tolerance),
                p_value(judged.equivalence_p_value),
                settling(split, criterion, judged)
            ),
        ),
        Cause::Between => Reason::new("between", off(split, judged, &told_p, alpha)),
        Cause::Unattributed => Reason::new(
            "unattributed_decide",
            format!(
                "{} requests without an identity could turn the verdict either way",
                counts.unattributed
            ),
        ),
        Cause::TooManyUnattributed => Reason::new(
            "too_many_unattributed",
            format!(
                "{} of {} requests ({}) have no identity; --max-unattributed allows {}",
                counts.unattributed,
                counts.unattributed + attributed,
                percent(counts.unattributed_share()),
                percent(criterion.max_unattributed)
            ),
        ),
    }
}

/// What would settle a run whose counts are too few.
fn settling(split: &Split, criterion: &Criterion, judged: &Judged) -> String {
    let enough = Budget::planned_requests(split, criterion);
    match judged.method {
        Some(Method::FirstResponse) => format!(
            "{enough} connections would settle it: send one request on each (leave --keep-alive and \
             --requests-per-connection away)"
        ),
        Some(Method::DesignEffect) => format!(
            "{enough} requests on connections of their own would settle it (leave --keep-alive and \
             --requests-per-connection away)"
        ),
        Some(Method::EValue) => format!("{enough} requests without --sequential would settle it"),
        Some(Method::Independent(_)) | None => format!("{enough} would settle it: -n {enough}"),
    }
}

/// Names the backend that is furthest off, by its standardised residual.
fn off(split: &Split, judged: &Judged, p: &str, alpha: f64) -> String {
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
        "{} got {} instead of {} ({} of {n} requests); the expected split explains that with p {} ≤ {alpha}",
        split.labels()[worst],
        percent(counts.observed[worst] as f64 / n),
        percent(split.shares()[worst]),
        counts.observed[worst],
        p
    )
}

fn fits(split: &Split, criterion: &Criterion, judged: &Judged, p: f64) -> String {
    let n = judged.counts.attributed();
    let alpha = criterion.alpha;
    if criterion.judge == Judge::Significance {
        let shift = power::detectable_shift(split.shares(), n, alpha, 0.99);
        let limit = match shift {
            Some(shift) => format!(
                "only a shift of {} or more would show with power 99 %",
                points(shift)
            ),
            None => "no shift would show with power 99 % at this number".to_owned(),
        };
        return format!(
            "the expected split ({}) explains the counts (p {} > {alpha}); with {n} requests {limit}",
            shares(split),
            p_value(p)
        );
    }
    let mut told = format!(
        "the split is {} within {}: a larger shift is ruled out (p {} ≤ {alpha}), and the counts fit (p {})",
        shares(split),
        smallest_tolerance(split, criterion.tolerance),
        p_value(judged.equivalence_p_value),
        p_value(p)
    );
    if split.shares().contains(&0.0) {
        let _ = write!(
            told,
            "; backends of weight 0 got nothing, and a leak of more than {} is ruled out",
            percent(leak_ruled_out(n, alpha))
        );
    }
    told
}

/// Why fewer requests were attributed than planned, as the end of a sentence; `None` when enough were.
#[must_use]
pub fn cut_short(plan: &Plan, run: &Run) -> Option<String> {
    let attributed = run.tally.attributed();
    let decided = run.standing.as_ref().is_some_and(|standing| {
        matches!(standing.look, Look::Pass | Look::Fail | Look::Inconclusive)
    });
    let planned = plan
        .budget
        .requests
        .map_or(String::new(), |requests| format!(" of {requests}"));
    match run.ending {
        Ending::Complete => None,
        _ if decided => None,
        Ending::MaxDuration => {
            let slow = match (run.limiter, plan.budget.requests) {
                (Some(found), Some(requests)) => format!(
                    "; at the {:.0} a minute that the rate limiter lets through they take {}",
                    60.0 * found.pace_per_second,
                    time(requests.get() as f64 / found.pace_per_second)
                ),
                _ => String::new(),
            };
            Some(format!(
                "--max-duration {:?} passed with {attributed}{planned} requests attributed{slow}",
                plan.budget.max_duration
            ))
        }
        Ending::Interrupted => Some(format!(
            "it was interrupted with {attributed}{planned} requests attributed"
        )),
        Ending::ReplacementsSpent => Some(format!(
            "{} requests without an identity were sent again, and no more are, with \
             {attributed}{planned} requests attributed",
            plan.budget.replacements()
        )),
        Ending::NothingIdentified => Some("no response named a pod".to_owned()),
    }
}

/// Why a run could not begin.
#[must_use]
pub fn unmeasurable(error: &LoadError) -> Reason {
    match error {
        LoadError::Unreachable { .. } => Reason::new(
            "unreachable",
            format!(
                "{error}; is the address right, and the ingress up? To try lbtest without one: lbtest demo --expect v1=70,v2=30"
            ),
        ),
        LoadError::NotReady { .. } => Reason::new("not_ready", error.to_string()),
        LoadError::Interrupted => Reason::new("interrupted", error.to_string()),
        LoadError::Setup(_) => Reason::new("setup", error.to_string()),
    }
}

/// Why nothing was attributed although requests were sent.
#[must_use]
pub fn not_measured(plan: &Plan, run: &Run) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let responses = run.tally.responses();
    if let Some(sample) = &run.sample {
        reasons.push(unidentified(plan, Some(responses), sample));
    }
    let remedy = other_protocol(plan).filter(|_| responses == 0);
    reasons.extend(failures(run, remedy));
    if reasons.is_empty() {
        reasons.push(Reason::new("nothing_attributed", "no request was answered"));
    }
    reasons
}

/// What a response without an identity says; `responses` came in all, if that is known.
fn unidentified(plan: &Plan, responses: Option<u64>, sample: &UnidentifiedSample) -> Reason {
    let told = |of_which: &str| match responses {
        Some(responses) => format!("{responses} responses, {of_which}"),
        None => format!("responses came, {of_which}"),
    };
    let none_from_a_pod = told("none from a pod");
    let none_names_a_pod = told("none of which names a pod");
    let body = String::from_utf8_lossy(&sample.body);
    let shown = body.escape_debug();
    let host = plan
        .request
        .headers
        .get(HOST)
        .map_or("", |host| host.to_str().unwrap_or(""));
    let status = sample.status;
    if status == 404 && body.contains("default backend") {
        return Reason::new(
            "default_backend",
            format!(
                "{none_from_a_pod}: the ingress answers 404 \"{shown}\", its default \
                 backend, since no rule matches Host {host}; check --host and the path"
            ),
        );
    }
    if (300..400).contains(&status) {
        let location = sample
            .headers
            .get(LOCATION)
            .map(|to| String::from_utf8_lossy(to.as_bytes()));
        return Reason::new(
            "redirected",
            format!(
                "{none_from_a_pod}: the ingress redirects ({status}) to {}; \
                 use that URL",
                location.as_deref().unwrap_or("nowhere").escape_debug()
            ),
        );
    }
    if status >= 400 {
        return Reason::new(
            "error_pages",
            format!("{none_from_a_pod}: the first is a {status} to Host {host}: \"{shown}\""),
        );
    }
    let coding = sample.headers.get(CONTENT_ENCODING);
    let coding = coding.and_then(|coding| coding.to_str().ok());
    if let Some(coding) = coding.filter(|coding| !encoding::is_undone(coding)) {
        return Reason::new(
            "unreadable_body",
            format!(
                "{none_names_a_pod}: bodies come coded as {}, though none was \
                 asked for, and only gzip and deflate can be read; say who answers with --identify header:NAME",
                coding.escape_debug()
            ),
        );
    }
    Reason::new(
        "nothing_identified",
        format!(
            "{none_names_a_pod}; the first ({status}) begins \"{shown}\"; say \
             how yours does with --identify REGEX, header:NAME or json:/pointer"
        ),
    )
}

/// What is worth knowing of the requests that were not attributed, in a run that has a verdict.
#[must_use]
pub fn missing_answers(run: &Run) -> Vec<Reason> {
    let responses = run.tally.responses();
    let unidentified: u64 = run
        .tally
        .unidentified_by_status()
        .map(|(_, count)| count)
        .sum();
    let mut reasons = Vec::new();
    if unidentified > 0 {
        let statuses: Vec<String> = run
            .tally
            .unidentified_by_status()
            .map(|(status, count)| format!("{status} × {count}"))
            .collect();
        reasons.push(Reason::new(
            "responses_without_identity",
            format!(
                "{unidentified} of {responses} responses ({:.1} %) name no pod: status {}",
                100.0 * unidentified as f64 / responses as f64,
                statuses.join(", ")
            ),
        ));
    }
    reasons.extend(failures(run, None));
    reasons
}

/// What a port may speak instead that answers none of the plan's requests. Over TLS the two sides agree on it.
fn other_protocol(plan: &Plan) -> Option<&'static str> {
    match (&plan.target.tls, plan.target.protocol) {
        (Some(_), _) => None,
        (None, Protocol::Http1) => Some(
            "; if the port speaks TLS, write the URL as https://; if it speaks HTTP/2 alone, add --http2",
        ),
        (None, Protocol::Http2) => Some(
            "; if the port speaks HTTP/1.1 alone, leave --http2 away; if it speaks TLS, write the URL as https://",
        ),
    }
}

/// `remedy` is what to do where the two sides seem not to understand each other.
fn failures(run: &Run, remedy: Option<&'static str>) -> impl Iterator<Item = Reason> {
    run.tally.by_failure().map(move |(failure, count)| {
        let message = run
            .failure_messages
            .get(&failure)
            .map_or("", |message| message);
        let did = match failure {
            Failure::Resolve => "could not resolve the name",
            Failure::Connect => "could not connect",
            Failure::Tls => "failed in the TLS handshake",
            Failure::Timeout => "got no answer in time",
            Failure::Reset => "were closed without an answer",
            Failure::Protocol => "got something that is not HTTP",
            Failure::Body => "got a body that broke off",
            Failure::Local => "failed for lack of something on this machine",
            Failure::Abandoned => "were in flight when the user quit",
        };
        let remedy = remedy.filter(|_| matches!(failure, Failure::Reset | Failure::Protocol));
        let remedy = remedy.unwrap_or_default();
        Reason::new(
            "requests_failed",
            format!("{count} requests {did}: {message}{remedy}"),
        )
    })
}
