//! `lbtest demo`: the gate against an ingress embedded in this process.

use clap::Args;

use super::gate::{CriterionArgs, GateArgs, LoadArgs, OutputArgs};
use super::ingress::BehaviourArgs;
use super::{CommandError, gate, output};
use crate::exit::ExitStatus;
use crate::identity::assignment::Mappings;
use crate::ingress::Ingress;

/// The arguments of `demo`.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    #[command(flatten)]
    criterion: CriterionArgs,
    #[command(flatten)]
    load: LoadArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    behaviour: BehaviourArgs,
}

/// Starts the ingress on a free port and runs the gate against it.
pub(super) fn run(args: &DemoArgs) -> Result<ExitStatus, CommandError> {
    output::color(args.output.color);
    let split = args.criterion.split()?;
    let host = args.load.host.clone();
    let config = args
        .behaviour
        .config(Some(&split), host, args.criterion.seed)?;
    // The demo knows its own pods; what the user says of them counts all the same.
    let mut backends = args.criterion.backend.clone();
    if backends.is_empty() {
        let known = config.assignment();
        backends.extend(
            known
                .iter()
                .filter(|(label, _)| split.position(label).is_some())
                .map(|(label, workload)| format!("{label}={workload}")),
        );
    }
    let mappings = Mappings::parse(split.labels(), &backends).map_err(CommandError::usage)?;
    let ingress = Ingress::start(&config).map_err(CommandError::usage)?;
    let gate_args = GateArgs {
        url: format!("http://{}/", ingress.addr()),
        criterion: args.criterion.clone(),
        load: args.load.clone(),
        output: args.output.clone(),
    };
    let plan = gate::plan(&gate_args, split, mappings)?;
    let status = gate::measure(&plan, &args.output);
    drop(ingress);
    status
}
