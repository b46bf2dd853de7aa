//! `lbtest canary`: a canary's manifests from the stable ones; sends nothing.

use clap::Args;

use super::{CommandError, manifests, output};
use crate::exit::ExitStatus;
use crate::manifest::{CanaryOptions, to_yaml};
use crate::report::escape::terminal;

/// The arguments of `canary`.
#[derive(Debug, Args)]
pub(super) struct CanaryArgs {
    /// The stable manifests: files, folders, or '-' for standard input
    #[arg(value_name = "FILE", required = true)]
    file: Vec<String>,
    /// What is appended, after a '-', to names and to the label that tells the pods apart
    #[arg(long, value_name = "v2")]
    suffix: String,
    /// The canary's image
    #[arg(long, value_name = "NAME:TAG")]
    image: String,
    /// How much of the traffic the canary gets, in percent (of --weight-total)
    #[arg(long, value_name = "30")]
    weight: u64,
    /// What --weight is a part of, 100 or more (default: 100)
    #[arg(long, value_name = "N")]
    weight_total: Option<u64>,
    /// The canary's command, such as 'python app.py': the first word is the command, the rest are its arguments; repeatable
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true)]
    command: Vec<String>,
    /// The canary's arguments; all words of --command are the command then; repeatable
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true)]
    args: Vec<String>,
    /// Which container gets image and command, where there are several
    #[arg(long, value_name = "NAME")]
    container: Option<String>,
    /// Which Deployment, where there are several
    #[arg(long, value_name = "NAME")]
    deployment: Option<String>,
    /// Which Ingress, where there are several
    #[arg(long, value_name = "NAME")]
    ingress: Option<String>,
}

/// Derives the canary and prints it.
pub(super) fn run(args: &CanaryArgs) -> Result<ExitStatus, CommandError> {
    let mut command = all_words("--command", &args.command)?;
    let arguments = if args.args.is_empty() {
        command.split_off(command.len().min(1))
    } else {
        all_words("--args", &args.args)?
    };
    let options = CanaryOptions {
        suffix: args.suffix.clone(),
        image: args.image.clone(),
        weight: args.weight,
        weight_total: args.weight_total,
        command,
        args: arguments,
        container: args.container.clone(),
        deployment: args.deployment.clone(),
        ingress: args.ingress.clone(),
    };
    let canary = manifests::read("canary", &args.file)?.canary(&options)?;
    for note in &canary.notes {
        output::note(&format!("note: {}", terminal(note)));
    }
    output::document(&to_yaml(&canary.objects))?;
    Ok(ExitStatus::Pass)
}

/// The words of an option that may be repeated.
fn all_words(option: &str, texts: &[String]) -> Result<Vec<String>, CommandError> {
    let words: Option<Vec<_>> = texts.iter().map(|text| words(text)).collect();
    let words = words.ok_or_else(|| {
        CommandError::usage(format!(
            "{option} has a quote or a '\\' that nothing follows"
        ))
    })?;
    Ok(words.concat())
}

/// The words of a command line, as a shell divides them; `None` if a quote is not closed.
fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None | Some('"'), '\\') => word.get_or_insert_default().push(rest.next()?),
            (None, '\'' | '"') => {
                word.get_or_insert_default();
                quote = Some(c);
            }
            (None, _) if c.is_whitespace() => words.extend(word.take()),
            (_, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_divided_as_a_shell_divides_it() {
        let words = |text| words(text).map(|words| words.join("|"));
        assert_eq!(words("python app.py").as_deref(), Some("python|app.py"));
        assert_eq!(
            words(r#" sh -c 'a "b" c'  "d \" e" f\ g "" "#).as_deref(),
            Some(r#"sh|-c|a "b" c|d " e|f g|"#)
        );
        assert_eq!(words("a 'b"), None);
        assert_eq!(words("a \\"), None);
    }
}
