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
    let names = command.get_subcommands().map(clap::Command::get_name);
    let names: Vec<String> = names.chain(["help"]).map(str::to_owned).collect();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "lbtest", &mut script);
    let script = String::from_utf8(script).map_err(CommandError::usage)?;
    output::document(&match args.shell {
        Shell::Zsh => for_zsh(&script, &names),
        Shell::Fish => for_fish(&script, &names),
        _ => script,
    })?;
    Ok(ExitStatus::Pass)
}

/// Lets zsh complete what follows a subcommand.
///
/// clap's script takes the first word for the URL and looks for the subcommand in the second. So a subcommand in the
/// first gets an empty URL before it.
fn for_zsh(script: &str, subcommands: &[String]) -> String {
    let shift = format!(
        "_lbtest() {{\n    if (( CURRENT > 2 )) && [[ $words[2] == ({}) ]]; then\n        \
         words=($words[1] '' \"${{(@)words[2,-1]}}\")\n        (( CURRENT++ ))\n    fi\n",
        subcommands.join("|")
    );
    script.replacen("_lbtest() {\n", &shift, 1)
}

/// Lets fish complete what follows a URL, and the values of options.
///
/// clap's script takes the first word that is no option for a subcommand, a URL too, and stops at an option whose
/// value is being typed. A subcommand of lbtest can be the first word alone.
fn for_fish(script: &str, subcommands: &[String]) -> String {
    format!(
        "{script}\nfunction __fish_lbtest_needs_command\n    set -l cmd (commandline -opc)\n    \
         if contains -- \"$cmd[2]\" {}\n        echo $cmd[2]\n        return 1\n    end\nend\n",
        subcommands.join(" ")
    )
}
