//! What is said before a run and while it goes on, each thing once.

use std::sync::Arc;
use std::time::Duration;

use super::notice;
use crate::identity::assignment::assign;
use crate::load::{Progress, SoFar};
use crate::plan::Plan;
use crate::tally::pods::PodRegistry;

/// Names are not doubted before this.
const PATIENCE: Duration = Duration::from_secs(1);
/// A backend that is to get a share `p` has answered after `7/p` answers, but for 1 run in 1000.
const ENOUGH: f64 = 7.0;

/// What was said already.
#[derive(Debug)]
pub(super) struct Notices {
    announcement: Option<String>,
    /// Of the rate limiter: how often its pace had been lowered then.
    slowdowns: Option<u32>,
    has_doubted: bool,
    has_doubted_names: bool,
    registry: Arc<PodRegistry>,
    has_told_of_cache: bool,
}

impl Notices {
    /// Nothing was said yet; `announcement` comes first.
    pub(super) fn new(announcement: String, registry: &Arc<PodRegistry>) -> Self {
        Self {
            announcement: Some(announcement),
            slowdowns: None,
            has_doubted: false,
            has_doubted_names: false,
            registry: Arc::clone(registry),
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
        if let Some(doubt) = self.doubt_of_names(plan, seen) {
            self.has_doubted_names = true;
            return Some(doubt);
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

    /// That workloads have answered of which the name does not tell the backend, once every backend must have answered.
    fn doubt_of_names(&self, plan: &Plan, seen: &Progress) -> Option<String> {
        let SoFar { by_group, .. } = &seen.so_far;
        let shares = plan.claim.split.shares().iter();
        let least = shares
            .filter(|&&share| share > 0.0)
            .fold(1.0, |least: f64, &share| least.min(share));
        let is_early =
            seen.elapsed < PATIENCE || (by_group.iter().sum::<u64>() as f64) < ENOUGH / least;
        if self.has_doubted_names || is_early || plan.mark.is_some() {
            return None;
        }
        let groups = self.registry.groups();
        let assignment = assign(&plan.claim.split, &groups);
        let doubtful = assignment
            .ambiguous
            .iter()
            .map(|one| &*groups[one.group].workload);
        notice::doubtful_names(doubtful, &assignment.suggestions, seen.elapsed)
    }
}
