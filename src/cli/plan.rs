//! `lbtest plan`: how many requests a promise needs, and the chance of each verdict; sends nothing.

use std::fmt::Write;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::measure::expected;
use super::options::CriterionArgs;
use super::output::Documents;
use super::{CommandError, manifests};
use crate::claim::{Claim, Criterion};
use crate::exit::ExitStatus;
use crate::format::{percent, points, shares, time};
use crate::plan::pace::Rate;
use crate::plan::quantity;
use crate::plan::settings::ExpectEven;
use crate::report::forecast::{
    ForecastBackend, ForecastReport, PowerRow, SCHEMA_VERSION, ToleranceRow,
};
use crate::report::text;
use crate::split::Split;
use crate::stats::equivalence::tolerances;
use crate::stats::noncentral::noncentrality;
use crate::stats::power::{requests_for_exact_power, requests_for_power};
use crate::verdict::forecast::forecast;
use crate::verdict::promise::{pods, promise, remedy_for_time, sequential_saving};

/// The arguments of `plan`.
#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    criterion: CriterionArgs,
    /// Requests that are attributed (default: computed from the promise)
    #[arg(short = 'n', long, value_name = "N", value_parser = quantity::count, conflicts_with = "shift")]
    requests: Option<NonZeroU64>,
    /// Pace of the run, such as 500/s or 175/m
    #[arg(short = 'q', long, value_name = "R")]
    rate: Option<Rate>,
    /// Say how many requests notice a shift of this many percentage points with the probability of --power
    #[arg(long, value_name = "PP", value_parser = quantity::percentage_points, requires = "power")]
    shift: Option<f64>,
    /// The probability with which --shift is to be noticed
    #[arg(long, value_name = "P", requires = "shift")]
    power: Option<f64>,
    /// The time that a run at --rate may take
    #[arg(long, value_name = "D", default_value = "10m", value_parser = quantity::duration, requires = "rate")]
    max_duration: Duration,
    /// Write the plan as JSON to a file, or to stdout for '-'
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    json: Option<PathBuf>,
}

/// The most that `-n` takes.
const MOST_REQUESTS: u64 = 1_000_000_000_000;
/// Tolerances to compare, as shares.
const TOLERANCES: [f64; 5] = [0.01, 0.02, 0.03, 0.05, 0.1];
/// The same where half of a share is less, as parts of that.
const PARTS: [f64; 4] = [0.2, 0.4, 0.6, 1.0];
/// The same of pods, as parts of their equal share.
const EVEN_TOLERANCES: [f64; 5] = [0.05, 0.1, 0.2, 0.3, 0.5];

/// Plans a run and prints what to expect of it.
pub(super) fn run(args: &PlanArgs) -> Result<ExitStatus, CommandError> {
    let settings = args.criterion.settings();
    settings.refuse_idle(&settings)?;
    let (settings, _) = manifests::resolve(settings)?;
    if settings.expectation.expect_even == Some(ExpectEven::WhoAnswers) {
        return Err(CommandError::usage(
            "--expect-even: nothing is sent that could count the pods: say how many there are with --expect-even=N",
        ));
    }
    let claim = settings.claim(expected(&settings)?)?;
    settings.mappings(&claim.split)?;
    let documents = Documents::of_json(args.json.as_deref())?;
    let report = planned(args, &claim)?;
    documents.write(&render(args, &claim, &report), &report, "")?;
    Ok(ExitStatus::Pass)
}

fn planned(args: &PlanArgs, claim: &Claim) -> Result<ForecastReport, CommandError> {
    let Claim {
        split, criterion, ..
    } = claim;
    let Cost {
        requests,
        requests_exact,
        shift,
        noncentrality,
    } = cost(args, claim)?;
    if requests > MOST_REQUESTS {
        return Err(CommandError::usage(
            "this takes more than 10¹² requests, the most that -n sends: raise --tolerance, --even-tolerance or --shift \
             (--tolerance and --shift are in percentage points)",
        ));
    }
    let judged = NonZeroU64::new(requests_exact.unwrap_or(requests)).unwrap_or(NonZeroU64::MIN);
    let own = claim.tolerances();
    let shown = if args.shift.is_some() {
        shift
    } else {
        smallest(&own).min(shift)
    };
    let power = forecast(&claim.of_split(), judged, claim.seed, &shifts_shown(shown));
    let seconds = |n: u64| args.rate.map(|rate| n as f64 / rate.per_second());
    Ok(ForecastReport {
        schema_version: SCHEMA_VERSION,
        backends: (0..split.len())
            .map(|index| ForecastBackend {
                label: split.labels()[index].clone(),
                expected_share: split.shares()[index],
                tolerance_share: own[index],
            })
            .collect(),
        alpha: criterion.alpha,
        tolerance_share: criterion.tolerance,
        judge: criterion.judge.code(),
        requests,
        requests_exact,
        shift_share: shift,
        power_asked: args.power,
        noncentrality,
        promise: promise(claim, judged),
        duration_seconds: seconds(judged.get()),
        power: power.into_iter().map(PowerRow::of).collect(),
        tolerances: compared(claim)
            .into_iter()
            .map(|tolerance| {
                let requests = requests_for(claim, tolerance);
                ToleranceRow {
                    tolerance_share: tolerance,
                    requests,
                    duration_seconds: seconds(requests),
                }
            })
            .collect(),
    })
}

/// The requests that are asked for, and the shift that they notice.
struct Cost {
    requests: u64,
    /// By the exact test, where a power is asked for.
    requests_exact: Option<u64>,
    shift: f64,
    noncentrality: f64,
}

fn cost(args: &PlanArgs, claim: &Claim) -> Result<Cost, CommandError> {
    let Criterion {
        alpha, tolerance, ..
    } = claim.criterion;
    let shares = claim.split.shares();
    let positive = shares.iter().filter(|&&share| share > 0.0).count();
    let asked = shift_and_power(args, &claim.criterion)?;
    let requests = match asked {
        Some((shift, power)) => requests_for_power(shares, shift, alpha, power),
        None => args
            .requests
            .unwrap_or_else(|| claim.planned_requests())
            .get(),
    };
    let shift = asked.map_or(tolerance, |(shift, _)| shift);
    let variances = shares.iter().map(|share| share * (1.0 - share));
    Ok(Cost {
        requests,
        requests_exact: asked
            .and_then(|(shift, power)| requests_for_exact_power(shares, shift, alpha, power)),
        shift,
        noncentrality: match asked {
            _ if positive < 2 => 0.0,
            Some((_, power)) => noncentrality(positive - 1, alpha, power),
            None => requests as f64 * shift * shift / variances.fold(0.0, f64::max),
        },
    })
}

/// The shift that is to be noticed, and with which chance, where both are asked for.
fn shift_and_power(
    args: &PlanArgs,
    criterion: &Criterion,
) -> Result<Option<(f64, f64)>, CommandError> {
    let Some((shift, power)) = args.shift.zip(args.power) else {
        return Ok(None);
    };
    if !(shift > 0.0 && shift < 1.0) {
        return Err(CommandError::usage(format!(
            "--shift {} is not a shift: give percentage points above 0 and below 100",
            100.0 * shift
        )));
    }
    if !(power > criterion.alpha && power < 1.0) {
        return Err(CommandError::usage(format!(
            "--power {power} is not a power: give a probability above --alpha and below 1"
        )));
    }
    Ok(Some((shift, power)))
}

/// Tolerances to compare, as shares: of pods, parts of their equal share. None is more than half of a share, which a larger
/// one stands for.
fn compared(claim: &Claim) -> Vec<f64> {
    if claim.split.is_of_pods() {
        let pods = claim.split.len() as f64;
        return EVEN_TOLERANCES.map(|relative| relative / pods).to_vec();
    }
    let most = smallest(&tolerances(claim.split.shares(), 1.0));
    if TOLERANCES.iter().all(|&tolerance| tolerance <= most) {
        return TOLERANCES.to_vec();
    }
    PARTS.map(|part| part * most).to_vec()
}

/// The requests that the promise takes at another tolerance.
fn requests_for(claim: &Claim, tolerance: f64) -> u64 {
    let mut other = claim.clone();
    other.criterion.tolerance = tolerance;
    other.planned_requests().get()
}

/// The smallest tolerance of a backend that is to get something.
fn smallest(tolerances: &[f64]) -> f64 {
    let own = tolerances.iter().copied();
    own.filter(|&own| own > 0.0).fold(f64::INFINITY, f64::min)
}

/// The correct split, and fifths of `shift` up to twice the shift.
fn shifts_shown(shift: f64) -> Vec<f64> {
    (0..=10)
        .map(|fifth| shift * f64::from(fifth) / 5.0)
        .collect()
}

fn render(args: &PlanArgs, claim: &Claim, report: &ForecastReport) -> String {
    let Claim {
        split, criterion, ..
    } = claim;
    let mut message = String::new();
    if let (Some(shift), Some(power)) = (args.shift, args.power) {
        let n = report.requests_exact.unwrap_or(report.requests);
        let _ = writeln!(
            message,
            "{n} requests notice a shift of {} with probability {power} at alpha {}",
            points(shift),
            criterion.alpha
        );
        if report.requests_exact.is_some() {
            let _ = writeln!(
                message,
                "(the noncentral chi-square formula says {}; the exact test needs {n})",
                report.requests
            );
        }
    } else {
        let _ = writeln!(message, "{} requests: {}", report.requests, report.promise);
    }
    if let (Some(rate), Some(seconds)) = (args.rate, report.duration_seconds) {
        let _ = write!(message, "at {rate} they take {}", time(seconds));
        message.push_str(&remedy_for_time(
            claim,
            rate.per_second(),
            seconds,
            args.max_duration,
        ));
        message.push_str(&sequential_saving(claim, rate.per_second(), seconds));
        message.push('\n');
    }
    message.push('\n');
    message.push_str(&chances(report));
    message.push_str(OF_COUNTS);
    let what = if split.is_of_pods() {
        format!("{} with equal shares", pods(claim))
    } else if claim.within.is_some() {
        format!("{}, and equal shares of {}", shares(split), pods(claim))
    } else {
        shares(split)
    };
    let _ = writeln!(message, "\nat alpha {}, for {what}:", criterion.alpha);
    message.push_str(&prices(split, report));
    message
}

/// What the chances leave out.
const OF_COUNTS: &str =
    "(by the counts; the tests of their order leave a few more runs in 1000 INCONCLUSIVE)\n";

/// The chance of each verdict by the true shift. Where it fails for certain, a larger one does too.
fn chances(report: &ForecastReport) -> String {
    let share = |probability: f64| format!("{:.2} %", 100.0 * probability);
    let mut rows = vec![["true shift", "PASS", "FAIL", "INCONCLUSIVE"].map(str::to_owned)];
    for row in &report.power {
        rows.push([
            points(row.shift_share),
            share(row.pass_probability),
            share(row.fail_probability),
            share(row.inconclusive_probability),
        ]);
        if row.fail_probability >= CERTAIN {
            break;
        }
    }
    text::table(&rows, 0)
}

/// What a table of hundredths of a percent shows as 100 %.
const CERTAIN: f64 = 0.999_95;

/// What other tolerances take.
fn prices(split: &Split, report: &ForecastReport) -> String {
    let header = ["tolerance", "requests", "time"].map(str::to_owned);
    let rows = report.tolerances.iter().map(|row| {
        let tolerance = if split.is_of_pods() {
            percent(row.tolerance_share * split.len() as f64)
        } else {
            points(row.tolerance_share)
        };
        [
            tolerance,
            row.requests.to_string(),
            row.duration_seconds.map_or_else(|| "-".to_owned(), time),
        ]
    });
    text::table(&[vec![header], rows.collect()].concat(), 0)
}
