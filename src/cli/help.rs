//! What `-h` and `--help` show: a screen for the first minutes, and all there is.

use clap::Command;
use clap::builder::StyledStr;

/// What `-h` shows below the usage line. It fits a terminal of 24 lines and 80 columns.
const SCREEN: &str = "\
Everyday options (-h shows these, --help shows all):
  --expect v1=70,v2=30   the weights that were configured; 0: must get nothing
  --host NAME            Host header, which chooses the rule of the ingress
  --tolerance PP         smallest shift that a PASS rules out (5 points)
  -n, --requests N       how many (default: what the promise needs)
  -q, --rate R           pace, such as 500/s or 175/m
  --identify RULE        how a response names its pod, if built-in rules fail
  --json FILE            a report for scripts; --html, --junit and others too

Commands (lbtest COMMAND --help tells more):
COMMANDS

Examples:
  lbtest demo --expect v1=70,v2=30              try it, no set-up needed
  lbtest http://10.0.0.7/ --host shop.example --expect v1=70,v2=30
  lbtest analyze --expect v1=70,v2=30 --observed v1=69,v2=30

Exit status: 0 PASS, 1 FAIL, 2 usage, 3 INCONCLUSIVE, 4 could not measure";

const EXAMPLES: &str = "\
Examples:
  lbtest demo --expect v1=70,v2=30
      Starts an ingress with two backends in this process and checks it.
  lbtest http://10.0.0.7/ --host shop.example --expect v1=70,v2=30
      Checks a real one; the number of requests follows from --alpha and --tolerance.
  lbtest analyze --expect v1=70,v2=30 --observed v1=69,v2=30
      Judges counts that were taken elsewhere.";

const STATUSES: &str = "\
Exit status:
  0    PASS
  1    FAIL
  2    the command line or a configuration cannot be used
  3    INCONCLUSIVE
  4    could not measure (unreachable, or no response names a pod)
  130  interrupted; a partial report is still written

The proxy variables (http_proxy, https_proxy, all_proxy) are ignored: lbtest dials the target itself.";

/// The options that `demo -h` shows: those of the screen above, and what the embedded ingress can be told to do.
const OF_DEMO: &[&str] = &[
    "expect",
    "expect_even",
    "tolerance",
    "requests",
    "rate",
    "sequential",
    "json",
    "html",
    "quiet",
    "split",
    "pods",
    "discipline",
    "limit_rpm",
    "fault",
    "delay",
    "shift",
    "help",
];

/// Gives the command its two helps.
///
/// clap renders both from one template, of which only the text after the options differs. So everything below
/// the usage line stands in that text: a screen in the short one, what clap lists by itself in the long one.
pub(super) fn arranged(command: Command) -> Command {
    let command = telling_defaults(command).mut_subcommand("demo", |demo| {
        demo.mut_args(|arg| {
            let is_shown = OF_DEMO.contains(&arg.get_id().as_str());
            arg.hide_short_help(!is_shown)
        })
        .after_help("Every other option of lbtest works here too, and more of the ingress: --help shows them all.")
        .after_long_help("Every other option of lbtest works here too.")
    });
    let listed = command.clone().help_template("{all-args}");
    let long = format!(
        "{EXAMPLES}\n\n{}\n\n{STATUSES}",
        listed.clone().render_long_help().ansi()
    );
    let mut names: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
    // What is to be tried first comes first.
    names.sort_by_key(|&name| name != "demo");
    let short = SCREEN.replace("COMMANDS", &lines_of(names.into_iter(), 76));
    command
        .help_template("{about-with-newline}\n{usage-heading} {usage}{after-help}")
        .after_help(short)
        .after_long_help(long)
}

/// The command with the defaults that clap knows told as those that it does not know: "(default: 10m)".
fn telling_defaults(command: Command) -> Command {
    command
        .mut_args(|arg| {
            let values = arg.get_default_values().iter();
            let values: Vec<_> = values.map(|value| value.to_string_lossy()).collect();
            if values.is_empty() || !arg.get_action().takes_values() {
                return arg;
            }
            let default = format!(" (default: {})", values.join(", "));
            let describe = |help: &StyledStr| format!("{help}{default}");
            let (short, long) = (
                arg.get_help().map(describe),
                arg.get_long_help().map(describe),
            );
            let mut arg = arg.hide_default_value(true);
            if let Some(short) = short {
                arg = arg.help(short);
            }
            if let Some(long) = long {
                arg = arg.long_help(long);
            }
            arg
        })
        .mut_subcommands(telling_defaults)
}

/// The command with what a manual page says beyond its options.
pub(super) fn with_details(command: Command) -> Command {
    telling_defaults(command).after_long_help(format!("{EXAMPLES}\n\n{STATUSES}"))
}

/// Words in indented lines of at most `width` columns.
fn lines_of<'a>(words: impl Iterator<Item = &'a str>, width: usize) -> String {
    let mut lines = vec![String::from(" ")];
    for word in words {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!("  {word}")),
        }
    }
    lines.join("\n")
}
