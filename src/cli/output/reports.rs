//! The reports of one command: any number of formats at once.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{OutputArgs, Sink, ascii, fitting, is_github, warn};
use crate::cli::CommandError;
use crate::report::checks::ChecksReport;
use crate::report::escape::workflow_log;
use crate::report::{Named, Report, annotation, html, json, junit, markdown, openmetrics, text};

/// A rendering that goes to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Junit,
    Markdown,
    OpenMetrics,
    Html,
}

impl Format {
    const fn flag(self) -> &'static str {
        match self {
            Self::Json => "--json",
            Self::Junit => "--junit",
            Self::Markdown => "--markdown",
            Self::OpenMetrics => "--openmetrics",
            Self::Html => "--html",
        }
    }
}

/// A report of `--output`: what, and where.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Destination {
    format: Format,
    path: PathBuf,
}

impl Destination {
    pub(super) fn is_json(&self) -> bool {
        self.format == Format::Json
    }
}

impl FromStr for Destination {
    type Err = String;

    /// Without a file it is stdout, as for oha.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, path) = text.split_once('=').unwrap_or((text, "-"));
        let all = [
            Format::Json,
            Format::Junit,
            Format::Markdown,
            Format::OpenMetrics,
            Format::Html,
        ];
        let named = |format: &Format| format.flag().trim_start_matches("--") == name;
        let format = all.into_iter().find(named);
        let format = format.filter(|_| !path.is_empty()).ok_or_else(|| {
            format!(
                "json, junit, markdown, openmetrics and html are formats, with =FILE behind them where it is no report \
                 on stdout: write -o json={}",
                text.escape_debug()
            )
        })?;
        Ok(Self {
            format,
            path: path.into(),
        })
    }
}

/// The reports of one command, opened.
#[derive(Debug)]
pub(in crate::cli) struct Outputs {
    sinks: Vec<(Format, Sink)>,
    text_on_stderr: bool,
    is_github: bool,
    is_quiet: bool,
}

impl Outputs {
    /// Opens every report's destination.
    pub(in crate::cli) fn open(args: &OutputArgs) -> Result<Self, CommandError> {
        let named = [
            (Format::Json, &args.json),
            (Format::Junit, &args.junit),
            (Format::Markdown, &args.markdown),
            (Format::OpenMetrics, &args.openmetrics),
            (Format::Html, &args.html),
        ];
        let named = named
            .into_iter()
            .filter_map(|(format, path)| Some((format, path.as_ref()?)));
        let written = args.output.iter().map(|one| (one.format, &one.path));
        let mut sinks: Vec<(Format, Sink)> = Vec::new();
        for (format, path) in named.chain(written) {
            let sink = if format == Format::Markdown && is_step_summary(path) {
                Some(Sink::appending(format.flag(), path)?)
            } else {
                Sink::open_report(format.flag(), Some(path))?
            };
            sinks.extend(sink.map(|sink| (format, sink)));
        }
        refuse_shared(&sinks)?;
        Ok(Self {
            text_on_stderr: sinks.iter().any(|(_, sink)| matches!(sink, Sink::Stdout)),
            sinks,
            is_github: is_github(),
            is_quiet: args.quiet,
        })
    }

    /// Writes the report to every destination, and the text where people look.
    pub(in crate::cli) fn write(&mut self, report: &Report) -> Result<(), CommandError> {
        let named = [Named { name: None, report }];
        let message = if self.is_quiet {
            text::first_line(report)
        } else {
            text::render(report)
        };
        self.deliver(message, &named, None)
    }

    /// The same for several checks, which are one document.
    pub(in crate::cli) fn write_checks(
        &mut self,
        report: &ChecksReport,
    ) -> Result<(), CommandError> {
        let message = if self.is_quiet {
            report.conclusion()
        } else {
            report.text()
        };
        self.deliver(message, &report.named(), Some(report))
    }

    fn deliver(
        &mut self,
        mut message: String,
        named: &[Named<'_>],
        whole: Option<&ChecksReport>,
    ) -> Result<(), CommandError> {
        if self.is_github {
            message = workflow_log(&message);
            message.extend(annotation::render(named));
        }
        // On a terminal what was said before stands apart.
        if !self.is_quiet && io::stdout().is_terminal() && io::stderr().is_terminal() {
            message.insert(0, '\n');
        }
        let message = ascii::shown(&message);
        let printed = if self.text_on_stderr {
            anstream::stderr().write_all(fitting(&io::stderr(), &message).as_bytes())
        } else {
            anstream::stdout().write_all(fitting(&io::stdout(), &message).as_bytes())
        };
        // A reader that went away (`| head`) has seen what it wanted; the exit status still tells.
        if let Err(error) = printed
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            warn(&format!("the report could not be printed: {error}"));
        }
        // One destination that fails must not cost the others.
        let mut written = Ok(());
        for (format, sink) in self.sinks.drain(..) {
            let is_stdout = matches!(sink, Sink::Stdout);
            let result = write_one(format, sink, named, whole)
                .or_else(|error| match error.kind() {
                    io::ErrorKind::BrokenPipe if is_stdout => Ok(()),
                    _ => Err(error),
                })
                .map_err(|error| CommandError::usage(format!("{}: {error}", format.flag())));
            written = written.and(result);
        }
        written
    }
}

fn write_one(
    format: Format,
    sink: Sink,
    named: &[Named<'_>],
    whole: Option<&ChecksReport>,
) -> io::Result<()> {
    let room = match &sink {
        Sink::Appended(file, _) => markdown::MOST_BYTES.saturating_sub(length(file)),
        Sink::Stdout | Sink::Replaced(..) | Sink::Direct(_) => markdown::MOST_BYTES,
    };
    sink.write(|out| match format {
        Format::Json => match whole {
            Some(whole) => json::write_document(whole, out),
            None => named
                .iter()
                .try_for_each(|named| json::write(named.report, out)),
        },
        Format::Junit => junit::write(named, whole, out),
        Format::Markdown => out.write_all(markdown::render(named, whole, room).as_bytes()),
        Format::OpenMetrics => out.write_all(openmetrics::render(named).as_bytes()),
        Format::Html => out.write_all(html::render(named, whole).as_bytes()),
    })
}

/// What a file holds already.
fn length(file: &std::fs::File) -> usize {
    let bytes = file.metadata().map_or(0, |about| about.len());
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Whether this is the summary of a GitHub Actions step, to which every command of the step appends.
fn is_step_summary(path: &Path) -> bool {
    std::env::var_os("GITHUB_STEP_SUMMARY").is_some_and(|summary| summary == path.as_os_str())
}

/// One file holds one report.
fn refuse_shared(sinks: &[(Format, Sink)]) -> Result<(), CommandError> {
    let places: Vec<(Format, PathBuf)> = sinks
        .iter()
        .filter_map(|(format, sink)| Some((*format, sink.place()?)))
        .collect();
    for (index, (format, place)) in places.iter().enumerate() {
        let earlier = places[..index].iter().find(|(_, other)| other == place);
        if let Some((other, _)) = earlier {
            let (place, remedy) = if place.as_os_str() == "-" {
                ("stdout".to_owned(), "a file")
            } else {
                (place.display().to_string(), "a file of its own")
            };
            return Err(CommandError::usage(format!(
                "{} and {} both write to {place}: give one of them {remedy}",
                other.flag(),
                format.flag()
            )));
        }
    }
    Ok(())
}
