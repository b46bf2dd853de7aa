//! The signals that end a run.

use std::fs;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

use super::machine;

/// Ctrl-C, SIGTERM and SIGHUP, which mean the same.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// The terminal or the SSH session closed; `None` under `nohup`.
    hangup: Option<Signal>,
    /// What means the same within the process.
    stop: Option<Arc<Notify>>,
}

impl Signals {
    /// Takes the signals over from the system's default, which is to end the process. SIGHUP stays ignored where
    /// `nohup` says so.
    ///
    /// # Errors
    /// The handler cannot be set.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: if is_hangup_ignored() {
                None
            } else {
                Some(signal(SignalKind::hangup())?)
            },
            stop: None,
        })
    }

    /// Takes `stop` for a signal, too.
    pub(super) fn or(self, stop: Option<Arc<Notify>>) -> Self {
        Self { stop, ..self }
    }

    /// Waits for one of the signals. After one of the system's, what means the same is no further one.
    ///
    /// # Cancel safety
    /// Dropping it loses no signal.
    pub async fn next(&mut self) {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            Some(()) = hung_up(&mut self.hangup) => {}
            Some(()) = stopped(self.stop.as_deref()) => return,
        }
        self.stop = None;
    }
}

async fn hung_up(hangup: &mut Option<Signal>) -> Option<()> {
    hangup.as_mut()?.recv().await
}

async fn stopped(stop: Option<&Notify>) -> Option<()> {
    stop?.notified().await;
    Some(())
}

/// Whether the process was started with SIGHUP ignored, as `nohup` does.
fn is_hangup_ignored() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hangup(&status))
}

/// The same from `/proc/PID/status` (`proc_pid_status(5)`): the lowest bit of `SigIgn` is signal 1, SIGHUP.
fn ignores_hangup(status: &str) -> bool {
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 == 1)
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
        machine::check_open_files()?;
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
