//! What the threads of a run share, and what they learn together: whether there is a limiter, and whether the
//! target is one that can be measured at all.
//!
//! The first requests of a run are its preflight: they are judged like all others, so that looking at them
//! spoils nothing. A run ends early only when so many of them in a row brought no identity that no backend of
//! the split can be healthy; one bad response, or a bad moment, ends nothing.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::board::Board;
use super::dial::Dialler;
use super::dispenser::Dispenser;
use super::limiter::Answer;
use super::outgoing::Outgoing;
use super::session::SessionSource;
use super::turnstile::Turnstile;
use super::{Doubt, Progress};
use crate::identity::finder::Finder;
use crate::measured::Address;
use crate::measured::UnidentifiedSample;
use crate::observation::Failure;
use crate::plan::Plan;
use crate::split::Split;
use crate::tally::pods::PodRegistry;
use crate::tally::set_aside::Reason;

/// Stands for the place in the dispatch order of what has none: probes.
pub(super) const NO_TICKET: u64 = u64::MAX;
/// The chance that a healthy backend is not among the requests after which a run gives up: what 1000 requests
/// leave to a backend of one percent.
const UNSEEN: f64 = 4.3e-5;
/// More requests are never waited for.
const HOPELESS: u64 = 1000;
/// Earlier than this a run gives up only after [`HOPELESS`] requests: a target may have a bad moment.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the threads of a run share.
#[derive(Debug)]
pub(super) struct Shared {
    pub plan: Plan,
    pub dialler: Arc<Dialler>,
    /// The plan's request; sessions add to it.
    pub outgoing: Outgoing,
    pub addresses: Vec<Address>,
    pub turnstile: Turnstile,
    pub registry: Arc<PodRegistry>,
    /// The sessions, in a run that consists of some.
    pub sessions: Option<Arc<SessionSource>>,
    /// Why none of it counts; `None` for what is judged.
    pub set_aside_as: Option<Reason>,
    /// Looks for names where the built-in rules find none.
    pub finder: Finder,
    /// What has come back so far, for who watches.
    pub board: Board,
    pub started: Instant,
    /// Whether any response was identified yet.
    pub identified: AtomicBool,
    /// Whether a response came from a cache.
    pub cached: AtomicBool,
    /// Set when the first requests brought no identity.
    pub hopeless: AtomicBool,
    /// So many requests make up the first ones.
    first: u64,
    /// So many of the first ones ended without an identity.
    first_unidentified: AtomicU64,
    doubt: OnceLock<Doubt>,
}

impl Shared {
    pub(super) fn new(
        plan: Plan,
        dialler: Arc<Dialler>,
        addresses: Vec<Address>,
        registry: &Arc<PodRegistry>,
        set_aside_as: Option<Reason>,
    ) -> Self {
        let budget = &plan.budget;
        let requests = budget.requests.map(NonZeroU64::get);
        let replacements = match set_aside_as {
            Some(_) => 0,
            None => budget.replacements(),
        };
        let dispenser = Dispenser::new(requests, replacements);
        let sessions = plan
            .claim
            .sessions
            .as_ref()
            .map(|stickiness| Arc::new(SessionSource::new(&plan, stickiness)));
        Self {
            outgoing: Outgoing::new(plan.request.clone()),
            dialler,
            addresses,
            turnstile: Turnstile::new(&plan, dispenser, registry),
            registry: Arc::clone(registry),
            sessions,
            set_aside_as,
            finder: Finder::new(sent(&plan)),
            board: Board::new(plan.load.threads.get()),
            started: Instant::now(),
            identified: AtomicBool::new(false),
            cached: AtomicBool::new(false),
            hopeless: AtomicBool::new(false),
            first: first_requests(&plan.claim.split),
            first_unidentified: AtomicU64::new(0),
            doubt: OnceLock::new(),
            plan,
        }
    }

    /// How far the run has got.
    pub(super) fn progress(&self) -> Progress {
        let elapsed = self.started.elapsed();
        let is_doubtful = elapsed >= PATIENCE && !self.identified.load(Ordering::Relaxed);
        Progress {
            dispatched: self.turnstile.dispenser.progress(),
            limiter: self.turnstile.found(),
            doubt: is_doubtful.then(|| self.doubt.get().cloned().unwrap_or(Doubt::Silent)),
            is_cached: self.cached.load(Ordering::Relaxed),
            elapsed,
            so_far: self.board.sum(),
            snapshot: None,
        }
    }

    /// Takes a response that names no pod, for a person to see.
    pub(super) fn unidentified(&self, sample: &UnidentifiedSample) {
        self.doubt
            .get_or_init(|| Doubt::Unidentified(Arc::new(sample.clone())));
    }

    /// Takes a request without a whole response.
    pub(super) fn failed(&self, failure: Failure, message: &str) {
        self.doubt
            .get_or_init(|| Doubt::Failing(failure, message.into()));
    }

    /// Tells the limiter how a request with a permit ended.
    pub(super) fn answered(&self, permit: u32, now: Duration, answer: Answer) {
        self.turnstile.answered(&self.plan, permit, now, answer);
    }

    /// Tells the limiter of a rejection of a request that needed no permit.
    pub(super) fn rejected(&self, ticket: u64, now: Duration, answer: Answer) {
        // A probe would be a session's request, whose follow-ups can't be told apart.
        let is_kept_to = self.sessions.is_none() && self.set_aside_as.is_none();
        if let Answer::Rejected(rejection) = answer
            && is_kept_to
        {
            let identified = self.identified.load(Ordering::Relaxed);
            self.turnstile.rejected(ticket, now, rejection, identified);
        }
    }

    /// The request with this place in the dispatch order, where the run marks them; what does not count has number 0.
    pub(super) fn marked(&self, ticket: u64) -> Option<Outgoing> {
        let mark = self.plan.mark.as_ref()?;
        let counts = self.set_aside_as.is_none() && ticket != NO_TICKET;
        let number = if counts { ticket + 1 } else { 0 };
        Some(self.outgoing.with(|headers| mark.put(number, headers)))
    }

    /// Has a request that got no identity sent again, unless the target is hopeless.
    pub(super) fn replace(&self, ticket: u64) {
        self.turnstile.replace(ticket);
        if self.set_aside_as.is_some() {
            return;
        }
        if self.finder.is_in_doubt() {
            self.hopeless.store(true, Ordering::Relaxed);
            self.turnstile.dispenser.stop();
        }
        if self.identified.load(Ordering::Relaxed) {
            return;
        }
        let unidentified = if ticket < self.first {
            self.first_unidentified.fetch_add(1, Ordering::Relaxed) + 1
        } else {
            self.first_unidentified.load(Ordering::Relaxed)
        };
        let is_time = ticket >= HOPELESS || self.started.elapsed() >= PATIENCE;
        // While rejections are looked into, what comes of that decides.
        if unidentified >= self.first && is_time && !self.turnstile.is_closed() {
            self.hopeless.store(true, Ordering::Relaxed);
            self.turnstile.dispenser.stop();
        }
    }
}

/// All that the requests say, which an app may echo. `None` where the user says how pods are named, for sessions, whose
/// follow-ups carry what earlier responses gave, and for gRPC, in whose messages a length may pass for a name's first letter.
fn sent(plan: &Plan) -> Option<Vec<u8>> {
    if !plan.rules.are_builtin() || plan.claim.sessions.is_some() {
        return None;
    }
    let request = &plan.request;
    let mut sent = request.uri.to_string().into_bytes();
    for (name, value) in &request.headers {
        sent.extend([b"\n", name.as_str().as_bytes(), b": ", value.as_bytes()].concat());
    }
    sent.push(b'\n');
    sent.extend(&request.body);
    Some(sent)
}

/// So many requests reach every backend of the split, but for a chance of [`UNSEEN`].
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "bounded before it is cast"
)]
fn first_requests(split: &Split) -> u64 {
    let positive = split.shares().iter().copied().filter(|&share| share > 0.0);
    let smallest = positive.fold(1.0, f64::min);
    let needed = UNSEEN.ln() / (1.0 - smallest).ln();
    needed.ceil().clamp(10.0, HOPELESS as f64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_requests_reach_the_smallest_backend() {
        for (split, expected) in [
            ("v1=70,v2=30", 29),
            ("v1=99,v2=1", 1000),
            ("v1=999,v2=1", 1000),
            ("v1=100,v2=0", 10),
            ("v1=50,v2=50", 15),
        ] {
            assert_eq!(first_requests(&split.parse().unwrap()), expected, "{split}");
        }
    }
}
