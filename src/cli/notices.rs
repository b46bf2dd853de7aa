//! What is said before a run and while it goes on, each thing once.

use crate::load::Progress;
use crate::plan::Plan;
use crate::verdict::words;

/// What was said already.
#[derive(Debug)]
pub(super) struct Notices {
    announcement: Option<String>,
    /// Of the rate limiter: how often its pace had been lowered then.
    slowdowns: Option<u32>,
}

impl Notices {
    /// Nothing was said yet; `announcement` comes first.
    pub(super) fn new(announcement: String) -> Self {
        Self {
            announcement: Some(announcement),
            slowdowns: None,
        }
    }

    /// What is new.
    pub(super) fn news(&mut self, plan: &Plan, seen: &Progress) -> Option<String> {
        if let Some(announcement) = self.announcement.take() {
            return Some(announcement);
        }
        let found = seen.limiter?;
        if self.slowdowns == Some(found.slowdowns) {
            return None;
        }
        self.slowdowns = Some(found.slowdowns);
        Some(words::limited(plan, &found, seen.elapsed))
    }
}
