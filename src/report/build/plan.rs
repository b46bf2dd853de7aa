//! What was asked for.

use std::num::NonZeroU64;
use std::time::Duration;

use crate::claim::{Claim, Criterion};
use crate::measured::Trial;
use crate::plan::ConnectionUse;
use crate::plan::pace::Rate;
use crate::plan::preparation::Warmup;
use crate::report::PlanReport;
use crate::verdict::promise;

impl PlanReport {
    pub(super) fn of_criterion(criterion: &Criterion) -> Self {
        Self {
            requests: None,
            duration_seconds: None,
            max_duration_seconds: None,
            wait_ready_seconds: None,
            warmup_requests: None,
            warmup_seconds: None,
            concurrency: None,
            streams: None,
            threads: None,
            rate_per_second: None,
            requests_per_connection: None,
            replacements: None,
            promise: None,
            alpha: criterion.alpha,
            tolerance_share: criterion.tolerance,
            judge: criterion.judge.code(),
            sequential: false,
            max_unattributed_share: criterion.max_unattributed,
            seed: 0,
        }
    }

    pub(super) fn add_load(&mut self, claim: &Claim, trial: &Trial) {
        let budget = &trial.budget;
        self.requests = budget.requests.map(NonZeroU64::get);
        self.duration_seconds = budget.duration.as_ref().map(Duration::as_secs_f64);
        self.max_duration_seconds = Some(budget.max_duration.as_secs_f64());
        let wait_ready = trial.preparation.wait_ready.as_ref();
        self.wait_ready_seconds = wait_ready.map(Duration::as_secs_f64);
        match trial.preparation.warmup {
            Some(Warmup::Requests(requests)) => self.warmup_requests = Some(requests.get()),
            Some(Warmup::Duration(time)) => self.warmup_seconds = Some(time.as_secs_f64()),
            None => {}
        }
        self.concurrency = Some(trial.concurrency);
        self.streams = Some(trial.streams);
        self.threads = Some(trial.threads);
        self.rate_per_second = trial.rate.map(Rate::per_second);
        self.requests_per_connection = match trial.connection_use {
            ConnectionUse::Requests(limit) => Some(limit.get()),
            ConnectionUse::KeepAlive => None,
        };
        self.replacements = budget.requests.map(|_| budget.replacements());
        let promise = |requests| promise::promise(claim, requests);
        self.promise = match &claim.sessions {
            Some(stickiness) => Some(promise::sessions_promise(stickiness, &claim.criterion)),
            None => budget.requests.map(promise),
        };
        self.sequential = trial.sequential;
        self.seed = claim.seed;
    }
}
