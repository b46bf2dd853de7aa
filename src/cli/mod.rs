//! The command line: arguments become a plan, results become output and an exit status.
//!
//! The only importer of clap; with [`crate::report`], the only place that prints.

mod analyze;
mod announcement;
mod canary;
mod checks;
mod compare;
mod completions;
mod connections;
mod counters;
mod demo;
mod derive;
mod follow;
mod gate;
mod help;
mod ingress;
mod invocation;
mod kubectl;
mod lint;
mod logs;
mod man;
mod manifests;
mod marked;
mod measure;
mod merge;
mod notice;
mod notices;
mod options;
mod output;
mod pair;
mod plan;
mod probe;
mod serve;
mod shard;
mod suggestion;

use std::fs::File;
use std::path::Path;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::exit::ExitStatus;
use crate::ingress::IngressError;
use crate::plan::settings::SettingsError;
use crate::report::escape::terminal;

/// Checks that an ingress splits traffic as it was told to, with known error rates.
///
/// Sends requests through the ingress, reads from each response which pod answered, tests the observed
/// split against the expected one, and says PASS, FAIL or INCONCLUSIVE.
#[derive(Debug, Parser)]
#[command(name = "lbtest", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    gate: options::GateArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check an ingress embedded in this process: no set-up needed
    ///
    /// The ingress splits as its own options say, or else as --expect says (default: v1=70,v2=30). At the end stderr
    /// explains what happened and what to try next, unless --no-progress is given.
    Demo(Box<demo::DemoArgs>),
    /// Run the embedded ingress alone, until Ctrl-C
    Ingress(ingress::IngressArgs),
    /// Show how many requests a promise needs, and the chance of each verdict; sends nothing
    Plan(plan::PlanArgs),
    /// Judge counts, or a log on stdin; sends nothing
    Analyze(Box<analyze::AnalyzeArgs>),
    /// Derive a canary's Deployment, Service and Ingress from the stable ones; YAML on stdout
    Canary(canary::CanaryArgs),
    /// Write an lbtest.toml that checks every rule of Kubernetes manifests; sends nothing
    Checks(derive::ChecksArgs),
    /// Compare two routing tables rule by rule, or two ingresses by trying both
    Compare(compare::CompareArgs),
    /// Follow a rollout: test each split that a stream of objects asks for, and say when it was live
    Follow(Box<follow::FollowArgs>),
    /// Say what is wrong with Kubernetes manifests that split traffic; sends nothing
    Lint(lint::LintArgs),
    /// Judge a run that several machines measured: the reports of its shards, or logs that hold them
    Merge(merge::MergeArgs),
    /// Serve the checks of lbtest.toml to rollout controllers and Prometheus, until Ctrl-C
    Serve(serve::ServeArgs),
    /// Print what a shell needs to complete the command line
    Completions(completions::CompletionsArgs),
    /// Print a manual page, or write them all
    Man(man::ManArgs),
}

/// One sentence for a person, and the status to end with.
#[derive(Debug)]
struct CommandError {
    status: ExitStatus,
    message: String,
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the constructors serve map_err"
)]
impl CommandError {
    fn usage(message: impl ToString) -> Self {
        Self {
            status: ExitStatus::Usage,
            message: message.to_string(),
        }
    }

    /// The same, of one of several checks.
    fn of_check(self, name: &str) -> Self {
        Self {
            message: format!("check '{name}': {}", self.message),
            ..self
        }
    }

    fn not_measured(message: impl ToString) -> Self {
        Self {
            status: ExitStatus::NotMeasured,
            message: message.to_string(),
        }
    }
}

/// Opens a file that is to be read.
fn open(path: &Path) -> Result<File, CommandError> {
    File::open(path).map_err(|error| {
        let path = path.display().to_string();
        CommandError::usage(format!(
            "{}: {error}; name a file that can be read",
            terminal(&path)
        ))
    })
}

impl From<IngressError> for CommandError {
    fn from(error: IngressError) -> Self {
        match error {
            IngressError::Thread(_) => Self::not_measured(error),
            _ => Self::usage(error),
        }
    }
}

impl From<SettingsError> for CommandError {
    fn from(error: SettingsError) -> Self {
        Self::usage(error)
    }
}

/// The command line with all its subcommands and arguments, for whoever walks them.
pub fn command() -> clap::Command {
    Cli::command()
}

/// What is said below the error when nothing was typed.
const FIRST_STEPS: &str = "\
try:
  lbtest demo                                   needs no set-up
  lbtest http://10.0.0.7/ --host shop.example --expect v1=70,v2=30
  lbtest -h                                     the everyday options";

/// Parses the arguments of this process, does what they say, and returns its exit status.
pub fn run() -> ExitCode {
    let command = command();
    let typed = kubectl::arguments();
    let first = typed.get(1).cloned().unwrap_or_default();
    let subcommands = command.get_subcommands().map(clap::Command::get_name);
    let subcommands: Vec<&str> = subcommands.collect();
    let misspelt = suggestion::misspelt_subcommand(&first.to_string_lossy(), &subcommands);
    let arguments = typed
        .iter()
        .skip(1)
        .map(|argument| argument.to_string_lossy().into_owned());
    let of_others = || suggestion::of_one_dash(arguments).map(|flag| unknown_flag(&flag, None));
    if let Some(sentence) = misspelt.or_else(of_others) {
        output::error(&sentence);
        return ExitStatus::Usage.into();
    }
    let parsed = taking_negative_numbers(help::arranged(command))
        .try_get_matches_from(&typed)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        // Help and version go to stdout with status 0.
        Err(error) if !error.use_stderr() => {
            let _ = error.print();
            return ExitStatus::Pass.into();
        }
        Err(error) => {
            output::error(&one_sentence(&error));
            return ExitStatus::Usage.into();
        }
    };
    let result = match cli.command {
        None => gate::run(&cli.gate),
        Some(Command::Demo(args)) => demo::run(&args),
        Some(Command::Ingress(args)) => ingress::run(&args),
        Some(Command::Plan(args)) => plan::run(&args),
        Some(Command::Analyze(args)) => analyze::run(&args),
        Some(Command::Canary(args)) => canary::run(&args),
        Some(Command::Checks(args)) => derive::run(&args),
        Some(Command::Compare(args)) => compare::run(&args),
        Some(Command::Follow(args)) => follow::run(&args),
        Some(Command::Lint(args)) => lint::run(&args),
        Some(Command::Merge(args)) => merge::run(&args),
        Some(Command::Serve(args)) => serve::run(&args),
        Some(Command::Completions(args)) => completions::run(&args, Cli::command()),
        Some(Command::Man(args)) => man::run(&args, help::with_details(Cli::command())),
    };
    match result {
        Ok(status) => status.into(),
        Err(error) => {
            output::error(&error.message);
            if error.message == SettingsError::NoSplit.to_string() && typed.len() == 1 {
                output::note(FIRST_STEPS);
            }
            error.status.into()
        }
    }
}

/// What was typed, for reports.
fn command_line() -> Option<String> {
    invocation::shown(&taking_negative_numbers(Cli::command()))
}

/// The command with `-5` taken for a value, so that its refusal names the option that it was given to.
fn taking_negative_numbers(command: clap::Command) -> clap::Command {
    command
        .allow_negative_numbers(true)
        .mut_subcommands(|subcommand| subcommand.allow_negative_numbers(true))
}

/// A flag that lbtest has not, and what to write in its place.
fn unknown_flag(flag: &str, tip: Option<String>) -> String {
    let remedy = suggestion::in_place_of(flag).map(str::to_owned).or(tip);
    let remedy = remedy
        .map(|remedy| format!("; {remedy}"))
        .unwrap_or_default();
    format!(
        "there is no option '{}'{remedy}; see --help",
        flag.escape_debug()
    )
}

/// What the standard library says of a number, and clap of a word too many, as people say it.
fn in_plain_words(message: &str) -> String {
    let of_subcommand = message.strip_prefix("the subcommand ");
    if let Some(rest) = of_subcommand.filter(|rest| rest.contains("[URL]")) {
        let word = rest.split(" cannot be used").next().unwrap_or_default();
        return format!("{word} is one word too many: what stands before it was taken for the URL");
    }
    let whole = "write a whole number";
    [
        (
            "number would be zero for non-zero type",
            "write a whole number of at least 1",
        ),
        ("invalid digit found in string", whole),
        ("cannot parse integer from empty string", whole),
        (
            "number too large to fit in target type",
            "write a smaller number",
        ),
    ]
    .iter()
    .fold(message.to_owned(), |message, (said, plain)| {
        message.replace(said, plain)
    })
}

/// What clap says over several paragraphs, in one sentence: its message, its tip, and where to read on.
fn one_sentence(error: &clap::Error) -> String {
    let rendered = error.render().to_string();
    let (message, rest) = rendered.split_once("\n\n").unwrap_or((&rendered, ""));
    let joined = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let message = joined(message);
    let message = message.strip_prefix("error: ").unwrap_or(&message);
    let message = &in_plain_words(message);
    let tip = rest
        .lines()
        .find_map(|line| line.trim().strip_prefix("tip: "));
    let unknown = error.get(ContextKind::InvalidArg);
    if let (ErrorKind::UnknownArgument, Some(ContextValue::String(flag))) = (error.kind(), unknown)
    {
        return unknown_flag(flag, tip.map(joined));
    }
    match tip {
        Some(tip) => format!("{message}; {}; see --help", joined(tip)),
        None => format!("{message}; see --help"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_argument_error_is_one_sentence_with_the_remedy() {
        let describe = |arguments: &[&str]| {
            let error = Cli::try_parse_from(arguments).unwrap_err();
            one_sentence(&error)
        };
        let unknown = describe(&["lbtest", "--tolerence", "3"]);
        assert!(
            unknown.contains("'--tolerence'") && unknown.contains("'--tolerance'"),
            "{unknown}"
        );
        let value = describe(&["lbtest", "-n", "0"]);
        assert!(
            value.contains("'0'") && value.contains("--requests"),
            "{value}"
        );
        let foreign = describe(&["lbtest", "--vus", "50"]);
        assert!(foreign.contains("'--vus'; write -c N"), "{foreign}");
        let missing = describe(&["lbtest", "plan", "--expect", "a=1", "--shift", "5"]);
        assert!(missing.contains("--power"), "{missing}");
        for sentence in [unknown, value, foreign, missing] {
            assert!(!sentence.contains('\n'), "{sentence}");
        }
    }
}
