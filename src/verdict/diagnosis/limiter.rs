//! A rate limiter: one that the client recognised and kept to, or one that it had no time to recognise.

use super::Finding;
use crate::claim::Claim;
use crate::measured::Measured;
use crate::observation::status;
use crate::verdict::Judgement;

/// What may be meant by rejections of which it is not known whether a limiter's they are.
const UNDECIDED: [&str; 4] = [
    "errors_clustered",
    "errors_before_split",
    "outage",
    "rate_limited",
];

/// Puts what is known of a limiter before what the counts look like.
pub(super) fn before(
    claim: &Claim,
    measured: &Measured,
    judgement: &Judgement,
    mut findings: Vec<Finding>,
) -> Vec<Finding> {
    let let_through = let_through(claim, measured, judgement);
    if let Some(finding) = recognised(measured, &let_through) {
        findings.insert(0, finding);
    } else if measured.limiter_undecided {
        findings.retain(|finding| !UNDECIDED.contains(&finding.code));
        findings.insert(0, undecided(measured));
    }
    findings
}

/// What is known of the limiter that a run met; `None` where it met none.
fn recognised(measured: &Measured, let_through: &str) -> Option<Finding> {
    let found = measured.limiter?;
    let per_minute = 60.0 * found.per_second;
    let pace = 60.0 * found.pace_per_second;
    let answers = answers(measured, found.is_explicit);
    let whose = if found.slowdowns == 0 {
        String::new()
    } else {
        format!(
            "; the pace had to be lowered {} times, as happens when a limiter in one backend alone rejects",
            found.slowdowns
        )
    };
    let message = format!(
        "a rate limiter lets about {per_minute:.0} requests a minute of one client through and answers \
         {answers} to the rest ({} were let through in {:.1} s after its burst){whose}; {} requests sent \
         before it was known are set aside, {} of them rejected{let_through}, and the others kept to {pace:.0} a minute; a limit of what \
         is in flight at once looks the same: try a lower -c first",
        found.accepted,
        found.over.as_secs_f64(),
        measured.set_aside.sent(),
        measured.set_aside.rejections(),
    );
    Some(
        Finding::new("rate_limited", message)
            .with("limit_per_minute", per_minute)
            .with("pace_per_minute", pace)
            .with("measured_requests", found.accepted as f64)
            .with("measured_seconds", found.over.as_secs_f64())
            .with("slowdowns", f64::from(found.slowdowns))
            .with("set_aside", measured.set_aside.sent() as f64)
            .with(
                "rejections_set_aside",
                measured.set_aside.rejections() as f64,
            ),
    )
}

/// What each backend answered before the limit was known: a limit in one of them alone shows there; empty where none did, and
/// for pods, which may be a thousand.
fn let_through(claim: &Claim, measured: &Measured, judgement: &Judgement) -> String {
    let labels = claim.split.labels();
    let observed = measured.set_aside.by_group();
    let counts = judgement.assignment.by_backend(observed, labels.len());
    if claim.split.is_of_pods() || counts.iter().all(|&count| count == 0) {
        return String::new();
    }
    let each = labels.iter().zip(&counts);
    let each: Vec<String> = each
        .map(|(label, count)| format!("{label} {count}"))
        .collect();
    format!(" (answers by backend: {})", each.join(", "))
}

/// What a limiter answers, as it did.
fn answers(measured: &Measured, is_explicit: bool) -> String {
    let is_such = if is_explicit {
        status::is_too_many
    } else {
        status::is_unavailable
    };
    let seen = measured.set_aside.by_status();
    let seen = seen.map(|(status, _)| status).find(|&it| is_such(it));
    status::name(seen.unwrap_or(if is_explicit { 429 } else { 503 })).into_owned()
}

/// That there was no time to tell.
fn undecided(measured: &Measured) -> Finding {
    let statuses = || {
        let counted = measured.counted.by_status.iter();
        let counted = counted.map(|(&status, &count)| (status, count));
        counted.chain(measured.set_aside.by_status())
    };
    let sum = |is_such: fn(u16) -> bool| -> u64 {
        let such = statuses().filter(|&(status, _)| is_such(status));
        such.map(|(_, count)| count).sum()
    };
    let (unavailable, too_many) = (sum(status::is_unavailable), sum(status::is_too_many));
    let is_grpc = statuses().any(|(status, _)| status < status::ANSWERED);
    let names = if is_grpc {
        "RESOURCE_EXHAUSTED or UNAVAILABLE"
    } else {
        "429 or 503"
    };
    let (code, what) = if too_many > 0 {
        (
            "rate_limited",
            "a rate limiter rejects them, and the run ended before its limit was known",
        )
    } else {
        (
            "limiter_suspected",
            "the run ended before it was known whether that ends at a lower pace, as happens when a rate limiter \
             rejects them",
        )
    };
    let message = format!(
        "{} requests were answered with {names}: {what}; try a lower -c, which tells a limit of what is in flight at once, then more time (--max-duration) or a --rate",
        unavailable + too_many
    );
    Finding::new(code, message)
        .with("too_many_requests", too_many as f64)
        .with("service_unavailable", unavailable as f64)
        .with("set_aside", measured.set_aside.sent() as f64)
}
