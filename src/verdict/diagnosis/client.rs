//! What this side of the wire lacked.

use super::Finding;
use crate::load::Run;
use crate::observation::Failure;
use crate::plan::Plan;

/// What was short on this machine during the run.
pub(super) fn findings(plan: &Plan, run: &Run) -> Vec<Finding> {
    ports(run)
        .into_iter()
        .chain(concurrency(plan, run))
        .collect()
}

fn ports(run: &Run) -> Option<Finding> {
    (run.port_waits > 0).then(|| {
        let message = format!(
            "{} connections waited until a local port of this machine was free again, and their latencies \
             contain the wait: add --keep-alive, lower --rate, or widen net.ipv4.ip_local_port_range",
            run.port_waits
        );
        Finding::new("ports_scarce", message).with("connections", run.port_waits as f64)
    })
}

/// The concurrency that was asked for, where this machine did not reach it.
fn concurrency(plan: &Plan, run: &Run) -> Option<Finding> {
    let wanted = plan.load.concurrency.get() as u64;
    let reached = run.connections.most_open;
    let lacked: u64 = run
        .tally
        .by_failure()
        .filter(|&(failure, _)| failure == Failure::Local)
        .map(|(_, count)| count)
        .sum();
    (lacked > 0 && reached < wanted).then(|| {
        let message = format!(
            "{wanted} connections were wanted at once and at most {reached} were open: this machine lacked \
             something for {lacked} dials"
        );
        Finding::new("concurrency_not_reached", message)
            .with("wanted", wanted as f64)
            .with("reached", reached as f64)
    })
}
