//! `lbtest checks` and `--expect-from DIR --all`: every rule of manifests becomes a check.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;

use super::options::GateArgs;
use super::output::Sink;
use super::{CommandError, checks, manifests, output};
use crate::exit::ExitStatus;
use crate::format;
use crate::manifest::{Derived, ManifestError};
use crate::plan::config::Config;
use crate::plan::quantity;
use crate::report::escape::terminal;

/// The arguments of `checks`.
#[derive(Debug, Args)]
pub(super) struct ChecksArgs {
    /// Manifests: files, folders, or '-' for standard input
    #[arg(value_name = "DIR", required = true)]
    from: Vec<String>,
    /// Only the rules that answer to this host
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// Which step of a Rollout or a Flagger Canary is meant, from 1 (default: what its status says)
    #[arg(long, value_name = "N", value_parser = quantity::small_count, allow_hyphen_values = true)]
    step: Option<NonZeroUsize>,
    /// Where the file goes (default: stdout)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Writes the checks as an `lbtest.toml`.
pub(super) fn run(args: &ChecksArgs) -> Result<ExitStatus, CommandError> {
    let derived = derived("checks", &args.from, args.step, args.host.as_deref())?;
    let text = derived.to_toml().map_err(CommandError::usage)?;
    match Sink::open_report("--out", args.out.as_deref())? {
        None => output::document(&text)?,
        Some(sink) => sink
            .write(|out| write!(out, "{text}"))
            .map_err(|error| CommandError::usage(format!("--out: {error}")))?,
    }
    output::note(&format::count(derived.checks.len() as u64, "check"));
    Ok(ExitStatus::Pass)
}

/// Runs the checks of the manifests of `--expect-from`.
pub(super) fn run_all(args: &GateArgs) -> Result<ExitStatus, CommandError> {
    let expected = &args.settings.expectation;
    let derived = derived(
        "--expect-from",
        &expected.expect_from,
        expected.step,
        args.settings.request.host.as_deref(),
    )?;
    let text = derived.to_toml().map_err(CommandError::usage)?;
    let config = Config::parse("--expect-from", &text).map_err(CommandError::usage)?;
    // What the checks say of themselves is not said of each once more.
    let mut args = args.clone();
    args.settings.expectation.expect_from.clear();
    args.settings.expectation.step = None;
    args.settings.request.host = None;
    checks::run(&args, &config)
}

/// The checks of manifests, with what has none told.
pub(super) fn derived(
    option: &str,
    from: &[String],
    step: Option<NonZeroUsize>,
    host: Option<&str>,
) -> Result<Derived, CommandError> {
    let manifests = manifests::read(option, from)?;
    manifests::tell_passed_over(&manifests);
    let derived = manifests.checks(step.map(NonZeroUsize::get), host);
    let derived = derived.map_err(|error| match (&error, host) {
        (ManifestError::NoRoute { .. }, Some(host)) => CommandError::usage(format!(
            "--host '{}': no rule of the manifests answers to this host",
            host.escape_debug()
        )),
        _ => error.into(),
    })?;
    for reason in &derived.left_out {
        output::warn(&terminal(&format!("not checked: {reason}")));
    }
    if derived.checks.is_empty() {
        return Err(CommandError::usage(format!(
            "{option}: no rule can be checked"
        )));
    }
    Ok(derived)
}
