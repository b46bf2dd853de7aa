//! The progress display.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use crate::cli::gate::OutputArgs;
use crate::load::Progress;
use crate::plan::Plan;

/// A progress display on stderr, when that is a terminal.
pub(in crate::cli) struct ProgressBar {
    planned: Option<u64>,
    duration: Option<Duration>,
    shown: bool,
    enabled: bool,
}

impl ProgressBar {
    const WIDTH: usize = 30;

    pub(in crate::cli) fn new(plan: &Plan, args: &OutputArgs) -> Self {
        Self {
            planned: plan.budget.requests.map(std::num::NonZeroU64::get),
            duration: plan.budget.duration,
            shown: false,
            enabled: !args.no_progress && io::stderr().is_terminal(),
        }
    }

    pub(in crate::cli) fn show(&mut self, seen: Progress) {
        if !self.enabled {
            return;
        }
        let done = match (self.planned, self.duration) {
            (Some(planned), _) => seen.dispatched as f64 / planned as f64,
            (None, Some(duration)) => seen.elapsed.as_secs_f64() / duration.as_secs_f64(),
            (None, None) => 0.0,
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to 0..=WIDTH"
        )]
        let filled = (done.clamp(0.0, 1.0) * Self::WIDTH as f64) as usize;
        let of = self.planned.map_or(String::new(), |n| format!(" of {n}"));
        let _ = write!(
            anstream::stderr(),
            "\r[{}{}] {}{of} requests, {:.1} s\x1b[K",
            "#".repeat(filled),
            " ".repeat(Self::WIDTH - filled),
            seen.dispatched,
            seen.elapsed.as_secs_f64()
        );
        self.shown = true;
    }

    /// Takes the display away.
    pub(in crate::cli) fn clear(&mut self) {
        if self.shown {
            let _ = write!(anstream::stderr(), "\r\x1b[K");
            self.shown = false;
        }
    }
}
