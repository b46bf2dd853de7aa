//! Where words go: results to stdout, progress and warnings to stderr, reports to their files.

mod ascii;
mod documents;
mod progress;
mod reports;
mod sink;
mod wrapped;

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;

use anstream::ColorChoice;
use clap::{Args, ValueEnum};

use super::CommandError;
use crate::report::escape::workflow_log;
pub(super) use documents::{DocumentArgs, Documents};
pub(super) use progress::ProgressBar;
use reports::Destination;
pub(super) use reports::Outputs;
pub(super) use sink::Sink;

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ColorArg {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Where reports go and how the terminal is used; shared by every command that reports.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct OutputArgs {
    /// Write the report as JSON to a file, or to stdout for '-'
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    pub json: Option<PathBuf>,
    /// Write JUnit XML to a file, or to stdout for '-'
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Write Markdown to a file, or to stdout for '-'; a GitHub step summary is kept and added to
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    /// Write metrics to a file, or to stdout for '-'
    #[arg(long, value_name = "FILE")]
    pub openmetrics: Option<PathBuf>,
    /// Write a page for browsers to a file, or to stdout for '-'
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Write a report in this format to a file, or to stdout: json, junit, markdown, openmetrics or html; repeatable
    #[arg(short = 'o', long, value_name = "FORMAT[=FILE]")]
    pub output: Vec<Destination>,
    /// When to colour
    #[arg(long, value_enum, default_value = "auto")]
    pub color: ColorArg,
    /// No progress display
    #[arg(long)]
    pub no_progress: bool,
    /// Print the verdict alone, on one line, and no notes (-q is --rate, as oha has it)
    #[arg(long)]
    pub quiet: bool,
    /// Say before the run what it promises, and how likely small shifts are to FAIL
    #[arg(short = 'v', long, conflicts_with = "quiet")]
    pub verbose: bool,
}

/// How much is said before load is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    Short,
    Verbose,
}

impl OutputArgs {
    /// Whether a JSON report is written.
    pub(super) fn writes_json(&self) -> bool {
        self.json.is_some() || self.output.iter().any(Destination::is_json)
    }

    pub(super) const fn detail(&self) -> Detail {
        if self.verbose {
            Detail::Verbose
        } else {
            Detail::Short
        }
    }
}

/// Applies `--color` to everything printed from here on.
pub(super) fn color(choice: ColorArg) {
    match choice {
        ColorArg::Auto => ColorChoice::Auto,
        ColorArg::Always => ColorChoice::Always,
        ColorArg::Never => ColorChoice::Never,
    }
    .write_global();
}

/// A result on stdout, in words. A stdout that cannot be written to is no reason to fail.
pub(super) fn print(text: &str) {
    if let Err(error) = written(&fitting(&io::stdout(), &for_people(text))) {
        warn(&format!("the result could not be printed: {error}"));
    }
}

/// A result on stdout that programs read: it is printed as it is, and as a whole.
pub(super) fn document(text: &str) -> Result<(), CommandError> {
    written(text).map_err(|error| CommandError::usage(format!("stdout: {error}")))
}

/// Writes to stdout. A reader that went away (`| head`) has seen what it wanted.
fn written(text: &str) -> io::Result<()> {
    let mut out = anstream::stdout();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.or_else(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(error),
    })
}

/// What is said before load is sent, or after the result.
pub(super) fn note(message: &str) {
    let text = fitting(&io::stderr(), &for_people(message));
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// Whether GitHub Actions reads what is printed, and takes some of it for commands.
fn is_github() -> bool {
    std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true")
}

/// A text in lines that fit the terminal, where it goes to one.
fn fitting(stream: &impl AsFd, text: &str) -> String {
    match terminal_size::terminal_size_of(stream) {
        Some((terminal_size::Width(width @ 1..), _)) => wrapped::wrapped(text, usize::from(width)),
        _ => text.to_owned(),
    }
}

/// A text as the terminal shows it, and no CI job takes it for a command.
fn for_people(text: &str) -> String {
    if is_github() {
        ascii::shown(&workflow_log(text)).into_owned()
    } else {
        ascii::shown(text).into_owned()
    }
}

/// One sentence on stderr. A closed stderr is no reason to fail.
pub(super) fn warn(message: &str) {
    note(&format!("warning: {message}"));
}

/// Why the program ends without a report.
pub(super) fn error(message: &str) {
    note(&format!("error: {message}"));
}
