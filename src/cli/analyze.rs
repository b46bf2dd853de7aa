//! `lbtest analyze`: a verdict from counts, or from a log on stdin; sends nothing.

use std::io::{self, IsTerminal};
use std::sync::Arc;

use clap::Args;

use super::measure::expected;
use super::options::CriterionArgs;
use super::output::{OutputArgs, Outputs};
use super::{CommandError, manifests, output};
use crate::exit::ExitStatus;
use crate::identity::assignment::{Group, Mappings};
use crate::identity::counts::{self, MAX_COUNT};
use crate::identity::log::Responses;
use crate::identity::rule::Rules;
use crate::plan::settings::Settings;
use crate::report::Report;
use crate::split::Split;
use crate::tally::monitor::standing_at;
use crate::tally::pods::{GroupId, Interner, PodRegistry};
use crate::verdict::{Evidence, judge_counts};

/// The arguments of `analyze`.
#[derive(Debug, Args)]
pub(super) struct AnalyzeArgs {
    #[command(flatten)]
    criterion: CriterionArgs,
    /// Responses of each backend (default: read a log, or what uniq -c counted, from stdin)
    #[arg(long, value_name = "v1=69,v2=30")]
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
    #[command(flatten)]
    output: OutputArgs,
}

/// Judges the counts.
pub(super) fn run(args: &AnalyzeArgs) -> Result<ExitStatus, CommandError> {
    output::color(args.output.color);
    let settings = args.criterion.over(Settings::default());
    if args.observed.is_none() && settings.expect_from.iter().any(|path| path == "-") {
        return Err(CommandError::usage(
            "--expect-from - and the log both read standard input: give the manifests as files",
        ));
    }
    let (settings, _) = manifests::resolve(settings)?;
    let split = expected(&settings)?;
    let mappings = settings.mappings(&split)?;
    let claim = settings.claim(split)?;
    let mut outputs = Outputs::open(&args.output)?;
    let mut evidence = match &args.observed {
        Some(text) => observed(text, args.unattributed, &claim.split)?,
        None => log(&args.identify, mappings)?,
    };
    if args.sequential {
        let (observed, missing) = (&evidence.observed, evidence.unattributed);
        evidence.standing = Some(standing_at(&claim, observed, missing));
    }
    let claim = claim.naming(evidence.groups.iter());
    let outcome = judge_counts(&claim, &evidence);
    let report = Report::of_counts(&claim, &evidence, &outcome);
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
            .filter(|&count| count <= MAX_COUNT)
            .ok_or_else(|| refused("the count is not a whole number from 0 to 10^15"))?;
        if observed[backend].replace(count).is_some() {
            return Err(refused("the backend is given twice"));
        }
    }
    if unattributed > MAX_COUNT {
        return Err(CommandError::usage(
            "--unattributed is not a number from 0 to 10^15",
        ));
    }
    let group = |(backend, label): (usize, &String)| Group {
        workload: label.clone(),
        owner: label.clone(),
        explicit: Some(backend),
        is_foreign: false,
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

/// Reads the responses that a log on stdin records, or that were counted there.
fn log(identify: &[String], mappings: Mappings) -> Result<Evidence, CommandError> {
    if io::stdin().is_terminal() {
        output::warn("reading a log from stdin; give counts with --observed instead");
    }
    let refused = |error: io::Error| CommandError::usage(format!("stdin: {error}"));
    let rules = Rules::parse(identify).map_err(CommandError::usage)?;
    let mut heap = Heap::new(mappings);
    let mut input = io::stdin().lock();
    if counts::is_next(&mut input).map_err(refused)? {
        for (count, pod) in counts::read(input, &rules).map_err(refused)? {
            heap.add(pod, count);
        }
    } else {
        for response in Responses::new(input, &rules) {
            heap.add(response.map_err(refused)?, 1);
        }
    }
    heap.evidence()
}

/// Responses by group, as they are read.
struct Heap {
    registry: Arc<PodRegistry>,
    interner: Interner,
    observed: Vec<u64>,
    unattributed: u64,
}

impl Heap {
    fn new(mappings: Mappings) -> Self {
        let registry = PodRegistry::shared(mappings);
        Self {
            interner: Interner::new(Arc::clone(&registry)),
            registry,
            observed: Vec::new(),
            unattributed: 0,
        }
    }

    /// So many responses of a pod, or without an identity.
    fn add(&mut self, pod: Option<String>, count: u64) {
        let place = match pod {
            None => &mut self.unattributed,
            Some(pod) => {
                let pod = self.interner.intern(&pod);
                let GroupId(group) = self.interner.group(pod);
                let group = usize::from(group);
                if self.observed.len() <= group {
                    self.observed.resize(group + 1, 0);
                }
                &mut self.observed[group]
            }
        };
        *place = place.saturating_add(count);
    }

    fn evidence(self) -> Result<Evidence, CommandError> {
        let all = self.observed.iter().chain([&self.unattributed]);
        if all.fold(0, |sum: u64, &count| sum.saturating_add(count)) > MAX_COUNT {
            return Err(CommandError::usage(
                "stdin: the counts sum to more than 10^15",
            ));
        }
        Ok(Evidence {
            groups: self.registry.groups(),
            observed: self.observed,
            unattributed: self.unattributed,
            ..Evidence::default()
        })
    }
}
