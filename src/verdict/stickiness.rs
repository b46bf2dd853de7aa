//! Whether sessions stay on their backends.
//!
//! FAIL: one was moved, whatever carried it. PASS: of so many that carried something none was, even if
//! every one in doubt had been. There is no false alarm: an ingress that keeps its sessions moves none; but
//! one whose pods are replaced meanwhile may have to.

use super::reason::doubtful_assignment;
use super::{Evidence, Reason, Verdict};
use crate::claim::Claim;
use crate::claim::stickiness::{FOLLOW_UPS, SessionBy, Stickiness};
use crate::format::{self, p_value, points};
use crate::identity::assignment::Assignment;
use crate::measured::Measured;
use crate::stats::stickiness;
use crate::tally::sessions::Move;

const TOLD_MOVES: usize = 3;

/// What the sessions showed.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// What follows.
    pub verdict: Verdict,
    /// Why, the most important reason first.
    pub reasons: Vec<Reason>,
    /// Sessions with at least one follow-up.
    pub sessions: u64,
    /// `by_backend[i]` of them began on backend `i`; those that began on a workload in doubt are in none.
    pub by_backend: Vec<u64>,
    /// Sessions of which a follow-up was answered by another backend.
    pub moved: u64,
    /// Sessions not known to have moved, of which a follow-up has no identity, or an answer's backend is in
    /// doubt.
    pub in_doubt: u64,
    /// Sessions with a follow-up that had nothing to carry.
    pub uncarried: u64,
    /// The names of what was carried.
    pub carried: Vec<String>,
    /// The p-value of the claim that a smaller share than the plan's rate is moved, if all in doubt were.
    pub p_value: f64,
    /// Examples of moves.
    pub moves: Vec<Moved>,
}

/// A follow-up that another backend answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The session's number, from 1.
    pub session: u64,
    /// The follow-up's number in it, from 1.
    pub follow_up: u64,
    /// The backend (its index in the split) and pod of the first response.
    pub from: (usize, String),
    /// The backend and pod of the follow-up's.
    pub to: (usize, String),
    /// What the follow-up carried, as `NAME=VALUE`; empty for nothing.
    pub carried: String,
}

/// Judges the sessions of a run that consists of some.
pub fn judge(
    claim: &Claim,
    measured: &Measured,
    evidence: &Evidence,
    assignment: &Assignment,
) -> Option<Kept> {
    let stickiness = claim.sessions.as_ref()?;
    let mut kept = count(claim, measured, assignment);
    let carried = kept.sessions - kept.uncarried;
    kept.p_value = stickiness::p_value(kept.moved + kept.in_doubt, carried, stickiness.rate);
    kept.moves = moves(measured, assignment);
    let mut reasons = Vec::new();
    if let Some(hit) = zero_weight_hit(claim, measured, assignment) {
        reasons.push(hit);
    }
    if kept.moved > 0 {
        reasons.push(moved(claim, &kept));
    }
    let is_refuted = !reasons.is_empty();
    let without = nothing_carried(stickiness, measured, &kept);
    let cut_short = evidence.cut_short.as_ref();
    let cut_short =
        cut_short.map(|why| Reason::new("cut_short", format!("the run was cut short: {why}")));
    if is_refuted {
        kept.verdict = Verdict::Fail;
        reasons.extend(cut_short);
        reasons.extend(without);
    } else {
        reasons.extend(cut_short);
        if carried == 0 {
            reasons.extend(without);
        } else {
            reasons.extend(open_question(
                claim, stickiness, evidence, assignment, &kept,
            ));
        }
        if reasons.is_empty() && carried > 0 {
            kept.verdict = Verdict::Pass;
            reasons.push(stayed(claim, stickiness, &kept));
        }
        if reasons.is_empty() {
            reasons.push(few(stickiness, carried));
        }
    }
    kept.reasons = reasons;
    Some(kept)
}

fn count(claim: &Claim, measured: &Measured, assignment: &Assignment) -> Kept {
    let mut kept = Kept {
        verdict: Verdict::Inconclusive,
        reasons: Vec::new(),
        sessions: 0,
        by_backend: vec![0; claim.split.len()],
        moved: 0,
        in_doubt: 0,
        uncarried: 0,
        carried: measured.sessions.carried().map(str::to_owned).collect(),
        p_value: 1.0,
        moves: Vec::new(),
    };
    let backend = |group: usize| assignment.fixed.get(group).copied().flatten();
    for (course, count) in measured.sessions.courses() {
        let began = backend(course.began);
        kept.sessions += count;
        if let Some(began) = began {
            kept.by_backend[began] += count;
        }
        if !course.is_carried {
            kept.uncarried += count;
        }
        match course.moved.map(|to| (began, backend(to))) {
            Some((Some(from), Some(to))) if from != to => kept.moved += count,
            // Another group of the same backend: the session may have moved on to a third.
            Some((None, _) | (_, None)) => kept.in_doubt += count,
            Some(_) | None if course.is_in_doubt => kept.in_doubt += count,
            Some(_) | None => {}
        }
    }
    kept
}

fn moves(measured: &Measured, assignment: &Assignment) -> Vec<Moved> {
    let name = |pod: crate::observation::PodId| {
        let name = measured.pods.get(usize::from(pod.0));
        name.cloned().unwrap_or_default()
    };
    let backend = |group: usize| assignment.fixed.get(group).copied().flatten();
    let changed = |((from, to), example): ((usize, usize), &Move)| {
        let (from, to) = (backend(from)?, backend(to)?);
        (from != to).then(|| Moved {
            session: example.session,
            follow_up: example.follow_up,
            from: (from, name(example.from)),
            to: (to, name(example.to)),
            carried: example.carried.clone(),
        })
    };
    let mut moves: Vec<Moved> = measured.sessions.moves().filter_map(changed).collect();
    moves.sort_by_key(|changed| changed.session);
    moves
}

/// That a backend answered that must get nothing.
fn zero_weight_hit(claim: &Claim, measured: &Measured, assignment: &Assignment) -> Option<Reason> {
    let mut hits = vec![0; claim.split.len()];
    for (group, assigned) in measured.counted.groups.iter().zip(&assignment.fixed) {
        if let Some(backend) = assigned {
            hits[*backend] += group.observed();
        }
    }
    let shares = claim.split.shares().iter();
    let (backend, hits) = shares
        .zip(hits)
        .enumerate()
        .find_map(|(backend, (&share, hits))| {
            (share == 0.0 && hits > 0).then_some((backend, hits))
        })?;
    let message = format!(
        "{} must get nothing and got {hits} of {} requests",
        claim.split.labels()[backend],
        measured.counted.attributed()
    );
    Some(Reason::new("zero_weight_hit", message))
}

fn moved(claim: &Claim, kept: &Kept) -> Reason {
    let label = |backend: usize| &claim.split.labels()[backend];
    let parts: Vec<String> = kept
        .moves
        .iter()
        .take(TOLD_MOVES)
        .map(|one| {
            let carried = match &*one.carried {
                "" => "carrying nothing".to_owned(),
                carried => format!("carrying {carried}"),
            };
            format!(
                "session {} began on {} ({}), and its follow-up {}, {carried}, went to {} ({})",
                one.session,
                label(one.from.0),
                one.from.1,
                one.follow_up,
                label(one.to.0),
                one.to.1
            )
        })
        .collect();
    let message = format!(
        "{} of {} sessions left their backend: {}",
        kept.moved,
        kept.sessions,
        parts.join("; ")
    );
    Reason::new("session_moved", message)
}

fn stayed(claim: &Claim, stickiness: &Stickiness, kept: &Kept) -> Reason {
    let labels = claim.split.labels().iter().zip(&kept.by_backend);
    let began: Vec<String> = labels
        .filter(|&(_, &count)| count > 0)
        .map(|(label, count)| format!("{label} {count}"))
        .collect();
    let message = format!(
        "all {} sessions stayed on their backend ({}), by {}; a chance of {} or more that one is moved is \
         ruled out (p {})",
        kept.sessions,
        began.join(", "),
        carriers(stickiness, kept),
        points(stickiness.rate),
        p_value(kept.p_value)
    );
    Reason::new("sessions_stayed", message)
}

fn carriers(stickiness: &Stickiness, kept: &Kept) -> String {
    let names = kept.carried.join(", ");
    match &stickiness.by {
        SessionBy::Cookies | SessionBy::Cookie(_) if kept.carried.len() > 1 => {
            format!("the cookies {names}")
        }
        SessionBy::Cookies | SessionBy::Cookie(_) => format!("the cookie {names}"),
        SessionBy::Header(_) => format!("the header {names}"),
    }
}

/// What keeps sessions from a PASS of which none moved and some carried something.
fn open_question(
    claim: &Claim,
    stickiness: &Stickiness,
    evidence: &Evidence,
    assignment: &Assignment,
    kept: &Kept,
) -> Option<Reason> {
    let begun_on = kept.by_backend.iter().filter(|&&count| count > 0).count();
    let is_clear = assignment.ambiguous.is_empty();
    if begun_on < 2 && is_clear {
        let message = format!(
            "all {} sessions began on one backend, where none can be seen to move: is another one there, \
             and does every session begin anew?",
            kept.sessions
        );
        return Some(Reason::new("one_backend", message));
    }
    if begun_on < 2 || kept.in_doubt > 0 && !is_clear {
        return Some(doubtful_assignment(evidence, assignment));
    }
    if kept.p_value <= claim.criterion.alpha {
        return None;
    }
    let carried = kept.sessions - kept.uncarried;
    if kept.in_doubt > 0 {
        let message = format!(
            "{} of {} sessions had a follow-up without an identity, and may have left their backend: the \
             others are too few to rule out that a share of {} does (p {} > {}); more sessions (-n) can",
            kept.in_doubt,
            kept.sessions,
            points(stickiness.rate),
            p_value(kept.p_value),
            claim.criterion.alpha
        );
        return Some(Reason::new("sessions_in_doubt", message));
    }
    Some(few(stickiness, carried))
}

fn few(stickiness: &Stickiness, carried: u64) -> Reason {
    let message = format!(
        "no session left its backend, but {} cannot rule out that a share of {} is moved: {} can (-n {})",
        format::count(carried, "session"),
        points(stickiness.rate),
        stickiness.needed,
        stickiness.needed.saturating_mul(1 + FOLLOW_UPS)
    );
    Reason::new("too_few_sessions", message)
}

/// That sessions had nothing to send back, and why; `None` where each had something.
fn nothing_carried(stickiness: &Stickiness, measured: &Measured, kept: &Kept) -> Option<Reason> {
    if kept.uncarried == 0 {
        return None;
    }
    let wanted = match &stickiness.by {
        SessionBy::Cookies => "set a cookie".to_owned(),
        SessionBy::Cookie(name) => format!("set the cookie {name}"),
        SessionBy::Header(name) => format!("had the header {name}"),
    };
    let refused: Vec<String> = measured
        .sessions
        .refused()
        .map(|(name, why)| format!("{name} was not sent back: {why}"))
        .collect();
    let mut message = if kept.uncarried == kept.sessions {
        format!("no response {wanted} that could be sent back, so that nothing can keep a session")
    } else {
        format!(
            "the first response of {} of {} sessions brought nothing to send back: not all {wanted}",
            kept.uncarried, kept.sessions
        )
    };
    if !refused.is_empty() {
        message.push_str("; ");
        message.push_str(&refused.join("; "));
    }
    Some(Reason::new("nothing_to_carry", message))
}
