//! Where words go: results to stdout, progress and warnings to stderr, reports to their files.

mod progress;
mod reports;
mod sink;

use std::io::Write;

use anstream::ColorChoice;

use super::value::ColorArg;
pub(super) use progress::ProgressBar;
pub(super) use reports::Outputs;
pub(super) use sink::Sink;

/// Applies `--color` to everything printed from here on.
pub(super) fn color(choice: ColorArg) {
    match choice {
        ColorArg::Auto => ColorChoice::Auto,
        ColorArg::Always => ColorChoice::Always,
        ColorArg::Never => ColorChoice::Never,
    }
    .write_global();
}

/// A result on stdout. A closed stdout is no reason to fail.
pub(super) fn print(text: &str) {
    let mut out = anstream::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// What is said before load is sent.
pub(super) fn note(message: &str) {
    let _ = writeln!(anstream::stderr(), "{message}");
}

/// One sentence on stderr. A closed stderr is no reason to fail.
pub(super) fn warn(message: &str) {
    let _ = writeln!(anstream::stderr(), "warning: {message}");
}

/// Why the program ends without a report.
pub(super) fn error(message: &str) {
    let _ = writeln!(anstream::stderr(), "error: {message}");
}
