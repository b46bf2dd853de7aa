//! `lbtest compare`: whether two routing tables, or two ingresses, send the same requests to the same backends.

use std::num::NonZeroUsize;

use clap::Args;

use super::output::{DocumentArgs, Documents};
use super::pair::PairArgs;
use super::{CommandError, manifests, pair};
use crate::exit::ExitStatus;
use crate::plan::quantity;

/// The arguments of `compare`.
#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    /// The old manifests: a file, a folder, or '-' for standard input
    #[arg(
        value_name = "OLD",
        required_unless_present = "from",
        conflicts_with = "from"
    )]
    old: Option<String>,
    /// The new manifests
    #[arg(
        value_name = "NEW",
        required_unless_present = "from",
        conflicts_with = "from"
    )]
    new: Option<String>,
    /// Which step of a Rollout or a Flagger Canary is meant, from 1 (default: what its status says)
    #[arg(long, value_name = "N", value_parser = quantity::small_count, allow_hyphen_values = true)]
    step: Option<NonZeroUsize>,
    #[command(flatten)]
    output: DocumentArgs,
    #[command(flatten)]
    pair: PairArgs,
}

/// Compares the manifests, or what two ingresses do, and prints what differs.
pub(super) fn run(args: &CompareArgs) -> Result<ExitStatus, CommandError> {
    let documents = Documents::open(&args.output)?;
    let (Some(old), Some(new)) = (&args.old, &args.new) else {
        return pair::run(&args.pair, args.step, documents);
    };
    if old == "-" && new == "-" {
        return Err(CommandError::usage(
            "compare - -: standard input can be read once",
        ));
    }
    let [old, new] = [old, new].map(|from| manifests::read("compare", std::slice::from_ref(from)));
    let (old, new) = (old?, new?);
    manifests::tell_passed_over(&old);
    manifests::tell_passed_over(&new);
    let report = old.compare(&new, args.step.map(NonZeroUsize::get))?;
    documents.write(&report.text(), &report, &report.markdown())?;
    Ok(if report.is_same() {
        ExitStatus::Pass
    } else {
        ExitStatus::Fail
    })
}
