//! `--compare-connections`: the same run once more, over connections that are used in the other way.

use std::num::{NonZeroU64, NonZeroUsize};

use super::CommandError;
use super::output::{self, OutputArgs};
use crate::load;
use crate::plan::preparation::Preparation;
use crate::plan::target::Protocol;
use crate::plan::{ConnectionUse, LoadShape, Plan};
use crate::tally::pods::PodRegistry;
use crate::verdict::diagnosis::compared;
use crate::verdict::{self, Outcome, VerdictName};

/// Refuses what cannot be tried over kept connections.
pub(super) fn check(plan: &Plan) -> Result<(), CommandError> {
    let others = [
        ("--shard", plan.shard.is_some()),
        ("--sequential", plan.sequential),
        ("--expect-sticky", plan.claim.sessions.is_some()),
        ("--expect-even beside --expect", plan.claim.within.is_some()),
        (
            "a tcp:// or tls:// URL",
            plan.target.protocol == Protocol::Tcp,
        ),
    ];
    match others.into_iter().find(|&(_, is_given)| is_given) {
        Some((what, _)) => Err(CommandError::usage(format!(
            "--compare-connections and {what} exclude each other: drop one of them"
        ))),
        None => Ok(()),
    }
}

/// Tries the other kind where that was asked for, and adds what it showed to the findings of `outcome`.
pub(super) fn compare(plan: &Plan, outcome: &mut Outcome, args: &OutputArgs) {
    let is_measured = outcome.verdict != VerdictName::Error && !outcome.interrupted;
    if !plan.compares_connections || !is_measured {
        return;
    }
    let other = other(plan);
    if !args.quiet {
        let how = match other.load.connection_use {
            ConnectionUse::KeepAlive => "connections are kept",
            ConnectionUse::Requests(_) => "each request has a connection of its own",
        };
        output::note(&format!("the same once more, to compare: {how}"));
    }
    let registry = PodRegistry::shared(other.mappings.clone());
    let measured = load::measure(&other, &registry, &mut |_| {});
    let (_, seen) = verdict::judge_named(&other.claim, &measured);
    let (own, others) = (plan.load.connection_use, other.load.connection_use);
    compared(&plan.claim, outcome, own, (others, &seen));
}

fn other(plan: &Plan) -> Plan {
    let connection_use = if plan.load.connection_use.is_fresh() {
        ConnectionUse::KeepAlive
    } else {
        ConnectionUse::Requests(NonZeroU64::MIN)
    };
    Plan {
        load: LoadShape {
            connection_use,
            streams: NonZeroUsize::MIN,
            ..plan.load
        },
        preparation: Preparation::default(),
        snapshot: None,
        ..plan.clone()
    }
}
