//! The command line of this process, for reports: what was typed, without what may be a secret.

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

use crate::identity::proposal::quoted;

/// The command line as a shell reads it back; what may be a secret is an ellipsis. `None` where nothing was typed.
pub(super) fn shown(command: &Command) -> Option<String> {
    shown_of(command, super::kubectl::arguments().into_iter())
}

fn shown_of(
    command: &Command,
    arguments: impl Iterator<Item = std::ffi::OsString>,
) -> Option<String> {
    let matches = command.clone().try_get_matches_from(arguments).ok()?;
    let mut words = vec![command.get_name().to_owned()];
    let typed = match matches.subcommand() {
        Some((name, own)) => {
            words.push(name.to_owned());
            typed(command.find_subcommand(name)?, own)
        }
        None => typed(command, &matches),
    };
    words.extend(typed);
    Some(words.join(" "))
}

/// The options and arguments that were typed, in their order.
fn typed(command: &Command, matches: &ArgMatches) -> Vec<String> {
    let mut typed: Vec<(usize, String)> = Vec::new();
    for arg in command.get_arguments() {
        let id = arg.get_id().as_str();
        if matches.value_source(id) != Some(ValueSource::CommandLine) {
            continue;
        }
        let places = matches.indices_of(id).into_iter().flatten();
        let values = matches.get_raw(id).into_iter().flatten();
        for (place, value) in places.zip(values) {
            typed.push((place, word(arg, &value.to_string_lossy())));
        }
    }
    typed.sort_by_key(|(place, _)| *place);
    typed.into_iter().map(|(_, word)| word).collect()
}

fn word(arg: &Arg, value: &str) -> String {
    let Some(long) = arg.get_long() else {
        return quoted(value);
    };
    if arg.get_action().takes_values() {
        quoted(&format!(
            "--{long}={}",
            harmless(arg.get_id().as_str(), value)
        ))
    } else {
        format!("--{long}")
    }
}

/// A value without what may be a secret in it.
fn harmless(id: &str, value: &str) -> String {
    let before = |sign: char| value.split_once(sign).map_or("", |(name, _)| name);
    match id {
        "header" => format!("{}: …", before(':')),
        "cookie" => format!("{}=…", before('=')),
        "user" => format!("{}:…", before(':')),
        "data" | "send" if !value.starts_with('@') => "…".to_owned(),
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn what_was_typed_is_told_whatever_its_spelling_and_secrets_are_not() {
        let describe = |arguments: &[&str]| {
            let arguments = arguments.iter().map(std::ffi::OsString::from);
            shown_of(&Cli::command(), arguments).unwrap()
        };
        let line = describe(&[
            "lbtest",
            "http://a/",
            "-kume:secret",
            "-n",
            "9",
            "-HAuthorization: Bearer secret",
            "-bs=secret",
            "-dsecret",
        ]);
        assert_eq!(
            line,
            "lbtest http://a/ --insecure '--user=me:…' --requests=9 '--header=Authorization: …' '--cookie=s=…' '--data=…'"
        );
        assert!(!line.contains("secret"));
        let line = describe(&[
            "lbtest",
            "demo",
            "--sequential",
            "--expect=a=1,b=2",
            "-d",
            "@file",
        ]);
        assert_eq!(
            line,
            "lbtest demo --sequential --expect=a=1,b=2 --data=@file"
        );
    }
}
