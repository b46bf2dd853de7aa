//! The gate, the default command: one check, or those of the configuration file.

use super::measure::{expected, measure};
use super::options::GateArgs;
use super::{CommandError, checks, derive, manifests, output};
use crate::exit::ExitStatus;
use crate::plan::config::Config;
use crate::plan::settings::Settings;

/// Runs the gate: one check with `--expect`, else those of the configuration file.
pub(super) fn run(args: &GateArgs) -> Result<ExitStatus, CommandError> {
    output::color(args.output.color);
    if args.all {
        return derive::run_all(args);
    }
    let config = checks::configuration(args.config.as_deref())?;
    let is_one_check = args.settings.expectation.is_given();
    let has_checks = |config: &Config| !is_one_check && !config.is_one_check();
    if !args.check.is_empty() && !config.as_ref().is_some_and(has_checks) {
        return Err(CommandError::usage(if is_one_check {
            "--check names a check of a configuration file, and --expect-from is one by itself: drop one of them, or add \
             --all"
        } else {
            "--check names a check of a configuration file, and there is none: give one with --config"
        }));
    }
    let defaults = match config {
        Some(config) if has_checks(&config) => {
            return checks::run(args, &config);
        }
        Some(config) => config.target,
        None => Settings::default(),
    };
    let settings = args.over(defaults);
    let asked = args.over(Settings::default());
    // The only check of a file is all that its [target] is for.
    settings.refuse_idle(if is_one_check { &asked } else { &settings })?;
    let (settings, manifests) = manifests::resolve(settings)?;
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
