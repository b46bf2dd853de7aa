//! The gate for rollout controllers: `lbtest serve`.
//!
//! It runs checks in the background and when they are asked for, and answers what Argo Rollouts, Flagger,
//! Prometheus and probes ask. Callers choose a check by its name and may say which split applies and since
//! when; they never choose a target. Calls are answered from what is known: none waits for a run.
//!
//! | file | what |
//! |---|---|
//! | `check` | one check's outcomes, queue and run: pure, with an explicit now |
//! | `board` | all checks, and which runs next: pure as well |
//! | `runs` | begins runs on threads of their own and takes what they bring |
//! | `call` | what a request asks for |
//! | `answer` | the JSON contract |
//! | `metrics` | what Prometheus scrapes |
//! | `page` | what people open: every check, and the report of a run |
//! | `history` | the last runs, kept in a file |
//! | `response` | how responses are made |
//! | `moment` | now, by both clocks |
//! | `origin` | who calls a gate without a token |
//! | `places` | which connection goes when there are too many, or they hold too much |
//! | `exchange` | one connection, one request, one response |

pub mod answer;
mod board;
mod body;
mod call;
mod check;
mod exchange;
mod history;
mod metrics;
mod moment;
mod origin;
mod page;
mod places;
mod response;
mod runs;
mod token;

use std::future::Future;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::load::machine;
use crate::plan::config::serve::Serve;
use crate::plan::settings::Settings;
use crate::report::{Finding, Report};
use crate::serving;
use crate::split::Split;
use board::Board;
use check::Step;
pub use history::HistoryError;
use metrics::Requests;
use page::Shown;
use places::Places;
pub use token::{Secret, TokenError};

/// How long new connections are still taken once `/readyz` says 503: until then others send callers here.
const LINGER: Duration = Duration::from_secs(2);

/// A check that callers may name.
#[derive(Debug)]
pub struct NamedCheck {
    /// What callers call it.
    pub name: String,
    /// What is sent and what is promised, manifests read already.
    pub settings: Settings,
    /// The configured split, which says the labels of every other.
    pub split: Split,
    /// What is known of the configuration, for every report.
    pub findings: Vec<Finding>,
}

/// What happens while a gate serves.
#[derive(Debug)]
pub enum News<'a> {
    /// A run has ended.
    Ended {
        /// The check's name.
        check: &'a str,
        /// The split that was expected.
        split: &'a Split,
        /// What it brought, or why there was no run.
        result: Result<&'a Report, &'a str>,
    },
    /// The file of the token holds another one, which counts from here on; or none, so that the known one stays.
    Token(Result<(), &'a TokenError>),
    /// The history cannot be written to its file any more, or can again.
    History(Result<(), &'a std::io::Error>),
}

/// Why a gate does not start.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// Others could reach it, and nothing would tell them apart from the callers that are meant.
    #[error(
        "serve.listen {0} is not the loopback, and there is no token: set LBTEST_TOKEN or serve.token_file"
    )]
    Open(SocketAddr),
    /// The address can't be listened on.
    #[error("cannot listen on {address}: {source}; choose another address or port with --listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The history cannot be kept there.
    #[error("serve.state {} {error}", path.display())]
    History {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: HistoryError,
    },
}

/// A gate that listens, and serves as soon as [`Gate::serve_until`] runs.
#[derive(Debug)]
pub struct Gate {
    listener: TcpListener,
    address: SocketAddr,
    connections: u32,
    shared: Arc<Shared>,
}

/// What the connections and the runs share.
#[derive(Debug)]
struct Shared {
    checks: Vec<NamedCheck>,
    board: Mutex<Board>,
    token: Option<Secret>,
    requests: Requests,
    places: Arc<Places>,
    page: Shown,
    /// Where the history is kept.
    state: Option<PathBuf>,
    /// Told when a run may begin.
    wake: Notify,
    is_stopping: AtomicBool,
}

/// How the runs are limited.
#[derive(Debug)]
struct Limits {
    interval: Option<Duration>,
    max_age: Duration,
    max_runs: NonZeroUsize,
}

impl Gate {
    /// Listens. Connections queue until they are served.
    ///
    /// # Errors
    /// Others could reach the address and there is no token, or it can't be listened on; the history can't be read.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O and time enabled.
    pub fn bind(
        checks: Vec<NamedCheck>,
        serve: &Serve,
        token: Option<Secret>,
    ) -> Result<Self, GateError> {
        let address = serve.listen;
        if token.is_none() && !address.ip().to_canonical().is_loopback() {
            return Err(GateError::Open(address));
        }
        let history = serve.state.as_deref().map_or(Ok(Vec::new()), history::load);
        let history = history.map_err(|error| GateError::History {
            path: serve.state.clone().unwrap_or_default(),
            error,
        })?;
        let (listener, address) =
            serving::listen(address).map_err(|source| GateError::Listen { address, source })?;
        let limits = Limits {
            interval: serve.interval,
            max_age: serve.max_age,
            max_runs: serve.max_runs,
        };
        Ok(Self {
            listener,
            address,
            connections: connections(serve.max_connections),
            shared: Arc::new(Shared {
                board: Mutex::new(Board::new(&checks, &limits, history)),
                checks,
                token,
                requests: Requests::default(),
                places: Arc::default(),
                page: Shown::default(),
                state: serve.state.clone(),
                wake: Notify::new(),
                is_stopping: AtomicBool::new(false),
            }),
        })
    }

    /// Where it listens; the port is the real one where 0 was asked for.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` completes; then begins no further run, says at `/readyz` that it stops, takes
    /// connections for 2 s more, finishes what is in flight within another 2 s, and waits up to 25 s for the runs
    /// under way, which the same signal ends. `tell` hears of every run that has ended, and of a new token.
    ///
    /// Dropping the future cuts all connections off; runs that are under way are not awaited.
    pub async fn serve_until(
        self,
        shutdown: impl Future<Output = ()>,
        tell: impl FnMut(&News<'_>),
    ) {
        let Self {
            listener,
            connections,
            shared,
            ..
        } = self;
        let stopping = async {
            shutdown.await;
            shared.is_stopping.store(true, Ordering::Relaxed);
            shared.wake.notify_one();
            tokio::time::sleep(LINGER).await;
        };
        // The place is taken here and not in the connection's task, so that there is always one to give up.
        let connect = |stream, _client, stage| {
            exchange::serve(stream, shared.places.enter(), Arc::clone(&shared), stage)
        };
        let make_room = || shared.places.make_room();
        tokio::join!(
            serving::serve_until(listener, connections, connect, make_room, stopping),
            runs::keep(&shared, tell),
        );
    }
}

/// How many connections are served at a time: runs need open files too.
fn connections(most: NonZeroUsize) -> u32 {
    let most = u32::try_from(most.get()).unwrap_or(u32::MAX);
    // Refused, the limit stays as it is, and connections wait in the listener's queue.
    let files = machine::raise_open_files().unwrap_or(u64::MAX);
    most.min(u32::try_from(files / 2).unwrap_or(u32::MAX))
        .max(1)
}

impl NamedCheck {
    /// What the configuration expects.
    fn step(&self) -> Step {
        Step {
            split: self.split.clone(),
            backends: Vec::new(),
        }
    }
}

impl Shared {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self, name: &str) -> Option<(usize, &NamedCheck)> {
        let mut checks = self.checks.iter().enumerate();
        checks.find(|(_, check)| check.name == name)
    }

    fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }
}
