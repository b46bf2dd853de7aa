//! What hostile peers do over TCP, where no protocol says how an answer ends.

use super::answers::{POD, body, drip, flood, pause, send};
use super::behaviours::{Behaviour, Ends, Protocol, row};
use super::peer::Step::{self, HalfClose, Read, Reset, Stall};

use Ends::{Attributed, Failed, Unidentified};

/// Answers what it is told with a line that names its pod, and closes.
pub(crate) fn well_behaved() -> Vec<Step> {
    vec![Read, send(body(POD))]
}

fn tcp(name: &'static str, ends: Ends, script: Vec<Step>) -> Behaviour {
    row(name, ends, [vec![Read], script].concat()).over(Protocol::Tcp)
}

pub(crate) fn all() -> Vec<Behaviour> {
    let line = body(POD);
    let unended = format!("Hostname: {POD}");
    let (beginning, end) = line.split_at(25);
    vec![
        tcp("TCP: silence", Failed("timeout"), vec![Stall]).in_time(),
        tcp(
            "TCP: closed without a byte",
            Failed("reset"),
            vec![HalfClose],
        ),
        tcp("TCP: reset without a byte", Failed("reset"), vec![Reset]),
        tcp(
            "TCP: reset within the banner",
            Failed("body"),
            vec![send("220 ready"), pause(), Reset],
        ),
        tcp(
            "TCP: a banner, and kept open",
            Attributed,
            vec![send(&line), Stall],
        ),
        tcp(
            "TCP: a banner without an end, kept open",
            Attributed,
            vec![send(&unended), Stall],
        ),
        tcp(
            "TCP: a banner in pieces",
            Attributed,
            vec![send(beginning), pause(), send(end), Stall],
        ),
        tcp(
            "TCP: a banner that names nobody, kept open",
            Unidentified("answered"),
            vec![send("220 ready\r\n"), Stall],
        )
        .in_time(),
        tcp(
            "TCP: an endless banner",
            Unidentified("answered"),
            vec![flood([b'x'; 4096])],
        ),
        tcp(
            "TCP: an endless banner of short lines",
            Unidentified("answered"),
            vec![flood("\n\n\n\n".repeat(1024))],
        ),
        tcp(
            "TCP: a banner that comes for ever",
            Unidentified("answered"),
            vec![drip([b'x'; 64])],
        )
        .with(&["--timeout", "1500ms"]),
    ]
}
