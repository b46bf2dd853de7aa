//! The signals that end a run.

use std::io;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Ctrl-C and SIGTERM, which mean the same.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Takes both signals over from the system's default, which is to end the process.
    ///
    /// # Errors
    /// The handler cannot be set.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for either signal.
    ///
    /// # Cancel safety
    /// Dropping it loses no signal.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Whether a signal came since it was last asked, for code that is not async.
#[derive(Debug)]
pub struct Pending {
    runtime: Runtime,
    signals: Signals,
}

impl Pending {
    /// As [`Signals::new`]; a signal counts from here on.
    ///
    /// # Errors
    /// The handler cannot be set.
    pub fn new() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let signals = {
            let _inside = runtime.enter();
            Signals::new()?
        };
        Ok(Self { runtime, signals })
    }

    /// Whether one came, also while another runtime took it.
    pub fn came(&mut self) -> bool {
        let Self { runtime, signals } = self;
        // The wait lets the runtime read what the signal handler wrote.
        let moment = Duration::from_millis(1);
        runtime.block_on(async { tokio::time::timeout(moment, signals.next()).await.is_ok() })
    }
}
