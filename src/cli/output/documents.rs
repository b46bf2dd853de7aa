//! The reports of a command that writes JSON and Markdown.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::{Sink, print};
use crate::cli::CommandError;

/// Where they go.
#[derive(Debug, Args)]
pub(in crate::cli) struct DocumentArgs {
    /// Write the report as JSON to a file, or to stdout for '-'
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    json: Option<PathBuf>,
    /// Write Markdown to a file, or to stdout for '-'
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

/// The reports, opened.
#[derive(Debug)]
pub(in crate::cli) struct Documents {
    json: Option<Sink>,
    markdown: Option<Sink>,
}

impl Documents {
    /// Those of a command that writes JSON alone.
    pub(in crate::cli) fn of_json(path: Option<&Path>) -> Result<Self, CommandError> {
        Ok(Self {
            json: Sink::open_report("--json", path)?,
            markdown: None,
        })
    }

    /// Opens their destinations.
    pub(in crate::cli) fn open(args: &DocumentArgs) -> Result<Self, CommandError> {
        let documents = Self {
            json: Sink::open_report("--json", args.json.as_deref())?,
            markdown: Sink::open_report("--markdown", args.markdown.as_deref())?,
        };
        if is_stdout(documents.json.as_ref()) && is_stdout(documents.markdown.as_ref()) {
            return Err(CommandError::usage(
                "--json and --markdown both write to stdout: give one of them a file",
            ));
        }
        Ok(documents)
    }

    /// Writes them; the text goes to stdout unless one of them does.
    pub(in crate::cli) fn write(
        self,
        text: &str,
        document: &impl Serialize,
        markdown: &str,
    ) -> Result<(), CommandError> {
        if !is_stdout(self.json.as_ref()) && !is_stdout(self.markdown.as_ref()) {
            print(text);
        }
        let json = serde_json::to_string_pretty(document).map_err(CommandError::usage)?;
        let all = [
            ("--json", self.json, &*json),
            ("--markdown", self.markdown, markdown),
        ];
        for (flag, sink, text) in all {
            let Some(sink) = sink else { continue };
            sink.write(|out| writeln!(out, "{}", text.trim_end()))
                .map_err(|error| CommandError::usage(format!("{flag}: {error}")))?;
        }
        Ok(())
    }
}

fn is_stdout(sink: Option<&Sink>) -> bool {
    matches!(sink, Some(Sink::Stdout))
}
