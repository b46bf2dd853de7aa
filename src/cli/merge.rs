//! `lbtest merge`: the reports of a run's shards → one verdict.

use std::io::{self, BufReader};
use std::path::PathBuf;

use clap::Args;

use super::output::{OutputArgs, Outputs};
use super::{CommandError, open, output};
use crate::exit::ExitStatus;
use crate::merge::Collection;
use crate::report::escape::terminal;

/// The arguments of `merge`.
#[derive(Debug, Args)]
pub(super) struct MergeArgs {
    /// Reports of shards, with whatever text between them (logs, say); - is stdin
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Reads the reports and judges them together.
pub(super) fn run(args: &MergeArgs) -> Result<ExitStatus, CommandError> {
    output::color(args.output.color);
    let mut outputs = Outputs::open(&args.output)?;
    let usage = |error: &dyn ToString| CommandError::usage(terminal(&error.to_string()));
    let mut shards = Collection::default();
    for path in &args.files {
        if path.as_os_str() == "-" {
            let read = shards.read("stdin", io::stdin().lock());
            read.map_err(|error| usage(&error))?;
            continue;
        }
        let name = path.display().to_string();
        shards
            .read(&name, BufReader::new(open(path)?))
            .map_err(|error| usage(&error))?;
    }
    let mut report = shards.report().map_err(|error| usage(&error))?;
    report.command_line = super::command_line();
    outputs.write(&report)?;
    Ok(report.status())
}
