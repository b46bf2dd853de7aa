//! What this side of the wire lacked.

use super::Finding;
use crate::measured::Measured;
use crate::observation::Failure;
use crate::verdict::unidentified;

/// What was short on this machine during the measured.
pub(super) fn findings(measured: &Measured) -> Vec<Finding> {
    ports(measured)
        .into_iter()
        .chain(slow_dials(measured))
        .chain(concurrency(measured))
        .chain(rate(measured))
        .chain(naming(measured))
        .collect()
}

fn ports(measured: &Measured) -> Option<Finding> {
    (measured.port_waits > 0).then(|| {
        let message = format!(
            "{} connections waited until a local port of this machine was free again, and their latencies \
             contain the wait: add --keep-alive, lower --rate, or widen net.ipv4.ip_local_port_range",
            measured.port_waits
        );
        Finding::new("ports_scarce", message).with("connections", measured.port_waits as f64)
    })
}

/// Dials that did not succeed at once; those that waited for a port are told as such.
fn slow_dials(measured: &Measured) -> Option<Finding> {
    let slow = measured.slow_dials.saturating_sub(measured.port_waits);
    (slow > 0).then(|| {
        let message = format!(
            "{slow} of {} connections took a second or more to open: as happens when the first packet is lost or a full backlog \
             drops it, and it is sent again; what balances connections may then draw the backend anew",
            measured.connections.opened
        );
        Finding::new("slow_dials", message).with("connections", slow as f64)
    })
}

/// The concurrency that was asked for, where this machine did not reach it.
fn concurrency(measured: &Measured) -> Option<Finding> {
    let wanted = measured.trial.concurrency;
    let reached = measured.connections.most_open;
    let lacked = measured
        .counted
        .failures(|failure| failure == Failure::Local);
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

/// How pods were told, where a rule had to be found.
fn naming(measured: &Measured) -> Option<Finding> {
    let place = measured.naming.place.as_ref()?;
    Some(Finding::new("identity_found", unidentified::naming(place)))
}

/// Below this part of its rate a long run is said to have fallen behind.
const BEHIND: f64 = 0.9;
/// What a long run takes: the last answer of a short one is a large part of its time.
const LONG_ENOUGH_SECONDS: f64 = 2.0;

/// The rate that was asked for, where it was not reached.
fn rate(measured: &Measured) -> Option<Finding> {
    let wanted = measured.trial.rate?.per_second();
    let seconds = measured.elapsed.as_secs_f64();
    let sent = measured.counted.responses() + measured.counted.failures(|_| true);
    let achieved = sent as f64 / seconds;
    // What a limiter's pace or its probes took is no fault of the concurrency.
    let is_limited = measured.limiter.is_some() || measured.set_aside.rejections() > 0;
    if is_limited || seconds < LONG_ENOUGH_SECONDS || achieved >= BEHIND * wanted {
        return None;
    }
    let finding = |message| {
        Finding::new("rate_not_reached", message)
            .with("wanted_per_second", wanted)
            .with("achieved_per_second", achieved)
    };
    let (allowed, open) = (measured.trial.concurrency, measured.connections.most_open);
    if open < allowed {
        let why = if measured.parts.len() > 1 {
            "the shards did not run all at the same time, or their machines send no faster"
        } else {
            "this machine sends no faster: share the run among several with --shard"
        };
        return Some(finding(format!(
            "{achieved:.1} requests a second were sent of the {wanted:.1} that --rate asks for, though no more than \
             {open} of {allowed} connections were open at once: {why}"
        )));
    }
    let in_flight = allowed * measured.trial.streams;
    // With all of them always in flight their answers take so long (Little's law), and the rate needs more.
    let needed = (in_flight as f64 * wanted / achieved).ceil();
    let message = format!(
        "{achieved:.1} requests a second were sent of the {wanted:.1} that --rate asks for: with {in_flight} in \
         flight at once answers take too long; it takes about -c {needed:.0}, if target and machine keep up"
    );
    Some(finding(message).with("concurrency_needed", needed))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::measured::{PartCounts, Trial};
    use crate::observation::Failure;
    use crate::plan::settings::Settings;

    /// What is said of a run that sent 100 of 1,000 requests a second, with so many connections of 50.
    fn advice(open: u64, parts: u32) -> String {
        let table = serde_json::json!({"expect": "a=1", "rate": "1000/s", "concurrency": 50});
        let settings = Settings::read(|| &table).unwrap();
        let mut measured = Measured::nothing(Trial::of(&settings.plan().unwrap()));
        measured.elapsed = Duration::from_secs(10);
        measured.connections.most_open = open;
        measured.counted.by_failure.insert(Failure::Reset, 1000);
        let part = |index| PartCounts {
            index,
            observed: Vec::new(),
        };
        measured.parts = (0..parts).map(part).collect();
        rate(&measured).unwrap().message
    }

    #[test]
    fn more_connections_are_advised_only_where_all_were_in_use() {
        assert!(advice(50, 0).contains("it takes about -c 500"));
        let alone = advice(20, 0);
        assert!(
            alone.contains("20 of 50") && alone.contains("--shard"),
            "{alone}"
        );
        let shards = advice(20, 2);
        assert!(
            shards.contains("did not run all at the same time"),
            "{shards}"
        );
    }
}
