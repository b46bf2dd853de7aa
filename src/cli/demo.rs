//! `lbtest demo`: the gate against an ingress embedded in this process.

use clap::Args;

use super::gate::{CriterionArgs, LoadArgs, OutputArgs};
use super::ingress::BehaviourArgs;
use super::shard::ShardArgs;
use super::{CommandError, gate, manifests, output};
use crate::exit::ExitStatus;
use crate::ingress::Ingress;
use crate::plan::settings::Settings;

/// The arguments of `demo`.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    #[command(flatten)]
    criterion: CriterionArgs,
    #[command(flatten)]
    load: LoadArgs,
    #[command(flatten)]
    shard: ShardArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    behaviour: BehaviourArgs,
}

/// Starts the ingress on a free port and runs the gate against it.
pub(super) fn run(args: &DemoArgs) -> Result<ExitStatus, CommandError> {
    output::color(args.output.color);
    let settings = args.load.over(args.criterion.over(Settings::default()));
    let own = settings.backend.clone();
    let (mut settings, manifests) = manifests::resolve(settings)?;
    // The pods of the manifests are not those of the demo.
    settings.backend = own;
    let split = gate::expected(&settings)?;
    let host = settings.host.clone();
    let config = args.behaviour.config(Some(&split), host, settings.seed())?;
    // The demo knows its own pods; what the user says of them counts all the same.
    if settings.backend.is_empty() {
        settings.backend = config
            .assignment()
            .iter()
            .filter(|(label, _)| split.position(label).is_some())
            .map(|(label, workload)| format!("{label}={workload}"))
            .collect();
    }
    let ingress = Ingress::start(&config).map_err(CommandError::usage)?;
    settings.url = Some(format!("http://{}/", ingress.addr()));
    let plan = args.shard.plan(&settings)?;
    let findings = manifests.map(|manifests| manifests.findings(&plan));
    let status = gate::measure(
        &plan,
        findings.transpose()?.unwrap_or_default(),
        &args.output,
    );
    drop(ingress);
    status
}
