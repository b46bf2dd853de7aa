//! `lbtest analyze`: a verdict from counts, a log or counters; sends no requests to the ingress.

use std::fmt::Write;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::measure::expected;
use super::options::CriterionArgs;
use super::output::{OutputArgs, Outputs};
use super::{CommandError, counters, logs, manifests, marked, output};
use crate::exit::ExitStatus;
use crate::format;
use crate::identity::assignment::{Group, Mappings};
use crate::identity::finder::Naming;
use crate::identity::log::{self, Answers, Misread};
use crate::identity::proposal::Proposal;
use crate::identity::rule::Rules;
use crate::plan::settings::{ExpectEven, SettingsError};
use crate::report::Report;
use crate::split::Split;
use crate::stats::judge::Judge;
use crate::tally::count;
use crate::tally::monitor::standing_at;
use crate::tally::pods::{Interner, PodRegistry};
use crate::verdict::{Evidence, judge_counts, unidentified};

/// The arguments of `analyze`.
#[derive(Debug, Args)]
pub(super) struct AnalyzeArgs {
    #[command(flatten)]
    criterion: CriterionArgs,
    /// Responses of each backend (default: read a log, or what uniq -c counted, from stdin)
    #[arg(long, value_name = "v1=69,v2=30", conflicts_with_all = ["identify", "backend"])]
    observed: Option<String>,
    /// Responses without an identity, beside --observed
    #[arg(long, value_name = "N", default_value_t = 0, requires = "observed")]
    unattributed: u64,
    /// Judge --observed as one look of a sequential run
    #[arg(long, requires = "observed")]
    sequential: bool,
    /// How a response in the log names its pod: REGEX (group 1) or `json:/pointer`; repeatable
    #[arg(long, value_name = "RULE")]
    identify: Vec<String>,
    /// Judge the marked run of this report (--identify logs) by the pods' own logs, from LOG or stdin
    #[arg(long, value_name = "FILE", conflicts_with_all = ["observed", "identify", "format", "expect", "expect_even",
        "even_tolerance", "alpha", "tolerance", "judge", "max_unattributed", "seed"])]
    run: Option<PathBuf>,
    /// Logs of pods, named after them or with the prefixes of kubectl logs --prefix (default: stdin)
    #[arg(value_name = "LOG", requires = "run")]
    logs: Vec<PathBuf>,
    #[command(flatten)]
    log: logs::LogArgs,
    #[command(flatten)]
    counters: counters::CounterArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Counts beyond this are no counts of requests; sums stay exact in double precision.
const MOST: u64 = 1_000_000_000_000_000;

/// Judges the counts.
#[expect(
    clippy::too_many_lines,
    reason = "where counts come from, one way after the other"
)]
pub(super) fn run(args: &AnalyzeArgs) -> Result<ExitStatus, CommandError> {
    output::color(args.output.color);
    let settings = args.criterion.settings();
    settings.refuse_idle(&settings)?;
    if args.observed.is_none()
        && settings
            .expectation
            .expect_from
            .iter()
            .any(|path| path == "-")
    {
        return Err(CommandError::usage(
            "--expect-from - and the log both read standard input: give the manifests as files",
        ));
    }
    if let Some(run) = &args.run {
        return marked::run(run, &args.logs, settings, &args.output);
    }
    let access_log = args.log.log()?;
    let counters = args.counters.asked();
    let (mut settings, _) = manifests::resolve(settings)?;
    if access_log.is_some() {
        let backends = &mut settings.promise.backend;
        *backends = logs::as_known(backends);
    }
    let split = expected(&settings)?;
    let mappings = settings.mappings(&split)?;
    let mut claim = settings.claim(split)?;
    if claim.within.is_some() {
        let others = [
            ("--observed", args.observed.is_some()),
            ("--sequential", args.sequential),
            ("--format", access_log.is_some()),
            ("--metrics", counters == Some("--metrics")),
            ("--prometheus", counters == Some("--prometheus")),
        ];
        if let Some((flag, _)) = others.into_iter().find(|&(_, is_given)| is_given) {
            return Err(CommandError::usage(SettingsError::EvenWith(flag)));
        }
    }
    let mut outputs = Outputs::open(&args.output)?;
    let (mut findings, mut assumed, mut naming) = (Vec::new(), None, Naming::default());
    let mut evidence = match (&args.observed, &access_log) {
        (Some(text), _) => observed(text, args.unattributed, &claim.split)?,
        (None, Some(log)) => {
            let read = logs::read(log, mappings)?;
            findings = read.summary.findings(log.is_independent);
            read.evidence
        }
        (None, None) if counters.is_some() => {
            let read = args.counters.read(mappings)?;
            findings = read.summary.findings();
            assumed = Some(read.summary.assumption());
            read.evidence
        }
        (None, None) => {
            let (evidence, found) = log(&args.identify, mappings, &claim.split)?;
            naming = found;
            evidence
        }
    };
    evidence.is_given = true;
    if args.sequential {
        if claim.criterion.judge == Judge::Significance {
            return Err(CommandError::usage(SettingsError::SequentialSignificance));
        }
        let (observed, missing) = (&evidence.observed, evidence.unattributed);
        evidence.standing = Some(standing_at(&claim, observed, missing));
    }
    if settings.expectation.expect_even == Some(ExpectEven::WhoAnswers) {
        if claim.within.is_none() && evidence.groups.len() < 2 {
            let why = match evidence.groups.len() {
                0 => "nothing names a pod, and evenness takes two",
                _ => "one pod answered everything, and evenness takes two",
            };
            return Err(CommandError::not_measured(why));
        }
        claim = claim
            .of_found(&evidence.groups)
            .map_err(CommandError::usage)?;
    }
    let claim = claim.naming(evidence.groups.iter());
    let mut outcome = judge_counts(&claim, &evidence);
    let groups = evidence.groups.iter();
    let doubt = unidentified::is_it_the_ingress(&naming, groups, &outcome.assignment);
    if let Some(doubt) = doubt.filter(|_| !claim.split.is_of_pods()) {
        return Err(not_judged(&doubt.message));
    }
    outcome.reasons.extend(assumed);
    outcome.findings.extend(findings);
    let mut report = Report::of_counts(&claim, &evidence, &outcome);
    report.command_line = super::command_line();
    outputs.write(&report)?;
    Ok(report.status())
}

/// Reads `v1=69,v2=30`; a backend that is left out has got nothing.
fn observed(text: &str, unattributed: u64, split: &Split) -> Result<Evidence, CommandError> {
    let mut observed: Vec<Option<u64>> = vec![None; split.len()];
    for item in text.split(',').map(str::trim) {
        let refused = |why: &str| {
            let item = item.escape_debug();
            CommandError::usage(format!("--observed '{item}': {why}"))
        };
        let (label, count) = item
            .split_once('=')
            .ok_or_else(|| refused("write label=count pairs such as v1=69,v2=30"))?;
        let backend = split.position(label.trim()).ok_or_else(|| {
            refused(&format!(
                "--expect has no such backend, it has {}",
                split.labels().join(", ")
            ))
        })?;
        let count: u64 = count
            .trim()
            .parse()
            .ok()
            .filter(|&count| count <= MOST)
            .ok_or_else(|| refused("the count is not a whole number from 0 to 10^15"))?;
        if observed[backend].replace(count).is_some() {
            return Err(refused("the backend is given twice"));
        }
    }
    if unattributed > MOST {
        return Err(CommandError::usage(
            "--unattributed is not a number from 0 to 10^15",
        ));
    }
    let group = |(backend, label): (usize, &String)| Group {
        explicit: Some(backend),
        ..Group::alone(label)
    };
    Ok(Evidence {
        groups: split.labels().iter().enumerate().map(group).collect(),
        observed: observed
            .into_iter()
            .map(Option::unwrap_or_default)
            .collect(),
        unattributed,
        ..Evidence::default()
    })
}

/// Reads the responses that a log on stdin records, and says how it was read.
fn log(
    identify: &[String],
    mappings: Mappings,
    split: &Split,
) -> Result<(Evidence, Naming), CommandError> {
    if io::stdin().is_terminal() {
        output::warn("reading a log from stdin; give counts with --observed instead");
    }
    let rules = Rules::parse(identify).map_err(CommandError::usage)?;
    let answers = log::read(io::stdin().lock(), &rules, split.labels())
        .map_err(|misread| refused(misread, split))?;
    let all = answers.named_in_all().saturating_add(answers.unnamed);
    if all == 0 && answers.passed_over == 0 {
        return Err(CommandError::not_measured(
            "the log on stdin is empty: give one, or counts with --observed v1=69,v2=30",
        ));
    }
    if all > MOST {
        return Err(CommandError::usage(
            "stdin: the counts sum to more than 10^15",
        ));
    }
    output::note(&log_summary(&answers));
    let registry = PodRegistry::shared(mappings);
    let mut interner = Interner::new(Arc::clone(&registry));
    let mut observed: Vec<u64> = Vec::new();
    for (name, times) in &answers.named {
        count(&mut observed, interner.group_of(name), *times);
    }
    let evidence = Evidence {
        groups: registry.groups(),
        observed,
        unattributed: answers.unnamed,
        ..Evidence::default()
    };
    let naming = Naming {
        several: answers.several,
        ..Naming::default()
    };
    Ok((evidence, naming))
}

/// How a log was read.
fn log_summary(answers: &Answers) -> String {
    let mut summary = format!(
        "read {}: {} naming somebody, {} nobody",
        format::count(answers.named_in_all() + answers.unnamed, "answer"),
        answers.named_in_all(),
        answers.unnamed
    );
    if answers.passed_over > 0 {
        let _ = write!(
            summary,
            "; {} passed over, for being no answer",
            format::count(answers.passed_over, "other line")
        );
    }
    if let Some(first) = &answers.first_unnamed {
        let _ = write!(summary, "; the first line that names nobody: \"{first}\"");
    }
    if let Some(note) = answers.note {
        let _ = write!(summary, "; {note}");
    }
    if let Some(place) = &answers.place {
        let _ = write!(summary, "; {}", unidentified::naming(place));
    }
    summary
}

/// Why a log is not judged, and what to do.
fn refused(misread: Misread, split: &Split) -> CommandError {
    const REMEDY: &str = "say how a line names its pod with --identify REGEX, or give the counts with --observed v1=69,v2=30";
    let message = match &misread {
        Misread::Io(_) => return CommandError::usage(misread),
        Misread::Nobody { samples, .. } => {
            match Proposal::of(split.labels(), split.shares(), samples) {
                Some(proposal) => format!(
                    "{misread}; {}; or {REMEDY}",
                    unidentified::proposed(&proposal)
                ),
                None => format!("{misread}; {REMEDY}"),
            }
        }
        Misread::Foreign(_) | Misread::Doubt(_) => format!("{misread}; {REMEDY}"),
    };
    not_judged(&message)
}

fn not_judged(why: &str) -> CommandError {
    CommandError::not_measured(format!("the log is not judged: {why}"))
}
