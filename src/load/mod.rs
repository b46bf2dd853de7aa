//! Sends the requests of a plan and folds what comes back into a tally; the only async code on the
//! measuring path.
//!
//! Each client thread has a single-threaded runtime and its share of the connections; on the path of a
//! response there is neither a lock nor a channel. The calling thread watches the clock and the signals.

pub mod allowance;
mod board;
pub mod buffer;
pub mod connection;
pub mod deadline;
pub mod dial;
pub mod discovery;
pub mod dispenser;
mod epoch;
mod error;
pub mod fetch;
pub mod grpc;
mod harvest;
pub mod http1;
mod http2;
pub mod limiter;
pub mod machine;
pub mod outgoing;
mod preparation;
mod session;
mod shared;
pub mod signals;
mod snapshots;
mod tcp;
mod threads;
pub mod tls;
pub mod transport;
mod turnstile;
mod worker;

use std::io;
use std::num::NonZeroU64;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::runtime::LocalOptions;
use tokio::sync::{Notify, watch};

use crate::measured::{Address, Ending, Marked, Measured, RateLimit, Trial, UnidentifiedSample};
use crate::observation::Failure;
use crate::plan::Plan;
use crate::tally::pods::PodRegistry;
use allowance::Allowance;
pub use board::SoFar;
use deadline::Deadline;
use dial::Dialler;
pub use error::LoadError;
use harvest::Harvest;
use preparation::Prepared;
use shared::Shared;
use signals::Signals;
use snapshots::Snapshots;
use threads::Threads;

/// How far a run has got; a run moves only downwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Requests are sent.
    Run,
    /// Nothing more is sent; what is in flight is awaited.
    Drain,
    /// Nothing is awaited.
    Quit,
}

/// Why it is doubtful that a run will measure anything: nothing was identified yet.
#[derive(Debug, Clone)]
pub enum Doubt {
    /// No request has ended.
    Silent,
    /// A response named no pod.
    Unidentified(Arc<UnidentifiedSample>),
    /// A request brought no whole response, for this reason.
    Failing(Failure, Arc<str>),
}

/// How far a run has got, for a progress display.
#[derive(Debug, Clone)]
pub struct Progress {
    /// Requests handed out, those in place of unidentified ones not counted.
    pub dispatched: u64,
    /// The rate limiter that is kept to.
    pub limiter: Option<RateLimit>,
    /// Why it is doubtful after a second that it will measure anything.
    pub doubt: Option<Doubt>,
    /// Whether a response came from a cache.
    pub is_cached: bool,
    /// From the first request until now.
    pub elapsed: Duration,
    /// What has come back, as of a fraction of a second ago.
    pub so_far: SoFar,
    /// What was measured so far, whole, once in the plan's period: as a run that was interrupted now.
    pub snapshot: Option<Arc<Measured>>,
}

/// Runs a plan as [`run`] does; what could not begin has measured nothing.
pub fn measure(
    plan: &Plan,
    registry: &Arc<PodRegistry>,
    watch: &mut dyn FnMut(Progress),
) -> Measured {
    run(plan, registry, watch).unwrap_or_else(|error| error.measured(plan))
}

/// The same, which `stop` ends as a signal would.
pub fn measure_until(
    plan: &Plan,
    registry: &Arc<PodRegistry>,
    stop: &Arc<Notify>,
    watch: &mut dyn FnMut(Progress),
) -> Measured {
    let run = run_until(plan, registry, Some(stop), watch);
    run.unwrap_or_else(|error| error.measured(plan))
}

/// Runs a plan: blocks until the budget is spent, the time is up, or the user stops it.
///
/// `registry` interns the pods; `watch` is called once before anything is sent, when signals are taken
/// already, and then about ten times a second.
///
/// # Errors
/// Nothing could be measured. Whatever was measured comes back as [`Measured`], failures included.
pub fn run(
    plan: &Plan,
    registry: &Arc<PodRegistry>,
    watch: &mut dyn FnMut(Progress),
) -> Result<Measured, LoadError> {
    run_until(plan, registry, None, watch)
}

fn run_until(
    plan: &Plan,
    registry: &Arc<PodRegistry>,
    stop: Option<&Arc<Notify>>,
    watch: &mut dyn FnMut(Progress),
) -> Result<Measured, LoadError> {
    machine::check_open_files()?;
    block_on(control(plan, registry, stop, watch))
}

/// What comes of `future`, on this thread.
fn block_on<T, E: From<io::Error>>(future: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())?;
    let result = runtime.block_on(future);
    // A resolver thread that still waits for an answer must not hold the exit up.
    runtime.shutdown_background();
    result
}

async fn control(
    plan: &Plan,
    registry: &Arc<PodRegistry>,
    stop: Option<&Arc<Notify>>,
    watch: &mut dyn FnMut(Progress),
) -> Result<Measured, LoadError> {
    let mut signals = Signals::new()?.or(stop.cloned());
    watch(Progress {
        dispatched: 0,
        limiter: None,
        doubt: None,
        is_cached: false,
        elapsed: Duration::ZERO,
        so_far: SoFar::default(),
        snapshot: None,
    });
    // Refused, the limit stays as it is, and running into it has an explanation of its own.
    let _ = machine::raise_open_files();
    fits(plan)?;
    let dialler = Arc::new(Dialler::new(plan)?);
    let mut prepared = Prepared::default();
    let addresses = prepare(plan, &dialler, &mut signals, &mut prepared).await?;
    let shared = Shared::new(plan.clone(), dialler, addresses, registry, None);
    let shared = Arc::new(shared);
    let begun = Begun {
        shared: &shared,
        snapshots: Arc::default(),
        prepared,
        started_at: SystemTime::now(),
    };
    let Driven {
        stopped_by,
        elapsed,
        harvest,
    } = drive(&shared, &begun.snapshots, &mut signals, &mut |mut seen| {
        seen.snapshot = begun.snapshot();
        watch(seen);
    })
    .await?;
    let standing = harvest.epoch.monitor.as_ref().map(|monitor| {
        let monitor = monitor.lock().unwrap_or_else(PoisonError::into_inner);
        monitor.standing()
    });
    let ending = ending(&shared, stopped_by, harvest.tally.attributed());
    Ok(Measured {
        standing,
        ..begun.measured(harvest, elapsed, ending)
    })
}

/// Finds the addresses, and sends what comes before what counts.
async fn prepare(
    plan: &Plan,
    dialler: &Arc<Dialler>,
    signals: &mut Signals,
    prepared: &mut Prepared,
) -> Result<Vec<Address>, LoadError> {
    let addresses = if let Some(limit) = plan.preparation.wait_ready {
        preparation::wait_ready(plan, limit, dialler, signals, prepared).await?
    } else {
        tokio::select! {
            biased;
            () = signals.next() => return Err(LoadError::Interrupted(Box::default())),
            addresses = reachable_addresses(plan, dialler) => addresses?,
        }
    };
    preparation::warm_up(plan, dialler, &addresses, signals, prepared).await?;
    Ok(addresses)
}

/// How a run has ended that was stopped so, or by itself.
fn ending(shared: &Shared, stopped_by: Option<Ending>, attributed: u64) -> Ending {
    let requests = shared.plan.budget.requests.map(NonZeroU64::get);
    match stopped_by {
        // Time ran out while the last answers were awaited, and they came.
        Some(Ending::MaxDuration) if requests.is_some_and(|asked| attributed >= asked) => {
            Ending::Complete
        }
        Some(ending) => ending,
        None if shared.hopeless.load(Ordering::Relaxed) => Ending::NothingIdentified,
        None if shared.turnstile.dispenser.is_exhausted() => Ending::ReplacementsSpent,
        None => Ending::Complete,
    }
}

/// A run under way, and what came before it.
struct Begun<'a> {
    shared: &'a Arc<Shared>,
    snapshots: Arc<Snapshots>,
    prepared: Prepared,
    started_at: SystemTime,
}

impl Begun<'_> {
    /// What a harvest of the whole run comes to.
    fn measured(&self, mut harvest: Harvest, elapsed: Duration, ending: Ending) -> Measured {
        let Self {
            shared, prepared, ..
        } = self;
        harvest.set_aside.merge(&prepared.set_aside);
        harvest.connections.add_earlier(prepared.connections);
        harvest.addresses.merge(&prepared.addresses);
        let pods = shared.registry.pods().into_iter();
        Measured {
            trial: Trial::of(&shared.plan),
            counted: harvest.tally.at_rest(),
            pods: pods.map(|(name, _)| name).collect(),
            set_aside: harvest.set_aside,
            limiter: shared.turnstile.found(),
            limiter_undecided: shared.turnstile.is_undecided(),
            standing: None,
            sessions: harvest.sessions,
            connections: harvest.connections,
            by_address: harvest.addresses,
            port_waits: shared.dialler.port_waits(),
            slow_dials: shared.dialler.slow(),
            addresses: shared.addresses.clone(),
            failure_messages: harvest.failure_messages,
            sample: harvest.sample,
            naming: shared.finder.naming(),
            signs: harvest.signs,
            started_at: Some(self.started_at),
            elapsed,
            ending: Ok(ending),
            parts: Vec::new(),
            marked: shared.plan.mark.as_ref().map(|mark| Marked {
                run: mark.run().to_owned(),
                first: harvest.epoch.first_ticket + 1,
            }),
        }
    }

    /// What a run that is killed now would leave, when it is time for that.
    fn snapshot(&self) -> Option<Arc<Measured>> {
        let snapshot = self.shared.plan.snapshot.as_ref()?;
        let harvest = self.snapshots.next(self.shared, snapshot.period)?;
        let elapsed = self.shared.started.elapsed();
        let mut measured = self.measured(harvest, elapsed, Ending::Interrupted);
        measured.trial.shard = Some(snapshot.sharding.clone());
        measured.trial.run_id = Some(snapshot.run_id.clone());
        Some(Arc::new(measured))
    }
}

/// Whether what is planned fits into what the process may address.
fn fits(plan: &Plan) -> Result<(), LoadError> {
    let (threads, connections) = (plan.load.threads.get(), plan.load.concurrency.get());
    match machine::address_shortage(plan) {
        None => Ok(()),
        Some(left) => Err(LoadError::Addresses {
            connections,
            threads,
            left,
        }),
    }
}

/// What sending came to.
struct Driven {
    /// Who stopped it, if it did not end by itself.
    stopped_by: Option<Ending>,
    elapsed: Duration,
    harvest: Harvest,
}

/// Sends what is planned, until that is done, the time is up, or the user stops it.
async fn drive(
    shared: &Arc<Shared>,
    snapshots: &Arc<Snapshots>,
    signals: &mut Signals,
    progress: &mut dyn FnMut(Progress),
) -> Result<Driven, LoadError> {
    let (phase, _) = watch::channel(Phase::Run);
    let mut threads = Threads::start(shared, snapshots, &phase)?;
    let stopped_by = threads.watch(shared, &phase, signals, progress).await;
    Ok(Driven {
        stopped_by,
        elapsed: shared.started.elapsed(),
        harvest: threads.join(shared)?,
    })
}

/// The addresses of the target that take a connection.
async fn reachable_addresses(plan: &Plan, dialler: &Dialler) -> Result<Vec<Address>, LoadError> {
    let unreachable = |errors| LoadError::Unreachable {
        target: format!("{}:{}", plan.target.host, plan.target.port),
        errors,
    };
    let addresses = dial::resolve(plan)
        .await
        .map_err(|error| unreachable(vec![(None, error)]))?;
    let (mut reachable, mut errors) = (Vec::new(), Vec::new());
    let mut deadline = Deadline::default();
    for address in addresses {
        match dialler
            .open(&address, Allowance::default(), &mut deadline)
            .await
        {
            Ok(_) => reachable.push(address),
            Err(error) => errors.push((Some(address), error)),
        }
    }
    if reachable.is_empty() {
        return Err(unreachable(errors));
    }
    Ok(reachable)
}
