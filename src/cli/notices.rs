//! What is said before a run and while it goes on, each thing once.

use super::notice;
use crate::load::Progress;
use crate::plan::Plan;

/// What was said already.
#[derive(Debug)]
pub(super) struct Notices {
    announcement: Option<String>,
    /// Of the rate limiter: how often its pace had been lowered then.
    slowdowns: Option<u32>,
    has_doubted: bool,
    has_told_of_cache: bool,
}

impl Notices {
    /// Nothing was said yet; `announcement` comes first.
    pub(super) fn new(announcement: String) -> Self {
        Self {
            announcement: Some(announcement),
            slowdowns: None,
            has_doubted: false,
            has_told_of_cache: false,
        }
    }

    /// What is new.
    pub(super) fn news(&mut self, plan: &Plan, seen: &Progress) -> Option<String> {
        if let Some(announcement) = self.announcement.take() {
            return Some(announcement);
        }
        if let Some(doubt) = seen.doubt.as_ref().filter(|_| !self.has_doubted) {
            self.has_doubted = true;
            return Some(notice::doubt(plan, doubt, seen.elapsed));
        }
        if seen.is_cached && !self.has_told_of_cache {
            self.has_told_of_cache = true;
            return Some(notice::cache_in_front());
        }
        let found = seen.limiter?;
        if self.slowdowns == Some(found.slowdowns) {
            return None;
        }
        self.slowdowns = Some(found.slowdowns);
        Some(notice::limited(plan, &found, seen.elapsed))
    }
}
