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
mod grpc;
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
pub mod tls;
pub mod transport;
mod turnstile;
mod worker;

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::runtime::LocalOptions;
use tokio::sync::{mpsc, watch};

use crate::measured::{
    Address, Connections, Ending, Measured, RateLimit, Trial, UnidentifiedSample, Unmeasured,
};
use crate::observation::Failure;
use crate::plan::Plan;
use crate::tally::pods::PodRegistry;
use crate::tally::set_aside::{Reason, SetAside};
use allowance::Allowance;
pub use board::SoFar;
use deadline::Deadline;
use dial::{DialError, Dialler};
use dispenser::Dispenser;
use harvest::Harvest;
use preparation::Prepared;
use shared::Shared;
use signals::Signals;
use snapshots::Snapshots;

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

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The name has no address, or none of its addresses takes a connection.
    #[error("{}", unreachable_message(.target, .errors))]
    Unreachable {
        /// `HOST:PORT`.
        target: String,
        /// What each address answered; `None` stands for the name.
        errors: Vec<(Option<Address>, DialError)>,
    },
    /// A backend did not answer in the time that was given for that.
    #[error("{}", not_ready_message(*.limit, .missing, .answered, .sent.sent()))]
    NotReady {
        /// The time.
        limit: Duration,
        /// The labels that no pod is known to belong to.
        missing: Vec<String>,
        /// The workloads that did answer.
        answered: Vec<String>,
        /// What was sent.
        sent: Box<SetAside>,
    },
    /// The user stopped the run before a request that counts.
    #[error("{}", interrupted_message(.0.sent()))]
    Interrupted(Box<SetAside>),
    /// The system starts no more threads.
    #[error(
        "the system does not start {threads} threads ({source}): lower --threads, or raise the limit of processes (ulimit -u) or of memory"
    )]
    Threads {
        /// How many were to start.
        threads: usize,
        /// What the system says.
        source: std::io::Error,
    },
    /// The run would end in the middle for lack of addresses.
    #[error(
        "{connections} connections on {threads} threads don't fit into the {} MiB of address space that ulimit -v leaves: \
         lower --concurrency and --threads, or raise ulimit -v",
        .left >> 20
    )]
    Addresses {
        /// How many connections are wanted.
        connections: usize,
        /// How many threads.
        threads: usize,
        /// Bytes that are left.
        left: u64,
    },
    /// The client could not set itself up.
    #[error("{}", setup_message(.0))]
    Setup(#[from] std::io::Error),
}

impl LoadError {
    /// A run that could not begin; what was sent before stands in it.
    fn measured(self, plan: &Plan) -> Measured {
        let set_aside = match &self {
            Self::NotReady { sent, .. } | Self::Interrupted(sent) => (**sent).clone(),
            Self::Unreachable { .. }
            | Self::Threads { .. }
            | Self::Addresses { .. }
            | Self::Setup(_) => SetAside::default(),
        };
        Measured {
            set_aside,
            ..Measured::failed(plan, self.into())
        }
    }
}

impl From<LoadError> for Unmeasured {
    fn from(error: LoadError) -> Self {
        let code = match error {
            LoadError::Unreachable { .. } => "unreachable",
            LoadError::NotReady { .. } => "not_ready",
            LoadError::Interrupted(_) => Self::INTERRUPTED,
            LoadError::Threads { .. } | LoadError::Addresses { .. } | LoadError::Setup(_) => {
                "setup"
            }
        };
        Self {
            code,
            message: error.to_string(),
        }
    }
}

fn unreachable_message(target: &str, errors: &[(Option<Address>, DialError)]) -> String {
    let told: Vec<String> = errors
        .iter()
        .map(|(address, error)| match address {
            // What the user gave is not said twice.
            Some(address) if address.to_string() != target => {
                format!("{address}: {}", error.message)
            }
            _ => error.message.clone(),
        })
        .collect();
    format!(
        "cannot reach {target}: {}; is the address right, and the ingress up? To try lbtest without one: \
         lbtest demo --expect v1=70,v2=30",
        told.join("; ")
    )
}

fn setup_message(error: &std::io::Error) -> String {
    match machine::remedy(error) {
        Some(remedy) => format!("the client could not start: {error}: {remedy}"),
        None => format!("the client could not start: {error}"),
    }
}

fn interrupted_message(sent: u64) -> String {
    match sent {
        0 => "interrupted before the first request".to_owned(),
        sent => {
            format!("interrupted before the first request that counts, with {sent} sent to prepare")
        }
    }
}

fn not_ready_message(
    limit: Duration,
    missing: &[String],
    answered: &[String],
    polls: u64,
) -> String {
    let escaped = |names: &[String]| {
        let names = names
            .iter()
            .take(8)
            .map(|name| name.escape_debug().to_string());
        names.collect::<Vec<_>>().join(", ")
    };
    let missing = escaped(missing);
    if answered.is_empty() {
        return format!(
            "no backend answered within --wait-ready {limit:?} ({polls} requests): {missing} missing"
        );
    }
    format!(
        "not ready within --wait-ready {limit:?}: {missing} did not answer ({polls} requests, answered by {}); \
         a pod whose name does not tell its backend is mapped with --backend LABEL=WORKLOAD",
        escaped(answered)
    )
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
    machine::check_open_files()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())?;
    let result = runtime.block_on(control(plan, registry, watch));
    // A resolver thread that still waits for an answer must not hold the exit up.
    runtime.shutdown_background();
    result
}

async fn control(
    plan: &Plan,
    registry: &Arc<PodRegistry>,
    watch: &mut dyn FnMut(Progress),
) -> Result<Measured, LoadError> {
    let mut signals = Signals::new()?;
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
    let addresses = if let Some(limit) = plan.preparation.wait_ready {
        preparation::wait_ready(plan, limit, &dialler, &mut signals, &mut prepared).await?
    } else {
        tokio::select! {
            biased;
            () = signals.next() => return Err(LoadError::Interrupted(Box::default())),
            addresses = reachable_addresses(plan, &dialler) => addresses?,
        }
    };
    if let Some(warmup) = plan.preparation.warmup {
        let (signals, prepared) = (&mut signals, &mut prepared);
        preparation::warm_up(plan, warmup, &dialler, &addresses, signals, prepared).await?;
    }
    let budget = &plan.budget;
    let requests = budget.requests.map(std::num::NonZeroU64::get);
    let dispenser = Dispenser::new(requests, budget.replacements());
    let plan = plan.clone();
    let shared = Arc::new(Shared::new(
        plan, dialler, addresses, dispenser, registry, None,
    ));
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
    let attributed = harvest.tally.attributed();
    let ending = match stopped_by {
        // Time ran out while the last answers were awaited, and they came.
        Some(Ending::MaxDuration) if requests.is_some_and(|asked| attributed >= asked) => {
            Ending::Complete
        }
        Some(ending) => ending,
        None if shared.hopeless.load(Ordering::Relaxed) => Ending::NothingIdentified,
        None if shared.dispenser.is_exhausted() => Ending::ReplacementsSpent,
        None => Ending::Complete,
    };
    Ok(Measured {
        standing,
        ..begun.measured(harvest, elapsed, ending)
    })
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

/// The client threads, and word of the last of them ending.
struct Threads {
    handles: Vec<std::thread::JoinHandle<std::io::Result<Harvest>>>,
    ended: mpsc::UnboundedReceiver<()>,
}

impl Threads {
    /// Starts all of them; where the system starts no more, those that run are stopped again.
    fn start(
        shared: &Arc<Shared>,
        snapshots: &Arc<Snapshots>,
        phase: &watch::Sender<Phase>,
    ) -> Result<Self, LoadError> {
        let load = &shared.plan.load;
        let (concurrency, threads) = (load.concurrency.get(), load.threads.get());
        let (word, ended) = mpsc::unbounded_channel::<()>();
        let start = |thread| {
            let connections = concurrency / threads + usize::from(thread < concurrency % threads);
            let (shared, phase, word) = (Arc::clone(shared), phase.subscribe(), word.clone());
            let snapshots = Arc::clone(snapshots);
            std::thread::Builder::new().spawn(move || {
                // Dropped when the thread ends, by whatever way.
                let _word = word;
                worker::run(&shared, connections, thread, &snapshots, phase)
            })
        };
        let handles = (0..threads).map(start).collect::<Result<_, _>>();
        handles
            .map(|handles| Self { handles, ended })
            .map_err(|source| {
                shared.dispenser.stop();
                phase.send_replace(Phase::Quit);
                LoadError::Threads { threads, source }
            })
    }

    /// Waits for the threads to end, stopping them when time is up or the user says so.
    async fn watch(
        &mut self,
        shared: &Shared,
        phase: &watch::Sender<Phase>,
        signals: &mut Signals,
        progress: &mut dyn FnMut(Progress),
    ) -> Option<Ending> {
        let budget = &shared.plan.budget;
        let planned = budget.duration.unwrap_or(Duration::MAX);
        let (limit, at_limit) = if planned <= budget.max_duration {
            (planned, None)
        } else {
            (budget.max_duration, Some(Ending::MaxDuration))
        };
        // Whoever polls has no use for an answer that comes later.
        let is_poll = shared.set_aside_as == Some(Reason::WaitReady);
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        let mut ending = None;
        loop {
            let left = limit.saturating_sub(shared.started.elapsed());
            tokio::select! {
                biased;
                _ = self.ended.recv() => return ending,
                () = signals.next() => {
                    let next = match *phase.borrow() {
                        Phase::Run => Phase::Drain,
                        Phase::Drain | Phase::Quit => Phase::Quit,
                    };
                    shared.dispenser.stop();
                    phase.send_replace(next);
                    ending = Some(Ending::Interrupted);
                }
                () = tokio::time::sleep(left), if !shared.dispenser.is_stopped() => {
                    shared.dispenser.stop();
                    phase.send_replace(if is_poll { Phase::Quit } else { Phase::Drain });
                    ending = at_limit;
                }
                _ = tick.tick() => {
                    progress(shared.progress());
                    if is_poll && shared.dispenser.is_stopped() {
                        phase.send_replace(Phase::Quit);
                    }
                }
            }
        }
    }

    fn join(self, shared: &Shared) -> std::io::Result<Harvest> {
        let registry = Arc::clone(&shared.registry);
        let mut whole = Harvest::new(registry, shared.epochs.present());
        for handle in self.handles {
            let harvest = handle
                .join()
                .map_err(|_| std::io::Error::other("a client thread panicked"))?;
            let mut harvest = harvest?;
            harvest.keep_up(shared);
            whole.merge(&harvest);
        }
        Ok(whole)
    }
}
