//! `lbtest compare --from DIR --before URL --after URL`: asks two ingresses the same, in turn, and judges whether they
//! route alike.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::output::Documents;
use super::{CommandError, derive, output};
use crate::exit::ExitStatus;
use crate::load;
use crate::load::signals::Pending;
use crate::measured::Measured;
use crate::plan::Plan;
use crate::plan::config::{Check, Config};
use crate::plan::pace::Rate;
use crate::plan::quantity;
use crate::plan::settings::{PaceOptions, SettingsError};
use crate::report::pair::{PairReport, PairsReport};
use crate::tally::pods::PodRegistry;
use crate::verdict::checks::{self as together, JudgedCheck};
use crate::verdict::pair::{self, PARTS, Pair, Side};

/// The arguments of a comparison that sends requests.
#[derive(Debug, Args)]
#[command(next_help_heading = "Trying both")]
pub(super) struct PairArgs {
    /// Manifests whose rules are tried on both ingresses, in place of OLD and NEW; repeatable
    #[arg(long, value_name = "DIR", requires_all = ["before", "after"])]
    pub(super) from: Vec<String>,
    /// The ingress before
    #[arg(long, value_name = "URL", requires = "from")]
    before: Option<String>,
    /// The ingress after
    #[arg(long, value_name = "URL", requires = "from")]
    after: Option<String>,
    /// Promised error rate: ingresses that route alike fail, and those apart by the tolerance pass, at most this often (default: 0.001)
    #[arg(long, value_name = "RATE", value_parser = quantity::error_rate, requires = "from")]
    alpha: Option<f64>,
    /// The smallest difference, in percentage points, that a PASS rules out (default: 5)
    #[arg(long, value_name = "PP", value_parser = quantity::percentage_points, requires = "from")]
    tolerance: Option<f64>,
    /// Requests of each check to each side (default: computed from the promise)
    #[arg(short = 'n', long, value_name = "N", value_parser = quantity::count, requires = "from")]
    requests: Option<NonZeroU64>,
    /// Give up a check after this long; one cut short cannot pass (default: 10m)
    #[arg(long, value_name = "D", value_parser = quantity::duration, requires = "from")]
    max_duration: Option<Duration>,
    /// Requests in flight at once (default: 50)
    #[arg(short = 'c', long, value_name = "N", value_parser = quantity::small_count, requires = "from")]
    concurrency: Option<NonZeroUsize>,
    /// Open-loop pace, such as 500/s or 175/m (default: as fast as responses come)
    #[arg(short = 'q', long, value_name = "R", requires = "from")]
    rate: Option<Rate>,
    /// Time allowed for one exchange (default: 10s)
    #[arg(short = 't', long, value_name = "D", value_parser = quantity::duration, requires = "from")]
    timeout: Option<Duration>,
    /// Accept any certificate
    #[arg(short = 'k', long, conflicts_with = "cacert", requires = "from")]
    insecure: bool,
    /// Trust the authorities in this PEM file alone
    #[arg(long, value_name = "FILE", requires = "from")]
    cacert: Option<PathBuf>,
    /// A further header; repeatable
    #[arg(
        short = 'H',
        long = "header",
        value_name = "NAME: VALUE",
        requires = "from"
    )]
    header: Vec<String>,
    /// Which workload (name or glob) is which backend; repeatable
    #[arg(long, value_name = "LABEL=WORKLOAD", requires = "from")]
    backend: Vec<String>,
    /// How a response names its pod, as in the gate; repeatable
    #[arg(long, value_name = "RULE", requires = "from")]
    identify: Vec<String>,
}

/// Asks both, and reports what they did.
pub(super) fn run(
    args: &PairArgs,
    step: Option<NonZeroUsize>,
    documents: Documents,
) -> Result<ExitStatus, CommandError> {
    let derived = derive::derived("--from", &args.from, step, None)?;
    let text = derived.to_toml().map_err(CommandError::usage)?;
    let config = Config::parse("--from", &text).map_err(CommandError::usage)?;
    let urls = [&args.before, &args.after].map(|url| url.as_deref().unwrap_or_default());
    let mut planned: Vec<(String, [Plan; 2])> = Vec::new();
    for check in &config.check {
        let name = check.own.name.clone();
        let [before, after] = urls;
        let before = plan(args, check, ("--before", before));
        let after = plan(args, check, ("--after", after));
        let plans = before.and_then(|before| Ok([before, after?]));
        planned.push((name.clone(), plans.map_err(|error| error.of_check(&name))?));
    }
    let mut pending = Pending::new().map_err(CommandError::not_measured)?;
    let (mut judged, mut pairs) = (Vec::new(), Vec::new());
    let mut interrupted = false;
    for (name, plans) in planned {
        let sides = if interrupted {
            Default::default()
        } else {
            asked(&name, &plans)
        };
        interrupted = interrupted || sides.iter().any(Side::is_interrupted) || pending.came();
        let claim = &plans[0].claim;
        let pair = pair::judge(claim, &sides);
        judged.push(JudgedCheck {
            name: name.clone(),
            alpha: claim.criterion.alpha,
            verdict: pair.verdict,
            p_value: pair.test.map(|test| test.p_value),
        });
        pairs.push((name, pair));
    }
    let together = together::judge(&judged);
    let report =
        |((name, pair), p): ((String, Pair), &Option<(f64, f64)>)| PairReport::new(name, &pair, *p);
    let checks = pairs
        .into_iter()
        .zip(&together.p_values)
        .map(report)
        .collect();
    let report = PairsReport::new(urls, checks, &together, interrupted);
    documents.write(&report.text(), &report, &report.markdown())?;
    Ok(report.status())
}

/// What one part of a check sends to the ingress at `url`, which `side` gives.
fn plan(args: &PairArgs, check: &Check, (side, url): (&str, &str)) -> Result<Plan, CommandError> {
    let mut settings = check.settings.clone();
    settings.request.url = Some(url.to_owned());
    settings.request.header.extend_from_slice(&args.header);
    settings.promise.alpha = args.alpha;
    settings.promise.tolerance = args.tolerance;
    settings.promise.backend.extend_from_slice(&args.backend);
    settings.identification.identify.clone_from(&args.identify);
    settings.budget.requests = args.requests;
    settings.pace = PaceOptions {
        max_duration: args.max_duration,
        rate: args.rate,
        concurrency: args.concurrency,
        ..settings.pace
    };
    settings.connection.timeout = args.timeout;
    settings.connection.insecure = args.insecure;
    settings.connection.cacert.clone_from(&args.cacert);
    let mut plan = settings.plan().map_err(|error| match &error {
        SettingsError::Target(_) => CommandError::usage(format!("{side}: {error}")),
        _ => error.into(),
    })?;
    let requests = args.requests.unwrap_or_else(|| pair::planned(&plan.claim));
    let part = NonZeroU64::new(requests.get().div_ceil(PARTS)).unwrap_or(NonZeroU64::MIN);
    plan.budget.requests = Some(part);
    plan.budget.max_duration = plan.budget.max_duration.div_f64(2.0 * PARTS as f64);
    Ok(plan)
}

/// Sends the requests of a check to both in turn, the one that comes first taking turns too.
fn asked(name: &str, plans: &[Plan; 2]) -> [Side; 2] {
    let part = plans[0].budget.requests.map_or(0, NonZeroU64::get);
    output::note(&format!("{name}: {} requests to each side", part * PARTS));
    let mut sides: [Side; 2] = Default::default();
    let registries = [0, 1].map(|side: usize| PodRegistry::shared(plans[side].mappings.clone()));
    for round in 0..PARTS {
        let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
        for side in order {
            let measured: Measured = load::measure(&plans[side], &registries[side], &mut |_| {});
            sides[side].add(&measured);
            if sides[side].failed.is_some() || sides[side].is_interrupted() {
                return sides;
            }
        }
    }
    sides
}
