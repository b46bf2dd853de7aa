//! The verdict on a split whose backends' pods are to share equally.

use std::num::NonZeroUsize;

use lbtest::parts::{Group, Within};

use super::even::{Cell, TOLERANCE, Truth};
use super::row::Row;
use super::{Effort, Expectation};

/// What is true of 70/30 with pods on either side: its name, the shares of the backends, and of the pods of each.
const TRUTHS: [(&str, [f64; 2], [Truth; 2]); 8] = [
    ("70/30 and equal", [0.7, 0.3], [Truth::Equal; 2]),
    ("75/25 and equal", [0.75, 0.25], [Truth::Equal; 2]),
    (
        "70/30 and one of v1 at 1.2 ×",
        [0.7, 0.3],
        [Truth::OneAt(1.0 + TOLERANCE), Truth::Equal],
    ),
    (
        "70/30 and one of v1 at 0.8 ×",
        [0.7, 0.3],
        [Truth::OneAt(1.0 - TOLERANCE), Truth::Equal],
    ),
    (
        "70/30 and one of v2 at 1.2 ×",
        [0.7, 0.3],
        [Truth::Equal, Truth::OneAt(1.0 + TOLERANCE)],
    ),
    (
        "70/30 and one of v2 at 0.8 ×",
        [0.7, 0.3],
        [Truth::Equal, Truth::OneAt(1.0 - TOLERANCE)],
    ),
    (
        "70/30 and half of v1 at 1.2 ×",
        [0.7, 0.3],
        [Truth::HalfAt(1.0 + TOLERANCE), Truth::Equal],
    ),
    (
        "70/30 and half of v2 at 1.2 ×",
        [0.7, 0.3],
        [Truth::Equal, Truth::HalfAt(1.0 + TOLERANCE)],
    ),
];

/// Each verdict on `pods` pods of either backend at the planned number of requests, by the code that decides. `seen` is
/// told each cell.
pub(crate) fn errors(pods: usize, effort: Effort, seen: impl Fn(&[Row])) -> Vec<Row> {
    let within = Within {
        pods: vec![NonZeroUsize::new(pods); 2],
        names: Vec::new(),
        tolerance: TOLERANCE,
    };
    let claim = Expectation::new(&[70.0, 30.0]).claim;
    let claim = claim.with_pods(within).expect("few enough to be judged");
    let groups: Vec<Group> = (0..2 * pods).map(|pod| group(pod / pods, pod)).collect();
    // Half of two is one.
    let truths = if pods > 2 { &TRUTHS[..] } else { &TRUTHS[..6] };
    let cell = |&(name, shares, own): &(&str, [f64; 2], [Truth; 2])| {
        let backends = shares.into_iter().zip(own);
        let truth: Vec<f64> = backends
            .flat_map(|(share, own)| own.shares(pods).into_iter().map(move |own| share * own))
            .collect();
        let cell = Cell {
            part: "within",
            split: format!("{pods} and {pods}"),
            truth: name.to_owned(),
            is_right: name == TRUTHS[0].0,
        };
        let rows = cell.simulated(&claim, &groups, &truth, effort.few);
        seen(&rows);
        rows
    };
    truths.iter().flat_map(cell).collect()
}

fn group(backend: usize, pod: usize) -> Group {
    Group {
        owner: format!("app-v{}-{pod}", backend + 1),
        explicit: Some(backend),
        ..Group::alone(&format!("app-v{}", backend + 1))
    }
}
