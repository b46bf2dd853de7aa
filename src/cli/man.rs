//! `lbtest man`: the manual pages.

use std::fs;
use std::path::PathBuf;

use clap::{Args, Command};
use clap_mangen::Man;

use super::{CommandError, output};
use crate::exit::ExitStatus;
use crate::report::escape::terminal;

/// When the pages last changed beyond their lists of options: man(7) wants a date, and that of the build would make
/// every build another.
const DATE: &str = "2026-11-25";

/// The arguments of `man`.
#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// The subcommand whose page is printed (default: the page of lbtest itself)
    #[arg(value_name = "COMMAND", conflicts_with = "output")]
    command: Option<String>,
    /// Write the pages of lbtest and of every subcommand into this folder
    #[arg(long, value_name = "FOLDER")]
    output: Option<PathBuf>,
}

/// Prints a page, or writes them all.
pub(super) fn run(args: &ManArgs, command: Command) -> Result<ExitStatus, CommandError> {
    // As pages, the `help` subcommands say nothing.
    let mut command = command.disable_help_subcommand(true);
    command.build();
    if let Some(folder) = &args.output {
        let refused = |error: &dyn std::fmt::Display| {
            CommandError::usage(format!(
                "--output {}: {error}; name a folder that can be written",
                terminal(&folder.display().to_string())
            ))
        };
        fs::create_dir_all(folder).map_err(|error| refused(&error))?;
        for command in std::iter::once(&command).chain(command.get_subcommands()) {
            let file = folder.join(format!("{}.1", full_name(command)));
            fs::write(file, page(command)?).map_err(|error| refused(&error))?;
        }
        return Ok(ExitStatus::Pass);
    }
    let asked = match &args.command {
        None => &command,
        Some(name) => command.find_subcommand(name).ok_or_else(|| {
            let known = command.get_subcommands().map(Command::get_name);
            CommandError::usage(format!(
                "there is no page of '{}': there are those of {}",
                terminal(name),
                known.collect::<Vec<_>>().join(", ")
            ))
        })?,
    };
    output::document(&page(asked)?)?;
    Ok(ExitStatus::Pass)
}

/// `lbtest-plan` for the subcommand `plan`.
fn full_name(command: &Command) -> &str {
    command
        .get_display_name()
        .unwrap_or_else(|| command.get_name())
}

fn page(command: &Command) -> Result<String, CommandError> {
    let mut page = Vec::new();
    Man::new(command.clone())
        .date(DATE)
        .source(concat!("lbtest ", env!("CARGO_PKG_VERSION")))
        .manual("lbtest")
        .render(&mut page)
        .map_err(CommandError::usage)?;
    let page = String::from_utf8(page).map_err(CommandError::usage)?;
    // An empty line is a vertical space already; with a break on either side mandoc warns.
    Ok(page.replace("\n.br\n\n.br\n", "\n.sp\n"))
}
