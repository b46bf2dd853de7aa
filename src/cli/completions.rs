//! `lbtest completions`: what a shell needs to complete the command line.

use clap::Args;
use clap_complete::Shell;

use super::{CommandError, output};
use crate::exit::ExitStatus;

/// The arguments of `completions`.
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell that is to complete
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the completions of `command`.
pub(super) fn run(
    args: &CompletionsArgs,
    mut command: clap::Command,
) -> Result<ExitStatus, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "lbtest", &mut script);
    output::document(&String::from_utf8(script).map_err(CommandError::usage)?)?;
    Ok(ExitStatus::Pass)
}
