//! Where words go: results to stdout, progress and warnings to stderr, reports to their files.

use std::fs::{self, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anstream::ColorChoice;
use tempfile::NamedTempFile;

use super::CommandError;
use super::gate::OutputArgs;
use super::value::ColorArg;
use crate::load::Progress;
use crate::plan::Plan;
use crate::report::{Report, json, text};

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

/// A report's destination, opened before load is sent and replaced as a whole afterwards.
pub(super) enum Sink {
    Stdout,
    /// A regular file: written beside its place and renamed into it.
    Replaced(NamedTempFile, PathBuf),
    /// A device or pipe: written to directly.
    Direct(fs::File),
}

impl Sink {
    /// Opens the destination of a report that `flag` names, if it does.
    pub(super) fn open_report(
        flag: &str,
        path: Option<&Path>,
    ) -> Result<Option<Self>, CommandError> {
        let Some(path) = path else {
            return Ok(None);
        };
        Self::open(path).map(Some).map_err(|error| {
            CommandError::usage(format!(
                "{flag} {}: {error}; name a file that can be written, or - for stdout",
                path.display()
            ))
        })
    }

    fn open(path: &Path) -> io::Result<Self> {
        if path.as_os_str() == "-" {
            return Ok(Self::Stdout);
        }
        match fs::metadata(path) {
            Ok(found) if !found.is_file() => {
                return OpenOptions::new().write(true).open(path).map(Self::Direct);
            }
            Ok(_) => drop(OpenOptions::new().write(true).open(path)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        fs::metadata(folder)?;
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // Less the umask, as any new file.
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let file = builder.prefix(".lbtest-").tempfile_in(folder)?;
        Ok(Self::Replaced(file, path.to_owned()))
    }

    pub(super) fn write(
        self,
        rendered: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        match self {
            Self::Stdout => rendered(&mut io::stdout().lock()),
            Self::Direct(mut file) => rendered(&mut file),
            Self::Replaced(mut file, path) => {
                rendered(&mut io::BufWriter::new(&mut file))?;
                file.persist(path).map_err(|error| error.error)?;
                Ok(())
            }
        }
    }
}

/// The reports of one command.
pub(super) struct Outputs {
    json: Option<Sink>,
    text_on_stderr: bool,
}

impl Outputs {
    /// Opens every report's destination.
    pub(super) fn open(args: &OutputArgs) -> Result<Self, CommandError> {
        let json = Sink::open_report("--json", args.json.as_deref())?;
        Ok(Self {
            text_on_stderr: matches!(json, Some(Sink::Stdout)),
            json,
        })
    }

    /// Writes the report to every destination, and the text where people look.
    pub(super) fn write(&mut self, report: &Report) -> Result<(), CommandError> {
        let rendered = text::render(report);
        let printed = if self.text_on_stderr {
            anstream::stderr().write_all(rendered.as_bytes())
        } else {
            anstream::stdout().write_all(rendered.as_bytes())
        };
        // A reader that went away (`| head`) has seen what it wanted; the exit status still tells.
        if let Err(error) = printed
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            warn(&format!("the report could not be printed: {error}"));
        }
        if let Some(sink) = self.json.take() {
            sink.write(|out| json::write(report, out))
                .map_err(|error| CommandError::usage(format!("--json: {error}")))?;
        }
        Ok(())
    }
}

/// A progress display on stderr, when that is a terminal.
pub(super) struct ProgressBar {
    planned: Option<u64>,
    duration: Option<Duration>,
    shown: bool,
    enabled: bool,
}

impl ProgressBar {
    const WIDTH: usize = 30;

    pub(super) fn new(plan: &Plan, args: &OutputArgs) -> Self {
        Self {
            planned: plan.budget.requests.map(std::num::NonZeroU64::get),
            duration: plan.budget.duration,
            shown: false,
            enabled: !args.no_progress && io::stderr().is_terminal(),
        }
    }

    pub(super) fn show(&mut self, seen: Progress) {
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
    pub(super) fn clear(&mut self) {
        if self.shown {
            let _ = write!(anstream::stderr(), "\r\x1b[K");
            self.shown = false;
        }
    }
}
