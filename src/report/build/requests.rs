//! What became of the requests.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::observation::status;
use crate::report::RequestsReport;
use crate::tally::counted::Counted;
use crate::tally::set_aside::SetAside;

impl RequestsReport {
    pub(super) fn count(&mut self, counted: &Counted) {
        self.attributed = counted.attributed();
        self.unattributed = counted.unattributed();
        self.sent = self.attributed + self.unattributed;
        self.never_sent = counted.never_sent();
        self.by_status = statuses(&counted.by_status);
        self.unidentified_by_status = statuses(&counted.unidentified_by_status);
        self.by_failure = named(&counted.by_failure);
    }

    /// How many places of the dispatch order they took that count.
    pub(super) fn tickets(&self) -> u64 {
        self.attributed + self.unattributed + self.never_sent
    }

    pub(super) fn set_aside(&mut self, set_aside: &SetAside) {
        self.set_aside = set_aside.sent();
        self.sent += self.set_aside;
        let reasons = set_aside.by_reason();
        self.set_aside_by_reason = by_name(reasons.map(|(reason, count)| (reason.code(), count)));
        self.set_aside_identified = set_aside.identified();
        self.set_aside_by_status = by_name(set_aside.by_status().map(status_named));
        self.set_aside_by_failure = by_name(set_aside.by_failure());
    }
}

pub(in crate::report) fn by_name<K: ToString>(
    counts: impl Iterator<Item = (K, u64)>,
) -> BTreeMap<String, u64> {
    counts
        .map(|(name, count)| (name.to_string(), count))
        .collect()
}

/// Counts under the names of what was counted.
pub(in crate::report) fn named<K: ToString>(counts: &BTreeMap<K, u64>) -> BTreeMap<String, u64> {
    counts
        .iter()
        .map(|(name, &count)| (name.to_string(), count))
        .collect()
}

/// Responses under the names of their statuses.
pub(in crate::report) fn statuses(counts: &BTreeMap<u16, u64>) -> BTreeMap<String, u64> {
    by_name(
        counts
            .iter()
            .map(|(&status, &count)| status_named((status, count))),
    )
}

pub(in crate::report) fn status_named((status, count): (u16, u64)) -> (Cow<'static, str>, u64) {
    (status::name(status), count)
}
