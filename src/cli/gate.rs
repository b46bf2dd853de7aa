//! The gate, the default command: one check, or those of the configuration file.

use super::measure::{expected, measure};
use super::options::GateArgs;
use super::{CommandError, checks, derive, manifests, output};
use crate::exit::ExitStatus;
use crate::plan::settings::Settings;

/// Runs the gate: one check with `--expect`, else those of the configuration file.
pub(super) fn run(args: &GateArgs) -> Result<ExitStatus, CommandError> {
    output::color(args.output.color);
    if args.all {
        return derive::run_all(args);
    }
    let config = checks::configuration(args.config.as_deref())?;
    let is_one_check = args.criterion.expectation.expect.is_some()
        || args.criterion.expectation.expect_even.is_some()
        || !args.criterion.expectation.expect_from.is_empty();
    let defaults = match config {
        Some(config) if !is_one_check && !config.is_one_check() => {
            return checks::run(args, &config);
        }
        Some(config) => config.target,
        None if !args.check.is_empty() => {
            return Err(CommandError::usage(
                "--check names a check of a configuration file, and there is none: give one with --config",
            ));
        }
        None => Settings::default(),
    };
    let (settings, manifests) = manifests::resolve(args.over(defaults))?;
    expected(&settings)?;
    let plan = args.shard.plan(&settings)?;
    if plan.mark.is_some() && !args.output.writes_json() {
        return Err(CommandError::usage(
            "--identify logs leaves the verdict to lbtest analyze --run FILE: add --json FILE",
        ));
    }
    if plan.shard.is_some() && !args.output.writes_json() {
        output::warn(
            "--shard without --json leaves nothing for lbtest merge: add --json FILE, or --json -",
        );
    }
    let findings = manifests::findings(manifests, &plan)?;
    measure(&plan, findings, &args.output)
}
