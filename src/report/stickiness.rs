//! What a run of sessions adds to the report.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::claim::stickiness::{FOLLOW_UPS, Stickiness};
use crate::format::{p_value, points};
use crate::split::Split;
use crate::verdict::stickiness::Kept;

/// Whether sessions stayed on their backends: a request each, and follow-ups that send back what its response
/// gave.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct StickinessReport {
    /// What carries a session: `cookies`, `cookie:NAME` or `header:NAME`.
    pub by: String,
    /// The names of the cookies or the header that were sent back.
    pub carried: Vec<String>,
    /// Sessions with at least one follow-up.
    pub sessions: u64,
    /// How many of them began on which backend.
    pub sessions_by_backend: BTreeMap<String, u64>,
    /// The follow-ups of a whole session.
    pub follow_ups_per_session: u64,
    /// Sessions of which a follow-up was answered by another backend than the first request.
    pub moved: u64,
    /// Sessions that may have moved: a follow-up has no identity, or its backend is in doubt.
    pub in_doubt: u64,
    /// Sessions whose first response gave nothing to send back.
    pub uncarried: u64,
    /// How many sessions a PASS needs, if none moves.
    pub needed_sessions: u64,
    /// The smallest share of moved sessions that a PASS rules out.
    pub rate_share: f64,
    /// Small when that share is ruled out, even if every session in doubt had moved; a PASS needs at most
    /// `plan.alpha`.
    pub p_value: f64,
    /// Some of the moves.
    pub moves: Vec<MoveReport>,
}

/// A follow-up that another backend answered than its session's first request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MoveReport {
    /// The session's number, from 1 in the order in which they began.
    pub session: u64,
    /// The follow-up's number in it, from 1.
    pub follow_up: u64,
    /// The backend that answered the first request.
    pub from_label: String,
    /// And its pod.
    pub from_pod: String,
    /// The backend that answered the follow-up.
    pub to_label: String,
    /// And its pod.
    pub to_pod: String,
    /// What the follow-up carried, as `NAME=VALUE`, cut to 120 characters; empty for nothing.
    pub carried: String,
}

impl StickinessReport {
    pub(super) fn of(split: &Split, planned: &Stickiness, kept: &Kept) -> Self {
        let labels = split.labels();
        let began = labels.iter().zip(&kept.by_backend);
        Self {
            by: planned.by.to_string(),
            carried: kept.carried.clone(),
            sessions: kept.sessions,
            sessions_by_backend: began
                .map(|(label, &count)| (label.clone(), count))
                .collect(),
            follow_ups_per_session: FOLLOW_UPS,
            moved: kept.moved,
            in_doubt: kept.in_doubt,
            uncarried: kept.uncarried,
            needed_sessions: planned.needed,
            rate_share: planned.rate,
            p_value: kept.p_value,
            moves: kept
                .moves
                .iter()
                .map(|moved| MoveReport {
                    session: moved.session,
                    follow_up: moved.follow_up,
                    from_label: labels[moved.from.0].clone(),
                    from_pod: moved.from.1.clone(),
                    to_label: labels[moved.to.0].clone(),
                    to_pod: moved.to.1.clone(),
                    carried: moved.carried.clone(),
                })
                .collect(),
        }
    }

    /// The sessions in one line.
    pub fn sentence(&self) -> String {
        let began: Vec<String> = self
            .sessions_by_backend
            .iter()
            .map(|(label, count)| format!("{label} {count}"))
            .collect();
        let carried = match self.carried.len() {
            0 => "nothing".to_owned(),
            _ => self.carried.join(", "),
        };
        format!(
            "{} of {} requests, carrying {carried}; began on {}; {} moved, {} in doubt, {} with nothing to \
             carry; p {} against a share of {} or more that moves",
            self.sessions,
            1 + self.follow_ups_per_session,
            if began.is_empty() {
                "none".to_owned()
            } else {
                began.join(", ")
            },
            self.moved,
            self.in_doubt,
            self.uncarried,
            p_value(self.p_value),
            points(self.rate_share)
        )
    }
}
