//! The command line: arguments become a plan, results become output and an exit status.
//!
//! The only importer of clap; with [`crate::report`], the only place that prints.

mod analyze;
mod canary;
mod checks;
mod demo;
mod gate;
mod ingress;
mod lint;
mod manifests;
mod merge;
mod output;
mod plan;
mod serve;
mod shard;
mod value;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::exit::ExitStatus;
use crate::plan::settings::SettingsError;

/// Checks that an ingress splits traffic the way it was told to, with known error rates.
///
/// Sends requests through the ingress, reads from each response which pod answered, tests the observed
/// split against the expected one, and says PASS, FAIL or INCONCLUSIVE.
#[derive(Debug, Parser)]
#[command(
    name = "lbtest",
    version,
    args_conflicts_with_subcommands = true,
    after_help = EXAMPLES,
    after_long_help = DETAILS
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    gate: gate::GateArgs,
}

const EXAMPLES: &str = "\
Examples:
  lbtest demo --expect v1=70,v2=30                      try it, no set-up needed
  lbtest http://10.0.0.7/ --host shop.example --expect v1=70,v2=30
  lbtest analyze --expect v1=70,v2=30 --observed v1=69,v2=30

Exit status: 0 PASS, 1 FAIL, 2 usage, 3 INCONCLUSIVE, 4 could not measure, 130 interrupted";

const DETAILS: &str = "\
Examples:
  lbtest demo --expect v1=70,v2=30
      Starts an ingress with two backends in this process and checks it.
  lbtest http://10.0.0.7/ --host shop.example --expect v1=70,v2=30
      Checks a real one; the number of requests follows from --alpha and --tolerance.
  lbtest analyze --expect v1=70,v2=30 --observed v1=69,v2=30
      Judges counts that were taken elsewhere.

Exit status:
  0    PASS
  1    FAIL
  2    the command line or a configuration cannot be used
  3    INCONCLUSIVE
  4    could not measure (unreachable, or no response names a pod)
  130  interrupted; a partial report is still written

The proxy variables (http_proxy, https_proxy, all_proxy) are ignored: lbtest dials the target itself.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Check an ingress embedded in this process: no set-up needed
    Demo(Box<demo::DemoArgs>),
    /// Run the embedded ingress alone, until Ctrl-C
    Ingress(ingress::IngressArgs),
    /// Show how many requests a promise needs, and the chance of each verdict; sends nothing
    Plan(plan::PlanArgs),
    /// Judge counts, or a log on stdin; sends nothing
    Analyze(analyze::AnalyzeArgs),
    /// Derive a canary's Deployment, Service and Ingress from the stable ones; YAML on stdout
    Canary(canary::CanaryArgs),
    /// Say what is wrong with Kubernetes manifests that split traffic; sends nothing
    Lint(lint::LintArgs),
    /// Judge a run that several machines measured: the reports of its shards, or logs that hold them
    Merge(merge::MergeArgs),
    /// Serve the checks of lbtest.toml to rollout controllers and Prometheus, until Ctrl-C
    Serve(serve::ServeArgs),
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

impl From<SettingsError> for CommandError {
    fn from(error: SettingsError) -> Self {
        Self::usage(error)
    }
}

/// Parses the arguments of this process, does what they say, and returns its exit status.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
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
        Some(Command::Lint(args)) => lint::run(&args),
        Some(Command::Merge(args)) => merge::run(&args),
        Some(Command::Serve(args)) => serve::run(&args),
    };
    match result {
        Ok(status) => status.into(),
        Err(error) => {
            output::error(&error.message);
            error.status.into()
        }
    }
}

/// What clap says over several paragraphs, in one sentence: its message, its tip, and where to read on.
fn one_sentence(error: &clap::Error) -> String {
    let rendered = error.render().to_string();
    let (message, rest) = rendered.split_once("\n\n").unwrap_or((&rendered, ""));
    let joined = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let message = joined(message);
    let message = message.strip_prefix("error: ").unwrap_or(&message);
    let tip = rest
        .lines()
        .find_map(|line| line.trim().strip_prefix("tip: "));
    match tip {
        Some(tip) => format!("{message}; {}; see --help", joined(tip)),
        None => format!("{message}; see --help"),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_argument_error_is_one_sentence_with_the_remedy() {
        let told = |arguments: &[&str]| {
            let error = Cli::try_parse_from(arguments).unwrap_err();
            one_sentence(&error)
        };
        let unknown = told(&["lbtest", "--tolerence", "3"]);
        assert!(
            unknown.contains("'--tolerence'") && unknown.contains("'--tolerance'"),
            "{unknown}"
        );
        let value = told(&["lbtest", "-n", "0"]);
        assert!(
            value.contains("'0'") && value.contains("--requests"),
            "{value}"
        );
        let missing = told(&["lbtest", "plan", "--expect", "a=1", "--shift", "5"]);
        assert!(missing.contains("--power"), "{missing}");
        for sentence in [unknown, value, missing] {
            assert!(!sentence.contains('\n'), "{sentence}");
        }
    }
}
